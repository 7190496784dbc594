"""Lists of values: a comparison with a list is compiled with one array, so that one text serves every length.

SQLAlchemy renders `x IN (...)` with one parameter for each item. `ListCompiler` renders `x = ANY (array)` and
`x <> ALL (array)` instead, and for rows `(a, b) IN (SELECT ... FROM unnest(array, array))`. PostgreSQL defines the two
as equal for empty lists and for NULL too (PostgreSQL's documentation, "Row and Array Comparisons").
"""
# ruff: noqa: SLF001 - a compiler of SQLAlchemy's reads its private names

import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import PGCompiler
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import operators

from todoservice.database.values import DEEPEST

MOST_ITEMS: Final = 10_000
"""The most items that the lists of one parameter may have together, nested ones included."""
SCALARS: Final = frozenset({bool, bytes, date, datetime, Decimal, float, int, str, time, timedelta, type(None), UUID})
"""Types of values that hold no list."""

_SAME: Final = (
    "BIGINT", "BOOLEAN", "BYTEA", "DATE", "DATERANGE", "FLOAT", "INT4RANGE", "INT8RANGE", "INTEGER", "INTERVAL", "JSON",
    "JSONB", "NUMERIC", "NUMRANGE", "REAL", "SMALLINT", "TEXT", "TSRANGE", "TSTZRANGE", "UUID", "VARCHAR",
)  # fmt: skip
_ITEMS: Final = {
    "CHAR": "VARCHAR",
    "DOUBLE PRECISION": "FLOAT8",
    "TIME WITH TIME ZONE": "TIMETZ",
    "TIME WITHOUT TIME ZONE": "TIME",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
    "TIMESTAMP WITHOUT TIME ZONE": "TIMESTAMP",
    **dict(zip(_SAME, _SAME, strict=True)),
}
"""The types that can be items of an array here, without lengths: to cast to a length would cut a text short."""
_COMPARED: Final = {"SMALLINT": "BIGINT", "INTEGER": "BIGINT", "DATE": "TIMESTAMP"}
"""Wider types for items that are compared: 2**40 equals no INTEGER and noon no DATE, and neither is an error."""
_LIST_IN_TEXT: Final = r"\b(NOT\s+)?IN\s+:{}(?![:\w])"
_BEFORE_ROW: Final = re.compile(r"(?:^|[^\w\s\"]|\b(?:and|having|not|on|or|row|select|when|where))\s*$", re.IGNORECASE)


class ArrayOf(sa.types.UserDefinedType[list[Any]]):
    """An array whose items are bound as values of `item` are. Without a `name` PostgreSQL infers its type."""

    cache_ok = True

    def __init__(self, item: sa.types.TypeEngine[Any], name: str) -> None:
        """Take the type of the items, and the name that they are cast to."""
        self.item = item
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        """Return the name of the type, for CAST."""
        return f"{self.name}[]"

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Return what converts each item."""
        processor = self.item.dialect_impl(dialect).bind_processor(dialect)
        return None if processor is None else lambda values: [processor(value) for value in values]


class ListOf(ArrayOf):
    """An array that something is compared with. NULL is the empty list, as for SQLAlchemy after IN."""

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        """Return what converts the list."""
        processor = self.item.dialect_impl(dialect).bind_processor(dialect)
        convert = {"BIGINT": _whole, "": _literal}.get(self.name, list)

        def process(values: Any) -> Any:
            items = self._items(values)
            return convert(items if processor is None else map(processor, items))

        return process

    def _items(self, values: Any) -> Iterable[Any]:
        return () if values is None else values


class ColumnOf(ListOf):
    """One column of a list of rows, as an array."""

    def __init__(self, item: sa.types.TypeEngine[Any], name: str, rows: str, position: int) -> None:
        """Take the key of the parameter that is the list of rows, and the column's position in them."""
        super().__init__(item, name)
        self.rows = rows
        self.position = position

    def _items(self, values: Any) -> Iterable[Any]:
        return [row[self.position] for row in super()._items(values)]


def _whole(items: Iterable[Any]) -> list[Any]:
    """Return numbers for integers. A fraction is sent as text, which PostgreSQL rejects: a cast would round it."""
    return [_whole_number(item) if type(item) in {float, Decimal} else item for item in items]


def _whole_number(number: float | Decimal) -> int | str:
    return int(number) if Decimal(number).is_finite() and number == int(number) else str(number)


def _literal(items: Iterable[Any]) -> Any:
    """Return texts as the literal of an array, whose type PostgreSQL infers as it does of texts after IN."""
    listed = list(items)
    if not all(item is None or isinstance(item, str) for item in listed):
        return listed
    return f"{{{','.join(map(_quoted, listed))}}}"


