"""A user's todos."""

from datetime import datetime
from typing import Final

from sqlalchemy import CheckConstraint
from sqlmodel import Field

from todoservice import Owned, created_at

TITLE_LENGTH: Final = 255
DESCRIPTION_LENGTH: Final = 2000


class Todo(Owned, table=True):
    """Something to do, and whether it is done. Lengths are in characters, for PostgreSQL as for pydantic."""

    __tablename__ = "todos"
    __table_args__ = (
        CheckConstraint(f"char_length(title) BETWEEN 1 AND {TITLE_LENGTH}", name="title_length"),
        CheckConstraint(f"char_length(description) <= {DESCRIPTION_LENGTH}", name="description_length"),
    )

    title: str = Field(min_length=1, max_length=TITLE_LENGTH)
    description: str | None = Field(default=None, max_length=DESCRIPTION_LENGTH)
    is_completed: bool = False
    created_at: datetime = created_at()
