"""The dialect's connections and cursors: one message a statement, one door for all, and what an error leaves behind."""

import asyncio
import io
import threading
from typing import Any
from unittest import mock

import psycopg2
import psycopg2.extensions
import psycopg2.extras
import pytest
import sqlalchemy as sa
from asking import SEEN, SET, SLEEP, Run, ask, backend, execute, opened, raw, work
from edge import Edge
from psycopg2 import sql
from sqlalchemy import URL, Connection
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError


def test_prefix_travels_along(run: Run, edge: Edge) -> None:
    """The prefix and a statement are one message, the prefix holds for that statement, and the answer is its own."""

    async def main() -> None:
        def do(connection: Connection) -> list[Any]:
            raw(connection).prefix = SET
            return [execute(connection, SEEN), connection.execute(sa.text("SELECT :text"), {"text": "100%"}).scalar()]

        async with opened(edge.url(), pool_size=1) as pool:
            assert await work(pool, do) == ["ada", "100%"]
            assert (await ask(pool, SEEN))[0] in {None, ""}
        assert edge.statements == [SET + SEEN, SET + "SELECT '100%'", SEEN]

    run(main())


@pytest.mark.parametrize(
    "statement",
    [SEEN, SEEN.encode(), sql.SQL("SELECT current_setting({}, true)").format(sql.Literal("todoservice.user_id"))],
)
def test_raw_cursor(run: Run, url: URL, statement: str | bytes | sql.Composable) -> None:
    """psycopg2's own cursors pass the same door, whatever the statement is made of."""

    async def main() -> None:
        def do(connection: Connection) -> Any:
            raw(connection).prefix = SET
            with raw(connection).cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchone()

        async with opened(url) as pool:
            assert await work(pool, do) == ("ada",)

    run(main())


def test_executemany(run: Run, edge: Edge) -> None:
    """A statement with many sets of parameters passes once for each, and counts the rows of all."""
    update = "UPDATE pg_temp.numbers SET n = n WHERE n < %s"

    async def main() -> None:
        def do(connection: Connection) -> None:
            with raw(connection).cursor() as cursor:
                cursor.execute("CREATE TEMPORARY TABLE numbers AS SELECT generate_series(1, 9) AS n")
                raw(connection).prefix = SET
                cursor.executemany(update, [(3,), (5,)])
                assert cursor.rowcount == 6
                cursor.execute(SEEN)
                assert cursor.rowcount == 1

        async with opened(edge.url()) as pool:
            await work(pool, do)
        assert edge.statements[1:] == [SET + update % 3, SET + update % 5, SET + SEEN]

    run(main())


def test_sqlalchemy_executemany(run: Run, url: URL) -> None:
    """SQLAlchemy's lists of parameters count the rows of all."""

    async def main() -> None:
        def do(connection: Connection) -> int:
            connection.execute(sa.text("CREATE TEMPORARY TABLE numbers AS SELECT generate_series(1, 9) AS n"))
            statement = sa.text("UPDATE pg_temp.numbers SET n = n WHERE n < :n")
            return connection.execute(statement, [{"n": 3}, {"n": 5}]).rowcount

        async with opened(url) as pool:
            assert await work(pool, do) == 6

    run(main())


@pytest.mark.parametrize(
    ("do", "told"),
    [
        (lambda connection: connection.cursor().callproc("now"), "execute a SELECT"),
        (lambda connection: connection.cursor().copy_expert("COPY x TO STDOUT", io.BytesIO()), "insert a list of rows"),
        (lambda connection: connection.cursor().copy_from(io.BytesIO(), "x"), "insert a list of rows"),
        (lambda connection: connection.cursor().copy_to(io.BytesIO(), "x"), "insert a list of rows"),
        (lambda connection: connection.cursor("name"), "select pages"),
        (lambda connection: connection.cursor(name="name", scrollable=True), "select pages"),
        (lambda connection: connection.cursor(cursor_factory=psycopg2.extras.DictCursor), "leave cursor_factory out"),
        (lambda connection: connection.cursor(cursor_factory=psycopg2.extensions.cursor), "leave cursor_factory out"),
    ],
)
def test_ways_around(url: URL, do: Any, told: str) -> None:
    """What would go past the one door is refused, in words that name another way."""

    async def main() -> None:
        async with opened(url) as pool:
            with pytest.raises(psycopg2.NotSupportedError, match=told):
                await work(pool, lambda connection: do(raw(connection)))

    asyncio.run(main())


