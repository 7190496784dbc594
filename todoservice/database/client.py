"""One app's database: its pool, and whether it was last reached."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from todoservice.confinement import UnscopedStatement
from todoservice.database.dialect import Connection as ScopedConnection
from todoservice.database.dialect import Guard
from todoservice.database.failures import FAILURES, is_out_of_reach, problem_for
from todoservice.problems import ServiceUnavailable

logger = logging.getLogger("todoservice")
Result = TypeVar("Result")
PROVISION: Final = "todoservice db provision"
"""The command that makes or repairs the role that the service logs in with."""


class NotReady(Exception):
    """The database is reached, but cannot be served from. The message names the command that mends it."""


class NotOpen(RuntimeError):
    """The pool was used without the app's lifespan."""


class Database:
    """The pool of one app. It opens on the running loop, by the app's lifespan, and is used on that loop only."""

    def __init__(
        self,
        engine: AsyncEngine,
        verify: Callable[[Connection], str],
        mend: Callable[[], None] | None = None,
        *,
        door: Guard,
        statement_limit: float = 11.0,
    ) -> None:
        """`verify` looks at the database before the first statement is served; it raises NotReady.

        It returns what is then to travel before every prefix. `door` is asked before each of its statements, and raises
        to refuse one. `mend`, where there is one, is then called in a thread, and `verify` asked again.
        """
        self.engine = engine
        event.listen(engine.sync_engine, "connect", _close_door)
        self._statement_limit = statement_limit
        self._verify = verify
        self._door = door
        self._mend = mend
        self._verified = False
        self._verification: asyncio.Task[None] | None = None
        self._before = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self.reached: bool | None = None
        """The outcome of the last statement: None before the first."""

    async def open(self) -> None:
        """Open the pool, and verify the database where it can be reached: else that is done before the first use.

        Raises NotReady.
        """
        self._loop = asyncio.get_running_loop()
        try:
            await self.verify()
        except ServiceUnavailable as error:
            logger.warning("Starting without a database: %s (%s)", error, _in_one_line(error.__cause__))

    async def close(self) -> None:
        """Close the pool's connections."""
        self._loop = None
        if self._verification is not None:
            self._verification.cancel()
        await self.engine.dispose()

    async def verify(self) -> None:
        """Ask the database whether it can be served from: once for all who ask at the same time.

        Raises ServiceUnavailable or NotReady.
        """
        self._ensure_open()
        if self._verification is None or self._verification.done():
            self._verification = asyncio.create_task(self._verify_and_mend())
            self._verification.add_done_callback(_seen)
        await asyncio.shield(self._verification)

    async def _verify_and_mend(self) -> None:
        try:
            self._before = await self._look()
        except NotReady:
            if self._mend is None:
                raise
            await asyncio.to_thread(self._mend)
            self._before = await self._look()
        self._verified = True

    async def _look(self) -> str:
        try:
            return await self._run("", self._verify, self._door)
        except DBAPIError as error:
            msg = f"the database does not let the service look at its tables: {_in_one_line(error)}: run `{PROVISION}`"
            raise NotReady(msg) from error

    async def ready(self) -> bool:
        """Say whether the service can answer: from the last statement's outcome, asking only where that was bad."""
        if not (self.reached and self._verified):
            try:
                await self.verify()
            except (ServiceUnavailable, NotReady) as error:
                logger.warning("Not ready: %s", error)
                return False
        return True

    async def run(self, prefix: str, work: Callable[[Connection], Result], guard: Guard) -> Result:
        """Do `work` with a connection of the pool, every statement preceded by `prefix` in the same message.

        `guard` is asked first, with each statement's text and parameters, and raises to refuse it.
        Raises the Problem that stands for what went wrong.
        """
        await self._ensure_verified()
        return await self._run(self._before + prefix, work, guard)

    async def _ensure_verified(self) -> None:
        if not self._verified:
            try:
                await self.verify()
            except NotReady as error:
                logger.error("%s", error)  # noqa: TRY400 - expected, and told in one line
                raise ServiceUnavailable from error

    async def _run(self, prefix: str, work: Callable[[Connection], Result], guard: Guard) -> Result:
        self._ensure_open()
        with self._told():
            async with asyncio.timeout(None) as limit:
                return await greenlet_spawn(self._with_connection, prefix, work, guard, limit)

    def limit_from_now(self) -> float:
        """Return when, by the loop's clock, a statement sent now is given up: a server that hangs ends none itself."""
        return asyncio.get_running_loop().time() + self._statement_limit

    def _ensure_open(self) -> None:
        if self._loop is not asyncio.get_running_loop():
            msg = (
                "the database is not open on this event loop: run the app's lifespan first "
                "(a server does; in a test, `with TestClient(app):`)"
            )
            raise NotOpen(msg)

    def _with_connection(
        self, prefix: str, work: Callable[[Connection], Result], guard: Guard, limit: asyncio.Timeout
    ) -> Result:
        with self.engine.sync_engine.connect() as connection:
            limit.reschedule(self.limit_from_now())
            scoped = _scoped(connection)
            scoped.prefix, scoped.guard = prefix, guard
            try:
                return work(connection)
            finally:
                scoped.prefix, scoped.guard = "", _closed

    @asynccontextmanager
    async def transaction(self, prefix: str, guard: Guard) -> AsyncIterator["Transaction"]:
        """Hold one connection in one transaction: committed at the end of the block, rolled back where it raises."""
        await self._ensure_verified()
        self._ensure_open()
        with self._told():
            connection = await greenlet_spawn(self.engine.sync_engine.connect)
        scoped = _scoped(connection)
        try:
            scoped.open_transaction(self._before + prefix)
            scoped.guard = guard
            yield Transaction(self, connection)
            with self._told():
                async with asyncio.timeout_at(self.limit_from_now()):
                    await greenlet_spawn(connection.commit)
        finally:
            scoped.guard = _closed
            # Returning the connection rolls back what was not committed.
            await asyncio.shield(greenlet_spawn(connection.close))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Remember whether the database was reached, and raise the Problem that stands for a failure."""
        try:
            yield
        except FAILURES as error:
            problem = problem_for(error)
            if is_out_of_reach(error):
                if self.reached is not False:
                    logger.warning("The database is out of reach: %s", _in_one_line(error))
                self.reached = False
            if problem is None:
                raise
            raise problem from error
        self.reached = True


class Transaction:
    """One connection in one transaction."""

    def __init__(self, database: Database, connection: Connection) -> None:
        """Hold `connection` of `database`."""
        self._database = database
        self._connection = connection
        self._turn = asyncio.Lock()

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work` in the transaction, one after the other. Raises the Problem that stands for what went wrong."""
        async with self._turn:
            with self._database._told():  # noqa: SLF001 - a part of it
                async with asyncio.timeout_at(self._database.limit_from_now()):
                    return await greenlet_spawn(work, self._connection)


def _closed(_text: object, _parameters: object) -> None:
    """Refuse a statement that nobody's scope sends."""
    msg = "a statement was sent outside of a scope: give it to one, which says whose rows it may touch"
    raise UnscopedStatement(msg)


def _close_door(connection: ScopedConnection, _record: object) -> None:
    connection.guard = _closed


def _seen(verification: asyncio.Task[None]) -> None:
    """Take note of the outcome, which nobody else does where all who asked have gone."""
    if not verification.cancelled():
        verification.exception()


def _in_one_line(error: BaseException | None) -> str:
    return " ".join(str(getattr(error, "orig", error)).split())


def _scoped(connection: Connection) -> ScopedConnection:
    scoped = connection.connection.dbapi_connection
    assert isinstance(scoped, ScopedConnection)  # noqa: S101 - the dialect makes no other
    return scoped
