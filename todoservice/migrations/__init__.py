"""What the database's revisions are and should be, without Alembic: to import that costs more than all the rest.

Each plugin has a history of its own: revision files in `<package>/migrations`, and a version table. So has the host.
"""

import ast
import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

import todoservice
from todoservice.database import security
from todoservice.database.client import NotReady
from todoservice.models import SCHEMA, Owned, User
from todoservice.plugins import Code, Fault, Plugin, PluginError

VERSION_TABLE: Final = security.VERSION_TABLE
"""How the name of every version table ends; the plugin's name comes before it."""
LONGEST_ID: Final = 32
"""Characters of a revision id: Alembic's version tables hold no more."""

VERSION_TABLES: Final = (
    "SELECT c.relname FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"  # noqa: S608 - constants only
    f" WHERE n.nspname = '{SCHEMA}' AND c.relkind = 'r' AND right(c.relname, {len(VERSION_TABLE)}) = '{VERSION_TABLE}'"
)
"""Which version tables the database has."""
UNION: Final = " UNION ALL "

_INSUFFICIENT_PRIVILEGE: Final = "42501"

logger = logging.getLogger("todoservice")


class SchemaBehind(NotReady):
    """The database lacks migrations that the code needs. The message names them, and the command that mends it."""


@dataclass(frozen=True)
class Revision:
    """How far a plugin's tables are (`current`), and how far its code needs them (`head`). None is before the first."""

    plugin: str
    current: str | None
    head: str | None
    ahead: bool = False
    """Whether the code does not know `current`: the database was migrated by a newer version."""

    @property
    def behind(self) -> bool:
        """Whether migrations are to be run."""
        return not self.ahead and self.current != self.head

    @property
    def state(self) -> str:
        """One word for it: current, behind or ahead."""
        return "ahead" if self.ahead else "behind" if self.behind else "current"


@dataclass(frozen=True)
class Script:
    """A revision file: its id, and the ids it follows."""

    file: Path
    id: str
    after: tuple[str, ...]


