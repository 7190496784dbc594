"""Pages of a list, newest first, by keyset: a cursor says after which row to go on."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Generic, TypeVar
from urllib.parse import quote, urlencode
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from todoservice.fields import is_uuid
from todoservice.problems import InvalidRequest
from todoservice.shapes import SEPARATOR

LIMIT: Final = 1000
"""The most rows of a page, and how many there are where the client asks for no number."""

_SEPARATOR: Final = SEPARATOR.encode()
_ID: Final = re.compile(rb'"id":"?([^",}]*)')
_START: Final = UUID(int=2**128 - 1)
Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """A page of a list."""

    model_config = ConfigDict(extra="forbid")

    items: list[Item]
    count: Annotated[int, Field(description="How many items this page has.", ge=0)]
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last.")]


def _decimal(value: Any) -> Any:
    """Refuse what pydantic also takes for an integer: signs, spaces, underscores, `5.0`."""
    if isinstance(value, str) and not (value.isascii() and value.isdecimal()):
        msg = "Input should be a number in decimal digits"
        raise ValueError(msg)
    return value


@dataclass(frozen=True)
class PageRequest:
    """Which page a client asks for: the query parameters `limit` and `cursor`. Handlers receive it as `CurrentPage`."""

    request: Request
    limit: int = LIMIT
    cursor: str | None = None

    responses: ClassVar[dict[int | str, dict[str, Any]]] = {
        200: {
            "headers": {
                "Link": {
                    "description": 'The next page, with `rel="next"` (RFC 8288). Absent on the last.',
                    "schema": {"type": "string"},
                }
            }
        }
    }
    """The OpenAPI declaration of what a page's response has besides its body: `@router.get(responses=...)`."""

    def __post_init__(self) -> None:
        """Refuse a limit out of range, and a parameter that is given twice, since nothing says which is meant."""
        if not 1 <= self.limit <= LIMIT:
            raise InvalidRequest(("query.limit", f"This is not in 1..{LIMIT}"))
        twice = [name for name in ("limit", "cursor") if len(self.request.query_params.getlist(name)) > 1]
        if twice:
            raise InvalidRequest(*((f"query.{name}", "This is given more than once") for name in twice))

    def before(self, name: str) -> UUID:
        """Return the id that every row of this page is older than. Raises InvalidRequest for another list's cursor."""
        return _START if self.cursor is None else _read(name, self.cursor)

    def link(self, following: str) -> str:
        """Return the `Link` to the next page (RFC 8288): this request with another cursor.

        Not read from `request.url`, which fails for a query that is not UTF-8.
        """
        kept = [pair for pair in self.request.query_params.multi_items() if pair[0] not in {"limit", "cursor"}]
        query = urlencode([*kept, ("limit", self.limit), ("cursor", following)])
        return f'<{quote(self.request.scope["path"])}?{query}>; rel="next"'


async def _page_request(
    request: Request,
    limit: Annotated[
        int,
        Query(ge=1, le=LIMIT, description="The most items this page may have."),
        BeforeValidator(_decimal),
    ] = LIMIT,
    cursor: Annotated[
        str | SkipJsonSchema[None],
        Query(
            description="The `next_cursor` of the page before this one.",
            json_schema_extra={"pattern": "^[A-Za-z0-9_-]+$"},
        ),
    ] = None,
) -> PageRequest:
    # A class as the dependency would be called in a thread.
    return PageRequest(request, limit, cursor)


CurrentPage = Annotated[PageRequest, Depends(_page_request)]
"""The dependency that gives a handler the page that is asked for: `async def handler(page: CurrentPage)`."""


def cursor(name: str, last: UUID | str) -> str:
    """Return the cursor for the rows after `last` in the list `name`. It holds nothing secret: the scope filters."""
    return urlsafe_b64encode(f"{name} {last}".encode()).decode().rstrip("=")


def cut(objects: bytes, count: int, limit: int) -> tuple[bytes, str | None]:
    """Return the first `limit` of `count` JSON objects, now with commas between them, and the id of the last of these.

    None in its place where none are cut off: there is no next page. `id` is the first member of each object.
    """
    last = None
    if count > limit:
        objects = objects.rsplit(_SEPARATOR, count - limit)[0]
        [last] = _ID.findall(objects, objects.rfind(_SEPARATOR) + 1)[:1]
    return objects.replace(_SEPARATOR, b","), None if last is None else last.decode()


def _read(name: str, text: str) -> UUID:
    try:
        listed, _, last = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(" ")
    except (NotBase64, ValueError):
        listed = last = ""
    if listed != name or not is_uuid(last) or cursor(name, UUID(last)) != text:
        raise InvalidRequest(
            ("query.cursor", "This is not a cursor of this list: give the next_cursor of a page of it")
        )
    return UUID(last)
