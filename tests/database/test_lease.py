"""A connection out of the pool, and what is given back."""

import asyncio
import gc
import logging

import pytest
from asking import Run, backend, leased, opened
from sqlalchemy import URL, text
from sqlalchemy.exc import ResourceClosedError

from todoservice.confinement import UnscopedStatement


def test_it_is_given_back_as_it_was(run: Run, url: URL) -> None:
    """Whoever has it next has it without a prefix, and sends nothing that nobody has looked at."""

    async def main() -> None:
        async with opened(url, pool_size=1) as pool:
            process = await backend(pool)
            with await leased(pool) as lease:
                lease.driver.prefix = "SELECT 1;"
                assert (await lease.ask("SELECT %(n)s", {"n": 7})).fetchone() == (7,)
            assert lease.driver.prefix == ""
            with pytest.raises(UnscopedStatement, match="outside of a scope"):
                await lease.driver.cursor().ask("SELECT 1")
            assert await backend(pool) == process

    run(main())


def test_one_in_a_transaction_is_not_given_back(run: Run, url: URL, caplog: pytest.LogCaptureFixture) -> None:
    """Nor one whose answer is still to come: it is closed, and nobody has to be told."""

    async def main() -> None:
        async with opened(url, pool_size=1) as pool:
            process = await backend(pool)
            with await leased(pool) as lease:
                lease.driver.open_transaction("")
                await lease.ask("SELECT 1", {})
            assert lease.driver.closed
            other = await backend(pool)
            with await leased(pool) as lease:
                under_way = asyncio.create_task(lease.ask("SELECT pg_sleep(30)", {}))
                await asyncio.sleep(0.1)
            with pytest.raises(Exception, match="server closed the connection"):
                await under_way
            assert len({process, other, await backend(pool)}) == 3

    with caplog.at_level(logging.ERROR):
        run(main())
    assert caplog.records == []


def test_it_is_given_back_once(run: Run, url: URL) -> None:
    """Twice is as once, and nothing of SQLAlchemy's leads to it any more."""

    async def main() -> None:
        async with opened(url, pool_size=2) as pool:
            mine = await leased(pool)
            assert (await mine.execute(text("SELECT 1"), {})).scalar() == 1
            mine.give_back()
            mine.give_back()
            assert pool.in_use == 0
            with await leased(pool) as other:
                assert other.driver is mine.driver
                with pytest.raises(ResourceClosedError):
                    await mine.execute(text("SELECT 1"), {})
                with await leased(pool) as another:
                    assert another.driver is not mine.driver

    run(main())


def test_no_cycle_is_left(run: Run, url: URL) -> None:
    """By a statement of SQLAlchemy's, nor by one of the driver's own: the garbage collector finds nothing."""

    async def main() -> None:
        async with opened(url, pool_size=1) as pool:

            async def use() -> None:
                with await leased(pool) as lease:
                    await lease.execute(text("SELECT 1"), {})
                with await leased(pool) as lease:
                    await lease.ask("SELECT 1", {})

            left = []
            gc.disable()
            try:
                for _ in range(3):  # the tests' own threads may leave some
                    gc.collect()
                    await use()
                    left.append(gc.collect())
            finally:
                gc.enable()
            assert min(left) == 0

    run(main())


def test_it_is_not_used_again(run: Run, url: URL) -> None:
    """Once it was given back."""

    async def main() -> None:
        async with opened(url, pool_size=1) as pool:
            with await leased(pool) as lease:
                pass
            with pytest.raises(RuntimeError, match="the connection was given back to the pool"):
                await lease.ask("SELECT 1", {})

    run(main())
