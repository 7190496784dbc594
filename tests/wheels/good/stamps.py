"""A middleware: every answer gets a stamp."""

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todoservice import hookimpl


class Stamp:
    """Puts a header on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Stamp"] = "seen"
            await send(message)

        await self.app(scope, receive, stamped)


@hookimpl
def todoservice_middleware() -> Callable[[ASGIApp], ASGIApp]:
    """Wrap the app."""
    return Stamp
