"""Requests that no client library sends: to the app itself, as any server may hand them on, or through a socket."""

import json
import socket
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.testclient import TestClient

Header = tuple[str | bytes, str | bytes]


@dataclass(frozen=True)
class Answer:
    """A response, as it was sent."""

    status_code: int
    headers: Headers
    content: bytes

    def json(self) -> Any:
        """Return the body."""
        return json.loads(self.content)


def ask(
    client: TestClient,
    method: str,
    path: str,
    *,
    query: bytes = b"",
    headers: Iterable[Header] = (),
    body: bytes | Sequence[bytes] = b"",
    broken_off: bool = False,
    root_path: str = "",
) -> Answer:
    """Ask the app that `client` runs. The path is the decoded one; a body given in pieces arrives in pieces.

    With `broken_off`, the client leaves before the end of its body.
    """
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "server": ("testserver", 80),
        "path": path,
        "root_path": root_path,
        "query_string": query,
        "headers": [(_bytes(name).lower(), _bytes(value)) for name, value in headers],
        "state": dict(client.app_state),
    }
    assert client.portal is not None
    pieces = [body] if isinstance(body, bytes) else list(body)
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages[-1]["more_body"] = broken_off
    answer: Answer = client.portal.call(_asked, client.app, scope, messages)
    return answer


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


async def _asked(app: Any, scope: dict[str, Any], messages: list[dict[str, Any]]) -> Answer:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *rest = sent
    return Answer(
        start["status"], Headers(raw=list(start["headers"])), b"".join(message.get("body", b"") for message in rest)
    )


def request(method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    """Return the bytes of a request, with the headers that every one has."""
    lines = [f"{method} {target} HTTP/1.1", "Host: testserver", *headers]
    if body and not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Connection:
    """A connection to a server, for a `with` block: bytes go out as they are given."""

    def __init__(self, port: int) -> None:
        """Connect."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.socket.sendall(data)

    def receive(self, *, body: bool = True) -> Answer:
        """Read one response. The answer to HEAD has no body, whatever length it tells."""
        _, status, *_ = self._file.readline().split()
        lines = iter(self._file.readline, b"\r\n")
        raw = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        headers = Headers(raw=raw)
        return Answer(int(status), headers, self._file.read(int(headers.get("content-length", "0")) if body else 0))

    def ask(self, data: bytes) -> Answer:
        """Send bytes and read one response."""
        self.send(data)
        return self.receive()
