"""Compare the texts of CHECK constraints, which Alembic compares by name only: PostgreSQL is asked to read both."""

from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.plugins import Plugin
from alembic.util import PriorityDispatchResult
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.elements import conv

_SCRATCH = "todoservice_scratch"


def setup(plugin: Plugin) -> None:
    """Register the comparison with Alembic."""
    plugin.add_autogenerate_comparator(_compare, "table", "todoservice_checks")


def _compare(
    context: AutogenContext, changes: ops.ModifyTableOps, _schema: str | None, _name: str,
    existing: sa.Table | None, wanted: sa.Table | None,
) -> PriorityDispatchResult:  # fmt: skip
    connection = context.connection
    if existing is not None and wanted is not None and connection is not None:
        have, want = _texts(connection, existing), _wanted(connection, wanted)
        for check in _checks(wanted):
            old, new = have.get(str(check.name)), want.get(str(check.name))
            if old and new and old != new:
                before = sa.CheckConstraint(old.removeprefix("CHECK "), name=conv(str(check.name)), table=existing)
                changes.ops.append(ops.DropConstraintOp.from_constraint(before))
                changes.ops.append(ops.AddConstraintOp.from_constraint(check))
    return PriorityDispatchResult.CONTINUE


def _checks(table: sa.Table) -> list[sa.CheckConstraint]:
    # By name, since Alembic's comparing may attach an enum's constraint to its table once more.
    found = {str(item.name): item for item in table.constraints if isinstance(item, sa.CheckConstraint) and item.name}
    return [found[name] for name in sorted(found)]


def _wanted(connection: sa.Connection, table: sa.Table) -> dict[str, str]:
    """Return the model's constraints as PostgreSQL writes them: of a table that lives for this question only."""
    scratch = sa.Table(_SCRATCH, sa.MetaData(), prefixes=["TEMPORARY"])
    for column in table.columns:
        scratch.append_column(sa.Column(column.name, _Verbatim(column.type.compile(connection.dialect))))
    for check in _checks(table):
        scratch.append_constraint(sa.CheckConstraint(check.sqltext, name=conv(str(check.name))))
    attempt = connection.begin_nested()
    try:
        connection.execute(CreateTable(scratch))
        return _texts(connection, scratch)
    except DBAPIError:
        # A type that only the migration will make: then there is nothing to compare with yet.
        return {}
    finally:
        attempt.rollback()


class _Verbatim(sa.types.UserDefinedType[Any]):
    """A type by its name: without the constraints and the types that SQLAlchemy's own bring along."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        return self.name


def _texts(connection: sa.Connection, table: sa.Table) -> dict[str, str]:
    query = sa.text(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint"
        " WHERE conrelid = to_regclass(:table) AND contype = 'c'"
    )
    name = connection.dialect.identifier_preparer.format_table(table)
    rows: Any = connection.execute(query, {"table": name})
    return dict(rows.all())
