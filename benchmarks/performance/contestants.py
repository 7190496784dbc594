"""Who is measured, and what each does not do."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from performance.work import Setup, Work

PEERS: Final = Path(__file__).parent / "peers"
Start = Callable[[int, Setup], list[str]]
"""Returns the command that serves on a port."""


@dataclass(frozen=True)
class Contestant:
    """A program with the five operations on todos."""

    name: str
    title: str
    command: Start
    lacks: str
    """What it does not do that todoservice does."""
    table: str = "todos"
    in_memory: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is todoservice itself, which has its own schema."""
        return self.table != "todos"

    @property
    def isolated(self) -> bool:
        """Whether PostgreSQL keeps its users apart."""
        return self.name == "todoservice"

    def does(self, work: Work) -> bool:
        """Say whether it can be asked for this: rows are made and found in the database that the benchmark fills."""
        return not self.in_memory or (work.operation in {"get", "list"} and not work.delay)


def uvicorn(target: str, *options: str) -> Start:
    """Return what serves an app by uvicorn, as all contestants on it are served."""

    def command(port: int, setup: Setup) -> list[str]:
        return [
            sys.executable, "-m", "uvicorn", target, *options, "--port", str(port), "--workers", str(setup.workers),
            "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning",
        ]  # fmt: skip

    return command


def _gunicorn(target: str) -> Start:
    def command(port: int, setup: Setup) -> list[str]:
        return [
            sys.executable, "-m", "gunicorn", target, "--bind", f"127.0.0.1:{port}", "--workers", str(setup.workers),
            "--threads", str(setup.connections), "--log-level", "warning",
        ]  # fmt: skip

    return command


def _node(port: int, setup: Setup) -> list[str]:  # noqa: ARG001 - server.js reads them in its environment
    return ["node", "server.js"]


UNGUARDED: Final = (
    "no isolation in the database, no audit of statements; no problem documents, no request ids, no limit on bodies; "
    "nothing is tried again; no cursor to the next page"
)

CONTESTANTS: Final = {
    contestant.name: contestant
    for contestant in (
        Contestant(
            "todoservice", "todoservice", uvicorn("todoservice:create_app", "--factory"), "-", "todoservice.todos"
        ),
        Contestant(
            "open", "todoservice without scope, audit and policies",
            uvicorn("performance.peers.opened:create_app", "--factory"),
            "the rest of todoservice is there, but nothing sees to it that a statement names the user",
            "todoservice.todos",
        ),
        Contestant(
            "tutorial", "FastAPI + SQLModel, the tutorial way", uvicorn("performance.peers.tutorial:app"), UNGUARDED
        ),
        Contestant(
            "asyncpg", "FastAPI + asyncpg, by hand", uvicorn("performance.peers.asyncpg_by_hand:app"), UNGUARDED
        ),
        Contestant("sqlalchemy", "FastAPI + SQLAlchemy's async ORM", uvicorn("performance.peers.orm:app"), UNGUARDED),
        Contestant(
            "memory", "FastAPI alone, from memory", uvicorn("performance.peers.memory:app"),
            "no database at all: nothing is kept, nothing is shared by two processes", in_memory=True,
        ),
        Contestant(
            "drf", "Django REST framework", _gunicorn("performance.peers.drf.wsgi"),
            UNGUARDED + "; no OpenAPI",
        ),
        Contestant("fastify", "Fastify + pg", _node, UNGUARDED + "; no OpenAPI, instants in milliseconds"),
    )
}  # fmt: skip


def environment(setup: Setup, port: int, database_url: str, rows: Path | None) -> dict[str, str]:
    """Return the variables that every contestant is started with, whichever of them it reads."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "PYTHONPATH": str(PEERS.parents[1]),
        "PYTHONSAFEPATH": "1",
        "NODE_ENV": "production",
        "DATABASE_URL": database_url,
        "CONNECTIONS": str(setup.connections),
        "PORT": str(port),
        "WORKERS": str(setup.workers),
        "ROWS": str(rows or ""),
        "NEON_DATABASE_URL": database_url,
        "TODOSERVICE_POOL_SIZE": str(setup.connections),
    }