@dataclass(frozen=True)
class History:
    """The revisions of one plugin, as its files tell them, and the tables that they are to make."""

    plugin: Plugin
    folder: Path | None
    """Where its revisions are, or would be; None for a module that is no package."""
    tables: frozenset[sa.Table]
    owners: Mapping[str, str | None] = field(default_factory=dict, compare=False)
    """The names of its tables, each with the column that names a row's owner, or None for a shared one."""

    @classmethod
    def of(cls, plugin: Plugin) -> Self:
        """Return the history of a plugin."""
        package = getattr(plugin.module, "__path__", None)
        models: Callable[[], Iterable[Any] | None] = getattr(plugin.module, "todoservice_models", tuple)
        found = tuple(models() or ())
        owners = {model.__table__.name: "user_id" if issubclass(model, Owned) else None for model in found}
        return cls(plugin, Path(package[0], "migrations") if package else None, _tables(found), owners)

    @classmethod
    def host(cls) -> Self:
        """Return the history of the host's own tables: `todoservice` is its plugin's name."""
        plugin = Plugin("todoservice", todoservice, distribution=f"todoservice {todoservice.__version__}")
        return cls(plugin, Path(__file__).parent / "versions", _tables([User]), {"users": "id"})

    @property
    def version_table(self) -> str:
        """The name of the table, in the schema `todoservice`, that says how far the database is."""
        return self.plugin.name + VERSION_TABLE

    @property
    def version_query(self) -> str:
        """The statement that reads the plugin's name and how far its tables are."""
        table = f"{SCHEMA}.{security.quoted(self.version_table)}"
        return f"SELECT {security.literal(self.plugin.name)} AS plugin, version_num AS version FROM {table}"  # noqa: S608 - quoted

    @property
    def installed(self) -> bool:
        """Whether the package is a copy in `site-packages`: what is written there is lost with the next install."""
        return self.folder is not None and not {"site-packages", "dist-packages"}.isdisjoint(self.folder.parts)

    @cached_property
    def scripts(self) -> dict[str, Script]:
        """The revisions by their ids. Raises PluginError with each file that is none."""
        faults: list[Fault] = []
        scripts: dict[str, Script] = {}
        for file in self._files:
            try:
                script = _read(file)
            except (ValueError, SyntaxError) as error:
                message, _, hint = str(error).partition(": ")
                faults.append(self._fault(f"{file.name}: {message}", hint or "mend it"))
                continue
            if script.id in scripts:
                message = f"{scripts[script.id].file.name} and {file.name} are both {script.id}"
                faults.append(self._fault(message, "give one of them another revision"))
            scripts[script.id] = script
        if faults:
            raise PluginError(*faults)
        return scripts

    def _fault(self, message: str, hint: str) -> Fault:
        return self.plugin.fault(Code.HISTORY, message, hint)

    @property
    def _files(self) -> list[Path]:
        if self.folder is None or not self.folder.is_dir():
            return []
        return sorted(file for file in self.folder.glob("*.py") if not file.name.startswith(("__init__", ".#")))

    @property
    def head(self) -> str | None:
        """The id of the last revision, or None where there is none. Raises PluginError where that cannot be told."""
        followed = {before for script in self.scripts.values() for before in script.after}
        ends = [script for script in self.scripts.values() if script.id not in followed]
        if unknown := sorted(followed - self.scripts.keys()):
            message = f"a migration follows {', '.join(unknown)}, which is not in {self.folder}"
            raise PluginError(self._fault(message, "restore it"))
        if len(ends) > 1:
            message = f"{' and '.join(script.file.name for script in ends)} are both last"
            hint = "set the down_revision of one to the revision of the other"
            raise PluginError(self._fault(message, hint))
        if self.scripts and not ends:
            raise PluginError(self._fault("its migrations follow each other in a circle", "mend their down_revision"))
        return ends[0].id if ends else None

    def check(self) -> None:
        """Raise PluginError where the files cannot make the tables."""
        if self.tables and self.head is None:
            raise PluginError(self.plugin.fault(Code.MIGRATIONS, *self._lack))

    @property
    def _lack(self) -> tuple[str, str]:
        message = "it has models and no migrations"
        if self.folder is None:
            return message, "make its module a package, so that it can have a folder of migrations"
        if self.installed:
            place = f"{self.folder.parent.name}/{self.folder.name}"
            return f"{message}: its distribution was built without {place}", "tell its author"
        return message, f"write them with `todoservice db revision -p {self.plugin.name} -m {self.plugin.name}`"

    def revision(self, current: str | None) -> Revision:
        """Return how far a database at `current` is."""
        return Revision(self.plugin.name, current, self.head, current is not None and current not in self.scripts)


def _tables(models: Iterable[Any]) -> frozenset[sa.Table]:
    return frozenset(model.__table__ for model in models)


def _read(file: Path) -> Script:
    """Read a revision's constants without running it. Raises ValueError or SyntaxError."""
    constants: dict[str, Any] = {}
    for node in ast.parse(file.read_bytes(), file.name).body:
        match node:
            case (
                ast.Assign(targets=[ast.Name(id="revision" | "down_revision" as constant)], value=value)
                | ast.AnnAssign(target=ast.Name(id="revision" | "down_revision" as constant), value=ast.expr() as value)
            ):
                constants[constant] = _literal(constant, value)
    name, after = constants.get("revision"), constants.get("down_revision") or ()
    if not isinstance(name, str) or not re.fullmatch(r"[^\s@+-]+", name):
        msg = 'has no `revision = "..."`: write it, or move the file elsewhere'
        raise ValueError(msg)
    if len(name) > LONGEST_ID:
        msg = f"its revision id is longer than {LONGEST_ID} characters: shorten it"
        raise ValueError(msg)
    return Script(file, name, (after,) if isinstance(after, str) else tuple(after))


