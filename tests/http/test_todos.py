"""The five operations on todos."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from api import MEMBERS, TODOS, create, faults, listed, problem
from sqlmodel import Session
from starlette.testclient import TestClient
from todo_factories import TodoFactory
from todoservice_todos.models import Todo
from wire import ask

from todoservice.testing.factories import UserFactory


@pytest.fixture
def stored(session: Session, user: UUID) -> Todo:
    """Return a todo of the user's, with a value for every member."""
    UserFactory.create(id=user)
    todo = TodoFactory.create(user_id=user, title="Buy milk", description="Two litres", is_completed=True)
    session.commit()
    return todo


TEXTS = [
    "'; DROP TABLE todoservice.todos; --",
    "100% %s %(title)s :title ${title} {title} \\ \\\\ \\u0041",
    '"quoted" </script>',
    "tab\tline\nreturn\r\x01\x1b\x7f",
    "\u0645\u0631\u062d\u0628\u0627 \u202e\u05e9\u05dc\u05d5\u05dd",
    "👩‍👩‍👧‍👦 \U0010ffff \ufeff\ufffe\u2028",
    "e\u0301 \u00e9 \ufb01",
    "null",
]
"""Texts that come back as they were sent, whatever passes them on."""


def test_create_answers_with_the_todo(mine: TestClient, user: UUID) -> None:
    """A new todo has the members that were sent, the defaults of the others, and its owner."""
    response = mine.post(TODOS, json={"title": "Buy milk"})
    assert response.status_code == 201
    assert response.headers["content-type"] == "application/json"
    todo = response.json()
    assert list(todo) == MEMBERS
    assert (todo["title"], todo["description"], todo["is_completed"]) == ("Buy milk", None, False)
    assert todo["user_id"] == str(user)
    assert UUID(todo["id"]).version == 7


def test_create_takes_every_member(mine: TestClient) -> None:
    """Description and completion may be given at once."""
    todo = create(mine, "Buy milk", description="Two litres", is_completed=True)
    assert (todo["title"], todo["description"], todo["is_completed"]) == ("Buy milk", "Two litres", True)


def test_create_says_where_the_todo_is(mine: TestClient) -> None:
    """The header Location leads to the same bytes."""
    response = mine.post(TODOS, json={"title": "Buy milk"})
    assert response.headers["location"] == f"{TODOS}/{response.json()['id']}"
    assert mine.get(response.headers["location"]).content == response.content


def test_links_begin_where_the_service_is_mounted(mine: TestClient, user: UUID) -> None:
    """Behind a proxy's prefix (uvicorn's --root-path), what the service points to has the prefix too."""
    at: dict[str, Any] = {
        "root_path": "/tasks",
        "headers": [("X-User-ID", str(user)), ("Content-Type", "application/json")],
    }
    for _ in range(2):
        made = ask(mine, "POST", f"/tasks{TODOS}", body=b'{"title": "Buy milk"}', **at)
        assert made.headers["location"] == f"/tasks{TODOS}/{made.json()['id']}"
    page = ask(mine, "GET", f"/tasks{TODOS}", query=b"limit=1", **at)
    assert page.headers["link"].startswith(f"</tasks{TODOS}?limit=1&cursor=")


def test_create_strips_the_title(mine: TestClient) -> None:
    """White space at both ends is no part of a title, and does not count."""
    assert create(mine, "\u3000\t" + " " * 300 + "Buy  milk\u2028 \n")["title"] == "Buy  milk"


def test_create_keeps_the_description_as_it_is(mine: TestClient) -> None:
    """A description may begin with white space, and be empty."""
    assert create(mine, description="  two\n")["description"] == "  two\n"
    assert create(mine, description="")["description"] == ""


@pytest.mark.parametrize("text", TEXTS)
def test_texts_come_back_as_they_were_sent(mine: TestClient, text: str) -> None:
    """Every operation answers with the characters that were given, but for what the title is stripped of."""
    todo = create(mine, f"<{text}>", description=text)
    assert (todo["title"], todo["description"]) == (f"<{text}>", text)
    assert mine.patch(f"{TODOS}/{todo['id']}", json={"description": text}).json() == todo
    assert mine.get(f"{TODOS}/{todo['id']}").json() == todo
    assert listed(mine) == [todo]


def test_lengths_count_characters(mine: TestClient) -> None:
    """255 and 2000 characters of four bytes each are taken."""
    todo = create(mine, "😀" * 255, description="😀" * 2000)
    assert (todo["title"], todo["description"]) == ("😀" * 255, "😀" * 2000)


@pytest.mark.parametrize(
    "media_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json"]
)
def test_json_is_read_under_all_its_names(mine: TestClient, media_type: str) -> None:
    """Parameters, case and the suffix +json make no difference."""
    response = mine.post(TODOS, content=b'{"title": "Buy milk"}', headers={"Content-Type": media_type})
    assert response.status_code == 201


