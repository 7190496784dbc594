"""One user's door to the database: what a handler does with its scope."""

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from http import HTTPStatus
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import todoservice_todos
from fastapi import APIRouter, FastAPI, Request
from playing import Play, playing
from plugin_modules import module
from psycopg2.extensions import AsIs
from pydantic import BaseModel
from sqlalchemy import Row
from sqlalchemy.util.concurrency import greenlet_spawn
from sqlmodel import col
from starlette.testclient import TestClient
from todoservice_todos.models import Todo
from todoservice_todos.queries import TodoQueries

from todoservice import (
    Conflict,
    CurrentScope,
    InvalidRequest,
    NotFound,
    Queries,
    Scope,
    Settings,
    UnscopedStatement,
    create_app,
    param,
    uuid7,
)
from todoservice.database.client import NotOpen
from todoservice.database.lease import Lease
from todoservice.pagination import PageRequest
from todoservice.problems import ServiceUnavailable
from todoservice.texts import compiled_text


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """Return the app, whose statements may take their time."""
    return create_app(settings.model_copy(update={"allowed_functions": "pg_sleep"}))


def test_a_row_has_the_columns_as_attributes(play: Play) -> None:
    """Plain values: no entity, no lazy loading, nothing to refresh."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        made = await mine.one(TodoQueries.create_todo, title="Buy milk")
        read = await mine.one(TodoQueries.retrieve_todo, id=made.id)
        assert (read.title, read.description, read.is_completed, read.user_id) == (
            "Buy milk",
            None,
            False,
            mine.user_id,
        )
        assert read == made
        assert read.created_at.tzinfo is not None
        with pytest.raises(AttributeError):
            read.title = "Buy wine"

    play(scenario)


def test_a_row_of_another_user_is_not_there(play: Play) -> None:
    """For reading, changing, deleting, counting and listing alike."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        made = await theirs.one(TodoQueries.create_todo, title="Theirs")
        for statement in (TodoQueries.retrieve_todo, TodoQueries.update_todo, TodoQueries.delete_todo):
            with pytest.raises(NotFound):
                await mine.one(statement, id=made.id)
        assert await mine.first(TodoQueries.retrieve_todo, id=made.id) is None
        assert await mine.all(sa.select(Todo)) == []
        assert (await mine.one(sa.select(sa.func.count()).select_from(Todo)))[0] == 0
        assert await mine.execute(sa.delete(Todo)) == 0
        assert await theirs.one(TodoQueries.retrieve_todo, id=made.id) == made

    play(scenario)


def test_one_raises_where_there_is_nothing(play: Play) -> None:
    """A 404 for the client, in the same words as for another user's row."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        with pytest.raises(NotFound, match="There is nothing here under that id"):
            await mine.one(TodoQueries.retrieve_todo, id=uuid7())
        with pytest.raises(NotFound, match="There is nothing here under that id"):
            await mine.one_json(TodoQueries.retrieve_todo, id=uuid7())

    play(scenario)


def test_execute_counts_the_rows_it_changed(play: Play) -> None:
    """As the database counts them."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        for title in "abc":
            await mine.execute(TodoQueries.create_todo, title=title)
        assert await mine.execute(sa.update(Todo).where(col(Todo.title) != "b").values(is_completed=True)) == 2
        assert len(await mine.all(sa.select(Todo).where(col(Todo.is_completed)))) == 2

    play(scenario)


def test_json_is_made_by_the_database(play: Play) -> None:
    """Compact, `id` first and `user_id` last, and the same for one row as for many."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        one = await mine.one_json(TodoQueries.create_todo, title='"Grüße"\n\\')
        todo = json.loads(bytes(one.body))
        assert list(todo) == ["id", "title", "description", "is_completed", "created_at", "user_id"]
        assert todo["title"] == '"Grüße"\n\\'
        every = await mine.all_json(sa.select(Todo))
        assert bytes(every.body) == b"[" + bytes(one.body) + b"]"
        assert every.media_type == "application/json"

    play(scenario)


def test_json_of_nothing_is_an_empty_array(play: Play) -> None:
    """Not null, as json_agg would say."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        assert (await mine.all_json(sa.select(Todo))).body == b"[]"

    play(scenario)


