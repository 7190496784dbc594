"""What plugins left in the database after they were uninstalled, and how it is removed."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from todoservice.database.security import quoted, run
from todoservice.migrations import VERSION_TABLE, owner, transaction, version_tables
from todoservice.migrations.transaction import MigrationError
from todoservice.models import SCHEMA

_TABLES: Final = (
    "SELECT c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"  # noqa: S608 - constants only
    f" WHERE n.nspname = '{SCHEMA}' AND c.relkind IN ('r', 'p') ORDER BY c.relname"
)
_REFERRING: Final = sa.text(
    "SELECT DISTINCT format('%I.%I', r.relnamespace::regnamespace, r.relname) FROM pg_catalog.pg_constraint AS k"
    " JOIN pg_catalog.pg_class AS r ON r.oid = k.conrelid JOIN pg_catalog.pg_class AS c ON c.oid = k.confrelid"
    " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE k.contype = 'f' AND n.nspname = :schema AND c.relname = ANY(:tables) AND k.conrelid NOT IN ("
    "SELECT o.oid FROM pg_catalog.pg_class AS o WHERE o.relnamespace = n.oid AND o.relname = ANY(:tables)) ORDER BY 1"
)

_DEPENDENT_OBJECTS: Final = "2BP01"


@dataclass(frozen=True)
class Others:
    """Whose tables are not to be touched."""

    names: Collection[str]
    """The plugins that are installed, whether they can be used or not."""
    tables: Collection[str]
    """The tables that these declare."""


def remains(connection: sa.Connection, name: str, others: Others) -> list[str]:
    """Return the plugin's tables in the database, by their names; its version table last."""
    left = {table.removesuffix(VERSION_TABLE) for table in version_tables(connection)}
    names = {*others.names, *left, name, "todoservice", "users"}
    found = list(connection.exec_driver_sql(_TABLES, execution_options={"no_parameters": True}).scalars())
    tables = [table for table in found if owner(table, names) == name and table not in others.tables]
    return tables + [name + VERSION_TABLE] * (name in left)


def drop(connection: sa.Connection, name: str, others: Others) -> list[str]:
    """Drop the plugin's tables, with all that is granted on them, in one transaction. Returns their names.

    Raises MigrationError, after which nothing is changed, where there are none or where other tables refer to them.
    """
    with transaction.alone(connection):
        tables = remains(connection, name, others)
        if not tables:
            msg = f"{name} has no tables in this database: see `todoservice plugins`"
            raise MigrationError(msg)
        referring = list(connection.execute(_REFERRING, {"schema": SCHEMA, "tables": tables}).scalars())
        if referring:
            msg = (
                f"{name} is not dropped: {', '.join(referring)} refer to its tables by foreign key: "
                "drop the plugins that these belong to first"
            )
            raise MigrationError(msg)
        _drop(connection, name, tables)
    return tables


def _drop(connection: sa.Connection, name: str, tables: Iterable[str]) -> None:
    try:
        run(connection, f"DROP TABLE {', '.join(f'{SCHEMA}.{quoted(table)}' for table in tables)}")
    except DBAPIError as error:
        if getattr(error.orig, "pgcode", None) != _DEPENDENT_OBJECTS:
            raise
        detail = str(error.orig.diag.message_detail).splitlines()[0]  # type: ignore[union-attr]
        msg = f"{name} is not dropped: {detail}: drop that first"
        raise MigrationError(msg) from error
