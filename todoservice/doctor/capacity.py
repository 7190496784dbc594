"""How many processes of the service one database can bear."""

from dataclasses import dataclass
from typing import Final

POOLER_SHARE: Final = 0.9
"""The part of max_connections that Neon's pooler opens for one role and database
(neon.com/docs/connect/connection-pooling)."""
POOLER_CLIENTS: Final = 10_000
"""How many clients it takes (the same page)."""


@dataclass(frozen=True)
class Capacity:
    """What a database offers to processes whose pools have `pool_size` connections each."""

    max_connections: int
    reserved: int
    """Those of max_connections that only superusers and the like get."""
    pool_size: int
    pooled: bool

    @property
    def at_work(self) -> int:
        """How many statements can run at the same time."""
        usable = self.max_connections - self.reserved
        return min(int(self.max_connections * POOLER_SHARE), usable) if self.pooled else usable

    @property
    def busy_processes(self) -> int:
        """How many processes can have all of their pool at work at the same time."""
        return self.at_work // self.pool_size

    @property
    def processes(self) -> int:
        """How many can be connected. Through the pooler that is more: their statements take turns."""
        return POOLER_CLIENTS // self.pool_size if self.pooled else self.busy_processes
