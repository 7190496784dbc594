"""What a feature raises, and what nobody foresaw, as the client reads it."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from api import faults, problem
from fastapi import APIRouter, FastAPI, HTTPException
from plugin_modules import module
from pydantic import BaseModel
from starlette.testclient import TestClient
from wire import ask

from todoservice import Conflict, InvalidRequest, NotFound, Problem, Settings, create_app

JSON = {"Content-Type": "application/json"}


class Note(BaseModel):
    """A body."""

    text: str


class Teapot(Problem):
    """A feature's own error."""

    status = 409
    error_code = "TEAPOT"
    default = "This is a teapot."


def router() -> APIRouter:
    """Return endpoints that fail, each in its way."""
    made = APIRouter()
    raised = {
        "conflict": Conflict(),
        "missing": NotFound(),
        "own-words": NotFound("There is no such note."),
        "own-problem": Teapot(hint="Pour"),
        "invalid": InvalidRequest(("query.q", "This is not a question")),
        "unauthenticated": HTTPException(401, headers={"WWW-Authenticate": "Bearer"}),
        "http-404": HTTPException(404, "There is no such note."),
        "http-422": HTTPException(422, "This note is too loud."),
        "http-418": HTTPException(418),
        "bug": RuntimeError("the secret cause\nforged line"),
    }
    for name, error in raised.items():
        made.add_api_route(f"/{name}", _raising(error))
    made.add_api_route("/chained", _chained)
    made.add_api_route("/length", _length, methods=["POST"])
    return made


def _raising(error: Exception) -> Callable[[], Any]:
    async def fail() -> None:
        raise error

    return fail


async def _chained() -> None:
    try:
        int("one")
    except ValueError as error:
        raise HTTPException(400, "Count in digits.") from error


async def _length(note: Note) -> int:
    return len(note.text)


@pytest.fixture
def failing(settings: Settings, user: UUID) -> Iterator[TestClient]:
    """Return the user's client of an app whose only feature fails."""
    app = create_app(settings, plugins=[module(todoservice_router=router)])
    with TestClient(app, headers={"X-User-ID": str(user)}) as client:
        yield client


def test_unauthenticated(failing: TestClient) -> None:
    """A refusal of the framework's own kind is a problem too, and keeps its challenge."""
    response = failing.get("/api/v1/notes/unauthenticated")
    problem(response, 401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"] == "Bearer"


def test_conflict(failing: TestClient) -> None:
    """What stands against the request is for the client to change."""
    body = problem(failing.get("/api/v1/notes/conflict"), 409, "CONFLICT")
    assert body["detail"] == "This contradicts what is already stored: change the request, or what it contradicts."


def test_server_error(failing: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """The client learns the request's id, and the log the cause."""
    with caplog.at_level(logging.ERROR, "todoservice"):
        response = failing.get("/api/v1/notes/bug", headers={"X-Request-ID": "mine-1"})
    body = problem(response, 500, "SERVER_ERROR")
    assert body["request_id"] == response.headers["x-request-id"] == "mine-1"
    assert body["detail"] == "The service failed to answer this request."
    assert "secret" not in response.text
    (record,) = caplog.records
    assert record.getMessage() == "GET '/api/v1/notes/bug' failed, request id mine-1"
    assert record.exc_info is not None
    assert "the secret cause" in str(record.exc_info[1])


def test_a_path_cannot_forge_the_log(failing: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """What the log quotes of a request stays on one line."""
    failing.app.router.add_api_route("/x{rest}", _raising(RuntimeError()))  # type: ignore[attr-defined]
    with caplog.at_level(logging.ERROR, "todoservice"):
        problem(ask(failing, "GET", "/x\nERROR: forged"), 500, "SERVER_ERROR")
    assert "\n" not in caplog.records[0].getMessage()


@pytest.mark.parametrize(
    ("name", "status", "code", "detail"),
    [
        ("missing", 404, "NOT_FOUND", "There is nothing here under that id."),
        ("own-words", 404, "NOT_FOUND", "There is no such note."),
        ("http-404", 404, "NOT_FOUND", "There is no such note."),
        ("chained", 400, "BAD_REQUEST", "Count in digits."),
    ],
)
def test_a_feature_has_words_of_its_own(failing: TestClient, name: str, status: int, code: str, detail: str) -> None:
    """What a feature says of its error is what the client reads."""
    assert problem(failing.get(f"/api/v1/notes/{name}"), status, code)["detail"] == detail


def test_a_feature_has_problems_of_its_own(failing: TestClient) -> None:
    """Its status, its code, its members."""
    response = failing.get("/api/v1/notes/own-problem")
    assert response.json() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "This is a teapot.",
        "error_code": "TEAPOT",
        "hint": "Pour",
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [("invalid", {"query.q": "This is not a question"}), ("http-422", {"request": "This note is too loud."})],
)
def test_a_feature_finds_faults_of_its_own(failing: TestClient, name: str, expected: dict[str, str]) -> None:
    """They are told as all others are."""
    assert faults(failing.get(f"/api/v1/notes/{name}")) == expected


def test_any_status_has_a_code(failing: TestClient) -> None:
    """The reason phrase in capitals, where the design names no other."""
    body = failing.get("/api/v1/notes/http-418").json()
    assert (body["status"], body["title"], body["error_code"]) == (418, "I'm a Teapot", "I_M_A_TEAPOT")


def identified_by(settings: Settings, dependency: Any) -> FastAPI:
    """Return the app with the failing feature, whose users a plugin identifies with `dependency`."""
    jwt = module("jwt", todoservice_user=lambda: dependency)
    return create_app(
        settings.model_copy(update={"max_body_size": 100}), plugins=[module(todoservice_router=router), jwt]
    )


@pytest.mark.parametrize("body", [b"{", b"\xff", b"{}", b'{"text": ' + b"x" * 101])
def test_who_is_asking_may_be_refused_as_the_framework_does(settings: Settings, body: bytes) -> None:
    """An identity that raises HTTPException answers before the body's faults, as a problem."""

    async def refuse() -> None:
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})

    with TestClient(identified_by(settings, refuse)) as client:
        response = client.post("/api/v1/notes/length", content=body, headers=JSON)
    problem(response, 401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "expected"),
    [
        ("POST", "/length", b'{"text": "note"}', 200, ["asked", "resumed"]),
        ("POST", "/length", b"{", 422, ["asked", "resumed"]),
        ("POST", "/length", b"\xff", 422, ["asked", "resumed"]),
        ("POST", "/length", b"{}", 422, ["asked", "resumed"]),
        ("POST", "/length", b"x" * 101, 413, ["asked", "resumed"]),
        ("GET", "/bug", b"", 500, ["asked", "resumed"]),
        ("GET", "/length", b"", 405, []),
        ("GET", "/nothing", b"", 404, []),
    ],
)
def test_an_identity_may_clean_up_after_itself(
    settings: Settings, method: str, path: str, body: bytes, status: int, expected: list[str]
) -> None:
    """One that yields runs once, and is resumed once, whatever the answer. Without a route it does not run."""
    steps: list[str] = []

    async def identify() -> AsyncIterator[UUID]:
        steps.append("asked")
        yield UUID(int=1)
        steps.append("resumed")

    with TestClient(identified_by(settings, identify)) as client:
        answer = client.request(method, f"/api/v1/notes{path}", content=body, headers=JSON)
        assert answer.status_code == status
    assert steps == expected


def test_a_problem_is_always_unicode() -> None:
    """Words that quote a lone surrogate are still JSON that every parser reads."""
    content = NotFound("No \ud800 here.").response().body
    assert b"No ? here." in bytes(content)
