"""A contestant's processes: started, asked until they answer, weighed, and ended."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

PATIENCE: Final = 60.0
"""Seconds until a contestant has to answer."""
_SCHEDULED: Final = 2
"""Which of a process's clocks: that of the scheduler (CPUCLOCK_SCHED)."""
_MIB: Final = 1024


def tree(pid: int) -> list[int]:
    """Return a process and all that came from it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended since
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cpu(pid: int) -> dict[int, float]:
    """Return the seconds of the processor that a process and all that came from it have used, each, by the kernel.

    By the clock of each process (clock_getcpuclockid(3)): /proc/PID/stat counts hundredths of a second, which are lost
    where fifty processes do a little each.
    """
    used = {}
    for one in tree(pid):
        with suppress(OSError):  # it has ended since
            used[one] = time.clock_gettime(~one << 3 | _SCHEDULED)
    return used


def cpu_since(before: Mapping[int, float], pid: int) -> float:
    """Return the seconds that the processes which are there now have used since."""
    return sum(seconds - before.get(one, 0.0) for one, seconds in cpu(pid).items())


def resident(pid: int, line: str = "VmRSS") -> float:
    """Return the largest resident memory among the processes, in MiB: a worker's, now or, by `VmHWM`, at its most."""
    sizes = []
    for one in tree(pid):
        status = Path(f"/proc/{one}/status").read_text().splitlines()
        sizes += [int(entry.split()[1]) / _MIB for entry in status if entry.startswith(f"{line}:")]
    return max(sizes)


@contextmanager
def started(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, port: int, path: str, user: object,
    *, pause: float = 0.02,
) -> Iterator[subprocess.Popen[bytes]]:  # fmt: skip
    """Run a server for the block, once it answers the user's request for `path`, asked every `pause` seconds."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait(process, port, path, user, pause)
        yield process
    except Exception as error:
        error.add_note(f"{command}:\n{log.read_text(errors='replace')[-4000:]}")
        raise
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started."""
    for one in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, one)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                continue


def wait(process: subprocess.Popen[bytes], port: int, path: str, user: object, pause: float) -> None:
    """Wait until the server answers with 200."""
    deadline = time.monotonic() + PATIENCE
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            msg = f"the server does not answer on port {port}"
            raise RuntimeError(msg)
        with suppress(OSError):
            if ask(port, "GET", path, user)[0] == 200:  # noqa: PLR2004 - OK
                return
        time.sleep(pause)


def ask(port: int, method: str, path: str, user: object, body: bytes | None = None) -> tuple[int, bytes]:
    """Make one request over a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"X-User-ID": str(user)} | ({"Content-Type": "application/json"} if body is not None else {})
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
