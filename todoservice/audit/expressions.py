"""The values of a statement: made of what the grammar lists, of known columns, and of queries."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

from sqlglot import exp

from todoservice.audit.grammar import PARTS, TYPES, VALUES
from todoservice.audit.reading import refuse
from todoservice.audit.relations import Outputs, Place, Relation, placeholder_number
from todoservice.audit.words import SYSTEM_COLUMNS
from todoservice.audit.words import TYPES as TYPE_WORDS

_NEUTRAL: Final = TYPE_WORDS | {"array", "subscript"}
"""What `reading` writes as calls besides functions."""
_GRAMMAR: Final = frozenset({"all", "row"})
"""What the parser takes for a call, and is none."""
FUNCTION: Final = "f_"
"""Begins the name of each call that the parser reads without rules of its own."""


class Values(ABC):
    """Checks values. `_placeholders` are the numbers of those that it met."""

    def __init__(self, functions: frozenset[str]) -> None:
        """Take the names of the allowed functions."""
        self._functions = functions | _NEUTRAL
        self._placeholders: set[int] = set()

    @abstractmethod
    def _query(self, node: Any, place: Place, owner_at: int | None = None) -> Outputs:
        """Check a query within a value."""

    def _clauses(self, parts: Mapping[str, Any], place: Place) -> None:
        self._values((part for part in parts.values() if not isinstance(part, bool)), place)

    def _values(self, nodes: Iterable[Any], place: Place) -> None:
        """Check values and all that is in them. A loop, since a chain of operators is as deep as it is long."""
        pending = list(nodes)
        while pending:
            node = pending.pop()
            if isinstance(node, list):
                pending += node
            elif isinstance(node, exp.Expression):
                pending += self._parts_of_value(node, place)

    def _parts_of_value(self, node: Any, place: Place) -> Iterable[Any]:
        """Check one value. Return what is left to check in it."""
        kind = type(node)
        if kind in {exp.Select, exp.Union, exp.Except, exp.Intersect, exp.Subquery}:
            self._query(node, place)
            return ()
        self._check_kind(node, kind)
        if kind is exp.Column:
            self._column(node, place)
            return ()
        if kind is exp.Placeholder:
            number = placeholder_number(node)
            if number is None:
                refuse("has an operator without a value before it")
            self._placeholders.add(number)
            return ()
        return parts_of(node).values()

    def _check_kind(self, node: Any, kind: type[Any]) -> None:
        if kind is exp.DataType or kind is exp.ObjectIdentifier:
            if node.this not in TYPES:
                refuse(f"casts to {node.sql()}, which is not among the allowed types")
        elif kind is exp.Anonymous:
            if node.this not in _GRAMMAR and called_function(node) not in self._functions:
                refuse(f"calls {node.name}, which is not among the allowed functions")
        elif kind is exp.Is:
            if not isinstance(node.expression, exp.Null | exp.Boolean):
                refuse("holds IS with something else than NULL, TRUE, FALSE or DISTINCT FROM")
        elif kind not in VALUES:
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
        if not node.is_star and node.name not in relation.columns:
            self._refuse_column(node.name, relation)

    def _refuse_column(self, name: str, relation: Relation) -> NoReturn:
        # PostgreSQL reads `a.b` as a call `b(a)` if a has no column b.
        if relation.table is not None:
            refuse(f"uses {name}, which is no column of {relation.table}")
        refuse(
            f"uses {name}, which is no known column of {relation.name}: give it that name there, with AS, or in a list "
            f"of columns, as in AS {relation.name}({name})"
        )


def called_function(node: Any) -> str:
    """Return the name of the function that a call names, or "" if it names none."""
    name = str(node.this) if type(node) is exp.Anonymous else ""
    return name.removeprefix(FUNCTION) if name.startswith(FUNCTION) else ""


def parts_of(node: Any) -> dict[str, Any]:
    """Return the parts of a node that are there. Raises Refused where one may not be."""
    parts = {name: part for name, part in node.args.items() if not (part is None or part is False or part == [])}
    allowed = PARTS.get(type(node))
    if allowed is None and type(node) not in VALUES:
        refuse(f"holds {kind_of(node)}, which the audit does not know: write it another way")
    if allowed is not None and not parts.keys() <= allowed:
        what = ", ".join(sorted(parts.keys() - allowed)).rstrip("_").upper()
        refuse(f"holds {what} in {kind_of(node)}, which the audit does not know: write it another way")
    return parts


def kind_of(node: Any) -> str:
    """Return what a message calls a node."""
    return type(node).__name__.upper()
