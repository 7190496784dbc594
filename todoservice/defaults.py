"""What fills a column that a statement gives no value: the model's own defaults, which are Python's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Default = Callable[[Mapping[str, Any]], Any]
"""Makes a column's value from the other values of its row."""


def default_of(default: Any) -> Default | None:
    """Return what a column's `default` or `onupdate` does; None for none, and for what PostgreSQL does."""
    if default is None:
        return None
    if default.is_scalar:
        return lambda _: default.arg
    if default.is_callable:
        return lambda values: default.arg(_Row(values, default.column))
    return None


@dataclass(frozen=True)
class _Row:
    """A row in the making, for defaults that look at it (SQLAlchemy, "Context-Sensitive Default Functions")."""

    current_parameters: Mapping[str, Any]
    current_column: Any

    def get_current_parameters(self, isolate_multiinsert_groups: bool = True) -> Mapping[str, Any]:  # noqa: ARG002
        return self.current_parameters