def test_an_empty_list(mine: TestClient) -> None:
    """A user who has written nothing has an empty page, and no next one."""
    response = mine.get(TODOS)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.content == b'{"items":[],"count":0,"next_cursor":null}'
    assert "link" not in response.headers


def test_the_list_is_newest_first(mine: TestClient) -> None:
    """The todo created last comes first."""
    todos = [create(mine, f"Todo {number}") for number in range(3)]
    assert listed(mine) == todos[::-1]


def test_the_list_goes_by_the_time_of_creation(session: Session, mine: TestClient, user: UUID) -> None:
    """A todo that says it is older comes later, whenever it was stored."""
    UserFactory.create(id=user)
    years = [2023, 2025, 2024]
    for year in years:
        TodoFactory.create(user_id=user, created_at=datetime(year, 5, 17, 9, 30, 0, 123456, UTC))
    session.commit()
    created = [f"{year}-05-17T09:30:00.123456Z" for year in sorted(years, reverse=True)]
    assert [todo["created_at"] for todo in listed(mine)] == created


def test_retrieve(mine: TestClient, stored: Todo, user: UUID) -> None:
    """A todo is retrieved by its id."""
    response = mine.get(f"{TODOS}/{stored.id}")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "id": str(stored.id),
        "title": "Buy milk",
        "description": "Two litres",
        "is_completed": True,
        "created_at": stored.created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "user_id": str(user),
    }


def test_an_id_may_be_in_capitals(mine: TestClient, stored: Todo) -> None:
    """Hexadecimal digits are read in either case."""
    assert mine.get(f"{TODOS}/{str(stored.id).upper()}").json()["id"] == str(stored.id)


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Buy oat milk"},
        {"description": "One litre"},
        {"description": None},
        {"is_completed": False},
        {"title": "Drink milk", "description": None, "is_completed": False},
    ],
)
def test_update_changes_what_it_names(mine: TestClient, stored: Todo, change: dict[str, object]) -> None:
    """Members that are absent are kept, and null clears the description."""
    before = mine.get(f"{TODOS}/{stored.id}").json()
    response = mine.patch(f"{TODOS}/{stored.id}", json=change)
    assert response.status_code == 200
    assert response.json() == before | change
    assert mine.get(f"{TODOS}/{stored.id}").content == response.content


def test_update_of_nothing(mine: TestClient, stored: Todo) -> None:
    """An empty object changes nothing and answers with the todo."""
    before = mine.get(f"{TODOS}/{stored.id}")
    response = mine.patch(f"{TODOS}/{stored.id}", json={})
    assert (response.status_code, response.content) == (200, before.content)


@pytest.mark.parametrize("member", ["title", "is_completed"])
def test_update_clears_the_description_only(mine: TestClient, stored: Todo, member: str) -> None:
    """Title and completion always have a value."""
    assert list(faults(mine.patch(f"{TODOS}/{stored.id}", json={member: None}))) == [f"body.{member}"]


@pytest.mark.parametrize("member", ["id", "user_id", "created_at"])
def test_update_leaves_the_rest_alone(mine: TestClient, stored: Todo, member: str) -> None:
    """A todo keeps its id, its owner and its time for life."""
    value = mine.get(f"{TODOS}/{stored.id}").json()[member]
    assert list(faults(mine.patch(f"{TODOS}/{stored.id}", json={member: value}))) == [f"body.{member}"]


def test_the_last_write_wins(mine: TestClient, stored: Todo) -> None:
    """Updates follow each other, whatever the todo was before."""
    for title in ("first", "second", "first"):
        mine.patch(f"{TODOS}/{stored.id}", json={"title": title})
    assert mine.get(f"{TODOS}/{stored.id}").json()["title"] == "first"


def test_delete(mine: TestClient, stored: Todo) -> None:
    """A deleted todo is gone for good, and the answer has no body."""
    kept = create(mine)
    response = mine.delete(f"{TODOS}/{stored.id}")
    assert (response.status_code, response.content) == (204, b"")
    assert "content-type" not in response.headers
    assert listed(mine) == [kept]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_what_is_deleted_is_not_found(mine: TestClient, stored: Todo, method: str) -> None:
    """A second delete finds nothing, as every other operation does."""
    mine.delete(f"{TODOS}/{stored.id}")
    body = {"title": "again"} if method == "PATCH" else None
    problem(mine.request(method, f"{TODOS}/{stored.id}", json=body), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    "missing",
    [
        "01a20252-8df9-7b16-ace2-194a03e886b7",
        "9f0c3ab2-1f5e-4c7e-9d2f-6a1b7c1de001",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ],
)
def test_any_uuid_may_be_asked_for(mine: TestClient, missing: str) -> None:
    """An id that nobody ever had is not found."""
    problem(mine.get(f"{TODOS}/{missing}"), 404, "NOT_FOUND")
