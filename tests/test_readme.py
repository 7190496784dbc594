"""What the README says is so."""

import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pytest
from documents import session
from fastapi import FastAPI
from serving import curl, serving, wait_until_ready
from sqlalchemy import make_url
from starlette.testclient import TestClient

from todoservice import Plugin, Settings, create_app
from todoservice.migrations import runner
from todoservice.plugins.host import Host
from todoservice.settings import variable

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
NAME = "jottings"
BASE = "http://127.0.0.1:8000"
VOLATILE = re.compile(r"01a2[0-9a-f-]{32}|\d{4}-\d\d-\d\dT[0-9:.]+Z")


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def server(fresh_url: str, unused_port: int) -> Iterator[str]:
    """Return the address of the server that the README's first command starts, but for port and database."""
    serve = blocks("sh")[0].split(" && ")[-1]
    arguments = shlex.split(serve)
    assert arguments[0] == ".venv/bin/uvicorn"
    with serving(*arguments[1:], "--log-level", "warning", port=unused_port, NEON_DATABASE_URL=fresh_url):
        wait_until_ready(unused_port)
        yield f"http://127.0.0.1:{unused_port}"


def test_the_session_answers_as_shown(server: str) -> None:
    """Each command, to the byte, but for ids and instants."""
    known: dict[str, str] = {}
    for command, shown in session(blocks("console")[0]):
        for told, real in known.items():
            command = command.replace(told, real)  # noqa: PLW2901
        answer = curl(command.replace(BASE, server)).text
        assert VOLATILE.sub("*", answer) == VOLATILE.sub("*", shown)
        if not known:
            known[json.loads(shown)["id"]] = json.loads(answer)["id"]
    assert len(known) == 1


def test_the_settings_are_all_there() -> None:
    """With their defaults."""
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", README, re.MULTILINE))
    fields = {variable(name): field.default for name, field in Settings.model_fields.items()}
    assert rows.keys() == fields.keys()
    for name, default in fields.items():
        if default is not None:
            assert rows[name] == f"`{str(default).lower()}`"


def test_the_test_command_is_the_one_that_ci_runs() -> None:
    """CI takes it from the README."""
    assert blocks("sh")[1].strip().endswith("tox")
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """Return the README's plugin, as a package on disk.

    Under another name: a process has one table of a name, and other tests have notes too.
    """
    site = tmp_path_factory.mktemp("site")
    package = site / f"todoservice_{NAME}"
    package.mkdir()
    (package / "__init__.py").write_text(blocks("python")[0].replace("notes", NAME))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        yield import_module(package.name)


@pytest.fixture
def notes_app(notes: ModuleType, fresh_url: str) -> FastAPI:
    """Return the app with the README's plugin, its migration written and run."""
    url = make_url(fresh_url).set(drivername="postgresql+psycopg2")
    every = [*Host.load(Settings.load(), serving=False).plugins, Plugin(NAME, notes)]
    runner.revision(url, every[-1], "Create notes", every)
    runner.upgrade(url, every)
    return create_app(Settings.load({"neon_database_url": fresh_url}), plugins=[notes])


def test_the_plugin_works(notes_app: FastAPI) -> None:
    """As the README shows it: create, list, remove, each user their own."""
    mine, theirs = ({"X-User-ID": str(uuid4())} for _ in range(2))
    with TestClient(notes_app) as client:
        made = client.post(f"/api/v1/{NAME}", json={"body": " Hello "}, headers=mine)
        assert (made.status_code, made.json()["body"]) == (201, "Hello")
        assert client.get(f"/api/v1/{NAME}", headers=mine).json()["items"] == [made.json()]
        assert client.get(f"/api/v1/{NAME}", headers=theirs).json()["items"] == []
        path = f"/api/v1/{NAME}/{made.json()['id']}"
        assert client.delete(path, headers=theirs).status_code == 404
        assert client.delete(path, headers=mine).status_code == 204


def test_the_plugins_project_is_valid() -> None:
    """Its entry point is the module of the README."""
    project = tomllib.loads(blocks("toml")[0])["project"]
    assert project["entry-points"]["todoservice"] == {"notes": "todoservice_notes"}
