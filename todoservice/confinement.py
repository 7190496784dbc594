"""Which statements can be confined to one user: the second of the five layers.

SQLAlchemy adds the user to every table that a statement reaches through a mapped class, and to no other. So this looks
at the statement's elements, and says of each that it would miss what to write instead. It reads marks that SQLAlchemy
keeps on elements, which have no public name.
"""
# ruff: noqa: SLF001

from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.orm.interfaces import CompileStateOption

from todoservice.models import Owned, Shared

_TAKEN: Final = (
    sa.Select, sa.CompoundSelect, sa.Insert, sa.Update, sa.Delete, sa.TextClause, sa.TextualSelect,
)  # fmt: skip


class UnscopedStatement(Exception):
    """A statement that cannot be confined to one user. The message says what to write instead."""


def faults(statement: Any, owned: frozenset[type[Owned]], tables: frozenset[Any]) -> Iterator[str]:
    """Yield what keeps the statement from being confined to one user, each with what to write instead.

    `owned` are the owned models of the app, `tables` those of all its models. What is not known here is refused: a
    relation that nobody declared, a table that did not come through its class. What is written as text is left to the
    audit.
    """
    if not isinstance(statement, _TAKEN):
        yield f"is a {type(statement).__name__}: a scope takes select, insert, update, delete and text()"
        return
    for element, entities in _elements(statement, frozenset()):
        if isinstance(element, sa.Insert) and element is not statement:
            yield "inserts inside of another statement: make it a statement of its own, in one scope.transaction()"
        if isinstance(statement, sa.Insert) and _is_excluded(element):
            continue
        yield from _element_faults(element, entities, owned, tables)


def _element_faults(
    element: Any, entities: frozenset[Any], owned: frozenset[type[Owned]], tables: frozenset[Any]
) -> Iterator[str]:
    match element:
        case sa.Column() if _is_table(element.table) and not _is_mapped(element):
            yield f"uses the column {element} itself: use its class, so that the host can add the user"
        case sa.FromClause() if _is_table(element) and not (_is_mapped(element) or element in entities):
            table = getattr(element, "element", element)
            yield f"uses the table {table} itself: use its class, so that the host can add the user"
        case sa.Table() if element not in tables:
            yield f"uses the table {element}, which no plugin has declared: return its class from todoservice_models"
        case sa.TableClause() if not isinstance(element, sa.Table):
            yield f"uses the table {element} by name: use the class of a table that a plugin has declared"
        case sa.Insert() | sa.Update() | sa.Delete():
            yield from _write_faults(element, owned)
        case _:
            pass


def _write_faults(write: sa.Insert | sa.Update | sa.Delete, owned: frozenset[type[Owned]]) -> Iterator[str]:
    model = getattr(write.table._annotations.get("parententity"), "class_", None)
    if model is None:
        return
    if issubclass(model, Shared):
        yield f"writes to {model.__name__}, which is shared by all users: change it in a migration"
    elif model not in owned:
        yield f"writes to {model.__name__}, which no plugin has declared: return it from todoservice_models"
    if isinstance(write, sa.Insert):
        yield from _insert_faults(write)
        return
    others = {table.name for table in _mapped_tables(write)} - {getattr(write.table, "name", "")}
    if others:
        yield f"reaches into {', '.join(sorted(others))}, which no filter confines there: use .in_(select(...))"
    if isinstance(write, sa.Update):
        taken = set_columns(write) & {"id", "user_id"}
        if taken:
            yield f"sets {', '.join(sorted(taken))}: a row keeps its owner and its id for life"


def mark(statement: Any) -> None:
    """Tell SQLAlchemy of each select that reaches a mapped class what it is, so that the criteria reach it.

    It does not see that itself where the class is only within FILTER, WITHIN GROUP or EXTRACT.
    """
    for element, _ in _elements(statement, frozenset()):
        if isinstance(element, sa.Select) and not element._propagate_attrs:
            found = (part._propagate_attrs for part in _own_parts(element) if isinstance(part, sa.Column))
            element._set_propagate_attrs(next(filter(None, found), element._propagate_attrs))


class _Alone(CompileStateOption):
    """Switches the joins of what is loaded eagerly off."""

    _cache_key_traversal: Any = ()

    def process_compile_state(self, compile_state: Any) -> None:
        """Do so once the author's own options, which come before, have said which columns a class is loaded with."""
        compile_state.compile_options += {"_enable_eagerloads": False}


ALONE: Final = _Alone()
"""The option that has no relationship loaded along: a row would have its columns, and come as often."""


def _is_table(element: Any) -> bool:
    """Say whether this is a table, or another name for one."""
    return isinstance(element, sa.Table) or isinstance(getattr(element, "element", None), sa.Table)


def _is_mapped(element: Any) -> bool:
    return "parententity" in element._annotations


def _is_excluded(element: Any) -> bool:
    """Say whether this is a value that ON CONFLICT kept out. Its table is none to read: as one, it is refused."""
    return isinstance(element, sa.Column) and isinstance(element.table, sa.Alias) and element.table.name == "excluded"


def _elements(element: Any, entities: frozenset[Any]) -> Iterator[tuple[Any, frozenset[Any]]]:
    """Yield each element with the tables that its select reaches through mapped classes: those the host can confine."""
    if isinstance(element, sa.Select):
        entities = _mapped_tables(element)
    yield element, entities
    if isinstance(element, sa.Table) or not _is_table(element):
        for child in element.get_children():
            yield from _elements(child, entities)


def _mapped_tables(element: Any) -> frozenset[Any]:
    return frozenset(part.table for part in _own_parts(element) if isinstance(part, sa.Column) and _is_mapped(part))


def _own_parts(element: Any) -> Iterator[Any]:
    """Yield what is below the element, but for what belongs to a select of its own."""
    for child in element.get_children():
        yield child
        if not isinstance(child, sa.SelectBase):
            yield from _own_parts(child)


def set_columns(write: sa.Insert | sa.Update) -> set[str]:
    """Return the names of the columns that the statement gives values for."""
    return {key if isinstance(key, str) else key.name for key in write._values or ()}


def _insert_faults(write: sa.Insert) -> Iterator[str]:
    if write._multi_values:
        yield "inserts several rows at once: give them to the scope beside it, as in scope.all(insert(...), rows)"
    elif write.select is not None:
        if "user_id" not in {getattr(name, "name", name) for name in write._select_names or ()}:
            yield "inserts from a select without user_id: select it too, so that the new rows have an owner"
    elif "user_id" in set_columns(write):
        yield "gives user_id: leave it out, the host fills it with the scope's user"
    elif "id" in set_columns(write):
        yield "gives id: leave it out, the host makes it, or a call gives it as the parameter id"
