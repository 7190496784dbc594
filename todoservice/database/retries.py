"""Trying again: which failures may be, for how long, and what the client is told where it may not.

What counts is the stage at which a try failed, since libpq has no SQLSTATE for a connection that was lost. Before
anything was sent, nothing has happened: try again. A statement that was sent and never answered may have been done:
only one that may be sent twice is tried again, and of any other change the client is told that nobody knows.
"""

import asyncio
import random
from typing import Final

from todoservice.database.failures import is_lost, is_permanent, is_rate_limit, may_pass
from todoservice.problems import OutcomeUnknown, ServiceUnavailable

FIRST: Final = 0.1
"""Seconds of the longest first pause. The following ones double."""
LONGEST: Final = 2.0
"""Seconds of the longest pause."""
RATE_LIMITED: Final = 1.0
"""Seconds of the shortest pause after the database's proxy asked for fewer attempts."""


class Attempts:
    """The tries of one unit of work, a statement or a transaction, within the budget of its request."""

    def __init__(self, deadline: float | None = None, *, repeatable: bool = False, writes: bool = True) -> None:
        """Try until `deadline`, by the loop's clock, or once only. `repeatable` work may be sent twice."""
        self.deadline = deadline
        self.sent = False
        """Whether the present try has sent anything that lasts."""
        self.unanswered = False
        """Whether a try was sent and never answered, so that what it asked for may be done."""
        self._repeatable = repeatable
        self._writes = writes
        self._pauses = 0

    async def again(self, problem: ServiceUnavailable) -> None:
        """Wait before the next try. Where there is to be none, raises `problem`, or OutcomeUnknown."""
        error = problem.__cause__
        self.unanswered |= self.sent and is_lost(error)
        pause = self._pause(error)
        if self._is_over(pause) or not self._may_try(error):
            raise self._answer(problem) from error
        self.sent = False
        await asyncio.sleep(pause)

    def _is_over(self, pause: float) -> bool:
        return self.deadline is None or asyncio.get_running_loop().time() + pause >= self.deadline

    def _may_try(self, error: BaseException | None) -> bool:
        return may_pass(error) and not is_permanent(error) and (self._repeatable or not self.unanswered)

    def _answer(self, problem: ServiceUnavailable) -> ServiceUnavailable:
        if self.unanswered and self._writes:
            return OutcomeUnknown()
        # Whoever has no connection yet did not ask for too much.
        return problem if self.sent or not isinstance(problem.__cause__, TimeoutError) else ServiceUnavailable()

    def _pause(self, error: BaseException | None) -> float:
        """Return how long to wait: a random part of what doubles each time, so that many do not come back at once."""
        longest = min(LONGEST, FIRST * 2**self._pauses)
        self._pauses += 1
        return random.uniform(longest / 2, longest) + RATE_LIMITED * is_rate_limit(error)  # noqa: S311 - no secret
