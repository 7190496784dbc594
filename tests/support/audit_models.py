"""The models that the tests of the audit have besides todos."""

import datetime as dt
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field

from todoservice import Owned, Shared


class Step(Owned, table=True):
    """Refers to a todo by its whole key, and has columns with the names of words of SQL."""

    __tablename__ = "steps"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["user_id", "todo_id"], ["todoservice.todos.user_id", "todoservice.todos.id"], ondelete="CASCADE"
        ),
    )
    todo_id: UUID
    body: str = Field(default="", sa_column_kwargs={"server_default": ""})
    first: int | None = None
    date: dt.date | None = None
    filter: str | None = None
    position: int | None = None
    value: str | None = None


class Mood(Shared, table=True):
    """The same for all users."""

    __tablename__ = "moods"
    id: UUID = Field(primary_key=True)
    name: str


class Slug(Owned, table=True):
    """Has a key that two users can meet in."""

    __tablename__ = "slugs"
    slug: str = Field(unique=True)
