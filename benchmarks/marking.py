"""A feature as an author may write it, whose changes must not be made twice: marks on a todo, and pairs of todos."""

import sys
from typing import Annotated

import todoservice_todos
from fastapi import APIRouter, Body, FastAPI, Response
from sqlalchemy import func, insert, update
from sqlmodel import col
from todoservice_todos import Todo

from todoservice import CurrentScope, Id, Plugin, Queries, create_app, hookimpl, param

router = APIRouter()
Titles = Annotated[list[str], Body()]


class MarkingQueries(Queries):
    """Neither is declared idempotent."""

    mark = (
        update(Todo)
        .where(col(Todo.id) == param("id"))
        .values(description=func.coalesce(col(Todo.description), "") + "!")
        .returning(Todo)
    )
    add = insert(Todo).returning(Todo)


@router.post("/{id}")
async def mark(id: Id, scope: CurrentScope) -> Response:
    """Add a mark to a todo's description."""
    return await scope.one_json(MarkingQueries.mark, id=id)


@router.post("/blocks/pair", status_code=201)
async def add_in_block(titles: Titles, scope: CurrentScope) -> list[str]:
    """Create todos in one transaction, which is not done again."""
    async with scope.transaction():
        return [str((await scope.one(MarkingQueries.add, title=title)).id) for title in titles]


@router.post("/marked/pair", status_code=201)
async def add_marked(titles: Titles, scope: CurrentScope) -> list[str]:
    """Create todos in one transaction, which may be done again."""

    async def work() -> list[str]:
        return [str((await scope.one(MarkingQueries.add, title=title)).id) for title in titles]

    return await scope.run_transaction(work)


@hookimpl
def todoservice_queries() -> type[Queries]:
    """Return the statements."""
    return MarkingQueries


@hookimpl
def todoservice_router() -> APIRouter:
    """Return the routes."""
    return router


def served() -> FastAPI:
    """Make the app with todos and marks, for `uvicorn marking:served --factory`."""
    marking = Plugin("marking", sys.modules[__name__], requires=("todos",))
    return create_app(plugins=[Plugin("todos", todoservice_todos), marking])
