"""The guard in front of the features' routes, which leads a request to its route by the name in its path."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.params import Form
from fastapi.routing import APIRoute, RouteContext, _IncludedRouter, iter_route_contexts
from fastapi.telemetry._api import _route_selected
from starlette._utils import get_route_path
from starlette.datastructures import URLPath
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import ASGIApp, Receive, Scope, Send

from todoservice.identity import Identity
from todoservice.plugins.plugin import Plugin
from todoservice.plugins.routes import API, base

FEATURE: Final = "todoservice.feature"
"""The key of the ASGI scope for the plugin whose route is served, with its distribution."""
_FOUND: Final = "todoservice.found"
_TRACED: Final = "fastapi.telemetry"
"""The key that FastAPI sets in the ASGI scope of a request that it traces."""


@dataclass(frozen=True)
class _Route:
    """A route of a feature, copied from FastAPI: the guard runs no code of the route's class, and reads none again."""

    pattern: re.Pattern[str]
    convertors: Mapping[str, Any]
    methods: Collection[str]
    """No methods are all methods, as in FastAPI."""
    path: str
    endpoint: Callable[..., Any] | None
    app: ASGIApp
    original: BaseRoute
    is_plain: bool
    """True if FastAPI would run `app`, and nothing else: the class has the `matches` and `handle` of APIRoute."""


@dataclass(frozen=True)
class _Found:
    """The route for a request. Without a route, the frontend of the feature has a file or a method for it."""

    feature: "_Feature"
    is_allowed: bool
    route: _Route | None = None
    params: Mapping[str, Any] | None = None
    is_plain: bool = False
    """True if the route and all routes before it that match the path are plain."""


class _Feature:
    """The routes of a feature."""

    def __init__(self, app: FastAPI, plugin: Plugin, router: APIRouter) -> None:
        self.scope: Scope = {FEATURE: str(plugin)}
        self.served = APIRouter(dependency_overrides_provider=app, redirect_slashes=False)
        """FastAPI's way to the routes, for those that are not plain."""
        self.served.include_router(router, prefix=base(plugin))
        (self._included,) = (route for route in self.served.routes if isinstance(route, _IncludedRouter))
        self._read()

    def find(self, scope: Scope) -> _Found | None:
        """Return the route for the request, also if only the method is wrong. Runs no code of a route's class."""
        found = self._find(scope)
        if (found is None or not found.is_allowed) and self._included.effective_candidates() is not self._candidates:
            self._read()  # the router has been given more routes
            found = self._find(scope)
        return found

    def _find(self, scope: Scope) -> _Found | None:
        path, method = get_route_path(scope), scope["method"]
        best: _Found | None = None
        is_plain = is_readable = True
        for route in self._routes:
            match = route.pattern.match(path)
            if match is None:
                continue
            try:
                params = {name: route.convertors[name].convert(text) for name, text in match.groupdict().items()}
            except Exception:  # noqa: BLE001 - int() of 5,000 digits, or a stranger's convertor: the path does not match
                is_readable = False
                continue
            is_plain = is_plain and route.is_plain
            is_allowed = not route.methods or method in route.methods
            if best is None or (is_allowed and not best.is_allowed):
                best = _Found(self, is_allowed, route, params, is_plain)
            if is_allowed and is_plain:
                return best
        if is_readable and best is None:
            return self._find_file(scope)
        # FastAPI would run all convertors again, and fail.
        return best if is_readable or is_plain else None

    def _find_file(self, scope: Scope) -> _Found | None:
        found = {context.matches(scope)[0] for context in self._included.effective_low_priority_routes()}
        if found <= {Match.NONE}:
            return None
        return _Found(self, Match.FULL in found)

    def _read(self) -> None:
        self._candidates = self._included.effective_candidates()
        self._routes = tuple(_routes(self._included))


class Guard(BaseRoute):
    """The one node of the app's router that serves features: it resolves the user, and then leads to the route.

    The user is resolved before any code of a feature's route or router runs, so no class of routes can avoid it. Paths
    that no route has, and methods that no route has, are answered without a user.

    It finds plain routes by the feature's name, however many features there are. FastAPI would try the pattern of each
    route of each router before, and those of the feature's own twice.
    """

    def __init__(self, app: FastAPI, identity: Identity) -> None:
        """Guard no feature yet. Each that is added answers to `app`'s `dependency_overrides`."""
        self._app = app
        self._identity = identity
        self._features: dict[str, _Feature] = {}

    def add(self, plugin: Plugin, router: APIRouter, responses: dict[int | str, dict[str, Any]]) -> None:
        """Serve the routes of the plugin, and describe them, with the provider and these responses, in `app`."""
        self._app.include_router(
            router, prefix=base(plugin), tags=[plugin.name],
            dependencies=[self._identity.declared], responses=responses,
        )  # fmt: skip
        included = self._app.router.routes.pop()
        self._app.router.routes.append(_Documented(router, included.include_context))  # type: ignore[attr-defined]
        self._features[plugin.name] = _Feature(self._app, plugin, router)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match if a feature has a route for the path. All other paths are FastAPI's to answer."""
        path = get_route_path(scope) if scope["type"] == "http" else ""
        name = path[len(API) + 1 :].partition("/")[0] if path.startswith(f"{API}/") else ""
        feature = self._features.get(name.removesuffix("\n"))  # FastAPI's patterns match before a line break, too
        found = feature.find(scope) if feature is not None else None
        return (Match.NONE, {}) if found is None else (Match.FULL, {_FOUND: found})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request that matched. Raises HTTPException for a method that no route of the path has."""
        found: _Found = scope.pop(_FOUND)
        route, outer = found.route, scope.get("path_params", {})
        scope.update(found.feature.scope)
        if route is not None:  # for middleware and traces: the request may be refused
            scope.update(route=route.original, endpoint=route.endpoint, path_params={**outer, **(found.params or {})})
            if _TRACED in scope:
                _route_selected(scope=scope, path=route.path)
        if not found.is_allowed:
            raise HTTPException(405)

        async def serve_by_fastapi(scope: Scope, receive: Receive, send: Send) -> None:
            scope["path_params"] = outer  # FastAPI may choose another route
            await found.feature.served(scope, receive, send)

        app = route.app if route is not None and found.is_plain else serve_by_fastapi
        await self._identity.serve(app, scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Raise NoMatchFound: the documented routes have the paths."""
        raise NoMatchFound(name, path_params)


class _Documented(_IncludedRouter):
    """A feature's router for `app.openapi()`, `url_for`, and code that reads `app.routes`. It matches no request."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        del scope
        return Match.NONE, {}

    def effective_low_priority_routes(self) -> list[Any]:
        return []


def _routes(included: BaseRoute) -> Iterator[_Route]:
    for route in iter_route_contexts([included]):
        if isinstance(route.original_route, APIRoute):
            yield _Route(
                route.path_regex, dict(route.param_convertors), route.methods or (), route.path_format or "",
                route.endpoint, route.app, route.original_route, _is_plain(route),
            )  # fmt: skip


def _is_plain(route: RouteContext) -> bool:
    original = route.original_route
    for method, own in ((original.matches, APIRoute.matches), (original.handle, APIRoute.handle)):
        if getattr(method, "__func__", None) is not own:
            return False
    # The limits of a form are those of the routers around it.
    return route.body_field is None or not isinstance(route.body_field.field_info, Form)
