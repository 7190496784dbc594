"""A user's tags, and the todos that carry them."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field

from todoservice import Owned, created_at

NAME_LENGTH: Final = 64


class Tag(Owned, table=True):
    """A word that a user sorts todos by. No two of theirs have the same name."""

    __tablename__ = "tags"
    __table_args__ = (
        CheckConstraint(f"char_length(name) BETWEEN 1 AND {NAME_LENGTH}", name="name_length"),
        UniqueConstraint("user_id", "name"),
    )

    name: str = Field(min_length=1, max_length=NAME_LENGTH)
    created_at: datetime = created_at()


class TagTodo(Owned, table=True):
    """A tag on a todo. The owner is part of both foreign keys, so that the two are the same user's."""

    __tablename__ = "tags_todos"
    __table_args__ = (
        ForeignKeyConstraint(
            ["user_id", "tag_id"], ["todoservice.tags.user_id", "todoservice.tags.id"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(
            ["user_id", "todo_id"], ["todoservice.todos.user_id", "todoservice.todos.id"], ondelete="CASCADE"
        ),
        UniqueConstraint("user_id", "tag_id", "todo_id"),
        Index(None, "user_id", "todo_id", "tag_id"),
    )

    tag_id: UUID
    todo_id: UUID
