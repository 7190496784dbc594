"""What a live database may have that weakens isolation: what `todoservice check` looks for.

`security` says what each declared table must have, and mends it after each migration. Here is what no migration of the
host's makes, and only the database's owner can judge. Each file of `rules` is one rule: a query that returns a row for
each thing found, (what it is, what mends it).
"""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection

from todoservice.database.security import PROVISION, STEM, VERSION_TABLE, Fault, inspect
from todoservice.models import SCHEMA

AUTHOR: Final = "tell the author of its plugin, whose next migration is to mend it"


def verify(connection: Connection, owners: Mapping[str, str | None]) -> list[Fault]:
    """Return everything found that weakens isolation, in this connection's database and role, `inspect`'s first.

    `owners` is as in `security.apply`. Every role may read what is asked. Raises DBAPIError.
    """
    return [*inspect(connection, owners).faults, *_found(connection, owners)]


def rules() -> dict[str, str]:
    """Return the query of each rule, by the code of what it finds."""
    found = sorted((files(__package__) / "rules").iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".sql"): file.read_text(encoding="utf-8") for file in found}


def _found(connection: Connection, owners: Mapping[str, str | None]) -> Iterator[Fault]:
    known = _parameters(connection, owners)
    for code, query in rules().items():
        for what, mend in sorted(connection.execute(sa.text(query), known)):
            yield Fault(code, what, mend)


def _parameters(connection: Connection, owners: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the values that the rules' queries may name."""
    stem = connection.exec_driver_sql(f"SELECT {STEM}", execution_options={"no_parameters": True}).scalar()
    return {
        "schema": SCHEMA, "tables": list(owners), "version_table": VERSION_TABLE,
        "owned": [table for table, column in owners.items() if column == "user_id"],
        "app": f"{stem}_app", "login": f"{stem}_login",
        "provision": PROVISION, "author": AUTHOR,
    }  # fmt: skip
