"""FastAPI alone: the same model, answered from a dictionary. What the framework itself costs.

It has no database: nothing outlives the process, and nothing is shared by two.
"""

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from fastapi import FastAPI, HTTPException

from performance.peers.schemas import Limit, TodoCreate, TodoPublic, TodoUpdate, UserId
from performance.peers.settings import ROWS

app = FastAPI()
todos: dict[UUID, dict[UUID, TodoPublic]] = {}
"""By user, and by id, the oldest first."""


def _load(path: Path) -> None:
    with path.open() as file:
        for row in csv.DictReader(file):
            values: dict[str, Any] = row | {"description": row["description"] or None}
            todo = TodoPublic.model_validate(values)
            todos.setdefault(todo.user_id, {})[todo.id] = todo


if ROWS:
    _load(Path(ROWS))


def _get(user_id: UUID, id: UUID) -> TodoPublic:
    todo = todos.get(user_id, {}).get(id)
    if todo is None:
        raise HTTPException(404, "Todo not found")
    return todo


@app.post("/api/v1/todos", status_code=201)
async def create_todo(todo: TodoCreate, user_id: UserId) -> TodoPublic:
    """Create a todo."""
    made = TodoPublic(id=uuid4(), created_at=datetime.now(UTC), user_id=user_id, **todo.model_dump())
    todos.setdefault(user_id, {})[made.id] = made
    return made


@app.get("/api/v1/todos")
async def list_todos(user_id: UserId, limit: Limit = 1000) -> list[TodoPublic]:
    """List the user's todos, newest first."""
    return list(reversed(todos.get(user_id, {}).values()))[:limit]


@app.get("/api/v1/todos/{id}")
async def retrieve_todo(id: UUID, user_id: UserId) -> TodoPublic:
    """Retrieve a todo."""
    return _get(user_id, id)


@app.patch("/api/v1/todos/{id}")
async def update_todo(id: UUID, todo: TodoUpdate, user_id: UserId) -> TodoPublic:
    """Change a todo."""
    changed = _get(user_id, id).model_copy(update=todo.model_dump(exclude_unset=True))
    todos[user_id][id] = changed
    return changed


@app.delete("/api/v1/todos/{id}", status_code=204)
async def delete_todo(id: UUID, user_id: UserId) -> None:
    """Delete a todo."""
    _get(user_id, id)
    del todos[user_id][id]
