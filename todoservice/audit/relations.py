"""The relations of one FROM, and which of them are confined to the user."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from sqlglot import exp

from todoservice.audit.reading import refuse

OWNER: Final = "user_id"
_INNER: Final = frozenset({("", ""), ("", "INNER"), ("", "CROSS")})
_LEFT: Final = frozenset({("LEFT", ""), ("LEFT", "OUTER")})
_FULL: Final = frozenset({("FULL", ""), ("FULL", "OUTER")})
_RIGHT: Final = frozenset({("RIGHT", ""), ("RIGHT", "OUTER")})


@dataclass(eq=False)
class Relation:
    """What one name in FROM stands for."""

    name: str
    table: sa.Table | None = None
    owned: bool = False
    renamed: bool = False
    """Whether it has an alias."""
    confined: bool = False
    columns: frozenset[str] | None = None
    """Those of a function, else None: PostgreSQL reads `f.name` as `name(f)` where f, a value, has no such column."""
    rows: Sequence[Mapping[str, Any]] = ()
    """The rows of a VALUES list, by the names of its columns."""

    def may_have(self, column: str) -> bool:
        """Say whether a bare name can be a column of it: of a query and of an unknown function nobody knows."""
        if self.table is not None:
            return column in self.table.columns
        return not self.columns or column in self.columns

    @property
    def schema(self) -> str | None:
        """The schema that may stand before its name."""
        return None if self.table is None or self.renamed else self.table.schema


Relations = dict[str, Relation]


@dataclass(frozen=True)
class Place:
    """Where names are looked up: in the relations of the selects around, and the common table expressions."""

    around: tuple[Relations, ...] = ()
    queries: frozenset[str] = frozenset()

    def within(self, relations: Relations) -> "Place":
        """Return the place within a select that has these relations."""
        return Place((*self.around, relations), self.queries)

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
    laterals: list[tuple[Any, Place]] = field(default_factory=list)
    """Queries that see what is on their left, each with its place."""
    _conditions: list[_Condition] = field(default_factory=list)

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
        for condition in self._conditions:
            for one, other in (condition.sides, condition.sides[::-1]):
                relation, number = self.of(one, OWNER, condition.seen), parameter(other)
                if relation and number is not None and relation.name in condition.binds:
                    relation.confined = True
                    anchors.add(number)
        while any(self._carry(condition, place) for condition in self._conditions):
            pass
        return anchors

    def _carry(self, condition: _Condition, place: Place) -> bool:
        """Confine a relation whose owner equals that of one that is. Say whether there was one."""
        for one, other in (condition.sides, condition.sides[::-1]):
            relation = self.of(one, OWNER, condition.seen)
            if relation is None or relation.confined or relation.name not in condition.binds:
                continue
            source = self.of(other, OWNER, condition.seen) or self._outside(other, place)
            if source is not None and source.confined:
                relation.confined = True
                return True
        return False

    def of(self, node: Any, column: str, seen: frozenset[str] | None = None) -> Relation | None:
        """Return the owned table of this FROM that the column is of, where that is beyond doubt."""
        if type(node) is not exp.Column or node.name != column or isinstance(node.this, exp.Star):
            return None
        if not node.table:
            having = [relation for relation in self.relations.values() if relation.may_have(column)]
            relation = having[0] if len(having) == 1 else None
        else:
            relation = self.relations.get(node.table)
            if relation is not None and node.db not in {"", relation.schema}:
                return None
        if relation is None or not relation.owned or (seen is not None and relation.name not in seen):
            return None
        return relation

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
    return int(node.name[1:]) if type(node) is exp.Placeholder else None
