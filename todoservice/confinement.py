"""Which statements can be confined to one user: the second of the five layers.

SQLAlchemy adds the user to every table that a statement reaches through a mapped class, and to no other. So this looks
at the statement's elements, and says of each that it would miss what to write instead. It reads marks that SQLAlchemy
keeps on elements, which have no public name.
"""
# ruff: noqa: SLF001

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm.interfaces import CompileStateOption
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.base import ExecutableOption
from sqlalchemy.sql.dml import UpdateBase

from todoservice.models import Owned, Shared
from todoservice.parameters import KEY, ME, me

OWNER: Final = "user_id"

_TAKEN: Final = (
    sa.Select, sa.CompoundSelect, sa.Insert, sa.Update, sa.Delete, sa.TextClause, sa.TextualSelect,
)  # fmt: skip


class UnscopedStatement(Exception):
    """A statement that cannot be confined to one user. The message says what to write instead."""


@dataclass(frozen=True)
class OwnerValue:
    """The owner that an author gives: a value, or the name of the parameter that a call gives.

    It is compared with the scope's user, and never sent: the host's own parameter stands in its place.
    """

    value: Any = None
    name: str = ""

    def check(self, user_id: UUID, given: Mapping[str, Any]) -> None:
        """Raise UnscopedStatement for another value than the scope's user, a plain UUID or str."""
        check_owner(given.get(self.name) if self.name else self.value, user_id)


def check_owner(value: Any, user_id: UUID) -> None:
    """Raise UnscopedStatement for another value than the scope's user, a plain UUID or str."""
    if type(value) is UUID and type(value.int) is int and value.int == user_id.int:
        return
    if type(value) is str and value.lower() in {str(user_id), user_id.hex}:
        return
    msg = f"gives {OWNER} another value than the scope's user: leave it out, or give scope.user_id"
    raise UnscopedStatement(msg)


def walk(statement: Any) -> "Elements":
    """Return the elements of a statement, each with the tables that its select, update, or delete reaches."""
    return list(_elements(statement, _Reached())) if isinstance(statement, _TAKEN) else []


def faults(
    statement: Any, elements: "Elements", owned: frozenset[type[Owned]], tables: frozenset[Any]
) -> Iterator[str]:
    """Yield what keeps the statement from being confined to one user, each with what to write instead.

    `owned` are the owned models of the app, `tables` those of all its models. What is not known here is refused: a
    relation that nobody declared, a table that did not come through its class. What is written as text is left to the
    audit.
    """
    if not isinstance(statement, _TAKEN):
        yield f"is a {type(statement).__name__}: a scope takes select, insert, update, delete and text()"
        return
    for element, reached in elements:
        if isinstance(element, sa.Insert) and element is not statement:
            yield "inserts inside of another statement: make it a statement of its own, in one scope.transaction()"
        if isinstance(statement, sa.Insert) and _is_excluded(element):
            continue
        yield from _element_faults(element, reached, owned, tables)
    if any(reached.proof.tables for _, reached in elements):
        yield from _mixture_faults(statement, elements)


def _mixture_faults(statement: Any, elements: "Elements") -> Iterator[str]:
    """Yield a fault if the host's filter would not reach a class beside a table that its own condition confines."""
    # A write to a table itself adds no criteria, also where a class inside makes it SQLAlchemy's ORM's.
    apart = [write for write, _ in elements if isinstance(write, sa.Update | sa.Delete) and not _is_mapped(write.table)]
    apart += [] if _is_orm(statement) else [statement]
    if any(_is_mapped(part) for outer in apart for part in visitors.iterate(outer)):
        yield "mixes a table itself with a class inside: use the class of each"


def _is_orm(statement: Any) -> bool:
    """Return whether SQLAlchemy adds the criteria of classes to the statement."""
    return statement._propagate_attrs.get("compile_state_plugin") == "orm"  # type: ignore[no-any-return]


def _element_faults(
    element: Any, reached: "_Reached", owned: frozenset[type[Owned]], tables: frozenset[Any]
) -> Iterator[str]:
    match element:
        case sa.Column() if _is_table(element.table) and not (
            _is_mapped(element) or element.table in reached.proof.tables
        ):
            yield f"uses the column {element} itself: use its class, so that the host can add the user{_OR_COMPARE}"
        case sa.FromClause() if _is_table(element) and not (_is_mapped(element) or element in reached):
            table = getattr(element, "element", element)
            yield f"uses the table {table} itself: use its class, so that the host can add the user{_OR_COMPARE}"
        case sa.Table() if element not in tables:
            yield f"uses the table {element}, which no plugin has declared: return its class from todoservice_models"
        case sa.TableClause() if not isinstance(element, sa.Table):
            yield f"uses the table {element} by name: use the class of a table that a plugin has declared"
        case sa.Insert() | sa.Update() | sa.Delete():
            yield from _write_faults(element, reached, owned)
        case _:
            pass


