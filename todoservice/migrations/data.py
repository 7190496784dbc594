"""What a migration needs to change rows, and not only tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from todoservice.database import security
from todoservice.models import SCHEMA


@contextmanager
def unforced(op: Any, table: str) -> Iterator[None]:
    """Let a migration see and change every user's rows of one table during the block.

    A foreign key that is added to a table with rows reads both tables: give the block both.
    `op` is Alembic's. Without this, a statement on an owned table fails where row-level security binds the table's
    owner. A block that raises ends the migration, which leaves everything as it was.
    """
    target = f"{SCHEMA}.{security.quoted(table)}"
    query = sa.text("SELECT relforcerowsecurity FROM pg_catalog.pg_class WHERE oid = to_regclass(:table)")
    forced = op.get_bind().execute(query, {"table": target}).scalar()
    if forced:
        security.run(op.get_bind(), f"ALTER TABLE {target} NO FORCE ROW LEVEL SECURITY")
    yield
    if forced:
        security.run(op.get_bind(), f"ALTER TABLE {target} FORCE ROW LEVEL SECURITY")
