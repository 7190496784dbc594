"""One app's database: its pool, and whether it was last reached."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Set
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

import psycopg2
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from todoservice.database.dialect import Connection as ScopedConnection
from todoservice.database.dialect import Guard
from todoservice.database.failures import FAILURES, is_lost, problem_for
from todoservice.database.lease import Lease, closed
from todoservice.database.limits import TimeLimit
from todoservice.database.pool import Pool
from todoservice.database.reach import Reach, in_one_line
from todoservice.database.retries import Attempts
from todoservice.problems import OutcomeUnknown, ServiceUnavailable

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
        pool: Pool,
        verify: Callable[[Connection], str],
        mend: Callable[[], None] | None = None,
        *,
        door: Guard,
        statement_limit: float = 11.0,
        shutdown_timeout: float = 10.0,
    ) -> None:
        """`verify` looks at the database before the first statement is served; it raises NotReady.

        It returns what is then to travel before every prefix. `door` is asked before each of its statements, and raises
        to refuse one. `mend`, where there is one, is then called in a thread, and `verify` asked again.
        """
        self.pool = pool
        event.listen(pool.engine.sync_engine, "connect", _close_door)
        self._statement_limit = statement_limit
        self._shutdown_timeout = shutdown_timeout
        self._at_work: list[asyncio.Task[Any]] = []
        self._at_rest: asyncio.Event | None = None
        """What waits for the end of all work, if anything does."""
        self._limit = TimeLimit(statement_limit)
        self._verify = verify
        self._door = door
        self._mend = mend
        self._verified = False
        self._verification: asyncio.Task[None] | None = None
        self._before = ""
        url = pool.engine.url
        self._reach = Reach(f"{url.host or 'its socket'}:{url.port or 5432}")
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Open the pool, and verify the database where it can be reached: else that is done before the first use.

        Raises NotReady.
        """
        self._loop = asyncio.get_running_loop()
        self._limit = TimeLimit(self._statement_limit)
        self._at_rest = None
        self.pool.open()
        try:
            await self.verify()
        except ServiceUnavailable:
            logger.warning("Starting without a database: /readyz says when it is reached")

    async def close(self) -> None:
        """Let the work under way come to its end, within the time limit for it, and close the pool's connections."""
        self._at_rest = asyncio.Event()
        try:
            async with asyncio.timeout(self._shutdown_timeout):
                if self._at_work:
                    await self._at_rest.wait()
        except TimeoutError:
            await self._cut_off(set(self._at_work))
        self._loop = None
        if self._verification is not None:
            self._verification.cancel()
            await asyncio.wait([self._verification], timeout=1)
        self.pool.close()
        self._limit.close()

    async def _cut_off(self, tasks: Set[asyncio.Task[Any]]) -> None:
        if not tasks:  # the last one came to its end together with the time limit
            return
        logger.warning("Shutting down: %d still at work with the database are cut off", len(tasks))
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Keep the pool open for the block, as long as shutting down may last."""
        task = self._begin_work()
        try:
            yield
        finally:
            self._end_work(task)

    def _begin_work(self) -> asyncio.Task[Any]:
        self._ensure_open()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in one
        self._at_work.append(task)
        return task

    def _end_work(self, task: asyncio.Task[Any]) -> None:
        self._at_work.remove(task)
        if self._at_rest is not None and not self._at_work:
            self._at_rest.set()

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
            with self._told():
                lease = Lease(self.pool, await self.pool.take(), self._door)
            with self._told(lease), lease:
                return await self._limit.within(greenlet_spawn(self._verify, lease.connection))
        except DBAPIError as error:
            msg = f"the database does not let the service look at its tables: {in_one_line(error)}: run `{PROVISION}`"
            raise NotReady(msg) from error

    async def ready(self) -> bool:
        """Say whether the service can answer: from the last statement's outcome, asking only where that was bad."""
        if not (self._reach.reached and self._verified):
            try:
                await self.verify()
            except ServiceUnavailable:
                return False
            except NotReady as error:
                self._reach.remind(str(error))
                return False
        return True

    async def run(
        self, prefix: str, work: Callable[[Lease], Awaitable[Result]], guard: Guard, attempts: Attempts | None = None
    ) -> Result:
        """Do `work` with a connection of the pool, every statement preceded by `prefix` in the same message.

        It is done again as `attempts` allow, else once. `guard` is asked first, with each statement's text and
        parameters, and raises to refuse it. Raises the Problem that stands for what went wrong.
        """
        attempts = Attempts() if attempts is None else attempts
        task = self._begin_work()
        try:
            while True:
                try:
                    return await self._try(prefix, work, guard, attempts)
                except ServiceUnavailable as problem:
                    await attempts.again(problem)
        finally:
            self._end_work(task)

    async def _try(
        self, prefix: str, work: Callable[[Lease], Awaitable[Result]], guard: Guard, attempts: Attempts
    ) -> Result:
        lease = None
        try:
            pooled = await self._pooled(attempts)
            attempts.sent = True
            with Lease(self.pool, pooled, guard, self._before + prefix) as lease:
                result = await self._limit.within(work(lease))
        except FAILURES as error:
            self._tell(error, lease)
            raise
        self._reach.answered()
        return result

    async def _pooled(self, attempts: Attempts) -> PoolProxiedConnection:
        """Take a connection out of the pool, within the time of the attempts."""
        if not self._verified:
            async with asyncio.timeout_at(attempts.deadline):
                await self._ensure_verified()
        return await self.pool.take(attempts.deadline)

    async def _ensure_verified(self) -> None:
        try:
            await self.verify()
        except NotReady as error:
            self._reach.remind(str(error))
            raise ServiceUnavailable from error

    def _ensure_open(self) -> None:
        if self._loop is not asyncio.get_running_loop():
            msg = (
                "the database is not open on this event loop: run the app's lifespan first "
                "(a server does; in a test, `with TestClient(app):`)"
            )
            raise NotOpen(msg)

    @asynccontextmanager
    async def transaction(self, prefix: str, guard: Guard, attempts: Attempts) -> AsyncIterator["Transaction"]:
        """Hold one connection in one transaction: committed at the end of the block, rolled back where it raises.

        `attempts` are those to connect. Raises the Problem that stands for what went wrong.
        """
        with self._working():
            lease = Lease(self.pool, await self._begin(attempts), guard)
            transaction = Transaction(self, lease)
            try:
                lease.driver.open_transaction(self._before + prefix)
                yield transaction
                async with transaction.ending():
                    await self._commit(lease)
            finally:
                transaction.is_over, lease.driver.guard = True, closed
                await asyncio.shield(self._end(lease))

    async def _end(self, lease: Lease) -> None:
        """Roll back what was not committed: a connection over which that cannot be done is not used again."""
        try:
            await self._limit.within(greenlet_spawn(lease.driver.rollback))
        except (psycopg2.Error, TimeoutError):
            lease.invalidate()
        finally:
            lease.give_back()

    async def _begin(self, attempts: Attempts) -> PoolProxiedConnection:
        while True:
            try:
                # The pool's own connection may be long dead.
                with self._told(answered=False):
                    return await self._pooled(attempts)
            except ServiceUnavailable as problem:
                await attempts.again(problem)

    async def _commit(self, lease: Lease) -> None:
        try:
            with self._told(lease):
                await self._limit.within(lease.commit())
        except ServiceUnavailable as problem:
            if is_lost(problem.__cause__):
                raise OutcomeUnknown from problem.__cause__
            raise

    @contextmanager
    def _told(self, lease: Lease | None = None, *, answered: bool = True) -> Iterator[None]:
        """Remember whether the database was reached, and raise the Problem that stands for a failure.

        `answered` says whether an end without one means that the database has answered.
        """
        try:
            yield
        except FAILURES as error:
            self._tell(error, lease)
            raise
        if answered:
            self._reach.answered()

    def _tell(self, error: Exception, lease: Lease | None) -> None:
        """Remember a failure, and raise the Problem that stands for it, if one does."""
        problem = problem_for(error)
        self._reach.failed(error)
        if lease is not None and isinstance(error, DBAPIError) and error.connection_invalidated:
            self.pool.distrust(lease.driver)
        if problem is not None:
            raise problem from error


