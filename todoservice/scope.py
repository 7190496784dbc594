"""One user's door to the database."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import CursorResult, Executable, Row, literal, select
from starlette.responses import Response

from todoservice.confinement import UnscopedStatement
from todoservice.database.client import Database, Transaction
from todoservice.database.lease import Lease
from todoservice.database.retries import Attempts
from todoservice.database.values import UnsupportedValue, plain_uuid
from todoservice.idempotence import Sendable, execute
from todoservice.identity import USER_ID
from todoservice.messages import Answer
from todoservice.models import SCHEMA
from todoservice.pagination import PageRequest, cursor, cut
from todoservice.plugins.dispatch import FEATURE
from todoservice.problems import NotFound, OutcomeUnknown, ServiceUnavailable
from todoservice.rows import PER_MESSAGE
from todoservice.shapes import Shape
from todoservice.statements import Prepared, Statements

Result = TypeVar("Result")
Refusal = TypeVar("Refusal", bound=UnscopedStatement | UnsupportedValue)
Rows = Iterable[Mapping[str, Any]]
"""Each row's parameters by name."""
JSON: Final = "application/json"


@dataclass(frozen=True)
class Data:
    """What the scopes of one app share."""

    database: Database
    statements: Statements
    statement_timeout: float
    """Seconds."""
    provision_users: bool
    request_budget: float
    """Seconds."""


