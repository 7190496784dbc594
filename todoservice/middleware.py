"""What surrounds every request: its id, the plugins' middleware, the answer of last resort, the limit of its body."""

import asyncio
import logging
import os
import re
import sys
from collections.abc import Callable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todoservice.problems import OutcomeUnknown, ServerError, ServiceUnavailable

logger = logging.getLogger("todoservice")

REQUEST_ID: Final = "X-Request-ID"
_ID: Final = "todoservice.request_id"
"""Where the request's id stands in the ASGI scope."""
_TOLD: Final = "_todoservice_told"
"""The mark of an exception that is in the log: those around whose it is say nothing more."""
_ID_FIELD: Final = REQUEST_ID.lower().encode()
_NO_STORE: Final = (b"cache-control", b"no-store")
_VALID_ID: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")


class RequestContext:
    """Give every request an id, and keep its answer out of caches.

    A client's own `X-Request-ID` is kept where it is 1 to 128 unreserved characters (RFC 3986, section 2.3).
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope[_ID] = request_id = _request_id(_values(scope, _ID_FIELD))

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                fields, may_be_kept = [], True
                for field in message.get("headers", ()):
                    name = field[0].lower()
                    may_be_kept = may_be_kept and name != _NO_STORE[0]
                    if name != _ID_FIELD:
                        fields.append(field)
                fields.append((_ID_FIELD, request_id.encode()))
                if may_be_kept:
                    fields.append(_NO_STORE)
                message["headers"] = fields
            await send(message)

        await self.app(scope, receive, send_with_id)


def _values(scope: Scope, field: bytes) -> list[str]:
    """Return the values of a header field: its name in lower case, as ASGI has it. Starlette's `Headers` cost more."""
    return [value.decode("latin-1") for name, value in scope["headers"] if name == field]


def _request_id(given: list[str]) -> str:
    if len(given) == 1 and _VALID_ID.fullmatch(given[0]):
        return given[0]
    return os.urandom(16).hex()


class LastResort:
    """Answer for what the app inside did not foresee, unless its answer has begun: log it, and tell only its id."""

    def __init__(self, app: ASGIApp, whose: str = "") -> None:
        """Wrap `app`: `whose` middleware, or the routes."""
        self.app = app
        self._where = f" in the middleware of {whose}" if whose else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            if _TOLD not in vars(error):
                # The path is quoted: it may hold a line break.
                where = (scope["method"], scope["path"], self._where, scope[_ID])
                logger.exception("%s %r failed%s, request id %s", *where)
            if started:
                vars(error)[_TOLD] = True
                raise
            await ServerError(request_id=scope[_ID]).response()(scope, receive, send)
        except asyncio.CancelledError:
            # The server's time for shutting down is over. Raised, this becomes its 500, with a traceback in the log.
            if started:
                raise
            await _cut_off(scope["method"]).response()(scope, receive, send)


def _cut_off(method: str) -> ServiceUnavailable:
    """Return the problem of a request that the server gives up."""
    if method in {"GET", "HEAD", "OPTIONS"}:
        return ServiceUnavailable("The service gave the request up to shut down: try again shortly.")
    return OutcomeUnknown(
        "The service gave the request up to shut down: the change may have been made or not. Look before you try again."
    )


class Layer:
    """A plugin's middleware. It is made before the app that it wraps, so that the app is not made with a faulty one."""

    def __init__(self, whose: str, wrap: Callable[[ASGIApp], ASGIApp]) -> None:
        """Have `wrap` make it, the function or class of the plugin `whose`. Raises what that raises."""
        self._whose = whose
        self._inside: ASGIApp
        self.outside = wrap(self._serve_inside)

    async def _serve_inside(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._inside(scope, receive, send)

    def around(self, app: ASGIApp) -> ASGIApp:
        """Put it around `app`, and return both. It is put around one app only."""
        self._inside = app
        return LastResort(self.outside, self._whose)


class BodyLimit:
    """Refuse a body of more than `limit` bytes, as soon as that many have come or were announced.

    FastAPI's `max_body_size` would do, but it answers with a text of its own whatever the exception handlers say.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        """Wrap `app`."""
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced, received = max(map(_announced, _values(scope, b"content-length")), default=0), 0

        async def limited() -> Message:
            nonlocal received
            message: Message = await receive() if announced <= self.limit else {}
            received += len(message.get("body", b""))
            if max(announced, received) > self.limit:
                raise HTTPException(413)
            return message

        await self.app(scope, limited, send)


def _announced(length: str) -> int:
    """Return the bytes that a `Content-Length` announces. Python reads no number of more than 4300 digits."""
    if len(length) > len(str(sys.maxsize)):
        return sys.maxsize
    return int(length) if length.isdecimal() else 0


class CannotStart(Exception):
    """Raised by the lifespan where the app cannot serve. The message says what to mend."""


class ReadableStartup:
    """Tell a server why the app did not start in one sentence, where Starlette would send a traceback."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through but the reason of a failed start."""
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return

        async def send_reason(message: Message) -> None:
            error = sys.exception()
            if message["type"] == "lifespan.startup.failed" and isinstance(error, CannotStart):
                message["message"] = str(error)
            await send(message)

        await self.app(scope, receive, send_reason)
