"""An endpoint as Neon's proxy makes it: TLS and SNI, a compute that sleeps, a pooler, and the proxy's own errors.

From `neondatabase/neon` at 6a35a3e9f1, proxy/src: every error of its own is an ERROR with SQLSTATE XX000, and start-up
parameters other than these few are dropped. Messages are proxy/src's, and those of Neon's page on errors.
"""

import asyncio
import ssl
import struct
from pathlib import Path
from typing import Final

import trustme
from edge import Edge
from sqlalchemy import URL, make_url

NAME: Final = "ep-cool-darkness-123456"
DOMAIN: Final = "local.neon.test"
KEPT: Final = ("user", "database", "application_name", "replication")

ASLEEP: Final = "Couldn't connect to compute node"
TOO_MANY: Final = "Too many connections attempts"
DISABLED: Final = "endpoint is disabled. Enable it using Neon API and retry."
INSECURE: Final = "connection is insecure (try using `sslmode=require`)"
NO_ENDPOINT: Final = (
    "Endpoint ID is not specified. Either please upgrade the postgres client library (libpq) for SNI support or pass "
    "the endpoint ID (first part of the domain name) as a parameter: '?options=endpoint%3D<endpoint-id>'. "
    "See more at https://neon.tech/sni"
)
UNSUPPORTED: Final = (
    "unsupported startup parameter in options: {}. Please use unpooled connection or remove this parameter from the "
    "startup package. More details: https://neon.tech/docs/connect/connection-errors#unsupported-startup-parameter"
)


class Refusal(Exception):
    """What the proxy says in place of letting a connection through."""


class Endpoint(Edge):
    """One endpoint, for a `with` block. Everything public may be used from any thread."""

    def __init__(self, compute: str, pooler: str, authority: trustme.CA, folder: Path) -> None:
        """Stand before a compute and its pooler, with a certificate of `authority`, which clients find in `folder`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(f"*.{DOMAIN}").configure_cert(context)
        self._authority = folder / "ca.pem"
        authority.cert_pem.write_to_path(self._authority)
        super().__init__(make_url(compute), context)
        context.sni_callback = self._named
        self._pooler = make_url(pooler)
        self._hosts: dict[ssl.SSLObject, str | None] = {}
        self.connects = 0
        """How many connections were asked for."""
        self.waking = 0
        """How many wait for the compute to wake up."""
        self.most_waking = 0
        """The most that ever did at the same time."""
        self.errors: list[str] = []
        """What the next connections are told, one each."""
        self.refusal = ""
        """What every connection is told while this is set."""
        self.refused = 0
        """How many of the next connections are ended at once."""
        self.silent = False
        """While set, new connections are taken and nothing is ever said on them."""
        self._cold = 0.0
        self._awake: asyncio.Task[None] | None = None

    def address(self, user: str, password: str, *, pooled: bool = True, **query: str) -> str:
        """Return the URL that Neon's console would show, with what makes it lead here."""
        host = f"{NAME}{'-pooler' * pooled}.{DOMAIN}"
        here = {"hostaddr": "127.0.0.1", "sslmode": "verify-full", "sslrootcert": str(self._authority)}
        url = URL.create("postgresql", user, password, host, self.port, self._server.database, here | query)
        return url.render_as_string(hide_password=False)

    def suspend(self, cold: float) -> None:
        """End every connection, as a compute does that falls asleep. The next one wakes it up, in `cold` seconds."""
        self._call(self._suspend(cold))

    async def _suspend(self, cold: float) -> None:
        self._cold, self._awake = cold, None
        await self._cut()

    def _named(self, connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self._hosts[connection] = name
        self.names.append(name)

    async def _admit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[bytes, URL]:
        self.connects += 1
        if self.refused:
            self.refused -= 1
            raise ConnectionAbortedError
        if self.silent:
            await reader.read()
        try:
            return await self._let_in(await self._startup(reader, writer), writer)
        except Refusal as refusal:
            fields = f"SERROR\0VERROR\0CXX000\0M{refusal}\0\0".encode()
            writer.write(b"E" + struct.pack("!i", len(fields) + 4) + fields)
            await writer.drain()
            writer.close()
            raise ConnectionAbortedError from None

    async def _let_in(self, startup: bytes, writer: asyncio.StreamWriter) -> tuple[bytes, URL]:
        secured = writer.get_extra_info("ssl_object")
        if secured is None:
            raise Refusal(INSECURE)
        parts = startup[8:].rstrip(b"\0").decode().split("\0")
        parameters = dict(zip(parts[::2], parts[1::2], strict=False))
        name, pooled = self._endpoint(self._hosts.pop(secured, None), parameters.get("options", ""))
        options = [part for part in parameters.get("options", "").split() if not part.startswith("endpoint=")]
        if pooled and options:
            raise Refusal(UNSUPPORTED.format(options[-1].removeprefix("-c").partition("=")[0]))
        if self.errors or self.refusal:
            raise Refusal(self.errors.pop(0) if self.errors else self.refusal)
        await self._wake()
        assert name
        return _startup_message(parameters, options), self._pooler if pooled else self._server

    def _endpoint(self, host: str | None, options: str) -> tuple[str, bool]:
        """Return the endpoint's name, and whether it is the pooled one."""
        label = (host or "").partition(".")[0] if (host or "").endswith(f".{DOMAIN}") else ""
        given = next((part.partition("=")[2] for part in options.split() if part.startswith("endpoint=")), "")
        if not (label or given):
            raise Refusal(NO_ENDPOINT)
        if label and given and label != given:
            msg = f"Inconsistent project name inferred from SNI ('{label}') and project option ('{given}')."
            raise Refusal(msg)
        name = label or given
        return name, name.endswith("-pooler")

    async def _wake(self) -> None:
        if self._awake is None:
            self._awake = asyncio.create_task(asyncio.sleep(self._cold))
        self.waking += 1
        self.most_waking = max(self.waking, self.most_waking)
        try:
            await asyncio.shield(self._awake)
        finally:
            self.waking -= 1


def _startup_message(parameters: dict[str, str], options: list[str]) -> bytes:
    kept = {name: value for name, value in parameters.items() if name in KEPT} | {"client_encoding": "UTF8"}
    if options:
        kept["options"] = " ".join(options)
    body = "".join(f"{name}\0{value}\0" for name, value in kept.items()).encode() + b"\0"
    return struct.pack("!ii", len(body) + 8, 3 << 16) + body
