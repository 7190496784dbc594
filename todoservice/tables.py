"""What a feature's tables must be: named after it, and with their owner in every key, the fifth of the five layers."""

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from todoservice.models import SCHEMA, Owned, Shared


def model_faults(name: str, model: Any, owners: Mapping[str, object]) -> Iterator[str]:
    """Yield what is wrong with a table class of the feature `name`. `owners` says who has which tables already."""
    if not (isinstance(model, type) and issubclass(model, Owned | Shared) and hasattr(model, "__table__")):
        yield f"{model!r} is not a table class: derive it from Owned or Shared, with table=True"
        return
    table = model.__table__.name
    if table != name and not table.startswith(f"{name}_"):
        yield f"{model.__name__} has the table {table}: name it {name} or {name}_something"
    if table in owners:
        yield f"{model.__name__} has the table {table}, which {owners[table]} has too"
    if model.__table__.schema != SCHEMA:
        yield f"{model.__name__} is in the schema {model.__table__.schema}: leave the schema to its base class"
    if issubclass(model, Owned):
        yield from (f"{model.__name__} {fault}" for fault in _key_faults(model.__table__))


def _key_faults(table: sa.Table) -> Iterator[str]:
    """Yield what keeps the owner from being a part of every key: the fifth of the five layers."""
    if [column.name for column in table.primary_key] != ["user_id", "id"]:
        yield "has another primary key than (user_id, id): leave both columns to Owned"
    for key in table.foreign_key_constraints:
        targets = {element.parent.name: element.target_fullname for element in key.elements}
        referred = next(iter(targets.values())).rpartition(".")[0]
        if referred == f"{SCHEMA}.users":
            continue
        if targets.get("user_id") != f"{referred}.user_id" and _is_owned(table.metadata, referred):
            yield (
                f"has a foreign key ({', '.join(targets)}) that could point at another user's row: "
                f"add user_id to it, which refers to {referred}.user_id"
            )
    unique: list[sa.UniqueConstraint | sa.Index] = [
        *(constraint for constraint in table.constraints if isinstance(constraint, sa.UniqueConstraint)),
        *(index for index in table.indexes if index.unique),
    ]
    for item in unique:
        if "user_id" not in {getattr(column, "name", "") for column in item.columns}:
            yield f"has {item.name}, unique over all users, which tells one what another has: add user_id to it"


def _is_owned(metadata: sa.MetaData, table: str) -> bool:
    return table in metadata.tables and "user_id" in metadata.tables[table].c
