"""How a statement can be answered: as rows, or as JSON that PostgreSQL makes of them."""

# ruff: noqa: SLF001 - what a statement returns has no public name

import re
from typing import Any, Final

import sqlalchemy as sa

_RFC3339: Final = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'
SEPARATOR: Final = "\x1e"
"""What can stand between JSON texts, since it stands in none of them (RFC 7464, section 2.1)."""
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_ ]{0,62}|%\(.+\)s")
"""Of a column that was given one, or is given one by SQLAlchemy."""


def json_fault(statement: Any) -> str:
    """Return what keeps a statement from an answer as JSON, with what to write instead, or "" where nothing does."""
    if isinstance(statement, sa.TextClause):
        return "is text() that does not say its columns: write text(...).columns(...) for an answer as JSON"
    if statement.is_dml and not statement._returning:
        return "returns nothing: write .returning(...) for an answer as JSON"
    if any(isinstance(column, sa.TextClause) for column in statement._all_selected_columns):
        return "selects text(), which has no name: write literal_column(...).label(...) for an answer as JSON"
    names = [getattr(column, "name", None) or str(column) for column in statement.exported_columns]
    if unnamed := [name for name in names if not _NAME.fullmatch(name)]:
        return f"has a column without a name, {unnamed[0]}: write .label(...) for an answer as JSON"
    return ""


def formatted(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return the column as our JSON has it: instants as RFC 3339 in UTC."""
    kind = column.type.impl if isinstance(column.type, sa.types.TypeDecorator) else column.type
    if isinstance(kind, sa.DateTime) and not isinstance(column.type, sa.Interval):
        return sa.func.to_char(sa.func.timezone(sa.literal_column("'UTC'"), column), sa.literal_column(f"'{_RFC3339}'"))
    return column


def as_json(objects: sa.Subquery) -> sa.ColumnElement[str]:
    """Return each row as the text of a JSON object."""
    return sa.cast(sa.func.row_to_json(objects.table_valued()), sa.Text)


def joined(texts: sa.ColumnElement[str], by: str = ",") -> sa.ColumnElement[str]:
    """Return the texts of all rows as one."""
    # Not as a literal: the audit reads none that holds a control character.
    return sa.func.coalesce(sa.func.string_agg(texts, sa.literal_column(f"chr({ord(by)})")), sa.literal_column("''"))
