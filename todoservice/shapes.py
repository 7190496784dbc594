"""How a statement can be answered: as rows, or as JSON that PostgreSQL makes of them.

The JSON is asked for by what stands around the statement's text, and that text stays as it is: what was found out of it
once, holds in each shape.
"""
# ruff: noqa: SLF001 - what a statement returns has no public name

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

SEPARATOR: Final = "\x1e"
"""What can stand between JSON texts, since it stands in none of them (RFC 7464, section 2.1)."""
APART: Final = "_of_"
"""Begins the names of a parent's parameters: the statement beside it may have its own of the same names."""
_ROWS: Final = "_rows"
_PARENT: Final = "_parent"
_TAKEN: Final = re.compile(rf'\s*with\b.*\b({_ROWS}|{_PARENT})\b"?\s*(\(|as\b)', re.IGNORECASE | re.DOTALL)
"""A statement whose own common table expressions have the names of those beside them: no table of a plugin has."""
_RFC3339: Final = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_ ]{0,62}")
_LABEL: Final = re.compile(rf"{_NAME.pattern}|%\(.+\)s")
"""A name that a column was given, or is given by SQLAlchemy."""
_FOR_JSON: Final = "for an answer as JSON"
_PERCENT: Final = re.compile(r"%(%|\()")
_OBJECT: Final = "CAST(row_to_json(_row.*) AS TEXT)"


class Shape(StrEnum):
    """An answer as JSON."""

    ONE = "one_json"
    """Each row is the text of an object."""
    ALL = "all_json"
    """One row: the text of an array of all objects."""
    PAGE = "page_json"
    """One row: the objects, with `SEPARATOR` between them; and how many they are."""


_ANSWERS: Final = {
    Shape.ONE: _OBJECT,
    Shape.ALL: f"'[' || coalesce(string_agg({_OBJECT}, ','), '') || ']'",
    # Not as a literal: the audit reads none that holds a control character.
    Shape.PAGE: f"coalesce(string_agg({_OBJECT}, chr({ord(SEPARATOR)})), ''), count(*)",
}


@dataclass(frozen=True)
class Column:
    """What a statement returns of each row. Raises ValueError for a name that cannot stand in quotes as it is."""

    name: str
    is_instant: bool = False

    def __post_init__(self) -> None:
        """Look at the name."""
        if type(self.name) is not str or not _NAME.fullmatch(self.name):
            raise ValueError(_unnamed(self.name))

    def __str__(self) -> str:
        """Return the column as our JSON has it: instants as RFC 3339 in UTC."""
        column = f'{_ROWS}."{self.name}"'
        if self.is_instant:
            return f"to_char(timezone('UTC', {column}), '{_RFC3339}') AS \"{self.name}\""
        return column


@dataclass(frozen=True)
class Columns:
    """What a statement returns. Raises ValueError for two of one name."""

    each: tuple[Column, ...]
    in_order: bool = True
    """Whether they are these in this order; else they are known by their names."""

    def __post_init__(self) -> None:
        """Look at the names."""
        names = [column.name for column in self.each]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            msg = f"has two columns named {twice[0]}: write .label(...) {_FOR_JSON}"
            raise ValueError(msg)

    def __contains__(self, name: str) -> bool:
        """Say whether there is one of this name."""
        return any(column.name == name for column in self.each)

    @property
    def heading(self) -> str:
        """The list that names them."""
        names = '", "'.join(column.name for column in self.each)
        return f' ("{names}")' if self.in_order else ""

    def __str__(self) -> str:
        """Return them as our JSON has them: id first, owner last."""
        ordered = sorted(self.each, key=lambda column: {"id": -1, "user_id": 1}.get(column.name, 0))
        return ", ".join(map(str, ordered))


def columns_of(statement: Any, made: SQLCompiler) -> Columns:
    """Return what a statement returns, as it was compiled.

    Raises ValueError where there can be no answer as JSON, with what to write instead.
    """
    if fault := _fault(statement, made):
        msg = f"{fault} {_FOR_JSON}"
        raise ValueError(msg)
    names = [getattr(column, "name", None) or str(column) for column in statement.exported_columns]
    if unnamed := [name for name in names if not _LABEL.fullmatch(name)]:
        raise ValueError(_unnamed(unnamed[0]))
    # A label of a subclass of str may write itself as something else than it is.
    columns = [Column(str.__str__(entry.keyname), _is_instant(entry.type)) for entry in made._result_columns]
    return Columns(tuple(columns), in_order=not isinstance(statement, sa.TextualSelect))


def _fault(statement: Any, made: SQLCompiler) -> str:
    if isinstance(statement, sa.TextClause):
        return "is text() that does not say its columns: write text(...).columns(...)"
    if statement.is_dml and not statement._returning:
        return "returns nothing: write .returning(...)"
    if any(isinstance(column, sa.TextClause) for column in statement._all_selected_columns):
        return "selects text(), which has no name: write literal_column(...).label(...)"
    if taken := _TAKEN.match(made.string):
        return f"holds the name {taken[1]}, which the host has beside it: write another"
    return ""


def _unnamed(name: str) -> str:
    return f"has a column without a name, {name}: write .label(...) {_FOR_JSON}"


def _is_instant(kind: sa.types.TypeEngine[Any]) -> bool:
    plain = kind.impl if isinstance(kind, sa.types.TypeDecorator) else kind
    return isinstance(plain, sa.DateTime) and not isinstance(kind, sa.Interval)


def around(with_: str, text: str, columns: Columns, shape: Shape, parent: str = "") -> str:
    """Return the text that answers with the rows of `text` in this shape.

    `with_` are the common table expressions that `text` needs, from WITH on, which are to stand outermost. A page has
    no row where `parent` has none.
    """
    before = f"{with_.rstrip()}, " if with_ else "WITH "
    before += f"{_PARENT} AS ({parent}), " if parent else ""
    answer = f"SELECT {_ANSWERS[shape]} FROM (SELECT {columns} FROM {_ROWS}) AS _row"  # noqa: S608 - see Column
    exists = f" HAVING EXISTS (SELECT 1 FROM {_PARENT})" if parent else ""  # noqa: S608
    return f"{before}{_ROWS}{columns.heading} AS ({text})\n{answer}{exists}"


def apart(text: str) -> str:
    """Return a parent's text with its parameters named apart."""
    return _PERCENT.sub(lambda found: found[0] if found[1] == "%" else f"%({APART}", text)
