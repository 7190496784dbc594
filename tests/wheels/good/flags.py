"""An upsert, declared idempotent: setting a flag twice is setting it once."""

from fastapi import APIRouter
from sqlalchemy import UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from todoservice import CurrentScope, Owned, Queries, hookimpl, idempotent


class Flag(Owned, table=True):
    """A flag of the user's. No two have one name."""

    __tablename__ = "flags"
    __table_args__ = (UniqueConstraint("user_id", "name"),)

    name: str
    up: bool


_insert = insert(Flag)


class Flags(Queries):
    """Two statements."""

    put = idempotent(
        _insert.on_conflict_do_update(index_elements=["user_id", "name"], set_={"up": _insert.excluded.up}).returning(
            col(Flag.up)
        )
    )
    rows = select(Flag)


router = APIRouter()


@router.put("/{name}", status_code=204)
async def put_flag(name: str, up: bool, scope: CurrentScope) -> None:
    """Put a flag up, or down."""
    await scope.one(Flags.put, name=name, up=up)


@router.get("")
async def list_flags(scope: CurrentScope) -> dict[str, bool]:
    """Return which flag is up."""
    return {row.name: row.up for row in await scope.all(Flags.rows)}


@hookimpl
def todoservice_models() -> list[type[Flag]]:
    """One table."""
    return [Flag]


@hookimpl
def todoservice_queries() -> type[Queries]:
    """Two statements."""
    return Flags


@hookimpl
def todoservice_router() -> APIRouter:
    """Two operations."""
    return router
