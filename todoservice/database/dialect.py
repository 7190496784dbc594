"""An asyncio dialect for SQLAlchemy over psycopg2: `postgresql+psycopg2_asyncio://`.

Its engine is used as a plain one inside SQLAlchemy's greenlet: `await greenlet_spawn(work)`, where `work` does
`with engine.sync_engine.connect() as connection: connection.execute(...)`. `AsyncEngine.connect` does not work, for an
`AsyncConnection` expects cursors adapted for asyncio, and these are psycopg2's own.
Who needs nothing of SQLAlchemy's awaits `Cursor.ask` of a pooled connection, which costs no greenlet.
One connection serves one task at a time.

psycopg2's connections are asynchronous ones (psycopg2's documentation, "Asynchronous support"): always in autocommit,
and what needs a connection that blocks, as COPY does, they refuse.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn, TypeAlias

import psycopg2
import psycopg2.errors
import psycopg2.extensions
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_INTRANS
from psycopg2.sql import Composable
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2
from sqlalchemy.engine.interfaces import IsolationLevel
from sqlalchemy.util import immutabledict
from sqlalchemy.util.concurrency import await_

from todoservice.database.libpq import Watched, locate, time_limit
from todoservice.database.lists import ListCompiler
from todoservice.database.values import plain

Query: TypeAlias = str | bytes | Composable

NO_COPY: Final = (
    "COPY cannot be confined to a user, and psycopg2 cannot wait for it on an event loop: insert a list of rows "
    "instead, or load the data from a process of its own"
)


Guard = Callable[[Any, Any], None]


class Connection(Watched):
    """A connection that sends `prefix` before each statement, in the same message.

    It is in autocommit, as all asynchronous ones are. Without a transaction PostgreSQL runs such a message as one, so
    that what `prefix` sets lasts for the statement.
    """

    guard: Guard | None = None
    """Asked before each statement, with its text and parameters. It raises to refuse one."""

    prefix: str = ""
    """Complete statements, each ended by a semicolon. Cleared on return to the pool."""

    _transaction: str = ""
    """What has become of the transaction: "opening", "open" or "failed"; "" without one."""

    def open_transaction(self, prefix: str) -> None:
        """Let the next statement open a transaction: `BEGIN`, `prefix` and the statement are one message.

        `commit` and `rollback` end it, best by SQLAlchemy's, which wrap their errors. After a statement that failed,
        the others are refused, and so is `commit`. Sends nothing itself.
        """
        self.prefix = prefix
        self._transaction = "opening"

    def commit(self) -> None:
        """End the transaction, if one is open, and keep what it did: a round trip, in SQLAlchemy's greenlet.

        Raises psycopg2.errors.InFailedSqlTransaction, having rolled back, where one of its statements failed. Where
        this raises a disconnection, nobody knows whether the transaction was kept.
        """
        was, self._transaction, self.prefix = self._transaction, "", ""
        if was == "failed":
            self.rollback()
            _refuse_failed()
        if was == "open":
            await_(self._command("COMMIT"))

    def rollback(self) -> None:
        """End the transaction, if one is open, and undo it, in SQLAlchemy's greenlet. Sends nothing where none is."""
        self.forget()
        if self.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            await_(self._command("ROLLBACK"))

    def forget(self) -> None:
        """Forget the prefix and the transaction, for whoever has the connection next."""
        self._transaction, self.prefix = "", ""

    async def ping(self) -> None:
        """Make a round trip. Raises psycopg2.Error where the connection is lost."""
        await self._command("SELECT 1")

    def close(self) -> None:
        """Close without waiting. A statement under way in another task fails with OperationalError."""
        if self.is_awaited:
            # That task's wait ends, and it closes what is then a lost connection.
            with socket.socket(fileno=os.dup(self.fileno())) as twin:
                twin.shutdown(socket.SHUT_RDWR)
        else:
            self.unwatch()
            super().close()

    def cursor(  # type: ignore[override]
        self, name: str | bytes | None = None, cursor_factory: Any = None, **options: Any
    ) -> "Cursor":
        """Return a `Cursor`. Raises psycopg2.NotSupportedError for any other kind, and for a server-side one."""
        if name is not None or options:
            msg = "a server-side cursor cannot be confined to a user: select pages, by a key and a limit, instead"
            raise psycopg2.NotSupportedError(msg)
        if cursor_factory is not None and not (isinstance(cursor_factory, type) and issubclass(cursor_factory, Cursor)):
            msg = "another class of cursor would pass the audit by: leave cursor_factory out"
            raise psycopg2.NotSupportedError(msg)
        made: Cursor = super().cursor(cursor_factory=cursor_factory or Cursor)
        return made

    def heading(self) -> str:
        """Return what travels before the next statement. Raises InFailedSqlTransaction where there can be none."""
        if self._transaction == "failed":
            _refuse_failed()
        if self._transaction == "opening":
            return f"BEGIN;{self.prefix}"
        return "" if self._transaction else self.prefix

    def answered(self) -> None:
        """Note what the server's answer to a statement made of the transaction."""
        if self._transaction and not self.closed:
            goes_on = self.get_transaction_status() == TRANSACTION_STATUS_INTRANS
            self._transaction = "open" if goes_on else "failed"

    async def _command(self, text: str) -> None:
        """Send the host's own text, which is no feature's statement: neither audited nor prefixed."""
        with super().cursor(cursor_factory=psycopg2.extensions.cursor) as cursor:
            cursor.execute(text)
            await self.settle()


