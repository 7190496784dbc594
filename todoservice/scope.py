"""One user's door to the database."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import Connection, CursorResult, Executable, Row, literal, select
from starlette.responses import Response

from todoservice.database.client import Database, Transaction
from todoservice.identity import USER_ID
from todoservice.models import SCHEMA
from todoservice.pagination import PageRequest, cursor
from todoservice.problems import NotFound
from todoservice.statements import Prepared, Statements, page_size

Result = TypeVar("Result")
JSON: Final = "application/json"


@dataclass(frozen=True)
class Data:
    """What the scopes of one app share."""

    database: Database
    statements: Statements
    statement_timeout: float
    """Seconds."""
    provision_users: bool


class Scope:
    """One user's door to the database: every statement sees and changes that user's rows, and no other's.

    A statement is one that the feature declared in its `Queries`, or one built in the handler, which costs its
    compilation each time. Its parameters are given by name. A query of another feature is named by text,
    `"todos.retrieve_todo"`: it sees this user's rows, as every statement does.

    Every method raises a Problem where the database refuses or fails: `Conflict` for a unique constraint,
    `InvalidRequest` for a value that a column does not take, `ServiceUnavailable` where it is out of reach; and
    `UnscopedStatement` for a statement that cannot be confined to the user, `UnknownQuery` for a name that no plugin
    of the app has declared, `TypeError` for wrong parameters.
    """

    def __init__(self, data: Data, user_id: UUID, *, status: int = 200) -> None:
        """Open the door for `user_id`. Handlers receive theirs as `CurrentScope`.

        `status` is that of the responses that the scope makes: in a handler, what its route declares.
        """
        self._data = data
        self._status = status
        self._user_id = UUID(str(user_id))

    def _guard(self, text: str, parameters: Any) -> None:
        self._data.statements.audit.check(text, parameters, self._user_id)

    @property
    def user_id(self) -> UUID:
        """The user whose rows these are."""
        return self._user_id

    async def one(self, statement: Any, /, **params: Any) -> Row[Any]:
        """Return the first row. Raises NotFound where there is none."""
        return _found(await self.first(statement, **params))

    async def first(self, statement: Any, /, **params: Any) -> Row[Any] | None:
        """Return the first row, or None."""
        return await self._run(statement, _rows, params, CursorResult.first)

    async def all(self, statement: Any, /, **params: Any) -> Sequence[Row[Any]]:
        """Return all rows."""
        return await self._run(statement, _rows, params, CursorResult.all)

    async def execute(self, statement: Any, /, **params: Any) -> int:
        """Run the statement and return how many rows it selected or changed."""
        return await self._run(statement, _rows, params, lambda result: result.rowcount)

    async def one_json(self, statement: Any, /, **params: Any) -> Response:
        """Return the first row as a response, its JSON made by PostgreSQL. Raises NotFound where there is none.

        An object of the columns: `id` first and `user_id` last, instants as RFC 3339 in UTC with six digits.
        """
        row = _found(await self._run(statement, _one_json, params, CursorResult.first))
        return Response(row[0], self._status, media_type=JSON)

    async def all_json(self, statement: Any, /, **params: Any) -> Response:
        """Return all rows as a response: an array of such objects as `one_json` makes."""
        row = await self._run(statement, _all_json, params, CursorResult.one)
        return Response(row[0], self._status, media_type=JSON)

    async def page_json(self, statement: Any, page: PageRequest, /, *, of: Any = None, **params: Any) -> Response:
        """Return a page of rows as a response, shaped as `Page`, with a `Link` to the next (RFC 8288).

        The statement is a declared one with the parameters `before` and `limit`, ordered by descending id. For a list
        that belongs to a row, `of` is the declared select of that row, which takes no other parameters than the list:
        raises NotFound where it selects none, all in one statement.
        """
        name = self._data.statements.declared_name(statement)
        params |= {"before": page.before(name), "limit": page.limit + 1}
        shape = _page_json if of is None else self._page_json_of(of)
        row: Any = _found(await self._run(statement, shape, params, CursorResult.first, **page_size(page.limit)))
        items, total, last = row
        following = cursor(name, last) if total > page.limit else None
        body = f'{{"items":[{items}],"count":{min(total, page.limit)},"next_cursor":{json.dumps(following)}}}'
        return Response(
            body, self._status, media_type=JSON, headers={"Link": page.link(following)} if following else None
        )

    def _page_json_of(self, parent: Any) -> Callable[[Prepared], Executable]:
        self._data.statements.declared_name(parent)
        return lambda prepared: prepared.page_json_of(self._data.statements.prepared(parent))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Make the statements of the block one transaction: committed at its end, rolled back where it raises."""
        if self._transaction() is not None:
            msg = "this scope is in a transaction already: use one block for all its statements"
            raise RuntimeError(msg)
        async with self._data.database.transaction(self._prefix(inserts=True), self._guard) as transaction:
            token = _open.set((self, transaction))
            try:
                yield
            finally:
                _open.reset(token)

    def _transaction(self) -> Transaction | None:
        """Return the transaction whose block this is called in: another task of the scope's is in none."""
        scope, transaction = _open.get()
        return transaction if scope is self else None

    async def _run(
        self,
        statement: Any,
        shape: Callable[[Prepared], Executable],
        params: dict[str, Any],
        fetch: Callable[[CursorResult[Any]], Result],
        **extra: object,
    ) -> Result:
        prepared = self._data.statements.prepared(statement)
        executable = shape(prepared)
        values = prepared.parameters(self._user_id, params) | extra

        def work(connection: Connection) -> Result:
            return fetch(connection.execute(executable, values))

        transaction = self._transaction()
        if transaction is not None:
            return await transaction.run(work)
        return await self._data.database.run(self._prefix(inserts=prepared.inserts), work, self._guard)

    def _prefix(self, *, inserts: bool) -> str:
        """Return what travels before a statement, in its message and its transaction: the user and the time limit."""
        milliseconds = int(self._data.statement_timeout * 1000)
        settings = (
            f"SELECT set_config('{SCHEMA}.user_id','{self._user_id}',true),"
            f"set_config('statement_timeout','{milliseconds}',true);"
        )
        if not self._data.provision_users:
            return f"{settings}SELECT {SCHEMA}.require_user('{self._user_id}');"
        if inserts:
            return f"{settings}INSERT INTO {SCHEMA}.users(id) VALUES('{self._user_id}') ON CONFLICT DO NOTHING;"
        return settings


