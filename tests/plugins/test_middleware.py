"""The middleware of plugins: `todoservice_middleware`, around everything but the request's id."""

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from api import TODOS, problem
from fastapi import APIRouter
from plugin_modules import faults, module
from starlette.middleware.cors import CORSMiddleware
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todoservice import Plugin, Settings, create_app

Seen = list[str]


class Noting:
    """Middleware that notes what passes, or fails."""

    def __init__(self, app: ASGIApp, *, name: str, seen: Seen, before: Any = None, after: Any = None) -> None:
        """Wrap `app`."""
        self.app, self.name, self.seen, self.before, self.after = app, name, seen, before, after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.seen.append(f"{self.name} {scope['type']} {message['status']}")
            await send(message)

        if scope["type"] == "http" and self.before is not None:
            raise self.before
        await self.app(scope, receive, noting)
        if scope["type"] == "http" and self.after is not None:
            raise self.after


def noting(name: str, seen: Seen, **options: Any) -> ModuleType:
    """Return a plugin with such middleware."""
    return module(name, todoservice_middleware=lambda: partial(Noting, name=name, seen=seen, **options))


def bug() -> ModuleType:
    """Return a plugin whose handler fails."""
    router = APIRouter()

    @router.get("")
    async def fail() -> None:
        raise KeyError("oops")

    return module("bug", todoservice_router=router)


@pytest.fixture
def ask(settings: Settings, user: Any) -> Callable[..., Any]:
    """Return what asks an app of these plugins for a path, and returns the response."""

    def response(*modules: ModuleType | Plugin, path: str = "/healthz") -> Any:
        with TestClient(create_app(settings, plugins=modules), headers={"X-User-ID": str(user)}) as client:
            return client.get(path)

    return response


def test_it_sees_every_answer(ask: Callable[..., Any]) -> None:
    """What is found, what is refused, and what failed."""
    seen: Seen = []
    for path in ("/healthz", "/nowhere", "/api/v1/bug"):
        ask(noting("ape", seen), bug(), path=path)
    assert seen == ["ape http 200", "ape http 404", "ape http 500"]


def test_the_first_to_start_is_outermost(ask: Callable[..., Any]) -> None:
    """So the last one sees an answer first."""
    seen: Seen = []
    ape = Plugin("ape", noting("ape", seen), requires=("zoo",))
    ask(ape, Plugin("zoo", noting("zoo", seen)))
    assert seen == ["ape http 200", "zoo http 200"]


def test_each_app_has_its_own(ask: Callable[..., Any]) -> None:
    """Of the same module, as of every hook."""
    seen: Seen = []
    plugin = noting("ape", seen)
    assert [ask(plugin).status_code for _ in range(2)] == [200, 200]
    assert seen == ["ape http 200"] * 2


@pytest.mark.parametrize("inner", ["ape", "zoo"])
def test_what_it_raises_is_a_problem_and_its_own(
    ask: Callable[..., Any], caplog: pytest.LogCaptureFixture, inner: str
) -> None:
    """The log names the plugin, once, and the client learns nothing but the request's id."""
    seen: Seen = []
    failing = {inner: {"before": KeyError("oops")}}
    answer = ask(*(noting(name, seen, **failing.get(name, {})) for name in ("ape", "zoo")))
    told = problem(answer, 500, "SERVER_ERROR")
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == (
        f"GET '/healthz' failed in the middleware of {inner} (module {inner}), request id {told['request_id']}"
    )
    assert "oops" not in answer.text
    assert seen == (["ape http 500"] if inner == "zoo" else [])


def test_what_it_raises_after_an_answer_is_told_once(ask: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """The answer has gone; the server ends the connection."""
    with pytest.raises(KeyError):
        ask(noting("ape", []), noting("zoo", [], after=KeyError("oops")))
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage().startswith("GET '/healthz' failed in the middleware of zoo (module zoo), request id ")


def test_starlettes_own_fits(settings: Settings) -> None:
    """As a partial."""
    cors = partial(CORSMiddleware, allow_origins=["https://example.com"])
    with TestClient(create_app(settings, plugins=[module("cors", todoservice_middleware=lambda: cors)])) as client:
        answer = client.get(TODOS, headers={"Origin": "https://example.com"})
    assert answer.headers["access-control-allow-origin"] == "https://example.com"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "P206 notes (module notes): todoservice_middleware returned 3: return a function that takes an ASGI app"),
        (
            lambda _app: None,
            "P206 notes (module notes): todoservice_middleware returned None: return a function that takes an ASGI app",
        ),
        (
            lambda _scope, _receive, _send: None,
            "P205 notes (module notes): todoservice_middleware raised TypeError: ",
        ),
    ],
)
def test_what_wraps_no_app_is_a_fault(value: Any, words: str) -> None:
    """Before the app is made."""
    (line,) = faults(module("notes", todoservice_middleware=lambda: value))
    assert line.startswith(words)
