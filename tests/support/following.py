"""Follow the commands of a page, as an author who has a shell, a virtual environment and a registry of packages.

Each command is a process of its own, forked from one that has todoservice imported: what a plugin leaves in a process
is gone with it, and importing the rest is paid once.
"""

import multiprocessing
import os
import runpy
import shlex
import shutil
import site
import sys
from collections.abc import Callable, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from zipfile import ZipFile

import pytest
from serving import curl, wait_until_ready

_context = multiprocessing.get_context("forkserver")
_LIMIT = 300
"""Seconds."""
_IMPORTED = [
    "todoservice.app", "todoservice.migrations.runner", "todoservice.testing.conformance",
    "todoservice.testing.factories", "pytest", "uvicorn",
]  # fmt: skip
_THERE = {"python3 -m venv .venv && . .venv/bin/activate", "pip install 'todoservice[testing]'"}
"""What has been done where the tests run."""


class Author:
    """Somebody with an empty folder, and with a virtual environment that has todoservice and what tests it."""

    def __init__(self, folder: Path, port: int, **environment: str) -> None:
        """Begin in `folder`, with these variables of the environment; `port` is free."""
        self.folder = folder / "work"
        self.folder.mkdir()
        self._site = folder / "site-packages"
        self._output = folder / "output"
        self._port = str(port)
        self._environment = environment
        self._serving: ForkServerProcess | None = None
        _context.set_forkserver_preload(_IMPORTED)
        with pytest.MonkeyPatch.context() as patch:
            # Coverage would slow the author's processes down, and they end without a report to it.
            patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
            forkserver.ensure_running()

    def follow(self, line: str) -> str:
        """Do what a line of the page does, and return what it prints. Raises AssertionError where it fails."""
        line = line.replace("8000", self._port)
        program, *arguments = shlex.split(line)
        if line in _THERE:
            return ""
        if program == "cd":
            self.folder /= arguments[0]
        elif program == "pip":
            self._pip(arguments)
        elif program == "curl":
            answer = curl(line)
            assert answer.is_success, answer.text
            return answer.text
        elif program == "kill":
            self.leave()
        elif arguments[-1:] == ["&"]:
            self._serving = self._begin([program, *arguments[:-1]])
            wait_until_ready(int(self._port))
        elif program == "twine":
            self._see_what_is_published(arguments)
        else:
            return self._run([program, *arguments])
        return ""

    def leave(self) -> None:
        """End what still runs."""
        if self._serving is not None:
            self._end(self._serving)
            self._serving = None

    def _run(self, words: Sequence[str]) -> str:
        process = self._begin(words)
        process.join(_LIMIT)
        status, printed = process.exitcode, self._output.read_text()
        self._end(process)
        assert status == 0, f"{shlex.join(words)} exits with {status}: {printed}"
        return printed

    def _begin(self, words: Sequence[str]) -> ForkServerProcess:
        process = _context.Process(
            target=_do, args=(list(words), self.folder, self._site, self._output, self._environment)
        )
        process.start()
        return process

    def _end(self, process: ForkServerProcess) -> None:
        process.terminate()
        process.join(_LIMIT)
        process.close()

    def _pip(self, arguments: Sequence[str]) -> None:
        """Do what pip does with the one distribution that there is, without asking a registry."""
        shutil.rmtree(self._site, ignore_errors=True)
        self._site.mkdir()
        if arguments[0] == "uninstall":
            return
        if editable := "--editable" in arguments:
            self._run(["python", "-m", "build"])
            (self._site / "author.pth").write_text(f"{self.folder}\n")
        [wheel] = self.folder.glob("dist/*.whl")
        with ZipFile(wheel) as archive:
            archive.extractall(
                self._site, [name for name in archive.namelist() if not editable or ".dist-info/" in name]
            )
        if editable:
            shutil.rmtree(wheel.parent)

    def _see_what_is_published(self, arguments: Sequence[str]) -> None:
        """See that there is a wheel and the source."""
        assert arguments == ["upload", "dist/*"]
        assert sorted(file.name.partition("-")[2] for file in self.folder.glob("dist/*")) == [
            "0.1.0-py3-none-any.whl",
            "0.1.0.tar.gz",
        ]


def _do(words: list[str], folder: Path, packages: Path, output: Path, environment: dict[str, str]) -> None:
    """Run a program, in the process that was made for it."""
    with output.open("w") as file:
        for standard in (1, 2):
            os.dup2(file.fileno(), standard)
    os.chdir(folder)
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        del os.environ[name]
    os.environ |= environment
    site.addsitedir(str(packages))
    sys.argv = words
    sys.exit(_PROGRAMS[words[0]](words[1:]))


def _todoservice(arguments: Sequence[str]) -> int:
    from todoservice.cli import main

    return main(arguments)


def _uvicorn(arguments: Sequence[str]) -> int:
    import uvicorn

    uvicorn.main(arguments)
    return 0


def _pytest(arguments: Sequence[str]) -> int:
    # What pytest would rewrite is imported already; the author has not installed what only our own tests need.
    ours = ["-W", "ignore::pytest.PytestAssertRewriteWarning", "-p", "no:schemathesis", "-p", "no:hypothesispytest"]
    return pytest.main([*ours, *arguments])


def _build(arguments: Sequence[str]) -> int:
    """Do what `python -m build` does in an environment that it makes for it."""
    assert arguments == ["-m", "build"]
    sys.argv = ["hatchling", "build"]
    runpy.run_module("hatchling", run_name="__main__")
    return 0


_PROGRAMS: dict[str, Callable[[Sequence[str]], int]] = {
    "todoservice": _todoservice,
    "uvicorn": _uvicorn,
    "pytest": _pytest,
    "python": _build,
}
