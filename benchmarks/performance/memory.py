"""What a worker weighs, idle and after many requests."""

from collections.abc import Callable
from typing import Final

from performance import load, process
from performance.results import Memory
from performance.rounds import Entrant, requests, serving
from performance.work import ONE, Work

_WORK: Final = Work("get", "get")
_SLICE: Final = 5
"""Seconds between two looks at how many requests were made."""


def measured(entrant: Entrant, wanted: int, say: Callable[[str], None]) -> Memory:
    """Weigh a worker before and after this many GETs, and after a tenth of them."""
    with serving(entrant, ONE) as running:
        idle, early, done = process.resident(running.pid), 0.0, 0
        keys = requests(running, _WORK, _SLICE)
        seconds = 1
        while done < wanted:
            seen = load.run(running.port, "get", keys, clients=_WORK.clients, seconds=seconds)
            done += seen.requests
            seconds = max(1, min(_SLICE, round((wanted - done) / seen.rate)))
            weight = process.resident(running.pid)
            if not early and done >= wanted / 10:
                early = weight
            say(f"memory {done:,} requests: {weight:.1f} MiB")
        return Memory(idle=idle, early=early, late=weight, requests=done)