class Scope:
    """One user's door to the database: every statement sees and changes that user's rows, and no other's.

    A statement is one that the feature declared in its `Queries`, or one built in the handler, which costs its
    compilation each time. Its parameters are given by name. A query of another feature is named by text,
    `"todos.retrieve_todo"`: it sees this user's rows, as every statement does.

    It may be `text()`, whole or in part, where it can be proven to be the user's: `user_id = :me` stands in it beside
    each owned table, named with its schema, and `:me` is bound to the user; every other `:name` is a parameter. The
    host adds nothing to text: an INSERT gives `user_id` as `:me`, and `id` and what has no default in the database as
    parameters (`uuid7()` makes an id). `text(...).columns(Todo.id, Todo.title)` can be answered as JSON too.

    Every method raises a Problem where the database refuses or fails: `Conflict` for a unique constraint,
    `InvalidRequest` for a value that a column does not take, `ServiceUnavailable` where it is out of reach, and
    `OutcomeUnknown` where a change was sent and never answered. They raise `UnscopedStatement` for a statement that
    cannot be confined to the user, `UnknownQuery` for a name that no plugin of the app has declared, `TypeError` for
    wrong parameters and for a value of a type that psycopg2 does not write as a literal by itself.
    """

    def __init__(self, data: Data, user_id: UUID, *, status: int = 200, feature: str = "") -> None:
        """Open the door for `user_id`. Handlers receive theirs as `CurrentScope`.

        `status` is that of the responses that the scope makes: in a handler, what its route declares. `feature` is the
        plugin, with its distribution, that a refusal names: in a handler, the one whose route runs.
        """
        self._data = data
        self._status = status
        self._feature = feature
        self._user_id = plain_uuid(user_id)
        self._user = str(self._user_id)
        self._deadline = 0.0

    def _guard(self, text: str, parameters: Any) -> None:
        self._data.statements.audit.check(text, parameters, self._user_id)

    @property
    def user_id(self) -> UUID:
        """The user whose rows these are."""
        # A copy: no caller can change the one that statements are checked against.
        return UUID(int=self._user_id.int)

    async def one(self, statement: Any, /, **params: Any) -> Row[Any]:
        """Return the first row. Raises NotFound where there is none."""
        return _found(await self.first(statement, **params))

    async def first(self, statement: Any, /, **params: Any) -> Row[Any] | None:
        """Return the first row, or None."""
        return await self._run(statement, _rows, params, CursorResult.first)

    async def all(self, statement: Any, rows: Rows | None = None, /, **params: Any) -> Sequence[Row[Any]]:
        """Return all rows.

        With `rows`, insert each of them, given as a mapping of the insert's parameters and filled as a single one is:
        all or none, by one statement, or by one transaction where they do not fit one message. What it returns is in
        their order. No rows: nothing is sent.
        """
        if rows is None:
            return await self._run(statement, _rows, params, CursorResult.all)
        return [row for page in await self._insert(statement, rows, _rows, params, CursorResult.all) for row in page]

    async def execute(self, statement: Any, rows: Rows | None = None, /, **params: Any) -> int:
        """Run the statement and return how many rows it selected or changed. `rows` are inserted as in `all`."""
        if rows is None:
            return await self._run(statement, _counted, params, _count)
        return sum(await self._insert(statement, rows, _counted, params, _count))

    async def one_json(self, statement: Any, /, **params: Any) -> Response:
        """Return the first row as a response, its JSON made by PostgreSQL. Raises NotFound where there is none.

        An object of the columns: `id` first and `user_id` last, instants as RFC 3339 in UTC with six digits.
        """
        row = _found(await self._run(statement, _one_json, params, _first))
        return Response(row[0], self._status, media_type=JSON)

    async def all_json(self, statement: Any, rows: Rows | None = None, /, **params: Any) -> Response:
        """Return all rows as a response: an array of such objects as `one_json` makes. `rows` as in `all`."""
        if rows is None:
            row = await self._run(statement, _all_json, params, _first)
            return Response(row[0], self._status, media_type=JSON)
        pages = await self._insert(statement, rows, _all_json, params, _first)
        objects = ",".join(filter(None, (page[0][1:-1] for page in pages)))
        return Response(f"[{objects}]", self._status, media_type=JSON)

    async def page_json(self, statement: Any, page: PageRequest, /, *, of: Any = None, **params: Any) -> Response:
        """Return a page of rows as a response, shaped as `Page`, with a `Link` to the next (RFC 8288).

        The statement is a declared one with the parameters `before` and `limit`, ordered by descending id. For a list
        that belongs to a row, `of` is the declared select of that row, which takes no other parameters than the list:
        raises NotFound where it selects none, all in one statement.
        """
        name = self._data.statements.declared_name(statement)
        params |= {"before": page.before(name), "limit": page.limit + 1}
        shape = _page_json if of is None else self._page_json_of(of)
        objects, count = _found(await self._run(statement, shape, params, _page))
        items, last = cut(objects, count, page.limit)
        following = None if last is None else cursor(name, last)
        members = (items, min(count, page.limit), json.dumps(following).encode())
        body = b'{"items":[%b],"count":%d,"next_cursor":%b}' % members
        return Response(
            body, self._status, media_type=JSON, headers={"Link": page.link(following)} if following else None
        )

    def _page_json_of(self, parent: Any) -> Callable[[Prepared], Sendable]:
        self._data.statements.declared_name(parent)
        return lambda prepared: prepared.page_of(self._data.statements.prepared(parent))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Make the statements of the block one transaction: committed at its end, rolled back where it raises.

        Python cannot run a block twice: where its connection is lost, it raises ServiceUnavailable, and nothing was
        changed; or, at its end, OutcomeUnknown. `run_transaction` can try again.
        """
        async with self._opened(self._attempts()):
            yield

    async def run_transaction(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do `work`, an async function, in one transaction, and return what it returns.

        It is done again as a whole, in another transaction, where the first one was lost or stood in another's way
        and has surely changed nothing. So it must not change anything but rows.
        """
        attempts = self._attempts()
        while True:
            try:
                async with self._opened(attempts):
                    return await work()
            except OutcomeUnknown:
                raise
            except ServiceUnavailable as problem:
                await attempts.again(problem)

    @asynccontextmanager
    async def _opened(self, attempts: Attempts) -> AsyncIterator[None]:
        if self._transaction() is not None:
            msg = "this scope is in a transaction already: use one block for all its statements"
            raise RuntimeError(msg)
        async with self._data.database.transaction(self._prefix(inserts=True), self._guard, attempts) as transaction:
            token = _open.set((self, transaction))
            try:
                yield
            finally:
                _open.reset(token)

    def _attempts(self, *, repeatable: bool = False, writes: bool = True) -> Attempts:
        """Return the tries that a unit of work has left: all work of a request has one budget.

        What goes on after it, as a background task does, gets another.
        """
        now = asyncio.get_running_loop().time()
        if self._deadline <= now:
            self._deadline = now + self._data.request_budget
        return Attempts(self._deadline, repeatable=repeatable, writes=writes)

    def _transaction(self) -> Transaction | None:
        """Return the transaction whose block this is called in: another task of the scope's is in none."""
        scope, transaction = _open.get()
        return transaction if scope is self else None

    async def _run(
        self,
        statement: Any,
        shape: Callable[[Prepared], Sendable],
        params: dict[str, Any],
        fetch: Callable[[Any], Result],
    ) -> Result:
        prepared = self._prepared(statement)
        try:
            values = prepared.parameters(self._user_id, params)
        except (UnscopedStatement, UnsupportedValue) as error:
            raise self._named(error, prepared.name) from error
        if shape is _rows:
            prepared.check_returns()
        return await self._send(prepared, shape, values, fetch)

    async def _insert(
        self,
        statement: Any,
        rows: Rows,
        shape: Callable[[Prepared], Sendable],
        params: dict[str, Any],
        fetch: Callable[[Any], Result],
    ) -> list[Result]:
        """Insert the rows, and return what was fetched of each message."""
        if params or isinstance(rows, Mapping):
            msg = "a list of rows is given as scope.all(statement, [{...}, ...]), with all parameters in each row"
            raise TypeError(msg)
        prepared, given = self._prepared(statement), list(rows)
        many = prepared.many
        starts = range(0, len(given), PER_MESSAGE)
        try:
            pages = [prepared.row_parameters(self._user_id, given[at : at + PER_MESSAGE], at) for at in starts]
        except (UnscopedStatement, UnsupportedValue) as error:
            raise self._named(error, prepared.name) from error
        if shape is _rows:
            many.check_returns()
        alone = len(pages) > 1 and self._transaction() is None
        async with self.transaction() if alone else nullcontext():
            return [await self._send(many, shape, page, fetch) for page in pages]

    def _prepared(self, statement: Any) -> Prepared:
        try:
            return self._data.statements.prepared(statement)
        except UnscopedStatement as error:
            raise self._named(error) from error

    async def _send(
        self,
        prepared: Prepared,
        shape: Callable[[Prepared], Sendable],
        values: dict[str, Any],
        fetch: Callable[[Any], Result],
    ) -> Result:
        executable = shape(prepared)
        done = shape(prepared.done) if prepared.done is not None else None
        attempts = self._attempts(repeatable=prepared.repeatable, writes=prepared.writes)

        async def work(lease: Lease) -> Result:
            return fetch(await execute(lease, executable, done, values, again=attempts.unanswered))

        try:
            transaction = self._transaction()
            if transaction is not None:
                return await transaction.run(work)
            return await self._data.database.run(self._prefix(inserts=prepared.inserts), work, self._guard, attempts)
        except (UnscopedStatement, UnsupportedValue) as error:
            raise self._named(error, prepared.name) from error

    def _named(self, refusal: Refusal, *names: str) -> Refusal:
        """Return a refusal with who is at fault before it: the plugin whose route runs, and the statement."""
        return type(refusal)(": ".join(filter(None, (self._feature, *names, str(refusal)))))

    def _prefix(self, *, inserts: bool) -> str:
        """Return what travels before a statement, in its message and its transaction: the user and the time limit."""
        milliseconds = int(self._data.statement_timeout * 1000)
        settings = (
            f"SELECT set_config('{SCHEMA}.user_id','{self._user}',true),"
            f"set_config('statement_timeout','{milliseconds}',true);"
        )
        if not self._data.provision_users:
            return f"{settings}SELECT {SCHEMA}.require_user('{self._user}');"
        if inserts:
            return f"{settings}INSERT INTO {SCHEMA}.users(id) VALUES('{self._user}') ON CONFLICT DO NOTHING;"
        return settings


