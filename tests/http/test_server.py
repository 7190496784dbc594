"""The service behind uvicorn, over a real socket: what no client library sends, and clients at the worst time."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg2
import pytest
import uvicorn
from api import TODOS, problem
from sqlalchemy import make_url
from wire import Connection, request

from todoservice import Settings, create_app, uuid7

JSON = "Content-Type: application/json"
MILK = b'{"title": "Buy milk"}'


class Server(uvicorn.Server):
    """uvicorn on a port of its own, on a thread of its own, for a `with` block."""

    def __enter__(self) -> int:
        self._thread = threading.Thread(target=self.run)
        self._thread.start()
        while not self.started and self._thread.is_alive():
            time.sleep(0.01)
        assert self.started
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port

    def __exit__(self, *_: object) -> None:
        self.should_exit = True
        self._thread.join()


@pytest.fixture(scope="module", params=[("h11", "asyncio"), ("httptools", "uvloop")], ids="-".join)
def port(request: pytest.FixtureRequest, database_url: str) -> Iterator[int]:
    """Return the port of a server, once with each parser and each loop that uvicorn may choose."""
    parser, loop = request.param
    pytest.importorskip(parser)
    app = create_app(Settings.load({"neon_database_url": database_url, "pool_size": 5}))
    config = uvicorn.Config(app, port=0, http=parser, loop=loop, ws="none", log_config=None, timeout_keep_alive=60)
    with Server(config) as port:
        yield port


@pytest.fixture
def connection(port: int) -> Iterator[Connection]:
    """Return a connection to the server."""
    with Connection(port) as connection:
        yield connection


@pytest.fixture
def me(user: UUID) -> str:
    """Return the header that says who is asking."""
    return f"X-User-ID: {user}"


def titles(connection: Connection, me: str) -> list[str]:
    """Return the titles of the user's todos."""
    answer = connection.ask(request("GET", TODOS, me))
    assert answer.status_code == 200
    return [item["title"] for item in answer.json()["items"]]


def test_the_five_operations(connection: Connection, me: str) -> None:
    """On one connection, each answer in its place."""
    created = connection.ask(request("POST", TODOS, me, JSON, body=MILK))
    url = created.headers["location"]
    assert created.status_code == 201
    assert connection.ask(request("GET", url, me)).content == created.content
    changed = connection.ask(request("PATCH", url, me, JSON, body=b'{"is_completed": true}'))
    assert changed.json() == created.json() | {"is_completed": True}
    assert connection.ask(request("GET", TODOS, me)).json()["items"] == [changed.json()]
    deleted = connection.ask(request("DELETE", url, me))
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert "content-type" not in deleted.headers
    problem(connection.ask(request("GET", url, me)), 404, "NOT_FOUND")


def test_fifty_at_once(port: int) -> None:
    """More clients than connections to the database, of several users: each gets what is theirs."""
    users = [f"X-User-ID: {uuid7()}" for _ in range(5)]

    def work(number: int) -> Any:
        with Connection(port) as connection:
            body = b'{"title": "%d"}' % number
            created = connection.ask(request("POST", TODOS, users[number % 5], JSON, body=body))
            return connection.ask(request("GET", created.headers["location"], users[number % 5])).json()["title"]

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(work, range(50))) == [str(number) for number in range(50)]
    with Connection(port) as connection:
        for place, user in enumerate(users):
            assert sorted(map(int, titles(connection, user))) == list(range(place, 50, 5))


def test_requests_in_a_row(connection: Connection, me: str) -> None:
    """Several sent at once on one connection are answered in turn."""
    other = f"X-User-ID: {uuid7()}"
    connection.send(
        request("POST", TODOS, me, JSON, body=MILK)
        + request("GET", TODOS, other)
        + request("GET", TODOS)
        + request("GET", TODOS, me)
    )
    answers = [connection.receive() for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201, 200, 400, 200]
    assert [len(answer.json()["items"]) for answer in (answers[1], answers[3])] == [0, 1]


def test_a_body_in_pieces(connection: Connection, me: str) -> None:
    """However slowly it comes, and in chunks of whatever size."""
    whole = request("POST", TODOS, me, JSON, body=MILK)
    for start in range(0, len(whole), 40):
        connection.send(whole[start : start + 40])
        time.sleep(0.005)
    assert connection.receive().status_code == 201
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in MILK) + b"0\r\n\r\n"
    answer = connection.ask(request("POST", TODOS, me, JSON, "Transfer-Encoding: chunked", body=chunks))
    assert answer.status_code == 201
    assert titles(connection, me) == ["Buy milk"] * 2


