"""What libpq leaves to its caller: waiting without blocking the loop, time limits, and name look-up."""

import asyncio
import socket
import subprocess
import sys
import threading
from typing import Any
from unittest import mock

import psycopg2
import pytest
import sqlalchemy as sa
from asking import SLEEP, Run, ask, opened, resolve, ticking
from edge import Edge
from sqlalchemy import URL
from sqlalchemy.exc import OperationalError

from todoservice.database.engine import build_engine
from todoservice.database.libpq import locate


def test_queries_run_side_by_side(run: Run, url: URL) -> None:
    """Fifty queries over five connections all get their own answer, five at a time."""
    count = "SELECT CAST(:value AS int), (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fifty') "

    async def main() -> None:
        async with opened(url, pool_size=5, application_name="fifty") as pool:
            rows = await asyncio.gather(*(ask(pool, count + "FROM pg_sleep(0.02)", value=n) for n in range(50)))
            assert [row[0] for row in rows] == list(range(50))
            assert max(row[1] for row in rows) == 5

    run(main())


def test_loop_stays_free(run: Run, url: URL) -> None:
    """While PostgreSQL works, the loop does other things."""

    async def main() -> None:
        async with opened(url) as pool, ticking() as ticks:
            await ask(pool, SLEEP, value=1, seconds=0.3)
            assert len(ticks) > 5

    run(main())


def test_large_messages(run: Run, url: URL) -> None:
    """A message and an answer that exceed the socket's buffers arrive whole."""

    async def main() -> None:
        text = "x" * 8_000_000
        async with opened(url) as pool:
            assert (await ask(pool, "SELECT CAST(:text AS text)", text=text))[0] == text

    run(main())


