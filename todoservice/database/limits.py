"""A time limit that is the same for all, without a timer for each."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Result = TypeVar("Result")


class TimeLimit:
    """A time limit for each of many pieces of work: one timer, for the oldest, is enough for all.

    To set and to cancel a timer of the loop costs a statement more than all else that is done for its time. Used on
    one loop, until it is closed.
    """

    def __init__(self, seconds: float) -> None:
        """Give each piece of work this many seconds."""
        self._seconds = seconds
        self._ends: dict[asyncio.Timeout, float] = {}
        """When each that is under way has to end, by the loop's clock: the oldest first."""
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, work: Awaitable[Result]) -> Result:
        """Return what `work` does. Raises TimeoutError, having cancelled it, where it takes too long."""
        async with asyncio.timeout(None) as limit:
            loop = asyncio.get_running_loop()
            self._ends[limit] = end = loop.time() + self._seconds
            if self._timer is None:
                self._timer = loop.call_at(end, self._look, loop)
            try:
                return await work
            finally:
                self._ends.pop(limit, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what is over its time, and come back when the next one would be."""
        self._timer = None
        for limit, end in tuple(self._ends.items()):
            if end > loop.time():
                self._timer = loop.call_at(end, self._look, loop)
                break
            del self._ends[limit]
            limit.reschedule(loop.time())

    def close(self) -> None:
        """Stop the clock."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
