"""The relations of one FROM, and which of them are confined to the user."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import sqlalchemy as sa
from sqlglot import exp

from todoservice.audit.reading import refuse

OWNER: Final = "user_id"
_INNER: Final = frozenset({("", ""), ("", "INNER"), ("", "CROSS")})
_LEFT: Final = frozenset({("LEFT", ""), ("LEFT", "OUTER")})
_FULL: Final = frozenset({("FULL", ""), ("FULL", "OUTER")})
_RIGHT: Final = frozenset({("RIGHT", ""), ("RIGHT", "OUTER")})


@dataclass(frozen=True)
class Outputs:
    """The columns that a query returns, in order: None for one whose name PostgreSQL chooses."""

    names: tuple[str | None, ...] = ()
    is_complete: bool = True
    """False if there may be others, as of a function that returns a row."""

    def renamed(self, aliases: Sequence[str | None]) -> "Outputs":
        """Return the columns under an alias with a list of names, which replaces the first of them."""
        if not aliases:
            return self
        rest = self.names[len(aliases) :] if self.is_complete else ()
        return Outputs((*aliases, *rest), self.is_complete)


NOTHING_KNOWN: Final = Outputs(is_complete=False)


@dataclass(eq=False)
class Relation:
    """What one name in FROM stands for."""

    name: str
    table: sa.Table | None = None
    owned: bool = False
    renamed: bool = False
    """True if it has an alias."""
    confined: bool = False
    outputs: Outputs = NOTHING_KNOWN
    rows: Sequence[Mapping[str | None, Any]] = ()
    """The rows of a VALUES list, by the names of its columns."""

    @cached_property
    def columns(self) -> frozenset[str]:
        """The columns that are known by name. Read once the outputs are."""
        return frozenset(filter(None, self.outputs.names))

    def may_have(self, column: str) -> bool:
        """Return False if a bare name cannot be a column of it."""
        outputs = self.outputs
        return not outputs.is_complete or column in outputs.names or None in outputs.names

    @property
    def schema(self) -> str | None:
        """The schema that may stand before its name."""
        return None if self.table is None or self.renamed else self.table.schema


Relations = dict[str, Relation]


@dataclass(frozen=True)
class Place:
    """Where names are looked up: in the relations of the selects around, and the common table expressions."""

    around: tuple[Relations, ...] = ()
    queries: Mapping[str, Outputs] = field(default_factory=dict)

    def within(self, relations: Relations) -> "Place":
        """Return the place within a select that has these relations."""
        return Place((*self.around, relations), self.queries)

    def knowing(self, name: str, outputs: Outputs) -> "Place":
        """Return the place in which a common table expression is known by its name."""
        return Place(self.around, {**self.queries, name: outputs})

    def find(self, name: str, schema: str | None) -> Relation | None:
        """Return the relation that a column's qualifier names: the innermost."""
        for relations in reversed(self.around):
            relation = relations.get(name)
            if relation is not None and schema in {None, relation.schema}:
                return relation
        return None


@dataclass
class _Condition:
    """An equality that is a whole conjunct: what its names can be, and which relations it confines."""

    sides: tuple[Any, Any]
    seen: frozenset[str]
    binds: frozenset[str]


