"""Whether the database is reached, and what the log says of it."""

import logging
import math
import time
from typing import Final

from todoservice.database.failures import advice, is_out_of_reach, is_permanent, takes_no_changes

logger = logging.getLogger("todoservice")
PAUSE: Final = 1.0
"""Seconds between two lines of the log that say that the database is out of reach, where that comes and goes."""
REMINDER: Final = 60.0
"""Seconds between two lines of the log that say that someone has to mend the same."""
TAKES_NO_CHANGES: Final = "The database takes no changes"


class Reach:
    """Whether the database at an address is reached. It logs what becomes of that: a line, however many are failing."""

    def __init__(self, address: str) -> None:
        """Name the database `address`, a host and a port."""
        self.reached: bool | None = None
        """The outcome of the last statement: None before the first."""
        self._address = address
        self._refused = False
        self._silent = False
        self._last_told = -math.inf
        self._reminded: dict[str, float] = {}

    def answered(self) -> None:
        """Take note of an answer."""
        if self.reached is False and not self._silent:
            logger.info("The database is reached again")
        self.reached, self._refused = True, False

    def failed(self, error: Exception) -> None:
        """Take note of a failure, one of `FAILURES`."""
        if is_out_of_reach(error):
            self._lose(error)
        elif takes_no_changes(error):
            self.remind(f"{TAKES_NO_CHANGES}: {in_one_line(error)}: see NEON_DATABASE_URL", TAKES_NO_CHANGES)
        elif told := advice(error):
            self.remind(told, level=logging.WARNING)

    def remind(self, message: str, about: str = "", level: int = logging.ERROR) -> None:
        """Log what someone has to see to: the same, or what is `about` the same, once in a while."""
        now, about = time.monotonic(), about or message
        if now - self._reminded.get(about, -math.inf) >= REMINDER:
            self._reminded[about] = now
            logger.log(level, "%s", message)

    def _lose(self, error: Exception) -> None:
        """Log the first of the failures in a row, and the first that someone has to mend."""
        if is_permanent(error):
            if not self._refused:
                logger.error("The database refuses the service: %s: see NEON_DATABASE_URL", in_one_line(error))
            self._refused = True
        elif self.reached is not False or self._silent:
            now = time.monotonic()
            self._silent = now - self._last_told < PAUSE
            if not self._silent:
                self._last_told = now
                why = in_one_line(error) or "no answer in time"
                logger.warning("The database is out of reach: %s (%s)", why, self._address)
        self.reached = False


def in_one_line(error: BaseException | None) -> str:
    """Return the words of the database's own error."""
    return " ".join(str(getattr(error, "orig", error)).split())
