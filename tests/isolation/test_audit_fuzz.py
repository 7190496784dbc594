"""What the host confines, the audit accepts; the same statement left alone, it refuses."""

from typing import Any

import sqlalchemy as sa
from audit_models import Mood, Step
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import aliased
from sqlmodel import col
from todoservice_todos.models import Todo

from todoservice.audit import Audit
from todoservice.shapes import Shape
from todoservice.statements import Statements

DIALECT = sa.create_engine("postgresql+psycopg2://").dialect
STATEMENTS = Statements([Todo, Step, Mood], DIALECT)
TABLES: list[Any] = [model.__dict__["__table__"] for model in (Todo, Step, Mood)]
AUDIT = Audit(TABLES[:2], TABLES[2:])
SHAPES = (None, *Shape)

models: st.SearchStrategy[Any] = st.sampled_from([Todo, Step])
entities = st.builds(lambda model, other: aliased(model) if other else model, models, st.booleans())


@st.composite
def conditions(draw: st.DrawFn, entity: Any, depth: int) -> Any:
    """Return a condition on the entity."""
    plain = [
        entity.id == sa.bindparam("some", type_=sa.Uuid()),
        sa.or_(entity.id.is_(None), sa.true()),
        sa.not_(entity.id > entity.user_id),
        sa.func.length(sa.cast(entity.id, sa.Text)) + 1 > 2,
        sa.case((entity.id == entity.user_id, sa.true()), else_=sa.false()),
    ]
    if depth == 0:
        return draw(st.sampled_from(plain))
    # Another name for the table within, since SQLAlchemy would take the same one for the outer's.
    within = aliased(draw(models))
    condition = draw(conditions(within, depth - 1))
    subquery = sa.select(within.id).where(condition)
    return draw(
        st.sampled_from(
            [
                *plain,
                entity.id.in_(subquery),
                entity.id.not_in(subquery),
                subquery.where(within.id == entity.id).exists(),
                ~subquery.exists(),
                sa.or_(entity.id.in_(subquery), sa.exists().where(within.id == entity.id)),
                subquery.limit(1).scalar_subquery() == entity.id,
            ]
        )
    )


@st.composite
def selects(draw: st.DrawFn, depth: int = 2) -> Any:
    """Return a select of `id` and `owner` over owned tables, composed at random."""
    entity = draw(entities)
    statement = sa.select(entity.id, entity.user_id.label("owner"))
    if draw(st.booleans()):
        # A class itself, not another name for it: the host does not confine that yet, see the last test.
        other: Any = Step if entity is Todo else Todo if entity is Step else draw(models)
        statement = statement.join(other, other.id == entity.id, isouter=draw(st.booleans()))
    if draw(st.booleans()):
        statement = statement.join(Mood, sa.true(), isouter=draw(st.booleans()))
    for _ in range(draw(st.integers(0, 2))):
        statement = statement.where(draw(conditions(entity, depth)))
    if depth and draw(st.booleans()):
        statement = _wrapped(statement, draw(selects(depth=depth - 1)), draw(st.sampled_from("suwcag")))
    return statement


def _wrapped(statement: Any, other: Any, how: str) -> Any:
    """Return the statement as a part of a larger one."""
    if isinstance(statement, sa.CompoundSelect) or how == "u":
        return sa.union_all(statement, other)
    match how:
        case "s":
            inner = statement.subquery()
        case "c":
            inner = statement.cte("some_rows")
        case "a":
            inner = sa.intersect(statement, other).subquery()
        case "g":
            inner = sa.select(sa.func.min(sa.cast(statement.subquery().c.id, sa.Text)).label("id")).subquery()
            return sa.select(inner.c.id, sa.func.count().over().label("owner"))
        case _:
            return statement.limit(3)
    return sa.select(inner.c.id, inner.c.owner).order_by(inner.c.id.desc()).limit(sa.bindparam("size"))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(statement=selects(), shape=st.sampled_from(SHAPES))
def test_what_the_host_confines_is_accepted(statement: Any, shape: Shape | None) -> None:
    """In each shape of answer; and refused without what the host adds."""
    prepared = STATEMENTS.prepared(statement)
    message = prepared.sent if shape is None else prepared.json(shape)
    text, _ = message.bound(dict.fromkeys(("p_me", "some", "size")))
    verdict = AUDIT.verdict(text)
    assert verdict.fault is None, text
    assert verdict.users == ("p_me",)
    bare = AUDIT.verdict(str(statement.compile(dialect=DIALECT))).fault
    assert bare is not None
    assert "without its user" in bare


@st.composite
def writes(draw: st.DrawFn) -> Any:
    """Return an update or a delete with a condition composed at random, and its rows returned or not."""
    model = draw(models)
    kind: Any = draw(st.sampled_from([sa.delete(model), sa.update(model).values(**_value(model))]))
    statement = kind.where(draw(conditions(model, 2)))
    return statement.returning(col(model.id)) if draw(st.booleans()) else statement


def _value(model: Any) -> dict[str, str]:
    return {"title": "x"} if model is Todo else {"body": "x"}


@settings(max_examples=30, deadline=None, derandomize=True)
@given(statement=writes())
def test_what_the_host_confines_of_writes_is_accepted(statement: Any) -> None:
    """And refused without what the host adds."""
    verdict = AUDIT.verdict(str(STATEMENTS.prepared(statement).compiled))
    assert verdict.fault is None
    assert verdict.users == ("p_me",)
    assert AUDIT.verdict(str(statement.compile(dialect=DIALECT))).fault


def test_a_joined_alias_is_confined() -> None:
    """By the name of the alias, and so accepted."""
    other: Any = aliased(Todo)
    prepared = STATEMENTS.prepared(sa.select(col(Todo.id), other.title).join(other, other.title == Todo.title))
    assert AUDIT.verdict(str(prepared.compiled)).fault is None
