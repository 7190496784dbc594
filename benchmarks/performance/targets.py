"""The targets, each a ratio or a difference within one run, and whether a run meets them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final

from performance.results import Results

OURS: Final = "todoservice"
Value = Callable[[Results], float | None]


@dataclass(frozen=True)
class Target:
    """What is to be reached."""

    work: str
    against: str
    bound: float
    value: Value
    """Returns None where the run has not measured it."""
    least: bool = False
    """Whether the bound is the least, else it is the most."""
    unit: str = "x"

    @property
    def wanted(self) -> str:
        """The bound, in words."""
        return f"at {'least' if self.least else 'most'} {self.shown(self.bound)}"

    def shown(self, value: float) -> str:
        """Return a value with its unit."""
        return f"{value:.2f}x" if self.unit == "x" else f"{value:+.1f} {self.unit}" if self.unit else f"{value:.2f}"

    def met(self, value: float) -> bool:
        """Say whether this value will do."""
        return value >= self.bound if self.least else value <= self.bound


def ratio(work: str, other: str, field: str = "rate") -> Value:
    """Return what divides our median by another's."""

    def value(results: Results) -> float | None:
        ours, theirs = (results.median(name, work, field) for name in (OURS, other))
        return None if ours is None or not theirs else ours / theirs

    return value


def late(work: str, delay: float) -> Value:
    """Return what takes the added round trip from our latency that 99 of 100 requests keep to."""

    def value(results: Results) -> float | None:
        p99 = results.median(OURS, work, "p99")
        return None if p99 is None else p99 - delay

    return value


def most_trips(results: Results) -> float | None:
    """Return the round trips of the operation of ours that takes the most."""
    return max(results.trips[OURS].values()) if OURS in results.trips else None


def grown(results: Results) -> float | None:
    """Return by how many MiB a worker has grown after the first tenth of its requests."""
    return None if results.memory is None else results.memory.late - results.memory.early


def start(results: Results) -> float | None:
    """Return how much longer the service takes to its first answer than Python to import what it stands on."""
    return None if results.start is None else median(results.start.service) / median(results.start.imports)


GROWTH: Final = 1.0
"""MiB that are no growth: an allocator's pages come and go."""

TARGETS: Final = (
    Target("GET one", "tutorial", 4, ratio("get", "tutorial"), least=True),
    *(
        Target(method, "tutorial", 4, ratio(work, "tutorial"), least=True)
        for method, work in (("POST", "create"), ("PATCH", "update"), ("DELETE", "delete"))
    ),
    Target("list of 1000", "tutorial", 15, ratio("list-1000", "tutorial"), least=True),
    Target("GET one", "asyncpg", 1, ratio("get", "asyncpg"), least=True),
    Target("list of 1000", "asyncpg", 3, ratio("list-1000", "asyncpg"), least=True),
    Target("list of 1000", "fastify", 1.5, ratio("list-1000", "fastify"), least=True),
    Target("GET one, 10 ms added, 50 clients", "fastify", 1, ratio("get-10ms", "fastify"), least=True),
    Target("app CPU per GET", "memory", 2.5, ratio("get", "memory", "app_cpu")),
    Target("p99 of GET, 10 ms added, 50 clients", "the added round trip", 10, late("get-10ms", 10), unit="ms"),
    Target("GET one, 10 ms added, 50 clients", "tutorial", 5, ratio("get-10ms", "tutorial"), least=True),
    Target("round trips of the operation with the most", "the floor", 1, most_trips, unit=""),
    Target("app CPU per GET", "open", 1.15, ratio("get", "open", "app_cpu")),
    Target("memory of a worker", "after a tenth of the requests", GROWTH, grown, unit="MiB"),
    Target("start to first answer, ten plugins", "import fastapi, sqlmodel", 1.6, start),
)


def rows(results: Results) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield each target: the work, against what, the target, what this run has, and whether it is met."""
    for target in TARGETS:
        value = target.value(results)
        if value is None:
            yield target.work, target.against, target.wanted, "not measured", "-"
        else:
            yield target.work, target.against, target.wanted, target.shown(value), "yes" if target.met(value) else "no"
