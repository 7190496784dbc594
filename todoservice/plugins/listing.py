"""The plugins of an app as data, for `todoservice plugins` and `GET /-/plugins`."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Response
from starlette.responses import JSONResponse

from todoservice.migrations import History
from todoservice.plugins.discovery import Found
from todoservice.plugins.faults import PluginError
from todoservice.plugins.host import Host
from todoservice.plugins.plugin import Plugin
from todoservice.plugins.routes import routes


def listing(host: Host) -> list[dict[str, Any]]:
    """Return each plugin as a JSON object, those that cannot be used too.

    `name`; `distribution` and its `version`, both null for a module given by hand; `state`, which is active, blocked or
    broken; `blocked_by`, a variable or null; `faults`, each with `code`, `message` and `hint`; the names of its `hooks`
    and `tables`; `routes`, each a method and a path; `revision`, the last of its migrations, or null.
    """
    return [_entry(host, found) for found in host.found]


def _entry(host: Host, found: Found) -> dict[str, Any]:
    feature = host.feature(found)
    distribution, _, version = found.origin.rpartition(" ")
    by_hand = found.origin.startswith("module ")
    return {
        "name": found.name,
        "distribution": None if by_hand else distribution,
        "version": None if by_hand else version,
        "state": host.state(found),
        "blocked_by": found.blocked or None,
        "faults": [fault.as_json() for fault in host.faults_of(found)],
        "hooks": list(feature.hooks) if feature else [],
        "tables": feature.tables if feature else [],
        "routes": routes(feature.plugin, feature.router) if feature else [],
        "revision": _head(found.plugin) if host.state(found) == "active" else None,
    }


def _head(plugin: Plugin | None) -> str | None:
    try:
        return History.of(plugin).head if plugin else None
    except PluginError:
        return None


def table(entries: list[dict[str, Any]], current: Mapping[str, str | None]) -> str:
    """Return the entries as a table; `current` has the revisions that a database is at."""
    rows = [("NAME", "DISTRIBUTION", "STATE", "ROUTES", "TABLES", "REVISION", "DATABASE")]
    for entry in entries:
        origin = f"{entry['distribution']} {entry['version']}"
        numbers = (str(len(entry["routes"])), str(len(entry["tables"])))
        revisions = (entry["revision"] or "-", current.get(entry["name"]) or "-")
        rows.append((entry["name"], origin, entry["state"], *numbers, *revisions))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def endpoint(host: Host) -> APIRouter:
    """Return `GET /-/plugins`."""
    router = APIRouter(include_in_schema=False)
    body = {"plugins": listing(host)}

    @router.get("/-/plugins")
    async def list_plugins() -> Response:
        """Tell the plugins and their versions."""
        return JSONResponse(body)

    return router
