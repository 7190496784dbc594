"""A transaction: two rows, or none."""

from fastapi import APIRouter
from sqlalchemy import CheckConstraint, func, insert, select
from sqlmodel import col

from todoservice import Conflict, CurrentScope, Owned, Queries, hookimpl


class Entry(Owned, table=True):
    """An amount on one of the user's accounts."""

    __tablename__ = "ledger"
    __table_args__ = (CheckConstraint("account <> 'closed'", name="open"),)

    account: str
    amount: int


class Ledger(Queries):
    """Two statements."""

    create = insert(Entry).returning(Entry)
    sums = select(col(Entry.account), func.sum(col(Entry.amount)).label("sum")).group_by(col(Entry.account))


router = APIRouter()


@router.post("/{origin}/{target}", status_code=204)
async def transfer(origin: str, target: str, amount: int, scope: CurrentScope) -> None:
    """Take from one account, and give to another."""
    async with scope.transaction():
        await scope.execute(Ledger.create, account=origin, amount=-amount)
        if target == "closed":
            msg = "This account is closed."
            raise Conflict(msg)
        await scope.execute(Ledger.create, account=target, amount=amount)


@router.get("")
async def sum_ledger(scope: CurrentScope) -> dict[str, int]:
    """Return what is on which account."""
    return {row.account: row.sum for row in await scope.all(Ledger.sums)}


@hookimpl
def todoservice_models() -> list[type[Entry]]:
    """One table."""
    return [Entry]


@hookimpl
def todoservice_queries() -> type[Queries]:
    """Two statements."""
    return Ledger


@hookimpl
def todoservice_router() -> APIRouter:
    """Two operations."""
    return router
