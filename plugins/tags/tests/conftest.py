"""The service with tags and todos, on the kit's PostgreSQL, and two of its users."""

from types import ModuleType

import pytest
import todoservice_tags
import todoservice_todos
from fastapi.testclient import TestClient
from someone import Someone


@pytest.fixture(scope="session")
def todoservice_plugins() -> list[ModuleType]:
    """Return these two, whatever else is installed."""
    return [todoservice_tags, todoservice_todos]


@pytest.fixture
def me(todoservice_client: TestClient) -> Someone:
    """Return the user who is asking."""
    return Someone(todoservice_client)


@pytest.fixture
def another(todoservice_other_client: TestClient) -> Someone:
    """Return another user."""
    return Someone(todoservice_other_client)
