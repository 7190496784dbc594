"""Every hook a feature may implement: the extension API on one page.

A feature is a module with some of these functions, each marked `@hookimpl`, published under the entry point
`[project.entry-points.todoservice] <name> = "<module>"`. That name is the feature's only name: its URL is
`/api/v1/<name>`, its tables are `<name>` or `<name>_*`, its migrations live in `<module>/migrations`.
A function may leave out arguments that it does not need.

A hook that is to go says so for a release: `@hookspec(warn_on_impl=DeprecationWarning("what to write instead"))`, or
`warn_on_impl_args={"argument": DeprecationWarning("...")}`. Whoever implements it is then told, W105.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pluggy
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from starlette.types import ASGIApp

from todoservice.models import Owned, Shared
from todoservice.statements import Queries

hookspec = pluggy.HookspecMarker("todoservice")
hookimpl = pluggy.HookimplMarker("todoservice")


@hookspec
def todoservice_models() -> Iterable[type[Owned | Shared]]:
    """Return the table classes of this feature."""
    raise NotImplementedError


@hookspec
def todoservice_router(settings: Any) -> APIRouter:
    """Return the endpoints of this feature. They are mounted under `/api/v1/<name>`, and every request has a user.

    `settings` is the instance of the class that `todoservice_settings` returned, or None.
    """
    raise NotImplementedError


@hookspec
def todoservice_queries() -> type[Queries] | Iterable[type[Queries]]:
    """Return the statements of this feature: one `Queries` class or several. Each is scoped and compiled at start."""
    raise NotImplementedError


@hookspec
def todoservice_settings() -> type[BaseModel]:
    """Return what an operator may configure: `TODOSERVICE_<NAME>__<FIELD>` sets a field, checked at start."""
    raise NotImplementedError


@hookspec
def todoservice_middleware(settings: Any) -> Callable[[ASGIApp], ASGIApp]:
    """Return what wraps the app: a class or a function that takes an ASGI app, once, and returns one.

    `functools.partial(CORSMiddleware, allow_origins=[...])` is one. It stands between the request's id and all else, in
    start order, the first outermost: it sees every answer, also those to failures. What it raises itself is answered
    with 500. It sees the requests of all users, those of no user, and what is no request at all, such as the lifespan's
    events: let pass what you do not know.
    """
    raise NotImplementedError


@hookspec
def todoservice_lifespan(app: FastAPI, settings: Any) -> AbstractAsyncContextManager[None]:
    """Return what runs while the app runs: write it with `@asynccontextmanager`, under `@hookimpl`.

    It is entered after the database and after those of the features that this one needs, and left before them. What it
    raises at its start stops the app; what it raises at its end is logged, and the others are left all the same.
    """
    raise NotImplementedError


@hookspec
def todoservice_checks(app: FastAPI) -> Iterable[str]:
    """Return the problems that this feature sees in its own set-up: each a line that says what to do, too.

    They are warnings when the app starts, and findings of `todoservice check`. The app is made and not yet started.
    What must not run at all raises ValueError in a validator of its settings.
    """
    raise NotImplementedError


@hookspec
def todoservice_user(settings: Any) -> Callable[..., Any]:
    """Return the FastAPI dependency that says who is asking: it returns the user's id, a `uuid.UUID`.

    It raises `todoservice.Unauthenticated` for whom it does not know. FastAPI's security classes among its own
    dependencies appear in the OpenAPI document. One plugin of an app is asked: `TODOSERVICE_IDENTITY` says which.

    It runs once for each request, before any code of a route, and cannot read the request's body.
    """
    raise NotImplementedError
