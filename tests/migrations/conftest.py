"""Plugins that the tests of migrations write for themselves."""

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url

from todoservice import Plugin, uuid7
from todoservice.models import metadata

MakePlugin = Callable[..., Plugin]

HOOKS = """
from todoservice import hookimpl

@hookimpl
def todoservice_models():
    from . import models
    return [value for value in vars(models).values() if "__table__" in getattr(value, "__dict__", {})]
"""


@pytest.fixture
def make_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePlugin]:
    """Return what writes a plugin's package and imports it: from the text of its models, and of each revision file."""
    known = set(metadata.tables)
    modules = set(sys.modules)

    def make(name: str, models: str = "", migrations: Mapping[str, str] | None = None, *, under: str = "") -> Plugin:
        package = f"plugin_{uuid7().hex}"
        folder = tmp_path / under / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text(HOOKS if models else "")
        (folder / "models.py").write_text(dedent(models))
        for file, text in (migrations or {}).items():
            (folder / "migrations").mkdir(exist_ok=True)
            (folder / "migrations" / f"{file}.py").write_text(text)
        monkeypatch.syspath_prepend(folder.parent)
        return Plugin(name, import_module(package), distribution=f"todoservice-{name} 1.0")

    yield make
    for table in [table for key, table in metadata.tables.items() if key not in known]:
        metadata.remove(table)
    for module in set(sys.modules) - modules:
        del sys.modules[module]


@pytest.fixture
def url(empty_url: str) -> sa.URL:
    """Return the URL of a database with nothing in it."""
    return make_url(empty_url)
