"""A scope for tests that are no coroutines."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

from fastapi.testclient import TestClient
from sqlalchemy import Row

from todoservice.scope import Rows, Scope

Result = TypeVar("Result")


class TestScope:
    """A user's scope in a running app: its methods as plain functions, and `run` for what needs the scope itself."""

    __test__ = False

    def __init__(self, client: TestClient, user_id: UUID) -> None:
        """Open the user's door in the app of this client, which must be running."""
        self._portal = client.portal
        self._scope = Scope(client.app.state.data, user_id)  # type: ignore[attr-defined]

    @property
    def user_id(self) -> UUID:
        """The user whose rows these are."""
        return self._scope.user_id

    def run(self, work: Callable[[Scope], Awaitable[Result]]) -> Result:
        """Run a coroutine function that takes the scope, as a handler does, and return what it returns."""
        assert self._portal is not None, "the app is not running: use the fixture todoservice_client"
        return self._portal.call(work, self._scope)

    def one(self, statement: Any, /, **params: Any) -> Row[Any]:
        """Return the first row. Raises NotFound where there is none."""
        return self.run(lambda scope: scope.one(statement, **params))

    def first(self, statement: Any, /, **params: Any) -> Row[Any] | None:
        """Return the first row, or None."""
        return self.run(lambda scope: scope.first(statement, **params))

    def all(self, statement: Any, rows: Rows | None = None, /, **params: Any) -> Sequence[Row[Any]]:
        """Return all rows. `rows` are inserted, as by the scope's own `all`."""
        return self.run(lambda scope: scope.all(statement, rows, **params))

    def execute(self, statement: Any, rows: Rows | None = None, /, **params: Any) -> int:
        """Run the statement and return how many rows it selected or changed. `rows` as in `all`."""
        return self.run(lambda scope: scope.execute(statement, rows, **params))
