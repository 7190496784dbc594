"""Each of the 88 ways to leak is real, and is stopped by the layers that the table names, each with the others off.

Two databases have the attacker's rows; the crowded one has a victim's too. An attempt leaks where the attacker's
answer is not the same in both, or where a row of the victim's is another afterwards. So counts, errors and the order of
rows are leaks too.
"""

import asyncio
import re
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psycopg2
import psycopg2.extensions
import psycopg2.extras
import pytest
import sqlalchemy as sa
from databases import ask, database, login_url, migrate
from leak_checks import statements
from leak_models import EMPTY, IDS, LOOSE_TABLES, ME, MODELS, OWNERS, SNAPSHOT, THEM, rows_of
from leaks import HEADINGS, LEAKS, Holds, Keys, Leak, Orm, Sql
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, ResourceClosedError, SAWarning

from todoservice import Problem, Scope, Settings, UnscopedStatement, create_app
from todoservice.audit import Audit, Verdict
from todoservice.database import security
from todoservice.migrations import transaction
from todoservice.models import metadata

DOCUMENT = Path(__file__).parents[2] / "docs" / "isolation.md"
ATTEMPTS = [
    pytest.param(attempt, id=f"{leak.number}-{number}")
    for leak in LEAKS
    for number, attempt in enumerate(leak.attempts)
    if not isinstance(attempt, Holds)
]
Outcome = tuple[Any, Any]

psycopg2.extensions.register_adapter(UUID, psycopg2.extras.UUID_adapter)


@dataclass(frozen=True)
class World:
    """A database with the attacker's rows, and perhaps the victim's."""

    url: str
    login: str
    has_victim: bool

    @property
    def app(self) -> str:
        """The name of the role that the service's has its grants from."""
        return f"{make_url(self.url).database}_app"

    @contextmanager
    def owner(self) -> Iterator[sa.Connection]:
        """Yield a superuser's connection; what it does is undone."""
        with transaction.connected(make_url(self.url)) as connection:
            yield connection

    def fill(self) -> None:
        """Put the rows in their first state."""
        ask(self.url, EMPTY, rows_of(ME, "mine", 1), *[rows_of(THEM, "theirs", 11)] * self.has_victim)

    def victims(self) -> list[Any]:
        """Return all that is the victim's."""
        return ask(self.url, SNAPSHOT)


def world(server_url: str, *, has_victim: bool) -> Iterator[World]:
    """Make a database of the kind."""
    with database(server_url) as url:
        migrate(url)
        login = login_url(url)
        with transaction.connected(make_url(url)) as connection:
            metadata.create_all(connection, [model.__table__ for model in MODELS])
            connection.exec_driver_sql(LOOSE_TABLES)
            security.apply(connection, OWNERS)
            connection.commit()
        yield World(url, login, has_victim)


@pytest.fixture(scope="module")
def quiet(server_url: str) -> Iterator[World]:
    """Return a database in which the attacker is alone."""
    yield from world(server_url, has_victim=False)


@pytest.fixture(scope="module")
def crowded(server_url: str) -> Iterator[World]:
    """Return a database in which there is a victim."""
    yield from world(server_url, has_victim=True)


@pytest.fixture(scope="module")
def audit() -> Audit:
    """Return the audit of the tests' feature and todos."""
    return statements().audit


@pytest.fixture
def as_me(crowded: World) -> Callable[[Callable[[Scope], Awaitable[Any]]], Any]:
    """Return what does something with the attacker's scope."""
    return lambda work: with_scope(crowded, ME, work)


@pytest.fixture
def as_them(crowded: World) -> Callable[[Callable[[Scope], Awaitable[Any]]], Any]:
    """Return what does something with the victim's scope."""
    return lambda work: with_scope(crowded, THEM, work)


