"""Who says who is asking: the plugin that is named, and never another where that one fails."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from types import ModuleType
from typing import Annotated, Any
from uuid import UUID

import pytest
import todoservice_todos
from api import TODOS, problem
from calls import Request as Call
from calls import ask
from fastapi import APIRouter, BackgroundTasks, Body, Depends, Header, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from plugin_modules import Site, faults, found, module
from pydantic import BaseModel
from starlette.testclient import TestClient

from todoservice import CurrentScope, ServiceUnavailable, Settings, Unauthenticated, create_app
from todoservice.plugins import PluginError

PROVIDER = "from todoservice import hookimpl\n@hookimpl\ndef todoservice_user(): return lambda: None\n"
QUIET = "from todoservice import hookimpl\n@hookimpl\ndef todoservice_models(): return []\n"


def bearer(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]) -> UUID:
    """Take the token for the user's id."""
    if credentials is None:
        raise Unauthenticated(challenge='Bearer realm="todos"')
    if credentials.credentials == "expired":
        raise Unauthenticated("The token has expired.", challenge='Bearer error="invalid_token"')
    return UUID(credentials.credentials)


def provider(dependency: Any, name: str = "jwt") -> ModuleType:
    """Return a plugin that says who is asking."""
    return module(name, todoservice_user=lambda: dependency)


def client(settings: Settings, *plugins: ModuleType) -> TestClient:
    """Return a client of an app with todos and these plugins. It is not started."""
    return TestClient(create_app(settings, plugins=[todoservice_todos, *plugins]))


def chosen(**settings: Any) -> str:
    """Return the name of who says who is asking."""
    return found(**settings).accept().provider.name


def refused(**settings: Any) -> list[str]:
    """Return the lines that the start is refused with."""
    with pytest.raises(PluginError) as error:
        found(**settings).accept()
    return str(error.value).splitlines()


