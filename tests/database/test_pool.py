"""The pool: who is handed which connection, and how lost ones are replaced."""

import asyncio
import time
from typing import Any
from unittest import mock

import pytest
from asking import Run, anything, ask, backend, leased, opened, ticking
from edge import Edge
from sqlalchemy import URL
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from todoservice.database.client import Database
from todoservice.database.engine import build_pool
from todoservice.database.lease import Lease
from todoservice.database.libpq import Watched
from todoservice.database.pool import Pool
from todoservice.database.retries import Attempts
from todoservice.problems import ServiceUnavailable

# Who is handed what


def test_exhausted_pool(run: Run, url: URL) -> None:
    """Where all connections are busy, a task waits for the time limit without blocking the loop, then is told."""

    async def main() -> None:
        async with opened(url, pool_size=1, pool_timeout=0.3) as pool, ticking() as ticks:
            busy = asyncio.create_task(ask(pool, "SELECT 1 FROM pg_sleep(0.8)"))
            await asyncio.sleep(0.1)
            before = len(ticks)
            with pytest.raises(PoolTimeout):
                await ask(pool, "SELECT 2")
            assert len(ticks) - before > 5
            assert await busy == (1,)
            assert await ask(pool, "SELECT 3") == (3,)

    run(main())


def test_cancelled_connection_wakes_the_next(run: Run, edge: Edge) -> None:
    """A task that waits for the pool gets the place of one that was cancelled while it connected, and at once."""

    async def main() -> None:
        async with opened(edge.url(), pool_size=1, pool_timeout=60) as pool:
            edge.stalled = True
            connecting = asyncio.create_task(ask(pool, "SELECT 1"))
            waiting = asyncio.create_task(ask(pool, "SELECT 2"))
            await asyncio.sleep(0.1)
            connecting.cancel()
            edge.stalled = False
            async with asyncio.timeout(20):
                assert await waiting == (2,)
            assert connecting.cancelled()

    run(main())


def test_failed_connection_wakes_the_next(run: Run, url: URL) -> None:
    """Where the server is out of reach, all who wait for the pool are told so, and none after the pool's time limit."""

    async def main() -> None:
        nowhere = url.set(host="127.0.0.1", port=1, query={})
        async with opened(nowhere, pool_size=1, pool_timeout=60) as pool, asyncio.timeout(20):
            errors = await asyncio.gather(*(ask(pool, "SELECT 1") for _ in range(5)), return_exceptions=True)
            assert {type(error) for error in errors} == {OperationalError}

    run(main())


def test_closing(run: Run, url: URL) -> None:
    """A closed pool has closed its connections, and serves again on another loop."""
    pool = build_pool(url, application_name="closed")

    async def main() -> None:
        pool.open()
        await asyncio.gather(*(ask(pool, "SELECT 1 FROM pg_sleep(0.01)") for _ in range(20)))
        pool.close()
        count = "SELECT count(*) FROM pg_stat_activity, pg_sleep(0.02) WHERE application_name = 'closed'"
        async with asyncio.timeout(10), opened(url) as other:
            while (await ask(other, count))[0]:
                pass

    run(main())
    run(main())


def test_fewest_connections(run: Run, url: URL) -> None:
    """Statements that come one after another keep to one connection, so that the others can age."""

    async def main() -> None:
        async with opened(url, pool_size=3) as pool:
            await fill(pool, 3)
            assert len({await backend(pool) for _ in range(6)}) == 1

    run(main())


async def waiting(pool: Pool, number: int) -> list[asyncio.Task[Lease]]:
    """Have as many wait for a connection, one after the other."""
    tasks = []
    for _ in range(number):
        tasks.append(asyncio.create_task(leased(pool)))
        await asyncio.sleep(0)
    return tasks


def test_turns(run: Run, url: URL) -> None:
    """Who waits is handed what is given back, in turn, and nobody who comes later is before him."""

    async def main() -> None:
        async with opened(url, pool_size=1) as pool, asyncio.timeout(10):
            lease = await leased(pool)
            driver, tasks = lease.driver, await waiting(pool, 3)
            for place, task in enumerate(tasks):
                lease.give_back()
                assert pool.at_hand() is None
                lease = await task
                assert lease.driver is driver
                assert [other.done() for other in tasks] == [number <= place for number in range(3)]
            lease.give_back()
            assert pool.in_use == 0

    run(main())


