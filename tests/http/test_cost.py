"""What an operation makes Python do, so that a change that makes it slower is seen without a clock.

Calls are compared with those that FastAPI alone makes for the same operation, answered from memory in the same run: its
own cost, and that of a version of Python, is in both.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias
from uuid import UUID

import pytest
from anyio import to_thread
from api import TODOS
from calls import Measured, Request, ask, measure
from fastapi import FastAPI
from sqlalchemy.sql.compiler import SQLCompiler
from todoservice_todos.schemas import TodoCreate, TodoRead, TodoUpdate

from todoservice import Page, Settings, create_app, uuid7
from todoservice.audit import Audit
from todoservice.database.dialect import Connection
from todoservice.database.lease import Lease

RATIOS: Final = {"create": 2.12, "list": 1.89, "retrieve": 1.98, "update": 1.78, "delete": 1.83}
"""How many calls each operation makes for each that answers it from memory.

To lower them, put in 1.0, run this file, and put in what it tells.
"""
SLACK: Final = 1.05
"""Versions of Python and of libraries differ by less."""
REQUESTS: Final = 40
"""Half of them before counting."""
LISTED: Final = 20
"""How many todos a page has."""
NEW: Final = b'{"title": "Buy milk", "description": "Two litres"}'
CHANGE: Final = b'{"is_completed": true}'

Costs: TypeAlias = Mapping[str, tuple[Measured, Measured]]


def memory(todo: dict[str, Any]) -> FastAPI:
    """Return FastAPI alone, with the same models: it answers from memory."""
    app = FastAPI()

    @app.post(TODOS, status_code=201, response_model=TodoRead)
    async def create_todo(new: TodoCreate) -> Any:
        return todo

    @app.get(TODOS, response_model=Page[TodoRead])
    async def list_todos() -> Any:
        return {"items": [todo] * LISTED, "count": LISTED, "next_cursor": None}

    @app.get(f"{TODOS}/{{id}}", response_model=TodoRead)
    async def retrieve_todo(id: UUID) -> Any:
        return todo

    @app.patch(f"{TODOS}/{{id}}", response_model=TodoRead)
    async def update_todo(id: UUID, change: TodoUpdate) -> Any:
        return todo

    @app.delete(f"{TODOS}/{{id}}", status_code=204)
    async def delete_todo(id: UUID) -> None: ...

    return app


async def requests(app: FastAPI, user: UUID) -> dict[str, list[Request]]:
    """Return what is asked in each operation, in the order in which it can be: once a user has todos."""
    headers = ((b"x-user-id", str(user).encode()),)
    create = Request("POST", TODOS, NEW, headers)
    todos = [f"{TODOS}/{json.loads((await ask(app, create))[1])['id']}" for _ in range(LISTED)]
    doomed = [f"{TODOS}/{json.loads((await ask(app, create))[1])['id']}" for _ in range(REQUESTS)]
    return {
        "delete": [Request("DELETE", todo, headers=headers) for todo in doomed],
        "list": [Request("GET", TODOS, headers=headers)] * REQUESTS,
        "retrieve": [Request("GET", todos[0], headers=headers)] * REQUESTS,
        "update": [Request("PATCH", todos[0], CHANGE, headers)] * REQUESTS,
        "create": [create] * REQUESTS,
    }


@pytest.fixture(scope="module")
def measured(service_url: str) -> Costs:
    """Return what each operation cost, in the service and from memory."""
    settings = Settings.load({"neon_database_url": service_url, "require_isolation": True})

    async def measuring() -> dict[str, tuple[Measured, Measured]]:
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            asked = await requests(app, uuid7())
            todo = json.loads((await ask(app, asked["retrieve"][0]))[1])
            alone = memory(todo)
            return {name: (await measure(app, kind), await measure(alone, kind)) for name, kind in asked.items()}

    return asyncio.run(measuring())


@pytest.mark.parametrize("operation", RATIOS)
def test_calls(measured: Costs, operation: str) -> None:
    """An operation makes no more calls, for each that FastAPI alone makes for it, than it did."""
    ours, alone = measured[operation]
    assert ours.statuses == alone.statuses
    ratio = ours.each / alone.each
    assert ratio <= RATIOS[operation] * SLACK, (
        f"{operation} makes {ours.each:.0f} calls, {ratio:.2f} times the {alone.each:.0f} that answer it from "
        f"memory, and {RATIOS[operation]} times were made before. For each request, the service's and those:\n"
        f"{ours.beside(alone)}"
    )


@pytest.mark.parametrize("operation", RATIOS)
def test_nothing_is_compiled(measured: Costs, operation: str) -> None:
    """A declared query is sent as it was compiled and proven at the start, and that is one statement, checked once."""
    calls = measured[operation][0].calls
    assert (calls.of(SQLCompiler.__init__), calls.of(Audit.prove)) == (0, 0)
    assert calls.of(Connection.heading) == calls.of(Audit.check) == REQUESTS // 2


@pytest.mark.parametrize("operation", RATIOS)
def test_one_connection_and_no_greenlet(measured: Costs, operation: str) -> None:
    """An operation takes a connection from the pool once, and waits for it in no stack of its own."""
    ours, _ = measured[operation]
    assert (ours.calls.of(Lease.__init__), len(ours.greenlets)) == (ours.requests, 0)


@pytest.mark.parametrize("operation", RATIOS)
def test_no_thread(measured: Costs, operation: str) -> None:
    """An operation has nothing done in a worker thread."""
    assert measured[operation][0].calls.of(to_thread.run_sync) == 0
