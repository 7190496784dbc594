"""`todoservice check`: how well this database keeps users apart, and whether every declared query is proven."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy.exc import DBAPIError

from todoservice import migrations
from todoservice.app import create_app
from todoservice.database import catalogue
from todoservice.database.client import NotReady
from todoservice.database.embedded import EmbeddedUnavailable
from todoservice.database.security import UPGRADE
from todoservice.database.source import Source
from todoservice.migrations import transaction
from todoservice.plugins import Fault, Plugin
from todoservice.plugins.host import Host
from todoservice.settings import Settings

REACH = "see that NEON_DATABASE_URL is right and that the database runs: until then nothing is known of it"


@dataclass(frozen=True)
class Finding:
    """Something that weakens isolation, or keeps it from being looked at."""

    code: str
    """A word for its kind, the same in every release."""
    what: str
    mend: str

    def __str__(self) -> str:
        """Tell it in one line."""
        return f"{self.code}  {self.what}: {self.mend}" if self.mend else f"{self.code}  {self.what}"


@dataclass
class Report:
    """What was looked at, and what was found."""

    role: str | None = None
    """The role that the service logs in with, where the database was reached."""
    tables: list[str] = field(default_factory=list)
    """The tables that the host and the installed plugins declare."""
    queries: list[str] = field(default_factory=list)
    """The declared queries, each as feature.name."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def as_json(self) -> dict[str, Any]:
        """Return `ok`, `role`, `tables`, `queries` and `findings`, each finding as `code`, `what` and `mend`."""
        return {"ok": self.ok, **asdict(self)}

    def __str__(self) -> str:
        """Tell each finding in a line, and then in one what was looked at."""
        looked = f"{_count(self.tables, 'table')} and {_count(self.queries, 'declared query', 'declared queries')}"
        looked += f", as the role {self.role}" if self.role else ", but not at the database"
        found = "nothing to mend" if self.ok else _count(self.findings, "thing to mend", "things to mend")
        return "\n".join([*map(str, self.findings), f"{found}; looked at {looked}"])


def look(settings: Settings) -> Report:
    """Look at the installed plugins and at the database that the service would use, and change nothing.

    Raises StartupError where the settings mean no database.
    """
    source = Source(settings)
    report = Report()
    host = Host.load(settings)
    report.findings += map(_finding, host.faults)
    report.queries = sorted(statement.name for statement in host.statements.declared)
    if not host.faults:
        report.findings += map(_finding, (*host.warnings, *host.checks(create_app(settings))))
    _look_at_database(report, source, host.plugins, settings.functions)
    return report


def _finding(fault: Fault) -> Finding:
    return Finding(fault.code.value, f"{fault.whose}: {fault.message}" if fault.plugin else fault.message, fault.hint)


def _look_at_database(report: Report, source: Source, plugins: Sequence[Plugin], functions: Sequence[str]) -> None:
    histories = migrations.histories(plugins)
    owners = migrations.owners(histories)
    report.tables = sorted(owners)
    try:
        with ExitStack() as stack:
            stack.enter_context(source.held())
            connection = stack.enter_context(transaction.connected(source.url, source.connect_args()))
            report.role = connection.exec_driver_sql("SELECT current_user").scalar()
            report.findings += _schema_findings(connection, plugins)
            faults = catalogue.verify(connection, owners, functions)
            report.findings += (Finding(fault.code, fault.what, fault.mend) for fault in faults)
    except (transaction.DatabaseUnreachable, EmbeddedUnavailable) as error:
        report.findings.append(Finding("database", str(error), REACH))
    except DBAPIError as error:
        report.findings.append(Finding("database", transaction.explained(error), UPGRADE))


def _schema_findings(connection: Any, plugins: Sequence[Plugin]) -> Iterator[Finding]:
    try:
        migrations.verify(connection, plugins)
    except NotReady as error:
        yield Finding("schema", str(error), "")


def _count(items: Sequence[object], one: str, several: str = "") -> str:
    return f"{len(items)} {one if len(items) == 1 else several or one + 's'}"
