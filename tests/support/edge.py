"""A TCP edge before PostgreSQL, on a thread of its own: it ends TLS, keeps what statements pass, stalls and cuts."""

import asyncio
import ssl
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self, TypeVar

from sqlalchemy import URL

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104

Result = TypeVar("Result")


class Edge:
    """The edge of one server, for a `with` block. Everything public may be used from any thread."""

    def __init__(self, server: URL, context: ssl.SSLContext | None = None) -> None:
        """Stand before the server of a URL; with a context, speak TLS to whoever asks for it."""
        self.port = 0
        self.statements: list[str] = []
        """The text of each message that carried statements, in order of arrival."""
        self.names: list[str | None] = []
        """The host that each TLS client named (SNI)."""
        self.stalled = False
        """While set, the edge takes what is sent and passes nothing on."""
        self._server = server
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._transports: set[asyncio.WriteTransport] = set()
        if context is not None:
            context.sni_callback = lambda _socket, name, _context: self.names.append(name)

    def __enter__(self) -> Self:
        self._thread.start()
        self._listener = self._call(asyncio.start_server(self._client, "127.0.0.1", 0))
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def url(self, **query: str) -> URL:
        """Return the URL of the server by way of the edge, with more parameters."""
        kept = self._server.difference_update_query(["host", "port"])
        return kept.set(host="127.0.0.1", port=self.port).update_query_dict(query)

    def cut(self) -> None:
        """End every connection, without a word."""
        self._call(self._cut())

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _cut(self) -> None:
        for transport in self._transports:
            transport.abort()

    async def _close(self) -> None:
        self._listener.close()
        await self._cut()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            startup = await self._startup(reader, writer)
            server_reader, server_writer = await self._open()
            self._transports |= {writer.transport, server_writer.transport}
            server_writer.write(startup)
            await asyncio.gather(self._requests(reader, server_writer), self._answers(server_reader, writer))
        writer.transport.abort()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = (self._server.query.get(name, getattr(self._server, name)) for name in ("host", "port"))
        if str(host).startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port or 5432}")
        return await asyncio.open_connection(str(host), int(str(port or 5432)))

    async def _startup(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        while True:
            head = await reader.readexactly(8)
            length, code = struct.unpack("!ii", head)
            if code == SSL_REQUEST and self._context is not None:
                writer.write(b"S")
                await writer.start_tls(self._context)
            elif code in {SSL_REQUEST, GSS_REQUEST}:
                writer.write(b"N")
            else:
                return head + await reader.readexactly(length - 8)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(5)
                body = await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)
                if head[:1] == b"Q":
                    self.statements.append(body.rstrip(b"\0").decode())
                await self._flow()
                writer.write(head + body)
        finally:
            writer.transport.abort()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._flow()
                writer.write(data)
        finally:
            writer.close()

    async def _flow(self) -> None:
        while self.stalled:  # noqa: ASYNC110 - other threads set it
            await asyncio.sleep(0.01)
