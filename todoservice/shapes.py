"""How a statement can be answered: as rows, or as JSON that PostgreSQL makes of them.

The JSON is asked for by what stands around the statement's text, and that text stays as it is: what was found out of it
once, holds in each shape.
"""
# ruff: noqa: SLF001 - what a statement returns has no public name

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

SEPARATOR: Final = "\x1e"
"""What can stand between JSON texts, since it stands in none of them (RFC 7464, section 2.1)."""
ROWS: Final = "_rows"
"""What the rows of a statement are called around it. No table of a plugin begins so."""
_RFC3339: Final = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_ ]{0,62}")
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
            msg = f"has a column without a name, {self.name}: write .label(...) for an answer as JSON"
            raise ValueError(msg)

    def __str__(self) -> str:
        """Return the column as our JSON has it: instants as RFC 3339 in UTC."""
        if self.is_instant:
            return f"to_char(timezone('UTC', \"{self.name}\"), '{_RFC3339}') AS \"{self.name}\""
        return f'"{self.name}"'


def columns_of(statement: Any, made: SQLCompiler) -> tuple[Column, ...]:
    """Return what a statement returns, as it was compiled, in the order of our JSON: id first, owner last.

    Raises ValueError where there can be no answer as JSON, with what to write instead.
    """
    if fault := _fault(statement, made):
        msg = f"{fault} for an answer as JSON"
        raise ValueError(msg)
    # A label of a subclass of str may write itself as something else than it is.
    columns = [Column(str.__str__(entry.keyname), _is_instant(entry.type)) for entry in made._result_columns]
    return tuple(sorted(columns, key=lambda column: {"id": -1, "user_id": 1}.get(column.name, 0)))


def _fault(statement: Any, made: SQLCompiler) -> str:
    if isinstance(statement, sa.TextClause):
        return "is text() that does not say its columns: write text(...).columns(...)"
    if statement.is_dml and not statement._returning:
        return "returns nothing: write .returning(...)"
    if any(isinstance(column, sa.TextClause) for column in statement._all_selected_columns):
        return "selects text(), which has no name: write literal_column(...).label(...)"
    if re.search(rf"\b{ROWS}\b", made.string, re.IGNORECASE):
        return f"holds the name {ROWS}, which its rows have: write another"
    return ""


def _is_instant(kind: sa.types.TypeEngine[Any]) -> bool:
    plain = kind.impl if isinstance(kind, sa.types.TypeDecorator) else kind
    return isinstance(plain, sa.DateTime) and not isinstance(kind, sa.Interval)


def around(with_: str, text: str, columns: Iterable[Column], shape: Shape, parent: str = "") -> str:
    """Return the text that answers with the rows of `text` in this shape, and no row where `parent` has none.

    `with_` are the common table expressions that `text` needs, from WITH on, which are to stand outermost.
    """
    before = f"{with_.rstrip()}, " if with_ else "WITH "
    items = ", ".join(map(str, columns))
    answer = f"SELECT {_ANSWERS[shape]} FROM (SELECT {items} FROM {ROWS}) AS _row"  # noqa: S608 - names without quotes
    exists = f" HAVING EXISTS ({parent})" if parent else ""
    return f"{before}{ROWS} AS ({text})\n{answer}{exists}"
