"""What surrounds every request: its id, the limit of its body, and the answer of last resort."""

import logging
import re
import sys
from typing import Final
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todoservice.problems import ServerError

logger = logging.getLogger("todoservice")

REQUEST_ID: Final = "X-Request-ID"
_VALID_ID: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")


class RequestContext:
    """Give every request an id, keep its answer out of caches, and answer for whatever was not foreseen.

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
        request_id = _request_id(Headers(scope=scope).getlist(REQUEST_ID))
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:
            # The path is quoted: it may hold a line break.
            logger.exception("%s %r failed, request id %s", scope["method"], scope["path"], request_id)
            if started:
                raise
            await ServerError(request_id=request_id).response()(scope, receive, send_with_id)


def _request_id(given: list[str]) -> str:
    if len(given) == 1 and _VALID_ID.fullmatch(given[0]):
        return given[0]
    return str(uuid4())


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
        announced, received = _announced(Headers(scope=scope).get("content-length", "")), 0

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

        async def send_reason(message: Message) -> None:
            error = sys.exception()
            if message["type"] == "lifespan.startup.failed" and isinstance(error, CannotStart):
                message["message"] = str(error)
            await send(message)

        await self.app(scope, receive, send_reason if scope["type"] == "lifespan" else send)
