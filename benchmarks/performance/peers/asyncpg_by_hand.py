"""FastAPI and a pool of asyncpg, with parameterised SQL written by hand.

It does not isolate users in the database, and tries nothing again where the database fails.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import asyncpg
from fastapi import Depends, FastAPI, HTTPException, Request

from performance.peers.schemas import Limit, TodoCreate, TodoPublic, TodoUpdate, UserId
from performance.peers.settings import CONNECTIONS, DATABASE_URL

COLUMNS = "id, title, description, is_completed, created_at, user_id"
CREATE = f"INSERT INTO todos ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6) RETURNING {COLUMNS}"
LIST = f"SELECT {COLUMNS} FROM todos WHERE user_id = $1 ORDER BY created_at DESC LIMIT $2"
RETRIEVE = f"SELECT {COLUMNS} FROM todos WHERE id = $1 AND user_id = $2"
UPDATE = f"""
UPDATE todos SET title = coalesce($3, title), is_completed = coalesce($5, is_completed),
    description = CASE WHEN $6 THEN $4 ELSE description END
WHERE id = $1 AND user_id = $2 RETURNING {COLUMNS}
"""
DELETE = "DELETE FROM todos WHERE id = $1 AND user_id = $2 RETURNING id"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold the pool."""
    async with asyncpg.create_pool(DATABASE_URL, min_size=CONNECTIONS, max_size=CONNECTIONS) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)


async def get_pool(request: Request) -> Any:
    """Give a handler the pool."""
    return request.app.state.pool


Pool = Annotated[Any, Depends(get_pool)]


def _found(row: Any) -> dict[str, Any]:
    if row is None:
        raise HTTPException(404, "Todo not found")
    return dict(row)


@app.post("/api/v1/todos", status_code=201, response_model=TodoPublic)
async def create_todo(todo: TodoCreate, user_id: UserId, pool: Pool) -> Any:
    """Create a todo."""
    values = (uuid4(), todo.title, todo.description, todo.is_completed, datetime.now(UTC), user_id)
    return _found(await pool.fetchrow(CREATE, *values))


@app.get("/api/v1/todos", response_model=list[TodoPublic])
async def list_todos(user_id: UserId, pool: Pool, limit: Limit = 1000) -> Any:
    """List the user's todos, newest first."""
    return [dict(row) for row in await pool.fetch(LIST, user_id, limit)]


@app.get("/api/v1/todos/{id}", response_model=TodoPublic)
async def retrieve_todo(id: UUID, user_id: UserId, pool: Pool) -> Any:
    """Retrieve a todo."""
    return _found(await pool.fetchrow(RETRIEVE, id, user_id))


@app.patch("/api/v1/todos/{id}", response_model=TodoPublic)
async def update_todo(id: UUID, todo: TodoUpdate, user_id: UserId, pool: Pool) -> Any:
    """Change a todo."""
    given = "description" in todo.model_fields_set
    return _found(await pool.fetchrow(UPDATE, id, user_id, todo.title, todo.description, todo.is_completed, given))


@app.delete("/api/v1/todos/{id}", status_code=204)
async def delete_todo(id: UUID, user_id: UserId, pool: Pool) -> None:
    """Delete a todo."""
    _found(await pool.fetchrow(DELETE, id, user_id))
