"""The service with metrics and todos, on the kit's PostgreSQL, and what a scraper reads of it."""

from collections.abc import Mapping
from types import ModuleType

import pytest
import todoservice_metrics
import todoservice_todos
from fastapi.testclient import TestClient
from scraping import TOKEN, Scrape, samples


@pytest.fixture(scope="session")
def todoservice_plugins() -> list[ModuleType]:
    """Return these two, whatever else is installed."""
    return [todoservice_metrics, todoservice_todos]


@pytest.fixture
def todoservice_environment() -> Mapping[str, str]:
    """Return the plugin's settings."""
    return {"TODOSERVICE_METRICS__TOKEN": TOKEN}


@pytest.fixture
def scrape(todoservice_anonymous_client: TestClient) -> Scrape:
    """Return what reads the samples."""
    return lambda: samples(todoservice_anonymous_client)
