"""Where the database is: behind `NEON_DATABASE_URL`, or embedded in this process's keeping."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from sqlalchemy import URL, make_url

from todoservice.database import embedded
from todoservice.settings import Settings, StartupError

logger = logging.getLogger("todoservice")

_EMBEDDED: Final = make_url("postgresql+psycopg2:///todoservice")


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
        """Return what a connection needs besides the URL: the embedded server's socket and password."""
        return self._lease.connect_args if self._lease else {}

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
            yield
        finally:
            if self._lease is not None:
                self._lease.release()
                self._lease = None

    @asynccontextmanager
    async def held_async(self) -> AsyncIterator[None]:
        """As `held`, without blocking the event loop."""
        context = self.held()
        await asyncio.to_thread(context.__enter__)
        try:
            yield
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)
