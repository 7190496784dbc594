"""The audit: the proof that a statement filters by its user. The third of the five layers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
import sqlglot
from sqlalchemy.util import immutabledict
from sqlglot.errors import SqlglotError

from todoservice.audit.proof import Proof
from todoservice.audit.reading import Reading, Refused, behind_with, read, refuse
from todoservice.audit.values import PLAIN, is_safe
from todoservice.audit.words import FUNCTIONS
from todoservice.confinement import UnscopedStatement
from todoservice.models import SCHEMA
from todoservice.shapes import APART, Columns, Shape, apart, around

__all__ = ["Audit", "Verdict"]

_KEPT_VERDICTS: Final = 2048
_SHOWN: Final = 200


@dataclass(frozen=True)
class Verdict:
    """What the audit found of one text."""

    fault: str | None
    """Why it is refused, and what to write instead. None where it is proven."""
    users: tuple[str, ...] = ()
    """The parameters that must be the scope's user."""
    lists: frozenset[str] = frozenset()
    """The parameters that may be a tuple."""
    interpolated: bool = False
    """Whether it must be sent with parameters."""
    inserts: bool = False
    """Whether it adds rows."""
    changes: int = 0
    """How many parts of it change rows."""
    harmless: bool = False
    """Whether it changes nothing: no rows, and it calls no function whose doing only the operator knows."""

    def beside(self, parent: "Verdict") -> "Verdict":
        """Return the verdict of one text that has this one and a parent's, whose parameters are named apart."""
        return Verdict(
            None,
            tuple(sorted({*self.users, *(f"{APART}{name}" for name in parent.users)})),
            self.lists | {f"{APART}{name}" for name in parent.lists},
            self.interpolated or parent.interpolated,
            self.inserts or parent.inserts,
            self.changes + parent.changes,
            self.harmless and parent.harmless,
        )


class Audit:
    """Proves each statement of an app, once for each distinct text, and compares the bound user every time."""

    def __init__(self, owned: Iterable[sa.Table], shared: Iterable[sa.Table], functions: Iterable[str] = ()) -> None:
        """Take all tables of the app, and the functions that statements may call besides the built-in ones."""
        self._owned = {table.name: table for table in owned}
        self._shared = {table.name: table for table in shared}
        self._functions = FUNCTIONS | {name.lower() for name in functions}
        self._verdict = lru_cache(_KEPT_VERDICTS)(self._find)
        self._made: dict[str, Verdict] = {}
        """Of texts that were just made of proven ones."""

    def verdict(self, text: str) -> Verdict:
        """Return what the audit finds of a text as psycopg2 gets it, with `%(name)s` for each parameter."""
        return self._verdict(text)

    def answer(self, columns: Columns, shape: Shape, text: str, parent: str = "") -> str:
        """Return the text that answers with the rows of `text` as JSON; as a page, with none where `parent` has none.

        The parameters of `parent` are named apart in it. It is proven where these two are, and needs no proof of its
        own: each is a common table expression, which PostgreSQL reads as it does the statement alone, and what stands
        around them holds no parameter and reads nothing but what they return.
        Raises UnscopedStatement where one of the two is refused.
        """
        verdict = self._proven(text)
        if parent:
            verdict = verdict.beside(self._proven(parent))
        at = behind_with(text)
        answer = around(text[:at], text[at:], columns, shape, apart(parent))
        self._made[answer] = verdict
        self._verdict(answer)
        del self._made[answer]
        return answer

    def _proven(self, text: str) -> Verdict:
        if type(text) is not str:
            msg = f"a {type(text).__name__} cannot be audited: send the statement as a str"
            raise UnscopedStatement(msg)
        verdict = self._verdict(text)
        if verdict.fault is not None:
            raise UnscopedStatement(verdict.fault)
        return verdict

    def check(self, text: str, parameters: Mapping[str, Any] | None, user_id: UUID) -> None:
        """Raise UnscopedStatement unless the statement is proven and bound to this user, by values that are literals.

        `parameters` is what is sent with the text: a plain dictionary, or None where nothing is interpolated.
        """
        verdict = self._proven(text)
        if parameters is None:
            if verdict.interpolated:
                raise UnscopedStatement(_fault("has no parameters: give a dictionary of them", text))
            return
        self._check_values(text, verdict, parameters, user_id)

    def _check_values(self, text: str, verdict: Verdict, parameters: Mapping[str, Any], user_id: UUID) -> None:
        if type(parameters) is not dict and type(parameters) is not immutabledict:
            raise UnscopedStatement(_fault("has no plain dictionary of parameters: bind values by name", text))
        for name in verdict.users:
            value = parameters.get(name)
            if type(value) is not UUID or type(value.int) is not int or value != user_id:
                why = f"has another value than the scope's user in its parameter {name}: bind scope.user_id, a UUID"
                raise UnscopedStatement(_fault(why, text))
        for name, value in parameters.items():
            if type(name) is not str:
                raise UnscopedStatement(_fault("has a parameter whose name is no plain str: bind values by name", text))
            if type(value) not in PLAIN and not is_safe(value, listed=name in verdict.lists):
                kind = type(value).__name__
                why = f"binds a {kind} to {name}, which could be more than a value: bind a plain str, int, UUID or such"
                raise UnscopedStatement(_fault(why, text))

    def _find(self, text: str) -> Verdict:
        return self._made.get(text) or self._prove(text)

    def _prove(self, text: str) -> Verdict:
        try:
            reading = read(text, self._functions)
            proof = Proof(self._owned, self._shared, SCHEMA, self._functions)
            proof.check(_parse(reading), reading)
        except Refused as error:
            return Verdict(_fault(str(error), text))
        except (RecursionError, SqlglotError, LookupError, TypeError, ValueError, AttributeError) as error:
            # A tree of another shape than expected proves nothing.
            return Verdict(_fault(f"cannot be read ({type(error).__name__}): write it in a simpler way", text))
        users = tuple(sorted({reading.names[number] for number in proof.anchors}))
        harmless = proof.changes == 0 and self._calls_known(text)
        return Verdict(None, users, reading.lists, reading.interpolated, proof.inserts, proof.changes, harmless)

    def _calls_known(self, text: str) -> bool:
        if self._functions == FUNCTIONS:
            return True
        try:
            read(text, FUNCTIONS)
        except Refused:
            return False
        return True


def _parse(reading: Reading) -> Any:
    statements = sqlglot.parse(reading.text, dialect="postgres")
    if len(statements) != 1 or statements[0] is None:
        refuse("is not one statement: send one")
    return statements[0]


def _fault(why: str, text: str) -> str:
    line = " ".join(text.split())
    return f"the statement {why}. It is: {line[:_SHOWN]}{'...' * (len(line) > _SHOWN)}"
