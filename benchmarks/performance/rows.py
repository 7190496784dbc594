"""The rows to begin with, and the requests that ask for them."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

from performance.server import execute

SIZES: Final = (1, 10, 100, 1000)
"""How many todos the users have whose lists are asked for."""
READERS: Final = 10
"""Users whose todos are read and changed, a hundred each."""
COLUMNS: Final = ("id", "title", "description", "is_completed", "created_at", "user_id")
_NAMESPACE: Final = UUID("6f6e2f0c-9d3e-4b59-8a59-6f5a4f0a9b11")


def user(name: str) -> UUID:
    """Return the user of this name."""
    return uuid5(_NAMESPACE, name)


READING: Final = [user(f"reader {number}") for number in range(READERS)]
WRITING: Final = [user(f"writer {number}") for number in range(READERS)]
DELETING: Final = [user(f"deleter {number}") for number in range(READERS)]
LISTING: Final = {size: user(f"list of {size}") for size in SIZES}


def insert(url: str, table: str, users: Iterable[UUID], each: int) -> None:
    """Give every user this many todos, the last one the newest."""
    ids = [str(one) for one in users]
    if table.startswith("todoservice."):
        execute(url, "INSERT INTO todoservice.users (id) SELECT unnest(%s::uuid[]) ON CONFLICT DO NOTHING", [ids])
    execute(
        url,
        f"""INSERT INTO {table} (user_id, id, title, description, is_completed, created_at)
            SELECT owner, uuidv7(), 'Todo number ' || n, 'Something to do, in a few more words: ' || n, mod(n, 2) = 0,
                now() + n * interval '1 microsecond'
            FROM generate_series(1, %s) AS n, unnest(%s::uuid[]) AS owner ORDER BY n""",
        [each, ids],
    )


def remove(url: str, table: str, users: Iterable[UUID]) -> None:
    """Delete all todos of these users."""
    execute(url, f"DELETE FROM {table} WHERE user_id = ANY(%s::uuid[])", [[str(one) for one in users]])


def fill(url: str, table: str) -> None:
    """Insert the rows to begin with."""
    insert(url, table, READING, 1000 // READERS)
    for size, owner in LISTING.items():
        insert(url, table, [owner], size)
    execute(url, f"VACUUM ANALYZE {table}")


def keys(url: str, table: str, users: Sequence[UUID], limit: int = 1_000_000) -> list[tuple[str, str]]:
    """Return the user and the id of these users' todos, in no order that an index has."""
    found = execute(
        url,
        f"SELECT user_id::text, id::text FROM {table} WHERE user_id = ANY(%s::uuid[]) "
        f"ORDER BY md5(id::text) LIMIT {limit}",
        [[str(one) for one in users]],
    )
    return [(str(owner), str(id)) for owner, id in found]


def write_keys(path: Path, pairs: Iterable[tuple[object, object]]) -> Path:
    """Write what `load.lua` reads: a line for each request."""
    path.write_text("".join(f"{owner} {id}\n" for owner, id in pairs))
    return path


def write_rows(path: Path, url: str, table: str) -> Path:
    """Write all rows as CSV, the oldest first, for a peer without a database."""
    rows: list[tuple[Any, ...]] = execute(url, f"SELECT {', '.join(COLUMNS)} FROM {table} ORDER BY created_at")
    with path.open("w") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return path
