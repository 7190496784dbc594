"""What is restarted, put to sleep or killed while connections are idle: the client notices a pause at most."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from api import TODOS, create, listed
from compute import Compute
from endpoint import Endpoint
from pooler import Pooler
from starlette.testclient import TestClient
from todoservice_todos.queries import TodoQueries

from todoservice import Scope

Start = Callable[..., TestClient]
Lines = Callable[[], list[str]]


def test_a_restart_of_the_compute(node: Compute, endpoint: Endpoint, start: Start, told: Lines) -> None:
    """The next request is answered, after one new connection, and the log has nothing to say (scenario 1)."""
    client = start(pooled=False)
    todo = create(client)
    before = endpoint.connects
    node.restart()
    assert listed(client) == [todo]
    assert endpoint.connects == before + 1
    assert told() == []


def test_a_pooler_that_was_killed(pool: Pooler, endpoint: Endpoint, start: Start, told: Lines) -> None:
    """As Neon ends it at a suspend, with SIGKILL: the next request is answered (scenario 2)."""
    client = start()
    todo = create(client)
    before = endpoint.connects
    pool.kill()
    pool.start()
    assert listed(client) == [todo]
    assert endpoint.connects == before + 1
    assert told() == []


def test_a_pooler_that_is_away_for_a_while(pool: Pooler, start: Start, told: Lines) -> None:
    """A request that comes meanwhile waits, and is answered once it is back; the log tells of it in one line."""
    client = start()
    todo = create(client)
    pool.kill()
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(listed, client)
        time.sleep(0.5)
        assert not waiting.done()
        pool.start()
        assert waiting.result() == [todo]
    (line,) = told()
    assert line.startswith("The database is out of reach: ")


def test_a_restart_of_the_compute_behind_the_pooler(node: Compute, start: Start, told: Lines) -> None:
    """The pooler's clients stay connected, and their next statement is answered (scenario 4)."""
    client = start()
    todo = create(client)
    node.restart()
    assert listed(client) == [todo]
    assert client.patch(f"{TODOS}/{todo['id']}", json={"title": "Later"}).status_code == 200
    assert [line for line in told() if not line.startswith("The database is out of reach: ")] == []


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_statement_under_way_as_the_compute_restarts(
    node: Compute, start: Start, pooled: bool, told: Lines, rows: Callable[[], list[str]], mode: str
) -> None:
    """A change that waits in the server is cut off by a restart, sent again, and made once (scenarios 4 and 5).

    A fast one may end the holder of the lock first, and the change is made before its own connection is ended.
    """
    client = start(request_budget=30, pooled=pooled)
    todo = create(client, "First")
    holder = psycopg2.connect(node.url())
    with holder.cursor() as cursor:
        cursor.execute("SELECT FROM todoservice.todos WHERE id = %s FOR UPDATE", (todo["id"],))
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(client.patch, f"{TODOS}/{todo['id']}", json={"title": "Second"})
        node.until_waiting()
        node.restart(mode)
        assert waiting.result().status_code == 200
    assert rows() == ["Second"]
    assert len(told()) in ({1} if mode == "immediate" else {0, 1})
    holder.close()


def test_a_transaction_under_way_as_the_compute_restarts(
    node: Compute, start: Start, told: Lines, rows: Callable[[], list[str]], user: UUID
) -> None:
    """Where it is marked it is done again as a whole, and is there once (scenario 4)."""
    client = start(request_budget=30)
    app: Any = client.app
    runs: list[int] = []

    async def work() -> None:
        await scope.one(TodoQueries.create_todo, title="One")
        runs.append(1)
        if len(runs) == 1:
            await asyncio.to_thread(node.restart)
        await scope.one(TodoQueries.create_todo, title="Two")

    scope = Scope(app.state.data, user)
    assert client.portal is not None
    client.portal.call(scope.run_transaction, work)
    assert rows() == ["One", "Two"]
    assert len(runs) == 2
    assert len(told()) == 1


def test_a_compute_that_is_away_behind_the_pooler(
    node: Compute, start: Start, told: Lines, rows: Callable[[], list[str]]
) -> None:
    """Who asks meanwhile waits as long as the budget lasts; what the pooler may say of it is retried (scenario 4)."""
    client = start(request_budget=30, statement_timeout=20)
    create(client, "First")
    node.stop()
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(client.post, TODOS, json={"title": "Second"})
        time.sleep(2.5)
        assert not waiting.done()
        assert client.get("/healthz").status_code == 200
        node.start()
        assert waiting.result().status_code == 201
    assert rows() == ["First", "Second"]
    assert {line.partition(":")[0] for line in told()} <= {"The database is out of reach"}


def test_forty_requests_into_a_cold_start(
    endpoint: Endpoint, start: Start, pooled: bool, told: Lines, rows: Callable[[], list[str]]
) -> None:
    """All are answered once the compute is awake, over no more connections than the pool has (scenario 3)."""
    client = start(pooled=pooled, pool_size=5, pool_timeout=2)  # less than the cold start, and enough for all of them
    create(client, "First")
    endpoint.suspend(cold=3)
    before = endpoint.connects

    def ask_for(number: int) -> int:
        if number % 2:
            return client.get(TODOS).status_code
        return client.post(TODOS, json={"title": str(number)}).status_code

    began = time.monotonic()
    with ThreadPoolExecutor(40) as threads:
        answers = Counter(threads.map(ask_for, range(40)))
    assert answers == {200: 20, 201: 20}
    assert 3 <= time.monotonic() - began < 15
    assert endpoint.most_waking <= 5
    assert endpoint.connects - before <= 5
    assert sorted(rows()) == sorted(["First", *map(str, range(0, 40, 2))])
    assert told() == []


def test_a_cold_start_that_lasts_too_long(endpoint: Endpoint, start: Start, told: Lines) -> None:
    """Past the request's budget each is told when to try again, in time, and later ones are answered (scenario 3)."""
    client = start(pool_size=5, request_budget=1)
    todo = create(client)
    endpoint.suspend(cold=3)
    began = time.monotonic()
    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(lambda _: client.get(TODOS), range(40)))
    assert time.monotonic() - began < 3
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(503, "1")}
    assert client.get("/healthz").status_code == 200
    time.sleep(2.5)
    assert listed(client) == [todo]
    (line,) = told()
    assert line.startswith("The database is out of reach: no answer in time (")
