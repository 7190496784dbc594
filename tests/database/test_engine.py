"""The engine: its pool, what it tells libpq, and how it replaces connections that were lost."""

import asyncio
from typing import Any

import pytest
from asking import Run, ask, backend, engine, raw, ticking, work
from edge import Edge
from sqlalchemy import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from todoservice.database.engine import build_engine
from todoservice.database.libpq import Watched

# The pool


def test_exhausted_pool(run: Run, url: URL) -> None:
    """Where all connections are busy, a task waits for the time limit without blocking the loop, then is told."""

    async def main() -> None:
        async with engine(url, pool_size=1, pool_timeout=0.3) as pool, ticking() as ticks:
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
        async with engine(edge.url(), pool_size=1, pool_timeout=60) as pool:
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
        async with engine(nowhere, pool_size=1, pool_timeout=60) as pool, asyncio.timeout(20):
            errors = await asyncio.gather(*(ask(pool, "SELECT 1") for _ in range(5)), return_exceptions=True)
            assert {type(error) for error in errors} == {OperationalError}

    run(main())


def test_dispose(run: Run, url: URL) -> None:
    """A disposed engine has closed its connections, and serves again on another loop."""
    pool = build_engine(url, application_name="disposed")

    async def main() -> None:
        await asyncio.gather(*(ask(pool, "SELECT 1 FROM pg_sleep(0.01)") for _ in range(20)))
        await pool.dispose()
        count = "SELECT count(*) FROM pg_stat_activity, pg_sleep(0.02) WHERE application_name = 'disposed'"
        async with asyncio.timeout(10), engine(url) as other:
            while (await ask(other, count))[0]:
                pass

    run(main())
    run(main())


def test_fewest_connections(run: Run, url: URL) -> None:
    """Statements that come one after another keep to one connection, so that the others can age."""

    async def main() -> None:
        async with engine(url, pool_size=3) as pool:
            await fill(pool, 3)
            assert len({await backend(pool) for _ in range(6)}) == 1

    run(main())


# What libpq is told


async def told(url: URL, **options: Any) -> dict[str, str]:
    """Return the parameters of a new connection."""
    async with engine(url, **options) as pool:
        return await work(pool, lambda connection: raw(connection).info.dsn_parameters)


def test_parameters(url: URL) -> None:
    """A connection watches its peer, speaks UTF-8, and sends none of the options that poolers refuse."""
    parameters = asyncio.run(told(url))
    assert parameters["keepalives_idle"] == "30"
    assert parameters["tcp_user_timeout"] == "15000"
    assert parameters["client_encoding"] == "utf8"
    assert parameters["application_name"] == "todoservice"
    assert parameters["options"] == ""


def test_parameters_of_the_url(url: URL) -> None:
    """What the URL says wins over what we would."""
    query = {
        "application_name": "theirs",
        "tcp_user_timeout": "0",
        "options": "-c work_mem=1MB",
        "connect_timeout": "7",
    }
    parameters = asyncio.run(told(url.update_query_dict(query)))
    assert query.items() <= parameters.items()


def test_parameters_made_late(url: URL) -> None:
    """Parameters that are known only when a connection is made are asked for at each, and win over the URL's."""
    names = iter(["first", "second"])

    async def main() -> None:
        nowhere = url.set(host="127.0.0.1", port=1, query={})
        place = {"host": url.host, "port": url.port, **url.query}

        def late() -> dict[str, Any]:
            return {**{name: value for name, value in place.items() if value}, "application_name": next(names)}

        async with engine(nowhere, pool_size=1, connect_args=late) as pool:
            assert await ask(pool, "SELECT current_setting('application_name')") == ("first",)
            assert await ask(pool, "SELECT current_setting('application_name')") == ("first",)
            await pool.dispose()
            assert await ask(pool, "SELECT current_setting('application_name')") == ("second",)

    asyncio.run(main())


def test_time_limit_of_the_url(run: Run, edge: Edge) -> None:
    """The URL's connect_timeout, in seconds, is the one that holds."""
    edge.stalled = True

    async def main() -> None:
        async with engine(edge.url(connect_timeout="0.2"), connect_timeout=60) as pool:
            with pytest.raises(OperationalError, match=r"timeout expired after 0.2 s"):
                await ask(pool, "SELECT 1")

    run(main())


