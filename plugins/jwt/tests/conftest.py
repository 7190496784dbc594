"""The service with todos, for whom a token says is asking."""

from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from uuid import UUID

import pytest
import todoservice_jwt
import todoservice_todos
from issuing import AUDIENCE, ISSUER, RSA, Publisher


@pytest.fixture(scope="session")
def todoservice_plugins() -> list[ModuleType]:
    """Return these two, whatever else is installed."""
    return [todoservice_jwt, todoservice_todos]


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    """Return who publishes the issuer's keys."""
    with Publisher().listening() as publisher:
        yield publisher


@pytest.fixture
def todoservice_environment(publisher: Publisher) -> Mapping[str, str]:
    """Return the plugin's settings."""
    return {
        "TODOSERVICE_JWT__ISSUER": ISSUER,
        "TODOSERVICE_JWT__AUDIENCE": AUDIENCE,
        "TODOSERVICE_JWT__JWKS_URL": publisher.url,
    }


@pytest.fixture
def todoservice_headers() -> Callable[[UUID], dict[str, str]]:
    """Return the headers of a user."""
    return lambda user_id: {"Authorization": f"Bearer {RSA.token(sub=str(user_id))}"}