def test_a_transaction_is_kept_at_its_end(play: Play) -> None:
    """And its statements see what those before them did."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        async with mine.transaction():
            made = await mine.one(TodoQueries.create_todo, title="a")
            await mine.one(TodoQueries.update_todo, id=made.id, title="b")
        assert (await mine.one(TodoQueries.retrieve_todo, id=made.id)).title == "b"

    play(scenario)


def test_a_transaction_that_raises_is_undone(play: Play) -> None:
    """Wholly, and its connection serves the next user rightly."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        made = await theirs.one(TodoQueries.create_todo, title="theirs")
        with pytest.raises(RuntimeError, match="oops"):
            async with mine.transaction():
                await mine.one(TodoQueries.create_todo, title="a")
                raise RuntimeError("oops")
        assert await mine.all(sa.select(Todo)) == []
        assert await theirs.all(sa.select(Todo)) == [made]

    play(scenario)


def test_a_statement_that_fails_undoes_its_transaction(play: Play) -> None:
    """What came before it in the block too."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        with pytest.raises(Conflict):
            async with mine.transaction():
                made = await mine.one(TodoQueries.create_todo, title="a")
                await mine.one(TodoQueries.create_todo, id=made.id, title="b")
        assert await mine.all(sa.select(Todo)) == []

    play(scenario)


def test_a_transaction_confines_each_statement(play: Play) -> None:
    """As outside of one."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        made = await theirs.one(TodoQueries.create_todo, title="theirs")
        async with mine.transaction():
            assert await mine.first(TodoQueries.retrieve_todo, id=made.id) is None
            assert await mine.execute(sa.delete(Todo)) == 0

    play(scenario)


def test_statements_of_a_transaction_wait_for_each_other(play: Play) -> None:
    """However the block runs them: a connection has one at a time."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        async with mine.transaction():
            await asyncio.gather(*(mine.one(TodoQueries.create_todo, title=title) for title in "abc"))
        assert {row.title for row in await mine.all(sa.select(Todo))} == set("abc")

    play(scenario)


def test_another_task_of_the_scope_is_in_no_transaction(play: Play) -> None:
    """What it was told is kept, even where the transaction beside it is undone."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        inside, outside = asyncio.Event(), asyncio.Event()
        await mine.one(TodoQueries.create_todo, title="first")

        async def undone() -> None:
            async with mine.transaction():
                await mine.one(TodoQueries.create_todo, title="undone")
                inside.set()
                await outside.wait()
                raise RuntimeError

        async def kept() -> None:
            await inside.wait()
            await mine.one(TodoQueries.create_todo, title="kept")
            outside.set()

        await asyncio.wait_for(asyncio.gather(undone(), kept(), return_exceptions=True), 20)
        assert {row.title for row in await mine.all(sa.select(Todo))} == {"first", "kept"}

    play(scenario)


def test_a_task_that_outlives_its_transaction_is_refused(play: Play) -> None:
    """The connection may be another's by then, who loses nothing of his."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        async with mine.transaction():
            await mine.execute(TodoQueries.create_todo, title="mine")
            late = [
                asyncio.create_task(mine.one_json(TodoQueries.create_todo, title="late")),
                asyncio.create_task(mine.all(sa.select(Todo))),
            ]
        async with theirs.transaction():
            await theirs.execute(TodoQueries.create_todo, title="theirs")
            for task in late:
                with pytest.raises(RuntimeError, match=r"the transaction is over: .* is to use another scope"):
                    await task
        assert [row.title for row in await mine.all(sa.select(Todo))] == ["mine"]
        assert [row.title for row in await theirs.all(sa.select(Todo))] == ["theirs"]

    play(scenario)


def test_a_task_under_way_as_its_transaction_ends(play: Play) -> None:
    """Is waited for before what was done is kept, and gives its connection up where it is undone."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        async with mine.transaction():
            await mine.execute(TodoQueries.create_todo, title="mine")
            late = asyncio.create_task(mine.all(sa.select(sa.func.pg_sleep(0.2))))
            await asyncio.sleep(0.1)
        assert len(await late) == 1
        with suppress(ZeroDivisionError):
            async with mine.transaction():
                await mine.execute(TodoQueries.create_todo, title="undone")
                late = asyncio.create_task(mine.all(sa.select(sa.func.pg_sleep(30))))
                await asyncio.sleep(0.1)
                raise ZeroDivisionError
        async with theirs.transaction():
            await theirs.execute(TodoQueries.create_todo, title="theirs")
            with pytest.raises(ServiceUnavailable):
                await late
        assert [row.title for row in await mine.all(sa.select(Todo))] == ["mine"]
        assert [row.title for row in await theirs.all(sa.select(Todo))] == ["theirs"]

    play(scenario)


