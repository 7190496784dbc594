"""A user's tags: created, listed, renamed and deleted."""

from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from someone import NOT_FOUND, TAGS, Someone

from todoservice.testing import Conformance

TAKEN = {
    "type": "about:blank",
    "title": "Conflict",
    "status": 409,
    "detail": "You have a tag of this name already: choose another name.",
    "error_code": "CONFLICT",
}


class TestConformance(Conformance):
    """What todoservice asks of every feature."""

    plugin = "tags"

    def rows(self, client: TestClient) -> None:
        """Make a tag, on a todo."""
        me = Someone(client)
        me.attach(me.tag(), me.todo())


def test_create_answers_with_the_tag(me: Someone) -> None:
    """A new tag has its name, its owner and an instant, and Location leads to the same bytes."""
    response = me.client.post(TAGS, json={"name": "errands"})
    assert response.status_code == 201
    tag = response.json()
    assert list(tag) == ["id", "name", "created_at", "user_id"]
    assert (tag["name"], tag["user_id"]) == ("errands", me.client.headers["X-User-ID"])
    assert UUID(tag["id"]).version == 7
    assert response.headers["location"] == f"{TAGS}/{tag['id']}"
    assert me.client.get(response.headers["location"]).content == response.content


@pytest.mark.parametrize(
    "name", ["'; DROP TABLE todoservice.tags; --", "100% %(name)s :name", "👩‍👩‍👧‍👦", "e\u0301", "x" * 64]
)
def test_names_come_back_as_they_were_sent(me: Someone, name: str) -> None:
    """A name is a text of up to 64 characters, whatever they are."""
    assert me.client.get(me.tag(name)).json()["name"] == name


def test_a_name_is_stripped(me: Someone) -> None:
    """White space at both ends is no part of a name, so it makes no other name."""
    assert me.client.get(me.tag("\t to do ")).json()["name"] == "to do"
    assert me.client.post(TAGS, json={"name": "to do"}).json() == TAKEN


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body.name"),
        ({"name": ""}, "body.name"),
        ({"name": " \n"}, "body.name"),
        ({"name": "x" * 65}, "body.name"),
        ({"name": "a\0b"}, "body.name"),
        ({"name": None}, "body.name"),
        ({"name": "a", "color": "red"}, "body.color"),
        ({"name": "a", "user_id": "9f0c3ab2-1f5e-4c7e-9d2f-6a1b7c1de001"}, "body.user_id"),
    ],
)
def test_a_tag_that_is_none_is_refused(me: Someone, body: dict[str, Any], field: str) -> None:
    """The answer names the member at fault."""
    response = me.client.post(TAGS, json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert [fault["field"] for fault in response.json()["field_errors"]] == [field]


def test_two_tags_have_two_names(me: Someone) -> None:
    """A second tag of the same name is refused in words that say why."""
    me.tag("errands")
    response = me.client.post(TAGS, json={"name": "errands"})
    assert (response.status_code, response.json()) == (409, TAKEN)
    assert response.headers["content-type"] == "application/problem+json"
    assert len(me.items(TAGS)) == 1


def test_two_users_may_have_tags_of_one_name(me: Someone, another: Someone) -> None:
    """What names another has, nobody learns."""
    another.tag("errands")
    me.tag("errands")


def test_tags_are_listed_newest_first(me: Someone, another: Someone) -> None:
    """In pages, each the user's own tags only."""
    another.tag("hers")
    for name in ("one", "two", "three"):
        me.tag(name)
    first = me.client.get(TAGS, params={"limit": 2})
    assert [tag["name"] for tag in first.json()["items"]] == ["three", "two"]
    rest = me.client.get(first.links["next"]["url"]).json()
    assert [tag["name"] for tag in rest["items"]] == ["one"]
    assert rest["next_cursor"] is None


def test_a_renamed_tag_stays_on_its_todos(me: Someone) -> None:
    """Only the name changes."""
    tag, todo = me.tag("errands"), me.todo()
    me.attach(tag, todo)
    before = me.client.get(tag).json()
    assert me.client.patch(tag, json={"name": "shopping"}).json() == before | {"name": "shopping"}
    assert me.names(todo) == ["shopping"]


def test_a_tag_is_not_renamed_to_another(me: Someone) -> None:
    """A name that another tag of the user's has is refused; the tag's own is no conflict."""
    me.tag("home")
    tag = me.tag("errands")
    response = me.client.patch(tag, json={"name": "home"})
    assert (response.status_code, response.json()) == (409, TAKEN)
    assert me.client.patch(tag, json={"name": "errands"}).status_code == 200


def test_an_empty_change_changes_nothing(me: Someone) -> None:
    """A name that is absent is kept, and null is none."""
    tag = me.tag("errands")
    assert me.client.patch(tag, json={}).content == me.client.get(tag).content
    null = me.client.patch(tag, json={"name": None})
    assert [fault["field"] for fault in null.json()["field_errors"]] == ["body.name"]


def test_a_deleted_tag_is_gone(me: Someone) -> None:
    """It is on no todo any more, and its todos stay."""
    tag, todo = me.tag(), me.todo()
    me.attach(tag, todo)
    assert me.client.delete(tag).status_code == 204
    assert me.client.get(tag).json() == NOT_FOUND
    assert me.client.delete(tag).json() == NOT_FOUND
    assert me.names(todo) == []


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_id_that_is_none_is_refused(me: Someone, method: str) -> None:
    """An id is a UUID with hyphens."""
    response = me.client.request(method, f"{TAGS}/1", json={} if method == "PATCH" else None)
    assert response.status_code == 422
    assert [fault["field"] for fault in response.json()["field_errors"]] == ["path.tag_id"]
