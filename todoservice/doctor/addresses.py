"""What a database URL says by itself, before anything is connected to."""

import os
import re
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus, unquote

from sqlalchemy import URL

from todoservice.database.url import is_local, is_pooled, unpooled
from todoservice.doctor.report import MIGRATIONS, SERVICE, Code, Facts, Finding, Severity

HIDDEN: Final = "***"

_ENVIRONMENT: Final = {
    "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT", "channel_binding": "PGCHANNELBINDING",
    "options": "PGOPTIONS",
}  # fmt: skip
"""Where libpq looks for a parameter that the URL lacks (PostgreSQL, "Environment Variables")."""
_NEONS_OWN: Final = ("endpoint=", "project=", "neon_")
"""How the options begin that Neon's proxy takes for itself."""


class Address:
    """The URL that a variable has, and what libpq makes of it."""

    def __init__(self, name: str, text: str, url: URL) -> None:
        """Take the URL `url`, which the variable `name` has as `text`."""
        self.name = name
        self.url = url
        self.pooled = is_pooled(url)
        self._text = text

    def parameter(self, name: str) -> str:
        """Return a parameter of libpq's, or ""."""
        given = self.url.query.get(name) or os.environ.get(_ENVIRONMENT[name], "")
        return given if isinstance(given, str) else given[-1]

    @property
    def is_neon(self) -> bool:
        """Whether the host is one of Neon's endpoints."""
        return (self.url.host or "").startswith("ep-")

    @property
    def root(self) -> str:
        """The file with the authorities that certificates are verified by, "system" for the machine's own, or ""."""
        named = self.parameter("sslrootcert") or str(Path.home() / ".postgresql" / "root.crt")
        return named if named == "system" or Path(named).exists() else ""

    @property
    def verified(self) -> str:
        """What the client verifies of the server, as `Facts` has it."""
        mode = self.parameter("sslmode")
        if mode == "verify-full":
            return "certificate, host"
        # So libpq documents it: with a root certificate "require" is as "verify-ca".
        if mode == "verify-ca" or (mode == "require" and self.root):
            return "certificate"
        return "channel binding" if self.parameter("channel_binding") == "require" else "nothing"

    def facts(self) -> Facts:
        """Return what is to be seen without a connection."""
        given = self.url.query.get("host", "a socket of this machine")
        several = given if isinstance(given, str) else ",".join(given)
        host = f"{self.url.host}:{self.url.port or 5432}" if self.url.host else several
        return Facts(host, self.url.database, self.url.username, self.pooled, verified=self.verified)

    def findings(self) -> Iterator[Finding]:
        """Yield what to change in it."""
        yield from self._spelling()
        yield from self._fitness()
        if self.url.host and not is_local(self.url.host):
            yield from self._tls()

    def _finding(self, code: Code, severity: Severity, what: str, mend: str = "") -> Finding:
        return Finding(code, severity, self.name, what, mend)

    def _spelling(self) -> Iterator[Finding]:
        bare = self._text.strip()
        seen = [
            ("there is white space around it", bare != self._text),
            ("it begins with psql", bare.startswith("psql ")),
            ("it is in quotes", bare.removeprefix("psql ").strip()[:1] in {"'", '"'}),
            ("it begins with postgres://, which SQLAlchemy does not know", "postgres://" in bare),
        ]
        if told := ", ".join(what for what, so in seen if so):
            what = f"{told}: the service reads it all the same, and other programs may not"
            yield self._finding(
                Code.SPELLING, Severity.NOTE, what, "write postgresql://USER:PASSWORD@HOST/DATABASE?..."
            )

    def _fitness(self) -> Iterator[Finding]:
        if self.name == MIGRATIONS and self.pooled:
            what = "it is the pooled endpoint's: `todoservice db` connects to the direct one instead"
            yield self._finding(Code.POOLED, Severity.NOTE, what, "take -pooler out of its host")
        if self.name == SERVICE and self.is_neon and not self.pooled:
            what = "it is the direct endpoint's, where each connection of each process takes one of max_connections"
            label = (self.url.host or "").partition(".")[0]
            mend = f"to run many processes, write {label}-pooler for {label}"
            yield self._finding(Code.DIRECT, Severity.NOTE, what, mend)
        refused = [part for part in self.parameter("options").split() if not part.startswith(_NEONS_OWN)]
        if self.pooled and self.name == SERVICE and refused:
            where = "options" if "options" in self.url.query else "PGOPTIONS"
            what = f"it sets parameters at the start of a connection ({where}), which a pooler refuses"
            mend = f"take them out, and set them for the role: ALTER ROLE {self.url.username} SET ... = ..."
            yield self._finding(Code.OPTIONS, Severity.ERROR, what, mend)

    def _tls(self) -> Iterator[Finding]:
        mode = self.parameter("sslmode")
        if mode in {"disable", "allow", "prefer"}:
            severity = Severity.ERROR if self.is_neon and mode == "disable" else Severity.WARNING
            what = f"with sslmode={mode} " + (
                "nothing is encrypted, the data neither"
                if mode == "disable"
                else "whoever is in between can turn TLS off"
            )
            yield self._finding(Code.TLS_OFF, severity, what, f"write {_strict()}")
        elif mode not in {"", "verify-full"} and self.root == "system":
            what = f"libpq takes no sslmode={mode} where sslrootcert=system"
            yield self._finding(Code.TLS_ROOT, Severity.ERROR, what, f"write {_strict()}")
        elif mode.startswith("verify") and not self.root:
            lacking = self.parameter("sslrootcert") or "~/.postgresql/root.crt"
            what = f"sslmode={mode} needs a file with the authorities to verify by, and there is no {lacking}"
            yield self._finding(Code.TLS_ROOT, Severity.ERROR, what, f"write {_strict()}")
        elif self.verified == "certificate":
            what = f"with sslmode={mode} the certificate is verified, and not that it is this host's"
            yield self._finding(Code.TLS_HOST, Severity.WARNING, what, f"write {_strict()}")
        elif self.verified == "nothing":
            what = f"sslmode={mode} encrypts and verifies nothing: whoever is in between can be the server"
            mend = f"write {_strict()}; or channel_binding=require beside it, which Neon's endpoints offer"
            yield self._finding(Code.TLS_UNVERIFIED, Severity.WARNING, what, mend)


