"""The engine: what makes connections that wait on the event loop, and the pool that keeps them."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import URL
from sqlalchemy.dialects import registry
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from todoservice.database.libpq import time_limit
from todoservice.database.pool import Pool

NETWORK: Final[Mapping[str, Any]] = {
    # A dead peer is noticed after a minute of silence, or 15 s after it should have acknowledged.
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 15000,
    # Prefixes are sent as UTF-8, whatever the database's own encoding.
    "client_encoding": "utf8",
    # Kerberos would look up and wait on its own, blocking the loop.
    "gssencmode": "disable",
}


def build_pool(
    url: URL,
    *,
    pool_size: int = 10,
    pool_timeout: float = 5.0,
    connect_timeout: float = 10.0,
    application_name: str = "todoservice",
    connect_args: Callable[[], Mapping[str, Any]] | None = None,
    recycle_after: float = 1800.0,
    ping_after: float = 60.0,
) -> Pool:
    """Return a pool for a `postgresql+psycopg2://` URL, without connecting: see `build_engine`, and `Pool` for times.

    Raises ArgumentError for a `connect_timeout` in the URL that is no number.
    """
    engine = build_engine(
        url, connect_timeout=connect_timeout, application_name=application_name, connect_args=connect_args
    )
    return Pool(
        engine, size=pool_size, timeout=pool_timeout, recycle_after=recycle_after, ping_after=ping_after,
        ping_limit=_time_limit(url, connect_timeout),
    )  # fmt: skip


def build_engine(
    url: URL,
    *,
    connect_timeout: float = 10.0,
    application_name: str = "todoservice",
    connect_args: Callable[[], Mapping[str, Any]] | None = None,
) -> AsyncEngine:
    """Return an engine for a `postgresql+psycopg2://` URL, without connecting. See `dialect` for how to use it.

    It makes a connection each time that it is asked for one. `connect_timeout` is in seconds, for a new connection with
    its name look-up and authentication. The URL's own parameters win over ours; `connect_args` is asked at each new
    connection, and wins over both.

    Raises ArgumentError for a `connect_timeout` in the URL that is no number.
    """
    _time_limit(url, connect_timeout)
    registry.register("postgresql.psycopg2_asyncio", "todoservice.database.dialect", "AsyncPsycopg2Dialect")
    defaults = {**NETWORK, "connect_timeout": connect_timeout, "application_name": application_name}
    return create_async_engine(
        url.set(drivername="postgresql+psycopg2_asyncio"),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
        hide_parameters=True,
        use_native_hstore=False,
        connect_args={name: value for name, value in defaults.items() if name not in url.query},
        late_arguments=connect_args or dict,
    )


def _time_limit(url: URL, connect_timeout: float) -> float | None:
    try:
        return time_limit({"connect_timeout": connect_timeout, **url.query})
    except (TypeError, ValueError) as error:
        msg = "connect_timeout in the database URL must be a number of seconds, such as connect_timeout=10"
        raise ArgumentError(msg) from error
