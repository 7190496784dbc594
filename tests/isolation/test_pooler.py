"""Users take turns on one connection, behind PgBouncer in transaction mode or on the pool's own, and nothing sticks."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from databases import PASSWORD, ask, database, login_url, migrate
from fastapi import FastAPI
from pooler import Pooler, pooler
from sqlalchemy import func, insert, make_url, select, update
from sqlmodel import col
from starlette.testclient import TestClient
from todoservice_todos.models import Todo
from todoservice_todos.queries import TodoQueries

from todoservice import Scope, Settings, create_app, uuid7
from todoservice.problems import Conflict, ServiceUnavailable

TODOS = "/api/v1/todos"
SET = (
    "SELECT current_user, coalesce(current_setting('todoservice.user_id', true), ''), current_setting('role'),"
    " current_setting('statement_timeout')"
)
EITHER = pytest.mark.parametrize("through", ["pooler", "direct"], indirect=True)


@pytest.fixture(scope="module")
def owner_url(server_url: str, template: str) -> Iterator[str]:
    """Return the owner's URL of a database that these tests have to themselves."""
    with database(server_url, str(make_url(template).database)) as url:
        migrate(url)
        yield url


@pytest.fixture(scope="module")
def pooled(owner_url: str) -> Iterator[tuple[Pooler, str]]:
    """Return a PgBouncer with one connection to the server, and the service's URL through it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    login = login_url(owner_url)
    owner = make_url(owner_url)
    passwords = {str(make_url(login).username): PASSWORD, str(owner.username): str(owner.password)}
    with pooler(owner_url, passwords, port) as made:
        yield made, made.url(login)


@pytest.fixture
def through(request: pytest.FixtureRequest, owner_url: str, pooled: tuple[Pooler, str]) -> FastAPI:
    """Return the app, which reaches its database through the pooler, or directly over one connection of its own."""
    where: dict[str, Any] = {"neon_database_url": pooled[1]}
    if getattr(request, "param", "pooler") == "direct":
        where = {"neon_database_url": login_url(owner_url), "pool_size": 1}
    return create_app(Settings.load({**where, "require_isolation": True, "allowed_functions": "pg_sleep"}))


@pytest.fixture
def nothing_set(pooled: tuple[Pooler, str]) -> Callable[[], None]:
    """Return what sees that the next client of the one connection finds nothing of the last one's."""

    def see() -> None:
        with closing(psycopg2.connect(pooled[1])) as connection, connection, connection.cursor() as cursor:
            cursor.execute(SET)
            assert cursor.fetchall() == [(make_url(pooled[1]).username, "", "none", "0")]
            cursor.execute("SELECT count(*) FROM todoservice.todos")
            assert cursor.fetchone() == (0,)

    return see


def run(app: FastAPI, work: Callable[[Callable[[UUID], Scope]], Awaitable[None]]) -> None:
    """Do something with scopes of the running app."""

    async def running() -> None:
        async with app.router.lifespan_context(app):
            await work(lambda user: Scope(app.state.data, user))

    asyncio.run(running())


def test_there_is_one_connection_to_the_server(through: FastAPI, pooled: tuple[Pooler, str]) -> None:
    """Which all clients share."""

    def backend() -> int:
        with closing(psycopg2.connect(pooled[1])) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return int(cursor.fetchone()[0])  # type: ignore[index]

    assert len({backend() for _ in range(3)}) == 1


@EITHER
def test_two_users_take_turns_in_every_operation(through: FastAPI, nothing_set: Callable[[], None]) -> None:
    """Each sees and changes their own todos only."""
    users = [uuid7(), uuid7()]
    with TestClient(through) as client:
        made: dict[UUID, list[str]] = {}
        for user in users * 3:
            answer = client.post(TODOS, json={"title": str(user)}, headers={"X-User-ID": str(user)})
            assert answer.status_code == 201
            made.setdefault(user, []).append(answer.json()["id"])
            nothing_set()
        for mine, theirs in (users, users[::-1]) * 2:
            headers = {"X-User-ID": str(mine)}
            listed = client.get(TODOS, headers=headers).json()["items"]
            assert {todo["title"] for todo in listed} == {str(mine)}
            for id in made[theirs]:
                assert client.get(f"{TODOS}/{id}", headers=headers).status_code == 404
                assert client.patch(f"{TODOS}/{id}", json={"title": "x"}, headers=headers).status_code == 404
                assert client.delete(f"{TODOS}/{id}", headers=headers).status_code == 404
            assert client.get(f"{TODOS}/{made[mine][0]}", headers=headers).json()["title"] == str(mine)
            nothing_set()


@EITHER
def test_users_at_the_same_time_see_their_own(through: FastAPI, nothing_set: Callable[[], None]) -> None:
    """Twenty of them, whose statements PgBouncer puts on one connection in any order (scenario 15)."""

    async def work(scope_of: Callable[[UUID], Scope]) -> None:
        async def one(user: UUID) -> None:
            scope = scope_of(user)
            for number in range(5):
                await scope.one(TodoQueries.create_todo, title=f"{user} {number}")
                rows = await scope.all(select(col(Todo.title), col(Todo.user_id)))
                assert {(row.title.split()[0], row.user_id) for row in rows} == {(str(user), user)}
                assert len(rows) == number + 1

        await asyncio.gather(*(one(uuid7()) for _ in range(20)))

    run(through, work)
    nothing_set()


