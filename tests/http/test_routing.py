"""Which routes a request is led to: those of the feature that its path names."""

import asyncio
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

from api import TODOS, create
from calls import Request, measure
from fastapi import APIRouter
from fastapi import Request as Asking
from plugin_modules import module
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from todoservice import Id, Plugin, Settings, create_app, uuid7

AGAIN = 10
"""How often a request is made before its calls are counted, and how often while they are."""


def feature(name: str) -> Plugin:
    """Return a plugin with a few routes."""
    router = APIRouter()

    async def answer(id: Id) -> None: ...

    for path in ("/a", "/b", "/{id}/c", "/{id}"):
        router.get(path, name=f"{name}{path}")(answer)
    return Plugin(name, module(name, todoservice_router=lambda: router))


def calls(settings: Settings, *features: Plugin | ModuleType) -> float:
    """Return how many calls of Python's it takes to answer a request of the last of these features."""
    app = create_app(settings, plugins=features)
    request = Request("GET", f"/api/v1/last/{uuid7()}", headers=((b"x-user-id", str(uuid7()).encode()),))

    async def measuring() -> float:
        measured = await measure(app, [request] * 2 * AGAIN)
        assert measured.statuses == {200}
        return measured.each

    return asyncio.run(measuring())


def test_other_features_cost_nothing(settings: Settings) -> None:
    """However many there are, the way to a route is as long as with one."""
    alone = calls(settings, feature("last"))
    among_many = calls(settings, *(feature(f"f{number}") for number in range(20)), feature("last"))
    assert alone > 100
    assert among_many - alone < 1


def test_routes_can_be_named(client: TestClient) -> None:
    """A handler finds the address of a route by its name, as Starlette has it."""
    app: Any = client.app
    asking = Asking({"type": "http", "app": app, "router": app.router, "headers": [], "server": ("here", 80)})
    assert asking.url_for("list_todos").path == TODOS


def test_names_that_begin_alike(mine: TestClient) -> None:
    """A feature is found by the whole of its name."""
    todo = create(mine)
    for path in (f"{TODOS}s", f"{TODOS}s/{todo['id']}", "/api/v1/", "/api/v1", f"/api/v1//todos/{todo['id']}"):
        assert mine.get(path).json()["error_code"] == "NOT_FOUND"
    assert mine.get(f"{TODOS}/{todo['id']}").json() == todo


def test_what_a_feature_has_no_route_for(settings: Settings, user: UUID) -> None:
    """It is not found, whatever the feature's router would make of it: nobody has asked who is asking."""

    async def anything(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("unguarded")(scope, receive, send)

    router = APIRouter(default=anything)
    router.get("")(lambda: "guarded")
    app = create_app(settings, plugins=[Plugin("notes", module("notes", todoservice_router=lambda: router))])
    app.get("/api/v1/notes/late", include_in_schema=False)(lambda: "of the one who embeds it")
    with TestClient(app) as client:
        assert client.get("/api/v1/notes/else").status_code == 404
        assert client.get("/api/v1/notes").status_code == 400
        assert client.get("/api/v1/notes", headers={"X-User-ID": str(user)}).json() == "guarded"
        assert client.get("/api/v1/notes/late").json() == "of the one who embeds it"


def test_nobody_gets_to_a_handler_by_another_way(settings: Settings, user: UUID, tmp_path: Path) -> None:
    """Than by the feature's name: a line break after it, files, a route that is added late, a method that is."""
    (tmp_path / "index.html").write_text("a file")
    router = APIRouter()
    router.get("")(lambda: "a list")
    router.frontend("/web", directory=str(tmp_path))
    app = create_app(settings, plugins=[Plugin("notes", module("notes", todoservice_router=lambda: router))])
    router.get("/late")(lambda: "a late one")
    router.put("")(lambda: "a late method")
    ways = {
        ("GET", "%0A"): "a list", ("GET", "/web/index.html"): "a file",
        ("GET", "/late"): "a late one", ("PUT", ""): "a late method",
    }  # fmt: skip
    with TestClient(app) as client:
        for (method, way), answer in ways.items():
            assert client.request(method, f"/api/v1/notes{way}").json()["error_code"] == "MISSING_USER_CONTEXT"
            known = client.request(method, f"/api/v1/notes{way}", headers={"X-User-ID": str(user)})
            assert (known.status_code, answer in known.text) == (200, True)


def test_a_request_that_is_refused_is_known_by_its_route(settings: Settings) -> None:
    """To the plugins' middleware, which counts it there."""
    seen: list[Any] = []

    def noting(app: ASGIApp) -> ASGIApp:
        async def note(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)
            if scope["type"] == "http":
                seen.append((scope["todoservice.feature"], scope["route"].path, scope["path_params"]))

        return note

    router = APIRouter()

    @router.get("/{id}")
    async def retrieve(id: str) -> None: ...

    plugin = module("notes", todoservice_router=lambda: router, todoservice_middleware=lambda: noting)
    with TestClient(create_app(settings, plugins=[Plugin("notes", plugin)])) as client:
        assert client.get("/api/v1/notes/1").status_code == 400
    assert seen == [("notes (module notes)", "/{id}", {"id": "1"})]
