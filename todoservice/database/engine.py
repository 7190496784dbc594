"""The engine: a pool of connections that wait on the event loop."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Self, cast

import psycopg2
from sqlalchemy import URL
from sqlalchemy.dialects import registry
from sqlalchemy.exc import ArgumentError, MissingGreenlet
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.pool.base import _ConnectionRecord
from sqlalchemy.util.concurrency import await_

from todoservice.database.dialect import Connection
from todoservice.database.libpq import has_input, time_limit

NETWORK: Final[Mapping[str, Any]] = {
    # A dead peer is noticed after a minute of silence, or 15 s after it should have acknowledged.
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 15000,
    # Prefixes are sent as UTF-8, whatever the database's own encoding.
    "client_encoding": "utf8",
    # Kerberos would look up and wait on its own, blocking the loop.
    "gssencmode": "disable",
}


def build_engine(
    url: URL,
    *,
    pool_size: int = 10,
    pool_timeout: float = 5.0,
    connect_timeout: float = 10.0,
    application_name: str = "todoservice",
    connect_args: Callable[[], Mapping[str, Any]] | None = None,
    recycle_after: float = 1800.0,
    ping_after: float = 60.0,
) -> AsyncEngine:
    """Return an engine for a `postgresql+psycopg2://` URL, without connecting. See `dialect` for how to use it.

    Times are in seconds: `pool_timeout` to wait for a free connection, `connect_timeout` for a new one with its name
    look-up and authentication, `recycle_after` the age at which a connection is replaced, `ping_after` the idle time
    after which it is tried before it is used.
    The URL's own parameters win over ours; `connect_args` is asked at each new connection, and wins over both.

    Raises ArgumentError for a `connect_timeout` in the URL that is no number.
    """
    registry.register("postgresql.psycopg2_asyncio", "todoservice.database.dialect", "AsyncPsycopg2Dialect")
    defaults = {**NETWORK, "connect_timeout": connect_timeout, "application_name": application_name}
    engine = create_async_engine(
        url.set(drivername="postgresql+psycopg2_asyncio"),
        isolation_level="AUTOCOMMIT",
        poolclass=Pool,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout,
        pool_recycle=recycle_after,
        pool_use_lifo=True,
        hide_parameters=True,
        use_native_hstore=False,
        connect_args={name: value for name, value in defaults.items() if name not in url.query},
        late_arguments=connect_args or dict,
    )
    pool = cast("Pool", engine.pool)
    pool.ping_after, pool.ping_limit = ping_after, _time_limit(url, connect_timeout)
    return engine


class Pool(AsyncAdaptedQueuePool):
    """A pool whose places connect once they are taken, not as they are made, and which hands out no lost connection.

    A connection that fails or is cancelled while it is made then goes back as an empty place, which wakes the next who
    waits; SQLAlchemy's own would let him wait for the whole `pool_timeout`. And that limit is for connections that are
    busy: who waits for a database that wakes up, waits as long as `connect_timeout` lets the connecting last.

    A connection is looked at as it is taken, at no round trip unless it was idle for long.
    """

    __module__ = AsyncAdaptedQueuePool.__module__  # what it logs is SQLAlchemy's, and goes where that goes

    ping_after: float = math.inf
    """Seconds of idleness after which a connection is tried."""
    ping_limit: float | None = None
    """Seconds that trying one may take."""

    def recreate(self) -> Self:
        """Return a pool like this one, without connections."""
        made = cast("Self", super().recreate())
        made.ping_after, made.ping_limit = self.ping_after, self.ping_limit
        return made

    def at_hand(self) -> PoolProxiedConnection | None:
        """Return an idle connection that can be used as it is, if there is one: outside of SQLAlchemy's greenlet."""
        if not self.checkedin():
            return None
        try:
            return self.connect()
        except MissingGreenlet:
            return None  # one was lost, or is too old, or has to be tried

    def _create_connection(self) -> ConnectionPoolEntry:
        return _ConnectionRecord(self, connect=False)

    def _do_get(self) -> ConnectionPoolEntry:
        record = cast("_ConnectionRecord", self._free())
        try:
            self._look_at(record)
        except BaseException:
            self._do_return_conn(record)
            raise
        return record

    def _free(self) -> ConnectionPoolEntry:
        dialect: Any = self._dialect
        while True:
            made = dialect.connected
            try:
                return super()._do_get()
            except PoolTimeout:
                if not dialect.connecting and dialect.connected == made:
                    raise

    def _look_at(self, record: _ConnectionRecord) -> None:
        """Leave a lost connection to be replaced, which SQLAlchemy does as it hands the place out."""
        connection = cast("Connection | None", record.dbapi_connection)
        if connection is None:
            return
        if connection.closed or has_input(connection.fileno()):
            # Only this one: each of the others is looked at in its turn.
            record.invalidate()
        elif self._invalidate_time <= record.last_connect_time and self._was_idle(connection):
            self._try(record, connection)

    def _was_idle(self, connection: Connection) -> bool:
        return time.monotonic() - connection.heard_at >= self.ping_after

    def _try(self, record: _ConnectionRecord, connection: Connection) -> None:
        async def ping() -> None:
            async with asyncio.timeout(self.ping_limit):
                await connection.ping()

        try:
            await_(ping())
        except (psycopg2.Error, TimeoutError) as error:
            record.invalidate(error)
            # Lost without a word, as those are that were idle as long.
            self._invalidate_time = time.time()
        except asyncio.CancelledError:
            record.invalidate()  # its answer is still to come
            raise


def is_busy(engine: AsyncEngine) -> bool:
    """Say whether all connections of the pool are made, and in use."""
    pool: Any = engine.pool
    dialect: Any = engine.dialect
    return pool.checkedout() == pool.size() and not dialect.connecting


def _time_limit(url: URL, connect_timeout: float) -> float | None:
    try:
        return time_limit({"connect_timeout": connect_timeout, **url.query})
    except (TypeError, ValueError) as error:
        msg = "connect_timeout in the database URL must be a number of seconds, such as connect_timeout=10"
        raise ArgumentError(msg) from error
