"""Cancelled and timed-out tasks: the pool stays whole, and nobody gets another's answer."""

import asyncio
from contextlib import suppress

import pytest
import sqlalchemy as sa
from asking import SET, SLEEP, Run, ask, backend, execute, opened, raw, work
from sqlalchemy import URL, Connection
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.util.concurrency import greenlet_spawn

from todoservice.database.pool import Pool


def test_cancelled_query(run: Run, url: URL) -> None:
    """A query cancelled underway loses its connection; the pool has another for the next, whose answer is its own."""

    async def main() -> None:
        async with opened(url, pool_size=1) as pool:
            process = await backend(pool)
            query = asyncio.create_task(ask(pool, SLEEP, value=1, seconds=0.3))
            await asyncio.sleep(0.1)
            query.cancel()
            with pytest.raises(asyncio.CancelledError):
                await query
            assert await ask(pool, SLEEP, value=2, seconds=0) == (2,)
            assert await backend(pool) != process

    run(main())


def test_queries_out_of_time(run: Run, url: URL) -> None:
    """Where every other query runs out of time, each of the rest still gets its own answer, and no other's."""

    async def one(pool: Pool, value: int) -> None:
        if value % 2:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.03):
                    await ask(pool, SLEEP, value=value, seconds=0.1)
        else:
            assert await ask(pool, SLEEP, value=value, seconds=0.01) == (value,)

    async def main() -> None:
        async with opened(url, pool_size=3, pool_timeout=30) as pool:
            await asyncio.gather(*(one(pool, value) for value in range(30)))

    run(main())


def test_cancelled_anywhere(run: Run, url: URL) -> None:
    """A task may be cancelled at any of its steps: waiting for the pool, connecting, asking, or giving back."""

    async def transact(pool: Pool, value: int) -> int:
        def do(connection: Connection) -> int:
            raw(connection).open_transaction(SET)
            answer = connection.execute(sa.text(SLEEP), {"value": value, "seconds": 0.002}).scalar_one()
            connection.commit()
            return int(answer)

        return await work(pool, do)

    async def main() -> None:
        async with opened(url, pool_size=2) as pool:
            for step in range(40):
                tasks = [asyncio.create_task(transact(pool, step * 10 + n)) for n in range(4)]
                await asyncio.sleep(step * 0.0005)
                for task in tasks[:3]:
                    task.cancel()
                answers = await asyncio.gather(*tasks, return_exceptions=True)
                expected = [step * 10 + n for n in range(4)]
                assert all(
                    answer == value or isinstance(answer, asyncio.CancelledError)
                    for answer, value in zip(answers, expected, strict=True)
                )
                assert answers[3] == expected[3]
                assert pool.in_use == 0

    run(main())


def test_cancelled_connecting(run: Run, silent: URL) -> None:
    """A task cancelled while it connects gives its place in the pool back."""

    async def main() -> None:
        async with opened(silent, pool_size=1) as pool:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await ask(pool, "SELECT 1")
            assert pool.in_use == 0

    run(main())


def test_connection_used_by_two_tasks(run: Run, url: URL) -> None:
    """A statement on a connection that is busy for another task is refused; neither it nor closing stops the loop."""

    async def main() -> None:
        async with opened(url, pool_size=1) as pool:
            connection = await greenlet_spawn(pool.engine.sync_engine.connect)
            first = asyncio.create_task(greenlet_spawn(execute, connection, "SELECT 1 FROM pg_sleep(30)"))
            await asyncio.sleep(0.1)
            with pytest.raises(ProgrammingError, match="underway"):
                await greenlet_spawn(execute, connection, "SELECT 2")
            with suppress(DBAPIError):
                await greenlet_spawn(connection.close)
            with pytest.raises(DBAPIError):
                await first
            assert await ask(pool, SLEEP, value=3, seconds=0) == (3,)

    run(main())
