"""The statements that a test's requests sent, and the audit's refusals: a refused one fails the test."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, overload
from uuid import UUID

from fastapi import FastAPI

from todoservice.confinement import UnscopedStatement


@dataclass(frozen=True)
class Statement:
    """A statement as it was given to the driver."""

    text: str
    user_id: UUID
    refusal: str | None
    """Why the audit did not let it through, or None."""


class Statements(Sequence[Statement]):
    """The statements seen, in order."""

    def __init__(self) -> None:
        """Begin with none."""
        self._seen: list[Statement] = []
        self._allowed = False

    @overload
    def __getitem__(self, index: int) -> Statement: ...
    @overload
    def __getitem__(self, index: slice) -> list[Statement]: ...
    def __getitem__(self, index: int | slice) -> Statement | list[Statement]:
        """Return a statement, or several."""
        return self._seen[index]

    def __len__(self) -> int:
        """Count them."""
        return len(self._seen)

    def clear(self) -> None:
        """Forget those seen so far."""
        self._seen.clear()

    def allow_refusals(self) -> None:
        """Let the test go on where a statement is refused: it is the test's to look at."""
        self._allowed = True

    @property
    def refused(self) -> list[Statement]:
        """Those that the audit did not let through."""
        return [statement for statement in self._seen if statement.refusal is not None]

    @contextmanager
    def of(self, app: FastAPI) -> Iterator["Statements"]:
        """See the statements of an app during the block. Raises AssertionError at its end where one was refused."""
        audit = app.state.data.statements.audit
        check = audit.check

        def seen(text: str, parameters: Any, user_id: UUID) -> None:
            try:
                check(text, parameters, user_id)
            except UnscopedStatement as refusal:
                self._seen.append(Statement(text, user_id, str(refusal)))
                raise
            self._seen.append(Statement(text, user_id, None))

        audit.check = seen
        try:
            yield self
        finally:
            audit.check = check
        assert self._allowed or not self.refused, "\n".join(str(statement.refusal) for statement in self.refused)
