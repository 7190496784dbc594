"""Databases for tests: a server for the whole run, and migrated databases on it, made from a template."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import psycopg2
from psycopg2 import sql
from sqlalchemy import URL, make_url

from todoservice.database import embedded, roles
from todoservice.migrations import runner, transaction
from todoservice.models import uuid7
from todoservice.plugins import Plugin

SERVER: Final = "TODOSERVICE_TEST_DATABASE_URL"
"""The variable for a server of one's own: the URL of a superuser, or of a role with CREATEDB and CREATEROLE."""
_PASSWORD: Final = "a password that only the tests have, 0123456789"  # noqa: S105


@contextmanager
def server(shared: Path) -> Iterator[str]:
    """Yield the URL of a server that tests may use up: the one of `SERVER`, else an embedded one.

    `shared` is a folder that all processes of the run have in common: those share the embedded server too.
    """
    if url := os.environ.get(SERVER):
        yield url
        return
    with embedded.acquire(_folder(shared), durable=False) as lease:
        yield lease.url


def _folder(shared: Path) -> Path:
    """Return the run's folder for the server: not one of pytest's, which no other account may enter."""
    note = shared / "todoservice-server"
    if not note.exists():
        folder = Path(tempfile.mkdtemp(prefix="todoservice-tests-"))
        folder.chmod(0o755)
        own = note.with_name(f"{note.name}.{os.getpid()}")
        own.write_text(str(folder))
        try:
            note.hardlink_to(own)
        except FileExistsError:
            folder.rmdir()
        finally:
            own.unlink()
    return Path(note.read_text())


@contextmanager
def migrated(server_url: str, plugins: Sequence[Plugin], template: str = "template1") -> Iterator[str]:
    """Yield the owner's URL of a database of its own, with the plugins' tables; dropped after the block.

    `template` names a database to copy, which nobody may be connected to.
    """
    name = f"test_{uuid7().hex}"
    identifier = sql.Identifier(name)
    _administer(server_url, sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(identifier, sql.Identifier(template)))
    url = make_url(server_url).set(database=name)
    try:
        # A copy has the grants of the role that the template has.
        role = sql.Identifier(f"{template}_app")
        _administer(_text(url), sql.SQL("DROP OWNED BY {}").format(role) if template != "template1" else None)
        runner.upgrade(url, plugins)
        yield _text(url)
    finally:
        _administer(server_url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))
        for kind in ("login", "app"):
            with suppress(psycopg2.Error):
                _administer(server_url, sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(f"{name}_{kind}")))


def login_url(owner_url: str) -> str:
    """Make the role that the service logs in with, and return its URL of this database."""
    with transaction.connected(make_url(owner_url)) as connection:
        name = roles.provision(connection, _PASSWORD).name
    return _text(make_url(owner_url).set(username=name, password=_PASSWORD))


def _administer(url: str, statement: sql.Composable | None) -> None:
    if statement is None:
        return
    with closing(psycopg2.connect(_text(make_url(url)))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


def _text(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