def _write_faults(
    write: sa.Insert | sa.Update | sa.Delete, reached: "_Reached", owned: frozenset[type[Owned]]
) -> Iterator[str]:
    model = getattr(write.table._annotations.get("parententity"), "class_", None)
    if model is None and not isinstance(write, sa.Insert):
        model = next((model for model in owned if _table_of(model) is write.table), None)
    if model is None:
        return
    if issubclass(model, Shared):
        yield f"writes to {model.__name__}, which is shared by all users: change it in a migration"
    elif model not in owned:
        yield f"writes to {model.__name__}, which no plugin has declared: return it from todoservice_models"
    if isinstance(write, sa.Insert):
        yield from _insert_faults(write)
        return
    unproven = _mapped_tables(write) - {write.table} - reached.proof.tables
    others = {getattr(table, "element", table).name for table in unproven}
    if others:
        yield (
            f"reaches into {', '.join(sorted(others))}, which no filter confines there: use .in_(select(...)), or "
            f"compare its {OWNER} with that of {getattr(write.table, 'name', 'the table')} in the WHERE"
        )
    if isinstance(write, sa.Update):
        if any(not name for name in set_columns(write)):
            yield "sets several columns at once with tuple_(...): give each column its own value"
        taken = set_columns(write) & {"id", OWNER}
        if taken:
            yield f"sets {', '.join(sorted(taken))}: a row keeps its owner and its id for life"


def mark(elements: "Elements") -> None:
    """Tell SQLAlchemy of each select that reaches a mapped class what it is, so that the criteria reach it.

    It does not see that itself where the class is only within FILTER, WITHIN GROUP or EXTRACT.
    """
    for element, _ in elements:
        if isinstance(element, sa.Select) and not element._propagate_attrs:
            parts = _own_parts(element, (sa.SelectBase,))
            found = (part._propagate_attrs for part in parts if isinstance(part, sa.Column))
            element._set_propagate_attrs(next(filter(None, found), element._propagate_attrs))


class _Alone(CompileStateOption):
    """Switches the joins of what is loaded eagerly off."""

    _cache_key_traversal: Any = ()

    def process_compile_state(self, compile_state: Any) -> None:
        """Do so once the author's own options, which come before, have said which columns a class is loaded with."""
        compile_state.compile_options += {"_enable_eagerloads": False}


ALONE: Final = _Alone()
"""The option that has no relationship loaded along: a row would have its columns, and come as often."""


_OR_COMPARE: Final = f", or compare the table's own {OWNER} with scope.user_id in the WHERE"


def _table_of(model: type[Owned]) -> Any:
    return model.__table__  # type: ignore[attr-defined]


def _is_table(element: Any) -> bool:
    """Say whether this is a table, or another name for one."""
    return isinstance(element, sa.Table) or isinstance(getattr(element, "element", None), sa.Table)


def _is_mapped(element: Any) -> bool:
    return "parententity" in element._annotations


def _is_excluded(element: Any) -> bool:
    """Say whether this is a value that ON CONFLICT kept out. Its table is none to read: as one, it is refused."""
    return isinstance(element, sa.Column) and isinstance(element.table, sa.Alias) and element.table.name == "excluded"


@dataclass(frozen=True)
class _Proof:
    """The tables themselves that a statement's own conditions confine, and the parameters that must be the user."""

    tables: frozenset[Any] = frozenset()
    anchors: tuple[Any, ...] = ()


_NOTHING: Final = _Proof()


@dataclass(frozen=True)
class _Reached:
    """The tables that a select, update, or delete reaches confined."""

    mapped: frozenset[Any] = frozenset()
    """Through a class: those that the host can confine."""
    proof: _Proof = _NOTHING

    def __contains__(self, table: Any) -> bool:
        return table in self.mapped or self.is_proven(table)

    def is_proven(self, table: Any) -> bool:
        """Return whether a condition of the author's confines the table itself."""
        return table in self.proof.tables


Elements = list[tuple[Any, _Reached]]


