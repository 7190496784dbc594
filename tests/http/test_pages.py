"""Pages of the list: newest first, every row once, whatever is written meanwhile."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from api import TODOS, create
from sqlmodel import Session
from starlette.testclient import TestClient
from todo_factories import TodoFactory

from todoservice.testing.factories import UserFactory


def store(session: Session, user: UUID, count: int) -> list[str]:
    """Store so many todos of the user's, and return their ids, newest first."""
    UserFactory.create(id=user)
    ids = [str(todo.id) for todo in TodoFactory.create_batch(count, user_id=user)]
    session.commit()
    return ids[::-1]


def pages(client: TestClient, **query: Any) -> Iterator[dict[str, Any]]:
    """Yield every page, each found by the cursor of the one before."""
    while True:
        page = client.get(TODOS, params=query).json()
        yield page
        if page["next_cursor"] is None:
            return
        query["cursor"] = page["next_cursor"]


def ids(page: dict[str, Any]) -> list[str]:
    """Return the ids of a page's items."""
    return [item["id"] for item in page["items"]]


def test_a_page_says_what_it_holds(session: Session, mine: TestClient, user: UUID) -> None:
    """Its items, their number, and the cursor of the next page."""
    newest, *_ = store(session, user, 2)
    page = mine.get(TODOS, params={"limit": 1}).json()
    assert list(page) == ["items", "count", "next_cursor"]
    assert (ids(page), page["count"]) == ([newest], 1)
    assert isinstance(page["next_cursor"], str)


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8, 1000])
def test_every_row_is_on_one_page(session: Session, mine: TestClient, user: UUID, limit: int) -> None:
    """Newest first, exactly once, and no page is empty: also where the last is full."""
    stored = store(session, user, 7)
    seen = list(pages(mine, limit=limit))
    assert [id_ for page in seen for id_ in ids(page)] == stored
    assert [page["count"] for page in seen] == [limit] * (7 // limit) + [7 % limit] * bool(7 % limit)


def test_rows_written_meanwhile_do_not_move_a_page(session: Session, mine: TestClient, user: UUID) -> None:
    """New rows come before the first page, deleted ones are missing, and nothing else changes."""
    stored = store(session, user, 6)
    seen = []
    for page in pages(mine, limit=2):
        seen += ids(page)
        create(mine, "Meanwhile")
        mine.delete(f"{TODOS}/{seen[-1]}")
    assert seen == stored


def test_a_cursor_outlives_its_row(session: Session, mine: TestClient, user: UUID) -> None:
    """The row that a page ended with may be gone by the next."""
    stored = store(session, user, 3)
    page = mine.get(TODOS, params={"limit": 1}).json()
    mine.delete(f"{TODOS}/{stored[0]}")
    assert ids(mine.get(TODOS, params={"cursor": page["next_cursor"]}).json()) == stored[1:]


def test_the_link_leads_to_the_next_page(session: Session, mine: TestClient, user: UUID) -> None:
    """It is this request with another cursor: the limit, and what else was asked, are kept."""
    stored = store(session, user, 3)
    response = mine.get(TODOS, params={"limit": 2, "colour": "dark red"})
    target = response.links["next"]["url"]
    assert target is not None
    parts = urlsplit(target)
    assert parts.path == TODOS
    assert parse_qs(parts.query) == {
        "colour": ["dark red"],
        "limit": ["2"],
        "cursor": [response.json()["next_cursor"]],
    }
    following = mine.get(target)
    assert ids(following.json()) == stored[2:]
    assert "link" not in following.headers


def test_the_last_page_has_no_next(session: Session, mine: TestClient, user: UUID) -> None:
    """Exactly as many rows as the limit are one page."""
    store(session, user, 2)
    response = mine.get(TODOS, params={"limit": 2})
    assert (response.json()["count"], response.json()["next_cursor"]) == (2, None)
    assert "link" not in response.headers


def test_a_page_has_at_most_a_thousand(session: Session, mine: TestClient, user: UUID) -> None:
    """That many, where no limit is asked for; the rest is on the next."""
    stored = store(session, user, 1001)
    first = mine.get(TODOS).json()
    assert (ids(first), first["count"]) == (stored[:1000], 1000)
    assert ids(mine.get(TODOS, params={"cursor": first["next_cursor"]}).json()) == stored[1000:]
    assert mine.get(TODOS, params={"limit": 1000}).json() == first


def test_a_limit_may_be_written_with_zeros(session: Session, mine: TestClient, user: UUID) -> None:
    """Decimal digits are a number, however many."""
    store(session, user, 2)
    assert mine.get(f"{TODOS}?limit=0001").json()["count"] == 1


def test_a_cursor_beyond_the_last_row(session: Session, mine: TestClient, user: UUID) -> None:
    """It gives an empty page, and no next one."""
    store(session, user, 2)
    page = mine.get(TODOS, params={"limit": 1}).json()
    for id_ in ids(mine.get(TODOS).json()):
        mine.delete(f"{TODOS}/{id_}")
    assert mine.get(TODOS, params={"cursor": page["next_cursor"]}).json() == {
        "items": [],
        "count": 0,
        "next_cursor": None,
    }
