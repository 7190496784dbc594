"""Several hundred malformed requests: each is answered with a problem, never a 500, and leaves nothing behind."""

import json
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from api import TODOS, create, faults, listed, problem
from malformed import CURSORS, ID, LIMITS, MEDIA_TYPES, METHODS, NOT_USERS, NOT_UUIDS, ODD, PATHS, QUERIES
from malformed_bodies import MEMBERS, NOT_AN_OBJECT, NOT_JSON, RAW_MEMBERS, UNKNOWN
from starlette.testclient import TestClient
from wire import Answer, Header, ask


@pytest.fixture
def headers(user: UUID) -> list[Header]:
    """Return what a request with a body needs."""
    return [("X-User-ID", str(user)), ("Content-Type", "application/json")]


def write(client: TestClient, method: str, headers: list[Header], body: bytes) -> Answer:
    """Create or update with a body that must be refused."""
    path = TODOS if method == "POST" else f"{TODOS}/{ID}"
    return ask(client, method, path, headers=headers, body=body)


def cases(table: dict[str, Any]) -> Any:
    """Return a table as parameters, named."""
    return [pytest.param(value, id=name) for name, value in table.items()]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("body", cases(NOT_JSON))
def test_a_body_that_is_no_json(mine: TestClient, headers: list[Header], method: str, body: bytes) -> None:
    """The body is named as a whole, in our words."""
    (message,) = [faults(write(mine, method, headers, body))["body"]]
    assert message.startswith("This ")
    assert listed(mine) == []


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("body", cases(NOT_AN_OBJECT))
def test_a_body_that_is_no_object(mine: TestClient, headers: list[Header], method: str, body: bytes) -> None:
    """Any other JSON is told what it should have been."""
    assert faults(write(mine, method, headers, body)) == {"body": "Input should be an object"}
    assert listed(mine) == []


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_body_that_is_missing(mine: TestClient, headers: list[Header], method: str) -> None:
    """To create or update takes a body."""
    assert faults(write(mine, method, headers, b"")) == {"body": "Field required"}


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("fault", cases(MEMBERS))
def test_a_member_at_fault(mine: TestClient, headers: list[Header], method: str, fault: tuple[str, Any]) -> None:
    """It is named, and it alone."""
    name, value = fault
    body = json.dumps(({"title": "Buy milk"} if method == "POST" else {}) | {name: value})
    assert list(faults(write(mine, method, headers, body.encode()))) == [f"body.{name}"]
    assert listed(mine) == []


@pytest.mark.parametrize("name", UNKNOWN, ids=lambda name: ascii(name[:20]))
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_an_unknown_member(mine: TestClient, headers: list[Header], method: str, name: str) -> None:
    """A member that a todo does not have is refused, not passed over."""
    body = json.dumps({"title": "Buy milk", name: "x"}).encode()
    assert faults(write(mine, method, headers, body)) == {f"body.{name}": "Extra inputs are not permitted"}
    assert listed(mine) == []


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("case", cases(RAW_MEMBERS))
def test_a_member_that_few_can_write(
    mine: TestClient, headers: list[Header], method: str, case: tuple[bytes, str]
) -> None:
    """What most JSON libraries never send is refused all the same."""
    body, field = case
    assert list(faults(write(mine, method, headers, body))) == [field]
    assert listed(mine) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Field required"),
        ({"title": ""}, "String should have at least 1 character"),
        ({"title": "\u2003"}, "String should have at least 1 character"),
        ({"title": "a" * 256}, "String should have at most 255 characters"),
        ({"title": "a\0"}, "The character U+0000 cannot be stored"),
        ({"title": 1}, "Input should be a valid string"),
    ],
)
def test_the_words_for_a_title(mine: TestClient, body: dict[str, Any], message: str) -> None:
    """They say what a title should be, and come from the schema and not from the database."""
    assert faults(mine.post(TODOS, json=body)) == {"body.title": message}


@pytest.mark.parametrize("media_type", MEDIA_TYPES, ids=ascii)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_body_of_another_media_type(mine: TestClient, user: UUID, method: str, media_type: str | None) -> None:
    """JSON that does not say it is JSON is not read."""
    headers: list[Header] = [("X-User-ID", str(user))]
    headers += [("Content-Type", media_type)] if media_type is not None else []
    message = "This was not read: send JSON, and say so with Content-Type: application/json"
    assert faults(write(mine, method, headers, b'{"title": "Buy milk"}')) == {"body": message}
    assert listed(mine) == []


def test_several_faults_are_told_at_once(mine: TestClient) -> None:
    """In body, path and query alike."""
    response = mine.patch(f"{TODOS}/1", json={"title": "", "description": 1})
    assert list(faults(response)) == ["path.id", "body.title", "body.description"]


@pytest.mark.parametrize("text", NOT_UUIDS, ids=lambda text: ascii(text[:60]))
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_id_that_is_no_uuid(mine: TestClient, headers: list[Header], method: str, text: str) -> None:
    """Ids are read in the 8-4-4-4-12 form only."""
    answer = ask(mine, method, f"{TODOS}/{text}", headers=headers, body=b"{}")
    assert faults(answer) == {"path.id": "A UUID is written as 8-4-4-4-12 hexadecimal digits"}


