"""Another user's scope in a transaction block: it has a connection and a transaction of its own."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from playing import Play
from sqlalchemy import func, select
from todoservice_todos.models import Todo
from todoservice_todos.queries import TodoQueries

from todoservice import NotFound, Scope, Settings, create_app

COUNT: Any = select(func.count()).select_from(Todo)
WHERE: Any = select(func.pg_backend_pid(), func.current_setting("todoservice.user_id"))


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """Return the app, whose statements may read their connection and its user."""
    return create_app(settings.model_copy(update={"allowed_functions": "pg_backend_pid,current_setting"}))


async def session(scope: Scope) -> tuple[int, str]:
    """Return the connection that a statement of the scope runs on, and the user whom it names to PostgreSQL."""
    row: Any = await scope.one(WHERE)
    return row[0], row[1]


async def titles(scope: Scope) -> set[str]:
    """Return the titles of the scope's todos."""
    return {row.title for row in await scope.all(sa.select(Todo))}


def test_another_scope_in_a_block_has_its_own_connection_and_user(play: Play) -> None:
    async def scenario(mine: Scope, theirs: Scope) -> None:
        async with mine.transaction():
            first, here = await session(mine)
            other, there = await session(theirs)
            again, still = await session(mine)
        assert first == again != other
        assert (here, there, still) == (str(mine.user_id), str(theirs.user_id), str(mine.user_id))

    play(scenario)


def test_another_scope_in_a_block_sees_none_of_its_rows(play: Play) -> None:
    """Neither those that the block added, nor those that were there, by any method."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        old = await mine.one(TodoQueries.create_todo, title="old")
        async with mine.transaction():
            new = await mine.one(TodoQueries.create_todo, title="new")
            assert await titles(theirs) == set()
            assert (await theirs.one(COUNT))[0] == 0
            assert (await theirs.all_json(sa.select(Todo))).body == b"[]"
            for row in (old, new):
                with pytest.raises(NotFound):
                    await theirs.one(TodoQueries.retrieve_todo, id=row.id)
            assert await theirs.execute(sa.update(Todo).values(title="taken")) == 0
            assert await theirs.execute(sa.delete(Todo)) == 0
            assert await titles(mine) == {"old", "new"}

    play(scenario)


def test_block_sees_none_of_the_rows_of_another_scope_in_it(play: Play) -> None:
    async def scenario(mine: Scope, theirs: Scope) -> None:
        async with mine.transaction():
            row = await theirs.one(TodoQueries.create_todo, title="theirs")
            assert await titles(mine) == set()
            assert await mine.execute(sa.update(Todo).values(title="taken")) == 0
            assert await mine.first(TodoQueries.retrieve_todo, id=row.id) is None
        assert await titles(theirs) == {"theirs"}

    play(scenario)


def test_block_that_is_undone_undoes_nothing_of_another_scope(play: Play) -> None:
    async def scenario(mine: Scope, theirs: Scope) -> None:
        with pytest.raises(ZeroDivisionError):
            async with mine.transaction():
                await mine.one(TodoQueries.create_todo, title="mine")
                await theirs.one(TodoQueries.create_todo, title="theirs")
                await theirs.all(TodoQueries.create_todo, [{"title": "many"}])
                raise ZeroDivisionError
        assert (await titles(mine), await titles(theirs)) == (set(), {"theirs", "many"})

    play(scenario)


def test_transactions_of_two_scopes_in_one_task_are_apart(play: Play) -> None:
    """The inner one is undone, and the outer one is kept: no statement runs as the other user."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        async with mine.transaction():
            await mine.one(TodoQueries.create_todo, title="mine")
            outer, _ = await session(mine)
            with pytest.raises(ZeroDivisionError):
                async with theirs.transaction():
                    await theirs.one(TodoQueries.create_todo, title="theirs")
                    inner, _ = await session(theirs)
                    between, user = await session(mine)
                    assert (inner != outer, inner != between) == (True, True)
                    assert user == str(mine.user_id)
                    assert await titles(theirs) == {"theirs"}
                    raise ZeroDivisionError
            assert (await session(mine))[0] == outer
        assert (await titles(mine), await titles(theirs)) == ({"mine"}, set())

    play(scenario)


def test_task_of_a_block_with_another_scope_is_not_in_the_transaction(play: Play) -> None:
    async def scenario(mine: Scope, theirs: Scope) -> None:
        async with mine.transaction():
            await mine.one(TodoQueries.create_todo, title="mine")
            here = await session(mine)
            there = await asyncio.gather(*(asyncio.create_task(session(theirs)) for _ in range(3)))
            assert here[0] not in {connection for connection, _ in there}
            assert {user for _, user in there} == {str(theirs.user_id)}

    play(scenario)


def test_second_scope_of_the_same_user_is_not_in_the_transaction(play: Play, app: FastAPI) -> None:
    async def scenario(mine: Scope, _theirs: Scope) -> None:
        second = Scope(app.state.data, mine.user_id)
        async with mine.transaction():
            await mine.one(TodoQueries.create_todo, title="mine")
            assert await titles(second) == set()
        assert await titles(second) == {"mine"}

    play(scenario)


def test_statement_of_another_scope_in_a_block_is_bound_to_its_own_user(play: Play) -> None:
    statement = sa.text("SELECT t.title FROM todoservice.todos AS t WHERE t.user_id = :me")

    async def scenario(mine: Scope, theirs: Scope) -> None:
        await theirs.one(TodoQueries.create_todo, title="theirs")
        async with mine.transaction():
            await mine.one(TodoQueries.create_todo, title="mine")
            assert [row.title for row in await theirs.all(statement)] == ["theirs"]
            assert [row.title for row in await mine.all(statement)] == ["mine"]

    play(scenario)


def test_parameters_of_one_scope_are_no_others(play: Play) -> None:
    """A statement that both have prepared is bound to the user of the scope that sends it."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        for scope, title in ((mine, "mine"), (theirs, "theirs")):
            await scope.one(TodoQueries.create_todo, title=title)
        async with mine.transaction(), theirs.transaction():
            for _ in range(3):
                assert (await titles(mine), await titles(theirs)) == ({"mine"}, {"theirs"})

    play(scenario)
