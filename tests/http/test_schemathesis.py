"""What Schemathesis makes of the OpenAPI document: valid and invalid requests by the hundred, and sequences of them."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from api import TODOS, create
from fastapi import FastAPI
from schemathesis import openapi
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.python.asgi import shutdown_lifespans
from starlette.testclient import TestClient

from todoservice import Settings, create_app

CONFIG: dict[str, Any] = {
    "seed": 1,
    "generation": {"mode": "all", "deterministic": True, "max-examples": 20},
    "continue-on-failure": True,
    "checks": {"max_response_time": 20},
}

# A cursor is opaque: the document can say of which characters it is, and not which of them make one. So Schemathesis
# invents cursors that fit the schema and that the service must refuse.
INVENTED_CURSORS: dict[str, Any] = {
    "operations": [
        {
            "include-name": f"GET {TODOS}",
            "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "422"]}},
        }
    ]
}

PHASES = {"examples", "coverage", "fuzzing", "stateful"}


@pytest.fixture
def api(settings: Settings) -> Iterator[FastAPI]:
    """Return an app that Schemathesis starts when it first asks, and that is stopped after the test."""
    yield create_app(settings)
    shutdown_lifespans()


def found(app: FastAPI, config: dict[str, Any]) -> tuple[list[str], Counter[str]]:
    """Return what Schemathesis holds against the app, each with what reproduces it, and how much it asked by phase."""
    schema = openapi.from_asgi("/openapi.json", app, config=SchemathesisConfig.from_dict(config))
    faults: list[str] = []
    asked: Counter[str] = Counter()
    for event in from_schema(schema).execute():
        if isinstance(event, events.FatalError):
            raise event.exception
        if isinstance(event, events.NonFatalError):
            faults.append(str(event.info))
        if isinstance(event, events.ScenarioFinished):
            asked[event.phase.value] += len(event.recorder.interactions)
            faults += _faults(event)
    return faults, asked


def _faults(event: events.ScenarioFinished) -> Iterator[str]:
    for case_id, checks in event.recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                case, response = event.recorder.cases[case_id].value, event.recorder.interactions[case_id].response
                answer = response and (int(response.status_code), response.content[:500])
                yield f"{check.name}: {check.failure_info.failure.message}\n{case.as_curl_command()}\n{answer}"


@pytest.mark.slow
def test_nothing_is_found(api: FastAPI) -> None:
    """Every check passes in every phase, for valid data and invalid, one by one and in sequences."""
    faults, asked = found(api, CONFIG | INVENTED_CURSORS)
    assert faults == []
    assert set(asked) == PHASES
    assert asked.total() > 300


def test_nothing_is_found_with_a_cursor(api: FastAPI, mine: TestClient) -> None:
    """With a real cursor, every valid request for a list is accepted."""
    create(mine)
    create(mine)
    cursor = mine.get(TODOS, params={"limit": 1}).json()["next_cursor"]
    config: dict[str, Any] = {
        "parameters": {"query.cursor": cursor},
        "operations": [{"exclude-name": f"GET {TODOS}", "enabled": False}],
    }
    faults, asked = found(api, CONFIG | config)
    assert faults == []
    assert asked["fuzzing"] > 10
