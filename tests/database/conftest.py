"""The server, an edge before it, and a port that never answers; and both kinds of loop."""

import socket
from collections.abc import Iterator

import pytest
from asking import LOOPS, Run, runner
from edge import Edge
from sqlalchemy import URL, make_url


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
