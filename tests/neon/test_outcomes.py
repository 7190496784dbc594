"""What lies between the stages: pauses that are cancelled, rollbacks that are cut, texts that look like errors."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from api import TODOS, create, listed, problem
from compute import ADMIN, Compute
from databases import ask
from edge import Cut
from endpoint import Endpoint
from sqlalchemy import insert, select
from sqlmodel import col
from starlette.testclient import TestClient
from todoservice_todos.models import Todo

from todoservice import Scope, ServiceUnavailable

Start = Callable[..., TestClient]
Lines = Callable[[], list[str]]
Rows = Callable[[], list[str]]


def scope_of(client: TestClient, user: UUID) -> Scope:
    """Return a scope of the user's, as a handler has it."""
    app: Any = client.app
    return Scope(app.state.data, user)


def call(client: TestClient, work: Callable[[], Any]) -> Any:
    """Run an async function where the app runs."""
    assert client.portal is not None
    return client.portal.call(work)


@contextmanager
def changed(node: Compute, change: str, back: str) -> Iterator[None]:
    """Let the database be otherwise for the block."""
    ask(node.url(ADMIN), change)
    try:
        yield
    finally:
        ask(node.url(ADMIN), back)


def test_a_pause_that_is_cancelled(start: Start, endpoint: Endpoint, user: UUID) -> None:
    """Who waits for another try may be cancelled, and then keeps nobody from shutting down."""
    client = start()
    endpoint.shut()
    scope = scope_of(client, user)

    async def read() -> None:
        await scope.all(select(col(Todo.id)))

    assert client.portal is not None
    waiting = client.portal.start_task_soon(read)
    time.sleep(0.5)
    waiting.cancel()
    with pytest.raises(CancelledError):
        waiting.result()
    endpoint.open()
    assert listed(client) == []
    app: Any = client.app
    began = time.monotonic()
    client.portal.call(app.state.data.database.close)
    assert time.monotonic() - began < 1


def test_one_budget_for_all_of_a_request(start: Start, endpoint: Endpoint, user: UUID) -> None:
    """A handler that goes on after a failure has the time that was left, and not as much again."""
    budget = 2
    client = start(request_budget=budget)
    endpoint.shut()

    async def reads() -> list[float]:
        loop, scope = asyncio.get_running_loop(), scope_of(client, user)
        began, ended = loop.time(), []
        for _ in range(4):
            with pytest.raises(ServiceUnavailable):
                await scope.all(select(col(Todo.id)))
            ended.append(loop.time() - began)
        return ended

    for _ in range(20):
        *before, last = call(client, reads)
        if max(before) < budget:  # a try that the end of the budget cuts off leaves none
            break
    assert max(before) < budget
    assert last < budget + 0.5


@pytest.mark.parametrize("sent", [0, 3, None])
def test_a_rollback_that_is_cut(
    start: Start, endpoint: Endpoint, user: UUID, told: Lines, rows: Rows, sent: int | None
) -> None:
    """The block's own error is raised, nothing is kept, and the log has no traceback."""
    client = start()
    scope = scope_of(client, user)
    endpoint.cuts = [Cut("ROLLBACK", sent)]

    async def block() -> None:
        async with scope.transaction():
            await scope.one(insert(Todo).returning(Todo), title="No")
            raise LookupError

    with pytest.raises(LookupError):
        call(client, block)
    assert endpoint.cuts == []
    assert rows() == []
    assert listed(client) == []
    assert told() == []


def test_a_rollback_that_nobody_answers(start: Start, endpoint: Endpoint, user: UUID, told: Lines, rows: Rows) -> None:
    """It is waited for no longer than a statement is, and its connection is not used again."""
    client = start(statement_timeout=0.5, pool_size=1)
    scope = scope_of(client, user)

    async def block() -> None:
        async with scope.transaction():
            await scope.one(insert(Todo).returning(Todo), title="No")
            endpoint.stalled = True
            raise LookupError

    began = time.monotonic()
    try:
        with pytest.raises(LookupError):
            call(client, block)
    finally:
        endpoint.stalled = False
    assert time.monotonic() - began < 5
    assert listed(client) == []
    assert rows() == []
    assert told() == []


