"""Rounds: every contestant in its turn, all works in each, so that what disturbs the machine disturbs all alike."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from performance import load, process
from performance.contestants import Contestant, environment
from performance.databases import Database
from performance.ports import free_port
from performance.proxy import Proxy
from performance.results import Measurement, Results
from performance.rows import DELETING, LISTING, READING, WRITING, insert, keys, remove, write_keys
from performance.server import Server
from performance.work import Setup, Work

PATH: Final = "/api/v1/todos"
MOST_DELETED: Final = 9000
"""Requests each second that there are rows for: more than any contestant answers."""


@dataclass(frozen=True)
class Entrant:
    """A contestant with its database, and the folder that it is started in."""

    contestant: Contestant
    database: Database
    folder: Path


@dataclass
class Running:
    """A contestant that answers."""

    entrant: Entrant
    port: int
    pid: int
    proxy: Proxy | None = None


@contextmanager
def serving(entrant: Entrant, setup: Setup, *, to: str = "", **variables: str) -> Iterator[Running]:
    """Start a contestant for the block. `to` is another database than its own; `variables` are added to its own."""
    with ExitStack() as stack:
        url = to or entrant.database.url
        proxy = stack.enter_context(Proxy(url)) if setup.through_proxy else None
        port = free_port()
        values = environment(setup, port, proxy.url if proxy else url, entrant.database.rows) | variables
        if entrant.contestant.ours:
            values["TODOSERVICE_REQUIRE_ISOLATION"] = str(entrant.contestant.isolated).lower()
        command = entrant.contestant.command(port, setup)
        started = process.started(command, values, entrant.folder, port, f"{PATH}?limit=1", READING[0])
        yield Running(entrant, port, stack.enter_context(started).pid, proxy)


def requests(running: Running, work: Work, seconds: int) -> Path:
    """Write the requests of a work, and the rows that they need, and return the file."""
    database, path = running.entrant.database, running.entrant.folder / f"keys-{work.operation}"
    if work.operation == "list":
        return write_keys(path, [(LISTING[work.size], "-")])
    if work.operation == "create":
        remove(database.owner_url, database.table, WRITING)
        return write_keys(path, [(user, "-") for user in WRITING])
    if work.operation == "delete":
        remove(database.owner_url, database.table, DELETING)
        insert(database.owner_url, database.table, DELETING, round(MOST_DELETED * seconds / len(DELETING)))
        return write_keys(path, keys(database.owner_url, database.table, DELETING))
    return write_keys(path, keys(database.owner_url, database.table, READING))


def measure(server: Server, running: Running, work: Work, seconds: int, number: int) -> Measurement:
    """Do a work for a while, warm. Raises load.Failed."""
    if running.proxy is not None:
        running.proxy.delay = work.delay / 1000
    warm = round(seconds / 3)
    file = requests(running, work, seconds + warm + 1)
    process.ask(running.port, "GET", f"{PATH}?limit=1", READING[0])  # once what the last work left is done
    if warm:
        early = _taken(file, warm / (seconds + warm)) if work.operation == "delete" else file
        load.run(running.port, work.operation, early, clients=work.clients, seconds=warm)
    app, database = process.cpu(running.pid), process.cpu(server.pid)
    seen = load.run(running.port, work.operation, file, clients=work.clients, seconds=seconds)
    spent = process.cpu_since(app, running.pid), process.cpu_since(database, server.pid)
    app_cpu, database_cpu = (one / seen.requests * 1e6 for one in spent)
    return Measurement(
        contestant=running.entrant.contestant.name, work=work.name, round=number, rate=seen.rate, p50=seen.p50,
        p99=seen.p99, max=seen.max, app_cpu=app_cpu, database_cpu=database_cpu,
        resident=process.resident(running.pid), peak=process.resident(running.pid, "VmHWM"),
    )  # fmt: skip


def _taken(file: Path, share: float) -> Path:
    """Take a share of the requests out of a file, and return one with those: no row is deleted twice."""
    lines = file.read_text().splitlines(keepends=True)
    at = round(len(lines) * share)
    early = file.with_name(f"{file.name}-early")
    early.write_text("".join(lines[:at]))
    file.write_text("".join(lines[at:]))
    return early


def run(
    server: Server, entrants: Sequence[Entrant], works: Sequence[Work], results: Results, say: Callable[[str], None]
) -> None:
    """Measure everything, `results.rounds` times, the other way round every second time."""
    for number in range(results.rounds):
        for setup in dict.fromkeys(work.setup for work in works):
            for entrant in entrants if number % 2 == 0 else reversed(entrants):
                among = [work for work in works if work.setup == setup and entrant.contestant.does(work)]
                if among:
                    with serving(entrant, setup) as running:
                        for work in among:
                            _one(server, running, work, number, results, say)


def _one(
    server: Server, running: Running, work: Work, number: int, results: Results, say: Callable[[str], None]
) -> None:
    name = running.entrant.contestant.name
    try:
        seen = measure(server, running, work, results.seconds, number)
    except load.Failed as error:
        results.failures.append(f"round {number + 1}, {name}, {work.name}: {error}")
        say(results.failures[-1])
        return
    results.measurements.append(seen)
    say(
        f"round {number + 1} {name:12} {work.name:20} {seen.rate:8.0f}/s p50 {seen.p50:7.1f} p99 {seen.p99:7.1f} ms, "
        f"CPU {seen.app_cpu:6.0f} + {seen.database_cpu:5.0f} us"
    )
