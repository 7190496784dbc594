"""The middleware: every request is measured, and the scraper's is answered."""

import secrets
from typing import Final

from prometheus_client.exposition import choose_encoder
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todoservice import Unauthenticated
from todoservice_metrics.meters import Meters
from todoservice_metrics.settings import MetricsSettings

PATH: Final = "/-/metrics"
CHALLENGE: Final = 'Bearer realm="metrics"'


class Metrics:
    """Measure the requests of the app inside with its meters, which are there from its start to its end."""

    def __init__(self, app: ASGIApp, *, settings: MetricsSettings) -> None:
        """Wrap `app`."""
        self.app = app
        self._token = None if settings.token is None else settings.token.get_secret_value()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        meters: Meters | None = getattr(scope["app"].state, "metrics", None)
        if scope["type"] != "http" or meters is None:
            await self.app(scope, receive, send)
        elif scope["path"] == PATH and scope["method"] in {"GET", "HEAD"}:
            await self._scraped(meters, Headers(scope=scope))(scope, receive, send)
        else:
            await self._measured(meters, scope, receive, send)

    async def _measured(self, meters: Meters, scope: Scope, receive: Receive, send: Send) -> None:
        with meters.request(scope) as answer:

            async def noting(message: Message) -> None:
                if message["type"] == "http.response.start":
                    answer.status = message["status"]
                await send(message)

            await self.app(scope, receive, noting)

    def _scraped(self, meters: Meters, headers: Headers) -> Response:
        if not self._admits(headers):
            detail = "Send the token of the metrics: Authorization: Bearer <token>."
            return Unauthenticated(detail, challenge=CHALLENGE).response()
        encode, kind = choose_encoder(headers.get("accept", ""))
        return Response(encode(meters.read()), headers={"Content-Type": kind})

    def _admits(self, headers: Headers) -> bool:
        if self._token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), self._token.encode())
