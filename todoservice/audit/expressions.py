"""The values of a statement: made of what the grammar lists, of columns that are there, and of queries."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from sqlglot import exp

from todoservice.audit.grammar import NAMED, PARTS, TYPES, VALUES
from todoservice.audit.reading import refuse
from todoservice.audit.relations import Place
from todoservice.audit.words import SYSTEM_COLUMNS
from todoservice.audit.words import TYPES as TYPE_WORDS


class Values(ABC):
    """Checks values. `_placeholders` are the numbers of those it met."""

    def __init__(self, functions: frozenset[str]) -> None:
        """Take the names of the allowed functions."""
        self._functions = functions
        self._placeholders: set[int] = set()

    @abstractmethod
    def _query(self, node: Any, place: Place, owner_at: int | None = None) -> None:
        """Check a query within a value."""

    def _clauses(self, parts: Mapping[str, Any], place: Place) -> None:
        self._values((part for part in parts.values() if not isinstance(part, bool)), place)

    def _values(self, nodes: Iterable[Any], place: Place) -> None:
        for node in nodes:
            if isinstance(node, list):
                self._values(node, place)
            elif isinstance(node, exp.Expression):
                self._value(node, place)

    def _value(self, node: Any, place: Place) -> None:
        kind = type(node)
        if kind in {exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery}:
            self._query(node, place)
            return
        self._check_kind(node, kind)
        if kind is exp.Column:
            self._column(node, place)
        elif kind is exp.Placeholder:
            self._placeholders.add(int(node.name[1:]))
        else:
            self._values(parts_of(node).values(), place)

    def _check_kind(self, node: Any, kind: type[Any]) -> None:
        if kind is exp.DataType or kind is exp.ObjectIdentifier:
            if node.this not in TYPES:
                refuse(f"casts to {node.sql()}, which is not among the allowed types")
        elif kind is exp.Anonymous:
            if not isinstance(node.this, str) or node.this.lower() not in self._functions | TYPE_WORDS | {"row"}:
                refuse(f"calls {node.name}, which is not among the allowed functions")
        elif kind is exp.Is:
            if not isinstance(node.expression, exp.Null | exp.Boolean):
                refuse("holds IS with something else than NULL, TRUE, FALSE or DISTINCT FROM")
        elif kind not in VALUES and not issubclass(kind, NAMED):
            refuse(f"holds {kind_of(node)}, which the audit does not know: write it another way")

    def _column(self, node: exp.Column, place: Place) -> None:
        parts = parts_of(node)
        if isinstance(node.this, exp.Star):
            parts_of(node.this)
        if not node.table:
            if node.name in SYSTEM_COLUMNS:
                refuse(f"uses {node.name}, which is PostgreSQL's own")
            return
        relation = place.find(node.table, node.db if "db" in parts else None)
        if relation is None:
            refuse(f"uses {node.sql()}, whose table is not in its FROM")
        if relation.table is not None and not node.is_star and node.name not in relation.table.columns:
            refuse(f"uses {node.name}, which is no column of {relation.table}")
        if relation.columns is not None and not node.is_star and node.name not in relation.columns:
            refuse(
                f"uses {node.name}, which is no column of the function {relation.name}: name its columns, as in "
                f"AS {relation.name}({node.name})"
            )


def parts_of(node: Any) -> dict[str, Any]:
    """Return the parts of a node that are there. Raises Refused where one may not be."""
    parts = {name: part for name, part in node.args.items() if not (part is None or part is False or part == [])}
    allowed = PARTS.get(type(node))
    if allowed is None and type(node) not in VALUES and not isinstance(node, NAMED):
        refuse(f"holds {kind_of(node)}, which the audit does not know: write it another way")
    if allowed is not None and not parts.keys() <= allowed:
        what = ", ".join(sorted(parts.keys() - allowed)).rstrip("_").upper()
        refuse(f"holds {what} in {kind_of(node)}, which the audit does not know: write it another way")
    return parts


def kind_of(node: Any) -> str:
    """Return what a message calls a node."""
    return type(node).__name__.upper()
