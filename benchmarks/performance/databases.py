"""A database for each contestant, with the rows to begin with."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from performance.contestants import Contestant
from performance.rows import fill, write_rows
from performance.server import PEERS_TABLE, Server, execute, text_of
from todoservice import Settings
from todoservice.plugins.host import Host
from todoservice.testing import databases

OPEN: Final = "benchmark_open"
"""A role that row-level security does not bind."""


@dataclass(frozen=True)
class Database:
    """A contestant's database."""

    owner_url: str
    """For the benchmark itself."""
    url: str
    """For the contestant."""
    table: str
    rows: Path | None = None
    """In place of a database."""


@contextmanager
def migrated(server: Server) -> Iterator[str]:
    """Make a database of todoservice's, empty and provisioned, for the block, and return its owner's URL."""
    with databases.migrated(server.url(), Host.load(Settings.load(), serving=False).plugins) as url:
        yield url


@contextmanager
def prepared(server: Server, contestant: Contestant, folder: Path) -> Iterator[Database]:
    """Make a contestant's database for the block."""
    if contestant.ours:
        with migrated(server) as owner_url:
            fill(owner_url, contestant.table)
            url = databases.login_url(owner_url) if contestant.name != "open" else open_url(owner_url)
            yield Database(owner_url, url, contestant.table)
        return
    url = server.create_database(f"peer_{contestant.name}")
    execute(url, PEERS_TABLE)
    fill(url, contestant.table)
    rows = write_rows(folder / "rows.csv", url, contestant.table) if contestant.in_memory else None
    yield Database(url, url, contestant.table, rows)


def open_url(owner_url: str) -> str:
    """Make a role for a database of todoservice's that row-level security does not bind, and return its URL."""
    url = make_url(owner_url)
    execute(owner_url, f"CREATE ROLE {OPEN} LOGIN SUPERUSER PASSWORD '{OPEN}'")
    return text_of(url.set(username=OPEN, password=OPEN))
