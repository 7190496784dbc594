"""Two users who visit the good strangers' plugins over HTTP."""

from typing import Any, Final
from uuid import uuid4

import httpx2

API: Final = "/api/v1"


class User:
    """Someone who asks."""

    def __init__(self, client: httpx2.Client) -> None:
        """Ask through this client."""
        self.id = str(uuid4())
        self._client = client

    def __call__(self, method: str, path: str, **options: Any) -> Any:
        """Return the JSON of an answer that is no error, or None where it has none."""
        answer = self._client.request(method, f"{API}/{path}", headers={"X-User-ID": self.id}, **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        assert answer.headers["X-Stamp"] == "seen"
        return answer.json() if answer.content else None

    def status(self, method: str, path: str, **options: Any) -> int:
        """Return the status of an answer."""
        return self._client.request(method, f"{API}/{path}", headers={"X-User-ID": self.id}, **options).status_code


def advice(user: User) -> Any:
    """Be advised: no table, and a check."""
    return user("GET", "advice")


def agenda(user: User) -> Any:
    """See one's todos: another feature's query."""
    user("POST", "todos", json={"title": f"Write to {user.id}"})
    return user("GET", "agenda")


def currencies(user: User) -> Any:
    """Keep a currency: a shared table, joined with an owned one."""
    user("POST", "currencies/EUR", params={"amount": int(user.id[:4], 16)})
    assert user.status("POST", "currencies/XXX", params={"amount": 1}) == 409
    return user("GET", "currencies")


def flags(user: User) -> Any:
    """Put a flag up and down again: an upsert."""
    for up in (True, False):
        user("PUT", f"flags/{user.id[:8]}", params={"up": up})
    assert user("GET", "flags") == {user.id[:8]: False}
    return user("GET", "flags")


def greetings(user: User) -> Any:
    """Be greeted as the settings say."""
    assert user("GET", "greetings") == f"Salve, {user.id}!"
    return user("GET", "greetings")


def ledger(user: User) -> Any:
    """Transfer in a transaction, and in one that is undone."""
    amount = int(user.id[:4], 16) + 1
    user("POST", "ledger/purse/bank", params={"amount": amount})
    assert user.status("POST", "ledger/purse/closed", params={"amount": 1}) == 409
    assert user("GET", "ledger") == {"purse": -amount, "bank": amount}
    return user("GET", "ledger")


def pantry(user: User) -> Any:
    """Fill a jar: a row of a table."""
    made = user("POST", "pantry", json={"label": f"Plums of {user.id}"})
    assert user("GET", f"pantry/{made['id']}") == made
    return user("GET", "pantry")


def reminders(user: User) -> Any:
    """Be reminded: rows that hang on a todo."""
    todo = user("POST", "todos", json={"title": "Buy milk"})["id"]
    user("PUT", f"reminders/{todo}", params={"at": "2026-01-01T00:00:00Z"})
    return user("GET", "reminders")


def shelves(user: User) -> Any:
    """Put a jar on a shelf: rows that hang on another stranger's."""
    jar = user("POST", "pantry", json={"label": "Plums"})["id"]
    user("PUT", f"shelves/3/{jar}")
    return user("GET", "shelves")


ASKED = {
    function.__name__: function
    for function in (advice, agenda, currencies, flags, greetings, ledger, pantry, reminders, shelves)
}
"""What asks a plugin as a user, and returns what only that user may see."""


def visit(client: httpx2.Client, *names: str) -> None:
    """Ask each of these plugins as two users, whose answers have nothing in common."""
    users = User(client), User(client)
    for name in names:
        first, second = (ASKED[name](user) for user in users)
        assert first
        assert first != second, name
        assert ASKED[name](User(client)) != first
