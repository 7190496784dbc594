"""How a plugin's hooks are looked at: whether they can be called, what they raise and what they return."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from fastapi import APIRouter
from plugin_modules import faults, module
from sqlmodel import Field
from starlette.testclient import TestClient

from todoservice import Queries, Settings, Shared, create_app, hookimpl
from todoservice.middleware import CannotStart
from todoservice.plugins import PluginError
from todoservice.plugins.hooks import HOOKS
from todoservice.plugins.host import Host

MODELS = "todoservice_models"


def fault(*given: ModuleType) -> str:
    """Return the one line that the host refuses these plugins with, without what they all begin with."""
    (line,) = faults(*given)
    code, whose, message = line.split(" ", 1)[0], "notes (module notes): ", line.partition(": ")[2]
    assert line == f"{code} {whose}{message}"
    return f"{code} {message}"


def marked(name: str, function: Callable[..., Any], **options: Any) -> ModuleType:
    """Return a plugin with this function, marked with these options."""
    made = ModuleType("notes")
    setattr(made, name, hookimpl(**options)(function))
    return made


def test_an_unknown_hook_is_a_fault() -> None:
    """With the one that was probably meant."""
    assert fault(module(todoservice_model=[])) == "P201 todoservice_model is no hook: did you mean todoservice_models?"


def test_every_unknown_hook_is_told() -> None:
    """Pluggy would tell the first, and not whose it is."""
    lines = faults(module(todoservice_zzz=[], another=[]))
    assert [line.partition(" is no hook")[0] for line in lines] == [
        "P201 notes (module notes): another",
        "P201 notes (module notes): todoservice_zzz",
    ]


def test_an_unknown_hook_keeps_no_other_from_being_asked() -> None:
    """All that is wrong with a plugin is told at once."""
    assert [line.partition(" ")[0] for line in faults(module(todoservice_model=[], todoservice_router=3))] == [
        "P201",
        "P206",
    ]


def test_a_module_without_hooks_is_a_fault() -> None:
    """Most likely @hookimpl was forgotten altogether."""
    assert fault(module()) == (
        "P202 notes implements no hook: import hookimpl from todoservice, and see todoservice.hookspecs"
    )


def test_a_hook_that_is_not_marked_is_a_fault() -> None:
    """Pluggy would ignore the function."""
    made = module(todoservice_models=[])
    made.todoservice_queries = lambda: Queries  # type: ignore[attr-defined]
    assert fault(made) == "P203 todoservice_queries is not marked: write @hookimpl above it"


def test_a_wrapper_is_a_fault() -> None:
    """No plugin's hook is called with another's."""

    def wrapper() -> Iterator[None]:
        yield

    assert fault(marked(MODELS, wrapper, wrapper=True)) == (
        "P203 todoservice_models is a wrapper, and nobody's hook is another's to wrap: write @hookimpl"
    )


def test_a_hook_has_its_own_name() -> None:
    """Migrations read a plugin's models by it."""
    assert fault(marked("models", lambda: [Public], specname=MODELS)) == (
        "P203 models has another name than its hook: name it todoservice_models, and write @hookimpl"
    )


def test_an_argument_that_the_hook_does_not_give_is_a_fault() -> None:
    """It is told which there are."""

    def router(settings: Any, app: Any) -> APIRouter:
        raise AssertionError

    assert fault(module(todoservice_router=router)) == (
        "P204 todoservice_router has the argument 'app': the hook gives settings"
    )


def test_an_argument_where_there_are_none_is_a_fault() -> None:
    """It is told that there are none."""
    assert fault(marked(MODELS, lambda settings: [settings])) == (
        "P204 todoservice_models has the argument 'settings': the hook gives none"
    )


@pytest.mark.parametrize("router", [lambda settings=None: settings, lambda *, settings: settings])
def test_an_argument_that_pluggy_would_leave_out_is_a_fault(router: Callable[..., Any]) -> None:
    """The plugin would never see its settings."""
    assert fault(marked("todoservice_router", router)) == (
        "P204 todoservice_router gives 'settings' a default or takes it by name, and would not get it: "
        "write plain (settings)"
    )


def test_what_a_hook_raises_is_attributed() -> None:
    """To the plugin, the hook and the line."""

    def models() -> list[Any]:
        raise KeyError("oops")

    made = module(todoservice_models=models)
    made.__name__ = __name__
    (line,) = faults(made)
    number = models.__code__.co_firstlineno + 1
    assert line.partition(": ")[2] == f"todoservice_models raised KeyError: 'oops' (test_hooks.py:{number}): mend it"


