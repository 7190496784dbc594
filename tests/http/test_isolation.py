"""What one user can learn of another's rows over HTTP: nothing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any
from uuid import UUID

import pytest
from api import TODOS, create, faults, listed
from sqlmodel import Session
from starlette.testclient import TestClient
from todo_factories import TodoFactory

from todoservice import uuid7
from todoservice.testing.factories import UserFactory

ANSWERED_AS = {"X-Request-ID": "the-same"}


@pytest.fixture
def hers(theirs: TestClient) -> dict[str, Any]:
    """Return the other user's todo."""
    return create(theirs, "Hers", description="not yours")


@pytest.mark.parametrize(
    ("method", "body"),
    [("GET", None), ("DELETE", None), ("PATCH", {"title": "Mine"}), ("PATCH", {}), ("PATCH", {"title": ""})],
)
def test_anothers_todo_and_a_missing_one_answer_alike(
    mine: TestClient, hers: dict[str, Any], method: str, body: dict[str, str] | None
) -> None:
    """Status, headers and body are the same bytes."""
    of_another, of_nobody = (
        mine.request(method, f"{TODOS}/{id_}", json=body, headers=ANSWERED_AS) for id_ in (hers["id"], uuid7())
    )
    assert of_another.status_code == of_nobody.status_code >= 400
    assert of_another.headers.raw == of_nobody.headers.raw
    assert of_another.content == of_nobody.content


def test_anothers_todo_is_not_touched(mine: TestClient, theirs: TestClient, hers: dict[str, Any]) -> None:
    """An update or a delete that is refused has no effect."""
    mine.patch(f"{TODOS}/{hers['id']}", json={"title": "Mine"})
    mine.delete(f"{TODOS}/{hers['id']}")
    assert theirs.get(f"{TODOS}/{hers['id']}").json() == hers


def test_nobody_writes_for_another(mine: TestClient, theirs: TestClient, other_user: UUID) -> None:
    """A body that names an owner is refused, also where it names the user who is asking."""
    response = mine.post(TODOS, json={"title": "Gift", "user_id": str(other_user)})
    assert list(faults(response)) == ["body.user_id"]
    assert listed(theirs) == []


def test_a_todo_is_not_made_with_anothers_id(mine: TestClient, theirs: TestClient, hers: dict[str, Any]) -> None:
    """Ids are the service's to give."""
    assert list(faults(mine.post(TODOS, json={"title": "Mine", "id": hers["id"]}))) == ["body.id"]
    assert listed(theirs) == [hers]


def test_lists_do_not_mix(session: Session, client_for: Callable[[UUID], TestClient]) -> None:
    """Of rows written in turns, each user's pages hold that user's, all of them and no other."""
    users = [UserFactory.create().id for _ in range(3)]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for minute, user in zip(range(30), cycle(users), strict=False):
        TodoFactory.create(user_id=user, title=str(minute), created_at=start + timedelta(minutes=minute))
    session.commit()
    for place, user in enumerate(users):
        first = client_for(user).get(TODOS, params={"limit": 4}).json()
        rest = listed(client_for(user), cursor=first["next_cursor"])
        assert [todo["title"] for todo in first["items"] + rest] == [str(minute) for minute in range(29, -1, -1)][
            2 - place :: 3
        ]
        assert {todo["user_id"] for todo in first["items"] + rest} == {str(user)}


def test_anothers_cursor_gives_ones_own_rows(mine: TestClient, theirs: TestClient) -> None:
    """A cursor says where to go on, and not in whose list."""
    own = create(mine, "Mine")
    for number in range(3):
        create(theirs, f"Hers {number}")
    cursor = theirs.get(TODOS, params={"limit": 1}).json()["next_cursor"]
    assert listed(mine, cursor=cursor) == [own]


def test_users_share_connections_and_nothing_else(mine: TestClient, theirs: TestClient) -> None:
    """Requests in turns, as the pool hands the same connection to one user after the other."""
    for number in range(5):
        create(mine, f"Mine {number}")
        create(theirs, f"Hers {number}")
        assert {todo["title"].split()[0] for todo in listed(mine)} == {"Mine"}
        assert {todo["title"].split()[0] for todo in listed(theirs)} == {"Hers"}


def test_a_header_counts_for_its_request_only(client: TestClient, user: UUID) -> None:
    """On one connection, who asked before is not who is asking."""
    client.post(TODOS, json={"title": "Mine"}, headers={"X-User-ID": str(user)})
    assert client.get(TODOS).status_code == 400
    assert client.get(TODOS, headers={"X-User-ID": str(uuid7())}).json()["items"] == []
