"""A visit to the database of one URL, by the service's own driver: two connections, and questions.

It is bounded in time, changes nothing, and leaves nothing behind. A compute that is asleep it wakes up, as any
connection does.
"""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from todoservice.database.engine import build_engine
from todoservice.doctor.addresses import Address
from todoservice.doctor.report import Code, Facts, Finding, Severity
from todoservice.doctor.stages import failure, stage_of
from todoservice.migrations.transaction import explained

CONNECTING: Final = 20.0
"""Seconds for one connection, whatever the settings allow."""
QUESTIONS: Final = 20.0
"""Seconds for all that is asked over one."""
KNOCKING: Final = 3.0
"""Seconds for a port to take a connection."""
SAMPLES: Final = 15
SAMPLING: Final = 3.0
"""Seconds after which no further sample of the round trip is taken."""
COLD: Final = 0.3
"""Seconds by which the first connection is slower than the second where the compute was asleep."""
FAR: Final = 0.010
"""Seconds of a round trip that within one region it does not take."""

Questions = Callable[[Connection, Facts], Iterator[Finding]]


@dataclass(frozen=True)
class Visit:
    """How one is paid."""

    address: Address
    url: URL
    connect_timeout: float
    """In seconds, as the service's settings have it."""

    def pay(self, facts: Facts, questions: Questions) -> list[Finding]:
        """Connect, fill in `facts`, and return what is found. Takes a minute and a half at most."""
        return asyncio.run(self._pay(facts, questions))

    async def _pay(self, facts: Facts, questions: Questions) -> list[Finding]:
        limit = min(self.connect_timeout, CONNECTING)
        engine = build_engine(self.url, connect_timeout=limit, application_name="todoservice doctor")
        try:
            async with asyncio.timeout(2 * CONNECTING):  # a URL may have a limit of its own
                facts.first_connect = await _connect(engine)
                facts.connect = await _connect(engine)
        except (DBAPIError, TimeoutError) as error:
            return [await self._failure(error)]
        try:
            async with asyncio.timeout(QUESTIONS):
                found = await greenlet_spawn(_ask, engine, facts, questions)
            return [*self._pace(facts, limit), *found]
        except (DBAPIError, TimeoutError) as error:
            return [self._unanswered(error)]

    def _finding(self, code: Code, severity: Severity, what: str, mend: str = "") -> Finding:
        return Finding(code, severity, self.address.name, what, mend)

    def _unanswered(self, error: Exception) -> Finding:
        if stage_of(_in_one_line(error)).code in {Code.SATURATED, Code.COMPUTE}:
            return failure(self.address.name, _in_one_line(error), open_port=True)
        why = explained(error) if isinstance(error, DBAPIError) else f"no answer came within {QUESTIONS:g} s"
        return self._finding(
            Code.UNANSWERED, Severity.ERROR, why, "run this again; if it stays so, restart the compute"
        )

    async def _failure(self, error: Exception) -> Finding:
        message = _in_one_line(error) or f"timeout expired after {2 * CONNECTING:g} s"
        return failure(self.address.name, message, open_port=await self._is_open())

    async def _is_open(self) -> bool:
        host = self.url.query.get("hostaddr") or self.url.host
        if not isinstance(host, str):
            return False
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(KNOCKING):
                _, writer = await asyncio.open_connection(host, self.url.port or 5432)
            writer.close()
            return True
        return False

    def _pace(self, facts: Facts, limit: float) -> Iterator[Finding]:
        first, then = facts.first_connect or 0.0, facts.connect or 0.0
        if first - then > COLD:
            slow = first > limit / 2
            what = (
                f"it was asleep: the first connection took {first:.1f} s, the second {then:.2f} s, "
                f"of the {limit:g} s allowed"
            )
            mend = "raise TODOSERVICE_CONNECT_TIMEOUT, and TODOSERVICE_REQUEST_BUDGET above it" if slow else ""
            yield self._finding(Code.COLD_START, Severity.WARNING if slow else Severity.NOTE, what, mend)
        if (trip := facts.round_trip or 0.0) > FAR:
            what = (
                f"a round trip takes {trip * 1000:.0f} ms, and each operation is one: "
                f"within a region it is less than {FAR * 1000:.0f}"
            )
            yield self._finding(Code.LATENCY, Severity.WARNING, what, "run the service in the region of the database")


def _in_one_line(error: Exception) -> str:
    return " ".join(str(getattr(error, "orig", error)).split())


async def _connect(engine: AsyncEngine) -> float:
    """Return how long it took."""
    began = time.perf_counter()
    await greenlet_spawn(lambda: engine.sync_engine.connect().close())
    return time.perf_counter() - began


def _ask(engine: AsyncEngine, facts: Facts, questions: Questions) -> list[Finding]:
    with engine.sync_engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        facts.tls = raw.info.ssl_attribute("protocol") if raw.info.ssl_in_use else "off"
        if facts.tls == "off":
            facts.verified = "nothing"
        major, minor = divmod(raw.server_version, 10000)
        facts.server_version = f"{major}.{minor}"
        facts.round_trip = statistics.median(_round_trips(connection))
        return list(questions(connection, facts))


def _round_trips(connection: Connection) -> Iterator[float]:
    connection.exec_driver_sql("SELECT 1")  # behind a pooler the first one waits for a connection to be made
    end = time.perf_counter() + SAMPLING
    for _ in range(SAMPLES):
        began = time.perf_counter()
        connection.exec_driver_sql("SELECT 1")
        yield (now := time.perf_counter()) - began
        if now > end:
            return
