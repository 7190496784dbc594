"""The database away, slow or busy: a problem that says when to try again, and service that resumes by itself."""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from api import TODOS, create, listed, problem
from databases import migrate
from gate import Gate
from sqlalchemy import make_url
from starlette.testclient import TestClient

from todoservice import Settings, create_app

Start = Callable[..., TestClient]


@pytest.fixture
def gate(database_url: str) -> Iterator[Gate]:
    """Return a gate before this worker's database."""
    with Gate(database_url) as gate:
        yield gate


@pytest.fixture
def start(gate: Gate, user: UUID) -> Iterator[Start]:
    """Return what starts an app behind the gate, with settings, and gives the user's client of it."""
    started: list[TestClient] = []

    def start(**settings: Any) -> TestClient:
        app = create_app(Settings.load({"neon_database_url": gate.url, "request_budget": 0.5} | settings))
        client = TestClient(app, headers={"X-User-ID": str(user)})
        started.append(client.__enter__())
        return client

    yield start
    for client in started:
        client.__exit__()


@pytest.fixture
def locked(database_url: str) -> Iterator[Callable[[dict[str, Any]], psycopg2.extensions.connection]]:
    """Return what locks a todo, so that whoever changes it waits: until the connection is closed."""
    connection = psycopg2.connect(make_url(database_url).set(drivername="postgresql").render_as_string(False))

    def lock(todo: dict[str, Any]) -> psycopg2.extensions.connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM todoservice.todos WHERE id = %s FOR UPDATE", (todo["id"],))
        return connection

    yield lock
    connection.close()


def unavailable(response: Any) -> str:
    """Return the words of a 503, once it is seen to say when to try again."""
    detail: str = problem(response, 503, "SERVICE_UNAVAILABLE")["detail"]
    assert int(response.headers["retry-after"]) >= 1
    return detail


def operations(client: TestClient, todo: dict[str, Any]) -> Iterator[Any]:
    """Yield the answer of each of the five operations."""
    url = f"{TODOS}/{todo['id']}"
    yield client.post(TODOS, json={"title": "Away"})
    yield client.get(TODOS)
    yield client.get(url)
    yield client.patch(url, json={"title": "Away"})
    yield client.delete(url)


def test_while_the_database_is_away(gate: Gate, start: Start) -> None:
    """Every operation says so at once, and each works again as soon as the database is back."""
    client = start()
    todo = create(client)
    gate.shut()
    for response in operations(client, todo):
        assert unavailable(response) == "The database is out of reach at the moment: try again shortly."
    gate.open()
    assert listed(client) == [todo]
    assert [response.status_code for response in operations(client, todo)] == [201, 200, 200, 200, 204]


def test_validation_needs_no_database(gate: Gate, start: Start) -> None:
    """A request that is refused for what it is, is told that and not of the database."""
    client = start()
    gate.shut()
    assert client.post(TODOS, json={}).status_code == 422
    assert client.get(TODOS, headers={"X-User-ID": "ada"}).status_code == 400
    assert client.get("/openapi.json").status_code == 200


@pytest.mark.parametrize("path", ["/readyz", TODOS])
def test_a_start_without_a_database(gate: Gate, start: Start, path: str) -> None:
    """The process comes up and lives, is not ready, and serves from the first request that finds the database."""
    gate.shut()
    client = start()
    assert client.get("/healthz").status_code == 200
    unavailable(client.get("/readyz"))
    unavailable(client.get(TODOS))
    gate.open()
    assert client.get(path).status_code == 200
    assert client.get("/readyz").status_code == 200
    create(client)


