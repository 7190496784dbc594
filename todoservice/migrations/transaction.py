"""The connection that migrations run on: direct, in one transaction, one migrator at a time.

Every failure becomes a MigrationError of one line, without a password.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from todoservice.database.url import is_pooled, unpooled
from todoservice.models import SCHEMA

LOCK: Final = 0x746F646F73
"""The key of the advisory lock that migrators take, whatever plugins they have: "todos" in ASCII."""
PATIENCE: Final = 600
"""Seconds to wait for another migrator."""
LOCK_TIMEOUT: Final = 10
"""Seconds to wait for a table that someone uses: whoever comes after us waits as long, so that it must be short."""
CONNECT: Final = {"connect_timeout": 10, "application_name": "todoservice migrations"}

_INSUFFICIENT_PRIVILEGE: Final = "42501"
_LOCK_NOT_AVAILABLE: Final = "55P03"
_ACTIVE_TRANSACTION: Final = "25001"
_ENDING: Final = re.compile(
    r"\s*(COMMIT|END|ABORT|PREPARE\s+TRANSACTION|ROLLBACK(?!(\s+(WORK|TRANSACTION))?\s+TO))\b", re.IGNORECASE
)

logger = logging.getLogger("todoservice")


class MigrationError(Exception):
    """A migration did not happen, and nothing was changed. The message is one line and says what to do."""


class DatabaseUnreachable(MigrationError):
    """There is no connection to the database, so that nothing is known of its schema."""


class Refused(Exception):
    """A revision does what would end the transaction that all revisions share."""


def direct(url: sa.URL) -> sa.URL:
    """Return the URL of the database itself where `url` names Neon's pooler: there a session's settings leak."""
    if is_pooled(url):
        url = unpooled(url)
        logger.info("Migrating over the direct connection, to %s instead of its pooler", url.host)
    return url


@contextmanager
def connected(url: sa.URL, connect_args: Mapping[str, Any] | None = None) -> Iterator[sa.Connection]:
    """Yield a connection that is this block's alone. What is not committed in the block is rolled back.

    `connect_args` are libpq's and win over the URL's. Raises DatabaseUnreachable.
    """
    target = direct(url).set(drivername="postgresql+psycopg2")
    arguments = {name: value for name, value in CONNECT.items() if name not in target.query} | dict(connect_args or {})
    engine = sa.create_engine(
        target, poolclass=NullPool, isolation_level="READ COMMITTED", use_native_hstore=False, hide_parameters=True,
        connect_args=arguments,
    )  # fmt: skip
    try:
        connection = engine.connect()
    except DBAPIError as error:
        msg = (
            f"no connection to the database {target.database!r}: {first_line(error)}: "
            "check NEON_MIGRATION_DATABASE_URL, or where that is unset NEON_DATABASE_URL, and that the database runs"
        )
        raise DatabaseUnreachable(msg) from error
    # Alembic leaves the default schema out of what it compares, and a role may have made ours its default.
    engine.dialect.default_schema_name = "public"
    with connection:
        yield connection


@contextmanager
def alone(connection: sa.Connection) -> Iterator[None]:
    """Hold the block in a transaction that no other migrator shares, on a database that has our schema.

    Whoever comes second waits, and then sees what the first has done. Raises MigrationError.
    """
    with told(connection), connection.begin():
        _take_turn(connection)
        # Row-level security would hide rows from a data migration; with it off, that fails aloud instead.
        connection.exec_driver_sql(
            f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}s'; SET LOCAL row_security = off;"
            f"SET LOCAL search_path = {SCHEMA}, public"
        )
        _make_schema(connection)
        yield


@contextmanager
def told(connection: sa.Connection) -> Iterator[None]:
    """Raise MigrationError, in one line, for what the database refuses in the block."""
    try:
        yield
    except DBAPIError as error:
        msg = f"the database {connection.engine.url.database!r} was not migrated: {explained(error)}"
        raise MigrationError(msg) from error


def _take_turn(connection: sa.Connection) -> None:
    try:
        # A role may have time limits of its own, which are meant for the service.
        connection.exec_driver_sql(
            "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;"
            f"SET LOCAL lock_timeout = '{PATIENCE}s'; SELECT pg_advisory_xact_lock({LOCK})"
        )
    except DBAPIError as error:
        if _state(error) != _LOCK_NOT_AVAILABLE:
            raise
        msg = f"another migration has been running for {PATIENCE} s: try again when it is over"
        raise MigrationError(msg) from error


def _make_schema(connection: sa.Connection) -> None:
    # IF NOT EXISTS alone would ask for the right to create schemas even where there is nothing to create.
    if connection.exec_driver_sql(f"SELECT to_regnamespace('{SCHEMA}')").scalar() is None:
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")


@contextmanager
def kept_open(connection: sa.Connection) -> Iterator[None]:
    """Refuse during the block what would end the connection's transaction. Raises Refused where it is tried."""

    def refuse_statement(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if _ENDING.match(statement):
            refuse(statement.partition(";")[0].strip())

    def refuse_commit(_c: object) -> None:
        refuse("commit()")

    def refuse_rollback(_c: object) -> None:
        refuse("rollback()")

    listeners = (
        ("before_cursor_execute", refuse_statement), ("commit", refuse_commit), ("rollback", refuse_rollback),
    )  # fmt: skip
    for name, listener in listeners:
        event.listen(connection, name, listener)
    try:
        yield
    finally:
        for name, listener in listeners:
            event.remove(connection, name, listener)


def refuse(what: str = "autocommit_block()") -> NoReturn:
    """Raise Refused for what a revision tried."""
    msg = f"it uses {what}, and all migrations share one transaction: leave it out, and the host commits at the end"
    raise Refused(msg)


def first_line(error: BaseException) -> str:
    """Return what an error says, in one line: a database's own words, without the statement and its values."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        diagnostics = getattr(error.orig, "diag", None)
        text = getattr(diagnostics, "message_primary", None) or str(error.orig)
    else:
        text = str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0]


def explained(error: BaseException) -> str:
    """Return why a revision failed, and where that is known what to do instead."""
    state = _state(error)
    if state == _ACTIVE_TRANSACTION:
        return (
            f"{first_line(error)}, and all migrations share one transaction: for an index, leave CONCURRENTLY out; "
            "where its table is too large for that, make it by hand first, and write IF NOT EXISTS in the migration"
        )
    if state == _LOCK_NOT_AVAILABLE:
        return f"a table was in use for more than {LOCK_TIMEOUT} s: try again when there is less to do"
    if state == _INSUFFICIENT_PRIVILEGE and "row-level security" in first_line(error):
        return f"{first_line(error)}: do it in a block `with todoservice.unforced(op, TABLE):`"
    if state == _INSUFFICIENT_PRIVILEGE:
        return f"{first_line(error)}: set NEON_MIGRATION_DATABASE_URL to the owner's connection"
    if isinstance(error, Refused):
        return first_line(error)
    kind = type(error.orig) if isinstance(error, DBAPIError) else type(error)
    return f"{kind.__name__}: {first_line(error)}"


def _state(error: BaseException) -> str | None:
    """Return the SQLSTATE, where the database gave one."""
    return getattr(error.orig, "pgcode", None) if isinstance(error, DBAPIError) else None