def compared(service: Address, migrations: Address) -> Iterator[Finding]:
    """Yield whether the two lead to different databases."""
    one, other = (unpooled(address.url) for address in (service, migrations))
    if (one.host, one.port or 5432, one.database) != (other.host, other.port or 5432, other.database):
        what = (
            f"it leads to the database {other.database} of {other.host}, and {SERVICE} to {one.database} of "
            f"{one.host}: what is migrated is not what is served"
        )
        yield Finding(Code.ELSEWHERE, Severity.WARNING, MIGRATIONS, what, "set both to the URLs of one branch")


def redacted(text: str, secrets: Iterable[str]) -> str:
    """Return a text with every one of the secrets hidden where it stands as a word."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
    return text


def secrets(texts: Iterable[str]) -> set[str]:
    """Return the passwords of the URLs `texts`, in every spelling: of those too that are no URL by their fault."""
    found: set[str] = set()
    for text in texts:
        # A password that was not encoded may go on to the last @.
        for until in ("[^@]*", ".*"):
            found |= {given for given in re.findall(rf"://[^:@]*:({until})@", text) if given}
        found |= {given for given in re.findall(r"[?&](?:ssl)?password=([^&\s'\"]+)", text) if given}
    return {
        spelled for secret in found for spelled in (secret, unquote(secret), quote(unquote(secret), safe=""),
        quote_plus(unquote(secret)))
    }  # fmt: skip


def _strict() -> str:
    """Return the parameters that verify all there is, with the authorities that this machine has."""
    return f"sslmode=verify-full&sslrootcert={ssl.get_default_verify_paths().cafile or 'system'}"
