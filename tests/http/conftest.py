"""One running app for all tests of a worker, each with users of its own."""

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from todoservice import Settings, create_app


@pytest.fixture(scope="session")
def served(database_url: str) -> Iterator[TestClient]:
    """Return a client of the app that this worker runs."""
    with TestClient(create_app(Settings.load({"neon_database_url": database_url}))) as client:
        yield client


@pytest.fixture
def client(served: TestClient) -> TestClient:
    """Return a client of no user."""
    anyone = TestClient(served.app)
    anyone.portal = served.portal
    return anyone


@pytest.fixture
def mine(client_for: Callable[[UUID], TestClient], user: UUID) -> TestClient:
    """Return the user's client."""
    return client_for(user)


@pytest.fixture
def theirs(client_for: Callable[[UUID], TestClient], other_user: UUID) -> TestClient:
    """Return the other user's client."""
    return client_for(other_user)
