"""The service with tags, on an embedded PostgreSQL of its own, and clients of two users."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import todoservice_tags
import todoservice_todos
from fastapi import FastAPI
from fastapi.testclient import TestClient
from someone import Someone

from todoservice import Settings, create_app, uuid7


@pytest.fixture(scope="session")
def todoservice_app() -> Iterator[FastAPI]:
    """Return the app, not started."""
    with tempfile.TemporaryDirectory(prefix="todoservice-tags-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user where the tests run as root
        yield create_app(Settings.load({"data_dir": folder}), plugins=[todoservice_tags, todoservice_todos])


@pytest.fixture(scope="session")
def running(todoservice_app: FastAPI) -> Iterator[TestClient]:
    """Return a client of the running app: of no user."""
    with TestClient(todoservice_app) as client:
        yield client


def _client_of_a_new_user(running: TestClient) -> TestClient:
    client = TestClient(running.app, headers={"X-User-ID": str(uuid7())})
    client.portal = running.portal
    return client


@pytest.fixture
def todoservice_client(running: TestClient) -> TestClient:
    """Return a client of a user whom the service has not seen."""
    return _client_of_a_new_user(running)


@pytest.fixture
def todoservice_other_client(running: TestClient) -> TestClient:
    """Return a client of another such user."""
    return _client_of_a_new_user(running)


@pytest.fixture
def me(todoservice_client: TestClient) -> Someone:
    """Return the user who is asking."""
    return Someone(todoservice_client)


@pytest.fixture
def another(todoservice_other_client: TestClient) -> Someone:
    """Return another user."""
    return Someone(todoservice_other_client)