def test_loops_in_threads(url: URL) -> None:
    """Two engines on two loops in two threads do not meet."""
    answers: dict[int, list[int]] = {}

    async def main(thread: int) -> None:
        async with opened(url, pool_size=2) as pool:
            values = range(thread * 100, thread * 100 + 10)
            rows = await asyncio.gather(*(ask(pool, SLEEP, value=value, seconds=0.01) for value in values))
            answers[thread] = [row[0] for row in rows]

    threads = [threading.Thread(target=asyncio.run, args=(main(thread),)) for thread in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {1: list(range(100, 110)), 2: list(range(200, 210))}


def test_plain_engine_beside_it(url: URL) -> None:
    """A blocking engine works as ever beside the service's, in threads too, and psycopg2 waits in no way of ours."""
    build_engine(url)
    assert psycopg2.extensions.get_wait_callback() is None
    plain = sa.create_engine(url)
    answers = []

    def migrate() -> None:
        with plain.begin() as connection:
            connection.execute(sa.text("CREATE TEMPORARY TABLE migrated AS SELECT 7 AS seven"))
            answers.append(connection.execute(sa.text("SELECT seven FROM migrated, pg_sleep(0.01)")).scalar_one())

    threads = [threading.Thread(target=migrate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    plain.dispose()
    assert answers == [7, 7, 7]


def test_importing_does_nothing() -> None:
    """Importing the engine's module registers no dialect."""
    program = (
        "import todoservice.database.engine\n"
        "from sqlalchemy.dialects import registry\n"
        "assert 'postgresql.psycopg2_asyncio' not in registry.impls\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_first_connection_asks_nothing(run: Run, edge: Edge) -> None:
    """A new engine's first statement is the first that the server sees, and the connection's return sends none."""

    async def main() -> None:
        async with opened(edge.url()) as pool:
            await ask(pool, "SELECT 1")
            await ask(pool, "SELECT 2")
            assert (pool.engine.dialect.server_version_info or ()) >= (10,)
            assert pool.engine.dialect.default_schema_name == "public"
        assert edge.statements == ["SELECT 1", "SELECT 2"]

    run(main())


def test_silent_server(run: Run, silent: URL) -> None:
    """A port that never answers is given up after the time limit, and blocks nothing meanwhile."""

    async def main() -> None:
        async with opened(silent, connect_timeout=0.3) as pool, ticking() as ticks:
            with pytest.raises(OperationalError, match=r'"127.0.0.1" failed: timeout expired after 0.3 s') as caught:
                await ask(pool, "SELECT 1")
            assert "pass-word" not in str(caught.value)
            assert not caught.value.connection_invalidated
            assert len(ticks) > 5
            assert pool.in_use == 0

    run(main())


def test_silent_server_is_left(run: Run) -> None:
    """A connection that was given up is closed, though its error is still held."""

    async def main(listener: socket.socket) -> None:
        port = listener.getsockname()[1]
        async with opened(URL.create("postgresql+psycopg2", host="127.0.0.1", port=port), connect_timeout=0.1) as pool:
            with pytest.raises(OperationalError) as caught:
                await ask(pool, "SELECT 1")
            with listener.accept()[0] as client:
                client.settimeout(10)
                while client.recv(4096):
                    pass
            assert caught.value.statement is None

    with socket.create_server(("127.0.0.1", 0)) as listener:
        run(main(listener))


def test_slow_look_up(run: Run, url: URL) -> None:
    """A name server that never answers is given up after the time limit, and blocks nothing meanwhile."""

    async def hang(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        nowhere = url.set(host="db.test", query={})
        with mock.patch.object(asyncio.get_running_loop(), "getaddrinfo", hang):
            async with opened(nowhere, connect_timeout=0.3) as pool, ticking() as ticks:
                with pytest.raises(OperationalError, match=r'"db.test" failed: .* looking up its address'):
                    await ask(pool, "SELECT 1")
                assert len(ticks) > 5

    run(main())


@pytest.mark.parametrize("host", ["no-such-host.invalid", "bad..name"])
def test_unknown_host(run: Run, url: URL, host: str) -> None:
    """A host that has no address is an OperationalError that names it."""

    async def main() -> None:
        async with opened(url.set(host=host, query={})) as pool:
            with pytest.raises(OperationalError, match=f'could not translate host name "{host}" to address'):
                await ask(pool, "SELECT 1")

    run(main())


def test_second_address(run: Run, edge: Edge) -> None:
    """Where a host's first address refuses, its second is tried."""

    async def main() -> None:
        found = resolve({"db.test": ["127.0.0.2", "127.0.0.1"]})
        with mock.patch.object(asyncio.get_running_loop(), "getaddrinfo", found):
            async with opened(edge.url().set(host="db.test")) as pool:
                assert await ask(pool, "SELECT 1") == (1,)

    run(main())


def test_silent_address(run: Run, edge: Edge) -> None:
    """After an address that took all the time, the next connection begins with another."""

    async def main() -> None:
        found = resolve({"db.test": ["127.0.0.2", "127.0.0.1"]})
        with (
            socket.create_server(("127.0.0.2", edge.port)),
            mock.patch.object(asyncio.get_running_loop(), "getaddrinfo", found),
        ):
            async with opened(edge.url().set(host="db.test"), connect_timeout=1) as pool:
                with pytest.raises(OperationalError, match="timeout expired"):
                    await ask(pool, "SELECT 1")
                assert await ask(pool, "SELECT 1") == (1,)

    run(main())


@pytest.mark.parametrize(
    ("given", "located"),
    [
        ({}, {}),
        ({"host": "/run/pg", "port": 5433}, {}),
        ({"host": "a.test", "hostaddr": "10.0.0.1"}, {}),
        ({"host": "::1"}, {"host": "::1", "hostaddr": "::1"}),
        (
            {"host": "a.test", "port": 5433},
            {"host": "a.test,a.test", "hostaddr": "10.0.0.1,10.0.0.2", "port": "5433,5433"},
        ),
        (
            {"host": "b.test,a.test", "port": "1,2"},
            {"host": "b.test,a.test,a.test", "hostaddr": "::2,10.0.0.1,10.0.0.2", "port": "1,2,2"},
        ),
        ({"host": "/run/pg,b.test"}, {"host": "/run/pg,b.test", "hostaddr": ",::2"}),
        ({"host": "gone.test,b.test", "port": "1,2"}, {"host": "b.test", "hostaddr": "::2", "port": "2"}),
        ({"host": "a.test,b.test", "port": "1,2,3"}, {}),
    ],
)
def test_locate(given: dict[str, Any], located: dict[str, str]) -> None:
    """Each host of libpq's lists gets its addresses, with its port; sockets and given addresses are left alone."""

    async def main() -> None:
        found = resolve({"a.test": ["10.0.0.1", "10.0.0.2", "10.0.0.1"], "b.test": ["::2"]})
        with mock.patch.object(asyncio.get_running_loop(), "getaddrinfo", found):
            assert await locate(given) == located

    asyncio.run(main())