_open: ContextVar[tuple[Scope | None, Transaction | None]] = ContextVar("open", default=(None, None))


async def admit(data: Data, user_id: UUID) -> None:
    """Raise UnknownUser for a user who is not in `users`, where adding is off. Else this asks nobody."""
    if not data.provision_users:
        await Scope(data, user_id).execute(_NOTHING)


_NOTHING: Final = select(literal(1))


def _found(row: Result | None) -> Result:
    if row is None:
        raise NotFound
    return row


def _first(answer: Answer) -> Any:
    return answer.fetchone()


def _page(answer: Answer) -> tuple[bytes, int] | None:
    """Return the objects and their number. Nothing keeps them as text: large copies cost more than what is done."""
    row = answer.fetchone()
    return None if row is None else (row[0].encode(), row[1])


def _count(answer: Answer) -> int:
    return answer.rowcount


def _rows(prepared: Prepared) -> Executable:
    return prepared.rows


def _counted(prepared: Prepared) -> Sendable:
    return prepared.sent


def _one_json(prepared: Prepared) -> Sendable:
    return prepared.json(Shape.ONE)


def _all_json(prepared: Prepared) -> Sendable:
    return prepared.json(Shape.ALL)


def _page_json(prepared: Prepared) -> Sendable:
    return prepared.json(Shape.PAGE)


async def _current_scope(request: Request) -> Scope:
    """Return the scope of the user whom the identity provider found: it is asked before every handler of a feature."""
    if USER_ID not in request.scope:
        raise request.app.state.host.provider.problems[0]
    status = request.scope["route"].status_code or 200
    return Scope(request.app.state.data, request.scope[USER_ID], status=status, feature=request.scope.get(FEATURE, ""))


CurrentScope = Annotated[Scope, Depends(_current_scope)]
"""The dependency that gives a handler its scope: `async def handler(scope: CurrentScope)`."""
