"""Databases and roles that a test may use up, and what their owner does to them."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg2
from psycopg2 import sql
from sqlalchemy import URL, make_url

from todoservice import Settings, uuid7
from todoservice.database import roles
from todoservice.migrations import runner, transaction
from todoservice.plugins.host import Host

PASSWORD = "a password that only the tests have, 0123456789"


@contextmanager
def database(server: str, template: str = "template1", *, name: str = "", owner: str = "") -> Iterator[str]:
    """Make a database for the block, and return its URL, with the server's user."""
    name = name or f"test_{uuid7().hex}"
    identifier = sql.Identifier(name)
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(identifier, sql.Identifier(template))
    if owner:
        create += sql.SQL(" OWNER {}").format(sql.Identifier(owner))
    administer(server, create)
    url = text_of(make_url(server).set(database=name))
    try:
        if template != "template1":
            # A copy has the grants of the template's role.
            administer(url, sql.SQL("DROP OWNED BY {}").format(sql.Identifier(f"{template}_app")))
        yield url
    finally:
        administer(server, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier), *_drop_roles(name))


def _drop_roles(name: str) -> Iterator[sql.Composed]:
    for kind in ("app", "login"):
        yield sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(f"{name}_{kind}"[:63]))


def administer(server: str, *statements: sql.Composable) -> None:
    """Run each statement in a transaction of its own."""
    with closing(psycopg2.connect(text_of(make_url(server)))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


@contextmanager
def role(server: str, attributes: str) -> Iterator[str]:
    """Make a role that can log in with `PASSWORD`, for the block; what it owns is dropped before."""
    name = f"test_{uuid7().hex}"
    administer(server, sql.SQL(f"CREATE ROLE {name} LOGIN {attributes} PASSWORD {{}}").format(sql.Literal(PASSWORD)))
    try:
        yield name
    finally:
        administer(server, sql.SQL(f"DROP OWNED BY {name} CASCADE"), sql.SQL(f"DROP ROLE {name}"))


@contextmanager
def neon(server: str) -> Iterator[str]:
    """Make a database with an owner as Neon's console makes one, and return this owner's URL."""
    with role(server, "CREATEROLE CREATEDB BYPASSRLS REPLICATION") as owner, database(server, owner=owner) as url:
        yield as_user(url, owner)


def migrate(url: str) -> list[str]:
    """Run what the installed plugins need. A copy of a migrated database lacks only what is granted to its own role."""
    return runner.upgrade(make_url(url), Host.load(Settings.load(), serving=False).plugins)


def login_url(url: str) -> str:
    """Give a database the role that the service logs in with, and return its URL."""
    with transaction.connected(make_url(url)) as connection:
        return as_user(url, roles.provision(connection, PASSWORD).name)


def as_user(url: str, name: str) -> str:
    """Return the URL for another user, with `PASSWORD`."""
    return text_of(make_url(url).set(username=name, password=PASSWORD))


def text_of(url: URL) -> str:
    """Return a URL as libpq takes it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def ask(url: str, *statements: str, user: object = None) -> list[tuple[Any, ...]]:
    """Run the statements in one transaction, committed, with this user set; return the rows of the last one."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        if user is not None:
            cursor.execute("SELECT set_config('todoservice.user_id', %s, true)", (str(user),))
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