def _quoted(item: str | None) -> str:
    if item is None:
        return "NULL"
    return '"' + str.replace(str.replace(item, "\\", "\\\\"), '"', '\\"') + '"'


def item_name(kind: sa.types.TypeEngine[Any], dialect: Dialect) -> str:
    """Return the name that items of an array of `kind` are cast to, or "" if they cannot be cast.

    A native enum is no such item: the audit knows no type by the name of an enum.
    """
    native = isinstance(kind, sa.Enum) and kind.native_enum
    untyped = isinstance(kind, sa.types.NullType)
    if native or untyped or kind.dialect_impl(dialect)._has_bind_expression:
        return ""
    return _ITEMS.get(spelled(kind, dialect), "")


def spelled(kind: sa.types.TypeEngine[Any], dialect: Dialect) -> str:
    """Return the SQL name of a type without its length."""
    return re.sub(r"\(.*?\)", "", kind.compile(dialect))


def _compared_name(kind: sa.types.TypeEngine[Any], dialect: Dialect) -> str:
    """Return what items are cast to when they are compared, or "" if PostgreSQL must infer it."""
    name = item_name(kind, dialect)
    return _COMPARED.get(name, name)


def count_items(value: Any, most: int = MOST_ITEMS) -> int:
    """Return how many items a list or tuple has, nested ones included. Stop counting above `most`.

    It reads what CPython stores, and calls no method that a subclass may override. Raises RecursionError for a list
    that contains itself, and OverflowError for one that is nested deeper than `DEEPEST`.
    """
    count = 0
    pending: list[tuple[Any, tuple[int, ...]]] = [(value, ())]
    while pending and count <= most:
        items, inside = pending.pop()
        if id(items) in inside:
            raise RecursionError
        if len(inside) > DEEPEST:
            raise OverflowError
        kind: Any = list if issubclass(type(items), list) else tuple
        length = kind.__len__(items)
        count += length
        if length <= most:
            within = (*inside, id(items))
            pending += [(item, within) for item in kind.__iter__(items) if issubclass(type(item), list | tuple)]
    return count


def takes_list(bind: sa.BindParameter[Any], dialect: Dialect) -> bool:
    """Return whether a list that is given for the parameter is sent as one: a JSON document, for example, is not."""
    impl = bind.type.dialect_impl(dialect)
    plain = impl.impl_instance if isinstance(impl, sa.types.TypeDecorator) else impl
    return bind.expanding or isinstance(plain, ArrayOf | sa.types.ARRAY) or impl.bind_processor(dialect) is None


