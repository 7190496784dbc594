"""Tags on todos: put on, taken off, and found from both sides."""

import pytest
from someone import NOBODYS, NOT_FOUND, TAGS, Someone

from todoservice.testing import Statements


def test_a_tag_is_found_from_both_sides(me: Someone) -> None:
    """A todo may have several tags, and a tag several todos."""
    errands, home = me.tag("errands"), me.tag("home")
    milk, bread = me.todo("Buy milk"), me.todo("Buy bread")
    for tag, todo in ((errands, milk), (errands, bread), (home, milk)):
        me.attach(tag, todo)
    assert (me.titles(errands), me.titles(home)) == (["Buy bread", "Buy milk"], ["Buy milk"])
    assert (me.names(milk), me.names(bread)) == (["home", "errands"], ["errands"])


def test_a_tag_is_put_on_once(me: Someone) -> None:
    """Doing so again answers alike and changes nothing."""
    tag, todo = me.tag(), me.todo()
    answers = [me.client.put(f"{tag}/todos/{todo}") for _ in range(2)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
    assert me.titles(tag) == ["Buy milk"]


def test_a_tag_is_taken_off(me: Someone) -> None:
    """Off this todo, and no other tag with it; once it is off, it is not there to be taken off."""
    errands, home, milk, bread = me.tag("errands"), me.tag("home"), me.todo("Buy milk"), me.todo("Buy bread")
    for tag, todo in ((errands, milk), (errands, bread), (home, milk)):
        me.attach(tag, todo)
    assert me.client.delete(f"{errands}/todos/{milk}").status_code == 204
    assert (me.titles(errands), me.names(milk)) == (["Buy bread"], ["home"])
    again = me.client.delete(f"{errands}/todos/{milk}")
    assert (again.status_code, again.json()) == (404, NOT_FOUND)


def test_a_deleted_todo_has_no_tags(me: Someone) -> None:
    """The tag stays, without it."""
    tag, todo = me.tag(), me.todo()
    me.attach(tag, todo)
    assert me.client.delete(f"/api/v1/todos/{todo}").status_code == 204
    assert me.titles(tag) == []


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("whose", ["the tag", "the todo", "both"])
@pytest.mark.parametrize("missing", [True, False], ids=["not there", "another's"])
def test_what_is_not_the_users_cannot_be_tagged(
    me: Someone, another: Someone, method: str, whose: str, missing: bool
) -> None:
    """Neither another's tag nor another's todo: the answer is the one for what is not there."""
    their_tag, their_todo = (f"{TAGS}/{NOBODYS}", NOBODYS) if missing else (another.tag(), another.todo())
    tag = me.tag() if whose == "the todo" else their_tag
    todo = me.todo() if whose == "the tag" else their_todo
    response = me.client.request(method, f"{tag}/todos/{todo}")
    assert (response.status_code, response.json()) == (404, NOT_FOUND)
    if not missing:
        assert (another.titles(their_tag), another.names(their_todo)) == ([], [])


def test_anothers_tagging_stays(me: Someone, another: Someone) -> None:
    """Nobody takes another's tag off another's todo."""
    tag, todo = another.tag(), another.todo()
    another.attach(tag, todo)
    assert me.client.delete(f"{tag}/todos/{todo}").json() == NOT_FOUND
    assert another.titles(tag) == ["Buy milk"]


def test_the_todos_of_a_tag_come_in_pages(me: Someone) -> None:
    """Newest first, whichever was tagged first, and each once."""
    tag = me.tag()
    todos = [me.todo(str(number)) for number in range(5)]
    for number in (3, 0, 4, 1):
        me.attach(tag, todos[number])
    first = me.client.get(f"{tag}/todos", params={"limit": 2})
    rest = me.client.get(first.links["next"]["url"])
    assert [[todo["title"] for todo in page.json()["items"]] for page in (first, rest)] == [["4", "3"], ["1", "0"]]
    assert rest.json()["next_cursor"] is None


def test_a_todo_of_a_tag_is_the_same_todo(me: Someone) -> None:
    """It has the members that the todo itself answers with."""
    tag, todo = me.tag(), me.todo()
    me.attach(tag, todo)
    assert me.items(f"{tag}/todos") == [me.client.get(f"/api/v1/todos/{todo}").json()]


def test_a_tag_without_todos_has_an_empty_list(me: Someone) -> None:
    """Which tells it from a tag that is not there."""
    response = me.client.get(f"{me.tag()}/todos")
    assert (response.status_code, response.json()) == (200, {"items": [], "count": 0, "next_cursor": None})


def test_a_cursor_is_of_one_list(me: Someone) -> None:
    """One of the tags is none of a tag's todos."""
    tag = me.tag("one")
    me.tag("two")
    cursor = me.client.get(TAGS, params={"limit": 1}).json()["next_cursor"]
    response = me.client.get(f"{tag}/todos", params={"cursor": cursor})
    assert [fault["field"] for fault in response.json()["field_errors"]] == ["query.cursor"]


@pytest.mark.parametrize("missing", [True, False], ids=["not there", "another's"])
def test_the_tags_of_a_todo_that_is_not_the_users(me: Someone, another: Someone, missing: bool) -> None:
    """Another's todo answers as one that is not there."""
    theirs = another.todo()
    another.attach(another.tag(), theirs)
    response = me.client.get(TAGS, params={"todo_id": NOBODYS if missing else theirs})
    assert (response.status_code, response.json()) == (404, NOT_FOUND)


def test_the_tags_of_a_todo_come_in_pages(me: Someone) -> None:
    """Newest first, whichever was put on it first, and the link keeps to the todo."""
    todo, tags = me.todo(), [me.tag(name) for name in ("one", "two", "three", "elsewhere")]
    for number in (2, 0, 1):
        me.attach(tags[number], todo)
    first = me.client.get(TAGS, params={"todo_id": todo, "limit": 2})
    rest = me.client.get(first.links["next"]["url"])
    assert [[tag["name"] for tag in page.json()["items"]] for page in (first, rest)] == [["three", "two"], ["one"]]


def test_the_filter_of_a_list_is_an_id(me: Someone) -> None:
    """What is no UUID is refused by name."""
    response = me.client.get(TAGS, params={"todo_id": "milk"})
    assert response.status_code == 422
    assert [fault["field"] for fault in response.json()["field_errors"]] == ["query.todo_id"]


def test_each_operation_is_one_statement(me: Someone, todoservice_statements: Statements) -> None:
    """Also where there is something to be not found: a list of a tag's todos says whether there is the tag."""
    tag, todo = me.tag(), me.todo()
    for method, path in (
        ("PUT", f"{tag}/todos/{todo}"),
        ("GET", f"{tag}/todos"),
        ("GET", f"{TAGS}/{NOBODYS}/todos"),
        ("GET", f"{TAGS}?todo_id={todo}"),
        ("DELETE", f"{tag}/todos/{todo}"),
        ("DELETE", tag),
    ):
        todoservice_statements.clear()
        me.client.request(method, path)
        assert len(todoservice_statements) == 1, (method, path)
