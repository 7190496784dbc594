"""Rows that hang on another feature's: they go with the todo that they are of."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime
from sqlalchemy import DateTime, ForeignKeyConstraint, insert, select
from sqlmodel import Field, col

from todoservice import CurrentScope, Id, Owned, Queries, hookimpl


class Reminder(Owned, table=True):
    """When a user wants to hear of a todo."""

    __tablename__ = "reminders"
    __table_args__ = (
        ForeignKeyConstraint(
            ["user_id", "todo_id"], ["todoservice.todos.user_id", "todoservice.todos.id"], ondelete="CASCADE"
        ),
    )

    todo_id: UUID
    at: datetime = Field(sa_type=DateTime(timezone=True))


class Reminders(Queries):
    """Two statements."""

    create = insert(Reminder).returning(col(Reminder.todo_id))
    rows = select(Reminder)


router = APIRouter()


@router.put("/{todo_id}", status_code=204)
async def remind(todo_id: Id, at: AwareDatetime, scope: CurrentScope) -> None:
    """Remind of a todo: that of another user is none."""
    await scope.one("todos.retrieve_todo", id=todo_id)
    await scope.execute(Reminders.create, todo_id=todo_id, at=at)


@router.get("")
async def list_reminders(scope: CurrentScope) -> list[UUID]:
    """List the todos to be reminded of."""
    return [row.todo_id for row in await scope.all(Reminders.rows)]


@hookimpl
def todoservice_models() -> list[type[Reminder]]:
    """One table."""
    return [Reminder]


@hookimpl
def todoservice_queries() -> type[Queries]:
    """Two statements."""
    return Reminders


@hookimpl
def todoservice_router() -> APIRouter:
    """Two operations."""
    return router
