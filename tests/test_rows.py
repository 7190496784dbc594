"""A list of rows is inserted by one statement, all or none, each as a single one would be."""

import asyncio
import datetime as dt
import enum
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from asking import lend
from fastapi import FastAPI
from playing import Play
from sqlalchemy import event, make_url
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.exc import StatementError
from sqlmodel import Field, col
from todoservice_todos.models import Todo
from todoservice_todos.queries import TodoQueries

from todoservice import Conflict, InvalidRequest, Owned, Queries, Scope, UnscopedStatement, param, uuid7, uuid7_time
from todoservice.database.dialect import AsyncPsycopg2Dialect
from todoservice.database.lease import Lease
from todoservice.rows import PER_MESSAGE
from todoservice.shapes import Shape
from todoservice.statements import Statements

TITLES: list[dict[str, Any]] = [
    {"title": "a"},
    {"title": "b", "description": "B"},
    {"title": "c", "is_completed": True},
]


def numbered(count: int) -> list[dict[str, Any]]:
    """Return this many rows."""
    return [{"title": f"todo {number}"} for number in range(count)]


def test_rows_are_inserted_in_order(play: Play) -> None:
    """Each gets its id and its defaults, and the scope's user; others have none of them."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        made = await mine.all(TodoQueries.create_todo, TITLES)
        assert [(row.title, row.description, row.is_completed) for row in made] == [
            ("a", None, False),
            ("b", "B", False),
            ("c", None, True),
        ]
        assert [row.id for row in made] == sorted({row.id for row in made})
        assert all(row.created_at == uuid7_time(row.id) and row.user_id == mine.user_id for row in made)
        assert await mine.all(sa.select(Todo).order_by(col(Todo.id))) == made
        assert await theirs.all(sa.select(Todo)) == []

    play(scenario)


def test_rows_are_counted(play: Play) -> None:
    """With and without RETURNING, and of an insert built in a handler."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        assert await mine.execute(TodoQueries.create_todo, TITLES) == 3
        assert await mine.execute(sa.insert(Todo), (row for row in TITLES)) == 3
        assert await mine.execute(sa.insert(Todo).values(title="same"), [{}, {"description": "x"}]) == 2
        counted = await mine.all(sa.select(col(Todo.title), sa.func.count()).group_by(col(Todo.title)))
        assert {tuple(row) for row in counted} == {("a", 2), ("b", 2), ("c", 2), ("same", 2)}

    play(scenario)


def test_rows_are_answered_as_json(play: Play) -> None:
    """As a list of them is: the same bytes."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        made = await mine.all_json(TodoQueries.create_todo, TITLES)
        assert made.body == (await mine.all_json(sa.select(Todo).order_by(col(Todo.id)))).body

    play(scenario)


def test_no_rows_send_nothing(app: FastAPI, user: UUID) -> None:
    """Not even where the database is not open."""
    scope = Scope(app.state.data, user)

    async def main() -> None:
        assert await scope.all(TodoQueries.create_todo, []) == []
        assert await scope.execute(TodoQueries.create_todo, []) == 0
        assert (await scope.all_json(TodoQueries.create_todo, [])).body == b"[]"

    asyncio.run(main())


@pytest.fixture
def texts(app: FastAPI) -> list[str]:
    """Return what the app sends from now on, as the audit gets it."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, text: str, *_: object) -> None:
        sent.append(text)

    event.listen(app.state.data.database.pool.engine.sync_engine, "before_cursor_execute", note)
    return sent


def test_any_number_of_rows_is_one_text(play: Play, texts: list[str]) -> None:
    """And one message while they fit: the audit knows the text from the start."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        del texts[:]
        for count in (1, 2, PER_MESSAGE):
            await mine.execute(TodoQueries.create_todo, numbered(count))
        assert len(texts) == 3
        assert len(set(texts)) == 1

    play(scenario)


def test_many_rows_are_one_transaction(play: Play, texts: list[str]) -> None:
    """In several messages, and in order: as rows, counted, and as JSON."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        del texts[:]
        made = await mine.all(TodoQueries.create_todo, numbered(2 * PER_MESSAGE + 1))
        assert [row.title for row in made] == [row["title"] for row in numbered(2 * PER_MESSAGE + 1)]
        assert len(texts) == 3
        assert await mine.execute(TodoQueries.create_todo, numbered(PER_MESSAGE + 1)) == PER_MESSAGE + 1
        body = json.loads(bytes((await mine.all_json(TodoQueries.create_todo, numbered(PER_MESSAGE + 1))).body))
        assert [todo["title"] for todo in body] == [row["title"] for row in numbered(PER_MESSAGE + 1)]

    play(scenario)


