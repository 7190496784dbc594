"""What Neon's proxy, PgBouncer and PostgreSQL refuse: waited for where it may pass, told at once where it may not."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme
from api import TODOS, create, listed, problem
from databases import PASSWORD
from endpoint import ASLEEP, DISABLED, TOO_MANY, Endpoint
from sqlalchemy import make_url
from starlette.testclient import TestClient

Start = Callable[..., TestClient]
Lines = Callable[[], list[str]]

AWAY = "The database is out of reach at the moment: try again shortly."


@pytest.mark.parametrize("error", [ASLEEP, TOO_MANY, "Control plane request failed"])
def test_errors_that_pass(endpoint: Endpoint, start: Start, told: Lines, error: str) -> None:
    """Two of them cost the client a moment, and the operator a line (scenario 8)."""
    client = start()
    todo = create(client)
    endpoint.suspend(cold=0)
    endpoint.errors = [error, error]
    assert listed(client) == [todo]
    assert endpoint.errors == []
    (line,) = told()
    assert line.startswith("The database is out of reach: ")
    assert error in line


@pytest.mark.parametrize("error", [TOO_MANY, "You've exceeded the rate limit. Please wait a moment and try again."])
def test_fewer_attempts_where_the_proxy_asks_for_that(endpoint: Endpoint, start: Start, error: str) -> None:
    """After a rate limit nobody comes back within a second (scenario 8)."""
    client = start()
    endpoint.suspend(cold=0)
    endpoint.errors = [error]
    began = time.monotonic()
    listed(client)
    assert 1 < time.monotonic() - began < 5


PERMANENT = {
    "disabled": DISABLED,
    "disabled, to people": "The endpoint has been disabled. Enable it using Neon API and retry.",
    "gone": "endpoint cannot be found",
    "gone, to people": (
        "The requested endpoint could not be found, or you don't have access to it. "
        "Please check the provided ID and try again."
    ),
    "over its quota": "endpoint is temporarily unavailable. Check your quotas and/or contact our support.",
    "out of compute": (
        "Your account or project has exceeded the compute time quota. Upgrade your plan to increase limits."
    ),
    "out of transfer": "Your project has exceeded the data transfer quota. Upgrade your plan to increase limits.",
    "another password": "password authentication failed for user 'neondb_login'",
    "another database's role": 'permission denied for database "neondb"',
    "not from here": "This IP address 1.2.3.4 is not allowed to connect to this endpoint.",
    "a parameter": "unsupported startup parameter in options: search_path.",
}


@pytest.mark.parametrize("error", PERMANENT.values(), ids=PERMANENT)
def test_errors_that_do_not_pass(endpoint: Endpoint, start: Start, told: Lines, error: str) -> None:
    """Every request is answered at once, one line says what is wrong, and the service recovers alone (scenario 9)."""
    client = start()
    todo = create(client)
    endpoint.suspend(cold=0)
    endpoint.refusal = error
    before, began = endpoint.connects, time.monotonic()
    for _ in range(3):
        assert problem(client.get(TODOS), 503, "SERVICE_UNAVAILABLE")["detail"] == AWAY
    assert time.monotonic() - began < 2
    assert endpoint.connects - before == 3
    assert client.get("/healthz").status_code == 200
    problem(client.get("/readyz"), 503, "SERVICE_UNAVAILABLE")
    (line,) = told()
    assert line.startswith("The database refuses the service: ")
    assert error in line
    assert line.endswith(": see NEON_DATABASE_URL")
    endpoint.refusal = ""
    assert client.get("/readyz").status_code == 200
    assert listed(client) == [todo]


@pytest.mark.parametrize("fault", ["password", "options", "authority", "database", "binding"])
def test_a_url_that_is_refused(
    endpoint: Endpoint, start: Start, told: Lines, tmp_path: Path, login: str, fault: str
) -> None:
    """The service comes up and says why it cannot serve, without the password; it asks once for each request."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    url = make_url(endpoint.address(login, PASSWORD))
    wrong = {
        "password": url.set(password="open-sesame"),
        "options": url.update_query_dict({"options": "-c search_path=x"}),
        "authority": url.update_query_dict({"sslrootcert": str(tmp_path / "other.pem")}),
        "database": make_url(endpoint.address(login, PASSWORD, pooled=False)).set(database="nowhere"),
        # The edge ends TLS, as whoever reads along would: what is beyond it cannot bind to the client's channel.
        "binding": url.update_query_dict({"channel_binding": "require"}),
    }[fault]
    client = start(neon_database_url=wrong.render_as_string(hide_password=False))
    before = endpoint.connects
    problem(client.get(TODOS), 503, "SERVICE_UNAVAILABLE")
    assert endpoint.connects - before == 1
    lines = [line for line in told() if line.startswith("The database refuses the service: ")]
    assert len(lines) == 1
    assert "open-sesame" not in "".join(told())