@EITHER
def test_transactions_hold_the_connection_for_their_user(through: FastAPI, nothing_set: Callable[[], None]) -> None:
    """From the first statement to the commit; who waits is another user."""

    async def work(scope_of: Callable[[UUID], Scope]) -> None:
        async def one(user: UUID) -> None:
            scope = scope_of(user)
            async with scope.transaction():
                await scope.one(TodoQueries.create_todo, title="first")
                await asyncio.sleep(0.02)
                await scope.execute(update(Todo).values(title="second"))
                assert (await scope.all(select(col(Todo.title)))) == [("second",)]
            assert (await scope.all(select(col(Todo.title)))) == [("second",)]

        await asyncio.gather(*(one(uuid7()) for _ in range(6)))

    run(through, work)
    nothing_set()


async def conflict(scope: Scope) -> None:
    """Meet a key of one's own."""
    id = uuid7()
    await scope.one(TodoQueries.create_todo, id=id, title="x")
    with pytest.raises(Conflict):
        await scope.one(TodoQueries.create_todo, id=id, title="x")


async def roll_back(scope: Scope) -> None:
    """Raise in the middle of a transaction."""
    with pytest.raises(KeyError):
        async with scope.transaction():
            await scope.one(TodoQueries.create_todo, title="x")
            raise KeyError
    assert await scope.all(select(col(Todo.id))) == []


async def fail_within(scope: Scope) -> None:
    """Have a statement of a transaction fail."""
    with pytest.raises(Conflict):
        async with scope.transaction():
            await conflict_at_once(scope)
    assert await scope.all(select(col(Todo.id))) == []


async def conflict_at_once(scope: Scope) -> None:
    """Insert the same key twice."""
    id = uuid7()
    await scope.one(TodoQueries.create_todo, id=id, title="x")
    await scope.one(TodoQueries.create_todo, id=id, title="x")


async def cancel(scope: Scope) -> None:
    """Be cancelled while a statement runs."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await scope.all(select(func.pg_sleep(0.5), col(Todo.id)).select_from(Todo))
            await scope.all(select(func.pg_sleep(5)))


async def cancel_a_transaction(scope: Scope) -> None:
    """Be cancelled between two statements of a transaction."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), scope.transaction():
            await scope.one(TodoQueries.create_todo, title="x")
            await asyncio.sleep(5)
    assert await scope.all(select(col(Todo.id))) == []


@EITHER
@pytest.mark.parametrize("happens", [conflict, roll_back, fail_within, cancel, cancel_a_transaction])
def test_nothing_sticks_whatever_happens(
    through: FastAPI, nothing_set: Callable[[], None], happens: Callable[[Scope], Awaitable[None]]
) -> None:
    """The next user of the connection finds their own rows only, and the next client nothing set (scenario 15)."""

    async def work(scope_of: Callable[[UUID], Scope]) -> None:
        for _ in range(2):
            await happens(scope_of(uuid7()))
            user = uuid7()
            await scope_of(user).execute(insert(Todo).values(title="mine"))
            assert await scope_of(user).all(select(col(Todo.title))) == [("mine",)]
            await asyncio.to_thread(nothing_set)

    run(through, work)


def test_a_statement_that_takes_too_long_is_ended_and_its_limit_does_not_stay(
    pooled: tuple[Pooler, str], nothing_set: Callable[[], None]
) -> None:
    """The limit is the message's own."""
    app = create_app(
        Settings.load({"neon_database_url": pooled[1], "statement_timeout": 0.2, "allowed_functions": "pg_sleep"})
    )

    async def work(scope_of: Callable[[UUID], Scope]) -> None:
        with pytest.raises(ServiceUnavailable):
            await scope_of(uuid7()).all(select(func.pg_sleep(5)))

    run(app, work)
    nothing_set()


def test_degraded_the_role_does_not_stay_either(
    owner_url: str, pooled: tuple[Pooler, str], nothing_set: Callable[[], None]
) -> None:
    """With the owner's URL each message takes the service's role, and leaves it with the message."""
    app = create_app(Settings.load({"neon_database_url": pooled[0].url(owner_url)}))
    mine, theirs = uuid7(), uuid7()

    async def work(scope_of: Callable[[UUID], Scope]) -> None:
        for user in (mine, theirs) * 2:
            await scope_of(user).execute(insert(Todo).values(title=str(user)))
        assert {row.title for row in await scope_of(mine).all(select(col(Todo.title)))} == {str(mine)}

    run(app, work)
    with closing(psycopg2.connect(pooled[0].url(owner_url))) as connection, connection.cursor() as cursor:
        cursor.execute(SET)
        assert cursor.fetchall() == [(make_url(owner_url).username, "", "none", "0")]
    nothing_set()


def test_the_service_outlives_the_pooler(through: FastAPI, pooled: tuple[Pooler, str]) -> None:
    """Killed and started again, it serves the same users their own rows."""
    user = uuid7()
    with TestClient(through) as client:
        headers = {"X-User-ID": str(user)}
        client.post(TODOS, json={"title": "before"}, headers=headers)
        pooled[0].kill()
        pooled[0].start()
        answers: list[Any] = [client.get(TODOS, headers=headers) for _ in range(2)]
        assert [todo["title"] for todo in answers[-1].json()["items"]] == ["before"]


def test_the_migrated_tables_are_the_same_through_it(owner_url: str, pooled: tuple[Pooler, str]) -> None:
    """What the service's role may not do, it may not do through the pooler."""
    assert ask(pooled[1], "SELECT count(*) FROM todoservice.todos") == [(0,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(pooled[1], "TRUNCATE todoservice.todos")
