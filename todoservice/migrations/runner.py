"""Run, write and compare migrations: the part that imports Alembic."""

import logging
import os
import re
import threading
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.operations.ops import MigrationScript
from alembic.runtime.migration import MigrationContext

from todoservice.database import roles, security
from todoservice.migrations import (
    LONGEST_ID,
    VERSION_TABLE,
    History,
    autogenerate,
    histories,
    owners,
    states,
    transaction,
    version_tables,
    warn_if_ahead,
)
from todoservice.migrations.transaction import DatabaseUnreachable, MigrationError, direct
from todoservice.models import metadata
from todoservice.plugins import Plugin

__all__ = ["DatabaseUnreachable", "MigrationError", "differences", "direct", "downgrade", "revision", "upgrade"]

logger = logging.getLogger("todoservice")
_alembic: Final = threading.Lock()
"""Alembic's `op` and `context` are the process's."""


def upgrade(url: sa.URL, plugins: Sequence[Plugin], *, connect_args: Mapping[str, Any] | None = None) -> list[str]:
    """Bring the database to the last revision of the host and of each plugin, in the order given.

    Blocks; all of it is one transaction, and of several processes one does it while the others wait. In the same
    transaction every declared table gets its row-level security and its grants; the role for these comes before.
    Returns what was applied, as `todos: 0001_todos`. Raises PluginError for migrations that cannot be read,
    DatabaseUnreachable, and MigrationError, after which nothing is changed.
    """
    found = histories(plugins)
    applied: list[str] = []
    with _alembic, transaction.connected(url, connect_args) as connection:
        with transaction.told(connection):
            roles.ensure_app(connection)
        with transaction.alone(connection):
            for history, state in zip(found, states(connection, found), strict=True):
                warn_if_ahead(state)
                if state.behind:
                    applied += _run(connection, history, command.upgrade, "head")
            for fault in security.apply(connection, owners(found)):
                logger.debug("Mended: %s", fault.what)
    return applied


def downgrade(
    url: sa.URL, plugin: Plugin, to: str = "base", *, connect_args: Mapping[str, Any] | None = None
) -> list[str]:
    """Take one plugin's tables back to the revision `to`, or to none. Its version table stays.

    Returns what was taken back. Raises as `upgrade` does.
    """
    history = _history(plugin)
    with _alembic, transaction.connected(url, connect_args) as connection, transaction.alone(connection):
        done = _run(connection, history, command.downgrade, to)
        security.apply(connection, owners([History.host(), history]))
        return done


def revision(
    url: sa.URL, plugin: Plugin, message: str, plugins: Sequence[Plugin], *,
    connect_args: Mapping[str, Any] | None = None,
) -> Path | None:  # fmt: skip
    """Write a migration from what the database has to what the plugin's models say, into the plugin's package.

    Returns its file, to be read before it is run, or None where there is no difference. The database keeps nothing.
    Raises MigrationError where the package is not to be written to, or the plugin's own tables are behind.
    """
    history = _history(plugin)
    name = _next_id(history, message)
    folder = _writable(history)
    _see_that_it_can_be_written(history)
    with _alembic, transaction.connected(url, connect_args) as connection, _undone(connection):
        _see_that_it_is_current(connection, history)
        config = _config(history, connection, _names(connection, plugins))
        with _attributed(history):
            command.revision(
                config, message, autogenerate=True, rev_id=name, process_revision_directives=_leave_out_empty
            )
    file = folder / f"{name}.py"
    return file if file.exists() else None


def differences(connection: sa.Connection, plugin: Plugin, plugins: Sequence[Plugin]) -> list[str]:
    """Return how the plugin's tables in the database differ from its models: nothing, where its migrations are right.

    The connection needs a transaction, and the right to make temporary tables where CHECK constraints are compared.
    """
    history = _history(plugin)
    settings = autogenerate.options(history, _names(connection, plugins))
    context = MigrationContext.configure(connection, opts=settings)
    found = compare_metadata(context, metadata)
    return [_described(item) for entry in found for item in (entry if isinstance(entry, list) else [entry])]


def _history(plugin: Plugin) -> History:
    return History.host() if plugin.name == "todoservice" else History.of(plugin)


def _names(connection: sa.Connection, plugins: Sequence[Plugin]) -> set[str]:
    left = {table.removesuffix(VERSION_TABLE) for table in version_tables(connection)}
    return left | {plugin.name for plugin in plugins} | {"todoservice"}


