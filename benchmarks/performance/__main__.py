"""Measure todoservice beside its peers, in turn, on this machine, and say which targets are met.

    tox -e benchmark
    PYTHONPATH=benchmarks python -m performance --quick

It needs root or sudo only where wrk is missing, and Node for the Fastify peer.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from performance import growth, installing, machine, memory, plots, report, rounds, start, trips
from performance.contestants import CONTESTANTS
from performance.databases import prepared
from performance.results import Results
from performance.rounds import Entrant
from performance.server import Server, execute, running
from performance.work import QUICK, WORKS

EXTRA = ("trips", "growth", "memory", "start")
"""What is measured besides the works."""


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="performance", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=int, help="of each measurement (3; quick: 1, and not warmed up)")
    parser.add_argument("--rounds", type=int, help="(3; quick: 1)")
    parser.add_argument("--requests", type=int, help="for the memory's growth (1,000,000; quick: 2,000)")
    parser.add_argument("--only", help=f"of {', '.join([*(work.name for work in WORKS), *EXTRA])}")
    parser.add_argument("--contestants", help=f"of {', '.join(CONTESTANTS)}")
    parser.add_argument("--quick", action="store_true", help="most of it, once and briefly: that it runs, not how fast")
    parser.add_argument("--write", type=Path, help="a folder for results.json and the plots (a temporary one)")
    chosen = parser.parse_args(arguments)
    seconds, times, requests = (1, 1, 2_000) if chosen.quick else (3, 3, 1_000_000)
    chosen.seconds, chosen.rounds = chosen.seconds or seconds, chosen.rounds or times
    chosen.requests = chosen.requests or requests
    works = [work.name for work in WORKS if work.name in QUICK or chosen.only or not chosen.quick]
    chosen.only = _chosen(parser, chosen.only, [*works, *EXTRA])
    chosen.contestants = _chosen(parser, chosen.contestants, list(CONTESTANTS))
    return chosen


def _chosen(parser: argparse.ArgumentParser, given: str | None, known: list[str]) -> list[str]:
    names = given.split(",") if given else known
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"{', '.join(unknown)}: there is no such; there are {', '.join(known)}")
    return [name for name in known if name in names]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, and return its exit status: 1 where a round failed."""
    chosen = options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    installing.ensure_wrk()
    results = Results(
        date=datetime.now(UTC).date().isoformat(), machine=machine.description(), versions=machine.versions(),
        seconds=chosen.seconds, rounds=chosen.rounds,
    )  # fmt: skip
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="todoservice-benchmark-")))
        server = stack.enter_context(running())
        entrants = [_entrant(stack, server, name, folder) for name in chosen.contestants]
        _versions(results, server, entrants)
        _measure(server, entrants, chosen, results)
    _show(results, chosen.write or Path(tempfile.mkdtemp(prefix="todoservice-results-")))
    return 1 if results.failures else 0


def _entrant(stack: ExitStack, server: Server, name: str, folder: Path) -> Entrant:
    place = folder / name
    place.mkdir()
    if name == "fastify":
        installing.install_fastify(place)
    contestant = CONTESTANTS[name]
    return Entrant(contestant, stack.enter_context(prepared(server, contestant, place)), place)


def _versions(results: Results, server: Server, entrants: Sequence[Entrant]) -> None:
    results.versions["postgresql"] = str(execute(server.url(), "SHOW server_version")[0][0])
    results.versions["wrk"] = machine.version_of("wrk", "-v").split()[1]
    for entrant in entrants:
        if entrant.contestant.name == "fastify":
            results.versions["node"] = machine.version_of("node", "--version").removeprefix("v")
            for package in ("fastify", "pg"):
                results.versions[package] = installing.version_of_package(entrant.folder, package)


def _measure(server: Server, entrants: Sequence[Entrant], chosen: argparse.Namespace, results: Results) -> None:
    if "trips" in chosen.only:
        results.trips = {one.contestant.name: trips.counted(one) for one in entrants if not one.contestant.in_memory}
    rounds.run(server, entrants, [work for work in WORKS if work.name in chosen.only], results, _say)
    for entrant in entrants:
        if entrant.contestant.isolated:
            if "growth" in chosen.only:
                results.growth = growth.measured(server, entrant, results, _say, quick=chosen.quick)
            if "memory" in chosen.only:
                results.memory = memory.measured(entrant, chosen.requests, _say)
            if "start" in chosen.only:
                results.start = start.measured(server, entrant, _say, times=1 if chosen.quick else 10)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _show(results: Results, folder: Path) -> None:
    print(report.markdown(results))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(results.model_dump_json(indent=1) + "\n")
    plots.draw(results, folder)
    if (page := folder.with_suffix(".md")).exists():
        report.write_page(page, results)
    print(f"written to {folder}")


if __name__ == "__main__":
    sys.exit(main())
