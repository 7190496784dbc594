"""The asyncio dialect over psycopg2: waiting, time limits, one message a statement, cancellation, transactions."""

import asyncio
import enum
import io
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg2
import psycopg2.extensions
import psycopg2.extras
import pytest
import sqlalchemy as sa
import trustme
from psycopg2 import sql
from sqlalchemy import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util.concurrency import greenlet_spawn

from tests.database.asking import LOOPS, Run, ask, backend, engine, raw, runner, ticking, work
from tests.database.edge import Edge
from todoservice.database.dialect import execute_compiled
from todoservice.database.libpq import install_wait, locate

SLEEP = "SELECT CAST(:value AS int) FROM pg_sleep(:seconds)"
SET = "SELECT set_config('todoservice.user_id', 'ada', true);"
SEEN = "SELECT current_setting('todoservice.user_id', true)"


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Return what runs a coroutine, once on each kind of loop."""
    return runner(request.param)


@pytest.fixture
def url(server_url: str) -> URL:
    """Return the URL of the server, as the engine takes it."""
    return make_url(server_url).set(drivername="postgresql+psycopg2")


@pytest.fixture
def edge(url: URL) -> Iterator[Edge]:
    """Return an edge before the server."""
    with Edge(url) as edge:
        yield edge


@pytest.fixture
def silent() -> Iterator[URL]:
    """Return the URL of a port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield URL.create("postgresql+psycopg2", "ada", "pass-word", "127.0.0.1", listener.getsockname()[1], "none")


def execute(connection: Connection, statement: str) -> Any:
    """Return the first value of a statement's answer."""
    return connection.execute(sa.text(statement)).scalar_one()


# Waiting


def test_queries_run_side_by_side(run: Run, url: URL) -> None:
    """Fifty queries over five connections all get their own answer, five at a time."""
    count = "SELECT CAST(:value AS int), (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fifty') "

    async def main() -> None:
        async with engine(url, pool_size=5, application_name="fifty") as pool:
            rows = await asyncio.gather(*(ask(pool, count + "FROM pg_sleep(0.02)", value=n) for n in range(50)))
            assert [row[0] for row in rows] == list(range(50))
            assert max(row[1] for row in rows) == 5

    run(main())


def test_loop_stays_free(run: Run, url: URL) -> None:
    """While PostgreSQL works, the loop does other things."""

    async def main() -> None:
        async with engine(url) as pool, ticking() as ticks:
            await ask(pool, SLEEP, value=1, seconds=0.3)
            assert len(ticks) > 5

    run(main())


def test_large_messages(run: Run, url: URL) -> None:
    """A message and an answer that exceed the socket's buffers arrive whole."""

    async def main() -> None:
        text = "x" * 8_000_000
        async with engine(url) as pool:
            assert (await ask(pool, "SELECT CAST(:text AS text)", text=text))[0] == text

    run(main())


