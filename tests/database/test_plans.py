"""How PostgreSQL answers each declared query where there are many users."""

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
import sqlalchemy as sa
import todoservice_todos
from todoservice_todos.models import Todo

from todoservice import uuid7
from todoservice.plugins import Plugin
from todoservice.testing import Plans

TODOS: Final = 50
"""How many each user has."""
IDS: Final = [uuid7() for _ in range(TODOS)]
NEW: Final = {"title": "Buy milk", "description": None, "is_completed": False}
ASKED: Final[dict[str, dict[str, Any]]] = {
    "todos.create_todo": NEW | {"id": uuid7()},
    "todos.list_todos": {"before": IDS[25], "limit": 11},
    "todos.retrieve_todo": {"id": IDS[25]},
    "todos.update_todo": NEW | {"id": IDS[25]},
    "todos.delete_todo": {"id": IDS[25]},
}
"""What each declared query is asked with."""


@pytest.fixture
def plans(server_url: str) -> Iterator[Plans]:
    """Return the plans where one user has todos."""
    with Plans.of(server_url, [Plugin("todos", todoservice_todos)]) as plans:
        plans.owner.execute(sa.insert(Todo), [NEW | {"user_id": plans.user_id, "id": id} for id in IDS])
        yield plans


def test_other_users_cost_nothing(plans: Plans) -> None:
    """Among 100,000 todos of 2000 users, each query is answered from the key, and reads what it did among 10,000."""
    assert plans.queries == ASKED.keys()
    assert plans.faults(ASKED) == []
    for query in ASKED.keys() - {"todos.create_todo"}:
        (plan, *_) = plans.explain(query, **ASKED[query])
        assert [index for index, _ in plan.indexes] == ["pk_todos"], plan


def test_a_page_is_read_from_its_end(plans: Plans) -> None:
    """However many todos the user has, no more are read than the page has, and nothing is sorted."""
    ids = [uuid7() for _ in range(20_000)]
    plans.owner.execute(sa.insert(Todo), [NEW | {"user_id": plans.user_id, "id": id} for id in ids])
    plans.multiply(1)
    found = plans.explain("todos.list_todos", before=ids[10_000], limit=11)
    assert [plan.rows for plan in found] == [11] * 4
    assert not [plan for plan in found if any("Sort" in node["Node Type"] for node in plan.nodes)]


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        ("DROP CONSTRAINT pk_todos", "retrieve_todo as all reads todos from end to end"),
        (
            "DROP CONSTRAINT pk_todos, ADD PRIMARY KEY (id, user_id)",
            r"list_todos as page_json reads 11 rows and \d+ blocks, and 11 and \d+ among fewer users",
        ),
        (
            "DROP CONSTRAINT pk_todos; CREATE INDEX ids ON todoservice.todos (id)",
            r"delete_todo as one_json reads rows of all users from ids: \(id = '.*\)",
        ),
    ],
)
def test_what_costs_more_with_other_users_is_told(plans: Plans, spoilt: str, told: str) -> None:
    """A table without its key, one whose key does not begin with the user, and one with an index over all users."""
    plans.owner.exec_driver_sql(f"ALTER TABLE todoservice.todos {spoilt}")
    faults = plans.faults(ASKED, users=500)
    assert any(re.fullmatch(f"todos.{told}", fault) for fault in faults), faults
