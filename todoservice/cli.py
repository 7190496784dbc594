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
    _add_doctor(commands)
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
    _add_drop(actions)
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


def _add_doctor(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "doctor",
        help="look at how the service is connected",
        description="Look at NEON_DATABASE_URL and NEON_MIGRATION_DATABASE_URL and at the databases that they lead to: "
        "how they are spelled, what TLS verifies, how far away they are, whether they are asleep, migrated and large "
        "enough. Tell what to change. Changes nothing, shows no password, and takes three minutes at most. "
        "Exits with 1 where there is an error, so that the service cannot serve; warnings and notes are no errors.",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object instead of lines")
    parser.set_defaults(run=_doctor)


def _add_plugins(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "plugins",
        help="list the installed plugins, and what is wrong with them; write a new one",
        description="List the installed plugins: those in use, those that are blocked and those that are broken, with "
        "what is wrong and what to do. Asks the database how far each is, where it can be reached. Exits with 1 where "
        "a plugin or the choice of plugins is at fault.",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object instead of a table")
    parser.set_defaults(run=_plugins)
    actions = parser.add_subparsers(title="commands", metavar="COMMAND")
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


def _add_drop(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser(
        "drop",
        help="remove the tables of an uninstalled plugin",
        description="Remove the tables of a plugin that was uninstalled, all their rows, its version table, and what "
        "is granted on them, in one transaction.",
    )
    parser.add_argument("name", metavar="NAME", help="the plugin's name")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--force", action="store_true", help="even if the plugin is installed")
    parser.set_defaults(run=_drop)


def _check(given: argparse.Namespace) -> int:
    from todoservice import check  # noqa: PLC0415
    from todoservice.settings import Settings  # noqa: PLC0415

    report = check.look(Settings.load())
    print(json.dumps(report.as_json(), indent=2) if given.json else report)
    return int(not report.ok)


def _doctor(given: argparse.Namespace) -> int:
    from todoservice import doctor  # noqa: PLC0415

    report = doctor.look()
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


def _plugins(given: argparse.Namespace) -> int:
    from todoservice.plugins import listing  # noqa: PLC0415
    from todoservice.settings import Settings  # noqa: PLC0415

    found = listing.look(Settings.load())
    print(json.dumps(found.as_json(), indent=2) if given.json else found)
    if found.unasked:
        print(f"The database was not asked: {found.unasked}", file=sys.stderr)
    return int(not found.ok)


def _drop(given: argparse.Namespace) -> int:
    from todoservice.database.source import Source  # noqa: PLC0415
    from todoservice.migrations import removal, transaction  # noqa: PLC0415
    from todoservice.plugins.discovery import RESERVED  # noqa: PLC0415
    from todoservice.plugins.host import Host  # noqa: PLC0415
    from todoservice.settings import Settings  # noqa: PLC0415

    settings = Settings.load()
    host = Host.load(settings, serving=False)
    if given.name in RESERVED:
        msg = f"{given.name} is the host's own: name a plugin"
        raise SystemExit(msg)
    if given.name in host.installed and not given.force:
        msg = f"{given.name} is installed, and would miss its tables: uninstall it first, or give --force"
        raise SystemExit(msg)
    others = removal.Others(
        host.installed - {given.name},
        [table for feature in host.features if feature.plugin.name != given.name for table in feature.tables],
    )
    with _held(Source(settings)) as source, transaction.connected(source.migration_url) as connection:
        tables = removal.remains(connection, given.name, others)
        connection.rollback()
        if tables and not given.yes:
            _confirm(tables, str(source.migration_url.database))
        dropped = removal.drop(connection, given.name, others)
    print("\n".join(f"dropped {table}" for table in dropped))
    return 0


def _confirm(tables: Sequence[str], database: str) -> None:
    """Ask whether these tables are to be dropped. Raises SystemExit where they are not."""
    what = f"{', '.join(tables)} and all their rows are to be removed from the database {database!r}"
    if not sys.stdin.isatty():
        msg = f"{what}: there is nobody to ask, so give --yes"
        raise SystemExit(msg)
    if input(f"{what}. Remove them? [y/N] ").strip().lower() not in {"y", "yes"}:
        msg = "nothing was removed"
        raise SystemExit(msg)


@contextmanager
def _database() -> Iterator[tuple["Source", list["Plugin"]]]:
    """Yield where the database is, and the installed plugins in start order.

    Raises SystemExit with the line to print.
    """
    from todoservice.database.source import Source  # noqa: PLC0415
    from todoservice.plugins.host import Host  # noqa: PLC0415
    from todoservice.settings import Settings  # noqa: PLC0415

    settings = Settings.load()
    source = Source(settings)
    plugins = Host.load(settings, serving=False).accept().plugins
    with _held(source):
        yield source, plugins


@contextmanager
def _held(source: "Source") -> Iterator["Source"]:
    """Keep the database running during the block. Raises SystemExit with the line to print where it fails."""
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    from todoservice.database.embedded import EmbeddedUnavailable  # noqa: PLC0415
    from todoservice.migrations.transaction import MigrationError, explained  # noqa: PLC0415

    try:
        with source.held():
            yield source
    except (EmbeddedUnavailable, MigrationError) as error:
        raise SystemExit(str(error)) from error
    except DBAPIError as error:
        raise SystemExit(explained(error)) from error
