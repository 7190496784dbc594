"""A careless stranger's plugin shows nobody another's rows, but in the ways that docs/isolation.md tells."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import wheel
from api import TODOS
from databases import ask
from environment import ROOT, STRANGER, Environment

CARELESS = "/api/v1/careless"
SOURCE = Path(__file__).with_name("careless.py")
REFUSED = ("text", "table", "host")
"""What the audit does not let through: the attempt is answered with 500, and the log names the plugin and the mend."""
EMPTY = {"select": [], "count": 0, "join": [], "engine": [], "background": [], "inner": []}
"""What answers as if there were no rows but one's own."""


def test_what_is_tried(
    environment: Environment, empty_url: str, tmp_path: Path, unused_port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """By a user who has no rows, beside one who has some; and then by that one, whose rows are still there."""
    package = "careless_of_strangers"
    files = {f"{package}/__init__.py": SOURCE.read_text()}
    environment.install(wheel.write(tmp_path, f"careless{STRANGER}", files, points={"careless": package}))
    assert environment.run("todoservice", "db", "upgrade").returncode == 0
    provisioned = environment.run("todoservice", "db", "provision")
    service = replace(environment, variables={**environment.variables, "NEON_DATABASE_URL": provisioned.stdout.strip()})
    victim, attacker = str(uuid4()), str(uuid4())

    with service.serving(unused_port, TODOSERVICE_REQUIRE_ISOLATION="true") as client:

        def asked(user: str, method: str, path: str, **options: Any) -> httpx2.Response:
            return client.request(method, path, headers={"X-User-ID": user}, **options)

        made = asked(victim, "POST", TODOS, json={"title": "The victim's"}).json()
        before = ask(empty_url, "SELECT * FROM todoservice.todos")
        for name in REFUSED:
            answer = asked(attacker, "GET", f"{CARELESS}/{name}")
            assert (answer.status_code, answer.json()["error_code"]) == (500, "SERVER_ERROR"), name
            assert "victim" not in answer.text
        for name, nothing in EMPTY.items():
            for _ in range(2):
                assert asked(attacker, "GET", f"{CARELESS}/{name}").json() == nothing, name
        assert asked(attacker, "GET", f"{CARELESS}/of/{victim}").status_code == 500
        assert asked(attacker, "GET", f"{CARELESS}/one/{made['id']}").status_code == 404
        assert asked(attacker, "POST", f"{CARELESS}/for/{victim}").status_code == 500
        for name in ("complete", "clear"):
            assert asked(attacker, "POST", f"{CARELESS}/{name}").json() == 0
        assert client.get(f"{CARELESS}/inner").json()["error_code"] == "MISSING_USER_CONTEXT"
        assert ask(empty_url, "SELECT * FROM todoservice.todos") == before
        assert asked(victim, "GET", f"{CARELESS}/select").json() == ["The victim's"]

        for name in ("cache", "scope"):
            for user in (victim, attacker):
                assert asked(user, "GET", f"{CARELESS}/unstopped/{name}").json() == ["The victim's"]
        assert asked(attacker, "GET", f"{CARELESS}/unstopped/made/{victim}").json() == ["The victim's"]
    said = capfd.readouterr().out
    assert "careless (careless-of-strangers 0.3)" in said


def test_what_nobody_stops_is_told() -> None:
    """In the page on isolation: each under the name that the plugin has it by."""
    document = (ROOT / "docs" / "isolation.md").read_text()
    unstopped = re.findall(r"/unstopped/(\w+)", SOURCE.read_text())
    assert [name for name in unstopped if f"`{name}`" not in document] == []
