"""What is measured, and who may read it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
import todoservice_metrics
import todoservice_todos
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from scraping import PATH, TOKEN, Scrape

from todoservice import Settings, create_app, hookimpl
from todoservice.testing import Conformance, Statements

TODOS = "/api/v1/todos"
REQUESTS = "todoservice_http_requests_total"


class TestConformance(Conformance):
    """What todoservice asks of every feature."""

    plugin = "metrics"


def value(scrape: Scrape, name: str, **labels: str) -> float:
    """Return a sample, 0 where there is none yet."""
    return scrape().get((name, frozenset(labels.items())), 0)


@contextmanager
def counted(scrape: Scrape, name: str, **labels: str) -> Iterator[None]:
    """See that a sample grows by one in the block."""
    before = value(scrape, name, **labels)
    yield
    assert value(scrape, name, **labels) == before + 1


def test_a_request_is_counted_by_its_route(todoservice_client: TestClient, scrape: Scrape) -> None:
    """By the path's template, and not by the path, which holds an id."""
    with counted(scrape, REQUESTS, method="POST", route=TODOS, status="201"):
        todo = todoservice_client.post(TODOS, json={"title": "Buy milk"}).json()
    one = {"method": "GET", "route": f"{TODOS}/{{id}}"}
    with (
        counted(scrape, REQUESTS, **one, status="200"),
        counted(scrape, "todoservice_http_request_duration_seconds_count", **one),
        counted(scrape, "todoservice_http_request_duration_seconds_bucket", **one, le="+Inf"),
    ):
        todoservice_client.get(f"{TODOS}/{todo['id']}")
    assert todo["id"] not in str(scrape())
    assert todo["user_id"] not in str(scrape())


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", f"{TODOS}/{uuid4()}", f"{TODOS}/{{id}}", 404),
        ("GET", f"{TODOS}/x", f"{TODOS}/{{id}}", 422),
        ("PUT", TODOS, TODOS, 405),
        ("GET", "/nowhere", "unmatched", 404),
        ("GET", "/healthz", "/healthz", 200),
    ],
)
def test_what_is_refused_is_counted_too(
    todoservice_client: TestClient, scrape: Scrape, method: str, path: str, route: str, status: int
) -> None:
    """With the status that the client sees."""
    with counted(scrape, REQUESTS, method=method, route=route, status=str(status)):
        assert todoservice_client.request(method, path).status_code == status


def test_nobody_is_counted(todoservice_anonymous_client: TestClient, scrape: Scrape) -> None:
    """Whoever does not say who they are."""
    with counted(scrape, REQUESTS, method="GET", route=TODOS, status="400"):
        todoservice_anonymous_client.get(TODOS)


def test_clients_cannot_make_more_series(todoservice_client: TestClient, scrape: Scrape) -> None:
    """Whatever paths, queries and methods they invent."""

    def invent(method: str) -> None:
        todoservice_client.request(method, f"/{uuid4()}")
        todoservice_client.request(method, f"{TODOS}/{uuid4()}?q={uuid4()}")

    for method in ("GET", "INVENTED"):
        invent(method)
    before = scrape().keys()
    for number in range(200):
        invent("GET" if number % 2 else f"X{number}")
    assert scrape().keys() == before


def failing() -> ModuleType:
    """Return a plugin whose handler fails, and one that asks how many requests are under way."""
    router = APIRouter()

    @router.get("")
    async def fail() -> None:
        raise KeyError("oops")

    made = ModuleType("bug")
    made.todoservice_router = hookimpl(lambda: router)  # type: ignore[attr-defined]
    return made


def test_a_failure_is_a_500(todoservice_settings: Settings, todoservice_headers: Any) -> None:
    """Counted once; and two apps do not count for each other."""
    plugins = [todoservice_metrics, todoservice_todos, failing()]
    reader = {"Authorization": f"Bearer {TOKEN}"}
    app, other = (create_app(todoservice_settings, plugins=plugins) for _ in range(2))
    with TestClient(app, headers=todoservice_headers(uuid4()) | reader) as client, TestClient(other) as idle:
        assert client.get("/api/v1/bug").status_code == 500
        line = f'{REQUESTS}{{method="GET",route="/api/v1/bug",status="500"}} 1.0'
        assert line in client.get(PATH).text.splitlines()
        assert f"{REQUESTS}{{" not in idle.get(PATH, headers=reader).text


