"""Strangers' plugins that are broken in some forty ways: each is named, with its mend, alone and among all the others."""

import json
from pathlib import Path
from signal import SIGTERM
from typing import Final
from uuid import uuid4

import pytest
import wheel
from api import TODOS
from broken_wheels import BROKEN, HOOK, Broken, feature
from environment import Environment
from good_wheels import GOOD
from visiting import ASKED, visit

# ruff: noqa: E501

SECRET: Final = "hunter2"
VALUES = {
    "TODOSERVICE_MISSET__SIZE": SECRET,
    "TODOSERVICE_MISSET__TOKEN": SECRET,
    "TODOSERVICE_TATTLING__TOKEN": SECRET,
}
NOWHERE = {"NEON_DATABASE_URL": f"postgresql://ada:{SECRET}@127.0.0.1:1/nowhere", **VALUES}
"""Where nothing may be asked: what is refused is refused before anything is connected to."""
SKIP = {"TODOSERVICE_PLUGIN_ERRORS": "skip", "TODOSERVICE_IDENTITY": "header"}
ALIASED: Final = "aliased"
"""Its first name is good: only a second one makes it two."""
START = ("uvicorn", "todoservice:create_app", "--factory", "--port", "1")

PASSPORT = f"""
from uuid import UUID
from fastapi import Header
from todoservice import Unauthenticated

def bearer(x_passport: str = Header(default="")) -> UUID:
    try:
        return UUID(x_passport)
    except ValueError:
        raise Unauthenticated from None
{HOOK}todoservice_user(): return bearer
"""
LIFESPAN = f"""
from contextlib import asynccontextmanager
{HOOK.replace("def ", "")}@asynccontextmanager
async def todoservice_lifespan(app):
    yield
"""


def refused(environment: Environment, *command: str, **variables: str) -> list[str]:
    """Return the lines that a command is refused with: with status 1, and no password nor traceback in them."""
    ran = environment.run(*command, **variables)
    assert ran.returncode == 1, ran
    assert SECRET not in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stderr.splitlines()


def see(lines: list[str], wanted: list[str]) -> None:
    """See that these are the lines, each by how it begins."""
    assert len(lines) == len(wanted), lines
    assert [line for line, begin in zip(lines, wanted, strict=True) if not line.startswith(begin)] == []


@pytest.mark.parametrize("name", BROKEN)
def test_each_is_named_with_its_mend(environment: Environment, tmp_path: Path, name: str) -> None:
    """One line for each fault, of it alone: not of todos, which is there too."""
    environment.install(*BROKEN[name].write(name, tmp_path))
    see(refused(environment, *START, **NOWHERE), BROKEN[name].lines(name))


def install_all(environment: Environment, folder: Path, *left_out: str) -> list[str]:
    """Install all that are broken, and return what is told of them."""
    strangers = {name: stranger for name, stranger in BROKEN.items() if name not in left_out}
    environment.install(*(path for name, stranger in strangers.items() for path in stranger.write(name, folder)))
    return sorted(line for name, stranger in strangers.items() for line in stranger.lines(name))


def test_all_are_named_in_one_pass(environment: Environment, tmp_path: Path) -> None:
    """When the service starts, and when its plugins are listed: one hides no other."""
    wanted = install_all(environment, tmp_path)
    see(sorted(refused(environment, *START, **NOWHERE)), wanted)
    listed = environment.run("todoservice", "plugins", "--json", **NOWHERE)
    assert (listed.returncode, SECRET in listed.stdout + listed.stderr) == (1, False)
    plugins = json.loads(listed.stdout)["plugins"]
    assert {entry["name"] for entry in plugins if entry["state"] == "active"} == {"todos", ALIASED}
    assert [entry["faults"] for entry in plugins if entry["name"] == "todos"] == [[]]
    assert all(fault["hint"] or fault["code"] == "P308" for entry in plugins for fault in entry["faults"])


def test_they_may_be_skipped(environment: Environment, good: dict[str, Path], tmp_path: Path, unused_port: int) -> None:
    """The good ones work, and the broken are shown as broken."""
    # What rewrites another's table within the process is beyond what the host can undo.
    install_all(environment, tmp_path, "thief")
    environment.install(*good.values())
    settings = SKIP | VALUES | {"TODOSERVICE_PLUGINS_ENDPOINT": "true"}
    upgraded = environment.run("todoservice", "db", "upgrade", **settings)
    assert upgraded.returncode == 0, upgraded.stderr
    with environment.serving(unused_port, **settings) as client:
        visit(client, *ASKED)
        shown = client.get("/-/plugins")
    states = {entry["name"]: entry["state"] for entry in shown.json()["plugins"]}
    assert {name for name, state in states.items() if state == "active"} == {*GOOD, "todos", ALIASED}
    assert SECRET not in shown.text
    assert {state for name, state in states.items() if name in BROKEN and name != ALIASED} == {"broken"}