def test_transactions_do_not_nest(play: Play) -> None:
    """The message says what to do instead."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        with pytest.raises(RuntimeError, match="in a transaction already: use one block"):
            async with mine.transaction(), mine.transaction():
                raise AssertionError

    play(scenario)


def test_a_cancelled_transaction_is_undone(play: Play) -> None:
    """Its connection is not left open in the pool."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        async def cancelled() -> None:
            async with mine.transaction():
                await mine.one(TodoQueries.create_todo, title="a")
                await mine.all(sa.select(sa.func.pg_sleep(30)))

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cancelled(), 0.5)
        for _ in range(12):
            assert await theirs.all(sa.select(Todo)) == []
        assert await mine.all(sa.select(Todo)) == []

    play(scenario)


def test_an_id_of_another_users_row_is_free(play: Play) -> None:
    """The owner is part of the key, so a collision cannot happen and nothing can be learnt from one."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        made = await theirs.one(TodoQueries.create_todo, title="theirs")
        assert (await mine.one(TodoQueries.create_todo, id=made.id, title="mine")).title == "mine"
        with pytest.raises(Conflict):
            await mine.one(TodoQueries.create_todo, id=made.id, title="again")

    play(scenario)


@pytest.mark.parametrize("title", ["a\0b", "\ud800"])
def test_a_text_that_cannot_be_stored_is_the_clients_fault(play: Play, title: str) -> None:
    """Also where a feature's own schema let it through."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        with pytest.raises(InvalidRequest):
            await mine.one(TodoQueries.create_todo, title=title)

    play(scenario)


@pytest.mark.parametrize("title", ["", "x" * 256])
def test_limits_are_the_databases_too(play: Play, title: str) -> None:
    """A CHECK constraint stands behind the schema."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        with pytest.raises(InvalidRequest):
            await mine.one(TodoQueries.create_todo, title=title)

    play(scenario)


def test_a_runaway_statement_is_ended(app: FastAPI, user: UUID) -> None:
    """By the time limit that travels with it; the client reads 503."""
    object.__setattr__(app.state.data, "statement_timeout", 0.2)

    async def main() -> None:
        async with app.router.lifespan_context(app):
            with pytest.raises(ServiceUnavailable, match="The database took too long to answer"):
                await Scope(app.state.data, user).all(sa.select(sa.func.pg_sleep(30)))

    asyncio.run(main())


def test_a_server_that_hangs_is_given_up(app: FastAPI, user: UUID) -> None:
    """It ends no statement itself, so the service does; and asks another connection next."""
    app.state.data.database._statement_limit = 0.5
    object.__setattr__(app.state.data, "statement_timeout", 60)

    async def main() -> None:
        async with app.router.lifespan_context(app):
            scope = Scope(app.state.data, user)
            with pytest.raises(ServiceUnavailable, match="The database took too long to answer"):
                await scope.all(sa.select(sa.func.pg_sleep(15)))
            assert await scope.all(sa.select(Todo)) == []

    asyncio.run(main())


def test_every_statement_is_audited(play: Play, app: FastAPI) -> None:
    """Raw cursors of the app's own connections too: by the guard that stands where all of them pass."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        stolen = "SELECT title FROM todoservice.todos WHERE user_id = %(me)s"

        async def steal(lease: Lease) -> None:
            await lease.ask(stolen, {"me": theirs.user_id})

        async def steal_by_cursor(lease: Lease) -> None:
            cursor = lease.connection.connection.cursor()
            await greenlet_spawn(cursor.execute, stolen, {"me": theirs.user_id})

        for way in (steal, steal_by_cursor):
            with pytest.raises(UnscopedStatement, match="another value than the scope's user in its parameter me"):
                await app.state.data.database.run("", way, mine._guard)
        with pytest.raises(UnscopedStatement, match="outside of a scope"):
            await greenlet_spawn(_count, app.state.data.database.pool.engine.sync_engine)

    play(scenario)


def _count(engine: sa.Engine) -> None:
    with engine.connect(), engine.connect() as fresh:  # the second is one that no scope has had
        fresh.exec_driver_sql("SELECT count(*) FROM todoservice.todos")


def test_a_statement_that_cannot_be_confined_is_refused(play: Play) -> None:
    """Before it reaches the database."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        with pytest.raises(UnscopedStatement, match=r"reaches todoservice\.todos without its user"):
            await mine.all(sa.text("SELECT * FROM todoservice.todos"))

    play(scenario)


def test_many_statements_at_once_answer_each_its_own(play: Play) -> None:
    """Users alternate over the pool's connections, and nothing sticks to one."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        await mine.one(TodoQueries.create_todo, title="mine")
        await theirs.one(TodoQueries.create_todo, title="theirs")
        every = await asyncio.gather(*(scope.one(sa.select(Todo)) for scope in (mine, theirs) * 50))
        assert [row.title for row in every] == ["mine", "theirs"] * 50

    play(scenario)


