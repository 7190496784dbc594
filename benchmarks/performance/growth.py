"""What a large table costs: a million rows of a thousand users, and a hundred thousand of one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from performance import load
from performance.databases import migrated
from performance.results import Growth, Results
from performance.rounds import Entrant, Running, serving
from performance.rows import LISTING, READING, insert, keys, user, write_keys
from performance.server import Server, execute
from performance.work import ONE
from todoservice.testing.databases import login_url

USERS: Final = 1000
EACH: Final = 1000
LARGEST: Final = 100_000


def measured(
    server: Server, entrant: Entrant, results: Results, say: Callable[[str], None], *, quick: bool
) -> list[Growth]:
    """Measure GETs and lists on the small table that the entrant has, and on a large one, in turn."""
    many, most = [user(f"one of many {number}") for number in range(USERS)], user("the one with most")
    table = entrant.contestant.table
    if quick:
        many = many[: USERS // 10]
    with migrated(server) as url:
        insert(url, table, READING[:1], 1)
        insert(url, table, many, EACH)
        insert(url, table, [most], LARGEST // (10 if quick else 1))
        execute(url, f"VACUUM ANALYZE {table}")
        say(f"growth: a table of {execute(url, f'SELECT count(*) FROM {table}')[0][0]:,} rows")
        small = write_keys(entrant.folder / "small", keys(entrant.database.owner_url, table, READING))
        lists = write_keys(entrant.folder / "small-lists", [(LISTING[EACH], "-")])
        works = (
            ("GET one", "get", small, write_keys(entrant.folder / "large", keys(url, table, many, 1000))),
            ("GET one of 100,000", "get", small, write_keys(entrant.folder / "most", keys(url, table, [most], 1000))),
            ("list of 1000", "list", lists, write_keys(entrant.folder / "lists", [(one, "-") for one in many])),
            ("list of 1000 of 100,000", "list", lists, write_keys(entrant.folder / "newest", [(most, "-")])),
        )
        found = []
        for number in range(results.rounds):
            with (
                serving(entrant, ONE) as before,
                serving(replace(entrant, folder=_beside(entrant.folder)), ONE, to=login_url(url)) as after,
            ):
                for name, operation, of_small, of_large in works:
                    rates = (
                        _rate(before, operation, of_small, results.seconds),
                        _rate(after, operation, of_large, results.seconds),
                    )
                    found.append(Growth(work=name, round=number, small=rates[0], large=rates[1]))
                    say(f"growth: {name}: {rates[0]:.0f} and {rates[1]:.0f}/s")
        return found


def _beside(folder: Path) -> Path:
    other = folder / "large-table"
    other.mkdir(exist_ok=True)
    return other


def _rate(running: Running, operation: str, file: Path, seconds: int) -> float:
    load.run(running.port, operation, file, clients=16, seconds=max(seconds // 3, 1))
    return load.run(running.port, operation, file, clients=16, seconds=seconds).rate