def test_loops_in_threads(url: URL) -> None:
    """Two engines on two loops in two threads do not meet."""
    answers: dict[int, list[int]] = {}

    async def main(thread: int) -> None:
        async with engine(url, pool_size=2) as pool:
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
    """A blocking engine works as ever once psycopg2 has the wait callback, in threads too: so do migrations."""
    install_wait()
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
    """Importing the engine's module installs no wait callback and registers no dialect."""
    program = (
        "import psycopg2.extensions, todoservice.database.engine\n"
        "from sqlalchemy.dialects import registry\n"
        "assert psycopg2.extensions.get_wait_callback() is None\n"
        "assert 'postgresql.psycopg2_asyncio' not in registry.impls\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# Connecting


def test_first_connection_asks_nothing(run: Run, edge: Edge) -> None:
    """A new engine's first statement is the first that the server sees, and the connection's return sends none."""

    async def main() -> None:
        async with engine(edge.url()) as pool:
            await ask(pool, "SELECT 1")
            await ask(pool, "SELECT 2")
            assert pool.dialect.server_version_info >= (10,)
            assert pool.dialect.default_schema_name == "public"
        assert edge.statements == ["SELECT 1", "SELECT 2"]

    run(main())


def test_silent_server(run: Run, silent: URL) -> None:
    """A port that never answers is given up after the time limit, and blocks nothing meanwhile."""

    async def main() -> None:
        async with engine(silent, connect_timeout=0.3) as pool, ticking() as ticks:
            with pytest.raises(OperationalError, match=r'"127.0.0.1" failed: timeout expired after 0.3 s') as caught:
                await ask(pool, "SELECT 1")
            assert "pass-word" not in str(caught.value)
            assert not caught.value.connection_invalidated
            assert len(ticks) > 5
            assert pool.pool.checkedout() == 0  # type: ignore[attr-defined]

    run(main())


def test_silent_server_without_loop(silent: URL) -> None:
    """A blocking connection keeps its time limit, which libpq leaves to the wait callback."""
    install_wait()
    with pytest.raises(psycopg2.OperationalError, match="timeout expired after 1 s"):
        psycopg2.connect(silent.set(drivername="postgresql").render_as_string(hide_password=False), connect_timeout=1)


def test_slow_look_up(run: Run, url: URL) -> None:
    """A name server that never answers is given up after the time limit, and blocks nothing meanwhile."""

    async def hang(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        nowhere = url.set(host="db.test", query={})
        with mock.patch.object(asyncio.get_running_loop(), "getaddrinfo", hang):
            async with engine(nowhere, connect_timeout=0.3) as pool, ticking() as ticks:
                with pytest.raises(OperationalError, match=r'"db.test" failed: .* looking up its address'):
                    await ask(pool, "SELECT 1")
                assert len(ticks) > 5

    run(main())


@pytest.mark.parametrize("host", ["no-such-host.invalid", "bad..name"])
def test_unknown_host(run: Run, url: URL, host: str) -> None:
    """A host that has no address is an OperationalError that names it."""

    async def main() -> None:
        async with engine(url.set(host=host, query={})) as pool:
            with pytest.raises(OperationalError, match=f'could not translate host name "{host}" to address'):
                await ask(pool, "SELECT 1")

    run(main())


def resolve(addresses: dict[str, list[str]]) -> Any:
    """Return a name look-up, for a loop to use in place of its own."""

    async def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
        if host not in addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses[host]]

    return getaddrinfo


def test_second_address(run: Run, edge: Edge) -> None:
    """Where a host's first address refuses, its second is tried."""

    async def main() -> None:
        found = resolve({"db.test": ["127.0.0.2", "127.0.0.1"]})
        with mock.patch.object(asyncio.get_running_loop(), "getaddrinfo", found):
            async with engine(edge.url().set(host="db.test")) as pool:
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
            async with engine(edge.url().set(host="db.test"), connect_timeout=1) as pool:
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
        ({"host": "a.test", "port": 5433}, {"host": "a.test,a.test", "hostaddr": "10.0.0.1,10.0.0.2", "port": "5433,5433"}),
        ({"host": "b.test,a.test", "port": "1,2"}, {"host": "b.test,a.test,a.test", "hostaddr": "::2,10.0.0.1,10.0.0.2", "port": "1,2,2"}),
        ({"host": "/run/pg,b.test"}, {"host": "/run/pg,b.test", "hostaddr": ",::2"}),
        ({"host": "gone.test,b.test", "port": "1,2"}, {"host": "b.test", "hostaddr": "::2", "port": "2"}),
        ({"host": "a.test,b.test", "port": "1,2,3"}, {}),
    ],
)  # fmt: skip
def test_locate(given: dict[str, Any], located: dict[str, str]) -> None:
    """Each host of libpq's lists gets its addresses, with its port; sockets and given addresses are left alone."""

    async def main() -> None:
        found = resolve({"a.test": ["10.0.0.1", "10.0.0.2", "10.0.0.1"], "b.test": ["::2"]})
        with mock.patch.object(asyncio.get_running_loop(), "getaddrinfo", found):
            assert await locate(given) == located

    asyncio.run(main())


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a certificate authority."""
    return trustme.CA()


def certified(authority: trustme.CA, host: str) -> ssl.SSLContext:
    """Return the TLS side of a server that has a certificate for a host."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(context)
    return context


async def ask_over_tls(edge: Edge, authority: trustme.CA, folder: Path) -> None:
    """Make a query over TLS, trusting one authority, of a server that is to be `db.test`."""
    authority.cert_pem.write_to_path(folder / "ca.pem")
    url = edge.url(sslmode="verify-full", sslrootcert=str(folder / "ca.pem")).set(host="db.test")
    found = resolve({"db.test": ["127.0.0.1"]})
    with mock.patch.object(asyncio.get_running_loop(), "getaddrinfo", found):
        async with engine(url) as pool:
            for value in range(20):
                assert await ask(pool, "SELECT CAST(:value AS int), pg_backend_pid()", value=value) == (
                    value,
                    await backend(pool),
                )


