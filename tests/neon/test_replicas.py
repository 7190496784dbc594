"""Several processes of the service on one pooler that has fewer connections than they have."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from secrets import choice
from typing import Any

import httpx2
import pytest
import trustme
from api import TODOS
from compute import Compute, free_port
from databases import PASSWORD, ask
from documents import page, table
from endpoint import Endpoint
from pooler import pooler
from serving import COMMAND, serving, wait_until_ready

from todoservice import Settings, uuid7
from todoservice.doctor.capacity import Capacity

logger = logging.getLogger(__name__)

BACKENDS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'neondb_login'"


@dataclass
class Client:
    """A user who creates, reads, changes and deletes, at any of the processes, and knows what has to be answered."""

    ports: list[int]
    id: str = field(default_factory=lambda: str(uuid7()))
    todos: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)

    def play(self, until: float) -> None:
        """Ask until then, by the monotonic clock."""
        with httpx2.Client(headers={"X-User-ID": self.id}, timeout=30) as client:
            for number in count():
                if time.monotonic() > until:
                    return
                self._step(client, f"http://127.0.0.1:{choice(self.ports)}{TODOS}", number)

    def _step(self, client: httpx2.Client, base: str, number: int) -> None:
        known = choice(list(self.todos)) if self.todos else ""
        match choice(["create", "list", "retrieve", "update", "delete"]) if known else "create":
            case "create":
                todo = self._answered(client.post(base, json={"title": str(number)}), 201).json()
                self.todos[todo["id"]] = todo
            case "list":
                items = self._answered(client.get(base), 200).json()["items"]
                assert {item["id"]: item for item in items} == self.todos
            case "retrieve":
                assert self._answered(client.get(f"{base}/{known}"), 200).json() == self.todos[known]
            case "update":
                changed = self._answered(client.patch(f"{base}/{known}", json={"title": f"{number}!"}), 200).json()
                assert changed == self.todos[known] | {"title": f"{number}!"}
                self.todos[known] = changed
            case "delete":
                self._answered(client.delete(f"{base}/{known}"), 204)
                del self.todos[known]

    def _answered(self, answer: httpx2.Response, status: int) -> httpx2.Response:
        self.answers[answer.status_code] += 1
        assert answer.status_code == status, answer.text
        return answer


@pytest.fixture
def narrow(
    request: pytest.FixtureRequest, node: Compute, authority: trustme.CA, login: str, tmp_path: Path
) -> Iterator[Endpoint]:
    """Return an endpoint whose pooler has so many connections."""
    with (
        pooler(node.url(), {login: PASSWORD}, free_port(), default_pool_size=request.param) as made,
        Endpoint(node.url(), made.url(node.url()), authority, tmp_path) as endpoint,
    ):
        yield endpoint


LONG = (4, 10, 8, 40, 30)


@pytest.mark.parametrize(
    ("processes", "size", "narrow", "clients", "seconds"),
    [(2, 4, 2, 8, 2), pytest.param(*LONG, marks=pytest.mark.long)], indirect=["narrow"],
)  # fmt: skip
def test_processes_that_share_a_pooler(
    node: Compute, narrow: Endpoint, login: str, processes: int, size: int, clients: int, seconds: float
) -> None:
    """Whichever process is asked, each answer is the one that the client's own changes have led to."""
    url = narrow.address(login, PASSWORD)
    ports = [free_port() for _ in range(processes)]
    with ExitStack() as stack, ThreadPoolExecutor(clients) as threads:
        for port in ports:
            settings = {"NEON_DATABASE_URL": url, "TODOSERVICE_POOL_SIZE": str(size)}
            stack.enter_context(serving(*COMMAND, "--log-level", "warning", port=port, **settings))
        for port in ports:
            wait_until_ready(port)
        everyone = [Client(ports) for _ in range(clients)]
        until = time.monotonic() + seconds
        playing = [threads.submit(client.play, until) for client in everyone]
        most = 0
        while time.monotonic() < until:
            most = max(most, ask(node.url(), BACKENDS)[0][0])
            time.sleep(0.1)
        for played in playing:
            played.result()
    answers = sum((client.answers for client in everyone), Counter())
    logger.info("%d requests, answered %s; at most %d connections at the server", answers.total(), dict(answers), most)
    assert most > 0
    for client in everyone:
        kept = ask(node.url(), f"SELECT id::text FROM todoservice.todos WHERE user_id = '{client.id}'")
        assert {id for (id,) in kept} == client.todos.keys()


def test_the_arithmetic_of_the_page() -> None:
    """Each row of its table, as `todoservice doctor` computes it, with the formula of Neon's page on compatibility."""
    size = Settings.model_fields["pool_size"].default
    rows = table("scaling.md", "compute units")
    assert len(rows) > 3
    for row in rows:
        units, most, at_work, busy, connected, direct = (float(cell) for cell in row)
        assert most == int(units * 419.66)
        pooled = Capacity(int(most), 7, size, pooled=True)
        alone = Capacity(int(most), 7, size, pooled=False)
        assert [pooled.at_work, pooled.busy_processes, pooled.processes] == [at_work, busy, connected]
        assert alone.processes == alone.busy_processes == direct


def test_the_run_of_the_page() -> None:
    """Its table has the run that is outside the default ones, and nothing unexpected in it."""
    assert "pytest -m long tests/neon/test_replicas.py --log-cli-level info" in page("scaling.md")
    ((processes, size, pooled, clients, seconds, _, unexpected, most),) = table("scaling.md", "processes")
    assert tuple(map(int, (processes, size, pooled, clients, seconds))) == LONG
    assert (unexpected, int(most) <= int(pooled)) == ("0", True)
