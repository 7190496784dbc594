"""What a database is asked once it is reached: whether the service can be run on it as it is set."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from todoservice import migrations
from todoservice.database import security
from todoservice.database.client import NotReady
from todoservice.doctor.capacity import Capacity
from todoservice.doctor.report import MIGRATIONS, SERVICE, Code, Facts, Finding, Severity
from todoservice.models import SCHEMA
from todoservice.plugins import Plugin
from todoservice.settings import Settings

OLDEST: Final = 15
"""The first version of PostgreSQL that the service is tested with."""
SKEW: Final = 1.0
"""Seconds by which two clocks may differ before rows look as if made at another time."""

_LIMITS: Final = (
    "SELECT current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int"
    " + coalesce(current_setting('reserved_connections', true)::int, 0), current_setting('transaction_read_only')"
)
_CLOCK: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"
_MAY_MIGRATE: Final = (
    "SELECT current_user, coalesce((SELECT pg_has_role(current_user, nspowner, 'USAGE') FROM pg_catalog.pg_namespace"  # noqa: S608 - constants only
    f" WHERE nspname = '{SCHEMA}'), has_database_privilege(current_database(), 'CREATE'))"
)


@dataclass(frozen=True)
class ServiceQuestions:
    """What the database of the service's URL is asked."""

    settings: Settings
    plugins: Sequence[Plugin]
    clock: Callable[[], float] = time.time

    def __call__(self, connection: Connection, facts: Facts) -> Iterator[Finding]:
        """Fill in `facts`, and yield what is found. Raises DBAPIError."""
        yield from version_findings(facts.server_version or "")
        yield from self._limits(connection, facts)
        yield from self._clock(connection, facts)
        yield from self._schema(connection)

    def _limits(self, connection: Connection, facts: Facts) -> Iterator[Finding]:
        most, reserved, read_only = connection.exec_driver_sql(_LIMITS).one()
        if read_only == "on":
            what = "it takes no changes: it is a read replica, or default_transaction_read_only is set for the role"
            yield _finding(Code.READ_ONLY, Severity.ERROR, what, f"set {SERVICE} to the primary compute's URL")
        size = self.settings.pool_size
        capacity = Capacity(most, reserved, size, facts.pooled)
        facts.max_connections, facts.processes = most, capacity.busy_processes
        wanted = size if facts.pooled else 2 * size
        if capacity.at_work < wanted:
            whose = "the pooler has" if facts.pooled else "roles such as the service's get"
            what = f"{whose} {capacity.at_work} connections, and " + (
                f"TODOSERVICE_POOL_SIZE is {size}" if facts.pooled
                else f"while one process takes over from another, two with TODOSERVICE_POOL_SIZE {size} need {wanted}"
            )  # fmt: skip
            fitting = max(1, capacity.at_work * size // wanted)
            mend = f"set TODOSERVICE_POOL_SIZE to {fitting} at most, or choose a larger compute"
            yield _finding(Code.CONNECTIONS, Severity.WARNING, what, mend)

    def _clock(self, connection: Connection, facts: Facts) -> Iterator[Finding]:
        before = self.clock()
        theirs = float(connection.exec_driver_sql(_CLOCK).scalar_one())
        after = self.clock()
        facts.clock_ahead = ahead = theirs - (before + after) / 2
        if abs(ahead) - (after - before) / 2 > SKEW:
            what = f"its clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
            what += ", which says when a row was made and which is newest"
            yield _finding(Code.CLOCK, Severity.WARNING, what, "let this machine set its clock by NTP")

    def _schema(self, connection: Connection) -> Iterator[Finding]:
        behind = False
        try:
            migrations.verify(connection, self.plugins)
        except NotReady as error:
            behind = True
            what, _, mend = str(error).rpartition(": ")
            yield _finding(Code.SCHEMA, Severity.ERROR, what, mend)
        owners = migrations.owners(migrations.histories(self.plugins))
        isolation = security.inspect(connection, owners)
        severity = Severity.ERROR if self.settings.require_isolation else Severity.WARNING
        if roles := [fault for fault in isolation.faults if fault.code == "bypass"]:
            what = f"isolation is degraded: {'; '.join(fault.what for fault in roles)}"
            mend = f"set {MIGRATIONS} to this URL, {security.PROVISION}"
            yield _finding(Code.OWNER, severity, what, mend)
        if (others := len(isolation.faults) - len(roles)) and not behind:
            what = f"isolation is degraded: {others} thing{'s' * (others > 1)} in the database's schema"
            yield _finding(Code.ISOLATION, severity, what, "run `todoservice check`, which tells each and its mend")


def migration_questions(connection: Connection, _facts: Facts) -> Iterator[Finding]:
    """Yield whether the role of the migrations' URL may run them. Raises DBAPIError."""
    role, may = connection.exec_driver_sql(_MAY_MIGRATE).one()
    if not may:
        what = f"the role {role} may not change the tables"
        mend = "set it to the owner's URL, such as neondb_owner's"
        yield Finding(Code.MIGRATION_ROLE, Severity.ERROR, MIGRATIONS, what, mend)


def version_findings(version: str) -> Iterator[Finding]:
    """Yield whether a server of this version is too old."""
    if int(version.partition(".")[0]) < OLDEST:
        what = f"it runs PostgreSQL {version}, and the service is tested with {OLDEST} and later"
        yield _finding(Code.VERSION, Severity.WARNING, what, f"make a project or branch with {OLDEST} or later")


def _finding(code: Code, severity: Severity, what: str, mend: str) -> Finding:
    return Finding(code, severity, SERVICE, what, mend)
