"""The fixtures that authors of features test with."""

import subprocess
import sys
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlmodel import Session, col
from todo_factories import TodoFactory
from todoservice_todos.models import Todo
from todoservice_todos.queries import TodoQueries

from todoservice import NotFound, UnscopedStatement, uuid7
from todoservice.testing import TestScope, UserFactory
from todoservice.testing.statements import Statements

TODOS = "/api/v1/todos"


@pytest.fixture(scope="session")
def todoservice_server(server_url: str) -> str:
    """Return this suite's server: one is enough."""
    return server_url


def test_the_plugin_costs_nothing_where_it_is_not_used() -> None:
    """To load it imports pytest and the standard library."""
    heavy = ["fastapi", "sqlalchemy", "sqlmodel", "pydantic", "psycopg2", "pluggy.x", "starlette", "alembic", "factory"]
    asking = f"import sys, todoservice.testing.plugin; print([name for name in {heavy} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_two_clients_ask_as_two_users(
    todoservice_client: TestClient, todoservice_other_client: TestClient, todoservice_user: UUID
) -> None:
    """Of one running app."""
    made = todoservice_client.post(TODOS, json={"title": "Mine"}).json()
    assert made["user_id"] == str(todoservice_user)
    assert todoservice_other_client.get(TODOS).json()["items"] == []
    assert todoservice_client.get(TODOS).json()["items"] == [made]


def test_nobody_is_nobody(todoservice_anonymous_client: TestClient) -> None:
    """The third client is not known."""
    assert todoservice_anonymous_client.get(TODOS).status_code == 400


def test_a_scope_is_asked_without_a_coroutine(todoservice_scope: TestScope, todoservice_client: TestClient) -> None:
    """The rows are those of the client's user."""
    made = todoservice_scope.one(TodoQueries.create_todo, title="Mine")
    assert made.user_id == todoservice_scope.user_id
    assert todoservice_client.get(f"{TODOS}/{made.id}").json()["title"] == "Mine"
    assert todoservice_scope.first(TodoQueries.retrieve_todo, id=uuid7()) is None
    assert [row.title for row in todoservice_scope.all(select(col(Todo.title)))] == ["Mine"]
    assert todoservice_scope.execute(TodoQueries.delete_todo, id=made.id) == 1
    with pytest.raises(NotFound):
        todoservice_scope.one(TodoQueries.retrieve_todo, id=made.id)


def test_factories_write_through_the_owners_session(todoservice_session: Session, todoservice_app: FastAPI) -> None:
    """For any user, and the app sees what was committed."""
    user = UserFactory.create()
    TodoFactory.create(user_id=user.id, title="Made")
    todoservice_session.commit()
    with TestClient(todoservice_app, headers={"X-User-ID": str(user.id)}) as client:
        assert [todo["title"] for todo in client.get(TODOS).json()["items"]] == ["Made"]


def test_statements_are_seen(todoservice_statements: Statements, todoservice_client: TestClient) -> None:
    """One for each operation, with the user it is sent for."""
    made = todoservice_client.post(TODOS, json={"title": "Mine"}).json()
    assert len(todoservice_statements) == 1
    todoservice_statements.clear()
    todoservice_client.get(f"{TODOS}/{made['id']}")
    [seen] = todoservice_statements
    assert seen.text.startswith("WITH")
    assert (str(seen.user_id), seen.refusal) == (made["user_id"], None)


def test_a_refused_statement_fails_the_test_even_where_the_handler_went_on(
    todoservice_app: FastAPI, todoservice_scope: TestScope
) -> None:
    """With the refusal's own words."""

    def swallow() -> None:
        data = todoservice_app.state.data
        with pytest.raises(UnscopedStatement):
            data.statements.audit.check("SELECT 1; SELECT 2", None, todoservice_scope.user_id)

    with (
        pytest.raises(AssertionError, match=r"the statement .* It is: SELECT 1; SELECT 2"),
        Statements().of(todoservice_app),
    ):
        swallow()
    with Statements().of(todoservice_app) as seen:
        seen.allow_refusals()
        swallow()
    assert len(seen.refused) == 1


def test_isolation_is_required_of_the_app(todoservice_scope: TestScope) -> None:
    """It runs as the role that production has."""
    assert todoservice_scope.one(select(func.count(col(Todo.id)))) == (0,)
