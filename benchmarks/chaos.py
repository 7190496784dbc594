"""Chaos: clients do random things over HTTP while everything behind the service breaks, and nothing may come of it.

A service as uvicorn serves it, an edge with TLS before a real PgBouncer before a real PostgreSQL with Neon's roles and
limits. Each client is one user and knows exactly what it was told (`world`); meanwhile backends and the pooler are
killed, the server is restarted, fast and as in a crash, put to sleep, cut off in the middle of messages, and the rest
of `faults`. At the end every acknowledged change is there, none was made twice, no row is another user's, and no answer
contradicts those before it; nobody was answered anything but what was to be expected, or 503, within the time that a
request may take; and the service is left with no more connections than its pool has.

    PYTHONPATH=tests/support python benchmarks/chaos.py --seconds 300

An acknowledged commit outlives a crash of the server here though `fsync` is off: with `synchronous_commit` on, which is
PostgreSQL's default, it is in the kernel's memory by then, and the machine itself does not crash.
What a seed decides is what clients and faults choose, not how they meet in time: to see a failure again takes patience.
"""

import argparse
import logging
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Final

import trustme
from compute import Compute, compute, free_port
from databases import PASSWORD, ask, login_url, migrate
from endpoint import Endpoint
from faults import LONGEST_STALL, Faults
from pooler import pooler
from serving import serving, wait_until_ready
from sqlalchemy import make_url
from world import Client, Contradiction, Shared, Told

POOL: Final = 5
BUDGET: Final = 5
STATEMENT: Final = 2
"""Seconds, as the service's settings of these names. Smaller than their defaults, so that more comes to its end."""
PATIENCE: Final = BUDGET + 4 * (STATEMENT + 1) + 8.0
"""Seconds within which every answer has to come: a transaction's last attempt begins within the budget, and has three
statements and a commit; and what slow machines need."""
REST: Final = LONGEST_STALL + STATEMENT + 3.0
"""Seconds after an answer in which what it left open may still come to pass: what the edge holds back is passed on, and
the server ends it within the statement's limit."""
GROWTH: Final = 100
"""Megabytes by which the service may grow."""


@dataclass
class Report:
    """What was done, and what came of it."""

    seed: int
    seconds: float = 0.0
    told: Told = field(default_factory=Told)
    faults: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    log: Counter[str] = field(default_factory=Counter)
    grown: float = 0.0
    connections: int = 0

    def __str__(self) -> str:
        """Return it for people."""
        answers = self.told.answers
        by_status = Counter[int]()
        for (_, status), times in answers.items():
            by_status[status] += times
        cut = quantiles(self.told.seconds, n=1000)
        return "\n".join(
            [
                f"seed {self.seed}: {answers.total()} operations and {self.faults.total()} faults "
                f"in {self.seconds:.0f} s",
                f"answers: {_listed(by_status)}; of the 503, {self.told.unknown} said that the outcome is unknown",
                f"of those, settled by a later read: {_listed(self.told.settled)}",
                "operations: " + _listed(Counter({f"{what} {status}": n for (what, status), n in answers.items()})),
                f"faults: {_listed(self.faults)}",
                f"seconds for an answer: median {cut[499]:.3f}, 95 % {cut[949]:.3f}, 99 % {cut[989]:.3f}, "
                f"99.9 % {cut[998]:.3f}, most {max(self.told.seconds):.3f}",
                f"the service's log: {_listed(self.log)}",
                f"left behind: {self.connections} connections of {POOL}, {self.grown:+.1f} MB of memory",
                f"failures: {len(self.failures)}",
                *self.failures,
            ]
        )


def _listed(counted: Counter[str] | Counter[int]) -> str:
    return ", ".join(f"{times} {what}" for what, times in sorted(counted.items(), key=str)) or "none"