def test_without_the_lifespan_the_scope_says_so(app: FastAPI, user: UUID) -> None:
    """In one line, with what to do."""
    with pytest.raises(NotOpen) as refused:
        asyncio.run(Scope(app.state.data, user).all(sa.select(Todo)))
    assert str(refused.value) == (
        "the database is not open on this event loop: run the app's lifespan first "
        "(a server does; in a test, `with TestClient(app):`)"
    )


def test_rows_fit_a_response_model(settings: Settings, user: UUID) -> None:
    """A feature that shapes its own answers returns rows, and FastAPI reads their attributes."""

    class Title(BaseModel):
        title: str

    router = APIRouter()

    @router.get("", response_model=list[Title])
    async def titles(scope: CurrentScope) -> Sequence[Row[Any]]:
        return await scope.all(sa.select(Todo))

    app = create_app(settings, plugins=[todoservice_todos, module("titles", todoservice_router=router)])
    with TestClient(app, headers={"X-User-ID": str(user)}) as client:
        client.post("/api/v1/todos", json={"title": "a"})
        assert client.get("/api/v1/titles").json() == [{"title": "a"}]


Refusal = Callable[..., str]


@pytest.fixture
def refusal(settings: Settings, user: UUID, caplog: pytest.LogCaptureFixture) -> Refusal:
    """Return what asks a plugin `titles` that runs the query, and returns the error in the log."""

    def ask(query: Any, queries: Any = None, **given: Any) -> str:
        with TestClient(_titles(settings, query, queries, given), headers={"X-User-ID": str(user)}) as client:
            assert client.get("/api/v1/titles").status_code == 500
        errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
        return str(errors[-1])

    return ask


def _titles(settings: Settings, query: Any, queries: Any, given: dict[str, Any]) -> FastAPI:
    router = APIRouter()

    @router.get("")
    async def titles(scope: CurrentScope) -> int:
        return await scope.execute(query, **given)

    titled = module("titles", todoservice_router=router, todoservice_queries=queries)
    return create_app(settings, plugins=[todoservice_todos, titled])


def test_a_refusal_names_the_plugin_whose_route_runs(refusal: Refusal) -> None:
    """With its distribution, the table, what to write, and the statement, where it was built in the handler."""
    assert refusal(sa.text("SELECT id FROM todoservice.todos")) == (
        "titles (module titles): a statement built in a handler: the statement reaches todoservice.todos without its "
        "user: add todos.user_id = :me to the WHERE of that SELECT, UPDATE or DELETE, or to the ON of its join, as a "
        "condition of its own beside the rest, and parentheses around an OR. It is: SELECT id FROM todoservice.todos"
    )


def test_a_refusal_names_the_declared_statement(refusal: Refusal) -> None:
    """Where it is refused as it is sent: for a value."""

    class TitleQueries(Queries):
        titled = sa.select(Todo).where(col(Todo.title) == param("title"))

    message = refusal(TitleQueries.titled, TitleQueries, title=AsIs("title"))
    assert message == (
        "titles (module titles): titles.titled: the parameter title is an instance of AsIs, which can write its own "
        "SQL: write SQL in the statement, and bind values only"
    )


def test_a_refusal_in_a_transaction_names_the_statement(play: Play) -> None:
    """As outside of one."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        with pytest.raises(TypeError, match=r"^todos\.retrieve_todo: the parameter id is an instance of AsIs"):
            async with mine.transaction():
                await mine.one(TodoQueries.retrieve_todo, id=AsIs("id"))

    play(scenario)


def test_no_request_meets_a_statement_that_was_not_proven_at_start(
    app: FastAPI, user: UUID, other_user: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever way a declared statement is asked, and answered."""
    late: list[str] = []
    monkeypatch.setattr(app.state.data.statements.audit, "prove", late.append)
    retrieve, list_ = TodoQueries.retrieve_todo, TodoQueries.list_todos

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        made = await mine.one(TodoQueries.create_todo, title="a")
        await mine.one_json(TodoQueries.create_todo, title="b")
        await mine.all_json(TodoQueries.create_todo, [{"title": "c"}, {"title": "d"}])
        assert await mine.execute(TodoQueries.create_todo, [{"title": "e"}]) == 1
        page = PageRequest(Request({"type": "http", "path": "/", "query_string": b"", "headers": []}))
        assert b'"count":5' in bytes((await mine.page_json(list_, page)).body)
        assert b'"count":5' in bytes((await mine.page_json(list_, page, of=list_)).body)
        for ask in (mine.first, mine.execute, mine.all_json, mine.one_json):
            assert await ask(retrieve, id=made.id)
        await mine.one_json(TodoQueries.update_todo, id=made.id, title="b")
        assert await mine.execute(TodoQueries.delete_todo, id=made.id) == 1

    playing(app, user, other_user)(scenario)
    read_back = [prepared.done for prepared in app.state.data.statements.declared if prepared.done]
    for prepared in read_back:
        app.state.data.statements.audit.verdict(compiled_text(prepared.compiled))
    assert (len(read_back), late) == (2, [])