@dataclass
class Sources:
    """The relations of one FROM, and what its joins say of them."""

    relations: Relations = field(default_factory=dict)
    ons: list[Any] = field(default_factory=list)
    laterals: list[tuple[Relation, Any, Place]] = field(default_factory=list)
    """Queries and lists of values that see what is on their left, each with its relation and place."""
    _conditions: list[_Condition] = field(default_factory=list)
    _with_column: tuple[str, int, Relation | None] | None = None
    """What the last search by a bare name found, among how many relations."""

    def join(self, side: str, kind: str, on: Any, left: frozenset[str], right: frozenset[str]) -> None:
        """Note a join. Its ON confines both sides of an inner join, and of an outer one that which it does not keep."""
        if (side, kind) in _INNER:
            binds = left | right
        elif (side, kind) in _LEFT:
            binds = right
        elif (side, kind) in _RIGHT:
            binds = left
        elif (side, kind) in _FULL:
            binds = frozenset()
        else:
            refuse(f"holds a {side or kind} JOIN, which the audit does not know: use JOIN or LEFT JOIN")
        if on is not None:
            self.ons.append(on)
            self._add(on, left | right, binds)

    def _add(self, condition: Any, seen: frozenset[str], binds: frozenset[str]) -> None:
        self._conditions += [_Condition(sides, seen, binds) for sides in _equalities(condition)]

    def confine(self, where: Any, place: Place) -> set[int]:
        """Mark the relations that the conditions confine. Return the placeholders that must then be the user."""
        everything = frozenset(self.relations)
        if where is not None:
            self._add(where, everything, everything)
        anchors: set[int] = set()
        carried: dict[str, list[Relation]] = {}
        confined: list[Relation] = []
        for condition in self._conditions:
            for one, other in (condition.sides, condition.sides[::-1]):
                relation = self.of(one, OWNER, condition.seen)
                if relation is None or relation.name not in condition.binds:
                    continue
                number, source = parameter(other), self.of(other, OWNER, condition.seen)
                outer = None if source is not None else self._outside(other, place)
                if number is not None:
                    anchors.add(number)
                if number is not None or (outer is not None and outer.confined):
                    confined.append(relation)
                elif source is not None:
                    carried.setdefault(source.name, []).append(relation)
        _carry(confined, carried)
        return anchors

    def of(self, node: Any, column: str, seen: frozenset[str] | None = None) -> Relation | None:
        """Return the owned table of this FROM that the column is of, where that is beyond doubt."""
        if type(node) is not exp.Column or node.name != column or isinstance(node.this, exp.Star):
            return None
        if not node.table:
            relation = self._only_one_with(column)
        else:
            relation = self.relations.get(node.table)
            if relation is not None and node.db not in {"", relation.schema}:
                return None
        if relation is None or not relation.owned or (seen is not None and relation.name not in seen):
            return None
        return relation

    def _only_one_with(self, column: str) -> Relation | None:
        """Return the relation that a bare name must be a column of, if only one may have it."""
        known = self._with_column
        if known is None or known[:2] != (column, len(self.relations)):
            having = [relation for relation in self.relations.values() if relation.may_have(column)]
            known = self._with_column = (column, len(self.relations), having[0] if len(having) == 1 else None)
        return known[2]

    def _outside(self, node: Any, place: Place) -> Relation | None:
        """Return the table of a select around that the column is of."""
        if type(node) is not exp.Column or node.name != OWNER or not node.table or node.table in self.relations:
            return None
        relation = place.find(node.table, node.db or None)
        return relation if relation is not None and relation.owned else None

    def rows_of(self, node: Any) -> list[Any]:
        """Return the values that a column of a VALUES list has."""
        if type(node) is not exp.Column:
            return []
        found = [relation for name, relation in self.relations.items() if node.table in {"", name}]
        if len(found) != 1 or not found[0].rows or not all(node.name in row for row in found[0].rows):
            return []
        return [row[node.name] for row in found[0].rows]


def _carry(confined: list[Relation], carried: Mapping[str, Sequence[Relation]]) -> None:
    """Mark relations as confined, and those whose owner equals the owner of one that is."""
    while confined:
        relation = confined.pop()
        if not relation.confined:
            relation.confined = True
            confined += carried.get(relation.name, ())


def _equalities(condition: Any) -> Iterator[tuple[Any, Any]]:
    pending = [condition]
    while pending:
        node = pending.pop()
        if type(node) is exp.And:
            pending += [node.this, node.expression]
        elif type(node) is exp.Paren:
            pending.append(node.this)
        elif type(node) is exp.EQ:
            yield from _pairs(node.this, node.expression)


def _pairs(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what an equality compares: of two rows of the same length, each with its fellow."""
    if type(one) is not exp.Tuple or type(other) is not exp.Tuple:
        yield one, other
    elif len(one.expressions) == len(other.expressions) and not any(
        item.is_star for item in (*one.expressions, *other.expressions)
    ):
        yield from zip(one.expressions, other.expressions, strict=True)


def parameter(node: Any) -> int | None:
    """Return the number of the placeholder that a value is, cast to a uuid at most."""
    while type(node) is exp.Paren or (type(node) is exp.Cast and node.to.this == exp.DataType.Type.UUID):
        node = node.this
    return placeholder_number(node)


def placeholder_number(node: Any) -> int | None:
    """Return the number of a placeholder that `reading` wrote, or None for anything else."""
    name = str(node.name) if type(node) is exp.Placeholder else ""
    return int(name[1:]) if name[1:].isdecimal() else None