@pytest.mark.parametrize("value", ["soon", "10s"])
def test_time_limit_that_is_no_number(url: URL, value: str) -> None:
    """A connect_timeout that is no number stops the start, in words that say what to write."""
    with pytest.raises(ArgumentError, match="connect_timeout=10"):
        build_engine(url.update_query_dict({"connect_timeout": value}))


def test_password_stays_hidden(url: URL) -> None:
    """Neither the engine nor its URL shows the password."""
    pool = build_engine(url.set(password="pass-word"))
    assert "pass-word" not in f"{pool!r} {pool.url} {pool.sync_engine.pool!r}"


def test_values_stay_hidden(url: URL) -> None:
    """A failed statement's error shows its text, and none of the values that came with it."""

    async def main() -> None:
        async with engine(url) as pool:
            with pytest.raises(DBAPIError) as caught:
                await ask(pool, "SELECT length(CAST(:word AS text)) / 0", word="pass-word")
            assert "pass-word" not in str(caught.value)

    asyncio.run(main())


# Lost connections


async def terminate(url: URL, *processes: int) -> None:
    """End server processes, and wait until they are gone."""
    async with engine(url) as administrator:
        for process in processes:
            await ask(administrator, "SELECT pg_terminate_backend(:process, 10000)", process=process)


async def fill(pool: Any, size: int) -> set[int]:
    """Open all connections of a pool, and return the processes of the server that they reach."""
    rows = await asyncio.gather(*(ask(pool, "SELECT pg_backend_pid() FROM pg_sleep(0.1)") for _ in range(size)))
    return {row[0] for row in rows}


def test_restarted_server(run: Run, url: URL) -> None:
    """Connections that all died while they were idle are replaced, and no statement fails of it."""

    async def main() -> None:
        async with engine(url, pool_size=4) as pool:
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
        async with engine(url, pool_size=4) as pool, asyncio.timeout(30):
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
        async with engine(url, pool_size=1) as pool:
            await backend(pool)
            monkeypatch.setattr(Watched, "unwatch", noting)
            for _ in range(20):
                await backend(pool)
            assert left == []

    run(main())


def test_an_engine_on_one_loop_after_another(run: Run, url: URL) -> None:
    """A connection that was left open is watched by the loop that it is used on."""
    made = build_engine(url, pool_size=1)

    async def ask_it() -> None:
        async with asyncio.timeout(10):
            assert await ask(made, "SELECT 1") == (1,)

    run(ask_it())
    run(ask_it())
    run(made.dispose())


def test_one_lost_connection(run: Run, url: URL) -> None:
    """Where one connection died, only that one is replaced."""

    async def main() -> None:
        async with engine(url, pool_size=4) as pool:
            before = await fill(pool, 4)
            dead = min(before)
            await terminate(url, dead)
            after = await fill(pool, 4)
            assert before & after == before - {dead}

    run(main())


def test_cut_connections(run: Run, edge: Edge) -> None:
    """Connections that ended without a word while they were idle are replaced."""

    async def main() -> None:
        async with engine(edge.url(), pool_size=2) as pool:
            dead = await fill(pool, 2)
            await asyncio.to_thread(edge.cut)
            assert not dead & await fill(pool, 2)

    run(main())


def test_a_ping_that_is_given_up(run: Run, edge: Edge) -> None:
    """Takes its connection with it, and no other one."""

    async def main() -> None:
        async with engine(edge.url(), pool_size=2) as pool:
            processes = await fill(pool, 2)
            pool.pool.ping_after = 0  # type: ignore[attr-defined]
            edge.stalled = True
            given_up = asyncio.create_task(backend(pool))
            await asyncio.sleep(0.1)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            edge.stalled = False
            pool.pool.ping_after = 60  # type: ignore[attr-defined]
            assert len(processes & await fill(pool, 2)) == 1
            assert pool.pool.checkedout() == 0  # type: ignore[attr-defined]

    run(main())


def test_ping_after_idling(run: Run, edge: Edge) -> None:
    """A connection is asked whether it lives only after it was idle for long."""

    async def main() -> None:
        async with engine(edge.url(), pool_size=1, ping_after=0.2) as pool:
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
        async with engine(edge.url(), pool_size=1, ping_after=0.1, connect_timeout=0.5) as pool, ticking() as ticks:
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
        async with engine(edge.url(), pool_size=1, ping_after=0) as pool:
            process = await backend(pool)
            edge.stalled = True
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await backend(pool)
            edge.stalled = False
            assert await backend(pool) != process

    run(main())
