"""Pages of a list, newest first, by keyset: a cursor says after which row to go on."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from typing import Annotated, Final, Generic, TypeVar
from uuid import UUID

from fastapi import Query, Request
from pydantic import BaseModel, Field

from todoservice.fields import is_uuid
from todoservice.problems import InvalidRequest

LIMIT: Final = 1000
"""The most rows of a page, and how many there are where the client asks for no number."""

_START: Final = UUID(int=2**128 - 1)
Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """A page of a list."""

    items: list[Item]
    count: Annotated[int, Field(description="How many items this page has.", ge=0)]
    next_cursor: Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last.")]


@dataclass(frozen=True)
class PageRequest:
    """Which page a client asks for: the query parameters `limit` and `cursor`.

    A handler takes it as `page: Annotated[PageRequest, Depends()]`.
    """

    request: Request
    limit: Annotated[int, Query(ge=1, le=LIMIT, description="The most items this page may have.")] = LIMIT
    cursor: Annotated[str | None, Query(description="The `next_cursor` of the page before this one.")] = None

    def before(self, name: str) -> UUID:
        """Return the id that every row of this page is older than. Raises InvalidRequest for another list's cursor."""
        return _START if self.cursor is None else _read(name, self.cursor)

    def link(self, following: str) -> str:
        """Return the `Link` to the next page (RFC 8288): this request with another cursor."""
        query = self.request.url.include_query_params(limit=self.limit, cursor=following).query
        return f'<{self.request.url.path}?{query}>; rel="next"'


def cursor(name: str, last: UUID) -> str:
    """Return the cursor for the rows after `last` in the list `name`. It holds nothing secret: the scope filters."""
    return urlsafe_b64encode(f"{name} {last}".encode()).decode().rstrip("=")


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