def _elements(element: Any, reached: _Reached) -> Iterator[tuple[Any, _Reached]]:
    if isinstance(element, sa.Select):
        mapped = _mapped_tables(element)
        reached = _Reached(mapped, _proof(element, mapped))
    elif isinstance(element, sa.Update | sa.Delete):
        reached = _Reached(proof=_proof(element, frozenset({element.table} if _is_mapped(element.table) else ())))
    yield element, reached
    if isinstance(element, sa.Table) or not _is_table(element):
        for child in element.get_children():
            yield from _elements(child, reached)


def _mapped_tables(element: Any) -> frozenset[Any]:
    return frozenset(part.table for part in _own_parts(element) if isinstance(part, sa.Column) and _is_mapped(part))


def _own_parts(element: Any, apart: tuple[Any, ...] = (sa.SelectBase, UpdateBase)) -> Iterator[Any]:
    """Yield what is below the element, but for what belongs to a statement of its own."""
    for child in element.get_children():
        yield child
        if not isinstance(child, apart):
            yield from _own_parts(child, apart)


@dataclass(frozen=True)
class _Equality:
    """A comparison that is a conjunct of its own, with the tables that it can confine: None for all."""

    one: Any
    other: Any
    tables: frozenset[Any] | None

    def binds(self, column: Any) -> bool:
        """Return whether it confines the table whose owner this is."""
        is_owner = isinstance(column, sa.Column) and column.name == OWNER and _is_table(column.table)
        return is_owner and (self.tables is None or column.table in self.tables)


def _proof(statement: Any, known: frozenset[Any]) -> _Proof:
    """Prove tables confined as the audit does: by their owner's equality with the user, or with a confined owner.

    `known` are those that the host confines. A FULL JOIN keeps rows that meet no condition of a join, so nothing is
    proven beside one.
    """
    joins = list(_joins(statement))
    if any(full for *_, full in joins):
        return _NOTHING
    equalities = [each for part in statement._where_criteria for each in _equalities(part, None)]
    equalities += [each for on, tables, _ in joins for each in _equalities(on, tables)]
    equalities += [_Equality(each.other, each.one, each.tables) for each in equalities]
    confined, anchors = set(known), []
    for each in equalities:
        if each.binds(each.one) and each.one.table not in known and _is_user(each.other):
            confined.add(each.one.table)
            anchors.append(each.other)
    while carried := [each for each in equalities if _carries(each, confined)]:
        confined |= {each.one.table for each in carried}
    return _Proof(frozenset(confined - known), tuple(anchors))


def _carries(equality: _Equality, confined: set[Any]) -> bool:
    one, other = equality.one, equality.other
    if not equality.binds(one) or one.table in confined:
        return False
    return isinstance(other, sa.Column) and other.name == OWNER and other.table in confined


def _is_user(element: Any) -> bool:
    """Return whether a value can be compared with the scope's user before it is sent."""
    if isinstance(element, sa.TextClause):
        return element.text.strip() == f":{ME}"
    return owner_value(element) is not None


def owner_value(element: Any) -> OwnerValue | None:
    """Return what an author gives as an owner, or None for what is no plain value or parameter."""
    if not isinstance(element, sa.BindParameter) or element.callable or element.expanding:
        return None
    if not element.required:
        return OwnerValue(element.value)
    return OwnerValue(name=element.key.removeprefix(KEY)) if element.key.startswith(KEY) else None


def _equalities(condition: Any, tables: frozenset[Any] | None) -> Iterator[_Equality]:
    match condition:
        case sa.sql.elements.Grouping():
            yield from _equalities(condition.element, tables)
        case sa.BooleanClauseList() if condition.operator is operators.and_:
            for part in condition.clauses:
                yield from _equalities(part, tables)
        case sa.BinaryExpression() if condition.operator is operators.eq:
            yield _Equality(condition.left, condition.right, tables)
        case _:
            pass


def _joins(statement: Any) -> Iterator[tuple[Any, frozenset[Any], bool]]:
    """Yield the condition of each join, the tables that it can confine, and whether it is a FULL JOIN."""
    for right, on, _, flags in getattr(statement, "_setup_joins", ()):
        yield on, frozenset({right}), bool(flags["full"])
    pending = list(getattr(statement, "_from_obj", ()))
    pending += [right for right, *_ in getattr(statement, "_setup_joins", ())]
    while pending:
        join = pending.pop()
        if isinstance(join, sa.Join):
            yield join.onclause, frozenset({join.right} if join.isouter else {join.left, join.right}), join.full
            pending += [join.left, join.right]


