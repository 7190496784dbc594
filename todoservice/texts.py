"""SQL that an author writes as text: its `:names` become parameters, and `:me` the scope's user.

The host adds the user to no text: where it belongs, the author writes `user_id = :me`, and the audit is the judge.
"""
# ruff: noqa: SLF001 - where SQLAlchemy keeps the parameters of a text has no public name

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import CompileError
from sqlalchemy.orm.context import FromStatement
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import Compiled, SQLCompiler

from todoservice.confinement import UnscopedStatement
from todoservice.parameters import KEY, ME, is_reserved, me

_LIST: Final = re.compile(r"__\[POSTCOMPILE_(\w+)(?:~~.+?~~)?\]")
"""What SQLAlchemy writes for a list after IN, until it knows how long it is."""


def unwrapped(statement: Any) -> Any:
    """Return the text of a `select(Todo).from_statement(text(...))`, with the columns of what it selects."""
    if not isinstance(statement, FromStatement):
        return statement
    if not isinstance(statement.element, sa.TextClause):
        return statement.element
    selected = sa.select(*statement._raw_columns).selected_columns
    return statement.element.columns(**{str(column.key): column.type for column in selected})


def bound(statement: Any) -> Any:
    """Return the statement with every `:name` of its texts as the parameter `param("name")`, and `:me` as the user.

    A name that is a `param()` too has its type. Raises UnscopedStatement for a name that is the host's.
    """
    elements = list(visitors.iterate(statement))
    if not any(isinstance(element, sa.TextClause) and element._bindparams for element in elements):
        return statement
    parameters = (element for element in elements if isinstance(element, sa.BindParameter))
    types = {found.key: found.type for found in parameters if not isinstance(found.type, sa.types.NullType)}

    def visit(text: sa.TextClause) -> None:
        text._bindparams = {name: _bound(name, found, types) for name, found in text._bindparams.items()}

    return visitors.cloned_traverse(statement, {"stop_on": list(_options(elements))}, {"textclause": visit})


def _bound(name: str, found: sa.BindParameter[Any], types: dict[str, Any]) -> sa.BindParameter[Any]:
    if name == ME:
        if not found.required:
            msg = "gives :me a value: leave it out, the host binds the scope's user"
            raise UnscopedStatement(msg)
        return me()
    if is_reserved(name):
        msg = f"holds :{name}, a name that is reserved for the host: give the parameter another"
        raise UnscopedStatement(msg)
    type_ = types.get(KEY + name) if isinstance(found.type, sa.types.NullType) else found.type
    if found.required:
        return sa.bindparam(KEY + name, required=True, type_=type_, expanding=found.expanding)
    return sa.bindparam(KEY + name, found.value, type_=type_, expanding=found.expanding)


def _options(elements: list[Any]) -> Iterator[Any]:
    """Yield the options of statements: they are no SQL, and cannot be cloned."""
    for element in elements:
        yield from getattr(element, "_with_options", ())


def check_user(statement: Any, users: Iterable[str]) -> None:
    """Raise UnscopedStatement where a text takes its user from another parameter than `:me`: of those, `users`."""
    others = [name.removeprefix(KEY) for name in users if name != KEY + ME]
    if others and isinstance(statement, sa.TextClause | sa.TextualSelect):
        msg = f"takes its user from :{others[0]}: write :me there, which the host binds to the scope's user"
        raise UnscopedStatement(msg)


def compiled(statement: Any, dialect: Dialect) -> SQLCompiler:
    """Return the statement's SQL and its bind parameters. Raises CompileError."""
    try:
        return statement.compile(dialect=dialect)  # type: ignore[no-any-return]
    except AttributeError as error:  # SQLAlchemy has no words of its own for text where a table belongs
        raise CompileError(str(error)) from error


def compiled_text(compiled: Compiled) -> str:
    """Return the SQL as psycopg2 gets it, for an audit before there are values: a list after IN is one parameter."""
    return _LIST.sub(r"%(\1)s", str(compiled))
