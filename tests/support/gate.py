"""A gate before PostgreSQL: open, shut, or open with nobody behind it. On a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self, TypeVar

from sqlalchemy import make_url

Result = TypeVar("Result")


class Gate:
    """The gate of one server, for a `with` block. It is open at first."""

    def __init__(self, url: str) -> None:
        """Stand before the server of a URL."""
        self._server = make_url(url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._listener: asyncio.Server | None = None
        self._transports: set[asyncio.WriteTransport] = set()
        self._port = 0
        self.silent = False
        """While set, new connections are taken and nothing is ever said on them."""

    def __enter__(self) -> Self:
        self._thread.start()
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The URL of the server by way of the gate."""
        beyond = self._server.difference_update_query(["host", "port"])
        return beyond.set(host="127.0.0.1", port=self._port).render_as_string(hide_password=False)

    def open(self) -> None:
        """Let connections through."""
        self._call(self._open())

    def shut(self) -> None:
        """End every connection and refuse new ones."""
        self._call(self._shut())

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _open(self) -> None:
        self._listener = await asyncio.start_server(self._pass, "127.0.0.1", self._port)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for transport in self._transports:
            transport.abort()
        passing = asyncio.all_tasks() - {asyncio.current_task()}
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        self._transports.clear()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._transports.add(writer.transport)
        with suppress(OSError, asyncio.CancelledError):
            if self.silent:
                await reader.read()
            server_reader, server_writer = await self._beyond()
            self._transports.add(server_writer.transport)
            await asyncio.gather(_pump(reader, server_writer), _pump(server_reader, writer))

    async def _beyond(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = (self._server.query.get(name, getattr(self._server, name)) for name in ("host", "port"))
        if str(host).startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port or 5432}")
        return await asyncio.open_connection(str(host), int(str(port or 5432)))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
