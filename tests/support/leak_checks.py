"""What holds by shape and is no statement, and what must be refused, denied or found. Each takes pytest's fixtures."""
# ruff: noqa: D401 - each says what holds

import asyncio
from collections.abc import Callable
from types import ModuleType
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
from leak_models import IDS, ME, MODELS, OWNERS, THEM, Box, BoxQueries, Item, at
from plugin_modules import module
from sqlalchemy import Connection
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn
from sqlmodel import Field

from todoservice import Owned, Scope, UnscopedStatement, create_app, uuid7
from todoservice.audit import Audit
from todoservice.database import catalogue, security
from todoservice.plugins import PluginError
from todoservice.statements import Statements

Fixtures = Callable[[str], Any]
TODOS = "/api/v1/todos"


def no_session(_: Fixtures) -> None:
    """Nothing that a scope shows is a session, a connection, an engine or an object with a state."""
    shown = {name for name in dir(Scope) if not name.startswith("_")}
    rows = {"one", "first", "all", "execute", "one_json", "all_json", "page_json"}
    assert shown == rows | {"user_id", "transaction", "run_transaction"}


def plain_rows(get: Fixtures) -> None:
    """What comes back is a row of values, that loads nothing and cannot be changed."""
    row = get("as_me")(lambda scope: scope.first(sa.select(Item)))
    assert type(row) is Row
    assert {type(value) for value in row} <= {type(ME), str}
    with pytest.raises(AttributeError):
        row.label = "changed"
    with pytest.raises(AttributeError):
        _ = row.box


def one_statement_two_users(get: Fixtures) -> None:
    """Each gets what is theirs, from the statement that was compiled for the other."""
    for run, name in ((get("as_me"), "mine"), (get("as_them"), "theirs")) * 2:
        assert run(lambda scope: scope.all(BoxQueries.names)) == [(name,)]


def models_without_owner_are_refused(_: Fixtures) -> None:
    """A table that is neither owned nor shared is no plugin's."""

    class Link:
        __tablename__ = "links"

    with pytest.raises(PluginError, match="is not a table class: derive it from Owned or Shared"):
        create_app(plugins=[module("links", todoservice_models=[Link])])


def models_unique_over_all_are_refused(_: Fixtures) -> None:
    """A key that two users can meet in stops the start."""

    class Handle(Owned, table=True):
        __tablename__ = "handles"
        handle: str = Field(unique=True)

    with pytest.raises(PluginError, match="unique over all users, which tells one what another has"):
        create_app(plugins=[_feature(Handle)])


def _feature(model: Any) -> ModuleType:
    return module(model.__tablename__, todoservice_models=[model])


def closed_door(get: Fixtures) -> None:
    """Whoever gets hold of the app's engine, or its pool, sends nothing without a scope: by no way to the server."""
    pool = get("app").state.data.database.pool
    engine = pool.engine.sync_engine

    def with_connection(send: Callable[[Any], Any]) -> Callable[[], Any]:
        def way() -> None:
            with engine.connect() as connection:
                send(connection)

        return way

    ways = [
        with_connection(lambda connection: connection.execute(sa.text("SELECT 1"))),
        with_connection(lambda connection: connection.exec_driver_sql("SELECT 1")),
        with_connection(lambda connection: connection.connection.cursor().execute("SELECT 1")),
        with_connection(lambda connection: connection.connection.cursor().executemany("SELECT 1", [{}])),
        with_connection(lambda connection: Session(connection).scalars(sa.select(Box)).all()),
    ]

    async def ask() -> None:
        for way in ways:
            with pytest.raises(UnscopedStatement, match="a statement was sent outside of a scope"):
                await greenlet_spawn(way)
        pooled = await pool.take()
        try:
            with pytest.raises(UnscopedStatement, match="a statement was sent outside of a scope"):
                await pooled.dbapi_connection.cursor().ask("SELECT 1")
        finally:
            pool.give_back(pooled)
            pool.close()

    asyncio.run(ask())


def service_url_sees_nothing(get: Fixtures) -> None:
    """Who connects with the service's URL and names no user sees no row and adds none."""
    with psycopg2.connect(get("crowded").login) as connection, connection.cursor() as cursor:
        for table in OWNERS:
            cursor.execute(f"SELECT count(*) FROM todoservice.{table}")
            assert cursor.fetchone() == (0,)
    connection.close()


def scope_keeps_its_user(get: Fixtures) -> None:
    """No other can be put into it."""

    async def change(scope: Scope) -> None:
        with pytest.raises(AttributeError):
            scope.user_id = THEM  # type: ignore[misc]

    get("as_me")(change)


def refused(*statements: str) -> Callable[[Fixtures], None]:
    """Return what sees that the audit refuses each of these."""

    def see(get: Fixtures) -> None:
        audit: Audit = get("audit")
        for statement in statements:
            assert audit.verdict(statement.format(**IDS)).fault is not None, statement

    return see


