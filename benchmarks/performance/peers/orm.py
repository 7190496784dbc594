"""FastAPI and SQLAlchemy's asynchronous ORM over asyncpg, a session as a dependency.

It does not isolate users in the database: each handler has to remember the user in its WHERE.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import DateTime, make_url, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from performance.peers.schemas import Limit, TodoCreate, TodoPublic, TodoUpdate, UserId
from performance.peers.settings import CONNECTIONS, DATABASE_URL


class Base(DeclarativeBase):
    """The base of the tables."""


class Todo(Base):
    """A row."""

    __tablename__ = "todos"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    title: Mapped[str]
    description: Mapped[str | None]
    is_completed: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=lambda: datetime.now(UTC))
    user_id: Mapped[UUID] = mapped_column(index=True)


engine = create_async_engine(
    make_url(DATABASE_URL).set(drivername="postgresql+asyncpg"), pool_size=CONNECTIONS, max_overflow=0
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


async def get_session() -> AsyncIterator[AsyncSession]:
    """Give a handler its session."""
    async with sessions() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]


async def _get(session: AsyncSession, user_id: UUID, id: UUID) -> Todo:
    todo = await session.scalar(select(Todo).where(Todo.id == id, Todo.user_id == user_id))
    if todo is None:
        raise HTTPException(404, "Todo not found")
    return todo


@app.post("/api/v1/todos", status_code=201, response_model=TodoPublic)
async def create_todo(todo: TodoCreate, user_id: UserId, session: SessionDep) -> Todo:
    """Create a todo."""
    made = Todo(user_id=user_id, **todo.model_dump())
    session.add(made)
    await session.commit()
    return made


@app.get("/api/v1/todos", response_model=list[TodoPublic])
async def list_todos(user_id: UserId, session: SessionDep, limit: Limit = 1000) -> object:
    """List the user's todos, newest first."""
    newest = select(Todo).where(Todo.user_id == user_id).order_by(Todo.created_at.desc())
    return (await session.scalars(newest.limit(limit))).all()


@app.get("/api/v1/todos/{id}", response_model=TodoPublic)
async def retrieve_todo(id: UUID, user_id: UserId, session: SessionDep) -> Todo:
    """Retrieve a todo."""
    return await _get(session, user_id, id)


@app.patch("/api/v1/todos/{id}", response_model=TodoPublic)
async def update_todo(id: UUID, todo: TodoUpdate, user_id: UserId, session: SessionDep) -> Todo:
    """Change a todo."""
    found = await _get(session, user_id, id)
    for name, value in todo.model_dump(exclude_unset=True).items():
        setattr(found, name, value)
    await session.commit()
    return found


@app.delete("/api/v1/todos/{id}", status_code=204)
async def delete_todo(id: UUID, user_id: UserId, session: SessionDep) -> None:
    """Delete a todo."""
    await session.delete(await _get(session, user_id, id))
    await session.commit()
