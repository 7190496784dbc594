"""Connections cut at every message of every operation: nothing acknowledged is lost, and nothing is done twice."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from api import TODOS, create, listed, problem
from compute import Compute
from databases import ask
from edge import Cut
from endpoint import Endpoint
from sqlalchemy import delete, insert, update
from sqlmodel import col
from starlette.testclient import TestClient
from todoservice_todos.models import Todo
from todoservice_todos.queries import TodoQueries

from todoservice import Conflict, OutcomeUnknown, Scope, ServiceUnavailable, idempotent, uuid7

Start = Callable[..., TestClient]
Lines = Callable[[], list[str]]
Rows = Callable[[], list[str]]

CUTS: dict[str, dict[str, Any]] = {
    "before it is sent": {"sent": 0},
    "in the middle of it": {"sent": 9},
    "at its last byte": {"sent": -1},
    "before its answer": {"sent": None},
    "at the first byte of its answer": {"sent": None, "answered": 1},
    "in the middle of its answer": {"sent": None, "answered": 9},
    "at the last byte of its answer": {"sent": None, "answered": -1},
}
AT = pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)


@pytest.fixture
def client(start: Start, request: pytest.FixtureRequest) -> TestClient:
    """Return the user's client: of the pooled endpoint, or as a test says."""
    return start(pooled=getattr(request, "param", "pooled") == "pooled")


@AT
@pytest.mark.parametrize(("times", "client"), [(1, "pooled"), (3, "direct")], indirect=["client"])
def test_a_create(client: TestClient, endpoint: Endpoint, rows: Rows, told: Lines, cut: Any, times: int) -> None:
    """It is there once, and its answer is what every later one says, to the byte (scenarios 5, 6 and 7)."""
    endpoint.cuts = [Cut("INSERT INTO todoservice.todos", **cut) for _ in range(times)]
    created = client.post(TODOS, json={"title": "Once", "description": "é"})
    assert created.status_code == 201
    assert endpoint.cuts == []
    assert client.get(created.headers["location"]).content == created.content
    assert rows() == ["Once"]
    assert len(told()) == 1


@AT
def test_a_retrieve_and_a_list(client: TestClient, endpoint: Endpoint, told: Lines, cut: Any) -> None:
    """They are answered as if nothing had been; the log tells once of what happens within a second."""
    todo = create(client)
    endpoint.cuts = [Cut("SELECT", **cut), Cut("SELECT", **cut)]
    assert client.get(f"{TODOS}/{todo['id']}").json() == todo
    endpoint.cuts = [Cut("SELECT", **cut)]
    assert listed(client) == [todo]
    assert endpoint.cuts == []
    assert len(told()) in {1, 2}


@AT
def test_an_update(client: TestClient, endpoint: Endpoint, rows: Rows, told: Lines, cut: Any) -> None:
    """The answer has the change, and the change is there."""
    todo = create(client, "Old")
    endpoint.cuts = [Cut("UPDATE todoservice.todos", **cut)]
    changed = client.patch(f"{TODOS}/{todo['id']}", json={"title": "New"})
    assert changed.json() == todo | {"title": "New"}
    assert endpoint.cuts == []
    assert rows() == ["New"]
    assert len(told()) == 1


@AT
def test_a_delete(client: TestClient, endpoint: Endpoint, rows: Rows, told: Lines, cut: Any) -> None:
    """It has succeeded, even where it finds nothing left to delete the second time; a second request finds nothing."""
    todo = create(client)
    endpoint.cuts = [Cut("DELETE FROM todoservice.todos", **cut)]
    assert client.delete(f"{TODOS}/{todo['id']}").status_code == 204
    assert endpoint.cuts == []
    assert rows() == []
    assert len(told()) == 1
    problem(client.delete(f"{TODOS}/{todo['id']}"), 404, "NOT_FOUND")


def test_a_create_past_the_budget(start: Start, endpoint: Endpoint, rows: Rows) -> None:
    """Where no answer comes in time, the client is told that it may have been done."""
    client = start(request_budget=1)
    endpoint.cuts = [Cut("INSERT INTO todoservice.todos", None)] * 1 + [Cut("INSERT INTO todoservice.todos")] * 50
    response = client.post(TODOS, json={"title": "Perhaps"})
    assert "may have been made or not" in problem(response, 503, "SERVICE_UNAVAILABLE")["detail"]
    assert rows() == ["Perhaps"]


def test_a_read_past_the_budget(start: Start, endpoint: Endpoint) -> None:
    """Nothing was changed, and the client is told to try again."""
    client = start(request_budget=1)
    create(client)
    endpoint.cuts = [Cut("SELECT", None)] * 50
    detail = problem(client.get(TODOS), 503, "SERVICE_UNAVAILABLE")["detail"]
    assert detail == "The database is out of reach at the moment: try again shortly."


# Statements of other features

COUNTED = update(Todo).values(description=col(Todo.description) + "!").returning(col(Todo.id))
NAMED = update(Todo).values(title="Renamed").returning(Todo)


@pytest.fixture
def scope(client: TestClient, user: UUID) -> Scope:
    """Return a scope of the user's, as a handler has it."""
    app: Any = client.app
    return Scope(app.state.data, user)


