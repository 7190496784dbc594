"""A real PgBouncer in transaction mode, in front of the tests' server: as Neon's pooled endpoint has one."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from databases import text_of
from sqlalchemy import make_url

PATIENCE = 10.0
"""Seconds for PgBouncer to answer."""


@dataclass
class Pooler:
    """One PgBouncer, on a port of its own."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def url(self, of: str) -> str:
        """Return the URL of the same database and user through it."""
        return text_of(make_url(of).set(host="127.0.0.1", port=self.port, query={}))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        user = _account()
        with (self.folder / "stdout").open("ab") as log:
            self.process = subprocess.Popen(
                [program(), self.folder / "pgbouncer.ini"], stdout=log, stderr=log, start_new_session=True,
                user=user.pw_uid if user else None, group=user.pw_gid if user else None,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError((self.folder / "stdout").read_text())

    def kill(self) -> None:
        """End it at once, and with it every connection."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def program() -> str:
    """Return where PgBouncer is. Skips the test where it is not installed, and fails it in CI."""
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        missing = "PgBouncer is not installed: on Debian, apt-get install pgbouncer"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    return found


@contextmanager
def pooler(server: str, passwords: Mapping[str, str], port: int, **settings: object) -> Iterator[Pooler]:
    """Run a PgBouncer for the block, in front of the server of this URL, for users with these passwords.

    It has one connection to the server, unless `settings` say more.
    """
    program()
    folder = Path(tempfile.mkdtemp(prefix="pooler-"))
    chosen: dict[str, Any] = {
        "listen_addr": "127.0.0.1", "listen_port": port, "unix_socket_dir": "", "pool_mode": "transaction",
        "default_pool_size": 1, "max_client_conn": 200, "auth_type": "scram-sha-256",
        "auth_file": folder / "users.txt", "ignore_startup_parameters": "extra_float_digits", "log_connections": 0,
        "log_disconnections": 0, "query_wait_timeout": 30, "server_login_retry": 1,
    } | settings  # fmt: skip
    lines = "\n".join(f"{name} = {value}" for name, value in chosen.items())
    (folder / "pgbouncer.ini").write_text(f"[databases]\n* = {_address(server)}\n[pgbouncer]\n{lines}\n")
    (folder / "users.txt").write_text("".join(f'"{name}" "{word}"\n' for name, word in passwords.items()))
    if user := _account():
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
    made = Pooler(folder, port)
    try:
        made.start()
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.kill()
        shutil.rmtree(folder)


def _address(server: str) -> str:
    url = make_url(server)
    return f"host={url.query.get('host') or url.host} port={url.port or url.query.get('port') or 5432}"


def _account() -> "pwd.struct_passwd | None":
    """Return whom to run it as in root's place, which PgBouncer refuses: whom the embedded server runs as too."""
    if os.geteuid() == 0:
        for name in ("postgres", "nobody"):
            with suppress(KeyError):
                return pwd.getpwnam(name)
    return None