class Chaos:
    """One run."""

    def __init__(self, seed: int, clients: int, node: Compute, endpoint: Endpoint, faults: Faults, base: str) -> None:
        """Make so many clients of the service at `base`."""
        self.report = Report(seed)
        self._node = node
        self._endpoint = endpoint
        self._faults = faults
        shared = Shared(PATIENCE, REST, self.report.told)
        self._clients = [Client(number, seed, base, shared) for number in range(clients)]
        self._over = threading.Event()

    def run(self, seconds: float) -> None:
        """Let everything happen for so long; then let it come to rest, and look at what is there."""
        began = time.monotonic()
        threads = [threading.Thread(target=self._live, args=(client,)) for client in self._clients]
        for thread in threads:
            thread.start()
        try:
            while time.monotonic() - began < seconds and not self.report.failures:
                self._faults.step()
        finally:
            self._faults.heal()
            self._over.set()
            for thread in threads:
                thread.join()
        self.report.seconds = time.monotonic() - began
        self.report.faults = self._faults.done
        for client in self._clients:
            self._settle(client)
            client.close()
        self._compare()

    def _live(self, client: Client) -> None:
        while not self._over.is_set() and self._try(client, client.step):
            pass

    def _try(self, client: Client, do: Callable[[], None]) -> bool:
        try:
            do()
        except Contradiction as error:
            self._fail(client, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has failed
            self._fail(client, f"{type(error).__name__}: {error}")
        else:
            return True
        return False

    def _fail(self, client: Client, why: str) -> None:
        names = [word.strip("'\"[],") for word in why.split() if word.strip("'\"[],") in client.names]
        lines = [line for line in client.history if any(name in line for name in names)] or client.history[-20:]
        self.report.failures.append("\n    ".join([f"user {client.user}: {why}", *lines]))

    def _settle(self, client: Client) -> None:
        """List what there is, once nothing can be on its way any more."""
        if not self.report.failures:
            time.sleep(max(0.0, client.open - time.monotonic()))
            self._try(client, client.list)

    def _compare(self) -> None:
        """See that the table has what the clients know, and nothing else."""
        if self.report.failures:
            return
        found = Counter(ask(self._node.url(), "SELECT user_id::text, id::text, title FROM todoservice.todos"))
        known = Counter(
            (str(client.user), id, row.state.title) for client in self._clients for id, row in client.rows.items()
        )
        self.report.failures += [f"in the table, and nobody was told: {row}" for row in (found - known)]
        self.report.failures += [f"acknowledged, and not in the table: {row}" for row in (known - found)]


def chaos(seconds: float, seed: int, clients: int = 8, *, pooled: bool = True) -> Report:
    """Run it, and return the report."""
    said: list[str] = []
    with _rig() as (node, endpoint, faults_of, login):
        url, port = endpoint.address(login, PASSWORD, pooled=pooled), free_port()
        limits = {"POOL_SIZE": POOL, "REQUEST_BUDGET": BUDGET, "STATEMENT_TIMEOUT": STATEMENT, "CONNECT_TIMEOUT": 2}
        environment = {f"TODOSERVICE_{name}": str(value) for name, value in limits.items()}
        served = ("marking:served", "--factory", "--app-dir", str(Path(__file__).parent), "--no-access-log")
        with serving(*served, port=port, NEON_DATABASE_URL=url, **environment) as process:
            listener = threading.Thread(target=said.extend, args=(process.stderr,))
            listener.start()
            wait_until_ready(port)
            run = Chaos(seed, clients, node, endpoint, faults_of(seed), f"http://127.0.0.1:{port}")
            before = _memory(process.pid)
            run.run(seconds)
            report = run.report
            report.grown = _memory(process.pid) - before
            report.connections = _left_open(endpoint)
            process.terminate()
            listener.join()
    _judge(report, said)
    return report


@contextmanager
def _rig() -> Iterator[tuple[Compute, Endpoint, Callable[[int], Faults], str]]:
    with compute() as node:
        migrate(node.url())
        login = str(make_url(login_url(node.url())).username)
        with (
            tempfile.TemporaryDirectory() as folder,
            pooler(node.url(), {login: PASSWORD}, free_port(), default_pool_size=93) as pool,
            Endpoint(node.url(), pool.url(node.url()), trustme.CA(), Path(folder)) as endpoint,
        ):
            yield node, endpoint, lambda seed: Faults(seed, node, pool, endpoint, login), login


def _left_open(endpoint: Endpoint) -> int:
    """Return how many connections there are, once the edge has had the time to see those end that were given up."""
    until = time.monotonic() + REST
    while endpoint.open_connections > POOL and time.monotonic() < until:
        time.sleep(0.1)
    return endpoint.open_connections


def _judge(report: Report, lines: Sequence[str]) -> None:
    """Add what the service did not give back, and what its log should not have."""
    if report.connections > POOL:
        report.failures.append(f"{report.connections} connections are open, and the pool has {POOL}")
    if report.grown > GROWTH:
        report.failures.append(f"the service has grown by {report.grown:.0f} MB")
    report.log = Counter(line.partition(":")[0] for line in lines)
    for word in (PASSWORD, "Traceback", "ERROR:     Exception"):
        if found := next((number for number, line in enumerate(lines) if word in line), None):
            report.failures.append(
                "\n    ".join([f"the log has {word!r}", *map(str.rstrip, lines[found : found + 40])])
            )


def _memory(pid: int) -> float:
    """Return the megabytes of a process, where the system tells: on Linux."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0.0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it as told on the command line; return 1 where anything failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311 - no secret
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--direct", action="store_true", help="without the pooler")
    given = parser.parse_args(arguments)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # the edge's connections end in every possible way
    print(f"seed {given.seed}", flush=True)
    report = chaos(given.seconds, given.seed, given.clients, pooled=not given.direct)
    print(report)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