@pytest.fixture
def call(client: TestClient) -> Callable[..., Any]:
    """Return what runs an async function where the app runs."""
    assert client.portal is not None
    return client.portal.call


def described(node: Compute, user: UUID) -> list[str]:
    """Return the descriptions of the user's todos."""
    return [text for (text,) in ask(node.url(), f"SELECT description FROM todoservice.todos WHERE user_id = '{user}'")]


@AT
def test_an_update_that_is_not_declared(
    client: TestClient, endpoint: Endpoint, scope: Scope, call: Any, node: Compute, user: UUID, cut: Any
) -> None:
    """It is not sent again: the outcome is unknown, and it was done once or not at all."""
    create(client, description="Hey")
    endpoint.cuts = [Cut("UPDATE", **cut)]
    with pytest.raises(OutcomeUnknown):
        call(scope.all, COUNTED)
    assert described(node, user) == ["Hey!" if cut["sent"] is None else "Hey"]
    call(scope.all, COUNTED)
    assert described(node, user)[0].startswith("Hey!")


@AT
def test_an_update_that_is_declared(
    client: TestClient, endpoint: Endpoint, scope: Scope, call: Any, rows: Rows, cut: Any
) -> None:
    """It is sent again, and answers as the first time."""
    create(client)
    endpoint.cuts = [Cut("UPDATE", **cut)]
    (row,) = call(scope.all, idempotent(NAMED))
    assert row.title == "Renamed"
    assert rows() == ["Renamed"]


def test_a_delete_of_many(client: TestClient, endpoint: Endpoint, scope: Scope, call: Any, rows: Rows) -> None:
    """What it deleted is gone, and nobody could say how many there were: the outcome is unknown."""
    create(client)
    endpoint.cuts = [Cut("DELETE", None)]
    with pytest.raises(OutcomeUnknown):
        call(scope.execute, delete(Todo).where(col(Todo.is_completed).is_(False)))
    assert rows() == []


@pytest.mark.parametrize("method", ["one", "first", "all", "execute"])
def test_other_answers_of_what_is_sent_again(
    client: TestClient, endpoint: Endpoint, scope: Scope, call: Any, method: str
) -> None:
    """An insert that was done, and a delete, answer in every shape as the first sending would have."""
    id = uuid7()
    endpoint.cuts = [Cut("INSERT INTO todoservice.todos", None), Cut("DELETE", None)]
    ask_for = getattr(scope, method)
    created = call(partial(ask_for, TodoQueries.create_todo, id=id, title="Once"))
    deleted = call(partial(ask_for, TodoQueries.delete_todo, id=id))
    if method == "execute":
        assert (created, deleted) == (1, 1)
    else:
        created, deleted = (found[0] if method == "all" else found for found in (created, deleted))
        assert (created.id, created.title, deleted.id) == (id, "Once", id)


def test_another_row_in_the_way(client: TestClient, endpoint: Endpoint, scope: Scope, call: Any, rows: Rows) -> None:
    """An insert whose id was taken before conflicts, as it does where nothing is cut."""
    taken = UUID(create(client, "First")["id"])
    with pytest.raises(Conflict):
        call(partial(scope.one, TodoQueries.create_todo, id=taken, title="Second"))
    assert rows() == ["First"]


# Transactions


async def two(scope: Scope) -> str:
    """Insert two todos, and return a title."""
    await scope.one(insert(Todo).returning(Todo), title="One")
    row = await scope.one(insert(Todo).returning(Todo), title="Two")
    title: str = row.title
    return title


@pytest.mark.parametrize(("statement", "client"), [("BEGIN;", "pooled"), ("'Two'", "direct")], indirect=["client"])
@AT
def test_a_transaction_that_is_cut(
    client: TestClient, endpoint: Endpoint, scope: Scope, call: Any, rows: Rows, told: Lines, statement: str, cut: Any
) -> None:
    """Before its end nothing is kept: a block says so, and what is marked is done again, once (scenario 5)."""

    async def block() -> None:
        async with scope.transaction():
            await two(scope)

    endpoint.cuts = [Cut(statement, **cut)]
    with pytest.raises(ServiceUnavailable) as caught:
        call(block)
    assert not isinstance(caught.value, OutcomeUnknown)
    assert rows() == []
    endpoint.cuts = [Cut(statement, **cut)]
    assert call(scope.run_transaction, lambda: two(scope)) == "Two"
    assert rows() == ["One", "Two"]
    assert len(told()) >= 1


@AT
def test_a_commit_that_is_cut(endpoint: Endpoint, scope: Scope, call: Any, rows: Rows, told: Lines, cut: Any) -> None:
    """Nobody knows whether it was kept, so it is not done again, marked or not (scenario 6)."""

    async def block() -> None:
        async with scope.transaction():
            await two(scope)

    kept = ["One", "Two"] if cut["sent"] is None else []
    endpoint.cuts = [Cut("COMMIT", **cut)]
    with pytest.raises(OutcomeUnknown):
        call(block)
    assert rows() == kept
    endpoint.cuts = [Cut("COMMIT", **cut)]
    with pytest.raises(OutcomeUnknown):
        call(scope.run_transaction, lambda: two(scope))
    assert rows() == kept * 2
    assert len(told()) in {1, 2}