def _refuse_failed() -> NoReturn:
    msg = "a statement of this transaction failed or ended it, so none can follow: let its error end the block"
    raise psycopg2.errors.InFailedSqlTransaction(msg)


class Cursor(psycopg2.extensions.cursor):
    """A cursor whose statements all pass `execute`, whoever calls it and however."""

    connection: Connection
    _total: int | None = None

    def execute(self, query: Query, vars: Any = None) -> None:  # noqa: A002 - psycopg2's name
        """Send the connection's prefix and the statement as one message, and take the statement's result.

        In SQLAlchemy's greenlet. Raises psycopg2.Error, and what `ask` raises.
        """
        await_(self.ask(query, vars))

    async def ask(self, query: Query, vars: Any = None) -> None:  # noqa: A002 - as above
        """Do what `execute` does, outside of a greenlet.

        Raises UnsupportedValue and UnusableValue, which name the parameter, and what the connection's guard raises.
        """
        # Here is every statement of the engine, as its author wrote it: no other way leads to the server.
        connection = self.connection
        if type(vars) is dict or type(vars) is immutabledict:
            # The guard and psycopg2 get the same values, which no other code can change or reach.
            vars = plain(vars)  # noqa: A001
        if connection.guard is not None:
            connection.guard(query, vars)
        message = connection.heading().encode() + self.mogrify(query, vars)
        self._total = None
        try:
            super().execute(message)
            await connection.settle()
        finally:
            connection.answered()

    def executemany(self, query: Query, vars_list: Iterable[Any]) -> None:
        """Execute the statement for each set of parameters: a message each, and atomic only in a transaction."""
        # psycopg2's own calls no overridden `execute`.
        total = 0
        for parameters in vars_list:
            self.execute(query, parameters)
            total += max(self.rowcount, 0)
        self._total = total

    @property
    def rowcount(self) -> int:
        """The rows that the last `execute` selected or changed, or those that all of an `executemany` did."""
        return super().rowcount if self._total is None else self._total

    def callproc(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse. Raises psycopg2.NotSupportedError."""
        msg = "callproc passes the audit by: execute a SELECT of the function, its arguments as parameters"
        raise psycopg2.NotSupportedError(msg)

    def copy_expert(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse. Raises psycopg2.NotSupportedError."""
        raise psycopg2.NotSupportedError(NO_COPY)

    copy_from = copy_to = copy_expert


async def _connected(*arguments: Any, **parameters: Any) -> Connection:
    connection = psycopg2.connect(*arguments, connection_factory=Connection, **parameters)
    try:
        await connection.settle()
    except BaseException:
        # The error's traceback keeps this object, which would keep the socket.
        connection.close()
        raise
    return connection


class AsyncPsycopg2Dialect(PGDialect_psycopg2):
    """SQLAlchemy's psycopg2 dialect, waiting on the event loop. A new connection asks the server nothing."""

    driver = "psycopg2_asyncio"
    is_async = True
    has_terminate = True
    statement_compiler = ListCompiler
    supports_statement_cache = True

    def __init__(self, late_arguments: Callable[[], Mapping[str, Any]] = dict, **options: Any) -> None:
        """`late_arguments` is asked at each new connection for parameters of libpq, which win over all others."""
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self._late_arguments = late_arguments
        self._turn = 0

    def connect(self, *arguments: Any, **parameters: Any) -> Any:
        """Return a new `Connection`, within `connect_timeout` seconds. Raises psycopg2.OperationalError."""
        return await_(self._connect(arguments, {**parameters, **self._late_arguments()}))

    async def _connect(self, arguments: tuple[Any, ...], parameters: dict[str, Any]) -> Connection:
        seconds = time_limit(parameters)
        doing = "looking up its address"
        try:
            async with asyncio.timeout(seconds):
                located = parameters | await locate(parameters, self._turn)
                doing = "waiting for its answer"
                return await _connected(*arguments, **located)
        except TimeoutError:
            # An address that never answers uses up the time of those behind it: begin with another next time.
            self._turn += 1
            msg = (
                f'connection to server at "{parameters.get("host", "its socket")}" failed: timeout expired after '
                f"{seconds:g} s of {doing}: check the host and port in the database URL, and the firewalls between"
            )
            raise psycopg2.OperationalError(msg) from None

    def get_isolation_level_values(self, dbapi_connection: Any) -> tuple[IsolationLevel, ...]:  # noqa: ARG002
        """Return what may be chosen. Another level would cost statements, and stay behind in a pooler's session."""
        return ("AUTOCOMMIT",)

    # What SQLAlchemy asks over an engine's first connection: answered from what the server said at its start.

    def set_isolation_level(self, dbapi_connection: Any, level: IsolationLevel) -> None:
        """Do nothing: it is the only one."""

    def get_default_isolation_level(self, dbapi_conn: Any) -> IsolationLevel:  # noqa: ARG002
        """Return the level of a connection to which none was given."""
        return "AUTOCOMMIT"

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        version: int = connection.connection.dbapi_connection.server_version
        return divmod(version, 10000)

    def _get_default_schema_name(self, connection: Any) -> str:  # noqa: ARG002
        return "public"

    def _set_backslash_escapes(self, connection: Any) -> None:
        strings = connection.connection.dbapi_connection.get_parameter_status("standard_conforming_strings")
        self._backslash_escapes = strings == "off"