def with_scope(where: World, user: Any, work: Callable[[Scope], Awaitable[Any]]) -> Any:
    """Do something with a user's scope, in an app of its own."""
    where.fill()
    app = create_app(Settings.load({"neon_database_url": where.login}), plugins=[])
    data = app.state.data
    object.__setattr__(data, "statements", statements())

    async def run() -> Any:
        async with app.router.lifespan_context(app):
            return await work(Scope(data, user))

    return asyncio.run(run())


# The layers, each alone


def answer(connection: Any, texts: tuple[str, ...]) -> Any:
    """Return what a driver's connection answers to the last of these, or to the first that fails."""
    with connection.cursor() as cursor:
        try:
            for text in texts:
                formatted = text.replace("{theirs}", str(THEM))
                cursor.execute(formatted, {n: v for n, v in IDS.items() if f"%({n})s" in formatted} or None)
            return cursor.fetchall() if cursor.description else cursor.rowcount
        except psycopg2.Error as error:
            return type(error).__name__, str(error)


def off(where: World, attempt: Any) -> Outcome:
    """With every layer off: as a superuser, without an audit or a scope."""
    where.fill()
    if isinstance(attempt, Orm):
        return executed(where, attempt.build(IDS))
    with closing(psycopg2.connect(where.url)) as connection:
        if attempt.planted:
            plant(connection, where, attempt)
        return answer(connection, attempt.statements), seen(connection)


def seen(connection: Any) -> Any:
    """Return all that is the victim's, as this transaction has left it."""
    with connection.cursor() as cursor:
        try:
            cursor.execute(SNAPSHOT)
        except psycopg2.errors.InFailedSqlTransaction:
            connection.rollback()
            cursor.execute(SNAPSHOT)
        return cursor.fetchall()


def plant(connection: Any, where: World, attempt: Sql) -> None:
    """Do to the database what its owner may have done."""
    with connection.cursor() as cursor:
        cursor.execute(attempt.planted.replace("{app}", where.app))


def executed(where: World, statement: Any, parameters: Any = None) -> Outcome:
    """Execute a statement of SQLAlchemy's as a superuser."""
    with where.owner() as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # what is tried joins all with all
        try:
            result = connection.execute(statement, parameters or {})
            answered: Any = result.all() if result.returns_rows else result.rowcount
        except DBAPIError as error:
            return (type(error.orig).__name__, str(error.orig)), where.victims()
        return [*answered] if isinstance(answered, list) else answered, [
            *map(tuple, connection.exec_driver_sql(SNAPSHOT))
        ]


def row_security(where: World, attempt: Any) -> Outcome:
    """With row-level security and the service's role only."""
    where.fill()
    setting = f"SELECT set_config('todoservice.user_id', '{ME}', true)"
    texts = (compiled(attempt)[0],) if isinstance(attempt, Orm) else attempt.statements
    if getattr(attempt, "planted", ""):
        with closing(psycopg2.connect(where.url)) as connection:
            plant(connection, where, attempt)
            answer(connection, (f'SET LOCAL SESSION AUTHORIZATION "{where.app.removesuffix("app")}login"', setting))
            answered = answer(connection, texts)
            answer(connection, ("RESET SESSION AUTHORIZATION",))
            return answered, seen(connection)
    with closing(psycopg2.connect(where.login)) as connection:
        answer(connection, (setting,))
        if isinstance(attempt, Orm):
            answered = answer_with(connection, *compiled(attempt))
        else:
            answered = answer(connection, texts)
        connection.commit()
    return answered, where.victims()


def compiled(attempt: Orm) -> tuple[str, Any]:
    """Return a statement as the driver gets it, without any scope."""
    made = attempt.build(IDS).compile(dialect=sa.create_engine("postgresql+psycopg2://").dialect)
    return str(made), made.params


def answer_with(connection: Any, text: str, parameters: Any) -> Any:
    """Return what a driver's connection answers to a statement with parameters."""
    with connection.cursor() as cursor:
        try:
            cursor.execute(text, parameters)
            return cursor.fetchall() if cursor.description else cursor.rowcount
        except psycopg2.Error as error:
            return type(error).__name__, str(error)


