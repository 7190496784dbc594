"""How PostgreSQL answers each declared query where there are many users."""

from typing import Any, Final
from uuid import UUID

import pytest
from sqlalchemy import insert
from todoservice_tags import Tag, TagTodo
from todoservice_todos import Todo

from todoservice import uuid7
from todoservice.testing import Plans

TAGS: Final = [uuid7() for _ in range(10)]
TODOS: Final = [uuid7() for _ in range(10)]
PAGE: Final[dict[str, Any]] = {"before": UUID(int=2**128 - 1), "limit": 4}
TAG: Final = {"tag_id": TAGS[9]}
TODO: Final = {"todo_id": TODOS[9]}
ASKED: Final[dict[str, dict[str, Any]]] = {
    "tags.todo": TODO,
    "tags.create_tag": {"name": "new"},
    "tags.list_tags": PAGE,
    "tags.list_tags_of_todo": PAGE | TODO,
    "tags.list_tags_of_todo of tags.todo": PAGE | TODO,
    "tags.retrieve_tag": TAG,
    "tags.update_tag": {"name": "new"} | TAG,
    "tags.delete_tag": TAG,
    "tags.list_tagged_todos": PAGE | TAG,
    "tags.list_tagged_todos of tags.retrieve_tag": PAGE | TAG,
    "tags.attach_tag": {"id": uuid7()} | TAG | TODO,
    "tags.detach_tag": TAG | TODO,
}
"""What each declared query is asked with."""


@pytest.fixture
def plans(todoservice_plans: Plans) -> Plans:
    """Return the plans where a user has ten tags, ten todos, and every second tag on each todo."""
    me = {"user_id": todoservice_plans.user_id}
    rows = todoservice_plans.owner.execute
    rows(insert(Tag), [me | {"id": id, "name": str(id)} for id in TAGS])
    rows(insert(Todo), [me | {"id": id, "title": "Buy milk"} for id in TODOS])
    both = [{"tag_id": tag, "todo_id": todo} for tag in TAGS[1::2] for todo in TODOS]
    rows(insert(TagTodo), [me | {"id": uuid7()} | pair for pair in both])
    return todoservice_plans


def test_other_users_cost_nothing(plans: Plans) -> None:
    """Among the tags of 2000 users, each query reads what it did among those of 200."""
    declared = {query for query in plans.queries if query.startswith("tags.")}
    assert declared == {query.partition(" of ")[0] for query in ASKED}
    assert plans.faults(ASKED) == []


def test_what_a_foreign_key_reads_is_seen(plans: Plans) -> None:
    """Without its indexes, the table that refers to a tag is read from end to end where the tag is deleted."""
    plans.owner.exec_driver_sql(
        "ALTER TABLE todoservice.tags_todos DROP CONSTRAINT pk_tags_todos,"
        " DROP CONSTRAINT uq_tags_todos_user_id_tag_id_todo_id;"
        "DROP INDEX todoservice.ix_tags_todos_user_id_todo_id_tag_id"
    )
    faults = plans.faults({"tags.delete_tag": TAG}, users=500)
    assert "tags.delete_tag as one_json reads tags_todos from end to end" in faults
