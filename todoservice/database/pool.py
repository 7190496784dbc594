"""The pool: an app's connections, each made when it is first needed and handed out as it was given back."""

import asyncio
import math
import time
from collections import deque
from typing import TypeAlias, cast

import psycopg2
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from todoservice.database.dialect import Connection
from todoservice.database.libpq import has_input

Place: TypeAlias = asyncio.Future[PoolProxiedConnection | None]


class Pool:
    """Connections to one database: no more than `size`, and the one that was given back last is handed out first.

    Who finds all of them in use waits in turn, and is handed what is given back. A connection is looked at as it is
    taken, at no round trip unless it was idle for long. SQLAlchemy's own pool wraps a connection anew each time that it
    is taken, and waits in a greenlet, which costs more than to send a statement.

    It is open to begin with, is used on one loop at a time, and is to be closed.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        size: int = 10,
        timeout: float = 5.0,
        recycle_after: float = math.inf,
        ping_after: float = math.inf,
        ping_limit: float | None = None,
    ) -> None:
        """Take the engine that makes the connections and keeps none of them: `build_engine` makes such.

        In seconds: `timeout` is how long to wait for one that is in use, `recycle_after` the age at which one is
        replaced, `ping_after` the idle time after which one is tried, for `ping_limit` at most.
        """
        self.engine = engine
        self._size = size
        self.ping_after = ping_after
        self._timeout = timeout
        self._recycle_after = recycle_after
        self._ping_limit = ping_limit
        self._idle: list[PoolProxiedConnection] = []
        self._waiting: deque[Place] = deque()
        """Who waits, in turn, and who has given up since."""
        self._connecting = 0
        self._made = 0
        self._trusted_since = -math.inf
        self._is_closed = False
        self.in_use = 0
        """How many connections are handed out, or being made."""

    def at_hand(self) -> PoolProxiedConnection | None:
        """Return an idle connection that can be used as it is, if there is one: it is to be given back, too."""
        if not self._idle:
            return None
        newest = _driver(self._idle[-1])
        if not self._is_fit(newest) or self._was_idle_for_long(newest):
            return None
        self.in_use += 1
        return self._idle.pop()

    async def take(self, until: float | None = None) -> PoolProxiedConnection:
        """Return a connection, which is to be given back; `until` is the latest time for that, by the loop's clock.

        Raises SQLAlchemy's TimeoutError where all stay in use for too long: who waits for one that is being made may
        wait as long as that takes. Raises TimeoutError where that is too late, DBAPIError where one cannot be made.
        """
        if (pooled := self.at_hand()) is not None:
            return pooled
        given = await self._turn(math.inf if until is None else until)
        try:
            if given is not None:
                if self._is_fit(_driver(given)):
                    return given
                _close(given)
            async with asyncio.timeout_at(until):
                return await self._idle_or_new()
        except BaseException:
            self._pass_on(None)
            raise

    def give_back(self, pooled: PoolProxiedConnection) -> None:
        """Take a connection back over which nothing is under way, or one that was given up."""
        self._pass_on(pooled if pooled.is_valid else None)

    def distrust(self, lost: Connection) -> None:
        """Have all that were made until now replaced before they are used again, where `lost` was trusted itself."""
        if lost.made_at > self._trusted_since:
            self._trusted_since = time.monotonic()

    def open(self) -> None:
        """Keep what is given back, from now on."""
        self._is_closed = False

    def close(self) -> None:
        """Close the idle connections, and those in use as they are given back, until it is opened again."""
        self._is_closed = True
        while self._idle:
            _close(self._idle.pop())

    async def _turn(self, until: float) -> PoolProxiedConnection | None:
        """Wait for a place among the connections, and return the one that holds it, if any."""
        if self.in_use < self._size:
            self.in_use += 1
            return None
        loop = asyncio.get_running_loop()
        place: Place = loop.create_future()
        self._waiting.append(place)
        timer = loop.call_at(min(loop.time() + self._timeout, until), self._give_up, place, until, self._made)
        try:
            return await place
        except BaseException:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._pass_on(place.result())
            raise
        finally:
            timer.cancel()

    def _give_up(self, place: Place, until: float, made: int) -> None:
        """End a wait, or put it off where connections are being made, or were: then they are not all busy."""
        if place.done():
            return
        loop = asyncio.get_running_loop()
        if (self._connecting or self._made != made) and loop.time() < until:
            loop.call_at(min(loop.time() + self._timeout, until), self._give_up, place, until, self._made)
        elif self._connecting:
            place.set_exception(TimeoutError())
        else:
            place.set_exception(PoolTimeout(f"all {self._size} connections of the pool stayed in use"))

    def _pass_on(self, pooled: PoolProxiedConnection | None) -> None:
        """Give a place to the next who waits, with the connection that holds it, if any."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(pooled)
                return
        self.in_use -= 1
        if pooled is not None:
            self._idle.append(pooled)
            if self._is_closed:
                self.close()

    async def _idle_or_new(self) -> PoolProxiedConnection:
        while self._idle:
            pooled = self._idle.pop()
            if self._is_fit(connection := _driver(pooled)) and not (
                self._was_idle_for_long(connection) and await self._is_silent(pooled)
            ):
                return pooled
            _close(pooled)
        return await self._new()

    async def _new(self) -> PoolProxiedConnection:
        self._connecting += 1
        try:
            # Not `raw_connection`, whose errors are the driver's own.
            pooled = await greenlet_spawn(lambda: self.engine.sync_engine.connect().connection)
        finally:
            self._connecting -= 1
        self._made += 1
        return pooled

    def _is_fit(self, connection: Connection) -> bool:
        """Say whether a connection is neither lost, as far as can be seen from here, nor too old."""
        made_at = connection.made_at
        is_old = made_at <= self._trusted_since or time.monotonic() - made_at > self._recycle_after
        return not (is_old or connection.closed or has_input(connection.fileno()))

    def _was_idle_for_long(self, connection: Connection) -> bool:
        return time.monotonic() - connection.heard_at >= self.ping_after

    async def _is_silent(self, pooled: PoolProxiedConnection) -> bool:
        """Try a connection, and say whether it does not answer: then those that are as old will not either."""
        try:
            async with asyncio.timeout(self._ping_limit):
                await _driver(pooled).ping()
        except (psycopg2.Error, TimeoutError):
            self.distrust(_driver(pooled))
            return True
        except asyncio.CancelledError:
            _close(pooled)  # its answer is still to come
            raise
        return False


def _driver(pooled: PoolProxiedConnection) -> Connection:
    return cast("Connection", pooled.dbapi_connection)


def _close(pooled: PoolProxiedConnection) -> None:
    if pooled.is_valid:
        pooled.invalidate()
