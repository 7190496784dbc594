"""A hook, or an argument of one, that a later release does without: told at every start, and nothing is kept out."""

import json
from typing import Any

import pytest
from databases import migrate
from fastapi import APIRouter
from plugin_modules import Site
from starlette.testclient import TestClient

from todoservice import Settings, create_app, hookspecs
from todoservice.cli import main
from todoservice.hookspecs import hookspec
from todoservice.plugins.host import Host

MEND = DeprecationWarning("implement todoservice_endpoints in its place, which 0.3 asks for alone")
SOURCE = """
from fastapi import APIRouter
from todoservice import hookimpl

@hookimpl
def todoservice_router({arguments}): return APIRouter()
"""
HOOK = f"W105 pens (pens-of-a-stranger 0.3): todoservice_router is deprecated: {MEND}"
ARGUMENT = (
    "W105 pens (pens-of-a-stranger 0.3): todoservice_router has the argument 'settings', which is deprecated: leave it"
)


def router(settings: Any) -> APIRouter:
    """Return the endpoints, as the hook of a release that deprecates something does."""
    raise NotImplementedError


@pytest.fixture
def without_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a release in which a hook is deprecated."""
    monkeypatch.setattr(hookspecs, "todoservice_router", hookspec(warn_on_impl=MEND)(router))


@pytest.fixture
def without_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a release in which an argument of a hook is deprecated."""
    mark = hookspec(warn_on_impl_args={"settings": DeprecationWarning("leave it")})
    monkeypatch.setattr(hookspecs, "todoservice_router", mark(router))


@pytest.fixture
def database(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the environment to a migrated database, and return its URL."""
    migrate(empty_url)
    monkeypatch.setenv("NEON_DATABASE_URL", empty_url)
    return empty_url


def install(site: Site, arguments: str = "") -> None:
    """Install a plugin that implements the hook, with these arguments."""
    site.install("pens-of-a-stranger", name="pens", source=SOURCE.format(arguments=arguments))


def warnings() -> list[str]:
    """Return what the host warns of, having refused nothing."""
    return [str(fault) for fault in Host.load(Settings.load()).accept().warnings if fault.plugin != "todos"]


@pytest.mark.usefixtures("without_hook")
def test_a_deprecated_hook_is_told(site: Site) -> None:
    """Whose implementation it is, and what to write instead; nothing else is warned of."""
    install(site)
    assert warnings() == [HOOK]


@pytest.mark.usefixtures("without_argument")
def test_a_deprecated_argument_is_told(site: Site) -> None:
    """To whoever takes it."""
    install(site, "settings")
    assert warnings() == [ARGUMENT]


@pytest.mark.usefixtures("without_argument")
def test_who_leaves_the_argument_out_is_not_told(site: Site) -> None:
    """They have done what there is to do."""
    install(site)
    assert warnings() == []


@pytest.mark.usefixtures("without_hook")
def test_the_start_tells_it_and_goes_on(site: Site, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """In the log, once."""
    install(site)
    with TestClient(create_app(settings)) as client:
        assert client.get("/readyz").status_code == 200
    assert caplog.messages.count(HOOK) == 1


@pytest.mark.usefixtures("without_hook", "database")
def test_the_commands_tell_it(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """`todoservice plugins`, which has nothing against it, and `todoservice check`, which wants it mended."""
    install(site)
    assert main(["plugins"]) == 0
    assert HOOK in capsys.readouterr().out.splitlines()
    assert main(["plugins", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"plugin": "pens", "code": "W105", "message": "todoservice_router is deprecated", "hint": str(MEND)} in (
        listed["warnings"]
    )
    assert [plugin["state"] for plugin in listed["plugins"]] == ["active", "active"]
    assert main(["check"]) == 1
    told = f"W105  pens (pens-of-a-stranger 0.3): todoservice_router is deprecated: {MEND}"
    assert told in capsys.readouterr().out.splitlines()