def test_the_event_loop_is_looked_at(todoservice_anonymous_client: TestClient, scrape: Scrape) -> None:
    """A loop that something blocks is seen to be late."""
    name = "todoservice_event_loop_lag_seconds"
    assert todoservice_anonymous_client.portal is not None
    deadline = time.monotonic() + 10
    while not value(scrape, f"{name}_count") and time.monotonic() < deadline:
        time.sleep(0.05)
    todoservice_anonymous_client.portal.call(_block)
    while value(scrape, f"{name}_sum") < 0.4 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert value(scrape, f"{name}_sum") >= 0.4


async def _block() -> None:
    time.sleep(1.0)  # noqa: ASYNC251 - that is the point


def test_what_else_there_is(todoservice_app: FastAPI, scrape: Scrape) -> None:
    """The version, how many requests are under way, and Prometheus's own of the process."""
    del todoservice_app
    names = {name for name, _ in scrape()}
    assert {"todoservice_info", "todoservice_http_requests_in_progress", "python_info"} <= names
    assert value(scrape, "todoservice_http_requests_in_progress") == 0


def test_a_scrape_asks_no_database(todoservice_statements: Statements, scrape: Scrape) -> None:
    """A database that sleeps is not woken up."""
    todoservice_statements.clear()
    scrape()
    assert list(todoservice_statements) == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": b"Bearer \xff\xfe"},
        {"X-User-ID": str(uuid4())},
    ],
)
def test_only_who_has_the_token_reads_them(todoservice_anonymous_client: TestClient, headers: Any) -> None:
    """Others are told how to ask, as a problem."""
    answer = todoservice_anonymous_client.get(PATH, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == 'Bearer realm="metrics"'
    assert answer.json()["detail"] == "Send the token of the metrics: Authorization: Bearer <token>."


@pytest.mark.parametrize("accept", ["", "*/*", "\xff;q=x", "application/openmetrics-text; version=1.0.0", ";;,=,"])
def test_any_accept_header_is_answered(todoservice_anonymous_client: TestClient, accept: str) -> None:
    """OpenMetrics where it is asked for, else Prometheus's text."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": accept.encode("latin-1")}
    answer = todoservice_anonymous_client.get(PATH, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert ("openmetrics" in answer.headers["content-type"]) is ("openmetrics" in accept)


def test_there_is_nothing_to_change(todoservice_anonymous_client: TestClient) -> None:
    """Other methods find no route, as without the plugin."""
    assert todoservice_anonymous_client.post(PATH).status_code == 404


class TestPublic:
    """With `TODOSERVICE_METRICS__PUBLIC`."""

    @pytest.fixture
    def todoservice_environment(self) -> Mapping[str, str]:
        """Return the plugin's settings."""
        return {"TODOSERVICE_METRICS__PUBLIC": "true", "TODOSERVICE_METRICS__BUCKETS": "[0.5, 2]"}

    def test_everyone_reads_them(self, todoservice_anonymous_client: TestClient) -> None:
        """And durations are told apart as the settings say."""
        todoservice_anonymous_client.get("/healthz")
        text = todoservice_anonymous_client.get(PATH).text
        labels = 'method="GET",route="/healthz"'
        bounds = [f'_bucket{{le="{bound}",{labels}}}' in text for bound in ("0.5", "2.0", "+Inf", "5.0")]
        assert bounds == [True, True, True, False]


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {},
            "P309 metrics (module todoservice_metrics): TODOSERVICE_METRICS__*: Set TODOSERVICE_METRICS__TOKEN to what "
            "the scraper sends as a bearer token, or TODOSERVICE_METRICS__PUBLIC=true where nobody else reaches the "
            "service, and not both: change it",
        ),
        ({"TOKEN": TOKEN, "PUBLIC": "true"}, "and not both"),
        ({"TOKEN": "short-secret"}, "TODOSERVICE_METRICS__TOKEN: Value should have at least 16 items"),
        ({"PUBLIC": "true", "BUCKETS": "[2, 1]"}, "Give at least one bound, in ascending order: change it"),
        ({"PUBLIC": "true", "BUCKETS": "[]"}, "Give at least one bound, in ascending order: change it"),
        ({"PUBLIC": "true", "BUCKETS": "[0]"}, "TODOSERVICE_METRICS__BUCKETS__0: Input should be greater than 0"),
    ],
)
def test_settings_that_cannot_be_used(
    todoservice_url: str, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: str
) -> None:
    """They are not public by accident, and no token is shown."""
    for name, given in variables.items():
        monkeypatch.setenv(f"TODOSERVICE_METRICS__{name}", given)
    with pytest.raises(SystemExit) as refused:
        create_app(Settings.load({"neon_database_url": todoservice_url}), plugins=[todoservice_metrics])
    assert told in str(refused.value)
    assert "secret" not in str(refused.value)
