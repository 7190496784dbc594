"""Plugins made by a test: modules in memory, and distributions on disk that the host finds as it finds a stranger's."""

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import invalidate_caches
from itertools import count
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
import todoservice_todos  # noqa: F401 - it is there for good, and imported before what `forgotten` forgets

from todoservice import Plugin, Settings, hookimpl
from todoservice.models import metadata
from todoservice.plugins.host import Host

FEATURE = """
from datetime import datetime
from fastapi import APIRouter
from sqlalchemy import insert, select
from sqlmodel import Field
from todoservice import CurrentScope, Owned, Queries, hookimpl

class {model}(Owned, table=True):
    __tablename__ = "{name}"
    text: str = Field(max_length=100)

Row = {model}

class Rows(Queries):
    create = insert(Row).returning(Row)
    rows = select(Row)

router = APIRouter()

@router.post("", status_code=201)
async def create_{name}(text: str, scope: CurrentScope) -> str:
    return (await scope.one(Rows.create, text=text)).text

@router.get("")
async def list_{name}(scope: CurrentScope, of: str = "{name}") -> list[str]:
    return [row.text for row in await scope.all(f"{{of}}.rows")]

@hookimpl
def todoservice_models(): return [Row]

@hookimpl
def todoservice_queries(): return Rows

@hookimpl
def todoservice_router(): return router
"""
MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "0001_{name}"
down_revision = None

def upgrade():
    op.create_table(
        "{name}", sa.Column("user_id", sa.Uuid(), primary_key=True), sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("text", sa.String(100), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["todoservice.users.id"], ondelete="CASCADE"), schema="todoservice",
    )

def downgrade():
    op.drop_table("{name}", schema="todoservice")
"""

_numbers = count()
"""SQLAlchemy wants no two classes of one name in one module, though the module is another test's."""


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
        files: Mapping[str, str] | None = None,
        target: str = "",
    ) -> str:
        """Install version 0.3 of a distribution with one plugin, and return the name of its module.

        With `files`, by their paths, its module is a package. Its entry point is the module, or `target`.
        """
        package = distribution.replace("-", "_")
        self._monkeypatch.delitem(sys.modules, package, raising=False)
        for file, text in _contents(package, source, files or {}).items():
            (self.path / file).parent.mkdir(parents=True, exist_ok=True)
            (self.path / file).write_text(text)
        info = self.path / f"{package}-0.3.dist-info"
        info.mkdir()
        lines = [f"Name: {distribution}", "Version: 0.3", *(f"Requires-Dist: {other}" for other in requires)]
        (info / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
        (info / "entry_points.txt").write_text(f"[todoservice]\n{name or package} = {target or package}\n")
        invalidate_caches()
        return package

    def uninstall(self, distribution: str) -> None:
        """Take a distribution away again."""
        package = distribution.replace("-", "_")
        shutil.rmtree(self.path / f"{package}-0.3.dist-info")
        shutil.rmtree(self.path / package, ignore_errors=True)
        (self.path / f"{package}.py").unlink(missing_ok=True)
        invalidate_caches()


def _contents(package: str, source: str, files: Mapping[str, str]) -> dict[str, str]:
    """Return what is in a package, by paths: a single file where there are no others."""
    if not files:
        return {f"{package}.py": source}
    return {f"{package}/{file}": text for file, text in {"__init__.py": source, **files}.items()}


@contextmanager
def forgotten() -> Iterator[None]:
    """Forget the modules and tables that the block brings: both are the process's."""
    modules, tables = set(sys.modules), set(metadata.tables)
    try:
        yield
    finally:
        for table in [table for key, table in metadata.tables.items() if key not in tables]:
            metadata.remove(table)
        for name in set(sys.modules) - modules:
            del sys.modules[name]


def faults(*given: ModuleType | Plugin, serving: bool = False) -> list[str]:
    """Return the lines that the host refuses these plugins with: without a database, and whoever is asking."""
    return [str(fault) for fault in Host.load(Settings.load(), given, serving=serving).faults]


def found(**settings: Any) -> Host:
    """Return the host of the installed plugins, with these settings."""
    return Host.load(Settings.load(settings))


def install(site: Site, name: str, *requires: str, source: str = FEATURE) -> None:
    """Install a good feature of this name, with a table, or another one."""
    files = {"migrations/0001.py": MIGRATION.format(name=name)}
    site.install(
        f"{name}-of-a-stranger",
        name=name,
        source=source.format(name=name, model=f"Row{next(_numbers)}"),
        files=files,
        requires=requires,
    )
