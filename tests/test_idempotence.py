"""Which statements may be sent twice: known of most, declared of the others."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased
from sqlmodel import col
from todoservice_todos.models import Todo
from todoservice_todos.queries import TodoQueries

from todoservice import Settings, create_app, idempotent, param, uuid7
from todoservice.idempotence import answer_of_done
from todoservice.statements import Prepared

MINE = text("SELECT id FROM todoservice.todos WHERE user_id = :me")
COUNT = update(Todo).values(title=col(Todo.title) + "!")
CHANGED = COUNT.returning(col(Todo.id)).cte("changed")
TABLE: Any = Todo.__table__  # type: ignore[attr-defined]
OTHER: Any = aliased(Todo)
BY_ID = col(Todo.id) == param("id")
UPSERT = insert(Todo).on_conflict_do_update(index_elements=["user_id", "id"], set_={"title": "x"})

TWICE: dict[str, Any] = {
    "a select": select(Todo),
    "a union": select(col(Todo.id)).union(select(col(Todo.id))),
    "a select as text": MINE,
    "a select that locks": select(Todo).with_for_update(),
    "an insert": insert(Todo),
    "an insert that returns": insert(Todo).returning(col(Todo.id), func.upper(col(Todo.title)).label("upper")),
    "an insert that gives the user": insert(Todo).values(user_id=param("owner")).returning(Todo),
    "a delete by id": delete(Todo).where(BY_ID),
    "a delete by id that returns it": delete(Todo).where(BY_ID).returning(col(Todo.id)),
    "what is declared": idempotent(COUNT),
    "text that is declared": idempotent(text("DELETE FROM todoservice.todos WHERE user_id = :me")),
}
ONCE: dict[str, Any] = {
    "an update": COUNT,
    "a select that updates": select(CHANGED),
    "an insert that updates": insert(Todo).add_cte(CHANGED),
    "a delete by id that updates": delete(Todo).where(BY_ID).add_cte(CHANGED),
    "an upsert": UPSERT,
    "an insert that keeps what is there": insert(Todo).on_conflict_do_nothing(),
    "an insert of several": insert(Todo).values([{"title": "a"}, {"title": "b"}]),
    "an insert of several whose ids are given": insert(Todo).values([{"title": "a", "id": uuid7()}]),
    "an insert from a select": insert(Todo).from_select(
        ["id", "title"], select(func.gen_random_uuid(), col(Todo.title))
    ),
    "a delete by id of the table itself": delete(TABLE).where(
        TABLE.c.id == param("id"), TABLE.c.user_id == param("me_")
    ),
    "a delete by the id of another": delete(Todo).where(OTHER.id == param("id"), OTHER.user_id == Todo.user_id),
    "a delete of a list": delete(Todo).where(col(Todo.id).in_(param("ids"))),
    "a delete of many": delete(Todo).where(col(Todo.is_completed)),
    "a delete of all": delete(Todo),
    "a delete by id and more": delete(Todo).where(BY_ID, col(Todo.is_completed)),
    "a delete by id that returns the row": delete(Todo).where(BY_ID).returning(Todo),
    "a delete as text": text("DELETE FROM todoservice.todos WHERE user_id = :me"),
    "a function that only the operator knows": select(func.nextval("todoservice.numbers")),
}


@pytest.fixture
def prepared(settings: Settings) -> Callable[[Any], Prepared]:
    """Return what prepares a statement, in an app whose operator allows `nextval`."""
    app: FastAPI = create_app(settings.model_copy(update={"allowed_functions": "nextval"}))
    made: Callable[[Any], Prepared] = app.state.data.statements.prepared
    return made


@pytest.mark.parametrize("statement", TWICE.values(), ids=TWICE)
def test_sent_twice(prepared: Callable[[Any], Prepared], statement: Any) -> None:
    """Doing it again changes nothing more, and answers the same."""
    assert prepared(statement).repeatable


@pytest.mark.parametrize("statement", ONCE.values(), ids=ONCE)
def test_sent_once(prepared: Callable[[Any], Prepared], statement: Any) -> None:
    """Doing it again could change more, or answer otherwise."""
    assert not prepared(statement).repeatable


def test_delete_by_the_id_of_another_table_has_no_answer() -> None:
    """It may have been done, and another row have that id."""
    assert answer_of_done(delete(Todo).where(OTHER.id == param("id"))) is None


def test_the_five_operations(prepared: Callable[[Any], Prepared]) -> None:
    """All of them may."""
    operations = {name: statement for name, statement in vars(TodoQueries).items() if not name.startswith("_")}
    assert len(operations) == 5
    assert all(prepared(statement).repeatable for statement in operations.values())
