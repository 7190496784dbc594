"""A client that does what comes to its mind, and knows exactly what it was told: any other answer is a contradiction.

An answer settles what is there. A 503 that says that a change may have been made leaves two possibilities, until a
later read shows the one, or shows the other once enough time has passed that nothing can be on its way any more: such a
row rests meanwhile, that is, it is read and not written. Any other 503 says that nothing was changed.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from uuid import UUID

import httpx2

TODOS: Final = "/api/v1/todos"
MARKING: Final = "/api/v1/marking"
UNKNOWN: Final = "may have been made or not"
NOT_DONE: Final = ("is out of reach at the moment", "are busy: try again shortly", "took too long to answer")
SHOWN: Final = 400
"""Characters of an answer that the history keeps."""
MANY: Final = 40
"""Rows of a user beyond which more are deleted than made."""


class Contradiction(Exception):
    """An answer that cannot be, after those before it."""


class State(NamedTuple):
    """What a client may change of a row."""

    title: str
    description: str | None
    is_completed: bool


Items = list[dict[str, Any]]
Seen = State | None
"""A row's state, or None where it is gone."""


@dataclass
class Row:
    """A row, as far as its user knows."""

    created_at: str
    state: State
    perhaps: tuple[Seen] | None = None
    """What it may be as well, after an outcome that is unknown."""
    until: float = 0.0
    """Until when a change that was not answered may still come to pass."""


@dataclass
class Pending:
    """Rows that may have been made, all of them or none."""

    titles: list[str]
    until: float


@dataclass
class Told:
    """What all clients were told, for the report."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    unknown: int = 0
    settled: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


@dataclass
class Shared:
    """What all clients have in common."""

    patience: float
    """Seconds within which every answer has to come."""
    rest: float
    """Seconds in which a change that was not answered may still come to pass."""
    told: Told = field(default_factory=Told)
    ids: list[str] = field(default_factory=list)
    """Those of all users' rows."""