def test_streaming(url: URL) -> None:
    """SQLAlchemy's streamed results, which are server-side cursors, are refused."""

    async def main() -> None:
        async with opened(url) as pool:
            with pytest.raises(DBAPIError, match="select pages"):
                await work(
                    pool,
                    lambda connection: connection.execution_options(stream_results=True).execute(sa.text("SELECT 1")),
                )

    asyncio.run(main())


def test_isolation_levels(url: URL) -> None:
    """A connection's isolation level is not to be changed."""

    async def main() -> None:
        async with opened(url) as pool:
            with pytest.raises(ArgumentError, match="isolation_level"):
                await work(pool, lambda connection: connection.execution_options(isolation_level="SERIALIZABLE"))

    asyncio.run(main())


def test_error_of_the_server(run: Run, url: URL) -> None:
    """A statement that fails leaves its connection in the pool, and the next answer is right."""

    async def main() -> None:
        async with opened(url, pool_size=1) as pool:
            process = await backend(pool)
            with pytest.raises(DBAPIError, match="division by zero") as caught:
                await ask(pool, "SELECT 1 / CAST(:zero AS int) FROM pg_sleep(0.01)", zero=0)
            assert not caught.value.connection_invalidated
            assert await backend(pool) == process

    run(main())


def test_prefix_is_undone_with_its_statement(run: Run, url: URL) -> None:
    """Where the statement fails, what its prefix did is undone."""

    async def main() -> None:
        async with opened(url, pool_size=1) as pool:

            def fail(connection: Connection) -> None:
                connection.execute(sa.text("CREATE TEMPORARY TABLE numbers (n int)"))
                raw(connection).prefix = "INSERT INTO numbers VALUES (1);"
                with pytest.raises(DBAPIError):
                    connection.execute(sa.text("SELECT 1/0"))
                raw(connection).prefix = ""
                assert execute(connection, "SELECT count(*) FROM numbers") == 0

            await work(pool, fail)

    run(main())


def test_killed_connection(run: Run, url: URL) -> None:
    """A connection that an administrator ends in mid-query is reported as lost and replaced."""

    async def main() -> None:
        async with opened(url, pool_size=1) as pool, opened(url) as administrator:
            process = await backend(pool)
            query = asyncio.create_task(ask(pool, SLEEP, value=1, seconds=30))
            await asyncio.sleep(0.1)
            await ask(administrator, "SELECT pg_terminate_backend(:process)", process=process)
            with pytest.raises(OperationalError, match="terminating connection") as caught:
                await query
            assert caught.value.connection_invalidated
            assert await backend(pool) != process

    run(main())


def test_cut_connection(run: Run, edge: Edge) -> None:
    """A connection that the network ends in mid-query is reported as lost and replaced."""

    async def main() -> None:
        async with opened(edge.url(), pool_size=1) as pool:
            query = asyncio.create_task(ask(pool, SLEEP, value=1, seconds=30))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(edge.cut)
            with pytest.raises(OperationalError) as caught:
                await query
            assert caught.value.connection_invalidated
            assert await ask(pool, SLEEP, value=2, seconds=0) == (2,)

    run(main())


def test_fatal_error_in_any_language(run: Run, url: URL) -> None:
    """A connection that the server ended is known by its state, not by the server's English."""

    async def main() -> None:
        def do(connection: Connection) -> None:
            connection.execute(sa.text("SET idle_in_transaction_session_timeout = '10ms'"))
            raw(connection).open_transaction("")
            execute(connection, "SELECT 1")
            threading.Event().wait(0.2)
            with mock.patch.object(type(pool.engine.dialect), "_is_disconnect_messages", ()):
                execute(connection, "SELECT 2")

        async with opened(url, pool_size=1) as pool:
            with pytest.raises(DBAPIError) as caught:
                await work(pool, do)
            assert caught.value.connection_invalidated
            assert await ask(pool, SLEEP, value=2, seconds=0) == (2,)

    run(main())