class Transaction:
    """One connection in one transaction."""

    def __init__(self, database: Database, lease: Lease) -> None:
        """Hold a connection of `database`."""
        self._database = database
        self._lease = lease
        self._turn = asyncio.Lock()
        self.is_over = False
        """Whether its block has ended."""

    async def run(self, work: Callable[[Lease], Awaitable[Result]]) -> Result:
        """Do `work` in the transaction, one after the other. Raises the Problem that stands for what went wrong.

        Raises RuntimeError where its block has ended, as a task may that was begun in it.
        """
        async with self._turn:
            if self.is_over:
                msg = "the transaction is over: what goes on after its block, as a task does, is to use another scope"
                raise RuntimeError(msg)
            with self._database._told(self._lease):  # noqa: SLF001 - a part of it
                return await self._database._limit.within(work(self._lease))  # noqa: SLF001

    @asynccontextmanager
    async def ending(self) -> AsyncIterator[None]:
        """Let the work that is under way come to its end, and no other begin."""
        self.is_over = True
        async with self._turn:
            yield


def _close_door(connection: ScopedConnection, _record: object) -> None:
    connection.guard = closed


def _seen(verification: asyncio.Task[None]) -> None:
    """Take note of the outcome, which nobody else does where all who asked have gone."""
    if not verification.cancelled():
        verification.exception()
