"""Who is asking."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast
from uuid import UUID

from fastapi import Depends, Header, Request, Response
from fastapi.exceptions import RequestValidationError
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
    """The provider of one app, and the dependency that asks it before every handler of a feature."""

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

        self.dependency = Depends(identify)
        self._ask = APIRoute("/", only_identify).app

    async def check(self, request: Request) -> None:
        """Raise the Problem of a request whose user is not known.

        FastAPI reads the body before it asks any dependency, so a request that is refused for its body comes here
        first: of several faults, who is asking answers before what is asked.
        """
        user_id = request.scope.get(USER_ID) or await self._identify(request)
        if self._admit is not None:
            await self._admit(user_id)

    async def _identify(self, request: Request) -> UUID:
        # Without the app's handlers, which called this: what the provider raises is to come back here.
        scope = {name: value for name, value in request.scope.items() if name != "starlette.exception_handlers"}
        try:
            await self._ask(scope, request.receive, _discard)
        except RequestValidationError as error:
            raise self.provider.problems[0] from error
        return cast("UUID", scope[USER_ID])


async def _discard(_: Message) -> None:
    """Send nothing."""
