"""Pages of the list: newest first, every row once, whatever is written meanwhile."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import psycopg2
import pytest
import todoservice_todos
from api import TODOS, create, problem
from fastapi import APIRouter, Response
from plugin_modules import module
from sqlalchemy import select
from sqlmodel import Session, col
from starlette.testclient import TestClient
from todo_factories import TodoFactory
from todoservice_todos import Todo

from todoservice import CurrentPage, CurrentScope, Id, Queries, Settings, create_app, param, uuid7
from todoservice.shapes import SEPARATOR
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


def test_a_row_may_hold_what_stands_between_rows(mine: TestClient) -> None:
    """The control character that PostgreSQL puts there, and what looks like the next row, with wide letters."""
    titles = ["a\x1eb", '\x1e{"id":"', '"},{"id":"\U0001f95b"}', "\\\x1e\\", ",\x1e,"]
    made = [create(mine, title) for title in titles][::-1]
    for limit in range(1, len(made) + 1):
        assert [item for page in pages(mine, limit=limit) for item in page["items"]] == made


def test_no_json_holds_what_stands_between_rows(server_url: str) -> None:
    """Nor can a column of the type `json`, which keeps white space as it was written."""
    with closing(psycopg2.connect(server_url)) as connection, connection.cursor() as cursor:
        for text in (f'["a{SEPARATOR}"]', f"[1,{SEPARATOR} 2]", SEPARATOR):
            with pytest.raises(psycopg2.errors.InvalidTextRepresentation, match="invalid input syntax for type json"):
                cursor.execute("SELECT CAST(%s AS json)", [text])
            connection.rollback()
        cursor.execute("SELECT CAST(row_to_json(item) AS text) FROM (SELECT chr(30) AS text) AS item")
        assert cursor.fetchone() == ('{"text":"\\u001e"}',)


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


class Older(Queries):
    """The todos that came before one."""

    todo = select(Todo).where(col(Todo.id) == param("id"))
    list_older = (
        select(Todo)
        .where(col(Todo.id) < param("id"), col(Todo.id) < param("before"))
        .order_by(col(Todo.id).desc())
        .limit(param("limit"))
    )
    list_all = (
        select(Todo).where(col(Todo.id) < param("before"), param("limit") > 0).order_by(col(Todo.id).desc())
    )  # fmt: skip


@pytest.fixture
def older(settings: Settings, user: UUID) -> Iterator[TestClient]:
    """Return the user's client of a service that lists the todos before one."""
    router = APIRouter()

    @router.get("/{id}")
    async def list_older(id: Id, page: CurrentPage, scope: CurrentScope) -> Response:
        return await scope.page_json(Older.list_older, page, of=Older.todo, id=id)

    @router.get("")
    async def list_all(page: CurrentPage, scope: CurrentScope) -> Response:
        return await scope.page_json(Older.list_all, page)

    @router.get("/{id}/undeclared")
    async def list_of_undeclared(id: Id, page: CurrentPage, scope: CurrentScope) -> Response:
        return await scope.page_json(Older.list_older, page, of=select(Todo), id=id)

    plugin = module("older", todoservice_router=router, todoservice_queries=Older)
    app = create_app(settings, plugins=[todoservice_todos, plugin])
    with TestClient(app, headers={"X-User-ID": str(user)}) as client:
        yield client


def test_a_list_that_belongs_to_a_row_comes_in_pages(session: Session, older: TestClient, user: UUID) -> None:
    """An empty list of a row that is there is no list that is not there."""
    newest, *rest = store(session, user, 3)
    first = older.get(f"/api/v1/older/{newest}", params={"limit": 1})
    last = older.get(first.links["next"]["url"])
    assert [ids(first.json()), ids(last.json())] == [[id_] for id_ in rest]
    assert older.get(f"/api/v1/older/{rest[-1]}").json() == {"items": [], "count": 0, "next_cursor": None}


def test_a_list_that_has_no_limit_comes_in_pages(session: Session, older: TestClient, user: UUID) -> None:
    """Its statement finds more rows than a page and one: they are left out."""
    stored = store(session, user, 7)
    seen, query = [], {"limit": "3"}
    for count in (3, 3, 1):
        page = older.get("/api/v1/older", params=query).json()
        assert (page["count"], len(page["items"])) == (count, count)
        seen += ids(page)
        query["cursor"] = page["next_cursor"]
    assert seen == stored


def test_a_list_that_belongs_to_a_row_of_another(
    session: Session, older: TestClient, user: UUID, other_user: UUID
) -> None:
    """Is not there, in the words for a row that nobody has."""
    store(session, user, 2)
    theirs, *_ = store(session, other_user, 1)
    answers = [older.get(f"/api/v1/older/{id_}") for id_ in (theirs, uuid7())]
    assert [problem(answer, 404, "NOT_FOUND")["detail"] for answer in answers] == [
        "There is nothing here under that id."
    ] * 2


def test_what_a_list_belongs_to_is_declared(older: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """As the list itself is; the log says so."""
    problem(older.get(f"/api/v1/older/{uuid7()}/undeclared"), 500, "SERVER_ERROR")
    assert "a page needs a statement declared in Queries" in caplog.text
