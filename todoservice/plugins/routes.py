"""The routes of features: each is its own, and one before which the host asks who is asking."""

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from starlette.routing import BaseRoute

from todoservice.plugins.faults import Code, Fault
from todoservice.plugins.plugin import Plugin
from todoservice.plugins.telling import told

API: Final = "/api/v1"
_PARAMETER: Final = re.compile(r"\{[^}]*\}")


def base(plugin: Plugin) -> str:
    """Return the path that a plugin's routes are under."""
    return f"{API}/{plugin.name}"


def routes(plugin: Plugin, router: APIRouter | None) -> list[str]:
    """Return the method and path of each route."""
    return [
        f"{method} {base(plugin)}{route.path}" for route in _contexts(router) for method in sorted(route.methods or ())
    ]


def _contexts(router: APIRouter | None) -> Iterator[RouteContext]:
    return iter_route_contexts(router.routes if router else ())


def faults(routers: Iterable[tuple[Plugin, APIRouter | None]]) -> Iterator[Fault]:
    """Yield what is wrong with the routes of each plugin, and the operations that two have."""
    operations: dict[str, Plugin] = {}
    for plugin, router in routers:
        claims: dict[tuple[str, str], str] = {}
        for route in _contexts(router):
            yield from _route_faults(plugin, route, claims)
            claimant = operations.setdefault(str(route.name), plugin)
            if claimant is not plugin:
                message = f"the operation {route.name} is named as one of {claimant}"
                yield plugin.fault(Code.OPERATION, message, "rename its function")
        yield from _schema_faults(plugin, router)


def _schema_faults(plugin: Plugin, router: APIRouter | None) -> Iterator[Fault]:
    """Yield the routes of which no OpenAPI document can be made: one would keep the whole service from having any."""
    if router is None or _undescribed(router.routes) is None:
        return
    for route in _contexts(router):
        error = _undescribed([route.original_route])
        if error is not None:
            message = (
                f"{base(plugin)}{route.path} has no JSON schema: {told(error, plugin.module.__name__, plugin.name)}"
            )
            yield plugin.fault(Code.SCHEMA, message, "let it take and return what pydantic can describe")


def _undescribed(routes: Sequence[BaseRoute]) -> Exception | None:
    try:
        with warnings.catch_warnings(action="ignore"):
            get_openapi(title=API, version="0", routes=routes)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's type makes of it, its route is named
        return error
    return None


def _route_faults(plugin: Plugin, route: RouteContext, claims: dict[tuple[str, str], str]) -> Iterator[Fault]:
    path = f"{base(plugin)}{route.path}"
    if not isinstance(route.original_route, APIRoute):
        message = f"{path} is a {type(route.original_route).__name__}, before which nobody asks who is asking"
        yield plugin.fault(Code.ROUTE, message, "declare it with the methods of APIRouter, such as @router.get")
        return
    if route.path and not route.path.startswith("/"):
        yield plugin.fault(Code.ROUTE, f"the path {route.path!r} does not begin with /", f"write '/{route.path}'")
    for method in sorted(route.methods or ()):
        claim = f"{method} {path}"
        taken = claims.setdefault((method, _PARAMETER.sub("{}", path)), claim)
        if taken is not claim:
            yield plugin.fault(Code.ROUTE, f"{claim} is taken by its {taken}", "give one of them another path")
