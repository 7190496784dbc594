"""Shutting down: what is under way comes to its end, within a bounded time, and then the pool closes."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID

import httpx2
import psycopg2
import pytest
from api import TODOS, create, problem
from compute import Compute
from databases import PASSWORD, ask
from endpoint import Endpoint
from serving import COMMAND, serving, wait_until_ready
from starlette.testclient import TestClient
from todoservice_todos.queries import TodoQueries

from todoservice import Scope, Settings, create_app

Lines = Callable[[], list[str]]


@contextmanager
def locked(node: Compute, todo: dict[str, Any]) -> Iterator[Callable[[], None]]:
    """Lock a todo for the block, so that whoever changes it waits. Gives what lets go of it before."""
    with closing(psycopg2.connect(node.url())) as holder:
        with holder.cursor() as cursor:
            cursor.execute("SELECT FROM todoservice.todos WHERE id = %s FOR UPDATE", (todo["id"],))
        yield holder.rollback


def test_a_server_that_is_told_to_end(
    node: Compute, endpoint: Endpoint, login: str, user: UUID, unused_port: int
) -> None:
    """The request that it is answering is answered, the process ends well, and no connection is left."""
    base, me = f"http://127.0.0.1:{unused_port}", {"X-User-ID": str(user)}
    url = endpoint.address(login, PASSWORD, pooled=False, application_name="ending")
    with serving(*COMMAND, port=unused_port, NEON_DATABASE_URL=url) as process, ThreadPoolExecutor() as threads:
        wait_until_ready(unused_port)
        todo = httpx2.post(f"{base}{TODOS}", json={"title": "First"}, headers=me).json()
        with locked(node, todo) as let_go:
            there = f"{base}{TODOS}/{todo['id']}"
            asking = threads.submit(httpx2.patch, there, json={"title": "Last"}, headers=me, timeout=20)
            node.until_waiting()
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert not asking.done()
            let_go()
            assert asking.result().json()["title"] == "Last"
        assert process.wait(10) == -signal.SIGTERM  # uvicorn ends by the signal, once it has shut down
        assert process.stderr is not None
        said = process.stderr.read()
    assert "Application shutdown complete" in said
    assert "Traceback" not in said
    assert ask(node.url(), "SELECT pid FROM pg_stat_activity WHERE application_name = 'ending'") == []


def test_a_request_that_outlives_the_server(
    node: Compute, endpoint: Endpoint, login: str, user: UUID, unused_port: int
) -> None:
    """Where the server has a time limit for shutting down, who is cut off is told so: no 500, and no traceback."""
    base, me = f"http://127.0.0.1:{unused_port}", {"X-User-ID": str(user)}
    url = endpoint.address(login, PASSWORD, pooled=False)
    limited = (*COMMAND, "--timeout-graceful-shutdown", "1")
    with serving(*limited, port=unused_port, NEON_DATABASE_URL=url) as process, ThreadPoolExecutor() as threads:
        wait_until_ready(unused_port)
        todo = httpx2.post(f"{base}{TODOS}", json={"title": "First"}, headers=me).json()
        with locked(node, todo):
            there = f"{base}{TODOS}/{todo['id']}"
            asking = threads.submit(httpx2.patch, there, json={"title": "Last"}, headers=me, timeout=20)
            node.until_waiting()
            process.send_signal(signal.SIGTERM)
            detail = problem(asking.result(), 503, "SERVICE_UNAVAILABLE")["detail"]
            assert "the change may have been made or not" in detail
            assert process.wait(10) == -signal.SIGTERM
        assert process.stderr is not None
        said = process.stderr.read()
    assert "Application shutdown complete" in said
    assert "timeout graceful shutdown exceeded" in said
    assert "Traceback" not in said


@pytest.fixture
def url(endpoint: Endpoint, login: str) -> str:
    """Return the service's URL."""
    return endpoint.address(login, PASSWORD)


def test_work_that_outlives_its_request(node: Compute, url: str, user: UUID, told: Lines) -> None:
    """Shutting down waits for it."""
    app = create_app(Settings.load({"neon_database_url": url}))
    with TestClient(app, headers={"X-User-ID": str(user)}) as client:
        todo = create(client)
        scope = Scope(app.state.data, user)
        assert client.portal is not None
        with locked(node, todo) as let_go, ThreadPoolExecutor() as threads:

            async def work() -> None:
                await scope.execute(TodoQueries.delete_todo, id=UUID(todo["id"]))

            under_way = client.portal.start_task_soon(work)
            node.until_waiting()
            ending = threads.submit(client.portal.call, app.state.data.database.close)
            time.sleep(0.3)
            assert not ending.done()
            let_go()
            ending.result()
            under_way.result()
    assert ask(node.url(), f"SELECT id FROM todoservice.todos WHERE user_id = '{user}'") == []
    assert told() == []


def test_work_that_does_not_end(node: Compute, url: str, user: UUID, told: Lines) -> None:
    """It is cut off after the time limit, in so many words."""
    app = create_app(Settings.load({"neon_database_url": url, "shutdown_timeout": 0.5}))
    with TestClient(app, headers={"X-User-ID": str(user)}) as client:
        todo = create(client)
        scope = Scope(app.state.data, user)
        assert client.portal is not None
        with locked(node, todo):

            async def work() -> None:
                await scope.execute(TodoQueries.delete_todo, id=UUID(todo["id"]))

            under_way = client.portal.start_task_soon(work)
            node.until_waiting()
            began = time.monotonic()
            client.portal.call(app.state.data.database.close)
            assert 0.5 <= time.monotonic() - began < 3
            with pytest.raises(CancelledError):
                under_way.result()
    assert told() == ["Shutting down: 1 still at work with the database are cut off"]


def test_work_that_ends_together_with_the_time_limit(url: str, user: UUID, told: Lines) -> None:
    """Nothing is left to cut off, and the pool closes all the same."""
    app = create_app(Settings.load({"neon_database_url": url, "shutdown_timeout": 0.2}))
    database = app.state.data.database

    async def close_meanwhile() -> None:
        loop = asyncio.get_running_loop()
        end = loop.create_future()

        async def work() -> None:
            with database._working():
                await end

        working = asyncio.create_task(work())
        await asyncio.sleep(0)
        # The loop is held up meanwhile, so that it meets the end and the limit in the same turn.
        loop.call_later(0.1, time.sleep, 0.3)
        loop.call_later(0.19, end.set_result, None)
        await database.close()
        await working

    with TestClient(app) as client:
        assert client.portal is not None
        client.portal.call(close_meanwhile)
    assert told() == []
