"""What Alembic compares and how it writes it: one plugin's tables, in plain SQLAlchemy."""

from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, Final, Literal

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.runtime.plugins import Plugin as AlembicPlugin
from sqlalchemy.schema import SchemaItem

from todoservice.migrations import History, checks, owner
from todoservice.models import SCHEMA, metadata

_CHECKS: Final = "todoservice.checks"

AlembicPlugin.setup_plugin_from_module(checks, _CHECKS)


def options(history: History, names: Iterable[str]) -> dict[str, Any]:
    """Return Alembic's options for one plugin, with which it sees no table of another's.

    `names` are all plugins that may have tables: the installed ones, and those that left theirs behind.
    """
    return {
        "target_metadata": metadata,
        "version_table": history.version_table,
        "version_table_schema": SCHEMA,
        "include_schemas": True,
        "include_name": _include_name(history, frozenset(names)),
        "include_object": _include_object(history),
        "compare_type": True,
        "compare_server_default": True,
        "render_item": _render,
        "autogenerate_plugins": ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname", _CHECKS],
    }


def _include_name(history: History, names: Set[str]) -> Callable[[str | None, str, Mapping[str, Any]], bool]:
    declared = {table.name for table in history.tables}

    def include(name: str | None, kind: str, _parents: Mapping[str, Any]) -> bool:
        if kind == "schema":
            return name == SCHEMA
        if kind == "table":
            return name in declared or owner(str(name), names) == history.plugin.name
        return True

    return include


def _include_object(history: History) -> Callable[[SchemaItem, str | None, str, bool, SchemaItem | None], bool]:
    def include(item: SchemaItem, _name: str | None, kind: str, reflected: bool, _other: SchemaItem | None) -> bool:
        return kind != "table" or reflected or item in history.tables

    return include


def _render(kind: str, item: Any, context: AutogenContext) -> str | Literal[False]:
    """Render a decorated type as what the database stores, so that migrations import nothing that may change."""
    if kind != "type" or not isinstance(item, sa.types.TypeDecorator) or context.dialect is None:
        return False
    plain = item.load_dialect_impl(context.dialect)
    if type(plain).__module__.startswith("sqlalchemy.dialects.postgresql") and type(plain).__name__.isupper():
        context.imports.add("from sqlalchemy.dialects import postgresql")
        return f"postgresql.{plain!r}"
    return f"sa.{plain!r}"
