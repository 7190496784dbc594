"""Two users do what they like, over HTTP and through a plugin's own statements: each finds a world of their own."""

import os
from typing import Any
from uuid import UUID

import pytest
import todoservice_todos
from asks import TITLES, answer_of, questions, router
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from plugin_modules import module
from starlette.testclient import TestClient

from todoservice import Settings, create_app, uuid7

TODOS = "/api/v1/todos"
TITLE = st.sampled_from(TITLES)
ASKER = st.sampled_from([0, 1])
PICK = st.integers(0, 2**16)


class Users(RuleBasedStateMachine):
    """Two users, and what each should find: their own todos, by id, as if the other were not there."""

    def __init__(self, client: TestClient) -> None:
        """Begin with two users whom the service has not seen."""
        super().__init__()
        self.client = client
        self.users = [uuid7(), uuid7()]
        self.todos: list[dict[str, dict[str, Any]]] = [{}, {}]
        self.ids = [str(uuid7())]
        self.cursors: list[str] = []
        self.refused: list[str] = []

    def send(self, asker: int, method: str, path: str = "", **more: Any) -> Any:
        """Ask as a user."""
        return self.client.request(method, f"{TODOS}{path}", headers={"X-User-ID": str(self.users[asker])}, **more)

    def an_id(self, pick: int) -> str:
        """Return an id that is there or was, of either user, or one of nobody's."""
        return self.ids[pick % len(self.ids)]

    def is_answered(self, asker: int, answer: Any, id: str) -> bool:
        """See that another's todo answers as a missing one, and say whether it is the user's own."""
        if id in self.todos[asker]:
            return True
        assert answer.status_code == 404
        assert answer.json()["detail"] == "There is nothing here under that id."
        return False

    @rule(asker=ASKER, title=TITLE, done=st.booleans())
    def create(self, asker: int, title: str, done: bool) -> None:
        """Add a todo."""
        made = self.send(asker, "POST", json={"title": title, "is_completed": done}).json()
        assert made["user_id"] == str(self.users[asker])
        self.todos[asker][made["id"]] = made
        self.ids.append(made["id"])

    @rule(asker=ASKER, pick=PICK)
    def retrieve(self, asker: int, pick: int) -> None:
        """Ask for any todo."""
        id = self.an_id(pick)
        answer = self.send(asker, "GET", f"/{id}")
        if self.is_answered(asker, answer, id):
            assert answer.json() == self.todos[asker][id]

    @rule(asker=ASKER, pick=PICK, title=TITLE)
    def change(self, asker: int, pick: int, title: str) -> None:
        """Change any todo."""
        id = self.an_id(pick)
        answer = self.send(asker, "PATCH", f"/{id}", json={"title": title})
        if self.is_answered(asker, answer, id):
            self.todos[asker][id]["title"] = title
            assert answer.json() == self.todos[asker][id]

    @rule(asker=ASKER, pick=PICK)
    def delete(self, asker: int, pick: int) -> None:
        """Delete any todo."""
        id = self.an_id(pick)
        if self.is_answered(asker, self.send(asker, "DELETE", f"/{id}"), id):
            del self.todos[asker][id]

    @rule(asker=ASKER, limit=st.integers(1, 4), pick=PICK)
    def page(self, asker: int, limit: int, pick: int) -> None:
        """List from any cursor, of either user's lists."""
        cursor = ["", *self.cursors][pick % (len(self.cursors) + 1)]
        answer = self.send(asker, "GET", params={"limit": limit} | ({"cursor": cursor} if cursor else {})).json()
        assert {todo["user_id"] for todo in answer["items"]} <= {str(self.users[asker])}
        newest = sorted(self.todos[asker].values(), key=lambda todo: UUID(todo["id"]), reverse=True)
        if not cursor:
            assert answer["items"] == newest[:limit]
            assert bool(answer["next_cursor"]) == (len(newest) > limit)
        assert all(todo in newest for todo in answer["items"])
        self.cursors += [answer["next_cursor"]] * bool(answer["next_cursor"])

    @rule(asker=ASKER, data=st.data())
    def ask(self, asker: int, data: st.DataObject) -> None:
        """Have the plugin run a statement of any shape."""
        question = data.draw(questions(st.sampled_from(self.ids)))
        headers = {"X-User-ID": str(self.users[asker])}
        answer = self.client.post("/api/v1/asks", json=question, headers=headers)
        assert answer.status_code == 200, answer.text
        if "refused" in answer.json():
            self.refused.append(answer.json()["refused"])
        else:
            assert answer.json()["answer"] == answer_of(question, self.todos[asker]), question

    @invariant()
    def each_has_their_own(self) -> None:
        """Nobody's list has what is not theirs, or lacks what is."""
        for asker, todos in enumerate(self.todos):
            listed = {todo["id"]: todo for todo in self.send(asker, "GET").json()["items"]}
            assert listed == todos

    def teardown(self) -> None:
        """See that the statements were run, and not refused."""
        assert self.refused == []


@pytest.fixture
def asking(settings: Settings) -> FastAPI:
    """Return the app with todos and the plugin that runs what it is told to."""
    return create_app(settings, plugins=[todoservice_todos, module("asks", todoservice_router=router)])


@pytest.mark.slow
def test_two_users_never_meet(asking: FastAPI) -> None:
    """Whatever they do, in whatever order, every answer is the one of a world in which they are alone."""
    with TestClient(asking) as client:
        run_state_machine_as_test(
            lambda: Users(client),  # type: ignore[arg-type]  # any factory will do
            settings=settings(
                max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck),
                print_blob=True, database=None, derandomize="CI" in os.environ,
            ),
        )  # fmt: skip
