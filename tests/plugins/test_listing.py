"""What there is: `todoservice plugins` and `GET /-/plugins`, which work where plugins do not."""

import json
from typing import Any

import pytest
from databases import migrate
from plugin_modules import Site, install, module
from starlette.testclient import TestClient

from todoservice import Settings, __version__, create_app
from todoservice.cli import main

TODOS = {
    "name": "todos",
    "distribution": "todoservice",
    "version": __version__,
    "state": "active",
    "blocked_by": None,
    "faults": [],
    "hooks": ["todoservice_models", "todoservice_router", "todoservice_queries"],
    "tables": ["todos"],
    "routes": [
        "POST /api/v1/todos",
        "GET /api/v1/todos",
        "GET /api/v1/todos/{id}",
        "PATCH /api/v1/todos/{id}",
        "DELETE /api/v1/todos/{id}",
    ],
    "revision": "0001_todos",
}


@pytest.fixture
def database(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the environment to a migrated database, and return its URL."""
    migrate(empty_url)
    monkeypatch.setenv("NEON_DATABASE_URL", empty_url)
    return empty_url


def listed(capsys: pytest.CaptureFixture[str], status: int = 0) -> dict[str, Any]:
    """Return what `todoservice plugins --json` prints."""
    assert main(["plugins", "--json"]) == status
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.usefixtures("database")
def test_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """As data, with the revision that the database is at."""
    assert listed(capsys) == {"plugins": [TODOS | {"current": "0001_todos"}], "faults": [], "warnings": []}


@pytest.mark.usefixtures("database")
def test_what_is_wrong(site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are blocked or broken, with their faults."""
    install(site, "inks", source="1 / 0")
    install(site, "pens")
    monkeypatch.setenv("TODOSERVICE_BLOCK", "pens,paper")
    monkeypatch.setenv("TODOSERVICE_POOLSIZE", "3")
    found = listed(capsys, status=1)
    inks, pens, todos = found["plugins"]
    assert (inks["state"], pens["state"], todos["state"]) == ("broken", "blocked", "active")
    assert (inks["distribution"], inks["version"], inks["hooks"]) == ("inks-of-a-stranger", "0.3", [])
    assert pens["blocked_by"] == "TODOSERVICE_BLOCK"
    assert inks["faults"] == [
        {
            "code": "P101",
            "message": "inks_of_a_stranger cannot be imported: ZeroDivisionError: division by zero (__init__.py:1)",
            "hint": "mend it, or set TODOSERVICE_BLOCK=inks",
        }
    ]
    assert [fault["code"] for fault in found["faults"]] == ["P104"]
    assert [fault["code"] for fault in found["warnings"]] == ["W103"]


@pytest.mark.usefixtures("database")
def test_the_table(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """With the faults below, one line each."""
    install(site, "inks", source="1 / 0")
    install(site, "pens")
    assert main(["plugins"]) == 1
    head, inks, pens, todos, fault = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "DISTRIBUTION", "STATE", "ROUTES", "TABLES", "REVISION", "DATABASE"]
    assert inks.split() == ["inks", "inks-of-a-stranger", "0.3", "broken", "0", "0", "-", "-"]
    assert pens.split() == ["pens", "pens-of-a-stranger", "0.3", "active", "2", "1", "0001_pens", "-"]
    assert todos.split() == ["todos", "todoservice", __version__, "active", "5", "1", "0001_todos", "0001_todos"]
    assert fault.startswith("P101 inks (inks-of-a-stranger 0.3): ")


def test_what_is_left_over(site: Site, database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a plugin that was uninstalled; one that is only blocked left nothing over."""
    install(site, "pens")
    migrate(database)
    assert listed(capsys)["warnings"] == []
    site.uninstall("pens-of-a-stranger")
    assert listed(capsys)["warnings"] == [
        {
            "plugin": "pens",
            "code": "W101",
            "message": "it is not installed, and its tables are still in the database, pens_alembic_version among them",
            "hint": "install it again, or remove them with `todoservice db drop pens`",
        }
    ]


def test_without_a_database(
    unused_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The plugins are listed all the same, and why it was not asked is told without a password."""
    monkeypatch.setenv("NEON_DATABASE_URL", f"postgresql://u:secret@127.0.0.1:{unused_port}/d")
    assert main(["plugins", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["plugins"] == [TODOS | {"current": None}]
    assert told.err.startswith("The database was not asked: no connection to the database 'd': ")
    assert "secret" not in told.err


def test_the_endpoint(service_url: str) -> None:
    """Where a setting turns it on; it is for who runs the service, and not in the document."""
    settings = Settings.load({"neon_database_url": service_url, "plugins_endpoint": True})
    client = TestClient(create_app(settings))
    assert client.get("/-/plugins").json() == {"plugins": [TODOS]}
    assert "/-/plugins" not in client.get("/openapi.json").json()["paths"]


def test_the_endpoint_is_off(settings: Settings) -> None:
    """It tells versions, which help who looks for a hole."""
    assert TestClient(create_app(settings)).get("/-/plugins").status_code == 404


def test_the_endpoint_tells_what_was_skipped(site: Site, service_url: str) -> None:
    """A module given by hand has no distribution."""
    given = {"neon_database_url": service_url, "plugins_endpoint": True, "plugin_errors": "skip", "identity": "header"}
    plugins = [module("inks", todoservice_models=3), module("pens", todoservice_models=[])]
    inks, pens = TestClient(create_app(Settings.load(given), plugins=plugins)).get("/-/plugins").json()["plugins"]
    assert (inks["state"], inks["faults"][0]["code"], pens["state"]) == ("broken", "P206", "active")
    assert (inks["distribution"], inks["version"]) == (None, None)