def _run(connection: sa.Connection, history: History, run: Callable[[Config, str], None], to: str) -> list[str]:
    done: list[str] = []
    transaction_id = _transaction_id(connection)

    def applied(*, step: Any, **_: Any) -> None:
        if _transaction_id(connection) != transaction_id:
            msg = (
                f"{history.plugin}: revision {step.up_revision_id} ended the transaction that all migrations share, "
                "and what came before that is kept: leave COMMIT and ROLLBACK out, and mend the database by hand"
            )
            raise MigrationError(msg)
        done.append(f"{history.plugin.name}: {step.up_revision_id}")

    config = _config(history, connection, on_version_apply=applied)
    with _attributed(history), transaction.kept_open(connection):
        run(config, to)
    return done


def _transaction_id(connection: sa.Connection) -> str:
    return str(connection.exec_driver_sql("SELECT pg_current_xact_id()::text").scalar())


def _config(history: History, connection: sa.Connection, names: Iterable[str] = (), **more: Any) -> Config:
    settings = autogenerate.options(history, names) | more | {"connection": connection}
    config = Config(cmd_opts=Namespace(quiet=True), attributes={"options": settings})
    for name, value in {
        "script_location": str(Path(__file__).parent),
        "version_locations": str(history.folder),
        "path_separator": "newline",
        "file_template": "%(rev)s",
    }.items():
        config.set_main_option(name, value.replace("%", "%%"))
    return config


@contextmanager
def _attributed(history: History) -> Iterator[None]:
    try:
        yield
    except MigrationError:
        raise
    except Exception as error:
        revision = _failing(history, error)
        what = f"revision {revision}" if revision else "its migration"
        msg = f"{history.plugin}: {what} failed: {transaction.explained(error)}{_way_out(history)}"
        raise MigrationError(msg) from error


def _way_out(history: History) -> str:
    name = history.plugin.name
    return "" if name == "todoservice" else f"; to start without it, set TODOSERVICE_BLOCK={name}"


def _failing(history: History, error: BaseException) -> str | None:
    """Return the revision in whose file the error was raised."""
    files = {script.file.resolve(): script.id for script in history.scripts.values()}
    frames = [files.get(Path(frame.f_code.co_filename)) for frame, _ in walk_tb(error.__traceback__)]
    return next(filter(None, reversed(frames)), None)


def _next_id(history: History, message: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", message.lower()).strip("_")
    if not slug:
        msg = f"the message {message!r} has no letter or digit: say in a few words what the migration does"
        raise MigrationError(msg)
    numbers = [int(found[0]) for script in history.scripts if (found := re.match(r"\d+", script))]
    return f"{max(numbers, default=0) + 1:04}_{slug}"[:LONGEST_ID].rstrip("_")


def _writable(history: History) -> Path:
    folder = history.folder
    if folder is None:
        msg = f"{history.plugin}: make its module a package, so that it can have a folder of migrations"
        raise MigrationError(msg)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if history.installed or not os.access(existing, os.W_OK):
        msg = (
            f"{history.plugin}: {folder} is an installed copy, and the migration would be lost: "
            "check out its source, install that with `pip install --editable`, and run this again"
        )
        raise MigrationError(msg)
    return folder


@contextmanager
def _undone(connection: sa.Connection) -> Iterator[None]:
    with transaction.alone(connection):
        yield
        connection.rollback()


def _see_that_it_is_current(connection: sa.Connection, history: History) -> None:
    [state] = states(connection, [history])
    if state.behind:
        msg = f"{history.plugin}: {state.head} was not run in this database yet: run `todoservice db upgrade` first"
        raise MigrationError(msg)
    if state.ahead:
        msg = f"{history.plugin}: the database is at {state.current}, which is not in {history.folder}: restore it"
        raise MigrationError(msg)


def _see_that_it_can_be_written(history: History) -> None:
    for column in (column for table in history.tables for column in table.columns):
        if isinstance(column.type, sa.Enum) and column.type.native_enum:
            msg = (
                f"{history.plugin}: {column.table.name}.{column.name} is an enum type of PostgreSQL's, which outlives "
                "its table, and whose new members go unseen: store text, with sa_type=Enum(..., native_enum=False)"
            )
            raise MigrationError(msg)


def _leave_out_empty(_context: object, _revision: object, scripts: list[MigrationScript]) -> None:
    if all(script.upgrade_ops is None or script.upgrade_ops.is_empty() for script in scripts):
        scripts.clear()


def _described(change: Any) -> str:
    """Say in one line what a migration would do."""
    match change:
        case (what, _schema, table, sa.Column() as column):
            return f"{what.replace('_', ' ')} {table}.{column.name}"
        case (what, _schema, table, column, _more, old, new):
            old, new = (getattr(value, "arg", value) for value in (old, new))
            return f"{table}.{column}: {what.removeprefix('modify_')} is {old}, and the model says {new}"
        case (what, sa.Table() as table, *_):
            return f"{what.replace('_', ' ')} {table.name}"
        case (what, item, *_):
            return f"{what.replace('_', ' ')} {item.name} of {item.table.name}"
        case _:
            return repr(change)
