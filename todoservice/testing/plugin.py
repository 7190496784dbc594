"""The pytest plugin. It imports pytest and the standard library only: fixtures load the rest when they are used."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from uuid import UUID

    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    from sqlmodel import Session

    from todoservice import Settings
    from todoservice.plugins import Plugin
    from todoservice.testing.plans import Plans
    from todoservice.testing.scopes import TestScope
    from todoservice.testing.statements import Statements


@contextmanager
def _told() -> Iterator[None]:
    """Fail with the words of a start that is refused: pytest loses its way where a fixture raises SystemExit."""
    from todoservice.settings import StartupError  # noqa: PLC0415

    try:
        yield
    except StartupError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def todoservice_plugins() -> Any:
    """Override this to say which plugins the app has: modules, or `Plugin`s. None: all that are installed."""
    return None


@pytest.fixture(scope="session")
def todoservice_installed(todoservice_plugins: Any) -> "list[Plugin]":
    """Return the app's plugins, in start order."""
    from todoservice import Settings  # noqa: PLC0415
    from todoservice.plugins.host import Host  # noqa: PLC0415

    with _told():
        return Host.load(Settings.load(), todoservice_plugins, serving=False).accept().plugins


@pytest.fixture(scope="session")
def todoservice_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of a PostgreSQL that the tests may use up, its superuser's.

    That of the variable TODOSERVICE_TEST_DATABASE_URL; else an embedded one, which pytest-xdist's workers share.
    """
    from todoservice.testing.databases import server  # noqa: PLC0415

    base = tmp_path_factory.getbasetemp()
    with server(base.parent if base.name.startswith("popen-") else base) as url:
        yield url


@pytest.fixture(scope="session")
def todoservice_template(todoservice_server: str, todoservice_installed: "list[Plugin]") -> Iterator[str]:
    """Return the name of a database that is migrated and that nobody connects to."""
    from sqlalchemy import make_url  # noqa: PLC0415

    from todoservice.testing.databases import migrated  # noqa: PLC0415

    with migrated(todoservice_server, todoservice_installed) as url:
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def todoservice_database(
    todoservice_server: str, todoservice_template: str, todoservice_installed: "list[Plugin]"
) -> Iterator[str]:
    """Return the owner's URL of this process's migrated database. Tests share it, each with users of its own."""
    from todoservice.testing.databases import migrated  # noqa: PLC0415

    with migrated(todoservice_server, todoservice_installed, todoservice_template) as url:
        yield url


@pytest.fixture(scope="session")
def todoservice_url(todoservice_database: str) -> str:
    """Return the URL of the same database for the service: its role's, which row-level security binds."""
    from todoservice.testing.databases import login_url  # noqa: PLC0415

    return login_url(todoservice_database)


@pytest.fixture
def todoservice_environment() -> Mapping[str, str]:
    """Override this to set variables of the environment for the app: a plugin's own settings, for instance."""
    return {}


@pytest.fixture
def todoservice_settings(
    todoservice_url: str, todoservice_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> "Settings":
    """Return the app's settings: the tests' database, isolation required, and nothing of the operator's environment."""
    import os  # noqa: PLC0415

    from todoservice import Settings  # noqa: PLC0415

    for name in [name for name in os.environ if name.startswith(("TODOSERVICE_", "NEON_"))]:
        monkeypatch.delenv(name)
    for name, value in todoservice_environment.items():
        monkeypatch.setenv(name, value)
    return Settings.load({"neon_database_url": todoservice_url, "require_isolation": True})


@pytest.fixture
def todoservice_app(todoservice_settings: "Settings", todoservice_plugins: Any) -> "FastAPI":
    """Return the app, not started."""
    from todoservice import create_app  # noqa: PLC0415

    with _told():
        return create_app(todoservice_settings, plugins=todoservice_plugins)


@pytest.fixture
def todoservice_user() -> "UUID":
    """Return the id of a user whom the service has not seen."""
    from todoservice import uuid7  # noqa: PLC0415

    return uuid7()


@pytest.fixture
def todoservice_other_user() -> "UUID":
    """Return the id of another such user."""
    from todoservice import uuid7  # noqa: PLC0415

    return uuid7()


@pytest.fixture
def todoservice_headers() -> Any:
    """Override this where another provider than the header says who asks: it returns a user's headers, by their id."""
    return lambda user_id: {"X-User-ID": str(user_id)}


@pytest.fixture
def todoservice_statements(todoservice_app: "FastAPI") -> "Iterator[Statements]":
    """Return the statements that the test's requests send. The test fails where the audit refuses one."""
    from todoservice.testing.statements import Statements  # noqa: PLC0415

    with Statements().of(todoservice_app) as seen:
        yield seen


@pytest.fixture
def todoservice_anonymous_client(todoservice_app: "FastAPI") -> "Iterator[TestClient]":
    """Return a client of the running app: of no user."""
    from fastapi.testclient import TestClient  # noqa: PLC0415

    with TestClient(todoservice_app) as client:
        yield client


@contextmanager
def _client(running: "TestClient", headers: Mapping[str, str]) -> "Iterator[TestClient]":
    from fastapi.testclient import TestClient  # noqa: PLC0415

    client = TestClient(running.app, headers=dict(headers))
    client.portal = running.portal
    yield client


@pytest.fixture
def todoservice_client(
    todoservice_anonymous_client: "TestClient", todoservice_headers: Any, todoservice_user: "UUID"
) -> "Iterator[TestClient]":
    """Return a client of the running app that asks as `todoservice_user`."""
    with _client(todoservice_anonymous_client, todoservice_headers(todoservice_user)) as client:
        yield client


@pytest.fixture
def todoservice_other_client(
    todoservice_anonymous_client: "TestClient", todoservice_headers: Any, todoservice_other_user: "UUID"
) -> "Iterator[TestClient]":
    """Return a client that asks as `todoservice_other_user`."""
    with _client(todoservice_anonymous_client, todoservice_headers(todoservice_other_user)) as client:
        yield client


@pytest.fixture
def todoservice_scope(todoservice_anonymous_client: "TestClient", todoservice_user: "UUID") -> "TestScope":
    """Return the scope of `todoservice_user` in the running app, for tests that are no coroutines."""
    from todoservice.testing.scopes import TestScope  # noqa: PLC0415

    return TestScope(todoservice_anonymous_client, todoservice_user)


@pytest.fixture
def todoservice_session(todoservice_database: str) -> "Iterator[Session]":
    """Return a session of the owner's, which factories write through. Commit it, or the app sees nothing."""
    import sqlalchemy as sa  # noqa: PLC0415
    from sqlmodel import Session  # noqa: PLC0415

    from todoservice.testing.factories import using  # noqa: PLC0415

    engine = sa.create_engine(sa.make_url(todoservice_database).set(drivername="postgresql+psycopg2"))
    with Session(engine, expire_on_commit=False) as session, using(session):
        yield session
    engine.dispose()


@pytest.fixture
def todoservice_plans(
    todoservice_server: str, todoservice_template: str, todoservice_installed: "list[Plugin]"
) -> "Iterator[Plans]":
    """Return the plans of the declared queries, in a database that is this test's alone."""
    from todoservice.testing.plans import Plans  # noqa: PLC0415

    with Plans.of(todoservice_server, todoservice_installed, todoservice_template) as plans:
        yield plans