def own_owners(statement: Any, elements: Elements) -> tuple[Any, tuple[OwnerValue, ...]]:
    """Return the statement with the host's parameter in place of each owner that its author gives, and these owners."""
    writers = (sa.Select, sa.Update, sa.Delete)
    anchors = [a for element, reached in elements if isinstance(element, writers) for a in reached.proof.anchors]
    anchors += _selected_owner(statement)
    found = {id(anchor): value for anchor in anchors if (value := owner_value(anchor)) is not None}
    if not found:
        return statement, ()

    def replace(element: Any, **_: Any) -> Any:
        if id(element) in found:
            return me()
        # Tables and classes stay the very ones, and options are no SQL.
        kept = _is_table(element) or (isinstance(element, sa.Column) and _is_table(element.table))
        return element if kept or isinstance(element, ExecutableOption) else None

    replaced = visitors.replacement_traverse(statement, {}, replace)
    return replaced, tuple(value for value in found.values() if value.name != ME)


def _selected_owner(statement: Any) -> list[Any]:
    """Return the value that INSERT ... SELECT gives as the owner of each row, if it is one value."""
    source = statement.select if isinstance(statement, sa.Insert) else None
    names = [getattr(name, "name", name) for name in statement._select_names or ()] if source is not None else []
    if not isinstance(source, sa.Select) or OWNER not in names or len(source._raw_columns) != len(names):
        return []
    item = source._raw_columns[names.index(OWNER)]
    return [item.element if isinstance(item, sa.Label) else item]


def set_columns(write: sa.Insert | sa.Update) -> set[str]:
    """Return the names of the columns that the statement gives values for."""
    return {key if isinstance(key, str) else getattr(key, "name", "") for key in write._values or ()}


def _insert_faults(write: sa.Insert) -> Iterator[str]:
    if write.select is not None:
        names = {getattr(name, "name", name) for name in write._select_names or ()}
        if "id" not in names:
            yield (
                "inserts from a select without id: select one for each row, as in insert(Todo).from_select("
                "['id', 'title'], select(func.gen_random_uuid(), ...))"
            )
        return
    given = set_columns(write)
    if not all(given):
        yield "gives several columns at once with tuple_(...): give each column its own value"
    if OWNER in given and owner_value(_given(write, OWNER)) is None:
        yield f"gives {OWNER} by an expression: leave it out, the host fills it with the scope's user"
    elif "id" in given:
        yield "gives id: leave it out, the host makes it, or a call gives it as the parameter id"


def _given(write: sa.Insert, name: str) -> Any:
    """Return what an insert of one row gives for a column, or None."""
    values: Any = write._values or {}
    return next((value for key, value in values.items() if getattr(key, "name", key) == name), None)


def given_owner(insert: sa.Insert) -> tuple[OwnerValue, ...]:
    """Return the owner that an insert of one row gives."""
    value = owner_value(_given(insert, OWNER))
    return () if value is None or value.name == ME else (value,)


def with_owner(insert: sa.Insert) -> sa.Insert:
    """Return an INSERT ... SELECT with the scope's user as the owner of each row, if its author gives none."""
    names: Any = [getattr(name, "name", name) for name in insert._select_names or ()]
    source: Any = insert.select
    if OWNER in names:
        return insert
    if not isinstance(source, sa.Select):
        source = sa.select(source.subquery())
    alone: Any = insert._generate()
    defaults = insert.include_insert_from_select_defaults
    return alone.from_select([*names, OWNER], source.add_columns(me()), include_defaults=defaults)  # type: ignore[no-any-return]


def has_several_rows(statement: Any) -> bool:
    """Return whether it is an `insert(T).values([...])`."""
    return isinstance(statement, sa.Insert) and bool(statement._multi_values)


def several_rows(insert: Any) -> tuple[sa.Insert, list[dict[str, Any]]]:
    """Return an insert of one row and the rows for `insert(T).values([...])`. Raises UnscopedStatement."""
    names = [column.name for column in insert.table.columns]
    rows: list[dict[str, Any]] = []
    for row in (row for listed in insert._multi_values for row in listed):
        items = row.items() if isinstance(row, Mapping) else zip(names, row, strict=False)
        rows.append({str(getattr(key, "key", key)): value for key, value in items})
    for number, row in enumerate(rows):
        for name, value in row.items():
            if hasattr(value, "__clause_element__") or isinstance(value, sa.ClauseElement):
                msg = f"gives {name} of row {number} by an expression: give plain values, or insert that row alone"
                raise UnscopedStatement(msg)
    single = insert._generate()
    single._multi_values = ()
    return single, rows