@pytest.mark.parametrize("chunked", [False, True])
def test_a_connection_outlives_a_body_too_large(connection: Connection, me: str, chunked: bool) -> None:
    """The rest of the body is passed over, and the next request is answered."""
    large = b"x" * 2**21
    if chunked:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(large), large)
        whole = request("POST", TODOS, me, JSON, "Transfer-Encoding: chunked", body=body)
    else:
        whole = request("POST", TODOS, me, JSON, body=large)
    sending = threading.Thread(target=connection.send, args=[whole])
    sending.start()
    problem(connection.receive(), 413, "BODY_TOO_LARGE")
    sending.join()
    assert titles(connection, me) == []


def test_a_body_too_large_need_not_be_sent(connection: Connection, me: str) -> None:
    """Who asks before sending is told at once."""
    announced = request("POST", TODOS, me, JSON, "Expect: 100-continue", "Content-Length: 9999999")
    problem(connection.ask(announced), 413, "BODY_TOO_LARGE")


def test_a_client_that_leaves_in_the_middle_of_its_body(port: int, me: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is stored, nothing is logged as a fault, and everyone else is served."""
    for _ in range(10):
        with Connection(port) as leaving:
            leaving.send(request("POST", TODOS, me, JSON, "Content-Length: 1000", body=MILK))
    with Connection(port) as connection:
        assert titles(connection, me) == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_client_that_leaves_before_the_answer(
    port: int, me: str, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What it asked for is done or not; its connection to the database serves the next user all the same."""
    with Connection(port) as connection:
        url = connection.ask(request("POST", TODOS, me, JSON, body=MILK)).headers["location"]
        lock = psycopg2.connect(make_url(database_url).set(drivername="postgresql").render_as_string(False))
        with lock.cursor() as cursor:
            cursor.execute("SELECT FROM todoservice.todos WHERE id = %s FOR UPDATE", (url.rpartition("/")[2],))
        for number in range(8):  # more than the pool has connections
            with Connection(port) as leaving:
                leaving.send(request("PATCH", url, me, JSON, body=b'{"title": "%d"}' % number))
        lock.close()
        for _ in range(6):
            assert titles(connection, f"X-User-ID: {uuid7()}") == []
        assert titles(connection, me)[0] in {"Buy milk", *map(str, range(8))}
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


BROKEN = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "bytes in the target": b"GET /api/v1/todos?\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target with NUL": b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header without a name": b"GET / HTTP/1.1\r\nHost: x\r\n: x\r\n\r\n",
    "a header with NUL": b"GET / HTTP/1.1\r\nHost: x\r\nX-User-ID: \x00\r\n\r\n",
    "a length that is none": request("POST", TODOS, "Content-Length: one", body=MILK),
    "a negative length": request("POST", TODOS, "Content-Length: -1", body=MILK),
    "an endless length": request("POST", TODOS, "Content-Length: " + "9" * 5000, body=MILK),
    "two lengths": request("POST", TODOS, "Content-Length: 1", "Content-Length: 2", body=MILK),
    "a chunk that is none": request("POST", TODOS, "Transfer-Encoding: chunked", body=b"zz\r\n\r\n"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_what_is_no_http(port: int, broken: bytes) -> None:
    """The server itself refuses it, with 400 and in its own words, and serves on."""
    with Connection(port) as connection:
        assert connection.ask(broken).status_code == 400
    with Connection(port) as connection:
        assert connection.ask(request("GET", "/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"{TODOS}?limit=%FF", 422),
        (f"{TODOS}?limit=%", 422),
        (f"{TODOS}?cursor=%00", 422),
        (f"{TODOS}?x=%FF%00%zz%&limit=1", 200),
        (f"{TODOS}/%00", 422),
        (f"{TODOS}/%FF", 422),
        (f"{TODOS}/%zz", 422),
        (f"{TODOS}/%2F", 404),
        (f"{TODOS}/..%2F..%2F", 404),
        (f"{TODOS}/" + "x" * 50_000, 422),
        (f"{TODOS}?cursor=" + "x" * 50_000, 422),
        ("/%0D%0AX-Forged:%201", 404),
        ("/%F0%9F%98%80", 404),
    ],
    ids=lambda value: str(value)[:40],
)
def test_odd_targets(connection: Connection, me: str, target: str, status: int) -> None:
    """Percent-encoding, right or wrong, is decoded once and does no harm."""
    answer = connection.ask(request("GET", target, me))
    assert answer.status_code == status
    if status >= 400:
        problem(answer, status, answer.json()["error_code"])


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PUT"])
def test_methods_that_are_none_of_ours(connection: Connection, me: str, method: str) -> None:
    """They are answered with what is allowed, and the connection stays in step."""
    connection.send(request(method, TODOS, me))
    answer = connection.receive(body=method != "HEAD")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert titles(connection, me) == []


def test_white_space_around_the_user(connection: Connection, user: UUID) -> None:
    """It is no part of the header's value, whichever parser leaves it there."""
    assert titles(connection, f"X-User-ID:\t  {user} \t") == []
