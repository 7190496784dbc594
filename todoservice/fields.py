"""The types of what travels over HTTP: ids, texts and instants that mean the same to every feature."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BeforeValidator, Field, PlainSerializer, StringConstraints, WithJsonSchema

_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def is_uuid(text: str) -> bool:
    """Say whether `text` is a UUID in the 8-4-4-4-12 form (RFC 9562, section 4)."""
    return _UUID.fullmatch(text) is not None


def _hyphenated(value: Any) -> Any:
    if isinstance(value, str) and not is_uuid(value):
        msg = "A UUID is written as 8-4-4-4-12 hexadecimal digits"
        raise ValueError(msg)
    return value


Id = Annotated[UUID, BeforeValidator(_hyphenated)]
"""A UUID, read in the 8-4-4-4-12 form only."""


# A pattern and not a validator, so that a feature's max_length counts what is left after stripping.
Text = Annotated[
    str,
    StringConstraints(pattern=r"^[^\u0000]*$"),
    Field(description="Neither U+0000 nor a lone surrogate."),
]
"""A string that PostgreSQL can store: no U+0000. (Lone surrogates, which are no Unicode, pydantic refuses itself.)"""

# Unicode's White_Space, which pydantic strips. `\s` means another set to each who reads the schema.
_WHITE: Final = r"\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

Line = Annotated[
    Text,
    StringConstraints(strip_whitespace=True, min_length=1),
    Field(json_schema_extra={"pattern": rf"^[^\u0000]*[^\u0000{_WHITE}][^\u0000]*$"}),
]
"""A text that is not blank: white space at both ends is taken off."""


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Timestamp = Annotated[
    datetime,
    PlainSerializer(_rfc3339, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"}),
]
"""An instant, written as RFC 3339 in UTC with six digits and `Z`."""
