"""A shared table, beside one whose rows have owners."""

from fastapi import APIRouter
from sqlalchemy import insert, select
from sqlmodel import Field, col

from todoservice import CurrentScope, Owned, Queries, Shared, hookimpl


class Currency(Shared, table=True):
    """A currency: everybody's."""

    __tablename__ = "currencies"

    code: str = Field(primary_key=True, max_length=3)
    name: str


class Purse(Owned, table=True):
    """What a user has of one."""

    __tablename__ = "currencies_purses"

    code: str = Field(foreign_key="todoservice.currencies.code", max_length=3)
    amount: int


class Currencies(Queries):
    """Two statements."""

    create = insert(Purse).returning(Purse)
    rows = select(col(Currency.name), col(Purse.amount)).join(Purse, col(Purse.code) == col(Currency.code))


router = APIRouter()


@router.post("/{code}", status_code=204)
async def keep_currency(code: str, amount: int, scope: CurrentScope) -> None:
    """Keep some of a currency."""
    await scope.execute(Currencies.create, code=code, amount=amount)


@router.get("")
async def list_currencies(scope: CurrentScope) -> dict[str, int]:
    """Return how much the user has of which currency."""
    return {row.name: row.amount for row in await scope.all(Currencies.rows)}


@hookimpl
def todoservice_models() -> list[type[Owned | Shared]]:
    """Two tables."""
    return [Currency, Purse]


@hookimpl
def todoservice_queries() -> type[Queries]:
    """Two statements."""
    return Currencies


@hookimpl
def todoservice_router() -> APIRouter:
    """Two operations."""
    return router