def test_tls(run: Run, url: URL, authority: trustme.CA, tmp_path: Path) -> None:
    """TLS is verified against the host's name, which the server is told, though libpq is given its address."""
    with Edge(url, certified(authority, "db.test")) as edge:
        run(ask_over_tls(edge, authority, tmp_path))
        assert edge.names == ["db.test"]


def test_tls_of_a_stranger(run: Run, url: URL, authority: trustme.CA, tmp_path: Path) -> None:
    """A certificate of another authority is refused."""
    with Edge(url, certified(trustme.CA(), "db.test")) as edge:
        with pytest.raises(OperationalError, match="certificate verify failed"):
            run(ask_over_tls(edge, authority, tmp_path))


def test_tls_of_another_host(run: Run, url: URL, authority: trustme.CA, tmp_path: Path) -> None:
    """A certificate for another host is refused."""
    with Edge(url, certified(authority, "other.test")) as edge:
        with pytest.raises(OperationalError, match='does not match host name "db.test"'):
            run(ask_over_tls(edge, authority, tmp_path))


# Statements


def test_prefix_travels_along(run: Run, edge: Edge) -> None:
    """The prefix and a statement are one message, the prefix holds for that statement, and the answer is its own."""

    async def main() -> None:
        def do(connection: Connection) -> list[Any]:
            raw(connection).prefix = SET
            return [execute(connection, SEEN), connection.execute(sa.text("SELECT :text"), {"text": "100%"}).scalar()]

        async with engine(edge.url(), pool_size=1) as pool:
            assert await work(pool, do) == ["ada", "100%"]
            assert (await ask(pool, SEEN))[0] in {None, ""}
        assert edge.statements == [SET + SEEN, SET + "SELECT '100%'", SEEN]

    run(main())


@pytest.mark.parametrize(
    "statement", [SEEN, SEEN.encode(), sql.SQL("SELECT current_setting({}, true)").format(sql.Literal("todoservice.user_id"))]
)  # fmt: skip
def test_raw_cursor(run: Run, url: URL, statement: str | bytes | sql.Composable) -> None:
    """psycopg2's own cursors pass the same door, whatever the statement is made of."""

    async def main() -> None:
        def do(connection: Connection) -> Any:
            raw(connection).prefix = SET
            with raw(connection).cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchone()

        async with engine(url) as pool:
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

        async with engine(edge.url()) as pool:
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

        async with engine(url) as pool:
            assert await work(pool, do) == 6

    run(main())


class Colour(enum.Enum):
    """A type that psycopg2 knows nothing of."""

    RED = "r"


def test_compiled_statement(run: Run, url: URL) -> None:
    """A statement compiled once is executed as it is, its parameters and its rows converted."""
    colour = sa.Enum(Colour, native_enum=False, values_callable=lambda members: [member.value for member in members])
    statement = sa.select(
        sa.bindparam("colour", type_=colour).label("colour"), sa.bindparam("n", type_=sa.Integer).label("n")
    )

    async def main() -> None:
        async with engine(url) as pool:
            compiled = statement.compile(dialect=pool.dialect)
            values = {"colour": Colour.RED, "n": 5}
            row = await work(pool, lambda connection: execute_compiled(connection, compiled, values).one())
            assert (row.colour, row.n) == (Colour.RED, 5)

    run(main())


def test_compiled_insert(run: Run, url: URL) -> None:
    """So is one that changes rows and returns them."""
    table = sa.Table("numbers", sa.MetaData(), sa.Column("n", sa.Integer), prefixes=["TEMPORARY"])
    statement = sa.insert(table).values(n=sa.bindparam("given")).returning(table)

    async def main() -> None:
        async with engine(url) as pool:
            compiled = statement.compile(dialect=pool.dialect)

            def do(connection: Connection) -> None:
                table.create(connection)
                result = execute_compiled(connection, compiled, {"given": 5})
                assert (result.rowcount, result.all()) == (1, [(5,)])

            await work(pool, do)

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
        async with engine(url) as pool:
            with pytest.raises(psycopg2.NotSupportedError, match=told):
                await work(pool, lambda connection: do(raw(connection)))

    asyncio.run(main())


