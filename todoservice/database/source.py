"""Where the database is: behind `NEON_DATABASE_URL`, or embedded in this process's keeping."""

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psycopg2
from sqlalchemy import URL, make_url

from todoservice.database import embedded, roles
from todoservice.migrations import transaction
from todoservice.settings import Settings, StartupError

logger = logging.getLogger("todoservice")

_EMBEDDED: Final = make_url("postgresql+psycopg2:///todoservice")
_LOGIN: Final = "todoservice_login"


class Source:
    """The database that the settings mean.

    Raises StartupError where they mean none: `NEON_DATABASE_URL` is unset and the embedded server is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        """Choose, and connect to nothing."""
        self._settings = settings
        self.embedded = settings.database_url is None
        self.url: URL = settings.database_url or _EMBEDDED
        self._lease: embedded.Lease | None = None
        if self.embedded and not embedded.installed():
            msg = (
                "NEON_DATABASE_URL is not set: set it to the connection string of a database, "
                "or install the embedded PostgreSQL for development: pip install 'todoservice[embedded]'"
            )
            raise StartupError(msg)

    @property
    def migrates(self) -> bool:
        """Whether the service migrates the database when it starts."""
        return self.embedded or self._settings.auto_migrate

    @property
    def migration_url(self) -> URL:
        """The URL for migrations. That of the embedded server is known while it is held."""
        if self._lease is not None:
            return make_url(self._lease.url).set(drivername="postgresql+psycopg2")
        return self._settings.migration_url or self.url

    def connect_args(self) -> Mapping[str, Any]:
        """Return what a connection needs besides the URL: the embedded server's socket, and the login's password."""
        if self._lease is None:
            return {}
        return self._lease.connect_args | {"user": _LOGIN, "password": _secret(self._lease).read_text()}

    def provision(self, *, rotate: bool = False) -> URL:
        """Make or repair the roles, and return the service's URL with the one that it is to log in with.

        The password is in it where it was made just now, or is known. With `rotate` it is made anew; the connections
        that the service has stay. Raises MigrationError.
        """
        password = secrets.token_urlsafe(32)
        if self._lease is not None:
            password = _keep_secret(_secret(self._lease), password, replace=rotate)
        url = self.migration_url
        with transaction.connected(url) as connection, transaction.told(connection):
            try:
                login = roles.provision(connection, password, renew=rotate or self._lease is not None)
            except PermissionError as error:
                raise transaction.MigrationError(str(error)) from error
        known = self._settings.database_url
        runtime = known if known is not None and known.database == url.database else url
        if login.renewed:
            return runtime.set(username=login.name, password=password)
        if runtime.username == login.name:
            return runtime
        # URL.set takes no password away.
        return URL.create(
            runtime.drivername, login.name, None, runtime.host, runtime.port, runtime.database, runtime.query
        )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the embedded server running during the block; a database elsewhere runs by itself.

        Raises EmbeddedUnavailable.
        """
        if self.embedded:
            data_dir = self._settings.data_dir or embedded.default_data_dir()
            self._lease = embedded.acquire(data_dir)
            logger.info("NEON_DATABASE_URL is not set: using an embedded PostgreSQL, its data in %s", data_dir)
        try:
            self._see_that_it_can_log_in()
            yield
        finally:
            if self._lease is not None:
                self._lease.release()
                self._lease = None

    def _see_that_it_can_log_in(self) -> None:
        """Give the embedded server its roles, where they are not there yet. Raises EmbeddedUnavailable."""
        if self._lease is None:
            return
        try:
            if not _secret(self._lease).exists() or not _answers(self.connect_args()):
                self.provision()
        except (OSError, psycopg2.Error, transaction.MigrationError) as error:
            msg = f"the embedded PostgreSQL in {self._lease.root} has no login for the service: {error}"
            raise embedded.EmbeddedUnavailable(msg) from error

    @asynccontextmanager
    async def held_async(self) -> AsyncIterator[None]:
        """As `held`, without blocking the event loop."""
        context = self.held()
        await asyncio.to_thread(context.__enter__)
        try:
            yield
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)


def _secret(lease: embedded.Lease) -> Path:
    return lease.root / "login-password"


def _keep_secret(file: Path, text: str, *, replace: bool) -> str:
    """Write a file whole, for its owner only, where there is none or with `replace`; return what it then holds."""
    new = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    try:
        if replace:
            new.replace(file)
        else:
            with suppress(FileExistsError):
                file.hardlink_to(new)
    finally:
        new.unlink(missing_ok=True)
    return file.read_text()


def _answers(arguments: Mapping[str, Any]) -> bool:
    """Say whether these arguments open a connection."""
    try:
        connection = psycopg2.connect(**{**arguments, "connect_timeout": 5})
    except psycopg2.OperationalError:
        return False
    with closing(connection):
        return True
