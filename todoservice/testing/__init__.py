"""What the author of a feature tests it with: fixtures, factories, the statements seen, what holds for every feature.

The fixtures are there wherever todoservice is installed. Nothing is loaded before it is asked for, so that the pytest
plugin costs nothing where it is not used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from todoservice.testing.conformance import Conformance as Conformance
    from todoservice.testing.factories import ModelFactory as ModelFactory
    from todoservice.testing.factories import OwnedFactory as OwnedFactory
    from todoservice.testing.factories import UserFactory as UserFactory
    from todoservice.testing.plans import Plans as Plans
    from todoservice.testing.scopes import TestScope as TestScope
    from todoservice.testing.statements import Statements as Statements

_HOMES: Final = {
    "Conformance": "conformance",
    "ModelFactory": "factories",
    "OwnedFactory": "factories",
    "Plans": "plans",
    "Statements": "statements",
    "TestScope": "scopes",
    "UserFactory": "factories",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in _HOMES:
        msg = f"module 'todoservice.testing' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"todoservice.testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted([*globals(), *_HOMES])
