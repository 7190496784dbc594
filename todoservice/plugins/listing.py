"""The plugins of an app as data, for `todoservice plugins` and `GET /-/plugins`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.exc import DBAPIError
from starlette.responses import JSONResponse

from todoservice import migrations
from todoservice.database.embedded import EmbeddedUnavailable
from todoservice.database.source import Source
from todoservice.migrations import transaction
from todoservice.migrations.transaction import MigrationError
from todoservice.plugins.discovery import Found
from todoservice.plugins.faults import Fault
from todoservice.plugins.host import Host
from todoservice.plugins.routes import routes
from todoservice.settings import Settings, StartupError


def listing(host: Host) -> list[dict[str, Any]]:
    """Return each plugin as a JSON object, by name, those that cannot be used too.

    `name`; `distribution` and its `version`, both null for a module given by hand; `state`, which is active, blocked or
    broken; `blocked_by`, a variable or null; `faults`, each with `code`, `message` and `hint`; the names of its `hooks`
    and `tables`; `routes`, each a method and a path; `revision`, the last of its migrations, or null.
    """
    return [_entry(host, found) for found in sorted(host.found, key=lambda found: found.name)]


def _entry(host: Host, found: Found) -> dict[str, Any]:
    feature, state = host.feature(found), host.state(found)
    distribution, _, version = found.origin.rpartition(" ")
    by_hand = found.origin.startswith("module ")
    return {
        "name": found.name,
        "distribution": None if by_hand else distribution,
        "version": None if by_hand else version,
        "state": state,
        "blocked_by": found.blocked or None,
        "faults": [fault.as_json() for fault in host.faults_of(found)],
        "hooks": list(feature.hooks) if feature else [],
        "tables": feature.tables if feature else [],
        "routes": routes(feature.plugin, feature.router) if feature else [],
        "revision": migrations.History.of(found.plugin).head if found.plugin and state == "active" else None,
    }


@dataclass(frozen=True)
class Listing:
    """The installed plugins, what is wrong with them, and how far their tables are."""

    host: Host
    current: Mapping[str, str | None]
    """The revisions that the database is at, where it could be asked."""
    leftovers: Sequence[Fault] = ()
    unasked: str = ""
    """Why the database was not asked, where it was not."""

    @property
    def ok(self) -> bool:
        """Whether all of them can be used."""
        return not self.host.faults

    @property
    def warnings(self) -> Sequence[Fault]:
        """What is not as it should be, and keeps nothing from working."""
        return (*self.host.warnings, *self.leftovers)

    def as_json(self) -> dict[str, Any]:
        """Return `plugins`, each as `listing` has it and with the revision `current`; `faults` of none; `warnings`.

        A warning has the name of the `plugin` that it is about, or null.
        """
        return {
            "plugins": [entry | {"current": self.current.get(entry["name"])} for entry in listing(self.host)],
            "faults": [fault.as_json() for fault in self.host.faults if not fault.plugin],
            "warnings": [{"plugin": fault.plugin or None, **fault.as_json()} for fault in self.warnings],
        }

    def __str__(self) -> str:
        """Tell each in a row of a table, and below what is wrong."""
        rows = [("NAME", "DISTRIBUTION", "STATE", "ROUTES", "TABLES", "REVISION", "DATABASE")]
        for entry in listing(self.host):
            numbers = (str(len(entry["routes"])), str(len(entry["tables"])))
            revisions = (entry["revision"] or "-", self.current.get(entry["name"]) or "-")
            origin = f"{entry['distribution']} {entry['version']}"
            rows.append((entry["name"], origin, entry["state"], *numbers, *revisions))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, *map(str, (*self.host.faults, *self.warnings))])


def look(settings: Settings) -> Listing:
    """Look at the installed plugins, and at the database where it can be asked how far they are."""
    host = Host.load(settings)
    try:
        source = Source(settings)
        with source.held(), transaction.connected(source.migration_url) as connection:
            current = {found.plugin: found.current for found in migrations.status(connection, host.plugins)}
            return Listing(host, current, migrations.leftovers(migrations.version_tables(connection), host.installed))
    except (StartupError, EmbeddedUnavailable, MigrationError) as error:
        return Listing(host, {}, unasked=str(error))
    except DBAPIError as error:
        return Listing(host, {}, unasked=transaction.explained(error))


def endpoint(host: Host) -> APIRouter:
    """Return `GET /-/plugins`."""
    router = APIRouter(include_in_schema=False)
    body = {"plugins": listing(host)}

    @router.get("/-/plugins")
    async def list_plugins() -> Response:
        """Tell the plugins and their versions."""
        return JSONResponse(body)

    return router
