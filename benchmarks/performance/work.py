"""What is measured: operations, under which circumstances."""

from dataclasses import dataclass
from typing import Final

from performance.rows import SIZES


@dataclass(frozen=True)
class Setup:
    """How a contestant is started."""

    workers: int = 1
    connections: int = 10
    """To the database, for each worker."""
    through_proxy: bool = False


@dataclass(frozen=True)
class Work:
    """One operation, asked for again and again by a number of clients."""

    name: str
    operation: str
    """As `load.lua` calls it."""
    setup: Setup = Setup()
    clients: int = 16
    delay: int = 0
    """Milliseconds that are added to each round trip to the database."""
    size: int = 0
    """Of the list."""


ONE: Final = Setup()
TWO: Final = Setup(workers=2)
DELAYED: Final = Setup(connections=50, through_proxy=True)
"""A connection for each of fifty clients: with fewer, the arithmetic of the pool would be measured."""
DELAYS: Final = (1, 10, 50)

QUICK: Final = frozenset({"get", "list-100", "create", "update", "delete", "get-10ms", "get-2-workers"})
"""The works that say whether everything runs."""

WORKS: Final = (
    Work("get", "get"),
    *(Work(f"list-{size}", "list", size=size) for size in SIZES),
    Work("create", "create"),
    Work("update", "update"),
    Work("delete", "delete"),
    *(Work(f"get-{delay}ms", "get", DELAYED, clients=50, delay=delay) for delay in DELAYS),
    Work("get-2-workers", "get", TWO),
    Work("list-100-2-workers", "list", TWO, size=100),
)