@pytest.mark.parametrize("text", ["a/b", f"{ID}/", f"/{ID}", f"{ID}/title", "/", "../todos"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_slash_is_never_a_part_of_an_id(mine: TestClient, headers: list[Header], method: str, text: str) -> None:
    """Encoded or not, it makes another path, where there is nothing."""
    problem(ask(mine, method, f"{TODOS}/{text}", headers=headers, body=b"{}"), 404, "NOT_FOUND")


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: ascii(limit[:40]))
def test_a_limit_that_is_none(mine: TestClient, headers: list[Header], limit: bytes) -> None:
    """A limit is given once, in decimal digits, from 1 to 1000."""
    assert list(faults(ask(mine, "GET", TODOS, query=b"limit=" + limit, headers=headers))) == ["query.limit"]


@pytest.mark.parametrize("text", CURSORS, ids=lambda text: ascii(text[:40]))
def test_a_cursor_that_is_none(mine: TestClient, headers: list[Header], text: bytes) -> None:
    """A cursor is given once, and as this list gave it: in no other form, and of no other list."""
    create(mine)
    answer = ask(mine, "GET", TODOS, query=b"cursor=" + text, headers=headers)
    assert list(faults(answer)) == ["query.cursor"]


@pytest.mark.parametrize("value", NOT_USERS, ids=lambda value: ascii(value[:40]))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_user_that_is_none(client: TestClient, method: str, value: str) -> None:
    """The header X-User-ID is a UUID in the 8-4-4-4-12 form."""
    answer = ask(client, method, TODOS, headers=[("X-User-ID", value)])
    problem(answer, 400, "INVALID_USER_CONTEXT")


@pytest.mark.parametrize("second", [ID, "9f0c3ab2-1f5e-4c7e-9d2f-6a1b7c1de001", "", "ada"])
@pytest.mark.parametrize("order", [1, -1])
def test_two_users_at_once(client: TestClient, second: str, order: int) -> None:
    """A header that is given twice is refused, also where both say the same."""
    given: list[Header] = [("X-User-ID", ID), ("X-User-ID", second)]
    problem(ask(client, "GET", TODOS, headers=given[::order]), 400, "INVALID_USER_CONTEXT")


@pytest.mark.parametrize("value", [f" {ID}", f"{ID} ", f"\t{ID} \t"])
def test_white_space_around_a_header(client: TestClient, value: str) -> None:
    """It is no part of the value, whether the server takes it off or leaves it there."""
    assert ask(client, "GET", TODOS, headers=[("X-User-ID", value)]).status_code == 200


@pytest.mark.parametrize("odd", cases(ODD))
def test_odd_headers_do_no_harm(mine: TestClient, headers: list[Header], odd: list[Header]) -> None:
    """What the service does not read, it does not stumble over: a todo is created, its place and the next page told."""
    for number in range(2):
        body = json.dumps({"title": f"Todo {number}"}).encode()
        made = ask(mine, "POST", TODOS, headers=[*headers, *odd], body=body)
        assert made.status_code == 201
        assert made.headers["location"] == f"{TODOS}/{made.json()['id']}"
    page = ask(mine, "GET", TODOS, query=b"limit=1", headers=[*headers, *odd])
    assert (page.status_code, page.json()["count"]) == (200, 1)
    assert page.headers["link"].startswith(f"<{TODOS}?limit=1&cursor=")


@pytest.mark.parametrize("query", QUERIES, ids=ascii)
def test_odd_queries_do_no_harm(mine: TestClient, headers: list[Header], query: bytes) -> None:
    """What is no parameter of ours is kept in the link to the next page, in ASCII and on one line."""
    made = ask(mine, "POST", TODOS, query=query, headers=headers, body=b'{"title": "Buy milk"}')
    assert (made.status_code, made.headers["location"]) == (201, f"{TODOS}/{made.json()['id']}")
    create(mine)
    link = ask(mine, "GET", TODOS, query=query + b"&limit=1", headers=headers).headers["link"]
    assert link.isascii()
    assert link.isprintable()
    following = link[link.index("?") + 1 : link.index(">")].encode()
    assert ask(mine, "GET", TODOS, query=following, headers=headers).json()["items"][0]["id"] == made.json()["id"]


@pytest.mark.parametrize(("method", "path"), list(product(METHODS, PATHS)), ids=lambda text: ascii(text[:20]))
def test_no_such_place(client: TestClient, method: str, path: str) -> None:
    """Whatever is asked of a path that is none, there is nothing at it."""
    problem(ask(client, method, path), 404, "NOT_FOUND")


@pytest.mark.parametrize("body", [b"", b"{", b'{"title": "Buy milk"}'])
def test_a_body_that_breaks_off(
    mine: TestClient, headers: list[Header], caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    """A client that leaves in the middle of its body has created nothing, and is no news for the log."""
    answer = ask(mine, "POST", TODOS, headers=headers, body=body, broken_off=True)
    assert answer.status_code == 400
    assert listed(mine) == []
    assert caplog.records == []
