"""The parameters of statements: those that a call gives by name, and those that the host binds itself."""

import re
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from todoservice.database.values import KEY as KEY  # noqa: PLC0414 - for the modules that build statements

ME: Final = "me"
"""The parameter that carries the scope's user in every statement. Reserved."""
GIVEN: Final = "__given"

_COLUMN: Final = re.compile(r"__column\d+\Z")
"""Ends the name of a parameter that is one column of a list of rows (`database.lists`)."""
_ABSENT: Final = object()


def param(name: str, type_: Any = None, *, else_: Any = _ABSENT) -> sa.ColumnElement[Any]:
    """Return a bind parameter: a value that each call of the statement gives by `name`.

    With `else_`, the call may leave it out, and `else_` stands in its place: `param("title", else_=col(Todo.title))`
    in an UPDATE keeps the title where no new one is given, and tells that from a new value of NULL.
    Raises ValueError for a reserved name.
    """
    if name == ME or is_reserved(name):
        msg = f"the parameter name {name!r} is reserved: the host binds it itself"
        raise ValueError(msg)
    if else_ is _ABSENT:
        return bind(name, type_)
    kept = sa.type_coerce(else_, type_) if type_ is not None else else_
    given = bind(name + GIVEN, sa.Boolean())
    return sa.case((given, sa.bindparam(KEY + name, None, type_=kept.type)), else_=kept)


def is_reserved(name: str) -> bool:
    """Say whether the host binds this parameter itself, besides the user's."""
    return name.endswith(GIVEN) or _COLUMN.search(name) is not None


def bind(name: str, type_: Any) -> sa.BindParameter[Any]:
    """Return the bind parameter of this name, which every call must give."""
    return sa.bindparam(KEY + name, required=True, type_=type_)


def me() -> sa.BindParameter[UUID]:
    """Return the bind parameter that is the scope's user."""
    return bind(ME, sa.Uuid())
