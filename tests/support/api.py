"""What the tests of the HTTP interface say again and again."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from starlette.testclient import TestClient

TODOS: Final = "/api/v1/todos"
MEMBERS: Final = ["id", "title", "description", "is_completed", "created_at", "user_id"]

TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    422: "Unprocessable Content",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
"""The reason phrases of RFC 9110, section 15."""


class Response(Protocol):
    """What a client library's response and a raw one have in common."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    def json(self) -> Any: ...


def problem(response: Response, status: int, error_code: str) -> dict[str, Any]:
    """Return the body of a problem, once it is seen to be one in full: members, words, media type, request id."""
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["error_code"]) == (status, error_code), body
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"]
    extra = {"VALIDATION_ERROR": ["field_errors"], "SERVER_ERROR": ["request_id"]}.get(error_code, [])
    assert list(body) == ["type", "title", "status", "detail", "error_code", *extra]
    assert (body["type"], body["title"], body["status"]) == ("about:blank", TITLES[status], status)
    assert body["detail"]
    return body


def faults(response: Response) -> dict[str, str]:
    """Return the message for each field of a request that was not valid."""
    errors = problem(response, 422, "VALIDATION_ERROR")["field_errors"]
    assert errors
    assert all(list(error) == ["field", "message"] and all(error.values()) for error in errors)
    return {error["field"]: error["message"] for error in errors}


def create(client: TestClient, title: str = "Buy milk", **members: Any) -> dict[str, Any]:
    """Create a todo and return it."""
    response = client.post(TODOS, json={"title": title, **members})
    assert response.status_code == 201, response.text
    todo: dict[str, Any] = response.json()
    return todo


def listed(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    """Return the items of a page."""
    response = client.get(TODOS, params=query)
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items
