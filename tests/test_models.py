"""Ids and instants are one clock; every key begins with its owner."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from sqlmodel import SQLModel
from todo_factories import TodoFactory
from todoservice_todos.models import Todo

from todoservice import uuid7, uuid7_time
from todoservice.models import User, metadata


def test_ids_sort_in_the_order_they_were_made() -> None:
    """Strictly, within a process, however fast."""
    ids = [uuid7() for _ in range(10_000)]
    assert ids == sorted(set(ids))


def test_an_id_is_a_uuid_of_version_7() -> None:
    """RFC 9562, section 5.7: its first 48 bits are milliseconds since 1970."""
    made = uuid7(datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 1_767_323_045_678


@pytest.mark.parametrize("microsecond", [0, 1, 244, 245, 499, 500, 998, 999, 999_999])
def test_the_instant_of_an_id_is_read_back_to_the_microsecond(microsecond: int) -> None:
    """So that created_at needs no second clock."""
    instant = datetime(2026, 11, 22, 7, 28, 49, microsecond, UTC)
    assert uuid7_time(uuid7(instant)) == instant


def test_an_id_made_now_says_now() -> None:
    """To within what the test may take."""
    assert abs(uuid7_time(uuid7()) - datetime.now(UTC)) < timedelta(seconds=30)


def test_tables_are_kept_off_the_global_metadata() -> None:
    """Another application's SQLModel tables in the same process are none of ours, and ours none of theirs."""
    assert not SQLModel.metadata.tables
    assert {"todoservice.users", "todoservice.todos"} <= metadata.tables.keys()


def test_the_owner_leads_the_primary_key() -> None:
    """So that no id can collide with another user's, and no foreign key point at one."""
    assert [column.name for column in Todo.__table__.primary_key] == ["user_id", "id"]  # type: ignore[attr-defined]


def test_constraints_have_names() -> None:
    """A migration can only drop what it can name."""
    names = {str(constraint.name) for constraint in Todo.__table__.constraints}  # type: ignore[attr-defined]
    assert names == {"pk_todos", "fk_todos_user_id", "ck_todos_title_length", "ck_todos_description_length"}


def test_a_factory_validates() -> None:
    """SQLModel would take a title of any length for a table class."""
    with pytest.raises(ValidationError, match="at most 255 characters"):
        TodoFactory.build(user_id=uuid7(), title="x" * 256)


def test_a_factory_refuses_an_unknown_member() -> None:
    """SQLModel would swallow it."""
    with pytest.raises(TypeError, match="Todo has no titel"):
        TodoFactory.build(user_id=uuid7(), titel="x")


def test_a_factory_never_invents_an_owner() -> None:
    """A row of nobody's hides a leak."""
    with pytest.raises(TypeError, match="TodoFactory never invents an owner: give user_id"):
        TodoFactory.build()


def test_a_factory_derives_the_id_from_the_instant() -> None:
    """So that newest first stays one order."""
    then = datetime(2020, 1, 1, tzinfo=UTC)
    assert uuid7_time(TodoFactory.build(user_id=uuid7(), created_at=then).id) == then


def test_a_user_is_a_row_like_any_other() -> None:
    """With an id and the instant it was first seen."""
    assert [column.name for column in User.__table__.columns] == ["id", "created_at"]  # type: ignore[attr-defined]
