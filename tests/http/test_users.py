"""Who may use the service: anyone, unless TODOSERVICE_PROVISION_USERS is off."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from api import TODOS, create, listed, problem
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from todoservice import Settings, create_app
from todoservice.models import User
from todoservice.testing.factories import UserFactory


def known(session: Session, user: UUID) -> bool:
    """Say whether the user is in `users`."""
    return session.exec(select(User).where(col(User.id) == user)).first() is not None


@pytest.fixture
def closed(database_url: str, user: UUID) -> Iterator[TestClient]:
    """Return the user's client of an app that adds nobody."""
    settings = Settings.load({"neon_database_url": database_url, "provision_users": False})
    with TestClient(create_app(settings), headers={"X-User-ID": str(user)}) as client:
        yield client


def test_a_user_is_added_with_their_first_todo(session: Session, mine: TestClient, user: UUID) -> None:
    """Whoever is seen for the first time may write at once."""
    create(mine)
    assert known(session, user)


def test_who_only_reads_is_not_added(session: Session, mine: TestClient, user: UUID) -> None:
    """Nor is one whose requests are all refused."""
    missing = f"{TODOS}/01a20252-8df9-7b16-ace2-194a03e886b7"
    assert listed(mine) == []
    assert mine.get(missing).status_code == 404
    assert mine.patch(missing, json={"title": "Buy milk"}).status_code == 404
    assert mine.delete(missing).status_code == 404
    assert mine.post(TODOS, json={"title": ""}).status_code == 422
    assert not known(session, user)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", TODOS, None),
        ("POST", TODOS, {"title": "Buy milk"}),
        ("GET", f"{TODOS}/01a20252-8df9-7b16-ace2-194a03e886b7", None),
        ("PATCH", f"{TODOS}/01a20252-8df9-7b16-ace2-194a03e886b7", {"title": "Buy milk"}),
        ("DELETE", f"{TODOS}/01a20252-8df9-7b16-ace2-194a03e886b7", None),
        # Who is asking answers before what is asked.
        ("GET", f"{TODOS}/zz", None),
        ("GET", f"{TODOS}?limit=0", None),
        ("POST", TODOS, {"titel": "Buy milk"}),
    ],
)
def test_unknown_user(
    session: Session, closed: TestClient, user: UUID, method: str, path: str, body: dict[str, str] | None
) -> None:
    """Where adding is off, every operation refuses a user who is not in `users`, and adds nobody."""
    detail = problem(closed.request(method, path, json=body), 403, "UNKNOWN_USER")["detail"]
    assert detail == "This user is not known to the service: ask its operator to add them."
    assert not known(session, user)


def test_a_known_user(session: Session, closed: TestClient, user: UUID) -> None:
    """Where adding is off, whom the operator has added uses the service as ever."""
    UserFactory.create(id=user)
    session.commit()
    todo = create(closed)
    url = f"{TODOS}/{todo['id']}"
    assert closed.patch(url, json={"is_completed": True}).json() == todo | {"is_completed": True}
    assert closed.get(url).json()["is_completed"] is True
    assert closed.delete(url).status_code == 204
    assert listed(closed) == []


def test_a_user_who_is_removed_is_unknown_at_once(session: Session, closed: TestClient, user: UUID) -> None:
    """Nothing remembers who was known, and their todos are gone with them."""
    kept = UserFactory.create(id=user)
    session.commit()
    create(closed)
    session.delete(kept)
    session.commit()
    problem(closed.get(TODOS), 403, "UNKNOWN_USER")
    UserFactory.create(id=user)
    session.commit()
    assert listed(closed) == []
