"""Whether the process lives, and whether it can serve."""

from collections.abc import Iterator
from typing import Any

import pytest
from api import create, problem
from fastapi import FastAPI
from gate import Gate
from sqlalchemy import event
from starlette.testclient import TestClient

from todoservice import Settings, create_app


@pytest.fixture
def statements(served: TestClient) -> Iterator[list[str]]:
    """Return a list of the statements that the app sends from now on."""
    sent: list[str] = []
    assert isinstance(served.app, FastAPI)
    engine = served.app.state.data.database.pool.engine.sync_engine

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


def test_the_process_lives(client: TestClient, statements: list[str]) -> None:
    """/healthz says so to anyone, and asks nobody."""
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert statements == []


def test_the_service_is_ready(client: TestClient, mine: TestClient, statements: list[str]) -> None:
    """/readyz says so to anyone, from what the last statement has shown: an idle database may sleep."""
    create(mine)
    asked = len(statements)
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"status": "ready"})
    assert len(statements) == asked == 1


def test_ready_is_asked_again_after_a_failure(database_url: str) -> None:
    """While the database is away /readyz asks each time, so that it sees the return; /healthz never does."""
    with Gate(database_url) as gate:
        settings = Settings.load({"neon_database_url": gate.url, "request_budget": 0.5})
        with TestClient(create_app(settings)) as client:
            gate.shut()
            assert client.get("/readyz").status_code == 200  # nobody has noticed yet
            assert client.get("/api/v1/todos", headers={"X-User-ID": "0" * 8 + "-0000" * 3 + "-" + "0" * 12}).is_error
            for _ in range(2):
                problem(client.get("/readyz"), 503, "SERVICE_UNAVAILABLE")
                assert client.get("/healthz").status_code == 200
            gate.open()
            assert client.get("/readyz").status_code == 200
