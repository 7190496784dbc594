"""`NEON_DATABASE_URL` as people paste it, made the URL that SQLAlchemy needs."""

import os
from ipaddress import ip_address
from typing import Final

from psycopg2 import ProgrammingError
from psycopg2.extensions import make_dsn
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

SPELLINGS: Final = ("postgres", "postgresql", "postgresql+psycopg2")
_VERIFYING: Final = ("verify-ca", "verify-full")
_POOLER: Final = "-pooler"
_WRITE: Final = "write postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require"


class BadDatabaseURL(ValueError):
    """A database URL that cannot be used. The message says what to write and never shows the URL."""


def parse_url(text: str) -> URL:
    """Return the psycopg2 URL that `text` means: any of `SPELLINGS`, quotes and a leading `psql` taken off.

    A host that is not this machine gets `sslmode=require` where none is given, or what libpq's environment says where
    that verifies more.
    Raises BadDatabaseURL for another driver, or for what is no URL.
    """
    try:
        url = make_url(text.strip().removeprefix("psql ").strip().strip("'\""))
    except (ArgumentError, ValueError):
        msg = f"is not a database URL: {_WRITE}"
        raise BadDatabaseURL(msg) from None
    if url.drivername not in SPELLINGS:
        msg = f"names the driver {url.drivername!r}, and the service speaks psycopg2 only: {_WRITE}"
        raise BadDatabaseURL(msg)
    if url.host and "@" in url.host:
        msg = "has an @ in its password: write %40 for it"
        raise BadDatabaseURL(msg)
    if not url.database:
        msg = f"names no database: {_WRITE}"
        raise BadDatabaseURL(msg)
    url = _with_host(url.set(drivername="postgresql+psycopg2"))
    if "sslmode" not in url.query and not all(map(is_local, _hosts(url))):
        url = url.update_query_dict({"sslmode": _default_sslmode(url)})
    _see_that_libpq_reads(url)
    return url


def is_pooled(url: URL) -> bool:
    """Say whether the host is a pooled endpoint of Neon's: by its first label, as Neon's proxy does."""
    return (url.host or "").partition(".")[0].lower().endswith(_POOLER)


def unpooled(url: URL) -> URL:
    """Return the URL of the database itself where the host is its pooler's."""
    label, dot, rest = (url.host or "").partition(".")
    return url.set(host=label[: -len(_POOLER)] + dot + rest) if is_pooled(url) else url


def _with_host(url: URL) -> URL:
    """Return the URL with a host that is given as `?host=` where hosts belong. Socket directories and lists stay."""
    host, port = url.query.get("host"), url.query.get("port", "")
    if url.host or not isinstance(host, str) or host.startswith(("/", "@")) or "," in host:
        return url
    url = url.difference_update_query(["host"]).set(host=host)
    if isinstance(port, str) and port.isdecimal():
        url = url.difference_update_query(["port"]).set(port=int(port))
    return url


def _hosts(url: URL) -> list[str]:
    """Return the hosts that libpq tries, one after the other."""
    given = url.host or url.query.get("host", ())
    return given.split(",") if isinstance(given, str) else list(given)


def _default_sslmode(url: URL) -> str:
    # With the machine's own authorities libpq takes no weaker one.
    if url.query.get("sslrootcert", os.environ.get("PGSSLROOTCERT")) == "system":
        return "verify-full"
    mode = os.environ.get("PGSSLMODE", "")
    return mode if mode in _VERIFYING else "require"


def _see_that_libpq_reads(url: URL) -> None:
    parameters = {name: value for name, value in url.query.items() if isinstance(value, str)}
    try:
        make_dsn(**parameters)
        float(parameters.get("connect_timeout", 0))
    except ProgrammingError as error:
        msg = f"has a parameter that libpq does not know: {' '.join(str(error).split())}"
        raise BadDatabaseURL(msg) from None
    except ValueError:
        msg = "has a connect_timeout that is no number: write seconds, such as connect_timeout=10"
        raise BadDatabaseURL(msg) from None


def is_local(host: str) -> bool:
    """Say whether a host is this machine."""
    if host == "localhost" or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
