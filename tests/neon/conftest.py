"""The rig: a PostgreSQL with Neon's roles and limits, PgBouncer before it, and an endpoint before both."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import trustme
from compute import OWNER, Compute, compute, free_port
from databases import PASSWORD, ask, login_url, migrate
from edge import THREAD
from endpoint import Endpoint
from pooler import Pooler, pooler
from sqlalchemy import make_url
from starlette.testclient import TestClient

from todoservice import Settings, create_app

Start = Callable[..., TestClient]
Lines = Callable[[], list[str]]


@pytest.fixture(scope="session")
def node() -> Iterator[Compute]:
    """Return the compute, its database migrated by the owner, with a role for the service."""
    with compute() as made:
        migrate(made.url())
        login_url(made.url())
        yield made


@pytest.fixture(scope="session")
def login(node: Compute) -> str:
    """Return the name of the service's role."""
    return f"{make_url(node.url()).database}_login"


@pytest.fixture(scope="session")
def pool(node: Compute, login: str) -> Iterator[Pooler]:
    """Return the pooler, sized as the smallest compute's."""
    with pooler(node.url(), {login: PASSWORD, OWNER: PASSWORD}, free_port(), default_pool_size=93) as made:
        yield made


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return the certificate authority that the endpoint's clients trust."""
    return trustme.CA()


@pytest.fixture
def endpoint(node: Compute, pool: Pooler, authority: trustme.CA, tmp_path: Path) -> Iterator[Endpoint]:
    """Return the endpoint."""
    with Endpoint(node.url(), pool.url(node.url()), authority, tmp_path) as made:
        yield made


@pytest.fixture(params=["pooled", "direct"])
def pooled(request: pytest.FixtureRequest) -> bool:
    """Say whether the service's URL is that of the pooled endpoint: once it is, once it is not."""
    return bool(request.param == "pooled")


@pytest.fixture
def rows(node: Compute, user: UUID) -> Callable[[], list[str]]:
    """Return what lists the titles of the user's todos, as the owner sees them."""

    def titles() -> list[str]:
        found = ask(node.url(), f"SELECT title FROM todoservice.todos WHERE user_id = '{user}' ORDER BY id")
        return [title for (title,) in found]

    return titles


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Return what lists the log's lines for an operator, once they are seen to hold no password and no traceback."""
    caplog.set_level(logging.DEBUG)

    def lines() -> list[str]:
        assert PASSWORD not in caplog.text
        records = [record for record in caplog.records if record.levelno >= logging.WARNING]
        records = [record for record in records if record.threadName != THREAD]
        assert [record for record in records if record.exc_info] == []
        assert all("\n" not in record.getMessage() for record in records)
        return [record.getMessage() for record in records if "on trust" not in record.getMessage()]

    return lines


@pytest.fixture
def start(endpoint: Endpoint, login: str, user: UUID) -> Iterator[Start]:
    """Return what starts the app on the endpoint, with settings, and gives the user's client of it."""
    started: list[TestClient] = []

    def start(*, pooled: bool = True, **settings: Any) -> TestClient:
        given = {"neon_database_url": endpoint.address(login, PASSWORD, pooled=pooled), "require_isolation": True}
        client = TestClient(create_app(Settings.load(given | settings)), headers={"X-User-ID": str(user)})
        started.append(client.__enter__())
        return client

    yield start
    for client in started:
        client.__exit__()