def test_a_wait_that_is_given_up(run: Run, url: URL) -> None:
    """Whether before its turn or in the moment of it, the next one's turn comes."""

    async def main() -> None:
        async with opened(url, pool_size=1) as pool, asyncio.timeout(10):
            lease = await leased(pool)
            early, handed, last = await waiting(pool, 3)
            early.cancel()
            await asyncio.sleep(0)
            lease.give_back()
            handed.cancel()
            (await last).give_back()
            assert early.cancelled()
            assert handed.cancelled()
            assert pool.in_use == 0

    run(main())


def test_a_connection_that_is_lost_as_it_is_handed_on(run: Run, url: URL) -> None:
    """Is replaced."""

    async def main() -> None:
        async with opened(url, pool_size=1) as pool, asyncio.timeout(10):
            lease = await leased(pool)
            [task] = await waiting(pool, 1)
            await terminate(url, int(lease.driver.info.backend_pid))
            lease.give_back()
            (await task).give_back()
            assert task.result().driver is not lease.driver
            assert pool.in_use == 0

    run(main())


def test_the_time_of_a_request(run: Run, url: URL) -> None:
    """Ends a wait for a connection that is in use before the pool's own time is over."""

    async def main() -> None:
        async with opened(url, pool_size=1, pool_timeout=60) as pool, asyncio.timeout(10):
            busy = await leased(pool)
            with pytest.raises(PoolTimeout, match="all 1 connections of the pool stayed in use"):
                await pool.take(asyncio.get_running_loop().time() + 0.05)
            busy.give_back()
            assert pool.in_use == 0

    run(main())


def test_the_time_of_a_request_while_connecting(run: Run, silent: URL) -> None:
    """Both he who connects and he who waits for the place are told that it took too long."""

    async def main() -> None:
        async with opened(silent, pool_size=1, pool_timeout=0.02) as pool, asyncio.timeout(10):
            until = asyncio.get_running_loop().time() + 0.2
            found = await asyncio.gather(pool.take(until), pool.take(until), return_exceptions=True)
            assert [type(one) for one in found] == [TimeoutError, TimeoutError]
            assert pool.in_use == 0

    run(main())


def test_a_closed_pool(run: Run, url: URL) -> None:
    """Closes what is given back to it."""

    async def main() -> None:
        async with opened(url, pool_size=1) as pool:
            lease = await leased(pool)
            pool.close()
            lease.give_back()
            assert lease.driver.closed
            assert (pool.in_use, pool.at_hand()) == (0, None)

    run(main())


def test_a_pool_that_is_closed_in_the_moment_of_a_turn(run: Run, url: URL) -> None:
    """Closes what was handed on to somebody who has gone."""

    async def main() -> None:
        async with opened(url, pool_size=1) as pool:
            lease = await leased(pool)
            [task] = await waiting(pool, 1)
            lease.give_back()
            pool.close()
            task.cancel()
            await asyncio.wait([task])
            assert lease.driver.closed
            assert (pool.in_use, pool.at_hand()) == (0, None)

    run(main())


def test_a_wait_that_ends_twice(run: Run, url: URL) -> None:
    """Who is cancelled in the moment in which his time is over is told that he was cancelled."""

    async def main() -> None:
        async with opened(url, pool_size=1, pool_timeout=0.05) as pool:
            lease = await leased(pool)
            [task] = await waiting(pool, 1)
            asyncio.get_running_loop().call_later(0.06, task.cancel)
            time.sleep(0.1)  # noqa: ASYNC251 - so that the loop finds both to do
            with pytest.raises(asyncio.CancelledError):
                await task
            lease.give_back()
            assert pool.in_use == 0

    run(main())


def test_an_old_connection(run: Run, url: URL) -> None:
    """Is replaced, whether it is at hand or handed on."""

    async def main() -> None:
        async with opened(url, pool_size=1, recycle_after=0.05) as pool, asyncio.timeout(10):
            lease = await leased(pool)
            [task] = await waiting(pool, 1)
            await asyncio.sleep(0.1)
            lease.give_back()
            other = await task
            other.give_back()
            await asyncio.sleep(0.1)
            assert pool.at_hand() is None
            with await leased(pool) as newest:
                assert len({lease.driver, other.driver, newest.driver}) == 3

    run(main())


# Lost connections


