"""How many round trips to the database each operation takes."""

import json
import time
from typing import Final

from performance.process import ask
from performance.rounds import PATH, Entrant, Running, serving
from performance.rows import READING
from performance.work import Setup

TIMES: Final = 30
_AFTER: Final = 0.01
"""Seconds in which a contestant may do what it does once it has answered."""
_SETUP: Final = Setup(through_proxy=True)


def counted(entrant: Entrant) -> dict[str, float]:
    """Return the round trips for each operation, on average, once the contestant is warm."""
    with serving(entrant, _SETUP) as running:
        for _ in range(TIMES):
            _operations(running)  # statements are prepared by now, where they are, and every thread is connected
        taken: dict[str, int] = {}
        for _ in range(TIMES):
            for name, trips in _operations(running).items():
                taken[name] = taken.get(name, 0) + trips
    return {name: trips / TIMES for name, trips in taken.items()}


def _operations(running: Running) -> dict[str, int]:
    """Do each operation once, in turn, on a todo of its own, and return the round trips that it took."""
    assert running.proxy is not None  # noqa: S101 - its setup has one
    taken = {}
    made: dict[str, str] = {}
    for name, method, path, body in (
        ("create", "POST", PATH, b'{"title": "Buy milk"}'),
        ("get", "GET", PATH + "/{id}", None),
        ("list", "GET", f"{PATH}?limit=10", None),
        ("update", "PATCH", PATH + "/{id}", b'{"is_completed": true}'),
        ("delete", "DELETE", PATH + "/{id}", None),
    ):
        before = running.proxy.trips
        status, answer = ask(running.port, method, path.format(**made), READING[0], body)
        if status >= 300:  # noqa: PLR2004 - no success
            msg = f"{running.entrant.contestant.name} answers {status} to {method}: {answer[:200]!r}"
            raise RuntimeError(msg)
        if name == "create":
            made = json.loads(answer)
        time.sleep(_AFTER)
        taken[name] = running.proxy.trips - before
    return taken
