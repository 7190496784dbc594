"""Who is asking."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, cast
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute
from starlette.types import Message, Scope

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
    dependency: Callable[..., Any] | None
    """A FastAPI dependency that returns the id of the user who is asking, or raises a Problem."""
    problems: tuple[type[Problem], ...] = (Unauthenticated,)
    """What it answers with: the first where the request lacks what the dependency asks for."""
    read: Callable[[Scope], UUID] | None = None
    """In place of a dependency: what reads the id from a request's head, before FastAPI does anything with it."""
    parameter: Mapping[str, Any] = field(default_factory=dict)
    """What `read` reads, as a parameter of OpenAPI's. FastAPI knows what a dependency reads."""


def _read_header(scope: Scope) -> UUID:
    """Take the header's word for it."""
    given = [value for name, value in scope["headers"] if name == _FIELD]
    if not given:
        raise MissingUserContext
    # White space around a field's value is not a part of it (RFC 9110, section 5.5), but some servers leave it there.
    text = given[0].decode("latin-1").strip(" \t")
    if len(given) != 1 or not is_uuid(text):
        raise InvalidUserContext
    return UUID(text)


BY_HEADER: Final = Provider(
    "header",
    None,
    (MissingUserContext, InvalidUserContext),
    _read_header,
    {
        "name": HEADER,
        "in": "header",
        "required": True,
        "description": "Who is asking: the id of a user. Taken on trust until an authentication plugin is installed.",
        "schema": {"type": "string", "format": "uuid", "examples": ["9f0c3ab2-1f5e-4c7e-9d2f-6a1b7c1de001"]},
    },
)


class Identity:
    """The provider of one app, asked before every handler of a feature."""

    def __init__(self, provider: Provider, admit: Callable[[UUID], Awaitable[None]] | None = None) -> None:
        """Ask `provider`, and then `admit`, which raises a Problem for a user who may not come in.

        Raises what FastAPI does for a dependency that it cannot use.
        """
        self.provider = provider
        self._admit = admit

        async def identify(request: Request, user_id: Annotated[Any, Depends(provider.dependency)]) -> None:
            if not isinstance(user_id, UUID):
                msg = f"{provider.name}: its todoservice_user gave a {type(user_id).__name__}: return a uuid.UUID"
                raise TypeError(msg)
            request.scope[USER_ID] = user_id

        async def only_identify(_: Annotated[None, Depends(identify)]) -> Response:
            return Response()

        self.dependencies: Sequence[Dependency] = () if provider.read else (Depends(identify),)
        """What a feature's routes depend on, so that the provider is asked."""
        self._ask = APIRoute("/", only_identify).app

    def read(self, scope: Scope) -> None:
        """Let a provider that only reads a request's head say who is asking. Raises its Problem."""
        if self.provider.read is not None:
            scope[USER_ID] = self.provider.read(scope)

    async def check(self, request: Request) -> None:
        """Raise the Problem of a request whose user is not known.

        FastAPI reads the body before it asks any dependency, so a request that is refused for its body comes here
        first: of several faults, who is asking answers before what is asked.
        """
        user_id = request.scope.get(USER_ID) or await self._identify(request)
        if self._admit is not None:
            await self._admit(user_id)

    async def _identify(self, request: Request) -> UUID:
        if self.provider.read is not None:
            return self.provider.read(request.scope)
        # Without the app's handlers, which called this: what the provider raises is to come back here.
        scope = {name: value for name, value in request.scope.items() if name != "starlette.exception_handlers"}
        try:
            await self._ask(scope, request.receive, _discard)
        except RequestValidationError as error:
            raise self.provider.problems[0] from error
        return cast("UUID", scope[USER_ID])


async def _discard(_: Message) -> None:
    """Send nothing."""