def _literal(name: str, value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        msg = f"its {name} is computed: write it as a constant, so that it can be read without running the file"
        raise ValueError(msg) from None


def faults(plugin: Plugin) -> tuple[Fault, ...]:
    """Return what is wrong with the plugin's migrations, as files."""
    try:
        history = History.of(plugin)
        history.check()
        _ = history.head
    except PluginError as error:
        return error.faults
    return ()


def histories(plugins: Iterable[Plugin]) -> list[History]:
    """Return the history of the host and of each plugin that has one, in the order given.

    Raises PluginError with all faults of those whose files are no history.
    """
    plugins = tuple(plugins)
    if found := [fault for plugin in plugins for fault in faults(plugin)]:
        raise PluginError(*found)
    return [history for history in (History.host(), *map(History.of, plugins)) if history.head is not None]


def heads(plugins: Iterable[Plugin]) -> dict[str, str]:
    """Return the last revision of the host and of each plugin, by name.

    Raises PluginError, one line for each fault: several last revisions, files that are none, models without any.
    """
    return {history.plugin.name: str(history.head) for history in histories(plugins)}


def owners(of: Iterable[History]) -> dict[str, str | None]:
    """Return the tables that the host and the plugins declare, as `database.security` takes them."""
    return {name: column for history in of for name, column in history.owners.items()}


def owner(table: str, names: Iterable[str]) -> str | None:
    """Return the plugin whose name the table's begins with: of `notes` and `notes_tags` the longer one that fits."""
    if table.endswith(VERSION_TABLE):
        return None
    return max((name for name in names if f"{table}_".startswith(f"{name}_")), key=len, default=None)


def version_tables(connection: sa.Connection) -> frozenset[str]:
    """Return the names of the version tables that the database has, those of uninstalled plugins too."""
    return frozenset(_ask(connection, VERSION_TABLES).scalars())


def leftovers(tables: Iterable[str], installed: Collection[str]) -> list[Fault]:
    """Return a warning for each plugin that has a version table among `tables` and is not `installed`."""
    gone = {table.removesuffix(VERSION_TABLE) for table in tables} - {*installed, "todoservice"}
    return [_leftover(name) for name in sorted(gone)]


def _leftover(name: str) -> Fault:
    message = f"it is not installed, and its tables are still in the database, {name}{VERSION_TABLE} among them"
    hint = f"install it again, or remove them with `todoservice db drop {name}`"
    return Fault(Code.LEFTOVER, message, hint, name)


def status(connection: sa.Connection, plugins: Iterable[Plugin]) -> list[Revision]:
    """Ask the database, in two statements at most, how far the host and each plugin are.

    Raises PluginError as `heads` does.
    """
    return states(connection, histories(plugins))


def states(connection: sa.Connection, of: Sequence[History], existing: Collection[str] | None = None) -> list[Revision]:
    """As `status`, for histories. `existing` are the database's version tables, where these are known."""
    existing = version_tables(connection) if existing is None else existing
    current: dict[str, str] = {}
    queries = [history.version_query for history in of if history.version_table in existing]
    if queries:
        for row in _ask(connection, UNION.join(queries)):
            current[row.plugin] = f"{current[row.plugin]}, {row.version}" if row.plugin in current else row.version
    return [history.revision(current.get(history.plugin.name)) for history in of]


def _ask(connection: sa.Connection, text: str) -> sa.CursorResult[Any]:
    return connection.exec_driver_sql(text, execution_options={"no_parameters": True})


def verify(connection: sa.Connection, plugins: Iterable[Plugin]) -> frozenset[str]:
    """See that every migration was run, and return the names of the version tables that there are.

    A database that is ahead is let pass with a warning: during a rolling deploy the older workers meet it.
    Raises SchemaBehind.
    """
    try:
        existing = version_tables(connection)
        found = states(connection, histories(plugins), existing)
    except PluginError as error:
        raise SchemaBehind(str(error)) from error
    except ProgrammingError as error:
        if getattr(error.orig, "pgcode", None) != _INSUFFICIENT_PRIVILEGE:
            raise
        msg = f"the service's role has no grants in this database: {security.UPGRADE}, then {security.PROVISION}"
        raise SchemaBehind(msg) from error
    for revision in found:
        warn_if_ahead(revision)
    if behind := "; ".join(_behind(found)):
        msg = f"the schema is behind: {behind}: run `todoservice db upgrade`"
        raise SchemaBehind(msg)
    return existing


def _behind(revisions: Iterable[Revision]) -> Iterator[str]:
    for revision in revisions:
        if revision.behind:
            yield f"{revision.plugin} is at {revision.current or 'no revision'} and needs {revision.head}"


def warn_if_ahead(revision: Revision) -> None:
    """Log that the database was migrated by a newer version of the plugin, if it was."""
    if revision.ahead:
        logger.warning(
            "The database is ahead: %s is at %s, which the installed version does not know (its last is %s). "
            "That is as it should be during a rolling deploy; else install the newer version",
            revision.plugin, revision.current, revision.head,
        )  # fmt: skip