@pytest.mark.parametrize("count", [3, PER_MESSAGE + 2])
def test_one_bad_row_undoes_all(play: Play, count: int) -> None:
    """In one message and in several."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        with pytest.raises(InvalidRequest):
            await mine.all(TodoQueries.create_todo, [*numbered(count - 1), {"title": "x" * 256}])
        same = uuid7()
        with pytest.raises(Conflict):
            twice = [{"title": "a", "id": same}, *numbered(count), {"title": "b", "id": same}]
            await mine.all(TodoQueries.create_todo, twice)
        assert await mine.all(sa.select(Todo)) == []

    play(scenario)


def test_a_text_is_not_cut_short(play: Play) -> None:
    """A title that is too long is refused, as in a single row, and not stored in part."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        with pytest.raises(InvalidRequest):
            await mine.all(TodoQueries.create_todo, [{"title": "x" * 300}])

    play(scenario)


def test_rows_join_the_transaction_around(play: Play) -> None:
    """And are undone with it."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        with pytest.raises(RuntimeError, match="oops"):
            async with mine.transaction():
                await mine.one(TodoQueries.create_todo, title="a")
                await mine.execute(TodoQueries.create_todo, numbered(PER_MESSAGE + 1))
                raise RuntimeError("oops")
        assert await mine.all(sa.select(Todo)) == []

    play(scenario)


def test_an_id_of_another_users_row_is_free_in_a_list(play: Play) -> None:
    """As in a single row: nothing is learnt, and nothing changed."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        made = await theirs.one(TodoQueries.create_todo, title="theirs")
        await mine.all(TodoQueries.create_todo, [{"title": "mine", "id": made.id}])
        assert await theirs.all(sa.select(Todo)) == [made]

    play(scenario)


def test_an_upsert_of_rows(play: Play) -> None:
    """What was kept out is named `excluded`."""
    insert = pg.insert(Todo)
    upsert = insert.on_conflict_do_update(
        index_elements=["user_id", "id"], set_={"title": insert.excluded.title}
    ).returning(col(Todo.title))

    async def scenario(mine: Scope, theirs: Scope) -> None:
        made = await mine.one(TodoQueries.create_todo, title="old")
        other = await theirs.one(TodoQueries.create_todo, title="theirs")
        rows = [{"id": made.id, "title": "new"}, {"id": other.id, "title": "mine"}]
        assert [row.title for row in await mine.all(upsert, rows)] == ["new", "mine"]
        assert (await theirs.one(sa.select(Todo))).title == "theirs"

    play(scenario)


TYPED = sa.text("upper(:other)").bindparams(sa.bindparam("other", type_=sa.Text))


def test_rows_with_values_computed_of_parameters(play: Play) -> None:
    """Each row's own; also in text, and where a call may leave one out."""
    statement = (
        sa.insert(Todo)
        .values(title=sa.func.lower(param("word", sa.Text)), description=TYPED)
        .returning(col(Todo.title), col(Todo.description))
    )

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        made: Any = await mine.all(statement, [{"word": "A", "other": "x"}, {"word": "B", "other": None}])
        assert made == [("a", "X"), ("b", None)]
        kept = sa.insert(Todo).values(title=param("title", else_=sa.literal("none"))).returning(col(Todo.title))
        assert [row.title for row in await mine.all(kept, [{"title": "a"}, {}])] == ["a", "none"]

    play(scenario)


class Some(enum.StrEnum):
    A = "a"


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "the user": (sa.insert(Todo), [{"title": "a", "me": uuid7()}], "row 0: .* has no parameter me"),
    "unknown": (
        TodoQueries.create_todo,
        [{"title": "a", "colour": "red"}],
        "row 0: .* has no parameter colour",
    ),
    "missing": (
        TodoQueries.create_todo,
        [*numbered(PER_MESSAGE), {"description": "x"}],
        rf"row {PER_MESSAGE}: todos\.create_todo needs title: its parameters are ",
    ),
    "no mapping": (TodoQueries.create_todo, [("a",)], "row 0 is a tuple: give a mapping of parameters"),
    "one row": (TodoQueries.create_todo, {"title": "a"}, r"a list of rows is given as scope\.all\(statement, "),
    "update": (TodoQueries.update_todo, [{"id": uuid7()}], "takes no list of rows, .* with = ANY of one parameter"),
    "delete": (TodoQueries.delete_todo, [{"id": uuid7()}], "takes no list of rows, .* with = ANY of one parameter"),
    "select": (sa.select(Todo), [{}], "takes no list of rows"),
    "text": (sa.text("SELECT 1"), [{}], "takes no list of rows"),
    "insert from select": (
        sa.insert(Todo).from_select(
            ["user_id", "id", "title"], sa.select(col(Todo.user_id), sa.func.gen_random_uuid(), col(Todo.title))
        ),
        [{}],
        "takes no list of rows",
    ),
    "a parameter without a type": (
        sa.insert(Todo).values(title=sa.func.lower(param("word"))),
        [{"word": "A"}],
        r"since word has no type: write param\(name, type\)",
    ),
    "a parameter elsewhere": (
        pg.insert(Todo).on_conflict_do_update(index_elements=["user_id", "id"], set_={"title": param("other")}),
        [{"title": "a", "other": "b"}],
        "takes other besides its values, which a list cannot give: name excluded there",
    ),
}


