"""The rig behaves as Neon does: what each of the other tests here takes for granted."""

import os
import subprocess
from contextlib import closing

import psycopg2
import pytest
from compute import OWNER, PROGRAMS, Compute
from databases import PASSWORD, ask
from endpoint import Endpoint


@pytest.mark.parametrize("pooled", [True, False])
def test_both_hosts(endpoint: Endpoint, login: str, pooled: bool) -> None:
    """The service's role comes in by either host, over TLS that is verified, and by its name."""
    assert ask(endpoint.address(login, PASSWORD, pooled=pooled), "SELECT current_user") == [(login,)]
    assert str(endpoint.names[0]).startswith(
        "ep-cool-darkness-123456-pooler." if pooled else "ep-cool-darkness-123456."
    )


def test_its_postgresql_is_the_one_that_was_asked_for(node: Compute) -> None:
    """Which is the embedded one, unless a folder of programs is named (scenario 20)."""
    asked_for = "PostgreSQL 18"
    if PROGRAMS in os.environ:
        says = subprocess.run([f"{os.environ[PROGRAMS]}/postgres", "--version"], capture_output=True, check=True)
        asked_for = "PostgreSQL " + says.stdout.decode().split()[2].partition(".")[0]
    [(version,)] = ask(node.url(), "SELECT version()")
    assert version.startswith(asked_for)


def test_roles(node: Compute) -> None:
    """The owner is no superuser, and row-level security does not bind it: as Neon's console makes one."""
    found = ask(node.url(), "SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user")
    assert found == [(False, True, True)]
    assert ask(node.url(), "SELECT current_user") == [(OWNER,)]


def refused(url: str) -> str:
    """Return why there is no connection."""
    with pytest.raises(psycopg2.OperationalError) as caught, closing(psycopg2.connect(url)):
        pass
    return str(caught.value)


def test_refusals(endpoint: Endpoint, login: str) -> None:
    """The proxy's own errors reach the client in their words."""
    url = endpoint.address(login, PASSWORD)
    assert "connection is insecure" in refused(url.replace("sslmode=verify-full", "sslmode=disable"))
    assert "Endpoint ID is not specified" in refused(url + "&sslsni=0")
    assert "unsupported startup parameter in options: search_path" in refused(url + "&options=-csearch_path%3Dx")
    assert "authentication failed" in refused(url.replace(login, "nobody"))
    endpoint.errors = ["endpoint is disabled"]
    assert "endpoint is disabled" in refused(url)


def test_session_settings_stay_behind_in_the_pooler(endpoint: Endpoint, login: str) -> None:
    """It pools transactions: a connection that was set up for one client is there for the next."""
    url = endpoint.address(login, PASSWORD)
    ask(url, "SELECT set_config('todoservice.user_id', 'left', false)")
    assert ask(url, "SELECT current_setting('todoservice.user_id', true)") == [("left",)]
    ask(url, "RESET ALL")
