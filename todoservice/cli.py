"""The command `todoservice`. What fails is told in one line on stderr, with exit status 1; wrong usage exits with 2."""

import argparse
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import todoservice

if TYPE_CHECKING:
    from todoservice.database.source import Source
    from todoservice.migrations import Revision
    from todoservice.plugins import Plugin

# What a command needs is imported by the command, so that --help answers at once.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, or these arguments, and return the exit status.

    Raises SystemExit with the line to print where the command fails.
    """
    given = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    logging.getLogger("todoservice").setLevel(logging.INFO)
    status: int = given.run(given)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("todoservice", description="Manage todoservice and its database.")
    parser.add_argument("--version", action="version", version=f"todoservice {todoservice.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_check(commands)
    _add_plugins(commands)
    database = commands.add_parser(
        "db",
        help="migrate the database, see how far it is, write migrations",
        description="Works on the database of NEON_MIGRATION_DATABASE_URL, else of NEON_DATABASE_URL, "
        "else on the embedded one, which is started for the while.",
    )
    actions = database.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_upgrade(actions)
    _add_provision(actions)
    _add_status(actions)
    _add_revision(actions)
    return parser


def _add_check(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "check",
        help="look for what weakens isolation",
        description="Look at the database of NEON_DATABASE_URL, with the role that the service has, and at every query "
        "that the installed plugins declare, and tell what weakens isolation and what mends it. Changes nothing. "
        "Exits with 1 where there is anything to mend.",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object instead of lines")
    parser.set_defaults(run=_check)


def _add_plugins(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("plugins", help="write a new plugin")
    actions = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    new = actions.add_parser(
        "new",
        help="write the distribution of a new feature",
        description="Write the distribution of a new feature, todoservice-NAME, which works as it is: a table, five "
        "operations, its migration and its tests.",
    )
    new.add_argument("name", metavar="NAME", help="the feature's name, in the plural: its table's and its URL's too")
    new.add_argument("--into", metavar="FOLDER", type=Path, default=Path(), help="the folder to write it into")
    new.set_defaults(run=_new)


def _add_upgrade(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser(
        "upgrade",
        help="run the migrations that the database lacks",
        description="Run the migrations of the host and of every installed plugin that the database lacks, "
        "in one transaction: all of them, or none.",
    )
    parser.set_defaults(run=_upgrade)


def _add_provision(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser(
        "provision",
        help="make the role that the service logs in with",
        description="Make or repair the role that the service is to log in with, which row-level security binds, close "
        "the database to every other but the owner, and print the URL to set NEON_DATABASE_URL to. Needs the owner's "
        "URL, in NEON_MIGRATION_DATABASE_URL or NEON_DATABASE_URL.",
    )
    parser.add_argument(
        "--rotate", action="store_true",
        help="give the role a new password; the connections that a service has stay open",
    )  # fmt: skip
    parser.set_defaults(run=_provision)


def _add_status(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser(
        "status",
        help="show how far the database is",
        description="Show for the host and every installed plugin the revision that the database is at and the one "
        "that the code needs. Exits with 1 where one is behind.",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON array instead of a table")
    parser.set_defaults(run=_status)


def _add_revision(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser(
        "revision",
        help="write a plugin's next migration",
        description="Compare a plugin's models with its tables in the database, and write the migration from these "
        "to those into its package, which must be installed editable. Read it before you run it.",
    )
    parser.add_argument("-p", "--plugin", metavar="NAME", required=True, help="the plugin whose models changed")
    parser.add_argument("-m", "--message", metavar="TEXT", required=True, help="what changed, in a few words")
    parser.set_defaults(run=_revision)


def _check(given: argparse.Namespace) -> int:
    from todoservice import check  # noqa: PLC0415
    from todoservice.settings import Settings  # noqa: PLC0415

    report = check.look(Settings.load())
    print(json.dumps(report.as_json(), indent=2) if given.json else report)
    return int(not report.ok)


def _new(given: argparse.Namespace) -> int:
    from todoservice import scaffold  # noqa: PLC0415

    try:
        written = scaffold.write(given.name, given.into)
    except (scaffold.CannotWrite, OSError) as error:
        raise SystemExit(str(error)) from error
    folder = written[0].parent
    print(f"{folder} is written. Next: cd {folder}, and see its README.md")
    return 0


def _upgrade(_given: argparse.Namespace) -> int:
    from todoservice.migrations import runner  # noqa: PLC0415

    with _database() as (source, plugins):
        applied = runner.upgrade(source.migration_url, plugins)
    print("\n".join(applied) or "nothing to do")
    return 0


def _provision(given: argparse.Namespace) -> int:
    with _database() as (source, _plugins):
        url = source.provision(rotate=given.rotate)
    if url.password is None:
        print(
            f"{url.username} keeps its password, which nobody but you knows: "
            "put it into the URL, or make a new one with --rotate", file=sys.stderr,
        )  # fmt: skip
    print(url.set(drivername="postgresql").render_as_string(hide_password=False))
    return 0


def _status(given: argparse.Namespace) -> int:
    from todoservice import migrations  # noqa: PLC0415
    from todoservice.migrations import transaction  # noqa: PLC0415

    with _database() as (source, plugins), transaction.connected(source.migration_url) as connection:
        revisions = migrations.status(connection, plugins)
    print(_as_json(revisions) if given.json else _as_table(revisions))
    return int(any(revision.behind for revision in revisions))


def _as_json(revisions: Sequence["Revision"]) -> str:
    return json.dumps(
        [{"plugin": r.plugin, "current": r.current, "head": r.head, "state": r.state} for r in revisions], indent=2
    )


def _as_table(revisions: Sequence["Revision"]) -> str:
    rows = [("PLUGIN", "CURRENT", "HEAD", "STATE")]
    rows += [(r.plugin, r.current or "-", r.head or "-", r.state) for r in revisions]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _revision(given: argparse.Namespace) -> int:
    from todoservice.migrations import History, runner  # noqa: PLC0415

    with _database() as (source, plugins):
        known = {plugin.name: plugin for plugin in (History.host().plugin, *plugins)}
        if given.plugin not in known:
            msg = f"no plugin {given.plugin!r} is installed: there are {', '.join(known)}"
            raise SystemExit(msg)
        written = runner.revision(source.migration_url, known[given.plugin], given.message, plugins)
    print(written or "no differences")
    return 0


@contextmanager
def _database() -> Iterator[tuple["Source", list["Plugin"]]]:
    """Yield where the database is, and the installed plugins in start order.

    Raises SystemExit with the line to print.
    """
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    from todoservice.database.embedded import EmbeddedUnavailable  # noqa: PLC0415
    from todoservice.database.source import Source  # noqa: PLC0415
    from todoservice.migrations.transaction import MigrationError, explained  # noqa: PLC0415
    from todoservice.plugins import Host, discover  # noqa: PLC0415
    from todoservice.settings import Settings  # noqa: PLC0415

    source = Source(Settings.load())
    plugins = [feature.plugin for feature in Host(discover()).features]
    try:
        with source.held():
            yield source, plugins
    except (EmbeddedUnavailable, MigrationError) as error:
        raise SystemExit(str(error)) from error
    except DBAPIError as error:
        raise SystemExit(explained(error)) from error
