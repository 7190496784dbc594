"""No class of routes answers a request before its user is known, and each stays usable behind that."""

import gzip
import json
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from api import faults, problem
from fastapi import APIRouter, Depends, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.telemetry._api import _RequestTelemetry
from plugin_modules import module
from pydantic import BaseModel
from starlette.convertors import CONVERTOR_TYPES, Convertor, register_url_convertor
from starlette.responses import PlainTextResponse
from starlette.routing import Match, Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from todoservice import CurrentScope, Plugin, Settings, create_app
from todoservice.plugins.dispatch import FEATURE

NOTES = "/api/v1/notes"
LEAKED = "unguarded"
MANY = "9" * 5000
"""More digits than Python reads as an integer."""
OTHER = UUID("9f0c3ab2-1f5e-4c7e-9d2f-6a1b7c1de001")


class Note(BaseModel):
    """A body."""

    text: str


async def leak(_scope: Scope, receive: Receive, send: Send) -> None:
    """Answer every request."""
    await PlainTextResponse(LEAKED)(_scope, receive, send)


def everything(_: Any, scope: Scope) -> tuple[Match, Scope]:
    """Match every request."""
    return Match.FULL, {"path_params": {}, "endpoint": leak, "router": None, "app": scope.get("app")}


async def handled(_: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in place of a route or a router."""
    await leak(scope, receive, send)


def handler(_: Any) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """Return a handler that runs no dependency."""

    async def answer(_: Request) -> Response:
        return PlainTextResponse(LEAKED)

    return answer


class Everything:
    """A pattern that matches every path."""

    def match(self, _: str) -> Any:
        return self

    fullmatch = match

    def groupdict(self) -> dict[str, str]:
        return {}


ROUTE_CLASSES: dict[str, dict[str, Any]] = {
    "handle": {"handle": handled},
    "call": {"__call__": handled},
    "matches": {"matches": everything},
    "matches and handle": {"matches": everything, "handle": handled},
    "get_route_handler": {"get_route_handler": handler},
    "app": {"app": property(lambda _: leak, lambda *_: None)},
    "path_regex": {"path_regex": property(lambda _: Everything(), lambda *_: None), "handle": handled},
    "class": {"__class__": property(lambda _: APIRoute), "handle": handled, "matches": everything},
    "attributes": {
        "__getattribute__": lambda self, name: leak if name == "app" else object.__getattribute__(self, name)
    },
}
ROUTER_CLASSES: dict[str, dict[str, Any]] = {
    "handle": {"handle": handled},
    "matches": {"matches": everything, "handle": handled},
    "call": {"__call__": handled},
    "app": {"app": handled},
    "default": {"default": property(lambda _: leak, lambda *_: None)},
    "routes": {"routes": property(lambda _: [*MORE], lambda *_: None)},
}
MORE: list[Any] = []
"""The routes of a router whose `routes` is a property."""


def with_endpoint(router: APIRouter) -> APIRouter:
    """Return the router with three routes, whose handlers return their user."""

    async def user(scope: CurrentScope) -> UUID:
        return scope.user_id

    router.add_api_route("", user, name="user")
    router.add_api_route("/{id}", user, name="user_again")
    router.add_api_route("/{id}", user, name="user_changed", methods=["PATCH"])
    return router


def routed_by(attributes: dict[str, Any]) -> APIRouter:
    """Return a router whose routes are of a class with these attributes."""
    return with_endpoint(APIRouter(route_class=type("Hostile", (APIRoute,), attributes)))


def app_of(settings: Settings, router: APIRouter, *plugins: Any) -> Any:
    """Return an app with the router, the plugins, and another feature."""
    others = with_endpoint(APIRouter())
    for number, route in enumerate(others.routes):
        route.name = f"other{number}"  # type: ignore[attr-defined]
    notes = Plugin("notes", module("notes", todoservice_router=lambda: router))
    return create_app(settings, plugins=[notes, module("others", todoservice_router=lambda: others), *plugins])


def assert_guarded(client: TestClient, user: UUID) -> None:
    """Request many paths without a user: the host answers all, and with a user only the feature's own are open."""
    paths = ("", "/1", "/1/2", "/else/where", "/")
    for method in ("GET", "HEAD", "PATCH"):
        for path in (
            *(NOTES + path for path in paths),
            "/api/v1/others",
            "/api/v1/others/1",
            "/api/v1/none",
            "/none",
            "/",
        ):
            answer = client.request(method, path)
            assert LEAKED not in answer.text, (method, path)
            assert answer.status_code in {400, 404, 405}, (method, path)
            assert answer.headers["content-type"] == "application/problem+json"
    assert client.get("/healthz").status_code == 200
    document = client.get("/openapi.json")
    assert document.status_code == 200, document.text
    assert document.json()["paths"].keys() >= {"/api/v1/others"}
    known = {"X-User-ID": str(user)}
    assert client.get("/api/v1/others", headers=known).json() == str(user)
    assert client.get(f"{NOTES}/1", headers=known).status_code == 200
    for path in ("/none", "/api/v1/none", "/api/v1/others/1/2", f"{NOTES}/1/2"):
        assert client.get(path, headers=known).status_code == 404


@pytest.mark.parametrize("attributes", ROUTE_CLASSES.values(), ids=ROUTE_CLASSES)
def test_no_route_class_answers_without_a_user(settings: Settings, user: UUID, attributes: dict[str, Any]) -> None:
    """Whatever the class replaces, for the feature's paths and all others."""
    with TestClient(app_of(settings, routed_by(attributes))) as client:
        assert_guarded(client, user)


@pytest.mark.parametrize("attributes", ROUTER_CLASSES.values(), ids=ROUTER_CLASSES)
def test_no_router_class_answers_without_a_user(settings: Settings, user: UUID, attributes: dict[str, Any]) -> None:
    """Whatever the class replaces, for the feature's paths and all others."""
    MORE[:] = with_endpoint(APIRouter()).routes
    router = type("Hostile", (APIRouter,), attributes)()
    if "routes" not in attributes:
        with_endpoint(router)
    with TestClient(app_of(settings, router)) as client:
        assert_guarded(client, user)


@pytest.mark.parametrize("attributes", ROUTE_CLASSES.values(), ids=ROUTE_CLASSES)
def test_no_route_is_changed_after_start_to_answer_without_a_user(
    settings: Settings, user: UUID, attributes: dict[str, Any]
) -> None:
    """The guard reads a route once."""
    router = with_endpoint(APIRouter())
    with TestClient(app_of(settings, router)) as client:
        for route in router.routes:
            route.__class__ = type("Hostile", (APIRoute,), attributes)
            vars(route).update({"app": leak, "path_regex": Everything(), "methods": set(), "path": "/{p:path}"})
        assert_guarded(client, user)


def test_late_routes_are_guarded_or_not_served(settings: Settings, user: UUID) -> None:
    """Routes of FastAPI's that are added to a router after the start are served with a user."""
    router = with_endpoint(APIRouter())
    nested = APIRouter()
    router.include_router(nested, prefix="/nested/deep")
    with TestClient(app_of(settings, router)) as client:
        late = APIRouter(route_class=type("Hostile", (APIRoute,), {"handle": handled, "matches": everything}))
        late.add_api_route("/late/route", leak, name="late")
        router.include_router(late)
        nested.add_api_route("/late", lambda: "nested", name="nested_late")
        client.get(f"{NOTES}/late/route")
        assert client.get(f"{NOTES}/late/route").json()["error_code"] == "MISSING_USER_CONTEXT"
        assert client.get(f"{NOTES}/nested/deep/late").json()["error_code"] == "MISSING_USER_CONTEXT"
        known = {"X-User-ID": str(user)}
        assert client.get(f"{NOTES}/late/route", headers=known).text == LEAKED


def test_late_routes_that_are_none_of_fastapi_are_not_served(settings: Settings, user: UUID) -> None:
    """At the start they are P306."""
    router = with_endpoint(APIRouter())

    async def accept(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    with TestClient(app_of(settings, router)) as client:
        router.routes.append(Route("/plain/route", lambda _: PlainTextResponse(LEAKED)))
        router.routes.append(Mount("/mount/ed", leak))
        router.routes.append(WebSocketRoute("/web/socket", accept))
        router.add_api_route("/one/more", lambda: None, name="more")  # FastAPI notices the others now
        for headers in ({}, {"X-User-ID": str(user)}):
            for path in ("/plain/route", "/mount/ed/x", "/mount/ed", "/web/socket"):
                assert problem(client.get(NOTES + path, headers=headers), 404, "NOT_FOUND")
            with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"{NOTES}/web/socket", headers=headers):
                pass


def test_a_route_that_handles_exceptions_handles_none_of_the_guard(settings: Settings) -> None:
    """The guard's exceptions pass no code of a route."""

    async def handle(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await APIRoute.handle(self, scope, receive, send)
        except Exception:  # noqa: BLE001 - it is meant to
            await leak(scope, receive, send)

    with TestClient(app_of(settings, routed_by({"handle": handle}))) as client:
        problem(client.get(NOTES), 400, "MISSING_USER_CONTEXT")


def test_a_route_cannot_rename_the_user_by_the_header(settings: Settings, user: UUID) -> None:
    """The header is read once, before the route."""

    async def handle(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        scope["headers"] = [(b"x-user-id", str(OTHER).encode())]
        await APIRoute.handle(self, scope, receive, send)

    with TestClient(app_of(settings, routed_by({"handle": handle})), headers={"X-User-ID": str(user)}) as client:
        assert client.get(NOTES).json() == str(user)


def test_routes_that_are_not_served_by_requests_still_have_names(settings: Settings) -> None:
    """The documented routes have the paths."""
    app = app_of(settings, routed_by({"handle": handled, "matches": everything}))
    assert app.url_path_for("user_again", id="1") == f"{NOTES}/1"


class TimedRoute(APIRoute):
    """See https://fastapi.tiangolo.com/how-to/custom-request-and-route/#custom-apiroute-class-in-a-router ."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        original = super().get_route_handler()

        async def timed(request: Request) -> Response:
            response = await original(request)
            response.headers["X-Response-Time"] = "0"
            return response

        return timed


class GzipRequest(Request):
    """See https://fastapi.tiangolo.com/how-to/custom-request-and-route/#create-a-custom-gziprequest-class ."""

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            body = await super().body()
            if "gzip" in self.headers.getlist("Content-Encoding"):
                body = gzip.decompress(body)
            self._body = body
        return self._body


class GzipRoute(APIRoute):
    """See https://fastapi.tiangolo.com/how-to/custom-request-and-route/#create-a-custom-gziproute-class ."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        original = super().get_route_handler()

        async def unzipped(request: Request) -> Response:
            return await original(GzipRequest(request.scope, request.receive))

        return unzipped


class LoggingRoute(APIRoute):
    """See "Accessing the request body in an exception handler" on the same page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        original = super().get_route_handler()

        async def logged(request: Request) -> Response:
            try:
                return await original(request)
            except RequestValidationError as error:
                raise HTTPException(422, f"{len(error.errors())} of {(await request.body()).decode()}") from error

        return logged


class OwnHandleRoute(APIRoute):
    """A class whose routes are not plain."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["handled"] = True
        await super().handle(scope, receive, send)


def test_documented_route_classes_are_usable(settings: Settings, user: UUID) -> None:
    """The classes of FastAPI's manual work, and none runs without a user."""
    router = APIRouter()

    async def length(note: Note, request: Request, scope: CurrentScope) -> tuple[int, UUID, bool]:
        return len(note.text), scope.user_id, getattr(request.state, "handled", False)

    kinds: list[type[APIRoute]] = [TimedRoute, GzipRoute, LoggingRoute, OwnHandleRoute]
    for kind in kinds:
        name = kind.__name__
        router.add_api_route(f"/{name}", length, name=name, methods=["POST"], route_class_override=kind)
    with TestClient(app_of(settings, router), headers={"X-User-ID": str(user)}) as client:
        timed = client.post(f"{NOTES}/TimedRoute", json={"text": "four"})
        assert (timed.json(), timed.headers["x-response-time"]) == ([4, str(user), False], "0")
        zipped = gzip.compress(json.dumps({"text": "four"}).encode())
        headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
        assert client.post(f"{NOTES}/GzipRoute", content=zipped, headers=headers).json() == [4, str(user), False]
        assert faults(client.post(f"{NOTES}/LoggingRoute", json={"x": 1})) == {"request": '1 of {"x":1}'}
        assert client.post(f"{NOTES}/OwnHandleRoute", json={"text": "four"}).json() == [4, str(user), True]
        for kind in kinds:
            answer = client.post(f"{NOTES}/{kind.__name__}", content=b"{", headers={"X-User-ID": ""})
            problem(answer, 400, "INVALID_USER_CONTEXT")


class ChoosyRoute(APIRoute):
    """A class whose routes match by a header: all methods, or nothing."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if (b"x-choose", b"1") not in scope["headers"]:
            return Match.NONE, {}
        match, found = super().matches(scope)
        return (match if match is Match.NONE else Match.FULL), found

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(f"chosen {scope['path_params']}")(scope, receive, send)


def test_a_class_that_chooses_its_requests_is_usable(settings: Settings, user: UUID) -> None:
    """Its routes come first as they do in FastAPI, and leave nothing to the route that is served in their place."""
    router = APIRouter()

    async def params(request: Request) -> Any:
        return request.path_params

    router.add_api_route("/{a}/x", params, name="a", route_class_override=ChoosyRoute)
    router.add_api_route("/{b}/{c}", params, name="b")
    router.add_api_route("/{d}/{e}", params, name="d", methods=["PUT"])
    with TestClient(app_of(settings, router), headers={"X-User-ID": str(user)}) as client:
        chosen = {"X-Choose": "1"}
        assert client.get(f"{NOTES}/1/x").json() == {"b": "1", "c": "x"}
        assert client.put(f"{NOTES}/1/x").json() == {"d": "1", "e": "x"}
        assert client.get(f"{NOTES}/1/x", headers=chosen).text == "chosen {'a': '1'}"
        assert client.put(f"{NOTES}/1/x", headers=chosen).text == "chosen {'a': '1'}"


def test_a_route_without_methods_serves_all(settings: Settings, user: UUID) -> None:
    """As in FastAPI."""
    router = APIRouter()
    router.add_api_route("", lambda: "served", name="any", operation_id="any", methods=[])
    with TestClient(app_of(settings, router)) as client:
        problem(client.put(NOTES), 400, "MISSING_USER_CONTEXT")
        assert client.put(NOTES, headers={"X-User-ID": str(user)}).json() == "served"


@pytest.mark.parametrize("route_class", [APIRoute, OwnHandleRoute])
def test_dependencies_of_a_feature_run_after_the_guard(
    settings: Settings, user: UUID, route_class: type[APIRoute]
) -> None:
    """Those of its routers, in their order, and with the app's overrides."""
    ran: list[str] = []

    async def outer() -> None:
        ran.append("outer")

    async def inner() -> None:
        raise AssertionError

    async def overridden() -> None:
        ran.append("overridden")

    inside = with_endpoint(APIRouter(route_class=route_class, dependencies=[Depends(inner)]))
    router = APIRouter(dependencies=[Depends(outer)])
    router.include_router(inside, prefix="/nested")
    app = app_of(settings, router)
    app.dependency_overrides[inner] = overridden
    with TestClient(app) as client:
        problem(client.get(f"{NOTES}/nested"), 400, "MISSING_USER_CONTEXT")
        assert ran == []
        assert client.get(f"{NOTES}/nested", headers={"X-User-ID": str(user)}).json() == str(user)
        assert ran == ["outer", "overridden"]


class Fragile(Convertor[str]):
    """A convertor of a plugin, which reads only some of what its pattern matches."""

    regex = "[a-z]+"

    def convert(self, value: str) -> str:
        return {"known": "it is known"}[value]

    def to_string(self, value: str) -> str:
        return value


@pytest.fixture
def fragile() -> Iterator[None]:
    """Register the convertor for one test."""
    register_url_convertor("fragile", Fragile())
    yield
    del CONVERTOR_TYPES["fragile"]


def numbered(route_class: type[APIRoute] = APIRoute) -> APIRouter:
    """Return routes whose paths have values that a convertor reads."""
    router = APIRouter(route_class=route_class)

    @router.get("/int/{n:int}")
    async def integer(n: int) -> int:
        return n

    @router.get("/fragile/{word:fragile}")
    async def word(word: str) -> str:
        return word

    return router


@pytest.mark.usefixtures("fragile")
@pytest.mark.parametrize("route_class", [APIRoute, OwnHandleRoute])
def test_a_path_that_no_convertor_reads_is_not_found(
    settings: Settings, user: UUID, route_class: type[APIRoute]
) -> None:
    """It matches the pattern only."""
    with TestClient(app_of(settings, numbered(route_class)), headers={"X-User-ID": str(user)}) as client:
        assert client.get(f"{NOTES}/int/12").json() == 12
        assert client.get(f"{NOTES}/fragile/known").json() == "it is known"
        for path in (f"/int/{MANY}", "/fragile/unknown"):
            for method in ("GET", "PUT"):
                answer = problem(client.request(method, NOTES + path), 404, "NOT_FOUND")
                assert answer["detail"] == "There is nothing at this path."


def test_a_path_that_one_convertor_does_not_read_is_of_another_route(settings: Settings, user: UUID) -> None:
    """The next route that matches serves it."""
    router = APIRouter()
    router.get("/{n:int}/x", name="number")(lambda: "number")
    router.get("/{text}/{more}", name="text")(lambda: "text")
    router.patch("/{text}/{more}", name="change")(lambda: "changed")
    with TestClient(app_of(settings, router), headers={"X-User-ID": str(user)}) as client:
        assert client.get(f"{NOTES}/1/x").json() == "number"
        assert client.get(f"{NOTES}/{MANY}/x").json() == "text"
        assert client.patch(f"{NOTES}/{MANY}/x").json() == "changed"
        answer = client.put(f"{NOTES}/{MANY}/x")
        problem(answer, 405, "METHOD_NOT_ALLOWED")
        assert answer.headers["allow"] == "GET, PATCH"


def test_a_path_that_one_convertor_does_not_read_is_not_led_by_a_class(settings: Settings, user: UUID) -> None:
    """FastAPI would run that convertor again, and fail."""
    router = APIRouter(route_class=OwnHandleRoute)
    router.get("/{n:int}/x", name="number")(lambda: "number")
    router.get("/{text}/{more}", name="text")(lambda: "text")
    with TestClient(app_of(settings, router), headers={"X-User-ID": str(user)}) as client:
        assert client.get(f"{NOTES}/1/x").json() == "number"
        assert client.get(f"{NOTES}/one/x").json() == "text"
        problem(client.get(f"{NOTES}/{MANY}/x"), 404, "NOT_FOUND")


def test_files_are_served_to_users_only(settings: Settings, user: UUID, tmp_path: Path) -> None:
    """Those of a router's frontend: also if a convertor does not read the path."""
    (tmp_path / "index.html").write_text(LEAKED)
    router = APIRouter()
    router.get("/{n:int}")(lambda: "number")
    router.frontend("/", directory=str(tmp_path), fallback="index.html")
    with TestClient(app_of(settings, router)) as client:
        page = {"Accept": "text/html"}
        problem(client.get(f"{NOTES}/{MANY}", headers=page), 404, "NOT_FOUND")
        problem(client.get(f"{NOTES}/any/page", headers=page), 400, "MISSING_USER_CONTEXT")
        problem(client.post(f"{NOTES}/any/page", headers=page), 405, "METHOD_NOT_ALLOWED")
        known = page | {"X-User-ID": str(user)}
        assert client.get(f"{NOTES}/any/page", headers=known).text == LEAKED
        problem(client.get(f"{NOTES}/{MANY}", headers=known), 404, "NOT_FOUND")


def test_a_late_route_whose_convertor_fails_is_not_found(settings: Settings, user: UUID) -> None:
    """Also among routes with a class of their own."""
    router = with_endpoint(APIRouter(route_class=OwnHandleRoute))
    with TestClient(app_of(settings, router), headers={"X-User-ID": str(user)}) as client:
        router.get("/late/{n:int}")(lambda n: n)
        assert client.get(f"{NOTES}/late/1").status_code == 200
        problem(client.get(f"{NOTES}/late/{MANY}"), 404, "NOT_FOUND")


@pytest.mark.parametrize("number", [MANY, f"-{MANY}", f"{MANY}.5", f"1e{MANY}"])
def test_numbers_of_any_length_are_valid_or_not(settings: Settings, user: UUID, number: str) -> None:
    """No number in a path, a query, or a header is an internal error."""
    router = APIRouter()

    @router.get("/path/{n}")
    async def path(n: int) -> int:
        return n

    @router.get("/integer")
    async def integer(q: int = 0, x_n: Annotated[int, Header()] = 0) -> int:
        return q + x_n

    @router.get("/real")
    async def real(q: float = 0, x_n: Annotated[float, Header()] = 0) -> float:
        return q + x_n

    @router.get("/decimal")
    async def decimal(q: Decimal = Decimal(), x_n: Annotated[Decimal, Header()] = Decimal()) -> Decimal:
        return max(q, x_n)

    with TestClient(app_of(settings, router), headers={"X-User-ID": str(user)}) as client:
        assert list(faults(client.get(f"{NOTES}/path/{number}"))) == ["path.n"]
        assert list(faults(client.get(f"{NOTES}/integer", params={"q": number}))) == ["query.q"]
        assert list(faults(client.get(f"{NOTES}/integer", headers={"X-N": number}))) == ["header.x-n"]
        for name in ("real", "decimal"):
            assert client.get(f"{NOTES}/{name}", params={"q": number}).status_code in {200, 422}
            assert client.get(f"{NOTES}/{name}", headers={"X-N": number}).status_code in {200, 422}


@pytest.mark.parametrize("route_class", [APIRoute, OwnHandleRoute])
def test_a_traced_request_is_guarded_and_has_its_route(
    settings: Settings, user: UUID, route_class: type[APIRoute]
) -> None:
    """Also if the request is refused."""
    app = app_of(settings, with_endpoint(APIRouter(route_class=route_class)))
    seen: list[str | None] = []

    async def traced(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["fastapi.telemetry"] = telemetry = _RequestTelemetry(span=None, span_method="")
        await app(scope, receive, send)
        if scope["type"] == "http":
            seen.append(telemetry.route)

    with TestClient(traced) as client:
        known = {"X-User-ID": str(user)}
        statuses = [
            client.request(method, path, headers=headers).status_code
            for method, path, headers in [
                ("GET", f"{NOTES}/1", known), ("GET", f"{NOTES}/1", {}), ("PUT", f"{NOTES}/1", {}),
                ("GET", "/none", {}),
            ]
        ]  # fmt: skip
    assert statuses == [200, 400, 405, 404]
    assert seen == [f"{NOTES}/{{id}}"] * 3 + [None]


def test_middleware_learns_the_plugin_of_a_request_that_is_not_allowed(settings: Settings) -> None:
    """Metrics count it there."""
    app = app_of(settings, with_endpoint(APIRouter()))
    seen: list[Any] = []

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        seen.append(scope.get(FEATURE))

    client = TestClient(noting)
    problem(client.put(NOTES), 405, "METHOD_NOT_ALLOWED")
    assert seen == ["notes (module notes)"]