_open: ContextVar[tuple[Scope | None, Transaction | None]] = ContextVar("open", default=(None, None))


async def admit(data: Data, user_id: UUID) -> None:
    """Raise UnknownUser for a user who is not in `users`, where adding is off. Else this asks nobody."""
    if not data.provision_users:
        await Scope(data, user_id).execute(_NOTHING)


_NOTHING: Final = select(literal(1))


def _found(row: Row[Any] | None) -> Row[Any]:
    if row is None:
        raise NotFound
    return row


def _rows(prepared: Prepared) -> Executable:
    return prepared.rows


def _one_json(prepared: Prepared) -> Executable:
    return prepared.one_json


def _all_json(prepared: Prepared) -> Executable:
    return prepared.all_json


def _page_json(prepared: Prepared) -> Executable:
    return prepared.page_json


async def _current_scope(request: Request) -> Scope:
    """Return the scope of the user whom the identity provider found: it is asked before every handler of a feature."""
    if USER_ID not in request.scope:
        raise request.app.state.host.provider.problems[0]
    return Scope(request.app.state.data, request.scope[USER_ID], status=request.scope["route"].status_code or 200)


CurrentScope = Annotated[Scope, Depends(_current_scope)]
"""The dependency that gives a handler its scope: `async def handler(scope: CurrentScope)`."""
