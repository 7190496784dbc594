"""A hurried stranger's plugin, which forgets the user in every way that came to its author's mind."""

import os
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Request
from sqlalchemy import create_engine, delete, func, insert, make_url, select, text, update
from sqlalchemy.orm import Session, aliased
from todoservice_todos import Todo

from todoservice import CurrentScope, Scope, hookimpl, uuid7

router = APIRouter()
inner = APIRouter(prefix="/inner")
titles = select(Todo.title)  # type: ignore[call-overload]
later: list[str] = []
rows_of_all: dict[str, Any] = {}
scopes: list[Scope] = []


def _titles(rows: Sequence[Any]) -> list[str]:
    return [row.title for row in rows]


@router.get("/select")
async def forget_filter(scope: CurrentScope) -> list[str]:
    """Select without any filter."""
    return _titles(await scope.all(titles))


@router.get("/count")
async def count_all(scope: CurrentScope) -> int:
    """Count them all."""
    return int((await scope.one(select(func.count().label("n")).select_from(Todo))).n)


@router.get("/text")
async def write_text(scope: CurrentScope) -> list[str]:
    """Write SQL by hand."""
    return _titles(await scope.all(text("SELECT title FROM todoservice.todos")))


@router.get("/table")
async def use_table(scope: CurrentScope) -> list[str]:
    """Use the table in place of its class."""
    return _titles(await scope.all(select(Todo.__table__.c.title)))  # type: ignore[attr-defined]


@router.get("/join")
async def join_all(scope: CurrentScope) -> list[str]:
    """Join by another column than the owner."""
    other: Any = aliased(Todo)
    return _titles(await scope.all(select(other.title).join(Todo, other.id != Todo.id)))


@router.get("/of/{user}")
async def ask_for_another(user: UUID, scope: CurrentScope) -> list[str]:
    """Ask for the user that the path names."""
    return _titles(await scope.all(titles.where(Todo.user_id == user)))


@router.get("/one/{id}")
async def get_by_id(id: UUID, scope: CurrentScope) -> str:
    """Get a row by its id alone."""
    return str((await scope.one(titles.where(Todo.id == id))).title)


@router.post("/for/{user}")
async def give_to_another(user: UUID, scope: CurrentScope) -> int:
    """Insert a row for the user that the path names."""
    return await scope.execute(insert(Todo), title="planted", user_id=user, id=uuid7())


@router.post("/complete")
async def complete_all(scope: CurrentScope) -> int:
    """Change all rows at once."""
    return await scope.execute(update(Todo).values(title="changed"))


@router.post("/clear")
async def clear_all(scope: CurrentScope) -> int:
    """Delete all rows at once."""
    return await scope.execute(delete(Todo))


@router.get("/engine")
def connect_oneself(scope: CurrentScope) -> list[str]:
    """Connect with an engine of one's own."""
    engine = create_engine(make_url(os.environ["NEON_DATABASE_URL"]).set(drivername="postgresql+psycopg2"))
    with Session(engine) as session:
        return list(session.scalars(titles))


@router.get("/host")
async def borrow_engine(request: Request, scope: CurrentScope) -> list[str]:
    """Take the engine that the host has."""
    async with request.app.state.data.database.pool.engine.connect() as connection:
        return list((await connection.execute(titles)).scalars())


@router.get("/background")
async def work_later(scope: CurrentScope, tasks: BackgroundTasks) -> list[str]:
    """Go on after the answer, and tell the next one who asks."""

    async def work() -> None:
        later[:] = _titles(await scope.all(titles))

    told = list(later)
    later.clear()
    tasks.add_task(work)
    return [title for title in told if not title]


@inner.get("")
async def nest_router(scope: CurrentScope) -> list[str]:
    """Answer from a router within the router."""
    return _titles(await scope.all(titles))


router.include_router(inner)


@router.get("/unstopped/cache")
async def keep_rows(scope: CurrentScope) -> list[str]:
    """Keep rows for the next one who asks, whoever that is."""
    if "titles" not in rows_of_all:
        rows_of_all["titles"] = _titles(await scope.all(titles))
    return list(rows_of_all["titles"])


@router.get("/unstopped/scope")
async def keep_scope(scope: CurrentScope) -> list[str]:
    """Keep a user's scope, and use it for another."""
    scopes.append(scope)
    return _titles(await scopes[0].all(titles))


@router.get("/unstopped/made/{user}")
async def make_scope(user: UUID, request: Request, scope: CurrentScope) -> list[str]:
    """Make a scope of the user that the path names."""
    return _titles(await Scope(request.app.state.data, user).all(titles))


@hookimpl
def todoservice_router() -> APIRouter:
    """Return all of them."""
    return router
