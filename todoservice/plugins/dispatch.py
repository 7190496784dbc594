"""The way of a request to its feature's routes: by the name in its path."""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from fastapi.params import Form
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette._utils import get_route_path
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import ASGIApp, Receive, Scope, Send

from todoservice.identity import USER_ID
from todoservice.plugins.plugin import Plugin
from todoservice.plugins.routes import API

FEATURE: Final = "todoservice.feature"
"""Where the plugin whose routes are asked stands in the ASGI scope, with its distribution."""
_WAY: Final = "todoservice.way"
_TRACED: Final = "fastapi.telemetry"
"""What FastAPI puts into the ASGI scope of a request that it traces."""


@dataclass(frozen=True)
class _Route:
    """A route of a feature."""

    pattern: re.Pattern[str]
    methods: Collection[str]
    matches: Callable[[Scope], tuple[Match, Scope]]
    app: ASGIApp
    """What answers."""
    original: BaseRoute
    is_plain: bool
    """Whether nothing happens between FastAPI's choice of it and its answer that is not FastAPI's usual."""


@dataclass(frozen=True)
class _Feature:
    told: Scope
    mounted: BaseRoute
    routes: tuple[_Route, ...]


class ByName(BaseRoute):
    """Lead a request to the route of the feature that its path names, however many features there are.

    FastAPI would try the pattern of each route of each router before, one after the other, and those of the feature's
    own twice. Whatever is not a plain request of a plain route is still FastAPI's to lead.
    """

    def __init__(self, read: Callable[[Scope], UUID] | None) -> None:
        """Begin with no feature.

        `read` says who is asking, from a request's head, or raises to refuse it. None: the routes' dependencies do.
        """
        self._read = read
        self._features: dict[str, _Feature] = {}

    def add(self, plugin: Plugin, mounted: BaseRoute, known: BaseRoute) -> None:
        """Lead to `known` what is asked of the plugin, once it is known who asks, and to `mounted` what is not plain.

        Both have the same routes: those of `mounted` ask who is asking themselves, as those of `known` do without
        `read`.
        """
        self._features[plugin.name] = _Feature({FEATURE: str(plugin)}, mounted, tuple(_routes(known)))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether one of the plugins has a route for its path. What has none is FastAPI's to answer."""
        path = get_route_path(scope) if scope["type"] == "http" else ""
        name = path[len(API) + 1 :].partition("/")[0] if path.startswith(f"{API}/") else ""
        feature = self._features.get(name)
        found = [route for route in feature.routes if route.pattern.match(path)] if feature is not None else ()
        if feature is None or not found:
            return Match.NONE, {}
        return Match.FULL, {_WAY: (feature, found)}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request that matched."""
        feature, found = scope.pop(_WAY)
        asked, is_plain = None, _TRACED not in scope
        for route in found:
            is_plain = is_plain and route.is_plain
            if asked is None and scope["method"] in route.methods:
                asked = route
        scope.update(feature.told)
        if asked is None or not is_plain:
            await feature.mounted.handle(scope, receive, send)
            return
        _, told = asked.matches(scope)
        scope.update(told)
        scope["route"] = asked.original
        if self._read is not None:
            scope[USER_ID] = self._read(scope)
        await asked.app(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Raise NoMatchFound: the routes themselves know their paths."""
        raise NoMatchFound(name, path_params)


def _routes(router: BaseRoute) -> Iterator[_Route]:
    for route in iter_route_contexts([router]):
        yield _Route(
            route.path_regex, route.methods or (), route.matches, route.app, route.original_route, _is_plain(route)
        )


def _is_plain(route: RouteContext) -> bool:
    kind = type(route.original_route)
    if (kind.handle, kind.matches) != (APIRoute.handle, APIRoute.matches):
        return False
    # The limits of a form are those of the routers around it.
    return route.body_field is None or not isinstance(route.body_field.field_info, Form)