def denied(statement: str) -> Callable[[Fixtures], None]:
    """Return what sees that PostgreSQL denies this to the service's role."""

    def see(get: Fixtures) -> None:
        with (
            psycopg2.connect(get("crowded").login) as connection,
            connection.cursor() as cursor,
            pytest.raises(psycopg2.errors.InsufficientPrivilege),
        ):
            cursor.execute(statement.format(**IDS))
        connection.close()

    return see


def finds(code: str, planted: str) -> Callable[[Fixtures], None]:
    """Return what sees that the check finds what was planted, and nothing of the kind before."""

    def see(get: Fixtures) -> None:
        crowded = get("crowded")
        with crowded.owner() as connection:
            assert code not in _codes(connection)
            connection.exec_driver_sql(planted.format(app=crowded.app), execution_options={"no_parameters": True})
            assert code in _codes(connection)

    return see


def _codes(connection: Connection) -> set[str]:
    return {fault.code for fault in catalogue.verify(connection, OWNERS)}


def every_upgrade_closes_tables(get: Fixtures) -> None:
    """What was opened is closed by the next one."""
    with get("crowded").owner() as connection:
        connection.exec_driver_sql(
            "ALTER TABLE todoservice.boxes DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY"
        )
        assert "row-security" in _codes(connection)
        security.apply(connection, OWNERS)
        assert "row-security" not in _codes(connection)


def cascades_stay_with_the_owner(get: Fixtures) -> None:
    """A row that hangs on another's goes with it only where the owner is not in the key."""
    with get("crowded").owner() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO public.loose_items VALUES ('{at(21)}', '{ME}', '{IDS['their_box']}');"
            f"DELETE FROM public.loose WHERE id = '{IDS['their_box']}'"
        )
        [(left,)] = connection.exec_driver_sql(f"SELECT count(*) FROM public.loose_items WHERE id = '{at(21)}'")
        assert left == 0
    with get("crowded").owner() as connection, pytest.raises(IntegrityError, match="violates foreign key constraint"):
        connection.exec_driver_sql(
            "INSERT INTO todoservice.boxes_items (user_id, id, box_id, label) "
            f"VALUES ('{ME}', '{at(21)}', '{IDS['their_box']}', 'x')"
        )


def no_row_loses_its_owner(get: Fixtures) -> None:
    """A foreign key that would null the whole key, owner and all, cannot."""
    with get("crowded").owner() as connection:
        connection.exec_driver_sql(
            "ALTER TABLE todoservice.boxes_items ALTER box_id DROP NOT NULL, ADD CONSTRAINT nulls FOREIGN KEY "
            "(user_id, box_id) REFERENCES todoservice.boxes (user_id, id) ON DELETE SET NULL"
        )
        connection.exec_driver_sql(
            f"ALTER TABLE todoservice.boxes_items DROP CONSTRAINT {next(iter(_foreign_keys(Item))).name}"
        )
        with pytest.raises(IntegrityError, match='null value in column "user_id"'):
            connection.exec_driver_sql("DELETE FROM todoservice.boxes")


def _foreign_keys(model: Any) -> list[Any]:
    keys = model.__table__.foreign_key_constraints
    return [key for key in keys if key.referred_table.name == "boxes"]


def requests_with_user_id_are_refused(get: Fixtures) -> None:
    """In the body; and the query's is nobody's: the row is the header's."""
    client = get("client_for")(ME)
    refusal = client.post(TODOS, json={"title": "x", "user_id": str(THEM)})
    assert refusal.status_code == 422
    made = client.post(f"{TODOS}?user_id={THEM}", json={"title": "x"}).json()
    assert made["user_id"] == str(ME)
    assert client.patch(f"{TODOS}/{made['id']}", json={"user_id": str(THEM)}).status_code == 422


def answers_are_alike(get: Fixtures) -> None:
    """Another's row and a missing one: the same status, body and headers, whatever is asked of it."""
    mine, theirs = get("client_for")(get("user")), get("client_for")(get("other_user"))
    there = theirs.post(TODOS, json={"title": "x"}).json()["id"]
    for method, body in (("GET", None), ("PATCH", {"title": "taken"}), ("DELETE", None)):
        answers = []
        for id in (there, uuid7()):
            answer = mine.request(method, f"{TODOS}/{id}", json=body)
            answer.headers.pop("X-Request-ID")
            answers.append((answer.status_code, answer.content, sorted(answer.headers.items())))
        assert answers[0] == answers[1]
        assert answers[0][0] == 404


def nothing_is_cached(get: Fixtures) -> None:
    """An answer says that no cache may keep it."""
    client = get("client_for")(get("user"))
    for path in (TODOS, f"{TODOS}/{uuid7()}"):
        assert client.get(path).headers["Cache-Control"] == "no-store"


def errors_hide_values(get: Fixtures) -> None:
    """What SQLAlchemy says of a statement that failed has none of its values."""
    assert get("app").state.data.database.pool.engine.sync_engine.hide_parameters


def statements() -> Statements:
    """Return the statements of the tests' feature and of todos."""
    from todoservice_todos.models import Todo

    made = Statements([Todo, *MODELS], sa.create_engine("postgresql+psycopg2://").dialect)
    made.declare("boxes", BoxQueries)
    return made