def test_what_is_no_exception_is_attributed() -> None:
    """Extensions in Rust raise such where they panic."""

    def models() -> list[Any]:
        raise asyncio.CancelledError("panic")

    assert fault(module(todoservice_models=models)) == "P205 todoservice_models raised CancelledError: panic: mend it"


def test_what_a_generator_raises_is_attributed() -> None:
    """It does so when it is read, and not when it is called."""

    def models() -> Iterator[Any]:
        yield Public
        raise SystemExit

    assert fault(module(todoservice_models=models)) == "P205 todoservice_models raised SystemExit: mend it"


def test_an_interrupt_is_the_operators() -> None:
    """Ctrl-C is nobody's fault."""

    def models() -> list[Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        faults(module(todoservice_models=models))


class Public(Shared, table=True):
    """The same for all users."""

    __tablename__ = "notes_public"
    id: int = Field(primary_key=True)


def test_a_hook_may_yield() -> None:
    """What it yields is a list as well as another."""
    made = module(todoservice_models=lambda: iter([Public]))
    (feature,) = Host.load(Settings.load(), [made], serving=False).features
    assert feature.models == (Public,)


@pytest.mark.parametrize(
    ("hook", "value", "words"),
    [
        (MODELS, 3, "3: return a list of table classes"),
        (MODELS, "abc", "'abc': return a list of table classes"),
        (MODELS, Public, f"{Public!r}: return a list of table classes"),
        ("todoservice_router", "r", "'r': return an APIRouter"),
        ("todoservice_queries", [1], "1: return a class derived from Queries, or a list of such"),
        ("todoservice_queries", 5, "5: return a class derived from Queries, or a list of such"),
        ("todoservice_queries", dict, "<class 'dict'>: return a class derived from Queries, or a list of such"),
        ("todoservice_settings", {}, "{}: return a class derived from BaseModel"),
        ("todoservice_user", 3, "3: return a function that FastAPI can depend on"),
        ("todoservice_user", None, "None: return a function that FastAPI can depend on"),
    ],
)
def test_what_a_hook_returns_is_looked_at(hook: str, value: Any, words: str) -> None:
    """Before it fails somewhere that names nobody."""
    assert fault(module(**{hook: value})) == f"P206 {hook} returned {words}"


def told(settings: Settings, hook: str, value: Any) -> str:
    """Return what is told of a plugin that returns `value`, or is that function, from its first hook to the start."""
    hooks = {hook: value}
    try:
        app = create_app(settings, plugins=[module("notes", **hooks)])
        checks = [str(fault) for fault in app.state.host.checks(app)]
        with TestClient(app):
            return "\n".join(checks)
    except (PluginError, CannotStart) as error:
        return str(error)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_asked_and_answers_for_what_it_raises(hook: str, settings: Settings) -> None:
    """Whichever there is: the host calls it, and names it."""

    def fail() -> Any:
        raise KeyError("oops")

    assert told(settings, hook, fail) == f"P205 notes (module notes): {hook} raised KeyError: 'oops': mend it"


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_answers_for_what_it_returns(hook: str, settings: Settings) -> None:
    """Whichever there is: the number 3 is none of what they return."""
    assert told(settings, hook, 3).startswith(f"P206 notes (module notes): {hook} returned 3: return a")


def test_a_hook_is_no_coroutine() -> None:
    """The message says so, where pluggy would hand over a coroutine."""

    async def todoservice_models() -> list[Any]:
        return []

    assert fault(module(todoservice_models=todoservice_models)) == (
        "P206 todoservice_models is async: write it with def, and return a list of table classes"
    )


def test_a_lifespan_that_is_none_is_told_with_all_the_rest() -> None:
    """And not only once the app starts, where it cannot be skipped."""

    async def todoservice_lifespan() -> AsyncIterator[None]:
        yield

    assert fault(module(todoservice_lifespan=todoservice_lifespan)) == (
        "P206 todoservice_lifespan is an async generator: write @asynccontextmanager above it, under @hookimpl"
    )


def test_a_hook_is_no_asynchronous_generator() -> None:
    """As a lifespan is whose decorator was forgotten."""

    async def todoservice_router() -> AsyncIterator[None]:
        yield

    assert fault(module(todoservice_router=todoservice_router)) == (
        "P206 todoservice_router is an async generator: write @asynccontextmanager above it, under @hookimpl"
    )
