"""Eleven strangers' plugins of as many shapes live together, and one goes and comes back."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from databases import ask, login_url
from environment import STRANGER, Environment
from good_wheels import GOOD
from visiting import API, ASKED, visit


def listed(environment: Environment) -> dict[str, Any]:
    """Return what `todoservice plugins --json` says."""
    said: dict[str, Any] = json.loads(environment.run("todoservice", "plugins", "--json").stdout)
    return said


def test_they_start_together_and_one_goes_and_comes_back(
    environment: Environment, good: dict[str, Path], empty_url: str, unused_port: int, tmp_path: Path
) -> None:
    """Each answers two users, with their own rows; what depends on the one that went says so, and the rest works."""
    environment.install(*good.values())
    upgraded = environment.run("todoservice", "db", "upgrade")
    assert upgraded.returncode == 0, upgraded.stderr
    owner, heartbeat = environment, tmp_path / "heartbeat"
    service = replace(environment, variables={**environment.variables, "NEON_DATABASE_URL": login_url(empty_url)})

    plugins = listed(owner)
    assert {entry["name"]: entry["state"] for entry in plugins["plugins"]} == dict.fromkeys([*GOOD, "todos"], "active")
    assert (plugins["faults"], plugins["warnings"]) == ([], [])
    checked = service.run("todoservice", "check")
    assert "advice (advice-of-strangers 0.3): there is only one piece of advice: write more" in checked.stdout
    assert "Traceback" not in checked.stderr

    with service.serving(unused_port, TODOSERVICE_REQUIRE_ISOLATION="true") as client:
        visit(client, *ASKED)
        assert heartbeat.read_text() == "beating"
        assert len(client.get("/openapi.json").json()["paths"]) > len(ASKED)
    assert heartbeat.read_text() == "todoservice stopped"

    owner.uninstall(f"pantry{STRANGER}")
    refused = service.run("uvicorn", "todoservice:create_app", "--factory", "--port", str(unused_port))
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith(
        "P103 shelves (shelves-of-strangers 0.3): it requires pantry-of-strangers>=0.3, which is not installed: "
        "install pantry-of-strangers>=0.3"
    )
    owner.uninstall(f"shelves{STRANGER}")
    rest = [name for name in ASKED if name not in {"pantry", "shelves"}]
    with service.serving(unused_port) as client:
        visit(client, *rest)
        assert client.get(f"{API}/pantry", headers={"X-User-ID": str(uuid4())}).status_code == 404
    warnings = listed(owner)["warnings"]
    assert [(warning["code"], warning["hint"]) for warning in warnings] == [
        ("W101", f"install it again, or remove them with `todoservice db drop {name}`")
        for name in ("pantry", "shelves")
    ]

    assert (
        "drop the plugins that these belong to first"
        in owner.run("todoservice", "db", "drop", "pantry", "--yes").stderr
    )
    for name in ("shelves", "pantry"):
        dropped = owner.run("todoservice", "db", "drop", name, "--yes")
        assert dropped.stdout.splitlines() == [f"dropped {name}", f"dropped {name}_alembic_version"], dropped.stderr
    assert ask(empty_url, "SELECT relname FROM pg_class WHERE relname ~ '^(pantry|shelves)'") == []
    assert listed(owner)["warnings"] == []

    owner.install(good["pantry"], good["shelves"])
    assert owner.run("todoservice", "db", "upgrade").stdout.splitlines() == [
        "pantry: 0001_pantry",
        "shelves: 0001_shelves",
    ]
    with service.serving(unused_port) as client:
        visit(client, *ASKED)
