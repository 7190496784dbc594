"""TLS from end to end: the server proves who it is by its certificate, and by the password that it knows as well."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
import trustme
from api import create, listed
from compute import Compute, compute, programs_with_tls
from databases import ask, login_url, migrate, text_of
from endpoint import DOMAIN, NAME
from sqlalchemy import make_url
from starlette.testclient import TestClient

from todoservice import Settings, create_app


@pytest.fixture(scope="module")
def secure(authority: trustme.CA) -> Iterator[Compute]:
    """Return a compute that speaks TLS."""
    with compute(programs_with_tls(), authority.issue_cert(f"*.{DOMAIN}")) as made:
        migrate(made.url())
        yield made


def test_a_channel_that_is_bound(secure: Compute, authority: trustme.CA, tmp_path: Path, user: UUID) -> None:
    """`channel_binding=require`, as Neon's console writes it, leads to the database over a verified connection."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    verified = {"hostaddr": "127.0.0.1", "sslmode": "verify-full", "sslrootcert": str(tmp_path / "ca.pem")}
    login = make_url(login_url(secure.url())).set(host=f"{NAME}.{DOMAIN}")
    url = text_of(login.update_query_dict({**verified, "channel_binding": "require", "application_name": "bound"}))
    app = create_app(Settings.load({"neon_database_url": url, "require_isolation": True}))
    with TestClient(app, headers={"X-User-ID": str(user)}) as client:
        assert listed(client) == []
        todo = create(client)
        assert listed(client) == [todo]
        sessions = ask(secure.url(), "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                       "WHERE application_name = 'bound'")  # fmt: skip
    assert sessions == [(True,)]
