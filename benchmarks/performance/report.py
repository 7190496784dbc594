"""The tables of a run, as text for a terminal and for the documentation's page alike."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Final

from performance import targets
from performance.contestants import CONTESTANTS
from performance.results import Results

BEGIN: Final = "<!-- The benchmark writes what follows. -->"
END: Final = "<!-- The benchmark writes what is above. -->"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of Markdown, its columns aligned."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    lines.insert(1, ["-" * max(width, 3) for width in widths])
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in lines
    )


def markdown(results: Results) -> str:
    """Return the whole report."""
    return "\n\n".join(_parts(results)) + "\n"


def _parts(results: Results) -> Iterator[str]:
    machine = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    versions = ", ".join(f"{name} {value}" for name, value in results.versions.items())
    yield f"Measured on {results.date}: {results.rounds} rounds of {results.seconds:g} s. Machine: {machine}."
    yield f"Versions: {versions}."
    yield table(("work", "against", "target", "measured", "met"), targets.rows(results))
    yield "Requests each second:"
    yield _by_contestant(results, lambda name, work: _number(results.median(name, work)))
    yield "Microseconds of the processor for each request, of the app and of PostgreSQL:"
    yield _by_contestant(results, lambda name, work: _cpu(results, name, work))
    yield "Latency in milliseconds, of half and of 99 of 100 requests:"
    yield _by_contestant(results, lambda name, work: _latency(results, name, work))
    if results.trips:
        yield "Round trips to the database for each operation:"
        operations = list(dict.fromkeys(chain.from_iterable(results.trips.values())))
        yield table(
            ("contestant", *operations),
            ((name, *(f"{trips[one]:.1f}" for one in operations)) for name, trips in results.trips.items()),
        )
    yield "Memory of the largest process, in MiB, after GETs, and the most in its life:"
    yield table(("contestant", "after", "most"), _memory(results))
    yield from _rest(results)


def _rest(results: Results) -> Iterator[str]:
    if results.memory is not None:
        memory = results.memory
        yield (
            f"A worker of todoservice: {memory.idle:.1f} MiB idle, {memory.early:.1f} MiB after "
            f"{memory.requests // 10:,} GETs, {memory.late:.1f} MiB after {memory.requests:,}."
        )
    if results.start is not None:
        start = results.start
        service, tutorial, imports = map(median, (start.service, start.tutorial, start.imports))
        yield (
            f"From the start of the process to the first answer, with {start.plugins} plugins: {service:.2f} s. The "
            f"tutorial way with as many features: {tutorial:.2f} s, {tutorial / imports:.2f}x of the "
            f"`import fastapi, sqlmodel` that both begin with, {imports:.2f} s."
        )
    if results.growth:
        yield "todoservice on a table of 1,100,000 rows, as a part of its throughput on a small one:"
        yield table(("work", "small", "large", "ratio"), _growth(results))
    if results.failures:
        yield "Rounds that count for nothing, since a request failed:\n\n" + "\n".join(
            f"- {failure}" for failure in results.failures
        )


def _by_contestant(results: Results, cell: Callable[[str, str], str]) -> str:
    names = results.contestants
    return table(("work", *names), ((work, *(cell(name, work) for name in names)) for work in results.works))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _cpu(results: Results, name: str, work: str) -> str:
    app, database = (results.median(name, work, field) for field in ("app_cpu", "database_cpu"))
    return "-" if app is None or database is None else f"{app:,.0f} + {database:,.0f}"


def _latency(results: Results, name: str, work: str) -> str:
    half, most = (results.median(name, work, field) for field in ("p50", "p99"))
    return "-" if half is None or most is None else f"{half:,.1f} / {most:,.1f}"


def _memory(results: Results) -> Iterator[tuple[str, str, str]]:
    for name in results.contestants:
        after, most = (results.median(name, "get", field) for field in ("resident", "peak"))
        if after is not None and most is not None:
            yield name, f"{after:.0f}", f"{most:.0f}"


def _growth(results: Results) -> Iterator[tuple[str, str, str, str]]:
    for work in dict.fromkeys(one.work for one in results.growth):
        small, large = (
            median(getattr(one, size) for one in results.growth if one.work == work) for size in ("small", "large")
        )
        yield work, f"{small:,.0f}", f"{large:,.0f}", f"{large / small:.2f}"


def contestants() -> str:
    """Return the table of the contestants, and what each does not do."""
    return table(
        ("name", "what it is", "what it does not do"),
        ((one.name, one.title, one.lacks) for one in CONTESTANTS.values()),
    )


def write_page(page: Path, results: Results) -> None:
    """Replace what a page shows of a run by this one."""
    before, _, rest = page.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{markdown(results)}\n{END}{after}")
