"""A connection of the pool, for as long as one unit of work needs it."""
# ruff: noqa: SLF001 - how SQLAlchemy handles an error of the driver has no public name

from collections.abc import Mapping
from typing import Any, NoReturn, Self

from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from sqlalchemy import Connection, CursorResult, Executable
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util.concurrency import greenlet_spawn

from todoservice.confinement import UnscopedStatement
from todoservice.database.dialect import Connection as ScopedConnection
from todoservice.database.dialect import Cursor, Guard
from todoservice.database.pool import Pool


def closed(_text: object, _parameters: object) -> None:
    """Refuse a statement that nobody's scope sends: the guard of a connection that is not leased."""
    msg = "a statement was sent outside of a scope: give it to one, which says whose rows it may touch"
    raise UnscopedStatement(msg)


class Lease:
    """A connection that is out of the pool, for the block of a `with`, and then given back.

    Statements go over it as SQLAlchemy's or, with less ado, as the driver's. One task at a time uses it.
    """

    def __init__(self, pool: Pool, pooled: PoolProxiedConnection, guard: Guard, prefix: str = "") -> None:
        """Hold `pooled`, which came out of `pool`.

        `guard` is asked before each statement, and raises to refuse it; `prefix` travels before each.
        """
        self._pool = pool
        self._engine = pool.engine.sync_engine
        self._pooled = pooled
        self._sqlalchemy: Connection | None = None
        self._is_over = False
        self.driver: ScopedConnection = pooled.dbapi_connection  # type: ignore[assignment]  # the dialect makes no other
        """The driver's connection."""
        self.driver.guard, self.driver.prefix = guard, prefix

    def __enter__(self) -> Self:
        """Return the lease."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the connection back."""
        self.give_back()

    def give_back(self) -> None:
        """Give the connection back to the pool: one that is in a transaction, or has no answer yet, is closed."""
        if self._is_over:
            return
        self.driver.guard = closed
        self.driver.forget()
        self._is_over = True
        if self.driver.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            self.invalidate()
        if self._sqlalchemy is not None:
            self._pooled._counter += 1  # type: ignore[attr-defined]  # the pool keeps what closing would close
            self._sqlalchemy.close()
        self._pool.give_back(self._pooled)

    @property
    def connection(self) -> Connection:
        """SQLAlchemy's connection, to be used in its greenlet."""
        if self._sqlalchemy is None:
            self._sqlalchemy = Connection(self._engine, self._pooled)
        return self._sqlalchemy

    @property
    def dialect(self) -> Dialect:
        """The dialect that statements are compiled in."""
        return self._engine.dialect

    @property
    def is_listened_to(self) -> bool:
        """Whether somebody listens to what SQLAlchemy executes, as tracing does."""
        engine = self._engine
        listened = Connection._has_events or engine._has_events or engine.dialect._has_events
        return bool(listened or engine._should_log_info())

    async def execute(self, statement: Executable, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Have SQLAlchemy execute a statement. Raises DBAPIError, and StatementError for a value of no use."""
        return await greenlet_spawn(self.connection.execute, statement, values)

    async def execute_text(self, text: str, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Have SQLAlchemy give a text to the driver, and tell its listeners of it. Raises DBAPIError."""
        return await greenlet_spawn(self.connection.exec_driver_sql, text, values)

    async def ask(self, text: str, values: Mapping[str, Any]) -> Cursor:
        """Give a text to the driver as it is. Raises DBAPIError, and what the connection's guard raises."""
        if self._is_over:
            msg = "the connection was given back to the pool"
            raise RuntimeError(msg)
        cursor = None
        try:
            cursor = self.driver.cursor()
            await cursor.ask(text, values)
        except BaseException as error:  # noqa: BLE001 - a connection whose wait was cancelled is given up, too
            failed = text if isinstance(error, self.dialect.loaded_dbapi.Error) else None
            self.fail(error, failed, values, cursor)
        return cursor

    def fail(self, error: BaseException, text: str | None, values: Any = None, cursor: Any = None) -> NoReturn:
        """Raise an error that is being handled as SQLAlchemy does, which gives a lost connection up."""
        if self._is_over:
            raise error  # the connection is nobody's any more, or another's
        self._begun()._handle_dbapi_exception(error, text, values, cursor, None)

    async def commit(self) -> None:
        """Commit the driver's transaction. Raises DBAPIError."""
        await greenlet_spawn(self._begun().commit)

    def _begun(self) -> Connection:
        """Return SQLAlchemy's connection in a transaction: without one it commits nothing, and rolls back at once."""
        if not self.connection.in_transaction():
            self.connection.begin()
        return self.connection

    def invalidate(self) -> None:
        """Have the pool close it in place of taking it back."""
        if self._pooled.is_valid:
            self._pooled.invalidate()
