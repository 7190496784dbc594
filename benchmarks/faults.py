"""What can befall a service's database: one after the other, of every kind, and each comes to its end."""

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from compute import ADMIN, Compute
from databases import ask
from edge import Cut
from endpoint import ASLEEP, DISABLED, TOO_MANY, Endpoint
from pooler import Pooler

LONGEST_STALL: Final = 4.0
"""Seconds in which the edge passes nothing on at most: then it does, whoever has left meanwhile."""
CUT_AT: Final = ("INSERT INTO todoservice.todos", "UPDATE todoservice", "DELETE FROM", "SELECT", "BEGIN;", "COMMIT")


class Faults:
    """Does to a rig what Neon, a network or an operator does."""

    def __init__(self, seed: int, compute: Compute, pooler: Pooler, endpoint: Endpoint, role: str) -> None:
        """Take the rig, and the role whose backends are killed."""
        self._random = random.Random(f"{seed}/faults")  # noqa: S311 - no secret
        self._compute = compute
        self._pooler = pooler
        self._endpoint = endpoint
        self._role = role
        self._left: list[Callable[[], None]] = []
        self.done: Counter[str] = Counter()
        """How many there were of each kind."""

    def step(self) -> None:
        """Do something, and wait for a moment. Each kind is met before any is met again."""
        if not self._left:
            self._left = [
                self._kill_a_backend, self._kill_all_backends, self._kill_the_pooler, self._restart_fast,
                self._restart_immediately, self._suspend, self._cut_messages, self._cut_everything, self._stall,
                self._refuse_connects, self._shut, self._err, self._disable, self._say_nothing, self._delay,
            ]  # fmt: skip
            self._random.shuffle(self._left)
        fault = self._left.pop()
        self.done[fault.__name__.strip("_").replace("_", " ")] += 1
        fault()
        self._wait(0.1, 1.0)

    def heal(self) -> None:
        """Take back what has not come to its end by itself."""
        self._endpoint.cuts = []
        self._endpoint.errors = []
        self._endpoint.refused = 0

    def _wait(self, least: float, most: float) -> None:
        time.sleep(self._random.uniform(least, most))

    def _kill_a_backend(self) -> None:
        self._terminate("ORDER BY random() LIMIT 1")

    def _kill_all_backends(self) -> None:
        self._terminate("")

    def _terminate(self, which: str) -> None:
        backends = "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE usename = '{}' {}) s"
        ask(self._compute.url(ADMIN), backends.format(self._role, which))

    def _kill_the_pooler(self) -> None:
        self._pooler.kill()
        self._wait(0, 1.5)
        self._pooler.start()

    def _restart_fast(self) -> None:
        self._compute.restart()

    def _restart_immediately(self) -> None:
        # What was acknowledged is in the kernel's memory by then, though no fsync has put it on a disk.
        self._compute.stop("immediate")
        self._wait(0, 1.0)
        self._compute.start()

    def _suspend(self) -> None:
        self._endpoint.suspend(self._random.uniform(0.1, 3.0))

    def _cut_messages(self) -> None:
        for _ in range(self._random.randrange(1, 12)):
            sent = self._random.choice([None, None, 0, 1, -1, self._random.randrange(2, 600)])
            answered = self._random.choice([0, 1, -1, self._random.randrange(2, 300)]) if sent is None else 0
            self._endpoint.cuts.append(Cut(self._random.choice(CUT_AT), sent, answered))
        self._wait(0.1, 1.0)

    def _cut_everything(self) -> None:
        for _ in range(self._random.randrange(1, 6)):
            self._endpoint.cut()
            self._wait(0, 0.3)

    def _refuse_connects(self) -> None:
        self._endpoint.refused = self._random.randrange(1, 30)
        self._endpoint.cut()

    def _shut(self) -> None:
        self._endpoint.shut()
        self._wait(0.1, 2.0)
        self._endpoint.open()

    def _err(self) -> None:
        self._endpoint.errors = self._random.choices([ASLEEP, TOO_MANY, "Control plane request failed"], k=8)
        self._endpoint.cut()

    def _disable(self) -> None:
        self._endpoint.refusal = DISABLED
        self._endpoint.cut()
        self._wait(0.1, 0.5)
        self._endpoint.refusal = ""

    def _say_nothing(self) -> None:
        self._endpoint.silent = True
        self._endpoint.cut()
        self._wait(0.1, 1.0)
        self._endpoint.silent = False

    def _delay(self) -> None:
        self._endpoint.delay = self._random.uniform(0.001, 0.05)
        self._wait(0.5, 2.0)
        self._endpoint.delay = 0.0

    def _stall(self) -> None:
        self._endpoint.stalled = True
        self._wait(0.1, LONGEST_STALL)
        self._endpoint.stalled = False
