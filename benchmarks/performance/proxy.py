"""A proxy before PostgreSQL that adds to each round trip, and counts them."""

import asyncio
import struct
import threading
import time
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final, Self, TypeVar, cast

import uvloop
from sqlalchemy import make_url

from performance.server import text_of

Result = TypeVar("Result")
TICK: Final = 0.001
"""Seconds: what libuv's timers count in."""
_HEAD: Final = struct.Struct("!cI")
_ASKING: Final = frozenset({b"Q", b"S"})
"""Query and Sync: after either, a client has to wait for the server (PostgreSQL, Message Flow)."""


class Proxy:
    """A proxy for a `with` block, on a thread of its own. Answers are held back by `delay`; requests pass at once."""

    def __init__(self, database_url: str) -> None:
        """Stand before the server of a URL."""
        self.delay = 0.0
        """Seconds that are added to each round trip."""
        self.trips = 0
        """How many round trips were asked for."""
        self.clients: set[asyncio.Transport] = set()
        url = make_url(database_url)
        self._url = url
        self._address = (url.host or "127.0.0.1", url.port or 5432)
        self._held: deque[tuple[float, asyncio.Transport, bytes | None]] = deque()
        self._waking = False
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._listener = self._call(self._listen())
        self.port = int(self._listener.sockets[0].getsockname()[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The database's URL by way of the proxy."""
        return text_of(self._url.set(host="127.0.0.1", port=self.port))

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        listener = await self._loop.create_server(lambda: _Client(self), "127.0.0.1", 0)
        return cast("asyncio.Server", listener)

    async def _close(self) -> None:
        self._listener.close()
        for client in self.clients:
            client.abort()
        await asyncio.sleep(0.01)  # the servers' ends follow

    def answer(self, client: asyncio.Transport, data: bytes | None) -> None:
        """Pass an answer on in its time; None ends the connection."""
        if self.delay or self._held:
            self._held.append((time.monotonic() + self.delay, client, data))
            self._wake()
        else:
            _pass(client, data)

    def _wake(self) -> None:
        if self._held and not self._waking:
            self._waking = True
            self._loop.call_later(max(self._held[0][0] - time.monotonic(), TICK), self._release)

    def _release(self) -> None:
        self._waking = False
        # To the nearest tick, so that the delay is right on average.
        due = time.monotonic() + TICK / 2
        while self._held and self._held[0][0] <= due:
            _, client, data = self._held.popleft()
            _pass(client, data)
        self._wake()

    async def connect(self, client: "_Client") -> asyncio.Transport:
        """Connect to the server for a client."""
        transport, _ = await self._loop.create_connection(lambda: _Server(self, client), *self._address)
        return cast("asyncio.Transport", transport)


def _pass(client: asyncio.Transport, data: bytes | None) -> None:
    if data is None:
        client.close()
    else:
        client.write(data)


class _Client(asyncio.Protocol):
    """A client's connection."""

    transport: asyncio.Transport

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._server: asyncio.Transport | None = None
        self._early = b""
        self._messages = Messages()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._proxy.clients.add(self.transport)
        self._connecting = asyncio.create_task(self._connect())

    async def _connect(self) -> None:
        self._server = await self._proxy.connect(self)
        self._server.write(self._early)

    def data_received(self, data: bytes) -> None:
        self._proxy.trips += self._messages.trips(data)
        if self._server is None:
            self._early += data
        else:
            self._server.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._proxy.clients.discard(self.transport)
        self._connecting.cancel()
        if self._server is not None:
            self._server.close()


class _Server(asyncio.Protocol):
    """The connection to the server for one client."""

    def __init__(self, proxy: Proxy, client: _Client) -> None:
        self._proxy = proxy
        self._client = client

    def data_received(self, data: bytes) -> None:
        self._proxy.answer(self._client.transport, data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        self._proxy.answer(self._client.transport, None)


class Messages:
    """Reads the heads of a client's messages, which may come in any pieces."""

    def __init__(self) -> None:
        """Begin with the start-up, whose messages have no type."""
        self._starting = True
        self._buffer = b""
        self._rest = 0

    def trips(self, data: bytes) -> int:
        """Return how many of the messages that end or begin in `data` ask for a round trip."""
        if self._starting:
            data = self._after_startup(data)
        if self._starting:
            return 0
        found, at = 0, self._rest
        data, self._buffer = self._buffer + data, b""
        while at + _HEAD.size <= len(data):
            kind, length = _HEAD.unpack_from(data, at)
            found += kind in _ASKING
            at += 1 + length
        if at < len(data):
            self._buffer, self._rest = data[at:], 0
        else:
            self._rest = at - len(data)
        return found

    def _after_startup(self, data: bytes) -> bytes:
        data, self._buffer = self._buffer + data, b""
        while len(data) >= 8:  # noqa: PLR2004 - a length and a code
            length, code = struct.unpack_from("!II", data)
            if len(data) < length:
                break
            data = data[length:]
            if code >> 16 == 3:  # noqa: PLR2004 - the protocol's major version: others ask for TLS or GSS, or cancel
                self._starting = False
                return data
        self._buffer = data
        return b""
