"""The way of the tutorials of FastAPI and SQLModel: `def`, a session as a dependency, `pool_pre_ping`, one table.

It does not isolate users in the database: each handler has to remember the user in its WHERE.
"""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from fastapi import FastAPI, HTTPException
from sqlmodel import Field, Session, SQLModel, col, select

from performance.peers.schemas import Limit, TodoCreate, TodoPublic, TodoUpdate, UserId
from performance.peers.sessions import SessionDep


class Todo(SQLModel, table=True):
    """A row."""

    __tablename__ = "todos"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    title: str = Field(max_length=255)
    description: str | None = Field(default=None, max_length=2000)
    is_completed: bool = False
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    user_id: UUID = Field(index=True)


app = FastAPI()


def _get(session: Session, user_id: UUID, id: UUID) -> Todo:
    todo = session.exec(select(Todo).where(Todo.id == id, Todo.user_id == user_id)).first()
    if todo is None:
        raise HTTPException(404, "Todo not found")
    return todo


@app.post("/api/v1/todos", status_code=201, response_model=TodoPublic)
def create_todo(todo: TodoCreate, user_id: UserId, session: SessionDep) -> Todo:
    """Create a todo."""
    made = Todo.model_validate(todo.model_dump(), update={"user_id": user_id})
    session.add(made)
    session.commit()
    session.refresh(made)
    return made


@app.get("/api/v1/todos", response_model=list[TodoPublic])
def list_todos(user_id: UserId, session: SessionDep, limit: Limit = 1000) -> object:
    """List the user's todos, newest first."""
    newest = col(Todo.created_at).desc()
    return session.exec(select(Todo).where(Todo.user_id == user_id).order_by(newest).limit(limit)).all()


@app.get("/api/v1/todos/{id}", response_model=TodoPublic)
def retrieve_todo(id: UUID, user_id: UserId, session: SessionDep) -> Todo:
    """Retrieve a todo."""
    return _get(session, user_id, id)


@app.patch("/api/v1/todos/{id}", response_model=TodoPublic)
def update_todo(id: UUID, todo: TodoUpdate, user_id: UserId, session: SessionDep) -> Todo:
    """Change a todo."""
    found = _get(session, user_id, id)
    found.sqlmodel_update(todo.model_dump(exclude_unset=True))
    session.add(found)
    session.commit()
    session.refresh(found)
    return found


@app.delete("/api/v1/todos/{id}", status_code=204)
def delete_todo(id: UUID, user_id: UserId, session: SessionDep) -> None:
    """Delete a todo."""
    session.delete(_get(session, user_id, id))
    session.commit()
