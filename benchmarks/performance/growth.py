"""What a large table costs: a million rows of a thousand users, and a hundred thousand of one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class _Work:
    """An operation, and the requests for it on each of the two tables."""

    name: str
    operation: str
    small: Path
    large: Path


def measured(
    server: Server, entrant: Entrant, results: Results, say: Callable[[str], None], *, quick: bool
) -> list[Growth]:
    """Measure GETs and lists on the small table that the entrant has, and on a large one, in turn.

    `quick`: on a tenth of it.
    """
    found = []
    with migrated(server) as url:
        works = _works(entrant, url, 10 if quick else 1)
        say(f"growth: a table of {execute(url, f'SELECT count(*) FROM {entrant.contestant.table}')[0][0]:,} rows")
        other = replace(entrant, folder=_beside(entrant.folder))
        for number in range(results.rounds):
            with serving(entrant, ONE) as before, serving(other, ONE, to=login_url(url)) as after:
                for work in works:
                    small = _rate(before, work.operation, work.small, results.seconds)
                    large = _rate(after, work.operation, work.large, results.seconds)
                    found.append(Growth(work=work.name, round=number, small=small, large=large))
                    say(f"growth: {work.name}: {small:.0f} and {large:.0f}/s")
    return found


def _works(entrant: Entrant, url: str, part: int) -> tuple[_Work, ...]:
    """Fill the large table, or a part of it, and return what is asked of it and of the small one."""
    folder, table = entrant.folder, entrant.contestant.table
    many, most = [user(f"one of many {number}") for number in range(USERS // part)], user("the one with most")
    insert(url, table, READING[:1], 1)
    insert(url, table, many, EACH)
    insert(url, table, [most], LARGEST // part)
    execute(url, f"VACUUM ANALYZE {table}")
    small = write_keys(folder / "small", keys(entrant.database.owner_url, table, READING))
    lists = write_keys(folder / "small-lists", [(LISTING[EACH], "-")])
    return (
        _Work("GET one", "get", small, write_keys(folder / "large", keys(url, table, many, 1000))),
        _Work("GET one of 100,000", "get", small, write_keys(folder / "most", keys(url, table, [most], 1000))),
        _Work("list of 1000", "list", lists, write_keys(folder / "lists", [(one, "-") for one in many])),
        _Work("list of 1000 of 100,000", "list", lists, write_keys(folder / "newest", [(most, "-")])),
    )


def _beside(folder: Path) -> Path:
    other = folder / "large-table"
    other.mkdir(exist_ok=True)
    return other


def _rate(running: Running, operation: str, file: Path, seconds: int) -> float:
    if warm := round(seconds / 3):
        load.run(running.port, operation, file, clients=16, seconds=warm)
    return load.run(running.port, operation, file, clients=16, seconds=seconds).rate
