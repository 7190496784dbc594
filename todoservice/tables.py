"""What a feature's tables must be: named after it, and with their owner in every key, the fifth of the five layers."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import sqlalchemy as sa

from todoservice.models import SCHEMA, Owned, Shared
from todoservice.plugins import Code, Fault, Plugin

VERSION_TABLE: Final = "_alembic_version"


def model_faults(plugin: Plugin, model: Any, owners: Mapping[str, object]) -> Iterator[Fault]:
    """Yield what is wrong with a table class of the plugin. `owners` says who has which tables already."""
    if not (isinstance(model, type) and issubclass(model, Owned | Shared) and hasattr(model, "__table__")):
        hint = "derive it from Owned or Shared, with table=True"
        yield plugin.fault(Code.MODEL, f"{model!r} is not a table class", hint)
        return
    for code, message, hint in (*_table_faults(plugin.name, model.__table__, owners), *_key_faults(model)):
        yield plugin.fault(code, f"{model.__name__} {message}", hint)


def _table_faults(name: str, table: sa.Table, owners: Mapping[str, object]) -> Iterator[tuple[Code, str, str]]:
    if table.name != name and not table.name.startswith(f"{name}_"):
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


def _is_owned(metadata: sa.MetaData, table: str) -> bool:
    return table in metadata.tables and "user_id" in metadata.tables[table].c
