"""The errors that a client makes, in their exact words, and which of several answers."""

from uuid import UUID

import pytest
from api import TODOS, faults, listed, problem
from starlette.testclient import TestClient
from wire import ask

from todoservice import Settings, create_app

MISSING = "01a20252-8df9-7b16-ace2-194a03e886b7"
JSON = ("Content-Type", "application/json")


def test_missing_user_context(client: TestClient) -> None:
    """Without the header nobody is asking."""
    assert problem(client.get(TODOS), 400, "MISSING_USER_CONTEXT") == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "Say who is asking: send the header X-User-ID with the id of a user, a UUID.",
        "error_code": "MISSING_USER_CONTEXT",
    }


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [TODOS, f"{TODOS}/{MISSING}"])
def test_every_operation_asks_who_is_asking(client: TestClient, method: str, path: str) -> None:
    """No operation answers, with a valid body or not, where the header is missing."""
    allowed = {"GET", "POST"} if path == TODOS else {"GET", "PATCH", "DELETE"}
    if method in allowed:
        problem(client.request(method, path), 400, "MISSING_USER_CONTEXT")
        problem(client.request(method, path, json={"title": "Buy milk"}), 400, "MISSING_USER_CONTEXT")
    else:
        problem(client.request(method, path), 405, "METHOD_NOT_ALLOWED")


def test_invalid_user_context(client: TestClient) -> None:
    """A header that is no UUID is told what one is."""
    assert problem(client.get(TODOS, headers={"X-User-ID": "ada"}), 400, "INVALID_USER_CONTEXT") == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "Send exactly one header X-User-ID, a UUID written as 8-4-4-4-12 hexadecimal digits.",
        "error_code": "INVALID_USER_CONTEXT",
    }


def test_validation_error(mine: TestClient) -> None:
    """Each member at fault is named, with its fault."""
    response = mine.post(TODOS, json={"title": " ", "is_completed": "yes", "colour": "red"})
    assert response.json()["detail"] == "The request is not valid: see field_errors."
    assert faults(response) == {
        "body.title": "String should have at least 1 character",
        "body.is_completed": "Input should be a valid boolean",
        "body.colour": "Extra inputs are not permitted",
    }


def test_validation_errors_are_not_endless(mine: TestClient) -> None:
    """A body of many faults is answered with the first hundred, and with their number."""
    body = problem(mine.post(TODOS, json=dict.fromkeys(map(str, range(250)))), 422, "VALIDATION_ERROR")
    assert len(body["field_errors"]) == 100
    assert body["detail"] == "The request is not valid: see field_errors, the first 100 of 251 faults."


def test_not_found(mine: TestClient) -> None:
    """An id under which the user has nothing."""
    assert problem(mine.get(f"{TODOS}/{MISSING}"), 404, "NOT_FOUND") == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing here under that id.",
        "error_code": "NOT_FOUND",
    }


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1", "/api/v2/todos", "/todos", f"{TODOS}/", f"//{TODOS}", f"{TODOS}/{MISSING}/", "*"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_an_unknown_path(client: TestClient, method: str, path: str) -> None:
    """It is not found, whoever asks and however: no redirect, no list of methods."""
    body = problem(ask(client, method, path), 404, "NOT_FOUND")
    assert body["detail"] == "There is nothing at this path."


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (TODOS, {"GET", "POST"}),
        (f"{TODOS}/{MISSING}", {"DELETE", "GET", "PATCH"}),
        (f"{TODOS}/no-uuid", {"DELETE", "GET", "PATCH"}),
        ("/healthz", {"GET"}),
        ("/readyz", {"GET"}),
        ("/openapi.json", {"GET", "HEAD"}),
    ],
)
@pytest.mark.parametrize(
    "method", ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY", "get", "\u00c9"]
)
def test_method_not_allowed(client: TestClient, path: str, allowed: set[str], method: str) -> None:
    """A method that a path does not take is told all that it does."""
    if method in allowed:
        return
    response = ask(client, method, path)
    body = problem(response, 405, "METHOD_NOT_ALLOWED")
    assert body["detail"] == "This method is not allowed here: see the header Allow."
    assert response.headers["allow"] == ", ".join(sorted(allowed))