@pytest.mark.parametrize("title", ["query_wait_timeout", "server_login_retry", "too many certificates do not exist"])
def test_a_text_that_reads_like_an_error(start: Start, node: Compute, user: UUID, told: Lines, title: str) -> None:
    """What a user wrote stands in PostgreSQL's messages, and is not taken for its words."""
    client = start()
    unique = f"CREATE UNIQUE INDEX one_title ON todoservice.todos (title) WHERE user_id = '{user}'"
    with changed(node, unique, "DROP INDEX todoservice.one_title"):
        create(client, title)
        problem(client.post(TODOS, json={"title": title}), 409, "CONFLICT")
    assert told() == []


def test_a_database_that_is_read_only(start: Start, node: Compute, login: str, told: Lines) -> None:
    """As a read replica is: reads are served, changes are 503 at once, and the log says whose URL is at fault."""
    with changed(node, f"ALTER ROLE {login} SET default_transaction_read_only = on", f"ALTER ROLE {login} RESET ALL"):
        client = start(pooled=False)
        for _ in range(3):
            detail = problem(client.post(TODOS, json={"title": "No"}), 503, "SERVICE_UNAVAILABLE")["detail"]
            assert detail == "The database takes no changes at the moment: try again later."
        assert listed(client) == []
    (line,) = told()
    assert line == (
        "The database takes no changes: cannot execute INSERT in a read-only transaction: see NEON_DATABASE_URL"
    )


FULL = """
CREATE FUNCTION todoservice.is_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION
        'could not extend file because project size limit (512 MB) has been exceeded' USING ERRCODE = '53100';
END $$;
CREATE TRIGGER is_full BEFORE INSERT ON todoservice.todos EXECUTE FUNCTION todoservice.is_full()
"""


def test_a_database_that_is_full(start: Start, node: Compute, told: Lines, rows: Rows) -> None:
    """It takes no more until someone makes room: changes are 503 at once, and the log says why, once."""
    client = start()
    with changed(node, FULL, "DROP FUNCTION todoservice.is_full CASCADE"):
        began = time.monotonic()
        for _ in range(3):
            detail = problem(client.post(TODOS, json={"title": "No"}), 503, "SERVICE_UNAVAILABLE")["detail"]
            assert detail == "The database takes no changes at the moment: try again later."
        assert time.monotonic() - began < 2
        assert client.get("/readyz").status_code == 200
    (line,) = told()
    assert line.startswith("The database takes no changes: could not extend file because project size limit")
    create(client, "Yes")
    assert rows() == ["Yes"]


def test_an_outage_that_comes_and_goes(start: Start, endpoint: Endpoint, told: Lines) -> None:
    """The log tells of it once a second at most, however many requests it meets."""
    client = start()
    create(client)
    began = time.monotonic()
    for _ in range(15):
        endpoint.cuts = [Cut("SELECT")]
        listed(client)
    assert endpoint.cuts == []
    assert 1 <= len(told()) <= 1 + (time.monotonic() - began)


def test_transactions_over_connections_that_died_in_silence(
    start: Start, endpoint: Endpoint, user: UUID, told: Lines
) -> None:
    """Taking one from the pool is no sign of life: it is one outage, however many of them there are."""
    client = start(statement_timeout=0.5, connect_timeout=1, request_budget=1, pool_size=3)
    scope = scope_of(client, user)

    async def block() -> None:
        async with scope.transaction():
            await scope.all(select(col(Todo.id)))
            await asyncio.sleep(0.1)

    async def some_at_a_time(number: int) -> list[Any]:
        return await asyncio.gather(*(block() for _ in range(number)), return_exceptions=True)

    assert call(client, partial(some_at_a_time, 3)) == [None] * 3
    endpoint.stalled = True
    try:
        for number in (1, 2):
            for failure in call(client, partial(some_at_a_time, number)):
                assert isinstance(failure, ServiceUnavailable)
    finally:
        endpoint.stalled = False
    (line,) = told()
    assert line.startswith("The database is out of reach: no answer in time (")
    call(client, block)
