"""When a todo was created, as every operation writes it."""

import json
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from api import TODOS
from sqlmodel import Session
from starlette.testclient import TestClient
from todo_factories import TodoFactory

from todoservice import Settings, create_app, uuid7_time
from todoservice.testing.factories import UserFactory

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_a_todo_is_the_same_bytes_everywhere(mine: TestClient) -> None:
    """Create, list, retrieve and update write a todo alike, to the last digit of its time."""
    created = mine.post(TODOS, json={"title": "Buy milk", "description": "Two\nlitres é 😀"})
    url = created.headers["location"]
    assert mine.get(url).content == created.content
    assert mine.patch(url, json={}).content == created.content
    assert mine.get(TODOS).content == b'{"items":[' + created.content + b'],"count":1,"next_cursor":null}'
    assert json.loads(created.content)["description"] == "Two\nlitres é 😀"


def test_the_time_is_now(mine: TestClient) -> None:
    """In UTC, to the microsecond."""
    before = datetime.now(UTC)
    created = mine.post(TODOS, json={"title": "Buy milk"}).json()["created_at"]
    assert RFC3339.fullmatch(created)
    # The clock never gives an instant twice, so it may run ahead a little.
    assert before <= datetime.fromisoformat(created) <= datetime.now(UTC) + timedelta(seconds=1)


def test_the_id_holds_the_same_instant(mine: TestClient) -> None:
    """Both are one reading of one clock."""
    todo = mine.post(TODOS, json={"title": "Buy milk"}).json()
    assert uuid7_time(UUID(todo["id"])) == datetime.fromisoformat(todo["created_at"])


def test_an_update_does_not_change_it(mine: TestClient) -> None:
    """A todo is created once."""
    todo = mine.post(TODOS, json={"title": "Buy milk"}).json()
    assert mine.patch(f"{TODOS}/{todo['id']}", json={"title": "Drink milk"}).json()["created_at"] == todo["created_at"]


@pytest.mark.parametrize(
    ("instant", "written"),
    [
        (datetime(2026, 11, 22, 7, 28, 49, 883000, UTC), "2026-11-22T07:28:49.883000Z"),
        (datetime(2026, 3, 29, 1, 30, tzinfo=UTC), "2026-03-29T01:30:00.000000Z"),
        (datetime(1999, 12, 31, 23, 59, 59, 999999, UTC), "1999-12-31T23:59:59.999999Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 1, UTC), "9999-12-31T23:59:59.000001Z"),
    ],
)
def test_six_digits_and_a_z(session: Session, mine: TestClient, user: UUID, instant: datetime, written: str) -> None:
    """Zeros are written out, in RFC 3339 and UTC."""
    UserFactory.create(id=user)
    todo = TodoFactory.create(user_id=user, created_at=instant)
    session.commit()
    assert mine.get(f"{TODOS}/{todo.id}").json()["created_at"] == written


def test_the_servers_time_zone_is_of_no_account(
    session: Session, mine: TestClient, user: UUID, settings: Settings
) -> None:
    """An operator's setting of the database changes no byte."""
    created = mine.post(TODOS, json={"title": "Buy milk"})
    database = session.connection().engine.url.database
    session.connection().exec_driver_sql(f"ALTER DATABASE \"{database}\" SET timezone TO 'Asia/Kathmandu'")
    session.connection().exec_driver_sql(f"ALTER DATABASE \"{database}\" SET datestyle TO 'SQL, DMY'")
    session.commit()
    try:
        with TestClient(create_app(settings), headers={"X-User-ID": str(user)}) as elsewhere:
            assert elsewhere.get(created.headers["location"]).content == created.content
    finally:
        session.connection().exec_driver_sql(f'ALTER DATABASE "{database}" RESET ALL')
        session.commit()
