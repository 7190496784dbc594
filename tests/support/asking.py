"""What the tests of the database ask with: a pool for a block, one statement, and a loop that shows it is free."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, TypeVar

import uvloop
from sqlalchemy import URL, Connection, Row, make_url, text
from sqlalchemy.util.concurrency import greenlet_spawn

from todoservice.database import dialect
from todoservice.database.engine import build_pool
from todoservice.database.lease import Lease
from todoservice.database.pool import Pool

Result = TypeVar("Result")
Run: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]

SLEEP = "SELECT CAST(:value AS int) FROM pg_sleep(:seconds)"
SET = "SELECT set_config('todoservice.user_id', 'ada', true);"
SEEN = "SELECT current_setting('todoservice.user_id', true)"

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def runner(loop: str) -> Run:
    """Return what runs a coroutine on a new loop of the kind that is named, and fails where a callback of it does."""

    def run(work: Coroutine[Any, Any, None]) -> None:
        faults: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=LOOPS[loop]) as made:
            made.get_loop().set_exception_handler(lambda _, fault: faults.append(fault))
            made.run(work)
        assert faults == []

    return run


@asynccontextmanager
async def opened(url: URL, **options: Any) -> AsyncIterator[Pool]:
    """Yield a pool, closed after the block."""
    pool = build_pool(url, **options)
    try:
        yield pool
    finally:
        pool.close()


def anything(_text: object, _parameters: object) -> None:
    """Let every statement through: a guard."""


async def leased(pool: Pool) -> Lease:
    """Take a connection out of the pool, for any statement."""
    return Lease(pool, await pool.take(), anything)


def lend(url: str, guard: dialect.Guard, do: Callable[[Lease], Awaitable[None]]) -> None:
    """Do something with a lease, on a loop and with a pool of its own."""

    async def main() -> None:
        async with opened(make_url(url).set(drivername="postgresql+psycopg2")) as pool:
            with Lease(pool, await pool.take(), guard) as lease:
                await do(lease)

    asyncio.run(main())


async def work(pool: Pool, do: Callable[[Connection], Result]) -> Result:
    """Do something with a connection of the pool, as a scope does."""
    with await leased(pool) as lease:
        return await greenlet_spawn(do, lease.connection)


async def ask(pool: Pool, statement: str, **values: Any) -> Row[*tuple[Any, ...]]:
    """Return the one row of a statement."""
    return await work(pool, lambda connection: connection.execute(text(statement), values).one())


async def backend(pool: Pool) -> int:
    """Return the process id of the server that the pool's next connection reaches."""
    return int((await ask(pool, "SELECT pg_backend_pid()"))[0])


def execute(connection: Connection, statement: str) -> Any:
    """Return the first value of a statement's answer."""
    return connection.execute(text(statement)).scalar_one()


def raw(connection: Connection) -> dialect.Connection:
    """Return psycopg2's connection."""
    made = connection.connection.dbapi_connection
    assert isinstance(made, dialect.Connection)
    return made


@asynccontextmanager
async def ticking() -> AsyncIterator[list[float]]:
    """Yield a list that grows every hundredth of a second in which the loop is free."""
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.01)
            ticks.append(asyncio.get_running_loop().time())

    task = asyncio.create_task(tick())
    try:
        yield ticks
    finally:
        task.cancel()


def resolve(addresses: dict[str, list[str]]) -> Callable[..., Coroutine[Any, Any, list[tuple[Any, ...]]]]:
    """Return a name look-up, for a loop to use in place of its own."""

    async def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
        if host not in addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses[host]]

    return getaddrinfo
