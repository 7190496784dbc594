"""The header X-Request-ID: one for every response, the client's own where it is fit for a log."""

import re
from uuid import UUID

import pytest
from api import TODOS
from starlette.testclient import TestClient
from wire import Header, ask

OWN = re.compile("[0-9a-f]{32}")
VALID = ["a", "0", "x" * 128, "01a20252-8df9-7b16-ace2-194a03e886b7", "A.b_c~d-9"]
INVALID = [
    "",
    " ",
    "x" * 129,
    "a b",
    "a,b",
    "a/b",
    "a=b",
    'a"b',
    "a%20b",
    "a\r\nX-Forged: 1",
    "a\nb",
    "a\n",
    "a\0",
    "\x1b[31ma",
    "\xe9",
    "{a}",
    "<a>",
]


def ids(client: TestClient, *sent: str) -> list[str]:
    """Return the ids of the answer to a request with these."""
    headers: list[Header] = [("X-Request-ID", value) for value in sent]
    return ask(client, "GET", "/healthz", headers=headers).headers.getlist("x-request-id")


def test_a_request_without_an_id_is_given_one(client: TestClient) -> None:
    """128 random bits, and others for each request."""
    (first,), (second,) = ids(client), ids(client)
    assert OWN.fullmatch(first)
    assert first != second


@pytest.mark.parametrize("value", VALID, ids=lambda value: value[:20])
def test_a_valid_id_is_kept(client: TestClient, value: str) -> None:
    """1 to 128 unreserved characters come back as they were sent."""
    assert ids(client, value) == [value]


@pytest.mark.parametrize("value", INVALID, ids=lambda value: ascii(value[:20]))
def test_an_invalid_id_is_replaced(client: TestClient, value: str) -> None:
    """What could forge a line of the log, or fill it, is not repeated."""
    (given,) = ids(client, value)
    assert OWN.fullmatch(given)


def test_two_ids_are_none(client: TestClient) -> None:
    """Of two, neither is taken."""
    (given,) = ids(client, "a", "b")
    assert OWN.fullmatch(given)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/docs", 200),
        ("GET", TODOS, 200),
        ("POST", TODOS, 422),
        ("PUT", TODOS, 405),
        ("GET", "/nothing", 404),
    ],
)
def test_every_response_has_the_id(mine: TestClient, method: str, path: str, status: int) -> None:
    """Success or error, a feature's or the host's own."""
    response = mine.request(method, path, headers={"X-Request-ID": "mine-1"})
    assert (response.status_code, response.headers.get_list("x-request-id")) == (status, ["mine-1"])


def test_no_cache_keeps_an_answer(client: TestClient, user: UUID) -> None:
    """A shared one would give it to another user."""
    for path in (TODOS, "/healthz", "/nothing"):
        assert client.get(path, headers={"X-User-ID": str(user)}).headers["Cache-Control"] == "no-store"
