"""A time limit that is the same for all, with one timer."""

import asyncio

import pytest
from asking import Run

from todoservice.database.limits import TimeLimit


async def outcome(limit: TimeLimit, seconds: float) -> str:
    """Return what becomes of work that takes so long."""
    try:
        await limit.within(asyncio.sleep(seconds))
    except TimeoutError:
        return "over"
    return "done"


def test_each_has_the_whole_limit(run: Run) -> None:
    """From when it began, however many there are, and in whatever order they end."""

    async def main() -> None:
        limit, loop = TimeLimit(0.2), asyncio.get_running_loop()
        began = loop.time()
        works = []
        for number in range(10):
            works.append(asyncio.create_task(outcome(limit, 60 if number % 2 else 0.01)))
            await asyncio.sleep(0.03)
        assert await asyncio.gather(*works) == ["done", "over"] * 5
        assert 0.2 + 9 * 0.03 <= loop.time() - began < 5

    run(main())


def test_it_begins_again(run: Run) -> None:
    """Where there was nothing to do for a while, and where it was closed."""

    async def main() -> None:
        limit = TimeLimit(0.05)
        for _ in range(3):
            assert await outcome(limit, 60) == "over"
            assert await outcome(limit, 0) == "done"
            await asyncio.sleep(0.1)
            assert await outcome(limit, 0) == "done"
            limit.close()

    run(main())


def test_it_ends_what_is_late_after_a_busy_loop(run: Run) -> None:
    """All that is over its time at once."""

    async def main() -> None:
        limit = TimeLimit(0.05)
        works = [asyncio.create_task(outcome(limit, 60)) for _ in range(5)]
        await asyncio.sleep(0)
        await asyncio.to_thread(asyncio.run, asyncio.sleep(0.1))
        assert await asyncio.gather(*works) == ["over"] * 5

    run(main())


def test_a_cancelled_task_is_no_timeout(run: Run) -> None:
    """Who gives it up, hears of that."""

    async def main() -> None:
        work = asyncio.create_task(outcome(TimeLimit(60), 60))
        await asyncio.sleep(0.01)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    run(main())
