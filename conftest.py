"""One PostgreSQL for the whole run; a migrated database for each worker; real commits."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
import sqlalchemy as sa
from compute import ADMIN, PROGRAMS, compute
from databases import database, login_url, migrate
from fastapi import FastAPI
from playing import Play, playing
from sqlalchemy import make_url
from sqlmodel import Session
from starlette.testclient import TestClient

from todoservice import Settings, create_app, uuid7
from todoservice.database import embedded
from todoservice.testing import factories

SERVER = "TODOSERVICE_TEST_DATABASE_URL"
DATA = "TODOSERVICE_TEST_DATA_DIR"


def pytest_configure() -> None:
    """Keep the operator's own settings out of the tests, and choose the folder that all workers share."""
    for name in [name for name in os.environ if name.startswith(("TODOSERVICE_", "NEON_"))]:
        if name not in {SERVER, DATA, PROGRAMS}:
            del os.environ[name]
    if SERVER not in os.environ and DATA not in os.environ:
        folder = Path(tempfile.mkdtemp(prefix="todoservice-tests-"))
        folder.chmod(0o755)
        os.environ[DATA] = str(folder)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """Return the URL of a superuser of a PostgreSQL server that the tests may use up."""
    if SERVER in os.environ:
        yield os.environ[SERVER]
        return
    if PROGRAMS in os.environ:
        with compute() as node:
            yield node.url(ADMIN, "postgres")
        return
    with embedded.acquire(Path(os.environ[DATA]), durable=False) as lease:
        yield lease.url


@pytest.fixture(scope="session")
def template(server_url: str) -> Iterator[str]:
    """Return the URL of a database that is migrated and that nobody connects to."""
    with database(server_url) as url:
        migrate(url)
        yield url


@pytest.fixture(scope="session")
def database_url(server_url: str, template: str) -> Iterator[str]:
    """Return the owner's URL of this worker's migrated database. Tests share it, each with users of its own."""
    with database(server_url, str(make_url(template).database)) as url:
        migrate(url)
        yield url


@pytest.fixture(scope="session")
def service_url(database_url: str) -> str:
    """Return the URL of the same database for the service: its role's, which row-level security binds."""
    return login_url(database_url)


@pytest.fixture
def fresh_url(server_url: str, template: str) -> Iterator[str]:
    """Return the owner's URL of a migrated database that is this test's alone."""
    with database(server_url, str(make_url(template).database)) as url:
        migrate(url)
        yield url


@pytest.fixture
def empty_url(server_url: str) -> Iterator[str]:
    """Return the URL of a database with nothing in it."""
    with database(server_url) as url:
        yield url


@pytest.fixture
def settings(service_url: str) -> Settings:
    """Return settings for this worker's database, as an operator should have them."""
    return Settings.load({"neon_database_url": service_url, "require_isolation": True})


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """Return the app, not started."""
    return create_app(settings)


@pytest.fixture
def play(app: FastAPI, user: UUID, other_user: UUID) -> Play:
    """Return what runs a scenario with the scopes of two users, in the running app."""
    return playing(app, user, other_user)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """Return a client of the running app: of no user."""
    with TestClient(app) as client:
        yield client


@pytest.fixture
def user() -> UUID:
    """Return the id of a user whom the service has not seen."""
    return uuid7()


@pytest.fixture
def other_user() -> UUID:
    """Return the id of another such user."""
    return uuid7()


@pytest.fixture
def client_for(client: TestClient) -> Callable[[UUID], TestClient]:
    """Return what makes a client that asks as a user."""

    def as_user(user: UUID) -> TestClient:
        asking = TestClient(client.app, headers={"X-User-ID": str(user)})
        asking.portal = client.portal
        return asking

    return as_user


@pytest.fixture
def session(database_url: str) -> Iterator[Session]:
    """Return a session of the owner's, for factories: what it commits is really there."""
    engine = sa.create_engine(make_url(database_url).set(drivername="postgresql+psycopg2"))
    with Session(engine, expire_on_commit=False) as session, factories.using(session):
        yield session
    engine.dispose()


@pytest.fixture
def unused_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
