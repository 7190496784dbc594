"""What a live database may have that weakens isolation: what `todoservice check` looks for.

`security` says what each declared table must have, and mends it after each migration. Here is what no migration of the
host's makes, and only the database's owner can judge. Each file of `rules` is one rule: a query that returns a row for
each thing found, (what it is, what mends it).

One message runs them all. It has no parameters, so that the host's door can list it.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from importlib.resources import files
from typing import Final

from sqlalchemy import Connection

from todoservice.database.security import AUTHOR, PROVISION, STEM, VERSION_TABLE, Fault, inspect, literal
from todoservice.models import SCHEMA

UNDECLARED: Final = frozenset({"relation"})
"""The rules about tables that no plugin declares. Such tables exist while a newer release is rolled out, and after a
plugin was blocked, so that a service starts beside them."""

_WITHOUT_JIT: Final = "SELECT set_config('jit', 'off', true);"
"""To compile a statement that runs once can take many seconds."""
_PARAMETER: Final = re.compile(r"(?<![:\w]):([a-z_]+)")


def verify(connection: Connection, owners: Mapping[str, str | None], functions: Iterable[str] = ()) -> list[Fault]:
    """Return everything found that weakens isolation, in this connection's database and role, `inspect`'s first.

    `owners` is as in `security.apply`, `functions` as in `statement`. Every role may read what is asked.
    Raises DBAPIError.
    """
    return [*inspect(connection, owners).faults, *found(connection, statement(owners, functions))]


def rules() -> dict[str, str]:
    """Return the query of each rule, by the code of what it finds."""
    found = sorted((files(__package__) / "rules").iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".sql"): file.read_text(encoding="utf-8") for file in found}


def statement(
    owners: Mapping[str, str | None], functions: Iterable[str] = (), without: Collection[str] = frozenset()
) -> str:
    """Return the message that runs all rules but those `without`: it returns code, finding, and remedy.

    `functions` may be called by expressions and triggers of the tables.
    """
    values = {
        "schema": literal(SCHEMA), "version_table": literal(VERSION_TABLE), "tables": _array(owners),
        "owned": _array(table for table, column in owners.items() if column == "user_id"),
        "written": _array(table for table, column in owners.items() if column),
        "functions": _array(name.lower() for name in functions),
        "app": f"(SELECT {STEM} || '_app')", "login": f"(SELECT {STEM} || '_login')",
        "provision": literal(PROVISION), "author": literal(AUTHOR),
    }  # fmt: skip
    queries = {code: query for code, query in rules().items() if code not in without}
    return _WITHOUT_JIT + " UNION ALL ".join(
        f"SELECT '{code}', what, mend FROM (\n{_with(values, query)}) AS rule (what, mend)"  # noqa: S608 - quoted
        for code, query in queries.items()
    )


def _with(values: Mapping[str, str], query: str) -> str:
    return _PARAMETER.sub(lambda match: values[match[1]], query)


def found(connection: Connection, text: str) -> list[Fault]:
    """Return the findings of a `statement`, in order. Raises DBAPIError."""
    rows = connection.exec_driver_sql(text, execution_options={"no_parameters": True})
    return [Fault(*row) for row in sorted(map(tuple, rows))]


def _array(names: Iterable[str]) -> str:
    return f"ARRAY[{', '.join(literal(name) for name in sorted(names))}]::text[]"
