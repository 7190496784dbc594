"""Every error of the app, answered as a problem."""

from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import Match

from todoservice.identity import Identity
from todoservice.problems import BodyTooLarge, InvalidRequest, Problem, http_problem, validation_problem

_UNPARSED: Final = "There was an error parsing the body"
"""FastAPI's words for it: it says so in no other way."""


def install(app: FastAPI, identity: Identity) -> None:
    """Have `app` answer every error as a problem. Of several faults, who is asking answers before what is asked."""

    async def on_problem(_request: Request, error: Problem) -> Response:
        return error.response()

    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        return await _refusal(request, identity) or validation_problem(error)

    async def on_invalid_request(request: Request, error: InvalidRequest) -> Response:
        return await _refusal(request, identity) or error.response()

    async def on_http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 405:  # noqa: PLR2004 - RFC 9110, section 15.5.6
            return http_problem(HTTPException(405, headers={"Allow": ", ".join(_allowed(request))}))
        if error.status_code == BodyTooLarge.status:
            return await _refusal(request, identity) or BodyTooLarge().response()
        unreadable = _unreadable(error)
        if unreadable is not None:
            return await _refusal(request, identity) or unreadable.response()
        return http_problem(error)

    handlers: dict[type[Exception], Any] = {
        Problem: on_problem,
        InvalidRequest: on_invalid_request,
        RequestValidationError: on_invalid,
        HTTPException: on_http,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _refusal(request: Request, identity: Identity) -> Response | None:
    """Return the answer to a user who may not enter: it comes before any fault of the request."""
    try:
        await identity.admit(request)
    except Problem as problem:
        return problem.response()
    return None


def _unreadable(error: HTTPException) -> InvalidRequest | None:
    """Return what to say of a body that FastAPI could not parse."""
    if error.detail != _UNPARSED:
        return None
    match error.__cause__:
        case UnicodeDecodeError():
            return InvalidRequest(("body", "This is not JSON: it is not UTF-8"))
        case RecursionError():
            return InvalidRequest(("body", "This is nested too deeply"))
        case ValueError():
            return InvalidRequest(("body", "This holds a number of too many digits"))
    return None


def _allowed(request: Request) -> list[str]:
    """Return the methods of every route at this path, where Starlette names those of the first."""
    allowed: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        try:
            match, _ = route.matches(request.scope)
        except Exception:  # noqa: BLE001, S112 - a convertor cannot read the path: it is another route's
            continue
        if match is not Match.NONE:
            allowed |= route.methods or set()
    return sorted(allowed)