class Client:
    """One user, who does one thing after the other."""

    def __init__(self, number: int, seed: int, base: str, shared: Shared) -> None:
        """Ask the service at `base`, as the user that seed and number make."""
        self._random = random.Random(f"{seed}/{number}")  # noqa: S311 - no secret
        self.user = UUID(int=self._random.getrandbits(128), version=4)
        self._number = number
        self._http = httpx2.Client(base_url=base, headers={"X-User-ID": str(self.user)}, timeout=shared.patience)
        self._told = shared.told
        self._strangers = shared.ids
        self._rest = shared.rest
        self._made = 0
        self.rows: dict[str, Row] = {}
        self._gone: list[str] = []
        self._pending: list[Pending] = []
        self.history: list[str] = []
        """What was asked and answered, a line each."""

    def step(self) -> None:
        """Do one thing. Raises Contradiction."""
        weights: dict[Callable[[], None], int] = {
            self.create: 6, self.pair: 3, self.list: 6, self.retrieve: 6, self.update: 6, self.mark: 6,
            self.delete: 12 if len(self.rows) > MANY else 3, self.ask_for_nothing: 2,
        }  # fmt: skip
        self._random.choices(list(weights), list(weights.values()))[0]()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    # What it does

    def create(self) -> None:
        """Create a todo."""
        state = State(self._title(), self._random.choice([None, "", "é" * self._random.randrange(1, 200)]), False)
        answer = self._ask("create", "POST", TODOS, 201, json={"title": state.title, "description": state.description})
        if answer.status_code == HTTPStatus.CREATED:
            body = answer.json()
            self._expect(answer.headers["location"].endswith(body["id"]), "the Location is another row's")
            self._adopt(body, state)
        elif _is_unknown(answer):
            self._pending.append(Pending([state.title], self._later()))

    def pair(self) -> None:
        """Create two todos in one transaction."""
        titles = [self._title(), self._title()]
        kind = self._random.choice(["blocks", "marked"])
        answer = self._ask(f"pair ({kind})", "POST", f"{MARKING}/{kind}/pair", 201, json=titles)
        if answer.status_code == HTTPStatus.CREATED:
            for id, title in zip(answer.json(), titles, strict=True):
                self._expect(id not in self.rows, f"{id} was there before")
                self.rows[id] = Row("", State(title, None, False))
        elif _is_unknown(answer):
            self._pending.append(Pending(titles, self._later()))

    def list(self) -> None:
        """List all, by pages of some size."""
        asked, limit, cursor = time.monotonic(), self._random.choice([1000, 1000, 20, 7]), None
        items: list[dict[str, Any]] = []
        while cursor is not None or not items:
            query = {"limit": limit} | ({"cursor": cursor} if cursor else {})
            answer = self._ask("list", "GET", TODOS, 200, params=query)
            if answer.status_code != HTTPStatus.OK:
                return
            page = answer.json()
            self._expect(page["count"] == len(page["items"]) <= limit, "the count is not that of the items")
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        ids = [item["id"] for item in items]
        self._expect(ids == sorted({*ids}, reverse=True), f"not each once and newest first: {ids}")
        self.find(items, asked)

    def find(self, items: "Items", asked: float) -> None:
        """Compare all rows there are, as was asked at a time, with what is known. Raises Contradiction."""
        found = {item["id"]: item for item in items}
        for id in list(self.rows):
            self._see(id, found.pop(id, None), asked)
        fresh = {item["title"]: item for item in found.values()}
        self._expect(len(fresh) == len(found), f"made twice: {sorted(item['title'] for item in found.values())}")
        for pending in self._pending[:]:
            made = [fresh.pop(title) for title in pending.titles if title in fresh]
            self._expect(len(made) in {0, len(pending.titles)}, f"made in part: {pending.titles}")
            for item in made:
                self._adopt(item, _state(item), pending.until)
            if made or asked > pending.until:
                self._pending.remove(pending)
                self._told.settled["made" if made else "not made"] += 1
        self._expect(not fresh, f"there are rows that nobody was told of: {list(fresh.values())}")

    def retrieve(self) -> None:
        """Retrieve a todo, or one that is gone."""
        id = self._any()
        asked = time.monotonic()
        answer = self._ask("retrieve", "GET", f"{TODOS}/{id}", 200, 404)
        if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            found = answer.json() if answer.status_code == HTTPStatus.OK else None
            self._expect(id in self.rows or found is None, f"{id} is there again")
            if id in self.rows:
                self._see(id, found, asked)

    def update(self) -> None:
        """Change some members of a todo."""
        members: dict[str, Any] = {
            "title": self._title(), "description": self._random.choice([None, "ö"]),
            "is_completed": self._random.choice([False, True]),
        }  # fmt: skip
        chosen = {name: members[name] for name in self._random.sample(list(members), self._random.randrange(4))}
        self._change("update", "PATCH", TODOS, lambda state: state._replace(**chosen), json=chosen)

    def mark(self) -> None:
        """Add a mark, which must not be added twice."""
        self._change("mark", "POST", MARKING, lambda state: state._replace(description=f"{state.description or ''}!"))

    def delete(self) -> None:
        """Delete a todo."""
        for id in self._at_rest():
            answer = self._ask("delete", "DELETE", f"{TODOS}/{id}", 204)
            if answer.status_code == HTTPStatus.NO_CONTENT:
                self._forget(id)
            elif _is_unknown(answer):
                self._leave_open(id, None)

    def ask_for_nothing(self) -> None:
        """Ask for what is not there, or is another's. A delete that was sent twice cannot know that it was not."""
        id = self._random.choice([*self._gone, *self._strangers[-20:], str(UUID(int=self._random.getrandbits(128)))])
        if id in self.rows:
            return
        method, path = self._random.choice([("GET", TODOS), ("PATCH", TODOS), ("DELETE", TODOS), ("POST", MARKING)])
        body = {"json": {"title": "another's"}} if method == "PATCH" else {}
        self._ask("ask for nothing", method, f"{path}/{id}", 404, *([204] if method == "DELETE" else []), **body)

    def _change(self, what: str, method: str, path: str, change: Callable[[State], State], **body: Any) -> None:
        for id in self._at_rest():
            answer = self._ask(what, method, f"{path}/{id}", 200, **body)
            changed = change(self.rows[id].state)
            if answer.status_code == HTTPStatus.OK:
                self.rows[id].state = changed
                self._see(id, answer.json(), 0)
            elif _is_unknown(answer):
                self._leave_open(id, changed)

    # What it knows

    def _title(self) -> str:
        self._made += 1
        return f"{self._number}-{self._made} é"

    def _later(self) -> float:
        return time.monotonic() + self._rest

    def _any(self) -> str:
        return self._random.choice([*self.rows, *self._gone[-5:], str(UUID(int=self._random.getrandbits(128)))])

    def _at_rest(self) -> Iterator[str]:
        """Yield one row that may be written, if there is any."""
        now = time.monotonic()
        ids = [id for id, row in self.rows.items() if row.perhaps is None and row.until < now]
        if ids:
            yield self._random.choice(ids)

    def _adopt(self, item: dict[str, Any], state: State, until: float = 0.0) -> None:
        self._expect(item["id"] not in self.rows and item["id"] not in self._gone, f"{item['id']} was there before")
        self.rows[item["id"]] = Row(item["created_at"], state, until=until)
        self._strangers.append(item["id"])
        self._see(item["id"], item, 0)

    def _see(self, id: str, item: dict[str, Any] | None, asked: float) -> None:
        row, seen = self.rows[id], None if item is None else _state(item)
        if item is not None:
            row.created_at = row.created_at or item["created_at"]
            self._expect(item["user_id"] == str(self.user), f"{id} is another user's: {item}")
            self._expect((item["id"], item["created_at"]) == (id, row.created_at), f"{id} is another: {item}")
        if row.perhaps == (seen,):
            self._told.settled["made"] += 1
            row.perhaps = None
            if seen is None:
                self._forget(id)
            else:
                row.state = seen
        else:
            self._expect(seen == row.state, f"{id} is {seen}, and should be {row.state} or perhaps {row.perhaps}")
            if row.perhaps is not None and asked > row.until:
                self._told.settled["not made"] += 1
                row.perhaps = None

    def _leave_open(self, id: str, perhaps: Seen) -> None:
        row = self.rows[id]
        row.until = self._later()
        if perhaps != row.state:
            row.perhaps = (perhaps,)

    def _forget(self, id: str) -> None:
        del self.rows[id]
        self._gone.append(id)

    @property
    def names(self) -> set[str]:
        """The ids and titles that it knows, to find them in its history."""
        states = {row.state.title for row in self.rows.values()}
        return {*self.rows, *self._gone, *states, *(title for pending in self._pending for title in pending.titles)}

    @property
    def open(self) -> float:
        """When the last of what is unknown can be settled."""
        return max([row.until for row in self.rows.values()] + [pending.until for pending in self._pending] + [0.0])

    def _ask(self, what: str, method: str, path: str, *expected: int, **request: Any) -> httpx2.Response:
        """Ask. Raises Contradiction for a status that is neither expected nor 503, and where there is no answer."""
        began = time.monotonic()
        line = f"{time.strftime('%H:%M:%S')} {what}: {method} {path} {request or ''}"
        try:
            answer = self._http.request(method, path, **request)
        except httpx2.HTTPError as error:
            self.history.append(f"{line} -> {error!r}")
            msg = f"no answer: {error!r}"
            raise Contradiction(msg) from error
        took = time.monotonic() - began
        self.history.append(f"{line} -> {answer.status_code} in {took:.2f} s: {answer.text[:SHOWN]}")
        self._told.seconds.append(took)
        self._told.answers[what, answer.status_code] += 1
        if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            self._told.unknown += _is_unknown(answer)
            detail = str(answer.json()["detail"])
            self._expect(any(words in detail for words in (UNKNOWN, *NOT_DONE)), f"a 503 that says {detail!r}")
            self._expect("retry-after" in answer.headers, "a 503 without Retry-After")
        else:
            self._expect(answer.status_code in expected, f"{what} is answered {answer.status_code}: {answer.text}")
        return answer

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise Contradiction(otherwise)


def _state(item: dict[str, Any]) -> State:
    return State(item["title"], item["description"], item["is_completed"])


def _is_unknown(answer: httpx2.Response) -> bool:
    return answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and UNKNOWN in answer.json()["detail"]
