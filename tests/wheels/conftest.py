"""A fresh environment, the good strangers' wheels, and databases for them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from environment import Environment
from good_wheels import GOOD, VARIABLES


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Return a fresh environment with todoservice's wheel, which the tests of this process share."""
    return Environment.make(tmp_path_factory.mktemp("environment") / "venv")


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the wheels of the good strangers, by the names of their plugins."""
    folder = tmp_path_factory.mktemp("good")
    return {name: stranger.write(folder) for name, stranger in GOOD.items()}


@pytest.fixture
def environment(fresh: Environment, empty_url: str, tmp_path: Path) -> Iterator[Environment]:
    """Return the environment with no stranger in it, for a database of this test's own, as its owner."""
    variables = {"NEON_DATABASE_URL": empty_url, "TODOSERVICE_HEARTBEAT__FILE": str(tmp_path / "heartbeat")}
    yield replace(fresh, variables=VARIABLES | variables)
    fresh.clear()
