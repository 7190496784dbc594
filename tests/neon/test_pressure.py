"""More asked for than there are connections: some wait, some are told to come again, and nothing stalls."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from api import TODOS, create, listed, problem
from compute import Compute, free_port
from databases import PASSWORD
from endpoint import Endpoint
from pooler import pooler
from sqlalchemy import update
from sqlmodel import col
from starlette.testclient import TestClient
from todoservice_todos.models import Todo

from todoservice import Scope

Start = Callable[..., TestClient]
Lines = Callable[[], list[str]]

BUSY = "All connections to the database are busy: try again shortly."
MORE = (
    "All connections to the database are busy: where that goes on, raise TODOSERVICE_POOL_SIZE, or see what holds them"
)


@pytest.fixture
def narrow(node: Compute, authority: Any, tmp_path_factory: pytest.TempPathFactory, login: str) -> Iterator[Endpoint]:
    """Return an endpoint whose pooler has one connection, and ends who waits for it for a second."""
    settings = {"default_pool_size": 1, "query_wait_timeout": 1}
    with (
        pooler(node.url(), {login: PASSWORD}, free_port(), **settings) as made,
        Endpoint(node.url(), made.url(node.url()), authority, tmp_path_factory.mktemp("narrow")) as endpoint,
    ):
        yield endpoint


def test_a_pooler_whose_connections_are_busy(narrow: Endpoint, start: Start, told: Lines, login: str) -> None:
    """The client is told so as soon as the pooler gives up, and whoever holds the connection goes on (scenario 13)."""
    url = narrow.address(login, PASSWORD)
    client = start(neon_database_url=url)
    todo = create(client)
    with closing(psycopg2.connect(url)) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT 1")
        began = time.monotonic()
        for answer in (client.get(TODOS), client.post(TODOS, json={"title": "No"})):
            assert problem(answer, 503, "SERVICE_UNAVAILABLE")["detail"] == BUSY
            assert answer.headers["retry-after"] == "1"
        assert time.monotonic() - began < 6
        cursor.execute("SELECT 2")
        assert cursor.fetchone() == (2,)
        holder.rollback()
    assert listed(client) == [todo]
    (line,) = told()
    assert "query_wait_timeout" in line


def test_a_pool_whose_connections_are_busy(start: Start, node: Compute, told: Lines) -> None:
    """Who waits in vain is told when to come again, while the loop goes on (scenario 14)."""
    client = start(pool_size=2, pool_timeout=0.5)
    todo = create(client)
    with closing(psycopg2.connect(node.url())) as holder, ThreadPoolExecutor(10) as threads:
        with holder.cursor() as cursor:
            cursor.execute("SELECT FROM todoservice.todos WHERE id = %s FOR UPDATE", (todo["id"],))
        url = f"{TODOS}/{todo['id']}"
        slow = [threads.submit(client.patch, url, json={"title": "Slow"}) for _ in range(2)]
        time.sleep(0.3)
        for answer in threads.map(client.get, [TODOS] * 8):
            assert problem(answer, 503, "SERVICE_UNAVAILABLE")["detail"] == BUSY
            assert answer.headers["retry-after"] == "1"
        assert client.get("/healthz").status_code == 200
        holder.rollback()
        assert [answer.result().status_code for answer in slow] == [200, 200]
    assert [found["title"] for found in listed(client)] == ["Slow"]
    assert told() == [MORE]  # once, for eight


def test_a_pool_that_is_busy_for_longer_than_the_budget(start: Start, node: Compute, told: Lines) -> None:
    """That is what the client is told, and the database is not taken for out of reach (scenario 14)."""
    client = start(pool_size=1, pool_timeout=5, request_budget=0.5)
    todo = create(client)
    with closing(psycopg2.connect(node.url())) as holder, ThreadPoolExecutor() as threads:
        with holder.cursor() as cursor:
            cursor.execute("SELECT FROM todoservice.todos WHERE id = %s FOR UPDATE", (todo["id"],))
        slow = threads.submit(client.patch, f"{TODOS}/{todo['id']}", json={"title": "Slow"})
        time.sleep(0.3)
        assert problem(client.get(TODOS), 503, "SERVICE_UNAVAILABLE")["detail"] == BUSY
        assert client.get("/readyz").status_code == 200
        holder.rollback()
        assert slow.result().status_code == 200
    assert told() == [MORE]


def test_a_statement_that_runs_away(start: Start, node: Compute, told: Lines) -> None:
    """The server ends it within the time limit, and the client is told to ask for less."""
    client = start(statement_timeout=0.5)
    todo = create(client)
    with closing(psycopg2.connect(node.url())) as holder:
        with holder.cursor() as cursor:
            cursor.execute("SELECT FROM todoservice.todos WHERE id = %s FOR UPDATE", (todo["id"],))
        began = time.monotonic()
        answer = client.delete(f"{TODOS}/{todo['id']}")
        assert "took too long to answer" in problem(answer, 503, "SERVICE_UNAVAILABLE")["detail"]
        assert time.monotonic() - began < 1.4
    assert listed(client) == [todo]
    assert told() == [
        "The database ended a statement that took too long: see which are slow, or raise TODOSERVICE_STATEMENT_TIMEOUT"
    ]


def test_a_network_that_swallows_everything(endpoint: Endpoint, start: Start, told: Lines) -> None:
    """A peer that acknowledges and never answers: a read says it took too long, and a change that nobody knows.

    Who does not even acknowledge is given up by the same limit, and by the kernel (scenario 11).
    """
    client = start(statement_timeout=0.5, pool_size=1)
    todo = create(client)
    endpoint.stalled = True
    began = time.monotonic()
    answer = client.get(TODOS)
    assert "took too long to answer" in problem(answer, 503, "SERVICE_UNAVAILABLE")["detail"]
    assert time.monotonic() - began < 3
    endpoint.stalled = False
    assert listed(client) == [todo]
    endpoint.stalled = True
    answer = client.post(TODOS, json={"title": "Perhaps"})
    assert "may have been made or not" in problem(answer, 503, "SERVICE_UNAVAILABLE")["detail"]
    endpoint.stalled = False
    assert listed(client)[-1] == todo
    first, second = told()
    assert first == second
    assert re.fullmatch(r"The database is out of reach: no answer in time \(ep-[a-z0-9.-]+:\d+\)", first)


def test_deadlocked_transactions(start: Start, user: UUID, told: Lines) -> None:
    """PostgreSQL ends one of two that wait for each other, and where it is marked, it is done again."""
    client = start()
    first, second = (UUID(create(client)["id"]) for _ in range(2))
    app: Any = client.app
    runs = 0

    async def both() -> None:
        met = asyncio.Barrier(2)

        async def change(*ids: UUID) -> None:
            scope = Scope(app.state.data, user)

            async def work() -> None:
                nonlocal runs
                runs += 1
                await scope.execute(update(Todo).values(title=str(ids[0])).where(col(Todo.id) == ids[0]))
                if runs <= 2:
                    await met.wait()
                await scope.execute(update(Todo).values(title=str(ids[0])).where(col(Todo.id) == ids[1]))

            await scope.run_transaction(work)

        await asyncio.gather(change(first, second), change(second, first))

    assert client.portal is not None
    client.portal.call(both)
    assert runs == 3
    assert len({todo["title"] for todo in listed(client)}) == 1
    assert told() == []


def test_a_transaction_whose_work_fails(start: Start, user: UUID) -> None:
    """What is the work's own fault is raised, and not done again."""
    client = start()
    app: Any = client.app
    runs = []

    async def work() -> None:
        runs.append(1)
        raise LookupError

    assert client.portal is not None
    with pytest.raises(LookupError):
        client.portal.call(Scope(app.state.data, user).run_transaction, work)
    assert len(runs) == 1
