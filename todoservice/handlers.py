"""Every error of the app, answered as a problem."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import Match

from todoservice.identity import Identity
from todoservice.problems import BodyTooLarge, InvalidRequest, Problem, http_problem, validation_problem


def install(app: FastAPI, identity: Identity) -> None:
    """Have `app` answer every error as a problem. Of several faults, who is asking answers before what is asked."""

    async def on_problem(_request: Request, error: Problem) -> Response:
        return error.response()

    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        return await _after_identity(request, identity) or validation_problem(error)

    async def on_http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 405:  # noqa: PLR2004 - RFC 9110, section 15.5.6
            return http_problem(HTTPException(405, headers={"Allow": ", ".join(_allowed(request))}))
        if error.status_code == BodyTooLarge.status:
            return await _after_identity(request, identity) or BodyTooLarge().response()
        if isinstance(error.__cause__, ValueError | RecursionError):  # FastAPI could not parse the body
            invalid = InvalidRequest(("body", f"This is not JSON in UTF-8: {type(error.__cause__).__name__}"))
            return await _after_identity(request, identity) or invalid.response()
        return http_problem(error)

    handlers: dict[type[Exception], Any] = {
        Problem: on_problem,
        RequestValidationError: on_invalid,
        HTTPException: on_http,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _after_identity(request: Request, identity: Identity) -> Response | None:
    try:
        await identity.check(request)
    except Problem as problem:
        return problem.response()
    return None


def _allowed(request: Request) -> list[str]:
    """Return the methods of every route at this path, where Starlette names those of the first."""
    allowed: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            allowed |= route.methods or set()
    return sorted(allowed)