async def terminate(url: URL, *processes: int) -> None:
    """End server processes, and wait until they are gone."""
    async with opened(url) as administrator:
        for process in processes:
            await ask(administrator, "SELECT pg_terminate_backend(:process, 10000)", process=process)


async def fill(pool: Any, size: int) -> set[int]:
    """Open all connections of a pool, and return the processes of the server that they reach."""
    rows = await asyncio.gather(*(ask(pool, "SELECT pg_backend_pid() FROM pg_sleep(0.1)") for _ in range(size)))
    return {row[0] for row in rows}


def test_restarted_server(run: Run, url: URL) -> None:
    """Connections that all died while they were idle are replaced, and no statement fails of it."""

    async def main() -> None:
        async with opened(url, pool_size=4) as pool:
            dead = await fill(pool, 4)
            await terminate(url, *dead)
            alive = await fill(pool, 4)
            assert len(alive) == 4
            assert not dead & alive

    run(main())


def test_connections_that_end_again_and_again(run: Run, url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is let go of as it ends, so that the loop is not kept busy, and its socket's number serves another."""
    heard: list[int] = []
    hear = Watched._heard

    def noting(connection: Watched) -> None:
        heard.append(connection.fileno())
        hear(connection)

    monkeypatch.setattr(Watched, "_heard", noting)

    async def main() -> None:
        async with opened(url, pool_size=4) as pool, asyncio.timeout(30):
            numbers = set()
            for _ in range(5):
                alive = await fill(pool, 4)
                numbers |= set(heard)
                heard.clear()
                await terminate(url, *alive)
                while len(heard) < 4:  # noqa: ASYNC110 - callbacks of the loop fill it
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.2)
                assert len(heard) <= 40
            assert len(numbers) < 4 * 5

    run(main())