def test_streaming(url: URL) -> None:
    """SQLAlchemy's streamed results, which are server-side cursors, are refused."""

    async def main() -> None:
        async with engine(url) as pool:
            with pytest.raises(DBAPIError, match="select pages"):
                await work(
                    pool,
                    lambda connection: connection.execution_options(stream_results=True).execute(sa.text("SELECT 1")),
                )

    asyncio.run(main())


def test_isolation_levels(url: URL) -> None:
    """A connection's isolation level is not to be changed."""

    async def main() -> None:
        async with engine(url) as pool:
            with pytest.raises(ArgumentError, match="isolation_level"):
                await work(pool, lambda connection: connection.execution_options(isolation_level="SERIALIZABLE"))

    asyncio.run(main())


# Errors


def test_error_of_the_server(run: Run, url: URL) -> None:
    """A statement that fails leaves its connection in the pool, and the next answer is right."""

    async def main() -> None:
        async with engine(url, pool_size=1) as pool:
            process = await backend(pool)
            with pytest.raises(DBAPIError, match="division by zero") as caught:
                await ask(pool, "SELECT 1 / CAST(:zero AS int) FROM pg_sleep(0.01)", zero=0)
            assert not caught.value.connection_invalidated
            assert await backend(pool) == process

    run(main())


def test_prefix_is_undone_with_its_statement(run: Run, url: URL) -> None:
    """Where the statement fails, what its prefix did is undone."""

    async def main() -> None:
        def do(connection: Connection) -> Any:
            execute(connection, "CREATE TEMPORARY TABLE numbers AS SELECT 0 AS n RETURNING 1")

        async with engine(url, pool_size=1) as pool:

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
        async with engine(url, pool_size=1) as pool, engine(url) as administrator:
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
        async with engine(edge.url(), pool_size=1) as pool:
            query = asyncio.create_task(ask(pool, SLEEP, value=1, seconds=30))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(edge.cut)
            with pytest.raises(OperationalError) as caught:
                await query
            assert caught.value.connection_invalidated
            assert await ask(pool, SLEEP, value=2, seconds=0) == (2,)

    run(main())


def test_fatal_error_in_any_language(run: Run, url: URL) -> None:
    """An error that ends the connection is known by its severity, not by its English."""

    async def main() -> None:
        def do(connection: Connection) -> None:
            connection.execute(sa.text("SET idle_in_transaction_session_timeout = '10ms'"))
            raw(connection).open_transaction("")
            execute(connection, "SELECT 1")
            threading.Event().wait(0.2)
            with mock.patch.object(type(pool.dialect), "_is_disconnect_messages", ()):
                execute(connection, "SELECT 2")

        async with engine(url, pool_size=1) as pool:
            with pytest.raises(DBAPIError) as caught:
                await work(pool, do)
            assert caught.value.connection_invalidated
            assert await ask(pool, SLEEP, value=2, seconds=0) == (2,)

    run(main())


# Cancellation


def test_cancelled_query(run: Run, url: URL) -> None:
    """A query cancelled underway loses its connection; the pool has another for the next, whose answer is its own."""

    async def main() -> None:
        async with engine(url, pool_size=1) as pool:
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

    async def one(pool: AsyncEngine, value: int) -> None:
        if value % 2:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.03):
                    await ask(pool, SLEEP, value=value, seconds=0.1)
        else:
            assert await ask(pool, SLEEP, value=value, seconds=0.01) == (value,)

    async def main() -> None:
        async with engine(url, pool_size=3, pool_timeout=30) as pool:
            await asyncio.gather(*(one(pool, value) for value in range(30)))

    run(main())


def test_cancelled_anywhere(run: Run, url: URL) -> None:
    """A task may be cancelled at any of its steps: waiting for the pool, connecting, asking, or giving back."""

    async def transact(pool: AsyncEngine, value: int) -> int:
        def do(connection: Connection) -> int:
            raw(connection).open_transaction(SET)
            answer = connection.execute(sa.text(SLEEP), {"value": value, "seconds": 0.002}).scalar_one()
            connection.commit()
            return int(answer)

        return await work(pool, do)

    async def main() -> None:
        async with engine(url, pool_size=2) as pool:
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
                assert pool.pool.checkedout() == 0  # type: ignore[attr-defined]

    run(main())


