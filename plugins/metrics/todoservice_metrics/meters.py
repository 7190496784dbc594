"""What is measured of one app. Labels take few values, whatever clients send: no path, no id and no user is one."""

import asyncio
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from fastapi.routing import iter_route_contexts
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    multiprocess,
)

import todoservice

UNMATCHED: Final = "unmatched"
"""The route of a request that no route of the app is for."""
OTHER: Final = "other"
"""The method of a request whose method is none of HTTP's own."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
FAILED: Final = 500
LEFT: Final = 499
"""The status of a request whose client left before there was an answer, as proxies log it."""
INTERVAL: Final = 0.5
"""Seconds between two looks at the event loop."""
_SHARED: Final = "PROMETHEUS_MULTIPROC_DIR"


@dataclass
class Answer:
    """How a request went."""

    status: int = 0


class Meters:
    """The meters of one app, in a registry of their own: two apps of a process do not count for each other."""

    def __init__(self, routes: Iterable[Any], buckets: Sequence[float]) -> None:
        """Begin at nothing. `routes` are the app's; `buckets` the bounds of durations, in seconds."""
        self._templates = {id(found.original_route): found.path for found in iter_route_contexts(list(routes))}
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "todoservice_http_requests", "Requests that were answered.", ("method", "route", "status"),
            registry=self._registry,
        )  # fmt: skip
        self._duration = Histogram(
            "todoservice_http_request_duration_seconds", "From a request's arrival to the end of its answer.",
            ("method", "route"), buckets=buckets, registry=self._registry,
        )  # fmt: skip
        self._in_progress = Gauge(
            "todoservice_http_requests_in_progress", "Requests under way.", multiprocess_mode="livesum",
            registry=self._registry,
        )  # fmt: skip
        self._lag = Histogram(
            "todoservice_event_loop_lag_seconds", "How much later than it should the event loop ran a task.",
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5), registry=self._registry,
        )  # fmt: skip
        info = Gauge(
            "todoservice_info", "The version that serves: 1.", ("version",), multiprocess_mode="max",
            registry=self._registry,
        )  # fmt: skip
        info.labels(todoservice.__version__).set(1)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)

    def read(self) -> CollectorRegistry:
        """Return what a scrape reads: this process's meters, or those of all that share a directory."""
        if not shared():
            return self._registry
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry

    @contextmanager
    def request(self, scope: Any) -> Iterator[Answer]:
        """Measure the request that the block answers; it sets the status of what it is given."""
        method = scope["method"] if scope["method"] in METHODS else OTHER
        answer, began = Answer(), perf_counter()
        self._in_progress.inc()
        try:
            yield answer
        except Exception:
            answer.status = answer.status or FAILED
            raise
        finally:
            route = self._template(scope)
            self._in_progress.dec()
            self._duration.labels(method, route).observe(perf_counter() - began)
            self._requests.labels(method, route, answer.status or LEFT).inc()

    async def watch_loop(self) -> None:
        """Look again and again how late the event loop is, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + INTERVAL
            await asyncio.sleep(INTERVAL)
            self._lag.observe(max(0.0, loop.time() - due))

    def close(self) -> None:
        """Take this process's part out of what several share: it serves no longer."""
        if shared():
            multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]

    def _template(self, scope: Any) -> str:
        """Return the path of the route that the app chose, as `/api/v1/todos/{id}`."""
        return self._templates.get(id(scope.get("route"))) or UNMATCHED


def shared() -> bool:
    """Say whether the meters of several processes are kept in one directory, as `prometheus_client` documents it."""
    return _SHARED in os.environ
