"""The way of a request to its feature's routes: by the name in its path."""

import re
from typing import Any, Final

from fastapi.routing import iter_route_contexts
from starlette._utils import get_route_path
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from todoservice.plugins.plugin import Plugin
from todoservice.plugins.routes import API

FEATURE: Final = "todoservice.feature"
"""Where the plugin whose routes are asked stands in the ASGI scope, with its distribution."""
_ROUTES: Final = "todoservice.routes"


class ByName(BaseRoute):
    """Lead a request to the routes of the feature that its path names, however many features there are.

    FastAPI would try the pattern of each route of each router before, one after the other.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._found: dict[str, Scope] = {}
        self._patterns: dict[str, list[re.Pattern[str]]] = {}

    def add(self, plugin: Plugin, mounted: BaseRoute) -> None:
        """Lead to `mounted` what is asked of the plugin."""
        self._found[plugin.name] = {FEATURE: str(plugin), _ROUTES: mounted}
        self._patterns[plugin.name] = [route.path_regex for route in iter_route_contexts([mounted])]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether one of the plugins has a route for its path. What has none is FastAPI's to answer."""
        path = get_route_path(scope) if scope["type"] == "http" else ""
        name = path[len(API) + 1 :].partition("/")[0] if path.startswith(f"{API}/") else ""
        if any(pattern.match(path) for pattern in self._patterns.get(name, ())):
            return Match.FULL, self._found[name]
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request that matched."""
        await scope[_ROUTES].handle(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Raise NoMatchFound: the routes themselves know their paths."""
        raise NoMatchFound(name, path_params)
