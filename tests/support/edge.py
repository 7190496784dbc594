"""A TCP edge before PostgreSQL, on a thread of its own: it ends TLS, keeps what passes, delays, stalls and cuts."""

import asyncio
import ssl
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from sqlalchemy import URL

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104

THREAD = "the edge"
"""The name of every edge's thread, on which asyncio may log what is the edge's own affair."""

Result = TypeVar("Result")


@dataclass
class Cut:
    """Ends a connection as a statement passes that holds `text`. Used up by the first one."""

    text: str
    sent: int | None = 0
    """How many bytes of the message reach the server: None for all, and then the server answers to nobody."""
    answered: int = 0
    """How many bytes of the server's answer reach the client, where the whole message reached the server."""


class Passage:
    """A connection's two ends."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        """Begin with the client's end."""
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self.cut: Cut | None = None

    def abort(self) -> None:
        """End both, without a word."""
        for end in (self.client, self.server):
            if end is not None:
                end.transport.abort()


class Edge:
    """The edge of one server, for a `with` block. Everything public may be used from any thread."""

    def __init__(self, server: URL, context: ssl.SSLContext | None = None) -> None:
        """Stand before the server of a URL; with a context, speak TLS to whoever asks for it."""
        self.port = 0
        self.statements: list[str] = []
        """The text of each message that carried statements, in order of arrival."""
        self.messages: list[str] = []
        """The type of each message after the start-up: "Q" is a statement's (PostgreSQL, Message Formats)."""
        self.names: list[str | None] = []
        """The host that each TLS client named (SNI)."""
        self.cuts: list[Cut] = []
        """Those that have not been made yet."""
        self.stalled = False
        """While set, the edge takes what is sent and passes nothing on."""
        self.delay = 0.0
        """Seconds that each message takes one way."""
        self._server = server
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=THREAD)
        self._passages: set[Passage] = set()
        if context is not None:
            context.sni_callback = lambda _socket, name, _context: self.names.append(name)

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def open_connections(self) -> int:
        """How many connections there are through the edge."""
        return len(self._passages)

    def url(self, **query: str) -> URL:
        """Return the URL of the server by way of the edge, with more parameters."""
        kept = self._server.difference_update_query(["host", "port"])
        return kept.set(host="127.0.0.1", port=self.port).update_query_dict(query)

    def open(self) -> None:
        """Take connections, on the port that the edge had before."""
        self._call(self._open())

    def shut(self) -> None:
        """End every connection and refuse new ones."""
        self._call(self._shut())

    def cut(self) -> None:
        """End every connection, without a word."""
        self._call(self._cut())

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self) -> None:
        self._listener = await asyncio.start_server(self._client, "127.0.0.1", self.port, backlog=200)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        self._listener.close()
        await self._cut()

    async def _cut(self) -> None:
        for passage in self._passages:
            passage.abort()

    async def _close(self) -> None:
        # asyncio loses the socket of a connection that it took just before its server is closed.
        await asyncio.sleep(0.01)
        await self._shut()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passage = Passage(writer)
        self._passages.add(passage)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            startup, server = await self._admit(reader, writer)
            server_reader, passage.server = await _connect(server)
            passage.server.write(startup)
            await asyncio.gather(self._requests(reader, passage), self._answers(server_reader, passage))
        passage.abort()
        self._passages.discard(passage)

    async def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[bytes, URL]:
        """Return what to begin with, and which server to begin with."""
        return await self._startup(reader, writer), self._server

    async def _startup(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        while True:
            head = await reader.readexactly(8)
            length, code = struct.unpack("!ii", head)
            if code == SSL_REQUEST and self._context is not None:
                writer.write(b"S")
                plain = writer.transport
                try:
                    await writer.start_tls(self._context)
                except AttributeError:
                    # asyncio leaves a writer without a transport whose other side goes during the handshake.
                    writer._transport = plain  # type: ignore[attr-defined]
                    raise ConnectionAbortedError from None
            elif code in {SSL_REQUEST, GSS_REQUEST}:
                writer.write(b"N")
            else:
                return head + await reader.readexactly(length - 8)

    async def _requests(self, reader: asyncio.StreamReader, passage: Passage) -> None:
        assert passage.server is not None
        try:
            while True:
                kind, message = await _message(reader)
                self.messages.append(kind)
                if kind == "Q":
                    text = message[5:].rstrip(b"\0").decode()
                    self.statements.append(text)
                    passage.cut = self._cut_for(text)
                await self._flow()
                if passage.cut is not None and passage.cut.sent is not None:
                    passage.server.write(message[: passage.cut.sent])
                    await passage.server.drain()
                    return
                passage.server.write(message)
        finally:
            # What was written is still sent: what is cut off here is what comes after.
            passage.server.close()
            passage.client.transport.abort()

    def _cut_for(self, text: str) -> Cut | None:
        found = next((cut for cut in self.cuts if cut.text in text), None)
        if found is not None:
            self.cuts.remove(found)
        return found

    async def _answers(self, reader: asyncio.StreamReader, passage: Passage) -> None:
        answer = b""
        try:
            while True:
                kind, message = await _message(reader)
                await self._flow()
                if passage.cut is None:
                    passage.client.write(message)
                    continue
                answer += message
                if kind == "Z":  # the whole answer is there, so that the server has done what it was asked
                    passage.client.write(answer[: passage.cut.answered])
                    await passage.client.drain()
                    return
        finally:
            passage.client.close()

    async def _flow(self) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        while self.stalled:  # noqa: ASYNC110 - other threads set it
            await asyncio.sleep(0.01)


async def _message(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    head = await reader.readexactly(5)
    return head[:1].decode(), head + await reader.readexactly(struct.unpack("!i", head[1:])[0] - 4)


async def _connect(server: URL) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = (server.query.get(name, getattr(server, name)) for name in ("host", "port"))
    if str(host).startswith("/"):
        return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port or 5432}")
    return await asyncio.open_connection(str(host), int(str(port or 5432)))