def is_stopped_by_audit(audit: Audit, attempt: Any) -> bool:
    """Say whether the audit refuses it, with the values that it has."""
    if isinstance(attempt, Orm):
        sent = [compiled(attempt)]
    else:
        texts = (
            (attempt.strict.format(strict="todoservice.boxes"),) if isinstance(attempt, Keys) else attempt.statements
        )
        texts = tuple(text.replace("{theirs}", str(THEM)) for text in texts)
        sent = [(text, {n: v for n, v in IDS.items() if f"%({n})s" in text}) for text in texts]
    try:
        for text, parameters in sent:
            audit.check(text, parameters, ME)
    except UnscopedStatement:
        return True
    return False


def scope_alone(where: World, attempt: Orm) -> Outcome | None:
    """Return the outcome with the scope only, as a superuser; None where the scope refuses the statement."""
    where.fill()
    confined = statements()
    confined.audit = SimpleNamespace(verdict=lambda _: Verdict(None))  # type: ignore[assignment]
    try:
        prepared = confined.prepared(attempt.build(IDS))
        values = prepared.parameters(ME, {})
    except UnscopedStatement:
        return None
    return executed(where, prepared.rows, values)


def keys(where: World, attempt: Keys, *, strict: bool) -> Outcome:
    """Return the outcome on one of the two kinds of tables, as a superuser."""
    where.fill()
    text = attempt.strict.format(strict="todoservice.boxes") if strict else attempt.loose.format(loose="public.loose")
    with closing(psycopg2.connect(where.url)) as connection:
        return answer(connection, (text,)), seen(connection)


def strict_keys(where: World, attempt: Keys) -> Outcome:
    """Return the outcome with the keys only."""
    return keys(where, attempt, strict=True)


# What is asked of them


def without_names(answered: Any) -> str:
    """Return an answer without the databases' own names, which errors quote."""
    return re.sub(r"test_[0-9a-f]{32}", "*", repr(answered))


def leaks(run: Callable[[World], Outcome | None], quiet: World, crowded: World) -> bool:
    """Say whether the attacker's answer tells of the victim, or the victim's rows have changed."""
    alone, beside = run(quiet), run(crowded)
    if alone is None or beside is None:
        return False
    crowded.fill()
    return without_names(alone[0]) != without_names(beside[0]) or alone[1] != [] or beside[1] != crowded.victims()


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_every_attempt_leaks_where_nothing_stops_it(attempt: Any, quiet: World, crowded: World) -> None:
    """So that what follows proves something."""
    if isinstance(attempt, Keys):
        assert leaks(lambda where: keys(where, attempt, strict=False), quiet, crowded)
    else:
        assert leaks(lambda where: off(where, attempt), quiet, crowded)


def layers_of(leak: Leak, audit: Audit, quiet: World, crowded: World) -> str:
    """Return the layers that stop every attempt they are asked about, by trying: S, A, R and F."""
    orm = [attempt for attempt in leak.attempts if isinstance(attempt, Orm)]
    sent = [attempt for attempt in leak.attempts if isinstance(attempt, Orm | Sql)]
    keyed = [attempt for attempt in leak.attempts if isinstance(attempt, Keys)]

    def stops(layer: Callable[[World, Any], Outcome | None], attempts: list[Any]) -> bool:
        return bool(attempts) and not any(leaks(lambda where, a=a: layer(where, a), quiet, crowded) for a in attempts)  # type: ignore[misc]

    stopped = {
        "S": stops(scope_alone, orm),
        "A": sent + keyed and all(is_stopped_by_audit(audit, attempt) for attempt in sent + keyed),
        "R": stops(row_security, sent),
        "F": stops(strict_keys, keyed),
    }
    return "".join(letter for letter, stops in stopped.items() if stops)