def test_a_database_that_turns_out_to_be_behind(empty_url: str, caplog: pytest.LogCaptureFixture, user: UUID) -> None:
    """Nothing is served from it, and the log says the mend, once, until it is migrated."""
    with Gate(empty_url) as gate:
        gate.shut()
        app = create_app(Settings.load({"neon_database_url": gate.url}))
        with TestClient(app, headers={"X-User-ID": str(user)}) as client:
            gate.open()
            with caplog.at_level(logging.ERROR, "todoservice"):
                for path in (TODOS, TODOS, "/readyz", "/readyz"):
                    unavailable(client.get(path))
            (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
            assert "todoservice db upgrade" in line
            migrate(empty_url)
            assert client.get("/readyz").status_code == 200
            create(client)


def test_a_database_that_says_nothing(gate: Gate, start: Start) -> None:
    """The answer comes within the time limit for connecting, and nobody else waits for it."""
    client = start(connect_timeout=2, request_budget=3)
    gate.shut()
    gate.silent = True
    gate.open()
    with ThreadPoolExecutor() as pool:
        began = time.monotonic()
        waiting = pool.submit(client.get, TODOS)
        assert client.get("/healthz").status_code == 200
        assert not waiting.done()
        unavailable(waiting.result())
    assert 1 < time.monotonic() - began < 10
    gate.silent = False
    assert listed(client) == []


def test_connections_that_were_cut_are_replaced(gate: Gate, start: Start) -> None:
    """A database that was restarted while nobody asked is no news to the client."""
    client = start()
    todo = create(client)
    gate.shut()
    gate.open()
    assert listed(client) == [todo]


def test_all_connections_busy(start: Start, locked: Callable[[dict[str, Any]], psycopg2.extensions.connection]) -> None:
    """Who waits in vain for a connection is told so, and the service lives on."""
    client = start(pool_size=1, pool_timeout=0.3)
    todo = create(client)
    lock = locked(todo)
    with ThreadPoolExecutor() as pool:
        busy = pool.submit(client.patch, f"{TODOS}/{todo['id']}", json={"title": "Drink milk"})
        _until_waiting(lock)
        assert unavailable(client.get(TODOS)) == "All connections to the database are busy: try again shortly."
        assert client.get("/healthz").status_code == 200
        lock.close()
        assert busy.result().status_code == 200
    assert [todo["title"] for todo in listed(client)] == ["Drink milk"]
    assert client.get("/readyz").status_code == 200


def test_a_statement_that_takes_too_long(
    start: Start, locked: Callable[[dict[str, Any]], psycopg2.extensions.connection]
) -> None:
    """The database ends it, nothing is changed, and the next answer is right."""
    client = start(statement_timeout=0.3, pool_size=1)
    todo = create(client)
    lock = locked(todo)
    response = client.patch(f"{TODOS}/{todo['id']}", json={"title": "Drink milk"})
    assert unavailable(response) == "The database took too long to answer: try again, or ask for less."
    lock.close()
    assert listed(client) == [todo]


def test_a_connection_cut_in_the_middle_of_a_statement(
    gate: Gate, start: Start, locked: Callable[[dict[str, Any]], psycopg2.extensions.connection]
) -> None:
    """The client is told to try again, and that works."""
    client = start(pool_size=1)
    todo = create(client)
    lock = locked(todo)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.delete, f"{TODOS}/{todo['id']}")
        _until_waiting(lock)
        gate.shut()
        unavailable(waiting.result())
    gate.open()
    lock.close()
    assert client.delete(f"{TODOS}/{todo['id']}").status_code in {204, 404}
    assert listed(client) == []


def test_the_log_has_no_password(gate: Gate, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """What it says of a database that is away could be shown to anyone."""
    url = make_url(gate.url).set(password="open-sesame").render_as_string(hide_password=False)
    with caplog.at_level(logging.DEBUG):
        gate.shut()
        client = start(neon_database_url=url)
        unavailable(client.get(TODOS))
        unavailable(client.get("/readyz"))
    assert "Starting without a database" in caplog.text
    assert "open-sesame" not in caplog.text


def _until_waiting(lock: psycopg2.extensions.connection) -> None:
    """Return once somebody waits for this connection."""
    for _ in range(200):
        with lock.cursor() as cursor:
            cursor.execute("SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
            if cursor.rowcount:
                return
        time.sleep(0.02)
    pytest.fail("nobody waits")


@pytest.mark.parametrize("path", [TODOS, "/readyz"])
def test_many_who_wait_for_a_silent_database(gate: Gate, start: Start, path: str) -> None:
    """Each is answered within the time limit for connecting, not one after the other."""
    gate.shut()
    client = start(connect_timeout=1, request_budget=2)
    gate.silent = True
    gate.open()
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        for answer in pool.map(client.get, [path] * 8):
            problem(answer, 503, "SERVICE_UNAVAILABLE")
    assert time.monotonic() - began < 5