class ListCompiler(PGCompiler):
    """SQLAlchemy's compiler for psycopg2, with an array for each list after IN.

    Lists of arrays, and of types with a bind expression, keep SQLAlchemy's form: a parameter for each item.
    """

    def visit_in_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:  # noqa: ARG002
        """Render IN."""
        return self._listed(binary, kw) or self._generate_generic_binary(binary, " IN ", **kw)

    def visit_not_in_op_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        """Render NOT IN."""
        found = self._listed(binary, kw)
        return f"({found})" if found else super().visit_not_in_op_binary(binary, operator, **kw)  # type: ignore[no-untyped-call]

    def visit_bindparam(self, bindparam: Any, **kw: Any) -> str:  # type: ignore[override]
        """Render a parameter. A list of typed rows after the IN of a text is a query."""
        if bindparam.expanding and bindparam.type._is_tuple_type and not _is_literal(bindparam, kw):
            rows = self._rows(bindparam, bindparam.type.types, bindparam.type.types)
            if rows is not None:
                return f"({self.process(rows, **kw)})"
        return super().visit_bindparam(bindparam, **kw)  # type: ignore[no-untyped-call, no-any-return]

    def visit_textclause(self, textclause: Any, **kw: Any) -> str:  # type: ignore[override]
        """Render a text, with an array for each list after its IN."""
        given = textclause._bindparams
        # A list of rows has columns in place of parameters.
        lists = [name for name, bind in given.items() if isinstance(bind, sa.BindParameter) and bind.expanding]
        if lists and not kw.get("literal_binds"):
            textclause = textclause._clone()
            textclause._bindparams = dict(given)
            for name in lists:
                self._list_in_text(textclause, name, given[name])
        return super().visit_textclause(textclause, **kw)  # type: ignore[no-untyped-call, no-any-return]

    def _list_in_text(self, text: Any, name: str, bind: Any) -> None:
        pattern = re.compile(_LIST_IN_TEXT.format(re.escape(name)), re.IGNORECASE)
        found = list(pattern.finditer(text.text))
        everywhere = re.findall(rf"(?<![:\w\\]):{re.escape(name)}(?!\w)", text.text)
        if len(found) != len(everywhere) or any(_ends_with_row(text.text[: match.start()]) for match in found):
            return
        if bind.type._is_tuple_type or _keeps_form(bind.type, self.dialect):
            return
        text.text = pattern.sub(lambda match: f"<> ALL (:{name})" if match[1] else f"= ANY (:{name})", text.text)
        text._bindparams[name] = self._array(bind, bind.type, bind.type)

    def _listed(self, binary: Any, kw: dict[str, Any]) -> str:
        """Render a comparison with a list, or return "" for what keeps SQLAlchemy's form."""
        left, bind = binary.left, binary.right
        if not isinstance(bind, sa.BindParameter) or _is_literal(bind, kw):
            return ""
        negated = binary.operator is operators.not_in_op
        row = left.element if isinstance(left, sa.sql.elements.Grouping) else left
        if isinstance(row, sa.Tuple):
            return self._listed_rows(row, bind, negated, kw)
        item = left.type if isinstance(bind.type, sa.types.NullType) else bind.type
        if _keeps_form(left.type, self.dialect) or _keeps_form(item, self.dialect):
            return ""
        comparison = "<> ALL" if negated else "= ANY"
        array = self._array(bind, item, left.type)
        return f"{self.process(left, **kw)} {comparison} ({self.process(array, **kw)})"

    def _listed_rows(self, row: Any, bind: Any, negated: bool, kw: dict[str, Any]) -> str:
        types = bind.type.types if bind.type._is_tuple_type else [sa.types.NULLTYPE] * len(row.clauses)
        if len(types) != len(row.clauses):
            return ""
        parts = [
            sa.cast(part, sa.String()) if isinstance(part.type, sa.Enum) and part.type.native_enum else part
            for part in row.clauses
        ]
        items = [
            part.type if isinstance(kind, sa.types.NullType) else kind
            for kind, part in zip(types, row.clauses, strict=True)
        ]
        rows = self._rows(bind, items, [part.type for part in parts])
        if rows is None:
            return ""
        left = sa.tuple_(*parts)
        return self.process(left.not_in(rows) if negated else left.in_(rows), **kw)

    def _rows(self, bind: Any, items: Iterable[Any], targets: Iterable[Any]) -> Any:
        """Return the query of the rows of a list: an array for each column. None if a column cannot be an array."""
        arrays, columns = [], []
        for position, (item, target) in enumerate(zip(items, targets, strict=True)):
            known = item if isinstance(target, sa.types.NullType) else target
            name = _compared_name(known, self.dialect)
            if not name or _keeps_form(item, self.dialect):
                return None
            kind = ColumnOf(item, name, bind.key, position)
            arrays.append(sa.cast(_copy(bind, kind, f"__column{position}"), kind))
            columns.append(sa.column(f"column{position}", known))
        listed = sa.func.unnest(*arrays).table_valued(*columns).render_derived()
        return sa.select(*listed.c)

    def _array(self, bind: Any, item: Any, target: Any) -> Any:
        """Return the array of a list of `item`, cast for the comparison with `target` if there is such a cast."""
        name = _compared_name(target, self.dialect)
        kind = ListOf(item, name)
        return sa.cast(_copy(bind, kind), kind) if name else _copy(bind, kind)


def _is_literal(bind: Any, kw: dict[str, Any]) -> bool:
    return bool(bind.literal_execute or kw.get("literal_binds") or kw.get("literal_execute"))


def _keeps_form(kind: sa.types.TypeEngine[Any], dialect: Dialect) -> bool:
    """Return whether values of the type cannot be items of one array: arrays, and those bound by an expression."""
    impl = kind.dialect_impl(dialect)
    plain = impl.impl_instance if isinstance(impl, sa.types.TypeDecorator) else impl
    return isinstance(plain, sa.types.ARRAY) or impl._has_bind_expression


def _copy(bind: Any, kind: ArrayOf, suffix: str = "") -> Any:
    """Return the parameter with another type. SQLAlchemy's cache finds it by what it was cloned from."""
    copy = bind._clone(maintain_key=True)
    copy.type, copy.expanding, copy.expand_op = kind, False, None
    if suffix:
        copy.key = copy.key + suffix
    return copy


def _ends_with_row(text: str) -> bool:
    """Return whether a text ends with a row in parentheses, as `(a, b)`, and not with a function's arguments."""
    text = text.rstrip()
    depth, commas, at = 0, 0, len(text)
    while at and (depth or at == len(text)):
        at -= 1
        depth += (text[at] == ")") - (text[at] == "(")
        commas += text[at] == "," and depth == 1
    return text.endswith(")") and commas > 0 and _BEFORE_ROW.search(text[:at]) is not None
