"""What a request makes Python do, counted: calls are the same on a busy machine, where time is not."""

import sys
from collections import Counter
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any, TypeAlias

import greenlet  # type: ignore[import-untyped]

App: TypeAlias = Any


@dataclass(frozen=True)
class Request:
    """A request, as a server hands it to an app."""

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def scope(self) -> dict[str, Any]:
        """Return what is said before the body."""
        length = ((b"content-type", b"application/json"), (b"content-length", str(len(self.body)).encode()))
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "server": ("testserver", 80),
            "path": self.path,
            "root_path": "",
            "query_string": b"",
            "headers": [*self.headers, *(length if self.body else ())],
        }


async def ask(app: App, request: Request) -> tuple[int, bytes]:
    """Return the status and the body of the app's answer."""
    sent: list[MutableMapping[str, Any]] = []
    messages = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(request.scope(), receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


@dataclass
class Calls:
    """The calls of Python's and C's functions in this thread and its greenlets. A coroutine that goes on counts too."""

    modules: Counter[str] = field(default_factory=Counter)
    """How many in each module: those of C's functions where they are called."""
    codes: Counter[CodeType] = field(default_factory=Counter)
    """How many of each of Python's functions."""

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count those of the block."""

        def count(frame: FrameType, what: str, _: Any) -> None:
            if what in {"call", "c_call"}:
                self.modules[frame.f_globals.get("__name__", "?")] += 1
            if what == "call":
                self.codes[frame.f_code] += 1

        before = sys.getprofile()
        sys.setprofile(count)
        try:
            yield
        finally:
            sys.setprofile(before)

    def of(self, function: Any) -> int:
        """Return how often a function of Python's was called."""
        return self.codes[function.__code__]

    @property
    def packages(self) -> Counter[str]:
        """How many in each package: of ours, in each module."""
        found: Counter[str] = Counter()
        for module, count in self.modules.items():
            package = module.partition(".")[0]
            found[module if package.startswith("todoservice") else package] += count
        return found


@dataclass
class Measured:
    """What some requests of one kind made Python do."""

    requests: int
    statuses: set[int] = field(default_factory=set)
    calls: Calls = field(default_factory=Calls, repr=False)
    greenlets: set[greenlet.greenlet] = field(default_factory=set, repr=False)

    @property
    def each(self) -> float:
        """The calls for one request."""
        return self.calls.modules.total() / self.requests

    def beside(self, other: "Measured") -> str:
        """Return where the calls for one request are made, the most first, and how many of `other`'s are made there."""
        before = other.calls.packages
        return "\n".join(
            f"{count / self.requests:8.1f} {before[package] / other.requests:8.1f}  {package}"
            for package, count in self.calls.packages.most_common()
        )


async def measure(app: App, requests: Sequence[Request]) -> Measured:
    """Ask an app that runs on this loop, and count: the second half of the requests, when all is warm."""
    warming, asked = requests[: len(requests) // 2], requests[len(requests) // 2 :]
    for request in warming:
        await ask(app, request)
    measured = Measured(len(asked))
    with _noting(measured), measured.calls.counted():
        for request in asked:
            status, _ = await ask(app, request)
            measured.statuses.add(status)
    return measured


@contextmanager
def _noting(measured: Measured) -> Iterator[None]:
    root = greenlet.getcurrent()

    def switched(_: str, greenlets: Any) -> None:
        measured.greenlets.update(one for one in greenlets if one is not root)

    before = greenlet.settrace(switched)
    try:
        yield
    finally:
        greenlet.settrace(before)
