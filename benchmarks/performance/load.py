"""The load, by wrk."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SCRIPT: Final = Path(__file__).with_name("load.lua")


class Failed(Exception):
    """Some request was not answered, or not with 2xx: the round counts for nothing."""


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    requests: int
    seconds: float
    p50: float
    """Milliseconds, as all latencies."""
    p99: float
    max: float

    @property
    def rate(self) -> float:
        """Requests each second."""
        return self.requests / self.seconds


def run(port: int, operation: str, keys: Path, *, clients: int, seconds: int) -> Load:
    """Send an operation, for each of the keys, as `clients` do who wait for one answer before they ask again.

    Raises Failed.
    """
    command = [
        "wrk", "--threads", "1", "--connections", str(clients), "--duration", f"{seconds}s",
        "--timeout", "20s", "--script", str(SCRIPT), f"http://127.0.0.1:{port}", "--", operation, str(keys),
    ]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Failed(ran.stderr)
    return parse(ran.stdout)


def parse(output: str) -> Load:
    """Read the line that `load.lua` prints. Raises Failed."""
    told = json.loads(output.splitlines()[-1])
    if told["errors"] or told["refused"] or not told["requests"]:
        msg = f"{told['refused']} answers were no success, {told['errors']} did not come, of {told['requests']}"
        raise Failed(msg)
    return Load(told["requests"], told["microseconds"] / 1e6, told["p50"] / 1e3, told["p99"] / 1e3, told["max"] / 1e3)