def test_connections_that_are_ended_at_once(endpoint: Endpoint, start: Start, told: Lines) -> None:
    """A few of them are made up for within the request (scenario 10)."""
    client = start()
    todo = create(client)
    endpoint.suspend(cold=0)
    endpoint.refused = 3
    assert listed(client) == [todo]
    assert endpoint.refused == 0
    assert len(told()) == 1


def test_a_port_that_is_shut_for_a_while(endpoint: Endpoint, start: Start, told: Lines) -> None:
    """Whoever asks meanwhile waits, and is answered once it is open (scenario 10)."""
    client = start()
    todo = create(client)
    endpoint.shut()
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(listed, client)
        time.sleep(0.5)
        endpoint.open()
        assert waiting.result() == [todo]
    (line,) = told()
    assert "Connection refused" in line


def test_a_proxy_that_says_nothing(endpoint: Endpoint, start: Start, told: Lines) -> None:
    """The answer comes within the budget; after it the service serves on (scenario 10)."""
    client = start(connect_timeout=0.5, request_budget=2)
    todo = create(client)
    endpoint.silent = True
    endpoint.suspend(cold=0)
    began = time.monotonic()
    assert problem(client.get(TODOS), 503, "SERVICE_UNAVAILABLE")["detail"] == AWAY
    assert 0.5 < time.monotonic() - began < 3
    assert "timeout expired after 0.5 s" in "".join(told())
    assert client.get("/healthz").status_code == 200
    endpoint.silent = False
    assert listed(client) == [todo]


def test_a_start_while_the_compute_is_asleep(endpoint: Endpoint, start: Start, told: Lines) -> None:
    """It wakes it up, as any connection does."""
    endpoint.suspend(cold=1)
    client = start()
    assert client.get("/readyz").status_code == 200
    assert told() == []


def test_a_start_without_a_database(endpoint: Endpoint, start: Start, told: Lines) -> None:
    """The process comes up and lives, is not ready, and recovers alone (scenario 16)."""
    endpoint.shut()
    client = start(request_budget=0.5)
    assert client.get("/healthz").status_code == 200
    problem(client.get("/readyz"), 503, "SERVICE_UNAVAILABLE")
    assert problem(client.get(TODOS), 503, "SERVICE_UNAVAILABLE")["detail"] == AWAY
    endpoint.open()
    assert client.get("/readyz").status_code == 200
    create(client)
    assert [line.partition(":")[0] for line in told()] == [
        "The database is out of reach", "Starting without a database",
    ]  # fmt: skip


SPELLINGS: dict[str, Callable[[str], str]] = {
    "postgres": lambda url: url.replace("postgresql:", "postgres:"),
    "psycopg2": lambda url: url.replace("postgresql:", "postgresql+psycopg2:"),
    "white space": lambda url: f"  {url}\n",
    "quotes": lambda url: f"'{url}'",
    "psql": lambda url: f"psql '{url}'",
    "an endpoint": lambda url: url + "&options=endpoint%3Dep-cool-darkness-123456-pooler",
    "channel binding": lambda url: url + "&channel_binding=prefer",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_urls(endpoint: Endpoint, start: Start, login: str, spelling: Any) -> None:
    """Every way in which the console and people write it leads to the database (scenario 17)."""
    client = start(neon_database_url=spelling(endpoint.address(login, PASSWORD)))
    create(client)
