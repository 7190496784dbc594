"""The plots, as SVG that is the same for the same results."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from performance.results import Results
from performance.rows import SIZES
from performance.work import DELAYS

OPERATIONS: Final = ("get", "create", "update", "delete")


def draw(results: Results, folder: Path) -> None:
    """Write the plots of what was measured into a folder."""
    import matplotlib as mpl  # noqa: PLC0415 - only here, so that what reads results does not need it

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "todoservice", "svg.fonttype": "none", "figure.autolayout": True})
    for name, plot in (("throughput", _throughput), ("lists", _lists), ("latency", _latency)):
        _save(folder / f"{name}.svg", results, plot)


def _save(path: Path, results: Results, plot: Callable[[Any, Results], None]) -> None:
    from matplotlib import pyplot as plt  # noqa: PLC0415 - as above

    figure, axes = plt.subplots(figsize=(9, 4.5))
    plot(axes, results)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")
        figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _throughput(axes: Any, results: Results) -> None:
    names = results.contestants
    width = 0.8 / max(len(names), 1)
    for number, name in enumerate(names):
        points = [
            (place + number * width, rate)
            for place, work in enumerate(OPERATIONS)
            if (rate := results.median(name, work)) is not None
        ]
        if points:
            axes.bar(*zip(*points, strict=True), width=width, label=name, color=f"C{number}")
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(OPERATIONS))], OPERATIONS)
    axes.set_ylabel("requests each second")
    axes.set_title("One worker, 16 clients")


def _lists(axes: Any, results: Results) -> None:
    _lines(axes, results, [(size, f"list-{size}", "rate") for size in SIZES])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("todos in the list")
    axes.set_ylabel("requests each second")
    axes.set_title("Lists, one worker, 16 clients")


def _latency(axes: Any, results: Results) -> None:
    _lines(axes, results, [(delay, f"get-{delay}ms", "p99") for delay in DELAYS])
    axes.set_yscale("log")
    axes.set_xlabel("milliseconds added to each round trip")
    axes.set_ylabel("milliseconds, 99 of 100 requests")
    axes.set_title("GET one, 50 clients, 50 connections")


def _lines(axes: Any, results: Results, points: list[tuple[int, str, str]]) -> None:
    for number, name in enumerate(results.contestants):
        found = [(at, value) for at, work, field in points if (value := results.median(name, work, field)) is not None]
        if found:
            axes.plot(*zip(*found, strict=True), marker="o", label=name, color=f"C{number}")
