"""What libpq leaves to whoever waits for it: the waiting itself, the time limit of a connection, and name look-up."""

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
from sqlalchemy.util.concurrency import await_, in_greenlet


def install_wait() -> None:
    """Make psycopg2 wait on the event loop where it is used inside SQLAlchemy's greenlet, and block elsewhere.

    Process-wide by nature: psycopg2 has one wait callback. Calling it again changes nothing.
    """
    psycopg2.extensions.set_wait_callback(_wait)


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


def _wait(connection: psycopg2.extensions.connection) -> None:
    if in_greenlet():
        _wait_on_loop(connection)
    else:
        _wait_in_thread(connection)


def _wait_on_loop(connection: psycopg2.extensions.connection) -> None:
    loop = asyncio.get_running_loop()
    try:
        while (state := connection.poll()) != POLL_OK:
            if state == POLL_READ and isinstance(connection, Watched) and not _is_connecting(connection):
                connection.wait(loop)
            else:
                _wait_once(loop, connection.fileno(), state)
    except BaseException:
        if isinstance(connection, Watched):
            connection.unwatch()  # libpq has closed the socket of a lost connection by now
        raise


def _wait_once(loop: asyncio.AbstractEventLoop, descriptor: int, state: int) -> None:
    ready: asyncio.Future[None] = loop.create_future()
    if state == POLL_READ:
        add, remove = loop.add_reader, loop.remove_reader
    else:
        add, remove = loop.add_writer, loop.remove_writer
    add(descriptor, _settle, ready)
    try:
        await_(ready)
    finally:
        remove(descriptor)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def has_input(descriptor: int) -> bool:
    """Say whether something waits to be read: on an idle connection, its end or an error."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(0))


def _is_connecting(connection: psycopg2.extensions.connection) -> bool:
    """Say whether libpq may still change the socket, as it goes through the addresses."""
    return connection.get_transaction_status() == TRANSACTION_STATUS_UNKNOWN


class Watched(psycopg2.extensions.connection):
    """A connection whose socket the event loop watches from its first statement to its end.

    To register it for each wait anew costs more than the statement does.
    """

    _loop: asyncio.AbstractEventLoop | None = None
    """Which one watches it, if any."""
    _descriptor: int = -1
    _answer: asyncio.Future[None] | None = None
    """What waits for the server, if anything does."""

    def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait until the server has sent something."""
        if self._loop is not loop:
            self.unwatch()
            self._loop, self._descriptor = loop, self.fileno()
            loop.add_reader(self._descriptor, self._heard)
        self._answer = loop.create_future()
        try:
            await_(self._answer)
        finally:
            self._answer = None

    def unwatch(self) -> None:
        """Take the socket from the loop, which has to be done before it is closed: its number is given to another.

        In the loop's own thread, where the pool closes connections too.
        """
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._descriptor)
        self._loop = None

    def _heard(self) -> None:
        if self._answer is not None:
            _settle(self._answer)
        elif has_input(self._descriptor):
            # Nobody has asked: it is the connection's end, which the pool sees as it hands it out.
            self.unwatch()


def _wait_in_thread(connection: psycopg2.extensions.connection) -> None:
    """Block as `psycopg2.extras.wait_select` does, but above descriptor 1023 too, and keeping `connect_timeout`."""
    connecting = _is_connecting(connection)
    limit = time_limit(connection.info.dsn_parameters) if connecting else None
    deadline = None if limit is None else time.monotonic() + limit
    while (state := connection.poll()) != POLL_OK:
        try:
            ready = _poll(connection.fileno(), state, deadline)
        except KeyboardInterrupt:
            if connecting:
                raise
            # The server answers this with an error, which ends the wait.
            connection.cancel()
        else:
            if not ready:
                host = connection.info.dsn_parameters.get("host")
                msg = f'connection to server at "{host}" failed: timeout expired after {limit:g} s'
                raise psycopg2.OperationalError(msg)


def _poll(descriptor: int, state: int, deadline: float | None) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN if state == POLL_READ else select.POLLOUT)
    return bool(poller.poll(None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000))
