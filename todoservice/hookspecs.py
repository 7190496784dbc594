"""Every hook a feature may implement: the extension API on one page.

A feature is a module with some of these functions, each marked `@hookimpl`, published under the entry point
`[project.entry-points.todoservice] <name> = "<module>"`. That name is the feature's only name: its URL is
`/api/v1/<name>`, its tables are `<name>` or `<name>_*`, its migrations live in `<module>/migrations`.
A function may leave out arguments that it does not need.
"""

from collections.abc import Iterable
from typing import Any

import pluggy
from fastapi import APIRouter
from pydantic import BaseModel

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