@pytest.mark.parametrize("leak", [leak for leak in LEAKS if leak.attempts], ids=lambda leak: str(leak.number))
def test_the_layers_that_the_table_names_stop_it(
    leak: Leak, audit: Audit, quiet: World, crowded: World, request: pytest.FixtureRequest
) -> None:
    """Each with the others off; and those that it does not name do not."""
    tried = layers_of(leak, audit, quiet, crowded)
    claimed = leak.layers
    held = [attempt for attempt in leak.attempts if isinstance(attempt, Holds)]
    for attempt in held:
        attempt.see(request.getfixturevalue)
    if len(held) < len(leak.attempts):
        assert set(tried) == set(claimed) - set("PC" if held else ""), f"{leak.title}: {tried}"


def sent_by_a_plugin(attempt: Any) -> list[Any]:
    """Return what a plugin gives its scope: the statement itself, or the text with the host's name for the user."""
    if isinstance(attempt, Orm):
        return [attempt.build(IDS)]
    texts = [text.replace("{theirs}", str(THEM)).replace("%(me)s", ":me") for text in attempt.statements]
    return [sa.text(re.sub(r"%\((\w+)\)s", r":\1", text).replace("%%", "%")) for text in texts]


async def all_or_count(scope: Scope, statement: Any, given: dict[str, Any]) -> Any:
    """Send a statement for its rows, or for their number if it returns none."""
    try:
        return await scope.all(statement, **given)
    except TypeError:  # it returns none, and was not sent
        return await scope.execute(statement, **given)


@pytest.mark.parametrize("attempt", [attempt for attempt in ATTEMPTS if not isinstance(attempt.values[0], Keys)])
def test_no_attempt_leaks_through_the_scope_of_a_running_app(attempt: Any, quiet: World, crowded: World) -> None:
    """All layers on, as in production: it is refused, or what it answers is of the user's own rows."""

    async def send(scope: Scope) -> Any:
        answered: Any = None
        try:
            async with scope.transaction():
                for statement in sent_by_a_plugin(attempt):
                    given = {n: v for n, v in IDS.items() if n != "me" and f":{n}" in str(statement)}
                    answered = await all_or_count(scope, statement, given)
        except (UnscopedStatement, Problem, ResourceClosedError) as error:
            return type(error).__name__
        return answered

    def run(where: World) -> Outcome:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # what is tried joins all with all
            return with_scope(where, ME, send), where.victims()

    assert not leaks(run, quiet, crowded)


def test_the_table_has_all_88() -> None:
    """Each once, in order."""
    assert [leak.number for leak in LEAKS] == list(range(1, 89))


def test_nothing_is_stopped_by_nothing() -> None:
    """Two layers or more; where it is one, or none, the table says why."""
    assert [leak.number for leak in LEAKS if len(leak.layers) < 2 and not leak.why] == []
    assert [leak.number for leak in LEAKS if not leak.layers] == [72]


def test_what_reads_or_changes_rows_by_a_statement_is_stopped_twice() -> None:
    """But for what the table explains: naming another user to PostgreSQL, MERGE, and the catalogue."""
    once = {
        leak.number for leak in LEAKS if len(leak.layers) < 2 and any(isinstance(a, Orm | Sql) for a in leak.attempts)
    }
    assert once == {27, 30, 33, 63}


def table() -> str:
    """Return the table of the document."""
    lines = []
    for heading, rows in HEADINGS.items():
        lines += [f"| | **{heading}** | | | | | | | |"]
        for leak in rows:
            marks = " | ".join("x" if letter in leak.layers else " " for letter in "PSARFC")
            lines.append(f"| {leak.number} | {leak.title} | {marks} | {leak.why} |")
    return "\n".join(lines)


def test_the_document_has_the_table() -> None:
    """As it is tested here: where this fails, put there what `table` returns."""
    assert table() in DOCUMENT.read_text()
