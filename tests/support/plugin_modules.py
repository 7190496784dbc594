"""Plugins made by a test: modules in memory, and distributions on disk that the host finds as it finds a stranger's."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from todoservice import hookimpl


def module(name: str = "notes", **hooks: Any) -> ModuleType:
    """Return a module whose hooks return these values, or are these functions."""
    made = ModuleType(name)
    made.__file__ = __file__
    for hook, value in hooks.items():
        function = value if isinstance(value, FunctionType) else _returning(value)
        setattr(made, hook, hookimpl(function))
    return made


def _returning(value: Any) -> Callable[[], Any]:
    return lambda: value


class Site:
    """A folder on `sys.path`, as `site-packages` is one."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put `path` before all others."""
        self.path = path
        self._monkeypatch = monkeypatch
        monkeypatch.syspath_prepend(str(path))

    def install(
        self,
        distribution: str,
        *,
        name: str = "",
        source: str = "",
        requires: tuple[str, ...] = (),
    ) -> str:
        """Install a distribution with one plugin, and return the name of its module."""
        package = distribution.replace("-", "_")
        self._monkeypatch.delitem(sys.modules, package, raising=False)
        (self.path / f"{package}.py").write_text(source)
        info = self.path / f"{package}-0.3.dist-info"
        info.mkdir()
        lines = [f"Name: {distribution}", "Version: 0.3", *(f"Requires-Dist: {other}" for other in requires)]
        (info / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
        (info / "entry_points.txt").write_text(f"[todoservice]\n{name or package} = {package}\n")
        return package