@pytest.mark.parametrize(("statement", "rows", "why"), REFUSED.values(), ids=REFUSED)
def test_rows_that_do_not_fit_are_refused(play: Play, statement: Any, rows: Any, why: str) -> None:
    """Before anything is sent."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        for insert in (mine.all, mine.execute):
            with pytest.raises(TypeError, match=why):
                await insert(statement, rows)
        assert await mine.all(sa.select(Todo)) == []

    play(scenario)


def test_parameters_beside_rows_are_refused(play: Play) -> None:
    """They would be every row's, and no one's."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        with pytest.raises(TypeError, match="with all parameters in each row"):
            await mine.all(TodoQueries.create_todo, [{"title": "a"}], description="x")

    play(scenario)


class Wide(Owned, table=True):
    """A column of each type that a list can have."""

    __tablename__ = "wides"

    number: int = Field(sa_type=sa.BigInteger)
    money: Decimal | None = Field(sa_type=sa.Numeric(10, 2))
    ratio: float | None
    double: float | None = Field(sa_type=pg.DOUBLE_PRECISION)
    flag: bool | None
    day: dt.date | None
    clock: dt.time | None
    instant: dt.datetime | None = Field(sa_type=sa.DateTime(timezone=True))
    local: dt.datetime | None = Field(sa_type=sa.DateTime)
    span: dt.timedelta | None
    raw: bytes | None
    other: UUID | None
    code: str | None = Field(sa_type=sa.CHAR(3))
    text: str | None = Field(max_length=20)
    kind: Some | None = Field(sa_type=sa.Enum(Some, native_enum=False))
    data: Any = Field(sa_type=pg.JSONB, nullable=True)
    plain: Any = Field(sa_type=sa.JSON(none_as_null=True), nullable=True)
    days: Any = Field(sa_type=pg.DATERANGE, nullable=True)
    numbers: Any = Field(sa_type=pg.INT8RANGE, nullable=True)


FULL: dict[str, Any] = {
    "number": 2**62,
    "money": Decimal("1.25"),
    "ratio": 0.1,
    "double": 1e300,
    "flag": True,
    "day": dt.date(2026, 1, 2),
    "clock": dt.time(1, 2, 3),
    "instant": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    "local": dt.datetime(2026, 1, 2),  # noqa: DTZ001 - a column without time zone
    "span": dt.timedelta(days=1, seconds=2),
    "raw": b"\0\xff'",
    "other": uuid7(),
    "code": "abc",
    "text": "a'\\\"{},ü%(x)s",
    "kind": Some.A,
    "data": {"a": [1, None, "'{}"]},
    "plain": [1],
    "days": pg.Range(dt.date(2026, 1, 1), dt.date(2026, 2, 1)),
    "numbers": pg.Range(1, None),
}
EMPTY: dict[str, Any] = dict.fromkeys(FULL) | {"number": 0}


@pytest.fixture
def connection(fresh_url: str) -> Iterator[sa.Connection]:
    """Return the owner's connection to a database that has the table."""
    plain = sa.create_engine(make_url(fresh_url).set(drivername="postgresql+psycopg2"))
    with plain.connect() as connection:
        Wide.__table__.create(connection)  # type: ignore[attr-defined]
        yield connection
    plain.dispose()


