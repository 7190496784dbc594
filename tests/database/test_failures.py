"""What an error of psycopg2 means, where no database can be brought to raise it."""

import asyncio
from typing import Any

import psycopg2
import pytest
from sqlalchemy.exc import OperationalError

from todoservice import ServiceUnavailable
from todoservice.database.failures import is_permanent, may_pass
from todoservice.database.retries import LONGEST, Attempts


def failure(text: str, state: str | None) -> OperationalError:
    """Return an error as SQLAlchemy raises it."""
    original: Any = psycopg2.OperationalError(text)
    original.__setstate__({"pgcode": state})
    return OperationalError("SELECT 'endpoint is disabled'", {}, original)


@pytest.mark.parametrize(
    ("text", "state", "permanent"),
    [
        ("connection failed: ERROR: endpoint is disabled", None, True),
        ("server login failed: FATAL: password authentication failed for user 'x'", "08P01", True),
        ("Connection refused", None, False),
        ("FATAL: Datenbank »x« existiert nicht", None, False),  # in other words it costs the budget, and no more
        ('deadlock detected CONTEXT: while updating tuple (0,1) in relation "certificates"', "40P01", False),
    ],
)
def test_what_is_permanent(text: str, state: str | None, permanent: bool) -> None:
    """Refusals of a connection are, in the words of whoever refuses: not what quotes a name or the statement."""
    error = failure(text, state)
    assert is_permanent(error) == permanent
    assert may_pass(error)


def test_pauses() -> None:
    """They double up to a limit, and no two clients make the same ones."""

    async def pauses() -> list[float]:
        attempts = Attempts(asyncio.get_running_loop().time() + 1000)
        return [attempts._pause(failure("Connection refused", None)) for _ in range(8)]

    made = [asyncio.run(pauses()) for _ in range(20)]
    for number, of_all in enumerate(zip(*made, strict=True)):
        longest = min(LONGEST, 0.1 * 2**number)
        assert all(longest / 2 <= pause <= longest for pause in of_all)
        assert len(set(of_all)) > 10


def test_what_an_author_raises_is_not_tried_again() -> None:
    """It has no failure of the database behind it."""

    async def again() -> None:
        await Attempts(asyncio.get_running_loop().time() + 1000).again(ServiceUnavailable("My own."))

    with pytest.raises(ServiceUnavailable, match="My own"):
        asyncio.run(again())
