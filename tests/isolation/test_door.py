"""The host's own statements go through a door that lets those listed through, and no other."""

import pytest
import sqlalchemy as sa
from databases import ask, login_url, migrate
from sqlalchemy import event
from starlette.testclient import TestClient

from todoservice import Settings, UnscopedStatement, create_app, migrations
from todoservice.database import catalogue, security
from todoservice.door import HostDoor
from todoservice.migrations import History
from todoservice.plugins.host import Host

HISTORIES = migrations.histories(Host.load(Settings.load(), serving=False).plugins)
RULES = catalogue.statement(migrations.owners(HISTORIES), without=catalogue.UNDECLARED)
DOOR = HostDoor(HISTORIES, RULES)
HOST = History.host().version_query


def test_what_is_listed_passes() -> None:
    """As it stands: the version tables in any number and order."""
    for text in (
        migrations.VERSION_TABLES,
        security.STATE,
        RULES,
        HOST,
        *DOOR.versions,
        " UNION ALL ".join(DOOR.versions),
    ):
        DOOR(text, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT 1",
        "SELECT title FROM todoservice.todos",
        "RESET ROLE",
        f"{security.STATE} ",
        RULES.replace("todos", "others"),
        f"{HOST}; DELETE FROM todoservice.todos",
        f"{HOST} UNION ALL SELECT id::text, title FROM todoservice.todos",
        f"{HOST} UNION ALL ",
        HOST.lower(),
        HOST.replace("todoservice_alembic", "others_alembic"),
        HOST.encode(),
        type("Text", (str,), {})(HOST),
    ],
)
def test_what_is_not_listed_is_refused(text: object) -> None:
    """With where to list it."""
    with pytest.raises(
        UnscopedStatement, match=r"lets only the statements of todoservice\.door through: list it there"
    ):
        DOOR(text, None)


def test_a_listed_statement_has_no_parameters() -> None:
    """With any, it would be another."""
    with pytest.raises(UnscopedStatement, match="list it there"):
        DOOR(HOST, {})


def test_a_start_sends_what_is_listed(fresh_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """All of it where a plugin left tables behind, so that the list holds nothing that is not needed."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, text: str, *_: object) -> None:
        sent.append(text)

    ask(fresh_url, "CREATE TABLE todoservice.gone_alembic_version (version_num text)")
    migrate(fresh_url)
    app = create_app(Settings.load({"neon_database_url": login_url(fresh_url), "require_isolation": True}))
    event.listen(app.state.data.database.pool.engine.sync_engine, "before_cursor_execute", note)
    with TestClient(app):
        pass
    assert "W101 gone: it is not installed, and its tables are still in the database" in caplog.text
    sets = [frozenset(text.split(" UNION ALL ")) for text in sent]
    assert {*sent} - {text for text, parts in zip(sent, sets, strict=True) if parts <= DOOR.versions} == DOOR.texts
    assert DOOR.versions in sets


def test_start_without_required_isolation_runs_no_rules(service_url: str) -> None:
    """It takes as many statements as before, and its door lets no other through."""
    sent: list[str] = []
    app = create_app(Settings.load({"neon_database_url": service_url}))
    event.listen(
        app.state.data.database.pool.engine.sync_engine, "before_cursor_execute", lambda *given: sent.append(given[2])
    )
    with TestClient(app):
        pass
    assert len(sent) == 3
    assert RULES not in sent
    with pytest.raises(UnscopedStatement):
        HostDoor(HISTORIES)(RULES, None)


def test_a_start_that_sends_another_statement_fails(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds one to the host's checks has to list it."""

    def look(connection: sa.Connection, _plugins: object) -> None:
        connection.execute(sa.text("SELECT title FROM todoservice.todos"))

    monkeypatch.setattr(migrations, "verify", look)
    refused = pytest.raises(UnscopedStatement, match=r"list it there: SELECT title FROM todoservice\.todos")
    with refused, TestClient(create_app(settings)):
        raise AssertionError
