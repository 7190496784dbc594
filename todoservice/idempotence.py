"""Which statements may be sent twice: those that leave and answer the same, however often they were done.

A connection that is lost after a statement was sent leaves open whether it was done. Such a statement is sent again.
This reads marks that SQLAlchemy keeps on statements, which have no public name.
"""
# ruff: noqa: SLF001

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import Executable
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql import operators
from sqlmodel import col

from todoservice.database.lease import Lease
from todoservice.messages import Message
from todoservice.models import Owned

Sendable = Executable | Message
Statement = TypeVar("Statement", bound=Executable)
_MARK: Final = "todoservice_idempotent"
_UNIQUE_VIOLATION: Final = "23505"


def idempotent(statement: Statement) -> Statement:
    """Return the statement, declared to be one that the service may send again where an answer was lost.

    Declare one where doing it twice in a row leaves the same rows as once, and answers the same:
    `idempotent(update(Todo).where(...).values(title=param("title")).returning(Todo))`, but never `n=Todo.n + 1`.
    It need not be declared of a select that changes nothing, an insert of one row (its id is made before it is sent),
    and a delete by id: these are known.
    """
    return statement.execution_options(**{_MARK: True})


def is_idempotent(statement: Executable) -> bool:
    """Say whether the statement was declared so."""
    return bool(statement.get_execution_options().get(_MARK, False))


def answer_of_done(statement: Any) -> sa.Select[Any] | None:
    """Return the select that answers as the statement did where an earlier sending has done it; None where none can.

    The statement makes no other change inside. An insert of one row is read back by its id. A delete by id that finds
    nothing has found it the first time.
    """
    model = getattr(getattr(statement, "table", None), "_annotations", {}).get("parententity")
    if model is None or not issubclass(model.class_, Owned):
        return None
    if isinstance(statement, sa.Insert):
        return _inserted(statement, model.class_)
    return _deleted(statement) if isinstance(statement, sa.Delete) else None


def _inserted(insert: sa.Insert, model: type[Owned]) -> sa.Select[Any] | None:
    given = {key if isinstance(key, str) else key.name: value for key, value in (insert._values or {}).items()}
    if insert.select is not None or insert._post_values_clause is not None or "id" not in given:
        return None
    return sa.select(*insert._returning or [col(model.id)]).where(col(model.id) == given["id"])


def _deleted(delete: sa.Delete) -> sa.Select[Any] | None:
    returned = {getattr(column, "name", "") for column in delete._returning}
    match delete._where_criteria:
        case [
            sa.BinaryExpression(
                left=sa.Column(name="id", table=table), right=sa.BindParameter() as id, operator=operators.eq
            )
        ] if returned <= {"id"} and table == delete.table:
            return sa.select(sa.cast(id, sa.Uuid()).label("id"))
    return None


async def execute(
    lease: Lease, statement: Sendable, done: Sendable | None, values: Mapping[str, Any], *, again: bool
) -> Any:
    """Execute the statement; `again` says that an earlier sending may have done it, and then `done` may answer.

    Returns SQLAlchemy's result of a statement of its own, and the driver's answer to a message. Raises DBAPIError.
    """
    try:
        result = await _sent(lease, statement, values)
    except IntegrityError as error:
        if not again or done is None or getattr(error.orig, "pgcode", None) != _UNIQUE_VIOLATION:
            raise
        result = await _sent(lease, done, values)
        if result.rowcount == 0:  # another row was in the way
            raise
        return result
    if again and done is not None and result.rowcount == 0:
        return await _sent(lease, done, values)
    return result


async def _sent(lease: Lease, statement: Sendable, values: Mapping[str, Any]) -> Any:
    if isinstance(statement, Message):
        return await statement.execute(lease, values)
    return await lease.execute(statement, values)
