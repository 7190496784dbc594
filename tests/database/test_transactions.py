"""Transactions: BEGIN travels with the first statement, COMMIT is the last trip, and none is left open."""

import asyncio
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
from asking import SEEN, SET, Run, ask, execute, opened, raw, work
from edge import Edge
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InternalError


def transact(edge: Edge, run: Run, do: Any) -> None:
    """Do something in a transaction that the prefix of a user opens, with the only connection of a pool."""

    async def main() -> None:
        async with opened(edge.url(), pool_size=1) as pool:

            def open_one(connection: Connection) -> None:
                raw(connection).open_transaction(SET)
                do(connection)

            await work(pool, open_one)
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
    """A transaction that nobody ended is not kept: its connection is closed, and the pool makes another."""
    transact(edge, run, lambda connection: execute(connection, "SELECT 1"))
    assert edge.statements[1:-1] == []


def test_transaction_begun_by_hand(run: Run, edge: Edge) -> None:
    """So is one that a statement opened behind our back."""

    def do(connection: Connection) -> None:
        raw(connection).rollback()
        raw(connection).cursor().execute("BEGIN")

    transact(edge, run, do)
    assert edge.statements[:-1] == ["BEGIN"]


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


def test_transaction_ended_by_hand(run: Run, edge: Edge) -> None:
    """After a statement that ends the transaction itself, none is run without the prefix."""

    def do(connection: Connection) -> None:
        with raw(connection).cursor() as cursor:
            cursor.execute("COMMIT")
            with pytest.raises(psycopg2.InternalError, match="let its error end the block"):
                cursor.execute("SELECT 2")

    transact(edge, run, do)
    assert edge.statements[:-1] == ["BEGIN;" + SET + "COMMIT"]


def test_transaction_cancelled(run: Run, edge: Edge) -> None:
    """A transaction whose task is cancelled in mid-statement is not kept."""
    count = "SELECT count(*) FROM pg_locks, pg_sleep(0.02) WHERE locktype = 'advisory' AND objid = 4711"

    async def main() -> None:
        async with opened(edge.url(), pool_size=1) as pool:

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
                    pass
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