def test_the_header_where_there_is_nothing_else(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """With a warning at every start."""
    assert chosen() == "header"
    with client(settings):
        assert "Who is asking is taken from the header X-User-ID on trust" in caplog.text


def test_the_only_plugin_is_taken(site: Site) -> None:
    """Where none is named."""
    site.install("todoservice-jwt", name="jwt", source=PROVIDER)
    assert chosen() == "jwt (todoservice-jwt 0.3)"


def test_the_one_that_is_named_is_taken(site: Site) -> None:
    """Of several, the header among them."""
    site.install("todoservice-jwt", name="jwt", source=PROVIDER)
    site.install("todoservice-saml", name="saml", source=PROVIDER)
    assert chosen(identity="saml") == "saml (todoservice-saml 0.3)"
    assert chosen(identity="header") == "header"


def test_two_and_none_named_stop_the_start(site: Site) -> None:
    """Neither is more right than the other."""
    site.install("todoservice-jwt", name="jwt", source=PROVIDER)
    site.install("todoservice-saml", name="saml", source=PROVIDER)
    assert refused() == [
        "P405: jwt, saml each say who is asking, and TODOSERVICE_IDENTITY names none: set it to one of them"
    ]


@pytest.mark.parametrize("plugin_errors", ["refuse", "skip"])
@pytest.mark.parametrize(
    ("named", "block", "told"),
    [
        (
            "jvt",
            "",
            "P401: TODOSERVICE_IDENTITY names 'jvt', which is not installed: did you mean jwt?",
        ),
        (
            "jwt",
            "jwt",
            "P402: TODOSERVICE_IDENTITY names jwt, which TODOSERVICE_BLOCK keeps out: let it in, or name another",
        ),
        (
            "broken",
            "",
            "P403: TODOSERVICE_IDENTITY names broken, which is broken: mend it, or name another",
        ),
        (
            "quiet",
            "",
            "P404: TODOSERVICE_IDENTITY names quiet, which does not say who is asking: "
            "name one that implements todoservice_user, or header",
        ),
    ],
)
def test_nobody_stands_in_for_the_one_that_is_named(
    site: Site, plugin_errors: str, named: str, block: str, told: str
) -> None:
    """Whether faulty plugins are skipped or not: the header least of all."""
    site.install("todoservice-jwt", name="jwt", source=PROVIDER)
    site.install("todoservice-quiet", name="quiet", source=QUIET)
    if named == "broken":
        site.install("todoservice-broken", name="broken", source="1 / 0")
    assert told in refused(identity=named, block=block, plugin_errors=plugin_errors)


def test_skipping_needs_a_name(site: Site) -> None:
    """Else the plugin that says who is asking could be skipped, and the header would stand in for it."""
    site.install("todoservice-jwt", name="jwt", source="1 / 0")
    assert refused(plugin_errors="skip")[0] == (
        "P406: TODOSERVICE_PLUGIN_ERRORS is skip, and TODOSERVICE_IDENTITY is not set: "
        "an authentication plugin could be skipped: set TODOSERVICE_IDENTITY to it, or to header"
    )


def test_the_header_stands_in_for_no_forgotten_return(site: Site) -> None:
    """Whoever installed the plugin takes the service to be guarded."""
    site.install("todoservice-jwt", name="jwt", source=PROVIDER.replace("return lambda: None", "lambda: None"))
    assert refused() == [
        "P206 jwt (todoservice-jwt 0.3): todoservice_user returned None: return a function that FastAPI can depend on"
    ]


def test_what_fastapi_cannot_depend_on_is_a_fault(site: Site) -> None:
    """It is told before the first request."""
    source = PROVIDER.replace("lambda: None", "who") + "def who(unknown: 'NoSuchType'): ...\n"
    source = source.replace("'NoSuchType'", "object()")
    site.install("todoservice-jwt", name="jwt", source=source)
    (line,) = refused()
    assert line.startswith("P206 jwt (todoservice-jwt 0.3): todoservice_user returned what FastAPI cannot depend on: ")
    assert line.endswith(": return a dependency")


def test_a_plugin_says_who_is_asking(settings: Settings, user: UUID, caplog: pytest.LogCaptureFixture) -> None:
    """The header is not looked at any more, and the log does not speak of it."""
    with caplog.at_level(logging.INFO, "todoservice"), client(settings, provider(bearer)) as asking:
        created = asking.post(TODOS, json={"title": "x"}, headers={"Authorization": f"Bearer {user}"})
        assert (created.status_code, created.json()["user_id"]) == (201, str(user))
        refused = asking.get(TODOS, headers={"X-User-ID": str(user)})
        assert problem(refused, 401, "UNAUTHENTICATED")["detail"] == Unauthenticated.default
        assert refused.headers["www-authenticate"] == 'Bearer realm="todos"'
    assert "on trust" not in caplog.text


def test_who_is_asking_answers_before_what_is_asked(settings: Settings) -> None:
    """Of several faults."""
    with client(settings, provider(bearer)) as asking:
        for body in (b"{", b'{"title": 3}'):
            answer = asking.post(
                TODOS, content=body, headers={"Authorization": "Bearer expired", "Content-Type": "application/json"}
            )
            assert problem(answer, 401, "UNAUTHENTICATED")["detail"] == "The token has expired."
            assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_what_a_provider_needs_and_does_not_get_is_401(settings: Settings) -> None:
    """A required header of its own is no member of the feature's request."""

    def by_key(x_api_key: Annotated[str, Header()]) -> UUID:
        raise AssertionError(x_api_key)

    with client(settings, provider(by_key)) as asking:
        problem(asking.get(TODOS), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("given", [None, "9f0c3ab2-1f5e-4c7e-9d2f-6a1b7c1de001", 7])
def test_a_user_is_a_uuid(settings: Settings, given: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What else the plugin returns is nobody: the answer is 500, and the log says whose fault it is."""
    with client(settings, provider(lambda: given)) as asking:
        problem(asking.get(TODOS), 500, "SERVER_ERROR")
    assert (
        f"jwt (module jwt): its todoservice_user returned a {type(given).__name__}, which is no valid user id: "
        "return a uuid.UUID"
    ) in caplog.text


def test_the_document_describes_the_provider(settings: Settings) -> None:
    """Its security scheme and its 401, in place of the header and its 400s."""
    document = client(settings, provider(bearer)).get("/openapi.json").json()
    operation = document["paths"][TODOS]["get"]
    assert document["components"]["securitySchemes"] == {"HTTPBearer": {"type": "http", "scheme": "bearer"}}
    assert operation["security"] == [{"HTTPBearer": []}]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["limit", "cursor"]
    assert "400" not in operation["responses"]
    declared = operation["responses"]["401"]
    assert set(declared["headers"]) == {"WWW-Authenticate", "X-Request-ID"}
    example = declared["content"]["application/problem+json"]["examples"]["UNAUTHENTICATED"]["value"]
    assert (example["status"], example["title"]) == (401, "Unauthorized")


class Login(BaseModel):
    """A body."""

    token: str


async def of_body(login: Login) -> UUID:
    """Read a model."""
    raise AssertionError(login)


def of_a_dependency(found: Annotated[UUID, Depends(of_body)]) -> UUID:
    """Depend on what reads the body."""
    return found


def of_a_dependency_of_a_dependency(found: Annotated[UUID, Depends(of_a_dependency)]) -> UUID:
    """Depend on what depends on what reads the body."""
    return found


def of_a_member(token: Annotated[str, Body()]) -> UUID:
    """Read a member of the body."""
    raise AssertionError(token)


@pytest.mark.parametrize("dependency", [of_body, of_a_member, of_a_dependency, of_a_dependency_of_a_dependency])
def test_a_provider_with_a_parameter_from_the_body_stops_the_start(dependency: Any) -> None:
    """At any depth of its dependencies."""
    assert faults(provider(dependency)) == [
        "P407 jwt (module jwt): todoservice_user returned a dependency with a parameter that is read from the body of "
        "a request: read headers or cookies"
    ]


async def reads_body(request: Request) -> UUID:
    """Read the bytes."""
    await request.body()
    return UUID(int=1)


async def reads_json(request: Request) -> UUID:
    """Read JSON, and refuse whatever fails."""
    try:
        return UUID((await request.json())["token"])
    except Exception as error:
        raise Unauthenticated from error


async def reads_stream(request: Request) -> UUID:
    """Read the stream, and let everyone in."""
    try:
        async for _ in request.stream():
            pass
    except Exception:  # noqa: BLE001, S110 - it is careless
        pass
    return UUID(int=1)


async def reads_form(request: Request) -> UUID:
    """Read it at the end."""
    return UUID(str((await request.body())[:36]))


async def reads_after(request: Request) -> AsyncIterator[UUID]:
    """Receive what comes first."""
    await request.receive()
    yield UUID(int=1)


@pytest.mark.parametrize("dependency", [reads_body, reads_json, reads_stream, reads_form, reads_after])
def test_a_provider_that_reads_the_body_serves_nobody(
    settings: Settings, dependency: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it makes of the exception."""
    with client(settings, provider(dependency)) as asking:
        problem(asking.post(TODOS, json={"title": "x", "token": str(UUID(int=1))}), 500, "SERVER_ERROR")
    message = "jwt (module jwt): its todoservice_user reads the body of a request: read headers or cookies"
    assert f"RuntimeError: {message}" in caplog.text


def test_a_provider_may_look_whether_the_client_left(settings: Settings) -> None:
    """`is_disconnected` reads no body."""

    async def patient(request: Request) -> UUID:
        assert not await request.is_disconnected()
        return UUID(int=1)

    with client(settings, provider(patient)) as asking:
        assert asking.get(TODOS).status_code == 200


def echo() -> ModuleType:
    """Return a feature that returns its user, and what the provider left in the request's state."""
    router = APIRouter()

    @router.get("")
    async def user(request: Request, scope: CurrentScope) -> tuple[UUID, Any]:
        return scope.user_id, getattr(request.state, "claims", None)

    @router.get("/bug")
    async def bug() -> None:
        raise RuntimeError

    return module("notes", todoservice_router=lambda: router)


def answered(settings: Settings, dependency: Any, path: str = "") -> Any:
    """Return the answer of the feature to a user of the provider."""
    with TestClient(create_app(settings, plugins=[echo(), provider(dependency)])) as asking:
        return asking.get(f"/api/v1/notes{path}")


def test_a_provider_cannot_replace_the_user_later(settings: Settings) -> None:
    """It sees a copy of the ASGI scope. The request's state is shared."""

    def patient(request: Request) -> Iterator[UUID]:
        request.scope["todoservice.user_id"] = UUID(int=2)
        request.state.claims = {"scope": "read"}
        request.scope["route"] = None
        yield UUID(int=1)

    assert answered(settings, patient).json() == [str(UUID(int=1)), {"scope": "read"}]


def test_a_provider_shares_its_state_without_a_server_that_has_one(settings: Settings) -> None:
    """The ASGI scope need not hold a state."""

    def user(request: Request) -> UUID:
        request.state.claims = "all"
        return UUID(int=1)

    app = create_app(settings, plugins=[echo(), provider(user)])
    assert asyncio.run(ask(app, Call("GET", "/api/v1/notes"))) == (
        200,
        b'["00000000-0000-0000-0000-000000000001","all"]',
    )


class Other(UUID):
    """A UUID that shows another."""

    def __str__(self) -> str:
        return "nobody"


numbers = iter(range(1, 100))


class Changing(UUID):
    """A UUID whose number is another one each time."""


Changing.int = property(lambda _: next(numbers))  # type: ignore[assignment, misc]


def tampered(number: Any) -> UUID:
    """Return a UUID with another number."""
    made = UUID(int=1)
    object.__setattr__(made, "int", number)
    return made


def test_a_subclass_of_uuid_is_taken_by_its_number(settings: Settings) -> None:
    """The number is read once."""
    assert answered(settings, lambda: Other(int=1)).json()[0] == str(UUID(int=1))
    assert answered(settings, lambda: object.__new__(Changing)).json()[0] == str(UUID(int=1))


class Number(int):
    """A number that shows another."""

    def __mod__(self, _: Any) -> Any:
        return "0"


@pytest.mark.parametrize("number", [Number(1), True, "1", -1, 1 << 128, None])
def test_a_uuid_without_a_number_is_nobody(settings: Settings, number: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the plugin."""
    problem(answered(settings, lambda: tampered(number)), 500, "SERVER_ERROR")
    message = "jwt (module jwt): its todoservice_user returned a UUID, which is no valid user id: return a uuid.UUID"
    assert message in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (HTTPException(401, headers={"WWW-Authenticate": "Basic"}), 401, "UNAUTHENTICATED"),
        (HTTPException(403, "Not here."), 403, "FORBIDDEN"),
        (ServiceUnavailable("The issuer is away."), 503, "SERVICE_UNAVAILABLE"),
        (RequestValidationError([]), 401, "UNAUTHENTICATED"),
        (RuntimeError("bug"), 500, "SERVER_ERROR"),
    ],
)
def test_what_a_provider_raises_is_the_answer(settings: Settings, error: Exception, status: int, code: str) -> None:
    """With its headers."""

    def refuse() -> UUID:
        raise error

    answer = answered(settings, refuse)
    problem(answer, status, code)
    challenge = {401: "Bearer"} | ({401: "Basic"} if isinstance(error, HTTPException) else {})
    assert answer.headers.get("www-authenticate") == challenge.get(status)


def test_a_provider_is_asked_once_and_left_after_the_response(settings: Settings) -> None:
    """As FastAPI leaves a route's dependencies. Its headers and tasks are kept."""
    steps: list[str] = []

    def session() -> Iterator[str]:
        steps.append("opened")
        try:
            yield "session"
        finally:
            steps.append("closed")

    def user(_: Annotated[str, Depends(session)], response: Response, later: BackgroundTasks) -> UUID:
        steps.append("asked")
        response.set_cookie("session", "renewed")
        later.add_task(steps.append, "later")
        return UUID(int=1)

    answer = answered(settings, user)
    assert (answer.status_code, answer.cookies["session"]) == (200, "renewed")
    assert steps == ["opened", "asked", "later", "closed"]
    steps.clear()
    problem(answered(settings, user, "/bug"), 500, "SERVER_ERROR")
    assert steps == ["opened", "asked", "closed"]


def test_a_provider_cannot_swallow_an_exception_of_the_route(settings: Settings) -> None:
    """Otherwise no response would be sent."""

    async def careless() -> AsyncIterator[UUID]:
        with suppress(RuntimeError):
            yield UUID(int=1)

    problem(answered(settings, careless, "/bug"), 500, "SERVER_ERROR")


def test_an_override_takes_the_place_of_a_provider(settings: Settings) -> None:
    """One that reads the body identifies nobody."""

    async def nobody() -> UUID:
        raise Unauthenticated

    app = create_app(settings, plugins=[echo(), provider(nobody)])
    with TestClient(app) as asking:
        problem(asking.get("/api/v1/notes"), 401, "UNAUTHENTICATED")
        app.dependency_overrides[nobody] = lambda: UUID(int=7)
        assert asking.get("/api/v1/notes").json()[0] == str(UUID(int=7))
        app.dependency_overrides[nobody] = of_body
        problem(asking.get("/api/v1/notes"), 401, "UNAUTHENTICATED")
