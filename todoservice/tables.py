"""What a feature's tables must be: named after it, and with their owner in every key, the fifth of the five layers."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapper, configure_mappers
from sqlalchemy.orm.interfaces import EXT_SKIP
from sqlalchemy.sql import operators
from sqlmodel import SQLModel

from todoservice.audit.words import BEFORE_PARENTHESIS, RESERVED, TYPES
from todoservice.models import SCHEMA, Owned, Shared, metadata
from todoservice.plugins import Code, Fault, Plugin

VERSION_TABLE: Final = "_alembic_version"
USERS: Final = f"{SCHEMA}.users"

_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]
_ORDERS: Final = {operators.asc_op, operators.desc_op, operators.nulls_first_op, operators.nulls_last_op}
_EXCLUDES_OWNERS: Final = re.compile(r"(?:\(|, )user_id WITH =(?:, |\))")
_SERIAL: Final = re.compile(r"(?:small|big)?serial[248]?", re.IGNORECASE)
_NAME: Final = r'(?:[^\W\d][\w$]*|"(?:[^"]|"")+")'
_TOKEN: Final = re.compile(
    rf"""
    (?P<unreadable>\b(?:e|u&)'|\bu&"|--|/\*|\$)
    |'(?:[^']|'')*'
    |(?P<open>')
    |(?P<cast>(?:::|\bas\b)\s*)?(?P<schema>(?:{_NAME}\s*\.\s*)*)(?P<name>{_NAME})(?P<call>\s*\()?
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What follows an escape, a comment, or a dollar quote could be read in two ways."""
_GRAMMAR: Final = BEFORE_PARENTHESIS | RESERVED | TYPES
"""Words before a parenthesis that call nothing."""
_unmapped: Final[WeakKeyDictionary[type, Exception]] = WeakKeyDictionary()
"""What SQLAlchemy said of classes that it cannot map. Its mappers are the process's, and so is this."""


def unmapped() -> Mapping[type, Exception]:
    """Return the classes that SQLAlchemy cannot map, such as one whose relationship leads nowhere, and its words.

    From then on these are left out: else one would keep every statement of every feature from being compiled.
    """
    tried: list[type] = []

    def note(_mapper: object, model: type) -> None:
        tried.append(model)

    event.listen(Mapper, "before_mapper_configured", note)
    try:
        while (error := _configure()) and tried and tried[-1] not in _unmapped:
            _unmapped[tried[-1]] = error.with_traceback(None)
            event.listen(tried[-1], "before_mapper_configured", _leave_out, retval=True)
    finally:
        event.remove(Mapper, "before_mapper_configured", note)
    return dict(_unmapped)


def _configure() -> Exception | None:
    try:
        configure_mappers()
    except Exception as error:  # noqa: BLE001 - whatever a stranger's class makes SQLAlchemy raise, it is named
        return error
    return None


def _leave_out(*_: object) -> object:
    return EXT_SKIP


def holders() -> dict[str, type]:
    """Return the class that has each table, by the table's full name."""
    return {
        table.fullname: model
        for model in _derived(SQLModel)
        if isinstance(table := vars(model).get("__table__"), sa.Table) and metadata.tables.get(table.fullname) is table
    }


def _derived(base: type) -> Iterator[type]:
    model: type
    for model in base.__subclasses__():
        yield model
        yield from _derived(model)


def model_faults(
    plugin: Plugin, model: Any, owners: Mapping[str, object], functions: Collection[str]
) -> Iterator[Fault]:
    """Yield the faults of a table class of the plugin.

    `owners` are the tables that other classes have. `functions` are those that an expression of the table may call.
    """
    table = getattr(model, "__table__", None)
    if not (isinstance(model, type) and issubclass(model, Owned | Shared) and isinstance(table, sa.Table)):
        hint = "derive it from Owned or Shared, with table=True"
        yield plugin.fault(Code.MODEL, f"{model!r} is not a table class", hint)
        return
    is_owned = issubclass(model, Owned)
    faults = [*_table_faults(plugin.name, table, owners), *_foreign_key_faults(table, is_owned=is_owned)]
    if is_owned:
        faults += [*_key_faults(table), *_unique_faults(table), *_expression_faults(table, functions)]
    for code, message, hint in (*faults, *_kind_faults(table)):
        yield plugin.fault(code, f"{model.__name__} {message}", hint)


def belongs(table: str, name: str) -> bool:
    """Say whether a table is named after the plugin of this name."""
    return table == name or table.startswith(f"{name}_")


def _table_faults(name: str, table: sa.Table, owners: Mapping[str, object]) -> Iterator[tuple[Code, str, str]]:
    if not belongs(table.name, name):
        yield Code.TABLE, f"has the table {table.name}", f"name it {name} or {name}_something"
    if table.name.endswith(VERSION_TABLE):
        yield Code.TABLE, f"has the table {table.name}, which is Alembic's", "give it another name"
    if table.name in owners:
        yield Code.TABLE, f"has the table {table.name}, which {owners[table.name]} has too", "rename one of them"
    if table.schema != SCHEMA:
        yield Code.TABLE, f"is in the schema {table.schema}", "leave the schema to its base class"


def _kind_faults(table: sa.Table) -> Iterator[tuple[Code, str, str]]:
    """Yield a fault for a table that is a view, or shares its rows with other tables, whose policies differ."""
    options = table.dialect_options["postgresql"]
    if table.is_view:
        yield Code.REVEALS, "is a view, and row-level security guards tables only", "make it a table"
    for option in ("inherits", "partition_by"):
        if options[option]:
            message = f"has postgresql_{option}, and a query of a parent or child bypasses the policies of the other"
            yield Code.REVEALS, message, "leave it out"


def _key_faults(table: sa.Table) -> Iterator[tuple[Code, str, str]]:
    """Yield a fault if the primary key is not the host's: the fifth of the five layers."""
    if [column.name for column in table.primary_key] != ["user_id", "id"]:
        yield Code.KEY, "has another primary key than (user_id, id)", "leave both columns to Owned"
    elif not _are_the_hosts(table):
        yield Code.KEY, "declares user_id or id itself", "leave both columns to Owned"


def references(table: sa.Table) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield for each foreign key the full name of its table, and the column there for each of its own columns."""
    for key in table.foreign_key_constraints:
        columns = {}
        for element in key.elements:
            referred, _, columns[element.parent.name] = element.target_fullname.rpartition(".")
        # SQLAlchemy completes a name without a schema with that of the metadata.
        yield referred if "." in referred else f"{table.metadata.schema}.{referred}", columns


def _foreign_key_faults(table: sa.Table, *, is_owned: bool) -> Iterator[tuple[Code, str, str]]:
    """Yield each foreign key that fails or succeeds depending on a row that the user may not read."""
    for referred, columns in references(table):
        key = f"has a foreign key ({', '.join(columns)})"
        if referred == USERS:
            if not (is_owned and columns == {"user_id": "id"}):
                yield Code.KEY, f"{key} to {referred}, which shows whether a user exists", "keep the id without it"
        elif not referred.startswith(f"{SCHEMA}."):
            message = f"{key} to {referred}, which is no plugin's table, and shows whether a row exists there"
            yield Code.KEY, message, "keep the value without it, or refer to a table class derived from Shared"
        elif is_owned and columns.get("user_id") != "user_id" and _is_owned(table.metadata, referred):
            message = f"{key} that could point at another user's row"
            yield Code.KEY, message, f"add user_id to it, which refers to {referred}.user_id"


def _items(table: sa.Table) -> list[Any]:
    """Return the constraints of a table and then its indexes, each by name."""
    return sorted((*table.constraints, *table.indexes), key=lambda item: (isinstance(item, sa.Index), str(item.name)))


def _named(item: Any) -> str:
    return str(item.name) if isinstance(item.name, str) else f"an unnamed {type(item).__name__}"


def _unique_faults(table: sa.Table) -> Iterator[tuple[Code, str, str]]:
    """Yield each constraint and index under which the rows of two users can conflict."""
    for item in _items(table):
        if _is_unique(item) and not _compares_owners(item):
            message = f"has {_named(item)}, unique over all users, which tells one what another has"
            yield Code.KEY, message, "add user_id to it as a plain column, compared by ="


def _is_unique(item: object) -> bool:
    return isinstance(item, sa.UniqueConstraint | postgresql.ExcludeConstraint) or bool(getattr(item, "unique", False))


def _compares_owners(item: Any) -> bool:
    """Return True if user_id is a plain column of a unique item, with the operator class of its type."""
    if isinstance(item, postgresql.ExcludeConstraint):
        return bool(_EXCLUDES_OWNERS.search(_excluded(item)))
    if isinstance(item, sa.Index):
        classes = item.dialect_options["postgresql"]["ops"]
        return any(_is_owner(part) and getattr(part, "key", None) not in classes for part in item.expressions)
    return "user_id" in {column.name for column in item.columns}


def _is_owner(expression: Any) -> bool:
    while isinstance(expression, sa.UnaryExpression) and expression.modifier in _ORDERS:
        expression = expression.element
    return isinstance(expression, sa.Column) and expression.name == "user_id"


def _expression_faults(table: sa.Table, functions: Collection[str]) -> Iterator[tuple[Code, str, str]]:
    """Yield each value that depends on what other users do, or on what is not known."""
    for column in table.columns:
        sequence = any(isinstance(value, sa.Sequence) for value in (column.default, column.onupdate))
        sequence = sequence or bool(_SERIAL.fullmatch(_compiled(column.type)))
        if column.identity or sequence:
            kind = "a sequence" if sequence else "an identity"
            message = f"has the column {column.name} with {kind}, which reveals how many rows other users add"
            yield Code.REVEALS, message, "leave it out: id is unique, and sorts by time"
    for place, text in _expressions(table):
        for name in dict.fromkeys(_calls(text)):
            if not name:
                hint = "write it without comments, escapes, and dollar quotes"
                yield Code.REVEALS, f"has SQL in {place} that cannot be read", hint
            elif name not in functions:
                message = f"calls {name} in {place}, which could reveal what other users do"
                yield Code.REVEALS, message, "leave it out, or allow the function in TODOSERVICE_ALLOWED_FUNCTIONS"


def _expressions(table: sa.Table) -> Iterator[tuple[str, str]]:
    """Yield each SQL expression of a table, after a name for its place."""
    for column in table.columns:
        for name in ("default", "onupdate", "server_default"):
            yield f"the {name} of {column.name}", _sql(getattr(getattr(column, name), "arg", None))
        yield f"the expression of {column.name}", _sql(getattr(column.computed, "sqltext", None))
        kind = column.type
        while isinstance(kind, sa.TypeDecorator | sa.ARRAY):
            kind = kind.impl_instance if isinstance(kind, sa.TypeDecorator) else kind.item_type
        if isinstance(kind, postgresql.DOMAIN):
            for value in (kind.default, kind.check):
                yield f"the domain {kind.name}", _sql(value)
    for item in _items(table):
        yield _named(item), _sql(getattr(item, "sqltext", None))
        if isinstance(item, postgresql.ExcludeConstraint):
            yield _named(item), _excluded(item)
        if isinstance(item, sa.Index):
            where = item.dialect_options["postgresql"]["where"]
            for expression in (*item.expressions, sa.text(where) if isinstance(where, str) else where):
                yield _named(item), _sql(expression)


def _calls(text: str) -> Iterator[str]:
    """Yield the names of the functions that an SQL text calls, and "" if it cannot be read."""
    for token in _TOKEN.finditer(text):
        if token["unreadable"] or token["open"]:
            yield ""
            return
        if token["call"] and not token["cast"]:
            *schemas, name = (
                part.strip('"') if part[0] == '"' else part.lower() for part in re.findall(_NAME, token[0])
            )
            if schemas or token["name"].lower() not in _GRAMMAR:
                yield name if schemas in ([], ["pg_catalog"]) else ".".join([*schemas, name])


def _sql(expression: Any) -> str:
    """Return the text of an SQL expression, and "" for a value or function of Python's."""
    return _compiled(expression) if isinstance(expression, sa.ClauseElement) else ""


def _excluded(constraint: postgresql.ExcludeConstraint) -> str:
    """Return the text of an exclusion constraint from its parenthesis on."""
    text = _compiled(sa.schema.AddConstraint(constraint, isolate_from_table=False))
    return "".join(text.partition(" USING ")[2].partition("(")[1:])


def _compiled(element: Any) -> str:
    try:
        return str(element.compile(dialect=_DIALECT))
    except SQLAlchemyError:
        return "$"  # unreadable, as it is to SQLAlchemy


def _are_the_hosts(table: sa.Table) -> bool:
    """Say whether user_id and id are ids, and user_id refers to a user."""
    columns = tuple(table.primary_key)
    refers = (USERS, {"user_id": "id"}) in references(table)
    return refers and all(isinstance(column.type, sa.Uuid) for column in columns)


def _is_owned(metadata: sa.MetaData, table: str) -> bool:
    return table in metadata.tables and "user_id" in metadata.tables[table].c
