"""What holds by shape and is no statement, and what must be refused, denied or found. Each takes pytest's fixtures."""
# ruff: noqa: D401 - each says what holds

import asyncio
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any
from uuid import UUID

import psycopg2
import pytest
import sqlalchemy as sa
from fastapi import APIRouter, Response
from fastapi.routing import APIRoute
from leak_models import IDS, ME, MODELS, OWNERS, THEM, Box, BoxQueries, Item, at
from plugin_modules import module
from psycopg2.extensions import AsIs
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Row
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn
from sqlmodel import Field, col
from starlette.testclient import TestClient

from todoservice import InvalidRequest, Owned, Scope, UnscopedStatement, create_app, param, uuid7
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


def _changed_uuid() -> UUID:
    changed = UUID(int=5)
    object.__setattr__(changed, "int", type("Number", (str,), {"__rmod__": lambda *_: f"' OR '{THEM}"})())
    return changed


def changed_uuids_are_rejected(get: Fixtures) -> None:
    """A UUID whose number is an object of a plugin's is bound to no parameter, and nothing is sent."""

    async def ask(scope: Scope) -> None:
        with pytest.raises(TypeError, match="which was changed after it was made: bind a new uuid"):
            await scope.all(sa.select(col(Box.name)).where(col(Box.id) == param("id")), id=_changed_uuid())

    get("as_me")(ask)


def values_that_write_sql_are_rejected(get: Fixtures) -> None:
    """Whatever answers psycopg2 for itself is rejected by the name of its parameter."""

    class Answers:
        def __conform__(self, _: object) -> AsIs:
            return AsIs("name")

    async def ask(scope: Scope) -> None:
        for value in (AsIs("name"), Answers()):
            with pytest.raises(TypeError, match="the parameter name"):
                await scope.all(sa.select(col(Box.name)).where(col(Box.name) == param("name")), name=value)

    get("as_me")(ask)


def scopes_of_changed_users_are_rejected(get: Fixtures) -> None:
    """No scope is made for such a user."""
    with pytest.raises(TypeError, match="the user's id is an instance of UUID, which was changed after it was made"):
        Scope(get("app").state.data, _changed_uuid())


def model_is_refused(make: Callable[[], Any], why: str) -> Callable[[Fixtures], None]:
    """Return what sees that a model stops the start."""

    def see(_: Fixtures) -> None:
        with pytest.raises(PluginError, match=why):
            create_app(plugins=[_feature(make())])

    return see


def numbered() -> Any:
    class Ticket(Owned, table=True):
        __tablename__ = "tickets"
        number: int = Field(sa_column=sa.Column(sa.Integer, sa.Identity(), nullable=False))

    return Ticket


def followed() -> Any:
    class Friend(Owned, table=True):
        __tablename__ = "friends"
        friend_id: UUID = Field(foreign_key="todoservice.users.id")

    return Friend


def measured() -> Any:
    class Nick(Owned, table=True):
        __tablename__ = "nicks"
        nick: str

    sa.Index("ix_nicks", Nick.nick, sa.func.length(sa.cast(Nick.user_id, sa.Text)), unique=True)
    return Nick


def excluded() -> Any:
    class Slot(Owned, table=True):
        __tablename__ = "slots"
        __table_args__ = (postgresql.ExcludeConstraint(("place", "="), ("user_id", "<>"), name="apart"),)
        place: str

    return Slot


def inherited() -> Any:
    class Special(Owned, table=True):
        __tablename__ = "specials"
        __table_args__ = {"postgresql_inherits": "todoservice.todos"}  # noqa: RUF012

    return Special


def shared_views_are_found(get: Fixtures) -> None:
    """A view that a shared model is named as is a finding, and no role may read it."""
    crowded = get("crowded")
    with crowded.owner() as connection:
        connection.exec_driver_sql("CREATE VIEW todoservice.shown AS SELECT * FROM todoservice.todos")
        owners = {**OWNERS, "shown": None}
        assert "relation" in {fault.code for fault in catalogue.verify(connection, owners)}
        security.apply(connection, owners)
        query = f"SELECT has_table_privilege('{crowded.app}', 'todoservice.shown', 'SELECT')"
        assert connection.exec_driver_sql(query).scalar() is False


def route_classes_are_guarded(get: Fixtures) -> None:
    """A route whose class has its own `handle` runs only after the user is resolved."""

    class Open(APIRoute):
        async def handle(self, scope: Any, receive: Any, send: Any) -> None:
            await Response("open")(scope, receive, send)

    router = APIRouter(route_class=Open)
    router.add_api_route("", lambda: None)
    app = create_app(get("settings"), plugins=[module("opened", todoservice_router=router)])
    with TestClient(app) as client:
        assert client.get("/api/v1/opened").json()["error_code"] == "MISSING_USER_CONTEXT"
        assert client.get("/api/v1/opened", headers={"X-User-ID": str(ME)}).text == "open"


def long_proofs_are_refused(get: Fixtures) -> None:
    """Before they are parsed, by the number of characters and tokens, and by depth."""
    audit: Audit = get("audit")
    for text in ("SELECT 1" + ", 1" * 3_000, "SELECT '" + "a" * 30_000 + "'", "SELECT " + "(" * 30 + "1" + ")" * 30):
        assert "has more than" in str(audit.verdict(text).fault)


def long_lists_are_refused(get: Fixtures) -> None:
    """A client that sends more items than a list may have is answered 422."""

    async def ask(scope: Scope) -> None:
        with pytest.raises(InvalidRequest):
            await scope.all(sa.select(col(Box.name)).where(col(Box.id).in_([at(1)] * 10_001)))

    get("as_me")(ask)


def accidents_are_not_kept(get: Fixtures) -> None:
    """A text that could not be read on a nearly full stack is proven on another."""
    audit: Audit = get("audit")
    text = f"SELECT name FROM todoservice.boxes WHERE user_id = %(me)s AND {'(' * 15}true{')' * 15}"

    def descend(left: int) -> None:
        if left:
            descend(left - 1)
        else:
            audit.verdict(text)

    with pytest.raises(UnscopedStatement, match="RecursionError"):
        descend(sys.getrecursionlimit() - 200)
    assert audit.verdict(text).fault is None


def statements() -> Statements:
    """Return the statements of the tests' feature and of todos."""
    from todoservice_todos.models import Todo

    made = Statements([Todo, *MODELS], sa.create_engine("postgresql+psycopg2://").dialect)
    made.declare("boxes", BoxQueries)
    return made
