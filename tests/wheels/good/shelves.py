"""A table that refers to that of another stranger, whose distribution its own one requires."""

from uuid import UUID

from fastapi import APIRouter
from sqlalchemy import ForeignKeyConstraint, insert, select

from todoservice import CurrentScope, Id, Owned, Queries, hookimpl


class Place(Owned, table=True):
    """Where a jar stands."""

    __tablename__ = "shelves"
    __table_args__ = (
        ForeignKeyConstraint(
            ["user_id", "jar_id"], ["todoservice.pantry.user_id", "todoservice.pantry.id"], ondelete="CASCADE"
        ),
    )

    jar_id: UUID
    shelf: int


class Shelves(Queries):
    """Two statements."""

    create = insert(Place).returning(Place)
    rows = select(Place)


router = APIRouter()


@router.put("/{shelf}/{jar_id}", status_code=204)
async def shelve_jar(shelf: int, jar_id: Id, scope: CurrentScope) -> None:
    """Put a jar on a shelf."""
    await scope.one("pantry.retrieve", id=jar_id)
    await scope.execute(Shelves.create, jar_id=jar_id, shelf=shelf)


@router.get("")
async def list_shelves(scope: CurrentScope) -> dict[UUID, int]:
    """Return which jar is on which shelf."""
    return {row.jar_id: row.shelf for row in await scope.all(Shelves.rows)}


@hookimpl
def todoservice_models() -> list[type[Place]]:
    """One table."""
    return [Place]


@hookimpl
def todoservice_queries() -> type[Queries]:
    """Two statements."""
    return Shelves


@hookimpl
def todoservice_router() -> APIRouter:
    """Two operations."""
    return router
