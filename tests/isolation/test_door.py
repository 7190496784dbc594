"""The host's own statements go through a door that lets those listed through, and no other."""

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy import event
from starlette.testclient import TestClient

from todoservice import Settings, UnscopedStatement, create_app, migrations
from todoservice.database import security
from todoservice.door import HostDoor
from todoservice.migrations import History
from todoservice.plugins.host import Host

DOOR = HostDoor(migrations.histories(Host.load(Settings.load(), serving=False).plugins))
HOST = History.host().version_query


def test_what_is_listed_passes() -> None:
    """As it stands: the version tables in any number and order."""
    for text in (migrations.VERSION_TABLES, security.STATE, HOST, *DOOR.versions, " UNION ALL ".join(DOOR.versions)):
        DOOR(text, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT 1",
        "SELECT title FROM todoservice.todos",
        "RESET ROLE",
        f"{security.STATE} ",
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


def test_a_start_sends_what_is_listed(app: FastAPI) -> None:
    """All of it, so that the list holds nothing that is not needed."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, text: str, *_: object) -> None:
        sent.append(text)

    event.listen(app.state.data.database.engine.sync_engine, "before_cursor_execute", note)
    with TestClient(app):
        pass
    assert [set(text.split(" UNION ALL ")) if text.startswith(HOST) else text for text in sent] == [
        migrations.VERSION_TABLES,
        DOOR.versions,
        security.STATE,
    ]
    assert DOOR.texts == {migrations.VERSION_TABLES, security.STATE}


def test_a_start_that_sends_another_statement_fails(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds one to the host's checks has to list it."""

    def look(connection: sa.Connection, _plugins: object) -> None:
        connection.execute(sa.text("SELECT title FROM todoservice.todos"))

    monkeypatch.setattr(migrations, "verify", look)
    refused = pytest.raises(UnscopedStatement, match=r"list it there: SELECT title FROM todoservice\.todos")
    with refused, TestClient(create_app(settings)):
        raise AssertionError
