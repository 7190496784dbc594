"""What was measured, as it is written to `results.json` and read again."""

from statistics import median
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Measurement(_Record):
    """One work of one contestant in one round."""

    contestant: str
    work: str
    round: int
    rate: float
    """Requests each second."""
    p50: float
    """Milliseconds, as all latencies."""
    p99: float
    max: float
    app_cpu: float
    """Microseconds of the processor for each request, in the contestant's processes."""
    database_cpu: float
    """The same, in PostgreSQL's."""
    resident: float
    """MiB of the largest process of the contestant's, after the work."""
    peak: float
    """The most that it ever had."""


class Memory(_Record):
    """A worker's memory, in MiB."""

    idle: float
    """After the first answer."""
    early: float
    """After a tenth of the requests."""
    late: float
    """After all."""
    requests: int


class Start(_Record):
    """Seconds, one for each time it was tried."""

    plugins: int
    service: list[float]
    """From the process's start to its first answer."""
    tutorial: list[float]
    """The same of the tutorial way with as many features."""
    imports: list[float]
    """`python -c "import fastapi, sqlmodel"`."""


class Growth(_Record):
    """One work of todoservice's in one round, on a small table and on a large one."""

    work: str
    round: int
    small: float
    """Requests each second."""
    large: float


class Results(_Record):
    """One run."""

    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    seconds: int
    """Of each measurement."""
    rounds: int
    measurements: list[Measurement] = []
    trips: dict[str, dict[str, float]] = {}
    """Round trips to the database for each operation, by contestant."""
    memory: Memory | None = None
    start: Start | None = None
    growth: list[Growth] = []
    failures: Annotated[list[str], Field(description="Rounds that count for nothing, and why.")] = []

    def median(self, contestant: str, work: str, field: str = "rate") -> float | None:
        """Return the median over the rounds, or None where it was not measured."""
        found = [
            float(getattr(one, field)) for one in self.measurements if (one.contestant, one.work) == (contestant, work)
        ]
        return median(found) if found else None

    @property
    def contestants(self) -> list[str]:
        """The names of those that were measured, in their order."""
        return list(dict.fromkeys(one.contestant for one in self.measurements))

    @property
    def works(self) -> list[str]:
        """The names of what was measured, in their order."""
        return list(dict.fromkeys(one.work for one in self.measurements))
