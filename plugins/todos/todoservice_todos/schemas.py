"""What a todo is over HTTP."""

from typing import Annotated, Final

from pydantic import MISSING, BaseModel, ConfigDict, Field, JsonValue, StrictBool

from todoservice import Id, Line, Text, Timestamp
from todoservice_todos.models import DESCRIPTION_LENGTH, TITLE_LENGTH

Title = Annotated[Line, Field(max_length=TITLE_LENGTH)]
Description = Annotated[Text, Field(max_length=DESCRIPTION_LENGTH)]

_EXAMPLE: Final[dict[str, JsonValue]] = {"title": "Buy milk", "description": "Two litres", "is_completed": False}


class TodoCreate(BaseModel):
    """A new todo."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    title: Title
    description: Description | None = None
    is_completed: StrictBool = False


class TodoUpdate(BaseModel):
    """What is to change: an absent member is kept, and `"description": null` clears the description."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"is_completed": True}]})

    title: Title | MISSING = MISSING
    description: Description | MISSING | None = MISSING
    is_completed: StrictBool | MISSING = MISSING


class TodoRead(BaseModel):
    """A todo."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "id": "01a20228-5edb-71df-bca3-24b32aad7edc",
                    **_EXAMPLE,
                    "created_at": "2026-11-22T07:28:49.883000Z",
                    "user_id": "9f0c3ab2-1f5e-4c7e-9d2f-6a1b7c1de001",
                }
            ]
        },
    )

    id: Id
    title: str
    description: str | None
    is_completed: bool
    created_at: Timestamp
    user_id: Id
