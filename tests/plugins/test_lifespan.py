"""What plugins do while the app runs, and what they see in their own set-up."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI
from plugin_modules import module
from pydantic import BaseModel
from starlette.testclient import TestClient

from todoservice import Plugin, Settings, create_app
from todoservice.middleware import CannotStart
from todoservice.plugins import PluginError

Seen = list[str]


class Loud(BaseModel):
    """Settings."""

    volume: int = 3


def lifespan(name: str, seen: Seen, *, entering: Any = None, leaving: Any = None) -> ModuleType:
    """Return a plugin that notes when it starts and stops, or raises then."""

    def todoservice_lifespan(app: FastAPI, settings: Loud) -> AbstractAsyncContextManager[None]:
        @asynccontextmanager
        async def running() -> AsyncIterator[None]:
            if entering is not None:
                raise entering
            seen.append(f"+{name} {settings.volume} {app.title}")
            yield
            seen.append(f"-{name}")
            if leaving is not None:
                raise leaving

        return running()

    return module(name, todoservice_lifespan=todoservice_lifespan, todoservice_settings=Loud)


def plugins(*modules: ModuleType) -> list[Plugin]:
    """Return plugins each of which needs the one before."""
    names = [module.__name__ for module in modules]
    return [Plugin(module.__name__, module, tuple(names[number - 1 : number])) for number, module in enumerate(modules)]


def test_they_are_entered_in_start_order_and_left_in_reverse(settings: Settings) -> None:
    """Each with the app and its settings, at every start."""
    seen: Seen = []
    app = create_app(settings, plugins=plugins(lifespan("zoo", seen), lifespan("ape", seen)))
    for _ in range(2):
        seen.clear()
        with TestClient(app):
            assert seen == ["+zoo 3 todoservice", "+ape 3 todoservice"]
        assert seen[2:] == ["-ape", "-zoo"]


@pytest.mark.parametrize("error", [KeyError("oops"), SystemExit("oops")])
def test_one_that_fails_to_start_stops_the_app(settings: Settings, error: BaseException) -> None:
    """It is named, and those before it are left."""
    seen: Seen = []
    failing = lifespan("bad", seen, entering=error)
    app = create_app(settings, plugins=plugins(lifespan("zoo", seen), failing, lifespan("ape", seen)))
    with pytest.raises(CannotStart) as stopped, TestClient(app):
        raise AssertionError
    assert str(stopped.value).startswith(f"P501 bad (module bad): its lifespan raised {type(error).__name__}: ")
    assert seen == ["+zoo 3 todoservice", "-zoo"]


def test_one_that_fails_to_stop_keeps_no_other_from_it(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """It is named in the log, with its traceback."""
    seen: Seen = []
    failing = lifespan("bad", seen, leaving=KeyError("oops"))
    with TestClient(create_app(settings, plugins=plugins(lifespan("zoo", seen), failing))):
        pass
    assert seen[2:] == ["-bad", "-zoo"]
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == "P502 bad (module bad): its lifespan raised KeyError: 'oops': mend it"
    assert record.exc_info


def test_a_lifespan_is_a_context_manager(settings: Settings) -> None:
    """As it is where its decorator was not forgotten."""

    async def todoservice_lifespan() -> AsyncIterator[None]:
        yield

    with pytest.raises(PluginError) as refused:
        create_app(settings, plugins=[module("bad", todoservice_lifespan=todoservice_lifespan)])
    assert str(refused.value) == (
        "P206 bad (module bad): todoservice_lifespan is an async generator: "
        "write @asynccontextmanager above it, under @hookimpl"
    )


def test_what_a_plugin_sees_in_its_set_up_is_a_warning(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """The app starts all the same."""
    careful = module("careful", todoservice_checks=lambda app: [f"{app.title} has\nno bell: install one"])
    with TestClient(create_app(settings, plugins=[careful])):
        assert "W104 careful (module careful): todoservice has no bell: install one" in caplog.messages


@pytest.mark.parametrize(
    ("checks", "told"),
    [
        (lambda app: app.no_such_thing, "P205 bad (module bad): todoservice_checks raised AttributeError"),
        (lambda: [3], "P206 bad (module bad): todoservice_checks returned 3: return a list of sentences"),
        (lambda: "abc", "P206 bad (module bad): todoservice_checks returned 'abc': return a list of sentences"),
    ],
)
def test_a_check_that_cannot_be_made_is_a_warning(
    settings: Settings, caplog: pytest.LogCaptureFixture, checks: Any, told: str
) -> None:
    """Attributed as every hook."""
    with TestClient(create_app(settings, plugins=[module("bad", todoservice_checks=checks)])):
        assert any(message.startswith(told) for message in caplog.messages)
