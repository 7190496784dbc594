"""Clusters of the embedded PostgreSQL, for tests: places for them, and what they say."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2

from todoservice.database.embedded import Lease


def ask(lease: Lease, statement: str, **other: Any) -> Any:
    """Return the first column of the first row."""
    with closing(psycopg2.connect(**lease.connect_args | other)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
        return row[0] if row else None


def pidfile(data_dir: Path) -> Path:
    """Return the file that is there while a server runs."""
    return next(iter(data_dir.glob("*-18/data"))) / "postmaster.pid"


def server_pid(data_dir: Path) -> int:
    """Return the server's process."""
    return int(pidfile(data_dir).read_text().split("\n", 1)[0])


@contextmanager
def reachable() -> Iterator[Path]:
    """Give a directory that every account can reach, as pytest's own is not; what serves from it is killed."""
    path = Path(tempfile.mkdtemp(prefix="embedded-"))
    path.chmod(0o755)
    yield path
    for file in path.rglob("postmaster.pid"):
        with suppress(ProcessLookupError):
            os.kill(int(file.read_text().split("\n", 1)[0]), signal.SIGQUIT)
    shutil.rmtree(path)
