"""The backend for rows that have an owner.

What a feature imports, it imports from here. Nothing is loaded before it is asked for (PEP 562), so that a pytest
plugin of this package costs nothing where it is not used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

__version__ = "0.1.0"

if TYPE_CHECKING:
    from todoservice.app import create_app as create_app
    from todoservice.confinement import UnscopedStatement as UnscopedStatement
    from todoservice.fields import Id as Id
    from todoservice.fields import Line as Line
    from todoservice.fields import Text as Text
    from todoservice.fields import Timestamp as Timestamp
    from todoservice.hookspecs import hookimpl as hookimpl
    from todoservice.idempotence import idempotent as idempotent
    from todoservice.migrations.data import unforced as unforced
    from todoservice.models import Owned as Owned
    from todoservice.models import Shared as Shared
    from todoservice.models import created_at as created_at
    from todoservice.models import uuid7 as uuid7
    from todoservice.models import uuid7_time as uuid7_time
    from todoservice.pagination import CurrentPage as CurrentPage
    from todoservice.pagination import Page as Page
    from todoservice.pagination import PageRequest as PageRequest
    from todoservice.parameters import param as param
    from todoservice.plugins import Plugin as Plugin
    from todoservice.problems import Conflict as Conflict
    from todoservice.problems import InvalidRequest as InvalidRequest
    from todoservice.problems import NotFound as NotFound
    from todoservice.problems import OutcomeUnknown as OutcomeUnknown
    from todoservice.problems import Problem as Problem
    from todoservice.problems import ServiceUnavailable as ServiceUnavailable
    from todoservice.problems import Unauthenticated as Unauthenticated
    from todoservice.problems import responses as responses
    from todoservice.scope import CurrentScope as CurrentScope
    from todoservice.scope import Scope as Scope
    from todoservice.settings import Settings as Settings
    from todoservice.statements import Queries as Queries
    from todoservice.statements import UnknownQuery as UnknownQuery

_HOMES: Final = {
    "app": ("create_app",),
    "confinement": ("UnscopedStatement",),
    "fields": ("Id", "Line", "Text", "Timestamp"),
    "hookspecs": ("hookimpl",),
    "idempotence": ("idempotent",),
    "migrations.data": ("unforced",),
    "models": ("Owned", "Shared", "created_at", "uuid7", "uuid7_time"),
    "pagination": ("CurrentPage", "Page", "PageRequest"),
    "parameters": ("param",),
    "plugins": ("Plugin",),
    "problems": (
        "Conflict",
        "InvalidRequest",
        "NotFound",
        "OutcomeUnknown",
        "Problem",
        "ServiceUnavailable",
        "Unauthenticated",
        "responses",
    ),
    "scope": ("CurrentScope", "Scope"),
    "settings": ("Settings",),
    "statements": ("Queries", "UnknownQuery"),
}
_HOME: Final = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in _HOME:
        msg = f"module 'todoservice' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"todoservice.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*globals(), *_HOME])
