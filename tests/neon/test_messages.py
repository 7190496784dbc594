"""What the service says to the database: one message for each operation, and none while nobody asks."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from api import TODOS, create
from compute import Compute
from endpoint import Endpoint
from sqlalchemy import insert
from starlette.testclient import TestClient
from todoservice_todos.models import Todo

from todoservice import Scope

Start = Callable[..., TestClient]


@pytest.fixture
def costs(endpoint: Endpoint) -> Callable[[Callable[[], Any]], int]:
    """Return what counts the messages that something sends: whatever their kind, but over warm connections."""

    def count(work: Callable[[], Any]) -> int:
        before, connects = len(endpoint.messages), endpoint.connects
        work()
        assert endpoint.connects == connects
        return len(endpoint.messages) - before

    return count


def test_one_message_each(start: Start, pooled: bool, costs: Callable[[Callable[[], Any]], int]) -> None:
    """Each of the five operations is one round trip, the user's first write and refusals included (scenario 12)."""
    client = start(pooled=pooled)
    client.get(TODOS)
    assert costs(lambda: create(client)) == 1
    todo = create(client)
    url = f"{TODOS}/{todo['id']}"
    assert costs(lambda: client.get(TODOS)) == 1
    assert costs(lambda: client.get(url)) == 1
    assert costs(lambda: client.patch(url, json={"title": "Other"})) == 1
    assert costs(lambda: client.delete(url)) == 1
    assert costs(lambda: client.delete(url)) == 1  # nothing is there
    assert costs(lambda: client.post(TODOS, json={})) == 0
    assert costs(lambda: client.get("/healthz")) == 0
    assert costs(lambda: client.get("/readyz")) == 0


def test_a_transaction(start: Start, user: UUID, costs: Callable[[Callable[[], Any]], int]) -> None:
    """One message for each statement and one for its end."""
    client = start()
    app: Any = client.app
    assert client.portal is not None

    async def work() -> None:
        scope = Scope(app.state.data, user)
        async with scope.transaction():
            await scope.one(insert(Todo).returning(Todo), title="One")
            await scope.one(insert(Todo).returning(Todo), title="Two")

    client.get(TODOS)
    portal = client.portal
    assert costs(lambda: portal.call(work)) == 3


def test_time_on_the_way(start: Start, endpoint: Endpoint) -> None:
    """With 50 ms one way, an operation takes one round trip's time and not two (scenario 12)."""
    client = start()
    client.get(TODOS)
    endpoint.delay = 0.05
    before = len(endpoint.messages)
    began = time.monotonic()
    create(client)
    assert len(endpoint.messages) - before == 1
    assert time.monotonic() - began >= 0.1


@contextmanager
def nothing_logged(node: Compute) -> Iterator[None]:
    """See that no statement and no connection reaches the server in the block."""
    before = node.heard()
    yield
    assert node.heard() == before


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.long)])
def test_nothing_while_idle(start: Start, pooled: bool, node: Compute, seconds: float) -> None:
    """The server hears nothing while probes ask, so that it can fall asleep (scenario 19)."""
    client = start(pooled=pooled)
    create(client)
    until = time.monotonic() + seconds
    with nothing_logged(node):
        while time.monotonic() < until:
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").status_code == 200
            time.sleep(0.05)
    with pytest.raises(AssertionError), nothing_logged(node):
        client.get(TODOS)


def test_nothing_after_a_suspend(start: Start, endpoint: Endpoint, node: Compute) -> None:
    """A compute that fell asleep is not woken up by probes."""
    client = start()
    create(client)
    endpoint.suspend(cold=0)
    before = endpoint.connects
    with nothing_logged(node):
        for _ in range(20):
            assert client.get("/readyz").status_code == 200
    assert endpoint.connects == before
