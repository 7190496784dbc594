"""Who is asking."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Header, Request
from fastapi.dependencies.utils import SolvedDependency, solve_dependencies
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todoservice.fields import is_uuid
from todoservice.problems import InvalidUserContext, MissingUserContext, Problem, Unauthenticated

HEADER: Final = "X-User-ID"
USER_ID: Final = "todoservice.user_id"
"""Where the user's id stands in the ASGI scope, once the provider has said it."""
_FIELD: Final = HEADER.lower().encode()


@dataclass(frozen=True)
class Provider:
    """Who says who is asking."""

    name: str
    """`header`, or the plugin and where it came from."""
    dependency: Callable[..., Any]
    """A FastAPI dependency that returns the id of the user who is asking, or raises a Problem."""
    problems: tuple[type[Problem], ...] = (Unauthenticated,)
    """What it answers with: the first where the request lacks what the dependency asks for."""
    read: Callable[[Scope], UUID] | None = None
    """What says the same from a request's head alone, where there is such a thing: FastAPI's way there is long."""


def _read_header(scope: Scope) -> UUID:
    """Take the header's word for it. Raises MissingUserContext or InvalidUserContext."""
    given = [value for name, value in scope["headers"] if name == _FIELD]
    if not given:
        raise MissingUserContext
    # White space around a field's value is not a part of it (RFC 9110, section 5.5), but some servers leave it there.
    text = given[0].decode("latin-1").strip(" \t")
    if len(given) != 1 or not is_uuid(text):
        raise InvalidUserContext
    return UUID(text)


async def _header_user(
    request: Request,
    _: Annotated[
        str,
        Header(
            alias=HEADER,
            description="Who is asking: the id of a user. Taken on trust until an authentication plugin is installed.",
            json_schema_extra={"format": "uuid"},
            examples=["9f0c3ab2-1f5e-4c7e-9d2f-6a1b7c1de001"],
        ),
    ],
) -> UUID:
    return _read_header(request.scope)


BY_HEADER: Final = Provider("header", _header_user, (MissingUserContext, InvalidUserContext), _read_header)


class Identity:
    """The guard of one app's features: it resolves the user before any code of a feature's route runs."""

    def __init__(
        self, provider: Provider, admit: Callable[[UUID], Awaitable[None]] | None = None, overrides: Any = None
    ) -> None:
        """Resolve users with `provider`.

        `admit` raises a Problem for a user who may not enter. `overrides` is the app whose `dependency_overrides`
        apply to the provider. Raises whatever FastAPI raises for a dependency that it cannot use.
        """
        self.provider = provider
        self.declared = Depends(provider.dependency)
        """The dependency that declares the provider in the OpenAPI document. No request runs it."""
        self._admit = admit
        self._overrides = overrides

        async def identified(user_id: Annotated[Any, Depends(provider.dependency)]) -> None: ...

        route = APIRoute("/", identified)
        self._dependant = route.dependant
        self.reads_body = route.body_field is not None
        """True if the provider, or a dependency of it, declares a parameter that is read from the request's body."""

    async def admit(self, request: Request) -> None:
        """Raise UnknownUser if the request's user may not enter. Other requests pass."""
        if self._admit is not None and USER_ID in request.scope:
            await self._admit(request.scope[USER_ID])

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Resolve the user, once, and then serve the request with `app`.

        Raises whatever the provider raises, the first of its problems if the request lacks a parameter of it,
        RuntimeError if it reads the body, and TypeError if it returns no UUID.

        A provider's dependencies with `yield` are resumed after the response, as FastAPI's are. Headers that the
        provider sets on its `Response` are added to the response, and its background tasks run after it.
        """
        if self.provider.read is not None:
            scope[USER_ID] = self.provider.read(scope)
            await app(scope, receive, send)
            return
        stack = AsyncExitStack()
        try:
            solved = await self._solved(scope, stack)
            scope[USER_ID] = self._exact(solved.values["user_id"])
            headers = solved.response.headers.raw
            await app(scope, receive, _adding(headers, send) if headers else send)
            if solved.background_tasks is not None:
                await solved.background_tasks()
        finally:
            # Not `async with`: a dependency must not swallow an exception of the route.
            await stack.aclose()

    async def _solved(self, scope: Scope, stack: AsyncExitStack) -> SolvedDependency:
        body_read: list[RuntimeError] = []

        async def receive() -> Message:
            await asyncio.sleep(0)  # here `Request.is_disconnected` cancels, and reads nothing
            msg = f"{self.provider.name}: its todoservice_user reads the body of a request: read headers or cookies"
            body_read.append(RuntimeError(msg))
            raise body_read[0]

        scope.setdefault("state", {})  # `request.state` is shared with the route
        # A copy: what the provider keeps of it cannot replace the user for the route.
        seen = {**scope, "fastapi_inner_astack": stack, "fastapi_function_astack": stack}
        try:
            solved = await solve_dependencies(
                request=Request(seen, receive), dependant=self._dependant, async_exit_stack=stack,
                dependency_overrides_provider=self._overrides, embed_body_fields=False,
            )  # fmt: skip
        except RequestValidationError as error:
            raise self.provider.problems[0] from error
        finally:
            if body_read:  # even if the provider has made another error of it
                raise body_read[0]
        if solved.errors:
            raise self.provider.problems[0] from RequestValidationError(solved.errors)
        return solved

    def _exact(self, given: object) -> UUID:
        """Return a UUID of nothing but the number: a subclass, or a UUID with replaced attributes, can do anything."""
        number = given.int if isinstance(given, UUID) else None
        if type(number) is not int or not 0 <= number < 1 << 128:
            kind = f"{type(given).__name__}, which is no valid user id"
            msg = f"{self.provider.name}: its todoservice_user returned a {kind}: return a uuid.UUID"
            raise TypeError(msg)
        return UUID(int=number)


def _adding(headers: list[tuple[bytes, bytes]], send: Send) -> Send:
    async def send_more(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return send_more
