"""What a todo is over HTTP, for the peers on FastAPI: the members of todoservice's own."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Header, Query
from pydantic import BaseModel, Field

Title = Annotated[str, Field(min_length=1, max_length=255)]
Description = Annotated[str, Field(max_length=2000)]
UserId = Annotated[UUID, Header(alias="X-User-ID")]
Limit = Annotated[int, Query(ge=1, le=1000)]


class TodoCreate(BaseModel):
    """A new todo."""

    title: Title
    description: Description | None = None
    is_completed: bool = False


class TodoUpdate(BaseModel):
    """What is to change: an absent member is kept."""

    title: Title | None = None
    description: Description | None = None
    is_completed: bool | None = None


class TodoPublic(BaseModel):
    """A todo."""

    id: UUID
    title: str
    description: str | None
    is_completed: bool
    created_at: datetime
    user_id: UUID
