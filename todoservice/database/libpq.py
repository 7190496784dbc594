"""What libpq leaves to whoever does not let it block: the waiting, the time limit of a connection, and name look-up."""

import asyncio
import select
import socket
import time
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import psycopg2
import psycopg2.extensions
from psycopg2.extensions import POLL_OK, POLL_READ, TRANSACTION_STATUS_UNKNOWN


def time_limit(parameters: Mapping[str, Any]) -> float | None:
    """Return `connect_timeout` in seconds; None where there is none, which libpq also writes as 0 or less.

    Raises ValueError where it is no number.
    """
    seconds = float(parameters.get("connect_timeout") or 0)
    return seconds if seconds > 0 else None


async def locate(parameters: Mapping[str, Any], turn: int = 0) -> dict[str, str]:
    """Return the `hostaddr` that libpq needs in place of a look-up, with the `host` and `port` of each address.

    `host` stays for TLS. Comma lists are libpq's; socket directories and a given `hostaddr` are left alone.
    Each host's addresses begin with the one at `turn`. Raises psycopg2.OperationalError where no host has any.
    """
    hosts, ports = (str(parameters.get(name) or "").split(",") for name in ("host", "port"))
    if parameters.get("hostaddr") or all(map(_is_socket, hosts)) or len(ports) not in {1, len(hosts)}:
        return {}
    found: list[tuple[str, str, str]] = []
    failures: list[str] = []
    for index, host in enumerate(hosts):
        try:
            addresses = await _addresses(host)
        except (OSError, UnicodeError) as error:
            failures.append(f'could not translate host name "{host}" to address: {error}')
        else:
            first = turn % len(addresses)
            found += [(host, address, ports[index % len(ports)]) for address in addresses[first:] + addresses[:first]]
    if not found:
        msg = "; ".join([*failures, "check the host in the database URL, and this machine's name server"])
        raise psycopg2.OperationalError(msg)
    names = ("host", "hostaddr", "port") if parameters.get("port") else ("host", "hostaddr")
    return dict(zip(names, map(",".join, zip(*found, strict=True)), strict=False))


def _is_socket(host: str) -> bool:
    return not host or host.startswith(("/", "@"))


async def _addresses(host: str) -> list[str]:
    if _is_socket(host):
        return [""]
    try:
        return [str(ip_address(host))]
    except ValueError:
        rows = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


def has_input(descriptor: int) -> bool:
    """Say whether something waits to be read: on an idle connection, its end or an error."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(0))


class Watched(psycopg2.extensions.connection):
    """An asynchronous connection, whose socket the loop watches from its first statement to its end.

    To register the socket for each wait anew costs more than the statement does.
    """

    _loop: asyncio.AbstractEventLoop | None = None
    """Which one watches it, if any."""
    _descriptor: int = -1
    _answer: asyncio.Future[None] | None = None
    """What waits for the server, if anything does."""
    heard_at: float = 0.0
    """When the server answered last, by the monotonic clock."""

    def __init__(self, dsn: str) -> None:
        """Begin to connect: `settle` waits for the end of it. Raises psycopg2.OperationalError."""
        super().__init__(dsn, 1)  # type: ignore[call-arg]  # asynchronous: the stubs know no such thing
        self.made_at = time.monotonic()
        """When it was made, by the same clock."""

    async def settle(self) -> None:
        """Wait until the connection is made, or what was sent is answered. Raises psycopg2.Error."""
        loop = asyncio.get_running_loop()
        try:
            while (state := self.poll()) != POLL_OK:
                self._answer = loop.create_future()
                if state == POLL_READ and not self._is_unconnected():
                    self._watch(loop)
                    await self._answer
                else:
                    await _ready(loop, self.fileno(), state, self._answer)
            self.heard_at = time.monotonic()
        except BaseException:
            if self._is_unconnected():
                self.unwatch()  # libpq has closed the socket of a lost connection by now
            raise
        finally:
            self._answer = None

    def _is_unconnected(self) -> bool:
        """Say whether libpq has closed the socket, or may still change it, as it goes through the addresses."""
        return self.get_transaction_status() == TRANSACTION_STATUS_UNKNOWN

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not loop:
            self.unwatch()
            self._loop, self._descriptor = loop, self.fileno()
            loop.add_reader(self._descriptor, self._heard)

    @property
    def is_awaited(self) -> bool:
        """Whether a task waits for the server's answer."""
        return self._answer is not None

    def unwatch(self) -> None:
        """Take the socket from the loop, which has to be done before it is closed: its number is given to another.

        In the loop's own thread, where the pool closes connections too.
        """
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._descriptor)
        self._loop = None

    def _heard(self) -> None:
        if self._answer is not None:
            _set(self._answer)
        elif has_input(self._descriptor):
            # Nobody has asked: it is the connection's end, which the pool sees as it hands it out.
            self.unwatch()


async def _ready(loop: asyncio.AbstractEventLoop, descriptor: int, state: int, ready: asyncio.Future[None]) -> None:
    """Wait until a socket can be read from, or written to."""
    if state == POLL_READ:
        add, remove = loop.add_reader, loop.remove_reader
    else:
        add, remove = loop.add_writer, loop.remove_writer
    add(descriptor, _set, ready)
    try:
        await ready
    finally:
        remove(descriptor)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
