"""What a feature's tables must be: named after it, and with their owner in every key, the fifth of the five layers."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import Mapper, configure_mappers
from sqlalchemy.orm.interfaces import EXT_SKIP
from sqlmodel import SQLModel

from todoservice.models import SCHEMA, Owned, Shared, metadata
from todoservice.plugins import Code, Fault, Plugin

VERSION_TABLE: Final = "_alembic_version"
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


def model_faults(plugin: Plugin, model: Any, owners: Mapping[str, object]) -> Iterator[Fault]:
    """Yield what is wrong with a table class of the plugin. `owners` says who has which tables already."""
    if not (isinstance(model, type) and issubclass(model, Owned | Shared) and hasattr(model, "__table__")):
        hint = "derive it from Owned or Shared, with table=True"
        yield plugin.fault(Code.MODEL, f"{model!r} is not a table class", hint)
        return
    for code, message, hint in (*_table_faults(plugin.name, model.__table__, owners), *_key_faults(model)):
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


def _key_faults(model: Any) -> Iterator[tuple[Code, str, str]]:
    """Yield what keeps the owner from being a part of every key: the fifth of the five layers."""
    if not issubclass(model, Owned):
        return
    table: sa.Table = model.__table__
    if [column.name for column in table.primary_key] != ["user_id", "id"]:
        yield Code.KEY, "has another primary key than (user_id, id)", "leave both columns to Owned"
    elif not _are_the_hosts(table):
        yield Code.KEY, "declares user_id or id itself", "leave both columns to Owned"
    for key in table.foreign_key_constraints:
        targets = {element.parent.name: element.target_fullname for element in key.elements}
        referred = next(iter(targets.values())).rpartition(".")[0]
        if referred == f"{SCHEMA}.users":
            continue
        if targets.get("user_id") != f"{referred}.user_id" and _is_owned(table.metadata, referred):
            message = f"has a foreign key ({', '.join(targets)}) that could point at another user's row"
            yield Code.KEY, message, f"add user_id to it, which refers to {referred}.user_id"
    unique: list[sa.UniqueConstraint | sa.Index] = [
        *(constraint for constraint in table.constraints if isinstance(constraint, sa.UniqueConstraint)),
        *(index for index in table.indexes if index.unique),
    ]
    for item in unique:
        if "user_id" not in {getattr(column, "name", "") for column in item.columns}:
            yield (
                Code.KEY,
                f"has {item.name}, unique over all users, which tells one what another has",
                "add user_id to it",
            )


def _are_the_hosts(table: sa.Table) -> bool:
    """Say whether user_id and id are ids, and user_id refers to a user."""
    columns = (table.c.user_id, table.c.id)
    refers = any(key.target_fullname == f"{SCHEMA}.users.id" for key in table.c.user_id.foreign_keys)
    return refers and all(isinstance(column.type, sa.Uuid) for column in columns)


def _is_owned(metadata: sa.MetaData, table: str) -> bool:
    return table in metadata.tables and "user_id" in metadata.tables[table].c
