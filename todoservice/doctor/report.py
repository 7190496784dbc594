"""What `todoservice doctor` says: what it saw, and what to change."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

SERVICE: Final = "NEON_DATABASE_URL"
MIGRATIONS: Final = "NEON_MIGRATION_DATABASE_URL"


class Severity(StrEnum):
    """What a finding means to the service."""

    ERROR = "error"
    """It cannot serve, or not for long."""
    WARNING = "warning"
    """It serves, and is less safe or slower than it could be."""
    NOTE = "note"
    """Worth knowing; there need be nothing to change."""


class Code(StrEnum):
    """The kind of a finding: the same word in every release."""

    # What the environment says.
    SETTINGS = "settings"
    TIMES = "times"
    URL = "url"
    VARIABLE = "variable"
    UNSET = "unset"
    SPELLING = "spelling"
    DIRECT = "direct"
    POOLED = "pooled"
    OPTIONS = "options"
    TLS_OFF = "tls-off"
    TLS_UNVERIFIED = "tls-unverified"
    TLS_HOST = "tls-host"
    TLS_ROOT = "tls-root"
    ELSEWHERE = "elsewhere"
    # Where the way to the database ends.
    NAME = "name-lookup"
    TCP = "tcp"
    SILENT = "silent"
    TLS = "tls"
    CHANNEL_BINDING = "channel-binding"
    AUTHENTICATION = "authentication"
    ENDPOINT_DISABLED = "endpoint-disabled"
    ENDPOINT_UNKNOWN = "endpoint-unknown"
    QUOTA = "quota"
    ADDRESS = "address-not-allowed"
    NO_DATABASE = "no-database"
    SATURATED = "saturated"
    COMPUTE = "compute"
    UNREACHABLE = "unreachable"
    UNANSWERED = "unanswered"
    # What the database says.
    VERSION = "version"
    READ_ONLY = "read-only"
    OWNER = "owner"
    SCHEMA = "schema"
    ISOLATION = "isolation"
    MIGRATION_ROLE = "migration-role"
    PLUGINS = "plugins"
    LATENCY = "latency"
    COLD_START = "cold-start"
    CLOCK = "clock"
    CONNECTIONS = "connections"


@dataclass(frozen=True)
class Finding:
    """Something to change, or to know."""

    code: Code
    severity: Severity
    about: str
    """The variable that it is about, or "" for none."""
    what: str
    mend: str = ""
    """What to do, where there is something."""


@dataclass
class Facts:
    """What was seen of the database of one URL. None: it was not seen. Times are in seconds."""

    host: str
    """With its port; or the folder of a socket."""
    database: str | None
    user: str | None
    pooled: bool
    tls: str | None = None
    """The protocol of the connection, or "off"."""
    verified: str = ""
    """What the client verifies of the server: "nothing", "channel binding", "certificate", or "certificate, host"."""
    server_version: str | None = None
    first_connect: float | None = None
    """Name look-up, TLS and login included, and a cold start where there was one."""
    connect: float | None = None
    """The same, for the second connection."""
    round_trip: float | None = None
    """The median of a statement's."""
    clock_ahead: float | None = None
    """How far the server's clock is ahead of this machine's."""
    max_connections: int | None = None
    processes: int | None = None
    """How many processes of the service can have all of their pool at work at the same time."""

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield each thing that was seen, with its name."""
        place = f"{self.host}, database {self.database}" + (f", as {self.user}" if self.user else "")
        yield "leads to", f"{place} ({'pooled' if self.pooled else 'direct'})"
        if self.tls is not None:
            yield "TLS", "off" if self.tls == "off" else f"{self.tls}, verified: {self.verified}"
        if self.server_version is not None:
            yield "server", f"PostgreSQL {self.server_version}"
        if self.first_connect is not None and self.connect is not None:
            yield "connecting", f"{_ms(self.first_connect)} at first, {_ms(self.connect)} then, login included"
        if self.round_trip is not None:
            yield "round trip", f"{_ms(self.round_trip)} (median)"
        if self.clock_ahead is not None:
            where = "ahead of" if self.clock_ahead >= 0 else "behind"
            yield "clock", f"{abs(self.clock_ahead):.3f} s {where} this machine's"
        if self.max_connections is not None:
            fit = f"{self.processes} process{'' if self.processes == 1 else 'es'} can have all of their pool at work"
            yield "connections", f"max_connections is {self.max_connections}: {fit}"


@dataclass
class Report:
    """What was seen and found, for each URL that is set."""

    seen: dict[str, Facts] = field(default_factory=dict)
    """By the variable's name."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the service can serve: there is no error, though there may be warnings."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return `ok`; `service` and `migrations`, each null or `Facts`; `findings`, each with Finding's members."""
        service, migrations = (self.seen.get(name) for name in (SERVICE, MIGRATIONS))
        return {
            "ok": self.ok,
            "service": asdict(service) if service else None,
            "migrations": asdict(migrations) if migrations else None,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def __str__(self) -> str:
        """Tell what was seen of each URL, each finding with its mend below, and how many there are."""
        blocks = [f"{name}\n{_aligned(facts.lines())}" for name, facts in self.seen.items()]
        blocks += ["\n".join(self._finding_lines())] if self.findings else []
        return "\n\n".join([*blocks, self._count()])

    def _finding_lines(self) -> Iterator[str]:
        width = max(len(finding.code) for finding in self.findings)
        for finding in self.findings:
            yield f"{finding.severity:<7}  {finding.code:<{width}}  {finding.about}".rstrip()
            yield f"{'':<7}  {finding.what}"
            if finding.mend:
                yield f"{'':<7}  -> {finding.mend}"

    def _count(self) -> str:
        counted = Counter(finding.severity for finding in self.findings)
        told = [f"{counted[kind]} {kind}{'s' * (counted[kind] > 1)}" for kind in Severity if counted[kind]]
        return ", ".join(told) or "nothing to change"

    def changed(self, change: Callable[[str], str]) -> "Report":
        """Return the same, the gravest findings first, with every text that is not a name of ours changed."""
        seen = {name: _with_texts(facts, change) for name, facts in self.seen.items()}
        ordered = sorted(self.findings, key=lambda finding: list(Severity).index(finding.severity))
        return Report(seen, [replace(found, what=change(found.what), mend=change(found.mend)) for found in ordered])


def _with_texts(facts: Facts, change: Callable[[str], str]) -> Facts:
    texts: dict[str, Any] = {name: change(text) for name, text in asdict(facts).items() if isinstance(text, str)}
    return replace(facts, **texts)


def _aligned(rows: Iterator[tuple[str, str]]) -> str:
    return "\n".join(f"  {name:<11}  {text}" for name, text in rows)


def _ms(seconds: float) -> str:
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"  # noqa: PLR2004 - one digit more