def test_body_too_large(mine: TestClient) -> None:
    """A body of more than 1 MiB is refused, and nothing of it is stored."""
    response = mine.post(TODOS, content=b'{"title": "Buy milk"}' + b" " * 2**20, headers=dict([JSON]))
    body = problem(response, 413, "BODY_TOO_LARGE")
    assert body["detail"] == "The body of this request is too large: send less."
    assert listed(mine) == []


@pytest.mark.parametrize("length", [2**20, 2**20 + 1])
@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("announced", [True, False])
def test_the_limit_of_a_body(mine: TestClient, user: UUID, length: int, pieces: int, announced: bool) -> None:
    """1 MiB is taken and a byte more is not, in one piece or several, announced or not."""
    body = b'{"title": "Buy milk"}'.ljust(length)
    size = -(-length // pieces)
    headers = [JSON, ("X-User-ID", str(user)), *[("Content-Length", str(length))] * announced]
    chunks = [body[start : start + size] for start in range(0, length, size)]
    answer = ask(mine, "POST", TODOS, headers=headers, body=chunks)
    assert answer.status_code == (201 if length == 2**20 else 413)
    assert len(listed(mine)) == (1 if length == 2**20 else 0)


@pytest.mark.parametrize("length", ["1048577", "9" * 19, "9" * 30, "9" * 5000])
def test_a_body_is_refused_as_it_is_announced(mine: TestClient, user: UUID, length: str) -> None:
    """Nobody waits for a body that will be too large."""
    headers = [JSON, ("X-User-ID", str(user)), ("Content-Length", length)]
    problem(ask(mine, "POST", TODOS, headers=headers, body=b"{}"), 413, "BODY_TOO_LARGE")


def test_an_operator_sets_the_limit(database_url: str, user: UUID) -> None:
    """TODOSERVICE_MAX_BODY_SIZE is in bytes."""
    settings = Settings.load({"neon_database_url": database_url, "max_body_size": 20})
    with TestClient(create_app(settings), headers={"X-User-ID": str(user)}) as client:
        assert client.post(TODOS, content=b'{"title": "12345678"', headers=dict([JSON])).status_code == 422
        assert client.post(TODOS, content=b'{"title": "12345678"}', headers=dict([JSON])).status_code == 413


LARGE = b'{"title": "' + b"x" * 2**20


@pytest.mark.parametrize(
    ("method", "path", "user_header", "body", "status"),
    [
        ("GET", "/api/v1/nothing", None, LARGE, 404),
        ("PUT", TODOS, None, LARGE, 405),
        ("PUT", f"{TODOS}/no-uuid", "ada", LARGE, 405),
        ("POST", TODOS, None, LARGE, 400),
        ("POST", TODOS, "ada", LARGE, 400),
        ("POST", TODOS, "ada", b"{", 400),
        ("POST", TODOS, None, b"{", 400),
        ("POST", TODOS, None, b"\xff", 400),
        ("POST", TODOS, None, b"[" * 100_000, 400),
        ("POST", TODOS, None, b"{}", 400),
        ("PATCH", f"{TODOS}/no-uuid", None, b"{}", 400),
        ("GET", f"{TODOS}?limit=0", None, b"", 400),
        ("GET", f"{TODOS}?limit=1&limit=2", None, b"", 400),
        ("GET", f"{TODOS}?cursor=x", None, b"", 400),
        ("PATCH", f"{TODOS}/no-uuid", "01a20252-8df9-7b16-ace2-194a03e886b7", LARGE, 413),
        ("PATCH", f"{TODOS}/no-uuid", "01a20252-8df9-7b16-ace2-194a03e886b7", b"{}", 422),
        ("PATCH", f"{TODOS}/{MISSING}", "01a20252-8df9-7b16-ace2-194a03e886b7", b'{"title": ""}', 422),
        ("PATCH", f"{TODOS}/{MISSING}", "01a20252-8df9-7b16-ace2-194a03e886b7", b"{}", 404),
    ],
)
def test_the_first_of_several_faults_answers(
    client: TestClient, method: str, path: str, user_header: str | None, body: bytes, status: int
) -> None:
    """Path or method, then who is asking, the body's size, whether the request is valid, and last what is there."""
    headers = dict([JSON]) | ({"X-User-ID": user_header} if user_header else {})
    response = client.request(method, path, content=body, headers=headers)
    assert response.status_code == status
    problem(response, status, response.json()["error_code"])
