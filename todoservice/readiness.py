"""What has to be so before the first statement is served: the schema is current, and users are kept apart."""

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from todoservice import migrations
from todoservice.database import catalogue, security
from todoservice.database.client import NotReady
from todoservice.database.source import Source
from todoservice.door import HostDoor
from todoservice.plugins import Plugin
from todoservice.problems import ServiceUnavailable
from todoservice.settings import Settings

logger = logging.getLogger("todoservice")


class IsolationDegraded(NotReady):
    """Users could be kept apart better than they are. The message says how, and what mends it."""


class Readiness:
    """Looks at one app's database, and migrates it where that is the service's to do."""

    def __init__(
        self, settings: Settings, source: Source, plugins: Sequence[Plugin], installed: Collection[str] = ()
    ) -> None:
        """Look at the database of `source`, for these plugins' tables. `installed` names the unused ones too."""
        self._settings = settings
        self._source = source
        self._plugins = plugins
        histories = migrations.histories(plugins)
        self._owners = migrations.owners(histories)
        self._rules = (
            [catalogue.statement(self._owners, settings.functions, catalogue.UNDECLARED)]
            if settings.require_isolation
            else []
        )
        """The statements of the rules that `security.inspect` does not check: the service starts without them."""
        self.door = HostDoor(histories, *self._rules)
        """Lets the statements of `verify` through."""
        self._installed = {*installed, *(plugin.name for plugin in plugins)}
        self._migrated = False
        self._told = ""
        self._looked = False

    def verify(self, connection: Connection) -> str:
        """Return what has to travel before every prefix: nothing, or the switch to the role that holds the grants.

        Raises NotReady where the database cannot be served from.
        """
        self._tell_leftovers(migrations.verify(connection, self._plugins))
        isolation = security.inspect(connection, self._owners)
        for text in self._rules:
            isolation = replace(isolation, faults=(*isolation.faults, *catalogue.found(connection, text)))
        if isolation.faults:
            self._tell(isolation)
        return f"SELECT set_config('role',{security.literal(isolation.role)},true);" if isolation.role else ""

    def _tell_leftovers(self, tables: Iterable[str]) -> None:
        if not self._looked:
            self._looked = True
            for fault in migrations.leftovers(tables, self._installed):
                logger.warning("%s", fault)

    def _tell(self, isolation: security.Isolation) -> None:
        mendable = self._source.migrates and not self._migrated
        mendable = mendable and any(fault.mend == security.UPGRADE for fault in isolation.faults)
        message = f"isolation is degraded: {isolation}"
        if mendable or self._settings.require_isolation:
            raise IsolationDegraded(message)
        if message != self._told:
            self._told = message
            logger.warning("%s", message[0].upper() + message[1:])

    def migrate(self) -> None:
        """Migrate the database. Raises ServiceUnavailable or NotReady."""
        from todoservice.migrations import runner  # noqa: PLC0415 - Alembic takes longer to import than all the rest

        try:
            applied = runner.upgrade(self._source.migration_url, self._plugins)
        except runner.DatabaseUnreachable as error:
            raise ServiceUnavailable from error
        except runner.MigrationError as error:
            raise NotReady(str(error)) from error
        self._migrated = True
        for revision in applied:
            logger.info("Migrated %s", revision)