def test_a_connection_is_watched_once(run: Run, url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many statements go over it: the loop is not told of it anew."""
    left: list[Watched] = []
    unwatch = Watched.unwatch

    def noting(connection: Watched) -> None:
        if connection._loop is not None:
            left.append(connection)
        unwatch(connection)

    async def main() -> None:
        async with opened(url, pool_size=1) as pool:
            await backend(pool)
            monkeypatch.setattr(Watched, "unwatch", noting)
            for _ in range(20):
                await backend(pool)
            assert left == []

    run(main())


def test_a_pool_on_one_loop_after_another(run: Run, url: URL) -> None:
    """A connection that was left open is watched by the loop that it is used on."""
    made = build_pool(url, pool_size=1)

    async def ask_it() -> None:
        async with asyncio.timeout(10):
            assert await ask(made, "SELECT 1") == (1,)

    run(ask_it())
    run(ask_it())
    made.close()


def test_one_lost_connection(run: Run, url: URL) -> None:
    """Where one connection died, only that one is replaced."""

    async def main() -> None:
        async with opened(url, pool_size=4) as pool:
            before = await fill(pool, 4)
            dead = min(before)
            await terminate(url, dead)
            after = await fill(pool, 4)
            assert before & after == before - {dead}

    run(main())


def database(pool: Pool) -> Database:
    """Return a database that is always as it should be."""
    return Database(pool, lambda _: "", door=anything)


async def pid(lease: Lease) -> int:
    """Return the process of the server that a lease reaches, once others have had the time to take one, too."""
    await lease.ask("SELECT pg_sleep(0.1)", {})
    return int(lease.driver.info.backend_pid)


async def pids(database: Database, number: int) -> set[int]:
    """Return the processes that as many statements at once reach."""
    found = await asyncio.gather(*(database.run("", pid, anything, Attempts()) for _ in range(number)))
    return set(found)


def test_connections_that_are_lost_in_use(run: Run, url: URL) -> None:
    """Have all that are as old replaced; one that is noticed later does not have the new ones replaced again."""

    async def main() -> None:
        async with opened(url, pool_size=4) as pool:
            served = database(pool)
            await served.open()

            async def dies(after: float) -> None:
                async def work(lease: Lease) -> None:
                    await lease.ask(
                        f"SELECT pg_sleep({after}), pg_terminate_backend(pg_backend_pid()), pg_sleep(9)", {}
                    )

                with pytest.raises(ServiceUnavailable):
                    await served.run("", work, anything, Attempts())

            old = await pids(served, 3)
            early, late = asyncio.create_task(dies(0.1)), asyncio.create_task(dies(0.8))
            await early
            new = await pids(served, 2)
            await late
            assert not old & new
            assert await pids(served, 2) == new
            await served.close()

    run(main())


def test_a_connection_that_cannot_be_made(run: Run, edge: Edge) -> None:
    """Says nothing of those that are there: they go on serving."""

    async def main() -> None:
        async with opened(edge.url(), pool_size=4) as pool, asyncio.timeout(30):
            served = database(pool)
            await served.open()
            there = await pids(served, 3)
            closing = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
            elsewhere = dict(zip(("host", "port"), closing.sockets[0].getsockname(), strict=True))
            with mock.patch.object(pool.engine.dialect, "_late_arguments", return_value=elsewhere):
                found = await asyncio.gather(*(pids(served, 1) for _ in range(4)), return_exceptions=True)
                assert sum(isinstance(one, ServiceUnavailable) for one in found) == 1
                assert await pids(served, 3) == there
            closing.close()
            await served.close()

    run(main())


def test_a_transaction_that_is_cut_off_while_it_is_rolled_back(run: Run, edge: Edge) -> None:
    """Leaves its place to others, on another loop, too."""
    pool = build_pool(edge.url(), pool_size=1)
    served = Database(pool, lambda _: "", door=anything, shutdown_timeout=0.1)

    async def cut_off() -> None:
        await served.open()

        async def change() -> None:
            async with served.transaction("", anything, Attempts()) as transaction:
                await transaction.run(lambda lease: lease.ask("SELECT 1", {}))
                edge.stalled = True
                raise LookupError

        change_under_way = asyncio.create_task(change())
        await asyncio.sleep(0.1)
        await served.close()
        assert change_under_way.cancelled()

    async def serve() -> None:
        await served.open()
        assert len(await pids(served, 1)) == 1
        await served.close()

    run(cut_off())
    assert pool.in_use == 0
    edge.stalled = False
    run(serve())


def test_cut_connections(run: Run, edge: Edge) -> None:
    """Connections that ended without a word while they were idle are replaced."""

    async def main() -> None:
        async with opened(edge.url(), pool_size=2) as pool:
            dead = await fill(pool, 2)
            await asyncio.to_thread(edge.cut)
            assert not dead & await fill(pool, 2)

    run(main())


def test_a_ping_that_is_given_up(run: Run, edge: Edge) -> None:
    """Takes its connection with it, and no other one."""

    async def main() -> None:
        async with opened(edge.url(), pool_size=2) as pool:
            processes = await fill(pool, 2)
            pool.ping_after = 0
            edge.stalled = True
            given_up = asyncio.create_task(backend(pool))
            await asyncio.sleep(0.1)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            edge.stalled = False
            pool.ping_after = 60
            assert len(processes & await fill(pool, 2)) == 1
            assert pool.in_use == 0

    run(main())


def test_ping_after_idling(run: Run, edge: Edge) -> None:
    """A connection is asked whether it lives only after it was idle for long."""

    async def main() -> None:
        async with opened(edge.url(), pool_size=1, ping_after=0.2) as pool:
            process = await backend(pool)
            assert await backend(pool) == process
            await asyncio.sleep(0.3)
            assert await backend(pool) == process
        asking = "SELECT pg_backend_pid()"
        assert edge.statements == [asking, asking, "SELECT 1", asking]

    run(main())


def test_silent_connection(run: Run, edge: Edge) -> None:
    """A connection that was idle for long and does not answer is replaced, with all that are as old."""

    async def main() -> None:
        async with opened(edge.url(), pool_size=1, ping_after=0.1, connect_timeout=0.5) as pool, ticking() as ticks:
            process = await backend(pool)
            await asyncio.sleep(0.2)
            edge.stalled = True
            later = asyncio.get_running_loop().call_later(0.6, setattr, edge, "stalled", False)
            before = len(ticks)
            assert await backend(pool) != process
            assert len(ticks) - before > 5
            later.cancel()

    run(main())


def test_cancelled_ping(run: Run, edge: Edge) -> None:
    """A task cancelled while its connection is tried gives its place in the pool back."""

    async def main() -> None:
        async with opened(edge.url(), pool_size=1, ping_after=0) as pool:
            process = await backend(pool)
            edge.stalled = True
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await backend(pool)
            edge.stalled = False
            assert await backend(pool) != process

    run(main())