def test_cancelled_connecting(run: Run, silent: URL) -> None:
    """A task cancelled while it connects gives its place in the pool back."""

    async def main() -> None:
        async with engine(silent, pool_size=1) as pool:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await ask(pool, "SELECT 1")
            assert pool.pool.checkedout() == 0  # type: ignore[attr-defined]

    run(main())


def test_connection_used_by_two_tasks(run: Run, url: URL) -> None:
    """A statement on a connection that is at work for another task is refused; neither it nor closing stops the loop."""

    async def main() -> None:
        async with engine(url, pool_size=1) as pool:
            connection = await greenlet_spawn(pool.sync_engine.connect)
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


# Transactions


def transact(edge: Edge, run: Run, do: Any) -> None:
    """Do something in a transaction that the prefix of a user opens, with the only connection of a pool."""

    async def main() -> None:
        async with engine(edge.url(), pool_size=1) as pool:

            def opened(connection: Connection) -> None:
                raw(connection).open_transaction(SET)
                do(connection)

            await work(pool, opened)
            assert (await ask(pool, SEEN + ", now() = statement_timestamp()"))[0] in {None, ""}

    run(main())


def test_transaction(run: Run, edge: Edge) -> None:
    """A transaction's opening travels with its first statement, and COMMIT is its last trip."""

    def do(connection: Connection) -> None:
        assert [execute(connection, SEEN), execute(connection, SEEN)] == ["ada", "ada"]
        connection.commit()

    transact(edge, run, do)
    assert edge.statements[:-1] == ["BEGIN;" + SET + SEEN, SEEN, "COMMIT"]


def test_transaction_without_statements(run: Run, edge: Edge) -> None:
    """A transaction of no statement sends none."""
    transact(edge, run, lambda connection: connection.commit())
    assert len(edge.statements) == 1


def test_transaction_left_open(run: Run, edge: Edge) -> None:
    """A transaction that nobody ended is rolled back on return to the pool."""
    transact(edge, run, lambda connection: execute(connection, "SELECT 1"))
    assert edge.statements[1:-1] == ["ROLLBACK"]


def test_transaction_begun_by_hand(run: Run, edge: Edge) -> None:
    """So is one that a statement opened behind our back."""

    def do(connection: Connection) -> None:
        raw(connection).rollback()
        raw(connection).cursor().execute("BEGIN")

    transact(edge, run, do)
    assert edge.statements[:-1] == ["BEGIN", "ROLLBACK"]


@pytest.mark.parametrize("statement", ["SELECT 1/0", "SELEKT"])
@pytest.mark.parametrize("before", [0, 1])
def test_failed_transaction(run: Run, edge: Edge, statement: str, before: int) -> None:
    """After a statement that failed, the first one or a later, nothing more is run and nothing is kept."""

    def do(connection: Connection) -> None:
        for _ in range(before):
            execute(connection, "SELECT 1")
        with pytest.raises(DBAPIError):
            execute(connection, statement)
        with pytest.raises(InternalError, match="let its error end the block"):
            execute(connection, "SELECT 2")
        with pytest.raises(InternalError, match="let its error end the block"):
            connection.commit()

    transact(edge, run, do)
    assert "COMMIT" not in edge.statements
    assert "SELECT 2" not in edge.statements


def test_transaction_cancelled(run: Run, edge: Edge) -> None:
    """A transaction whose task is cancelled in mid-statement is not kept."""
    count = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711"

    async def main() -> None:
        async with engine(edge.url(), pool_size=1) as pool:

            def do(connection: Connection) -> None:
                raw(connection).open_transaction(SET)
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(4711)"))
                execute(connection, "SELECT 1 FROM pg_sleep(0.2)")
                connection.commit()

            task = asyncio.create_task(work(pool, do))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(10):
                while (await ask(pool, count))[0]:
                    await asyncio.sleep(0.02)
        assert "COMMIT" not in edge.statements

    run(main())


def test_commit_that_fails(run: Run, edge: Edge) -> None:
    """A constraint that is checked at COMMIT fails there, as SQLAlchemy's own error, and leaves a sound connection."""

    def do(connection: Connection) -> None:
        create = "CREATE TEMPORARY TABLE numbers (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)"
        connection.execute(sa.text(create))
        connection.execute(sa.text("INSERT INTO numbers VALUES (1), (1)"))
        with pytest.raises(sa.exc.IntegrityError):
            connection.commit()

    transact(edge, run, do)