class Word(StrEnum):
    MILK = "Buy milk"


class Liar(str):
    """Is one text, and says that it is other SQL."""

    __slots__ = ()

    def __str__(self) -> str:
        return "other"

    def __conform__(self, _protocol: object) -> object:
        return AsIs("user_id::text")


@pytest.mark.parametrize("title", [Word.MILK, Liar("Buy milk")])
def test_a_subclass_of_a_text_is_bound_as_the_text_that_it_is(play: Play, title: str) -> None:
    """An enum's member by its value, as parameter, in a statement built in a handler, and in a list."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        made = await mine.one(TodoQueries.create_todo, title=title)
        assert made.title == "Buy milk"
        assert await mine.execute(TodoQueries.create_todo, [{"title": title}]) == 1
        assert len(await mine.all(sa.select(Todo).where(col(Todo.title) == title))) == 2
        assert len(await mine.all(sa.select(Todo).where(col(Todo.title).in_([title])))) == 2
        assert await mine.first(sa.text("SELECT :n + 1"), n=HTTPStatus.OK) == (201,)

    play(scenario)


class Kind(Enum):
    """What a todo is about."""

    MILK = "Buy milk"
    WINE = "Buy wine"


KIND: Any = sa.Enum(Kind, native_enum=False, values_callable=lambda kinds: [kind.value for kind in kinds])


COUNT = itertools.count()


class JsonQueries(Queries):
    """Queries with more than plain values: a list of unknown length, an enumeration, what is written in, a callable."""

    some = sa.select(Todo).where(col(Todo.title).in_(param("titles")))
    any = sa.select(Todo).where(col(Todo.title) == sa.any_(param("titles", sa.ARRAY(sa.String()))))
    kind = sa.select(Todo).where(
        col(Todo.title)
        == param("kind", sa.Enum(Kind, native_enum=False, values_callable=lambda kinds: [kind.value for kind in kinds]))
    )
    undescribed = sa.select(Todo).where(sa.func.coalesce(col(Todo.description), "none") + "!" == "none!")
    nth: Any = sa.select(sa.bindparam(None, callable_=lambda: next(COUNT)).label("n")).where(
        col(Todo.title) == "Buy milk"
    )
    after = sa.select(Todo).where(col(Todo.created_at) > param("when", sa.DateTime(timezone=True)))


@pytest.fixture
def declaring(settings: Settings) -> FastAPI:
    """Return an app with these queries declared."""
    listing = module("listing", todoservice_queries=lambda: JsonQueries)
    return create_app(settings, plugins=[todoservice_todos, listing])


def test_json_of_declared_queries(declaring: FastAPI, user: UUID, other_user: UUID) -> None:
    """What is declared answers as JSON what it answers as rows, whatever its parameters are."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        for title in ("Buy milk", "Buy wine", "Buy both"):
            await mine.one(TodoQueries.create_todo, title=title)
        asked: list[tuple[Any, dict[str, Any], int]] = [
            (JsonQueries.some, {"titles": ["Buy milk"]}, 1),
            (JsonQueries.some, {"titles": ["Buy milk", "Buy wine", "else"]}, 2),
            (JsonQueries.some, {"titles": []}, 0),
            (JsonQueries.any, {"titles": ["Buy milk", "Buy both"]}, 2),
            (JsonQueries.kind, {"kind": Kind.WINE}, 1),
            (JsonQueries.undescribed, {}, 3),
            (JsonQueries.after, {"when": datetime.now(UTC) - timedelta(hours=1)}, 3),
        ]
        for query, params, count in asked:
            rows = await mine.all(query, **params)
            listed = json.loads(bytes((await mine.all_json(query, **params)).body))
            assert [item["id"] for item in listed] == [str(row.id) for row in rows]
            assert len(rows) == count
        calls = [json.loads(bytes((await mine.one_json(JsonQueries.nth)).body))["n"] for _ in range(3)]
        assert len(set(calls)) == 3

    playing(declaring, user, other_user)(scenario)
