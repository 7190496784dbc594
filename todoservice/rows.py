"""A list of rows, inserted by one statement: the same text however many there are, with an array for each parameter.

A list of VALUES would be another text for each length, to be proven anew, and longer by far.
"""
# ruff: noqa: SLF001 - what an insert is made of has no public name

from collections.abc import Iterator
from typing import Any, Final, cast

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import visitors

from todoservice.database.lists import ArrayOf, item_name, spelled
from todoservice.parameters import GIVEN, KEY, ME, bind

PER_MESSAGE: Final = 1000
"""How many rows travel in one message; more are sent in one transaction."""
POSITION: Final = f"position{GIVEN}"
"""The parameter that numbers the rows, so that they come back in the order given."""
_SOURCE: Final = "listed_rows"


def over_rows(statement: Any, dialect: Dialect) -> sa.Insert:
    """Return the insert of a list of rows for the insert of one, whose parameters are then lists.

    Raises TypeError for a statement that cannot be given a list, with what to do instead.
    """
    if not isinstance(statement, sa.Insert) or statement.select is not None:
        msg = (
            "takes no list of rows, only insert(...) of values does: to reach several rows at once, compare with "
            "= ANY of one parameter, as in col(Todo.id) == sa.any_(param('ids', sa.ARRAY(sa.Uuid)))"
        )
        raise TypeError(msg)
    values = _values(statement)
    binds = {found.key: found for value in values.values() for found in _parameters(value)}
    arrays = [_array(name, found.type, dialect) for name, found in binds.items()]
    columns = [sa.column(name.removeprefix(KEY), found.type) for name, found in binds.items()]
    rows = (
        sa.func.unnest(*arrays, _array(KEY + POSITION, sa.Integer(), dialect))
        .table_valued(*columns, sa.column(POSITION, sa.Integer()), name=_SOURCE)
        .render_derived()
    )

    def of_row(element: Any, **_: Any) -> Any:
        return rows.c[element.key.removeprefix(KEY)] if _is_parameter(element) else None

    items = [visitors.replacement_traverse(value, {}, of_row) for value in values.values()]
    single = statement._generate()
    single._values = None
    many: sa.Insert = single.from_select(
        list(values), sa.select(*items).order_by(rows.c[POSITION]), include_defaults=False
    )
    if left := sorted({found.key for found in _parameters(many)} - binds.keys() - {KEY + POSITION}):
        msg = f"takes {left[0].removeprefix(KEY)} besides its values, which a list cannot give: name excluded there"
        raise TypeError(msg)
    return many


def _values(insert: sa.Insert) -> dict[str, Any]:
    """Return what the insert gives each column, by its name."""
    given: Any = insert._values or {}
    return {getattr(column, "key", column): value for column, value in given.items()}


def _parameters(element: Any) -> Iterator[sa.BindParameter[Any]]:
    return (cast("sa.BindParameter[Any]", found) for found in visitors.iterate(element) if _is_parameter(found))


def _is_parameter(element: Any) -> bool:
    return isinstance(element, sa.BindParameter) and element.key.startswith(KEY) and element.key != KEY + ME


def _array(name: str, item: sa.types.TypeEngine[Any], dialect: Dialect) -> sa.ColumnElement[Any]:
    if isinstance(item, sa.types.NullType):
        msg = f"takes no list of rows, since {name.removeprefix(KEY)} has no type: write param(name, type)"
        raise TypeError(msg)
    if not (kind := item_name(item, dialect)):
        msg = (
            f"takes no list of rows, since {name.removeprefix(KEY)} is {spelled(item, dialect)}, which is no item of "
            "an array here: insert each row, in one scope.transaction()"
        )
        raise TypeError(msg)
    array = ArrayOf(item, kind)
    return sa.cast(bind(name.removeprefix(KEY), array), array)