def test_every_type_is_stored_as_in_a_single_row(connection: sa.Connection, user: UUID) -> None:
    """NULLs among them; and the audit accepts text and values."""
    statements = Statements([Wide], AsyncPsycopg2Dialect())
    prepared = statements.prepared(sa.insert(Wide).returning(Wide))
    rows = [FULL, EMPTY, FULL]
    connection.execute(sa.text("INSERT INTO todoservice.users (id) VALUES (:id)"), {"id": user})

    def check(_connection: object, _cursor: object, text: str, parameters: Any, *_: object) -> None:
        statements.audit.check(text, parameters, user)

    event.listen(connection, "before_cursor_execute", check)
    singly = [connection.execute(prepared.rows, prepared.parameters(user, row)).one() for row in rows]
    listed = connection.execute(prepared.many.rows, prepared.row_parameters(user, rows)).all()
    nulls = connection.execute(prepared.many.rows, prepared.row_parameters(user, [EMPTY])).all()
    assert [row[2:] for row in listed] == [row[2:] for row in singly]
    assert nulls[0][2:] == singly[1][2:]
    assert listed[0].text == FULL["text"]


class Declared(Queries):
    """What is sent as a message of the driver's own."""

    store = sa.insert(Wide).returning(Wide)


@pytest.fixture
def declared() -> Statements:
    """Return the statements of an app that has declared one."""
    statements = Statements([Wide], AsyncPsycopg2Dialect())
    assert statements.declare("wides", Declared) == []
    return statements


@pytest.mark.parametrize("row", [FULL, EMPTY], ids=["full", "empty"])
def test_every_type_is_sent_as_sqlalchemy_sends_it(
    connection: sa.Connection, fresh_url: str, declared: Statements, user: UUID, row: dict[str, Any]
) -> None:
    """By a declared query answered as JSON; what reads the row back is sent no value that it does not name."""
    connection.execute(sa.text("INSERT INTO todoservice.users (id) VALUES (:id)"), {"id": user})
    connection.commit()
    [prepared] = declared.declared
    assert prepared.done is not None
    values, others = (prepared.parameters(user, row) for _ in range(2))
    stored, again = prepared.json(Shape.ONE), prepared.done.json(Shape.ONE)
    read_back = prepared.done.rows

    async def send(lease: Lease) -> None:
        [made] = (await stored.execute(lease, values)).fetchone()
        assert (await again.execute(lease, values)).fetchone() == (made,)
        by_message = (await lease.execute(read_back, values)).one()
        by_sqlalchemy = (await lease.execute(prepared.rows, others)).one()
        assert by_message[2:] == by_sqlalchemy[2:]

    lend(fresh_url, lambda text, given: declared.audit.check(text, given, user), send)


def test_a_value_of_no_use_is_told_with_its_statement(
    connection: sa.Connection, fresh_url: str, declared: Statements, user: UUID
) -> None:
    """As SQLAlchemy tells of it: the log then has the statement."""
    connection.commit()
    [prepared] = declared.declared
    stored = prepared.json(Shape.ONE)

    async def send(lease: Lease) -> None:
        told = r"(?s)not among the defined enum values.*INSERT INTO todoservice.wides"
        with pytest.raises(StatementError, match=told):
            await stored.execute(lease, prepared.parameters(user, FULL | {"kind": 7}))

    lend(fresh_url, lambda *_: None, send)


def test_json_null_is_told_from_null(connection: sa.Connection, user: UUID) -> None:
    """By the column's type, as in a single row."""
    prepared = Statements([Wide], AsyncPsycopg2Dialect()).prepared(sa.insert(Wide).returning(Wide))
    connection.execute(sa.text("INSERT INTO todoservice.users (id) VALUES (:id)"), {"id": user})
    connection.execute(prepared.many.rows, prepared.row_parameters(user, [EMPTY]))
    null = sa.text("SELECT CAST(data AS TEXT), CAST(plain AS TEXT) FROM todoservice.wides")
    assert connection.execute(null).all() == [("null", None)]


class Odd(Owned, table=True):
    """Types that no array has as items."""

    __tablename__ = "odds"

    words: list[str] | None = Field(default=None, sa_type=pg.ARRAY(sa.Text))
    kind: Some | None = Field(default=None, sa_type=sa.Enum(Some))


@pytest.mark.parametrize("column", ["words", "kind"])
def test_a_type_that_is_no_item_of_an_array_is_refused(column: str) -> None:
    """It is named, with what to do; a single row of it can still be declared."""

    class OddQueries(Queries):
        create = sa.insert(Odd)

    statements = Statements([Odd], AsyncPsycopg2Dialect())
    statements.declare("odds", OddQueries)
    other = {"words": "kind", "kind": "words"}[column]
    insert = sa.insert(Odd).values({other: None})
    with pytest.raises(TypeError, match=rf"takes no list of rows, since {column} is .*: insert each row, in one scope"):
        str(statements.prepared(insert).many)
    with pytest.raises(UnscopedStatement, match=r"takes no list of rows, since words is .*: insert each row, in"):
        statements.prepared(sa.insert(Odd).values([{}, {}]))
