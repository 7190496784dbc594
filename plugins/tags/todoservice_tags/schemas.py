"""What a tag is over HTTP."""

from typing import Annotated, Final

from pydantic import MISSING, BaseModel, ConfigDict, Field, JsonValue

from todoservice import Id, Line, Timestamp
from todoservice_tags.models import NAME_LENGTH

Name = Annotated[Line, Field(max_length=NAME_LENGTH)]

_EXAMPLE: Final[dict[str, JsonValue]] = {"name": "errands"}


class TagCreate(BaseModel):
    """A new tag."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    name: Name


class TagUpdate(BaseModel):
    """What is to change: an absent member is kept."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    name: Name | MISSING = MISSING


class TagRead(BaseModel):
    """A tag."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "id": "01a2024b-7c11-7d3e-a5f0-2b9c64e8f013",
                    **_EXAMPLE,
                    "created_at": "2026-11-22T08:07:11.249127Z",
                    "user_id": "9f0c3ab2-1f5e-4c7e-9d2f-6a1b7c1de001",
                }
            ]
        },
    )

    id: Id
    name: str
    created_at: Timestamp
    user_id: Id
