"""The benchmark beside its peers: what it computes, and the contestants that need no more than the tests do."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest
from edge import Edge
from performance import installing, process, report, start, targets
from performance.contestants import CONTESTANTS, PEERS
from performance.databases import Database, open_url, prepared
from performance.load import Failed, parse
from performance.proxy import Messages, Proxy
from performance.results import Measurement, Memory, Results, Start
from performance.rounds import PATH, Entrant, Running, serving
from performance.rows import LISTING, READING
from performance.server import Server, running
from performance.work import ONE
from sqlalchemy import make_url


def programs(folder: Path, **said: str) -> str:
    """Write programs that say something, and return the PATH on which there are no others."""
    for name, words in said.items():
        (folder / name).write_text(f"#!/bin/sh\necho {words}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_the_machines_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is used where it is recent enough."""
    monkeypatch.setenv("PATH", programs(tmp_path, node="v20.0.0", npm="10"))
    assert installing.install_node(tmp_path) == ["npm"]


@pytest.mark.parametrize("there", [{}, {"node": "v22.1.0"}, {"node": "v18.19.0", "npm": "9"}])
def test_no_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: dict[str, str]) -> None:
    """Where none is recent enough, and none can be installed, what to do is said."""
    monkeypatch.setenv("PATH", programs(tmp_path, **there))
    monkeypatch.setattr(sys, "executable", shutil.which("false", path="/bin:/usr/bin"))
    with pytest.raises(SystemExit, match=r"Node 20 or later and npm are not installed.*leave fastify out"):
        installing.install_node(tmp_path)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Return the benchmark's own PostgreSQL."""
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def ours(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Return the service's database, with the rows to begin with."""
    with prepared(server, CONTESTANTS["todoservice"], tmp_path_factory.mktemp("todoservice")) as database:
        yield database


def measured(contestant: str, work: str, *rates: float, app_cpu: float = 100.0, p99: float = 5.0) -> list[Measurement]:
    """Return rounds of a work."""
    return [
        Measurement(
            contestant=contestant, work=work, round=number, rate=rate, p50=1, p99=p99, max=9, app_cpu=app_cpu,
            database_cpu=10, resident=50, peak=60,
        )
        for number, rate in enumerate(rates)
    ]  # fmt: skip


def results(*measurements: Measurement) -> Results:
    """Return a run of these."""
    return Results(
        date="2026-11-26", machine={"cores": "2"}, versions={}, seconds=3, rounds=3, measurements=list(measurements)
    )


def shown(run: Results) -> dict[tuple[str, str], tuple[str, str]]:
    """Return what was measured of each target, and whether it is met."""
    return {(work, against): (value, met) for work, against, _, value, met in targets.rows(run)}


def test_a_ratio_is_of_the_medians_of_the_rounds() -> None:
    """One round that something else disturbed changes nothing."""
    run = results(*measured("todoservice", "get", 4000, 10, 4100), *measured("tutorial", "get", 1000, 990, 5000))
    assert shown(run)["GET one", "tutorial"] == ("4.00x", "yes")
    assert shown(run)["GET one", "asyncpg"] == ("not measured", "-")


@pytest.mark.parametrize(
    ("theirs", "met"),
    [({"rate": 1000, "cpu": 100, "p99": 20.0}, "yes"), ({"rate": 1001, "cpu": 99, "p99": 20.1}, "no")],
)
def test_a_target_is_met_at_its_bound_and_not_beyond(theirs: dict[str, float], met: str) -> None:
    """Whether the bound is the least or the most, of a ratio or of a difference."""
    run = results(
        *measured("todoservice", "get", 4000, app_cpu=250),
        *measured("todoservice", "get-10ms", 4000, p99=theirs["p99"]),
        *measured("tutorial", "get", theirs["rate"]),
        *measured("memory", "get", 5000, app_cpu=theirs["cpu"]),
    )
    found = shown(run)
    assert found["GET one", "tutorial"][1] == met
    assert found["app CPU per GET", "memory"][1] == met
    assert found["p99 of GET, 10 ms added, 50 clients", "the added round trip"][1] == met


def test_what_is_measured_once_has_its_targets_too() -> None:
    """Round trips, memory and the start."""
    run = results().model_copy(
        update={
            "trips": {"todoservice": {"get": 1.0, "list": 2.0}, "tutorial": {"get": 4.0}},
            "memory": Memory(idle=80, early=90, late=90.5, requests=1000),
            "start": Start(plugins=10, service=[1.0, 3.2, 9.0], tutorial=[1.0, 2.5, 3.0], imports=[1.0, 2.0, 4.0]),
        }
    )
    found = shown(run)
    assert found["round trips of the operation with the most", "the floor"] == ("2.00", "no")
    assert found["memory of a worker", "after a tenth of the requests"] == ("+0.5 MiB", "yes")
    assert found["start to first answer, ten plugins", "import fastapi, sqlmodel"] == ("1.60x", "yes")


def test_every_target_of_the_report_is_there_once() -> None:
    """A run that measured nothing says so of each, and names no two alike."""
    assert set(shown(results()).values()) == {("not measured", "-")}
    assert len(shown(results())) == len(targets.TARGETS) == 16


def test_the_report_has_each_contestants_medians() -> None:
    """By work, and a dash for what was not measured."""
    run = results(*measured("todoservice", "get", 1, 1234, 5000), *measured("fastify", "list-10", 7))
    text = report.markdown(run)
    assert re.search(r"^\| get +\| 1,234 +\| - +\|$", text, re.MULTILINE)
    assert re.search(r"^\| list-10 +\| - +\| 7 +\|$", text, re.MULTILINE)
    assert Results.model_validate_json(run.model_dump_json()) == run


@pytest.mark.parametrize("wrong", [{"refused": 1}, {"errors": 1}, {"requests": 0}])
def test_a_load_with_a_failure_counts_for_nothing(wrong: dict[str, int]) -> None:
    """Neither one with an answer that is no success, nor one without answers."""
    told = {"requests": 3000, "microseconds": 2_000_000, "errors": 0, "refused": 0, "p50": 900, "p99": 5000, "max": 9e3}
    load = parse("wrk says more\n" + json.dumps(told))
    assert (load.rate, load.p50, load.p99, load.max) == (1500, 0.9, 5, 9)
    with pytest.raises(Failed):
        parse(json.dumps(told | wrong))


STARTUP = b"\0\0\0\x08\x04\xd2\x16\x2f" + b"\0\0\0\x0c\0\3\0\0user"
"""A request for TLS, and the start-up."""
EXTENDED = b"P\0\0\0\x06a\0" + b"B\0\0\0\x05b" + b"E\0\0\0\x05c" + b"S\0\0\0\4"
SIMPLE = b"Q\0\0\0\x06S\0"


@pytest.mark.parametrize("size", range(1, 20))
def test_round_trips_are_counted_in_whatever_pieces_they_come(size: int) -> None:
    """A simple query is one, and so is what ends with a Sync: a byte that looks like one in a message is none."""
    sent = STARTUP + EXTENDED + SIMPLE + EXTENDED
    messages = Messages()
    assert sum(messages.trips(sent[at : at + size]) for at in range(0, len(sent), size)) == 3


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.05])
def test_the_proxy_adds_its_delay_to_each_round_trip_and_counts_it(server: Server, delay: float) -> None:
    """Once for each message of psycopg2's, however large the answer; to no more than a few milliseconds on average."""
    with Proxy(server.url()) as proxy, closing(psycopg2.connect(proxy.url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            proxy.delay, proxy.trips = delay, 0
            began = time.monotonic()
            for _ in range(10):
                cursor.execute("SELECT repeat('x', 100000)")
                assert len(str(cursor.fetchone())) > 100_000
            took = (time.monotonic() - began) / 10
    assert proxy.trips == 10
    assert delay - 0.001 <= took < delay + 0.02


def test_the_processor_is_counted_for_children_too() -> None:
    """What a child of the process burns is the tree's, and what was before is not."""
    burn = "import time\nwhile time.process_time() < 0.3: pass\ntime.sleep(60)"
    command = [sys.executable, "-c", f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])"]
    with subprocess.Popen(command, start_new_session=True) as parent:
        try:
            deadline = time.monotonic() + 30
            while sum(process.cpu(parent.pid).values()) < 0.3 and time.monotonic() < deadline:
                time.sleep(0.02)
            before = process.cpu(parent.pid)
            assert len(before) == 2
            assert sum(before.values()) >= 0.3
            assert process.cpu_since(before, parent.pid) < 0.1
            assert process.resident(parent.pid, "VmHWM") >= process.resident(parent.pid) > 1
        finally:
            process.end(parent)


VOLATILE = re.compile(rb'"(id|created_at)": ?"[^"]+"')


def conversation(running: Running) -> Iterator[tuple[int, bytes]]:
    """Yield the answers to two users' five operations on the newest of their todos, and to those on what is no more."""
    owner, other = READING[:2]

    def ask(user: UUID, method: str, path: str = "", body: bytes | None = None) -> tuple[int, bytes]:
        return process.ask(running.port, method, PATH + path, user, body)

    first, second = (todos_in(ask(user, "GET")[1])[0]["id"] for user in (owner, other))
    yield ask(owner, "PATCH", f"/{first}", b'{"description": null, "is_completed": true}')
    yield ask(other, "PATCH", f"/{second}", b'{"title": "Other"}')
    yield ask(owner, "GET", f"/{first}")
    yield ask(other, "GET", f"/{first}")[0], b""  # each has its own words for what is not there
    yield ask(owner, "GET", "?limit=1000")
    for reader in LISTING.values():
        yield ask(reader, "GET", "?limit=1000")
    status, made = ask(other, "POST", "", b'{"title": "Buy milk"}')
    yield status, VOLATILE.sub(rb'"\1":""', made)
    path = f"/{json.loads(made)['id']}"
    yield ask(other, "DELETE", path)
    for method, body in (("GET", None), ("PATCH", b'{"title": "Gone"}'), ("DELETE", None)):
        yield ask(other, method, path, body)[0], b""


@pytest.mark.slow
def test_the_build_without_scope_answers_the_same_bytes(ours: Database, tmp_path: Path) -> None:
    """To every operation, of two users, though nothing travels before its statements and its role sees every row."""
    unbound = open_url(ours.owner_url)
    answers, sent = [], []
    for name, url in (("todoservice", ours.url), ("open", unbound)):
        folder = tmp_path / name
        folder.mkdir()
        with (
            Edge(make_url(url)) as edge,
            serving(Entrant(CONTESTANTS[name], ours, folder), ONE, to=str(edge.url().render_as_string(False))) as app,
        ):
            edge.statements.clear()
            answers.append(list(conversation(app)))
            sent.append(" ".join(edge.statements))
    assert answers[0] == answers[1]
    assert {status for status, _ in answers[0]} == {200, 201, 204, 404}
    assert ["set_config" in statements for statements in sent] == [True, False]
    with closing(psycopg2.connect(unbound)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT user_id) FROM todoservice.todos")
        assert cursor.fetchone() == (len(READING) + len(LISTING),)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tutorial", "memory"])
def test_a_peer_answers_as_the_service_does(name: str, server: Server, ours: Database, tmp_path: Path) -> None:
    """With the same statuses and, but for the list's frame, ids and instants, the same todos in the same order."""
    with ExitStack() as stack:
        theirs = stack.enter_context(prepared(server, CONTESTANTS[name], tmp_path))
        answers = []
        for contestant, database in ((name, theirs), ("todoservice", ours)):
            folder = tmp_path / contestant
            folder.mkdir()
            app = stack.enter_context(serving(Entrant(CONTESTANTS[contestant], database, folder), ONE))
            answers.append([(status, members(body)) for status, body in conversation(app)])
    assert answers[0] == answers[1]


def members(body: bytes) -> object:
    """Return a todo, or those of a list, without what differs from one database to another."""
    return [
        {name: value for name, value in todo.items() if name not in {"id", "created_at"}} | {"members": list(todo)}
        for todo in todos_in(body)
    ]


def todos_in(body: bytes) -> list[dict[str, object]]:
    """Return the todos of an answer: one, or those of a list in whichever frame."""
    told = json.loads(body or "[]")
    found: list[dict[str, object]] = told.get("items", [told]) if isinstance(told, dict) else told
    return found


@pytest.mark.slow
def test_the_tutorial_way_with_ten_more_features_has_their_operations(tmp_path: Path) -> None:
    """Each as the todos have them, under its own name."""
    module, _, app = start.write_features(tmp_path).partition(":")
    script = f"import json, {module}; print(json.dumps({module}.{app}.openapi()['paths']))"
    path = os.pathsep.join([str(tmp_path), str(PEERS.parents[1])])
    variables = {**os.environ, "PYTHONPATH": path, "DATABASE_URL": "postgresql://localhost/none"}
    told = subprocess.run([sys.executable, "-c", script], env=variables, check=True, capture_output=True)
    paths = json.loads(told.stdout)
    expected = {f"/api/v1/{name}": ["post", "get"] for name in ("todos", *start.PLUGINS)}
    expected |= {f"{path}/{{id}}": ["get", "patch", "delete"] for path in expected}
    assert {path: list(operations) for path, operations in paths.items()} == expected


def test_a_page_keeps_what_the_benchmark_does_not_write(tmp_path: Path) -> None:
    """Only what stands between the two marks is replaced."""
    written = tmp_path / "page.md"
    written.write_text(f"Before\n\n{report.BEGIN}\nold\n{report.END}\n\nAfter\n")
    report.write_page(written, results(*measured("todoservice", "get", 77)))
    text = written.read_text()
    assert (text.startswith("Before\n"), text.endswith("\n\nAfter\n"), "old" in text) == (True, True, False)
    assert "| 77 " in text