@pytest.mark.parametrize(
    ("strangers", "variables", "wanted"),
    [
        (
            {"passport": f"{PASSPORT}\n1 / 0"}, SKIP | {"TODOSERVICE_IDENTITY": "passport"},
            [
                "P403: TODOSERVICE_IDENTITY names passport, which is broken: mend it, or name another",
                "P101 passport (passport-of-strangers 0.3): passport_of_strangers cannot be imported: ZeroDivisionError",
            ],
        ),
        (
            {"passport": f"{PASSPORT}\n1 / 0"}, {"TODOSERVICE_PLUGIN_ERRORS": "skip"},
            [
                "P406: TODOSERVICE_PLUGIN_ERRORS is skip, and TODOSERVICE_IDENTITY is not set: an authentication plugin "
                "could be skipped: set TODOSERVICE_IDENTITY to it, or to header",
                "P101 passport (passport-of-strangers 0.3): ",
            ],
        ),
        (
            {"passport": PASSPORT, "visa": PASSPORT}, {},
            [
                "P405: passport, visa each say who is asking, and TODOSERVICE_IDENTITY names none: "
                "set it to one of them"
            ],
        ),
        (
            {}, {"TODOSERVICE_IDENTITY": "passport"},
            ["P401: TODOSERVICE_IDENTITY names 'passport', which is not installed: the ones to name are header, todos"],
        ),
    ],
    ids=["broken", "unnamed", "several", "missing"],
)  # fmt: skip
def test_nobody_else_says_who_is_asking(
    environment: Environment, tmp_path: Path, strangers: dict[str, str], variables: dict[str, str], wanted: list[str]
) -> None:
    """Where the plugin that should say so cannot, nothing starts: least of all with the header on trust."""
    for name, source in strangers.items():
        environment.install(*Broken((), source).write(name, tmp_path))
    see(refused(environment, *START, **NOWHERE, **variables), wanted)


def test_an_authentication_plugin_is_asked(environment: Environment, tmp_path: Path, unused_port: int) -> None:
    """Once it is installed, and the header says nothing any more."""
    environment.install(*Broken((), PASSPORT).write("passport", tmp_path))
    assert environment.run("todoservice", "db", "upgrade").returncode == 0
    user = str(uuid4())
    with environment.serving(unused_port) as client:
        assert client.get(TODOS, headers={"X-User-ID": user}).status_code == 401
        assert client.get(TODOS, headers={"X-Passport": user}).status_code == 200


@pytest.mark.parametrize(
    ("source", "status", "told"),
    [
        (LIFESPAN.replace("    yield", "    1 / 0\n    yield"), 3, "P501 dozing (dozing-of-strangers 0.3): its lifespan raised "
         "ZeroDivisionError: division by zero (__init__.py:8): mend it"),
        (LIFESPAN.replace("    yield", "    yield\n    1 / 0"), -SIGTERM, "P502 dozing (dozing-of-strangers 0.3): its lifespan raised "
         "ZeroDivisionError: division by zero (__init__.py:9): mend it"),
    ],
    ids=["start", "stop"],
)  # fmt: skip
def test_a_lifespan_that_fails_is_named(
    environment: Environment, tmp_path: Path, source: str, status: int, told: str
) -> None:
    """Whether at its start, which ends the process, or at its end."""
    environment.install(*Broken((), source).write("dozing", tmp_path))
    ran = environment.served(**NOWHERE)
    assert ran.returncode == status, ran.stderr
    assert told in ran.stderr
    assert SECRET not in ran.stderr


def test_a_migration_that_fails_is_named(environment: Environment, tmp_path: Path) -> None:
    """And leaves nothing behind, its own nor another's."""
    failing = wheel.migration("fragile", 'sa.Column("text", sa.String(-1))')
    stranger = Broken((), feature("fragile"), {"migrations/0001_fragile.py": failing})
    environment.install(*stranger.write("fragile", tmp_path))
    [line] = refused(environment, "todoservice", "db", "upgrade")
    assert line.startswith("fragile (fragile-of-strangers 0.3): revision 0001_fragile failed: ")
    assert line.endswith("; to start without it, set TODOSERVICE_BLOCK=fragile")
    environment.clear()
    status = json.loads(environment.run("todoservice", "db", "status", "--json").stdout)
    assert {entry["current"] for entry in status} == {None}
