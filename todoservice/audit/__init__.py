"""The audit: the proof that a statement filters by its user. The third of the five layers."""

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa
from sqlglot.errors import SqlglotError

from todoservice.audit.parser import parse
from todoservice.audit.proof import Proof
from todoservice.audit.reading import Limits, Refused, behind_with, read
from todoservice.audit.verdicts import Verdict, Verdicts
from todoservice.audit.words import FUNCTIONS
from todoservice.confinement import UnscopedStatement
from todoservice.models import SCHEMA
from todoservice.shapes import Columns, Shape, apart, around

__all__ = ["Audit", "Limits", "Verdict"]

_AROUND_TOKENS: Final = 80
"""More tokens than what asks for JSON adds to a text, besides its columns."""
_AROUND_DEPTH: Final = 4
"""More levels of nesting than that adds."""
_COLUMN_TOKENS: Final = 20
"""More tokens than that adds for a column."""
_SHOWN: Final = 200


class Audit:
    """Proves each statement of an app, once for each distinct text, and compares the bound user every time."""

    def __init__(
        self,
        owned: Iterable[sa.Table],
        shared: Iterable[sa.Table],
        functions: Iterable[str] = (),
        limits: Limits | None = None,
    ) -> None:
        """Take all tables of the app, and the functions that statements may call besides the built-in ones."""
        self._owned = {table.name: table for table in owned}
        self._shared = {table.name: table for table in shared}
        self._functions = FUNCTIONS | {name.lower() for name in functions}
        self._limits = limits or Limits()
        self.verdicts = Verdicts()

    def verdict(self, text: str) -> Verdict:
        """Return what the audit finds of a text as psycopg2 gets it, with `%(name)s` for each parameter.

        It depends on the text and the limits alone. An accident, such as a RecursionError that comes of the caller's
        stack, is raised and not kept.
        """
        return self.verdicts.get(text) or self._first_verdict(text)

    def _first_verdict(self, text: str) -> Verdict:
        try:
            self._limits.check_characters(text)
        except Refused as error:
            return Verdict(_fault(str(error), text))
        return self.verdicts.keep(text, self.prove(text))

    def declare(self, text: str) -> Verdict:
        """Return the verdict of a declared statement, and keep it for as long as the app lives."""
        verdict = self.verdict(text)
        self.verdicts.pin(text, verdict)
        return verdict

    def answer(self, columns: Columns, shape: Shape, text: str, parent: str = "") -> str:
        """Return the text that answers with the rows of `text` as JSON; as a page, with none where `parent` has none.

        The parameters of `parent` are named apart in it. It is proven where these two are, and needs no proof of its
        own: each is a common table expression, which PostgreSQL reads as it does the statement alone, and what stands
        around them holds no parameter and reads nothing but what they return.
        Raises UnscopedStatement where one of the two is refused, and where the whole could be over a limit.
        """
        verdict = self._proven(text)
        if parent:
            verdict = verdict.beside(self._proven(parent))
        verdict = verdict.within(_AROUND_TOKENS + _COLUMN_TOKENS * len(columns.each), _AROUND_DEPTH)
        at = behind_with(text)
        answer = around(text[:at], text[at:], columns, shape, apart(parent))
        try:
            self._limits.check(answer, verdict.tokens, verdict.depth)
        except Refused as error:
            raise UnscopedStatement(_fault(f"{error}, for its answer as JSON", text)) from None
        self.verdicts.keep(answer, verdict)
        if self.verdicts.is_pinned(text) and (not parent or self.verdicts.is_pinned(parent)):
            self.verdicts.pin(answer, verdict)
        return answer

    def _proven(self, text: str) -> Verdict:
        if type(text) is not str:
            msg = f"a {type(text).__name__} cannot be audited: send the statement as a str"
            raise UnscopedStatement(msg)
        verdict = self.verdict(text)
        if verdict.fault is not None:
            raise UnscopedStatement(verdict.fault)
        return verdict

    def check(self, text: str, parameters: Mapping[str, Any] | None, user_id: UUID) -> None:
        """Raise UnscopedStatement unless the statement is proven and its parameters for the user are this user.

        `parameters` are those that psycopg2 receives: a dictionary of values that `database.values` has rebuilt, or
        None if nothing is interpolated.
        """
        verdict = self._proven(text)
        if parameters is None:
            if verdict.interpolated:
                raise UnscopedStatement(_fault("has no parameters: give a dictionary of them", text))
            return
        self._check_parameters(text, verdict, parameters, user_id)

    def _check_parameters(self, text: str, verdict: Verdict, parameters: Mapping[str, Any], user_id: UUID) -> None:
        if type(parameters) is not dict:
            raise UnscopedStatement(_fault("has no plain dictionary of parameters: bind values by name", text))
        for name in verdict.users:
            value = parameters.get(name)
            if type(value) is not UUID or type(value.int) is not int or value.int != user_id.int:
                why = f"has another value than the scope's user in its parameter {name}: bind scope.user_id, a UUID"
                raise UnscopedStatement(_fault(why, text))
        for name, value in parameters.items():
            if type(name) is not str:
                raise UnscopedStatement(_fault("has a parameter whose name is no plain str: bind values by name", text))
            if type(value) is tuple and name not in verdict.lists:
                why = f"binds a tuple to {name}, which is a list of values: write IN before it, or bind a list"
                raise UnscopedStatement(_fault(why, text))

    def prove(self, text: str) -> Verdict:
        """Return the verdict of a text, whether one is kept or not. Raises UnscopedStatement for an accident."""
        try:
            reading = read(text, self._functions, self._limits)
            proof = Proof(self._owned, self._shared, SCHEMA, self._functions)
            proof.check(parse(reading), reading)
        except Refused as error:
            return Verdict(_fault(str(error), text))
        except SqlglotError as error:
            return Verdict(_fault(f"cannot be read ({type(error).__name__}): write it in a simpler way", text))
        except (RecursionError, LookupError, TypeError, ValueError, AttributeError) as error:
            # It may come of the caller's stack: the statement is not sent, and no verdict is kept.
            why = f"could not be read ({type(error).__name__}): write it in a simpler way"
            raise UnscopedStatement(_fault(why, text)) from error
        users = tuple(sorted({reading.names[number] for number in proof.anchors}))
        return Verdict(
            None, users, reading.lists, reading.interpolated, proof.inserts, proof.changes,
            harmless=proof.changes == 0 and self._calls_known(text), returns=proof.returns,
            tokens=reading.tokens, depth=reading.depth,
        )  # fmt: skip

    def _calls_known(self, text: str) -> bool:
        if self._functions == FUNCTIONS:
            return True
        try:
            read(text, FUNCTIONS, self._limits)
        except Refused:
            return False
        return True


def _fault(why: str, text: str) -> str:
    line = " ".join(text[: 4 * _SHOWN].split())
    return f"the statement {why}. It is: {line[:_SHOWN]}{'...' * (len(line) > _SHOWN)}"
