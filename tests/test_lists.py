"""A list of values is one array parameter, and means what SQLAlchemy's own IN means."""

import datetime as dt
import enum
import itertools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from databases import database
from fastapi import FastAPI
from playing import Play
from sqlalchemy import make_url
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import aliased
from sqlmodel import Field, col
from todoservice_todos.models import Todo
from todoservice_todos.queries import TodoQueries

from todoservice import InvalidRequest, Owned, Queries, Scope, param, uuid7
from todoservice.database.dialect import AsyncPsycopg2Dialect
from todoservice.database.lists import MOST_ITEMS, ListCompiler, count_items
from todoservice.statements import Statements


class Mood(enum.StrEnum):
    GOOD = "good"
    BAD = 'b"a\\d, {}'


def spelled(moods: Any) -> list[str]:
    """Return how they are stored."""
    return [mood.value for mood in moods]


class Upper(sa.types.TypeDecorator[str]):
    """Stores texts in upper case."""

    impl = sa.String(8)
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Any) -> str | None:
        return value and value.upper()


class Reversed(sa.types.TypeDecorator[str]):
    """Is bound by an expression of SQL."""

    impl = sa.String
    cache_ok = True

    def bind_expression(self, bindparam: sa.BindParameter[str]) -> sa.ColumnElement[str]:
        return sa.func.reverse(bindparam)


class Sample(Owned, table=True):
    """A column of each kind."""

    __tablename__ = "samples"

    small: int | None = Field(sa_type=sa.SmallInteger)
    number: int | None
    money: Decimal | None = Field(sa_type=sa.Numeric(10, 2))
    real: float | None = Field(sa_type=sa.REAL)
    ratio: float | None
    flag: bool | None
    day: dt.date | None
    instant: dt.datetime | None
    clock: dt.time | None = Field(sa_type=sa.Time)
    span: dt.timedelta | None
    raw: bytes | None
    other: UUID | None
    code: str | None = Field(sa_type=sa.CHAR(3))
    name: str | None = Field(max_length=4)
    soft: Mood | None = Field(sa_type=sa.Enum(Mood, native_enum=False, length=20, values_callable=spelled))
    mood: Mood | None = Field(sa_type=sa.Enum(Mood, name="mood", values_callable=spelled))
    loud: str | None = Field(sa_type=Upper)
    turned: str | None = Field(sa_type=Reversed)
    data: Any = Field(sa_type=pg.JSONB(none_as_null=True), nullable=True)
    words: Any = Field(sa_type=pg.ARRAY(sa.Text), nullable=True)
    days: Any = Field(sa_type=pg.DATERANGE, nullable=True)


TABLE: Any = Sample.__table__  # type: ignore[attr-defined]
ONE, TWO = uuid7(), uuid7()
NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)
VALUES: dict[str, list[Any]] = {
    "small": [1, 2, 2**40, "2", 1.0],
    "number": [1, 2, 2**40, "2", 2.0, Decimal(1)],
    "money": [1, Decimal("1.25"), Decimal("1.254"), 1.25],
    "real": [0.5, 0.25, 1],
    "ratio": [0.1, 0.5, 1, Decimal("0.5")],
    "flag": [True, False],
    "day": [dt.date(2026, 1, 2), dt.date(2026, 1, 3), dt.datetime(2026, 1, 2, 5)],  # noqa: DTZ001
    "instant": [NOON, NOON + dt.timedelta(microseconds=1)],
    "clock": [dt.time(1, 2, 3), dt.time(4)],
    "span": [dt.timedelta(days=1), dt.timedelta(seconds=2)],
    "raw": [b"\0\xff'", b""],
    "other": [ONE, TWO],
    "code": ["ab", "ab ", "abc", "abcd"],
    "name": ["a'b%", "a'b%(x)s", "", "null", "NULL", '{"'],
    "soft": [Mood.GOOD, Mood.BAD],
    "mood": [Mood.GOOD, Mood.BAD],
    "loud": ["a", "A", "b"],
    "turned": ["ab", "ba"],
    "data": [{"a": [1, None]}, [1]],
    "words": [["a", "b"], []],
    "days": [pg.Range(dt.date(2026, 1, 1), dt.date(2026, 2, 1))],
}
ROWS: list[dict[str, Any]] = [
    {"user_id": ONE, "id": uuid7(), **dict.fromkeys(VALUES)},
    {"user_id": ONE, "id": uuid7(), **{name: values[0] for name, values in VALUES.items()}},
    {"user_id": ONE, "id": uuid7(), **{name: values[1 % len(values)] for name, values in VALUES.items()}}
    | {"small": 2, "number": 2, "name": "", "code": "ab", "day": dt.date(2026, 1, 3)},
]

Engines = tuple[sa.Connection, sa.Connection]


@pytest.fixture(scope="module")
def engines(server_url: str) -> Iterator[Engines]:
    """Return connections that render lists as SQLAlchemy does, and as the service does, in a database with rows."""
    with database(server_url) as url:
        yield from rendering(make_url(url).set(drivername="postgresql+psycopg2"))


def rendering(url: sa.URL) -> Iterator[Engines]:
    """Make the rows, and connect."""
    theirs, ours = sa.create_engine(url), sa.create_engine(url)
    ours.dialect.statement_compiler = ListCompiler
    with theirs.connect() as plain:
        plain.exec_driver_sql("CREATE SCHEMA todoservice")
        plain.exec_driver_sql("CREATE TABLE todoservice.users (id uuid PRIMARY KEY)")
        TABLE.create(plain)
        plain.exec_driver_sql(f"INSERT INTO todoservice.users VALUES ('{ONE}')")
        plain.execute(sa.insert(TABLE), ROWS)
        plain.commit()
        with ours.connect() as other:
            yield plain, other
    theirs.dispose()
    ours.dispose()


def lists(values: list[Any]) -> list[list[Any]]:
    """Return lists of these values: none, each alone, two together, all, and the same with NULL."""
    found = [[], *[[value] for value in values], *map(list, itertools.permutations(values, 2)), values]
    return [*found, *[[*each, None] for each in found], [None, *values]]


def answers(engines: Engines, condition: sa.ColumnElement[Any]) -> list[Any]:
    """Return what a condition is for each row, by SQLAlchemy's form and by ours."""
    statement = sa.select(condition.label("it")).select_from(TABLE).order_by(TABLE.c.id)
    try:
        return [connection.execute(statement).scalars().all() for connection in engines]
    finally:
        for connection in engines:
            connection.rollback()


@pytest.mark.parametrize("name", VALUES)
def test_list_means_what_it_means_to_sqlalchemy(engines: Engines, name: str) -> None:
    """For IN and NOT IN, empty lists, NULLs in the list, and NULL on the left."""
    column, matched = TABLE.c[name], 0
    for values in lists(VALUES[name])[name == "turned" :]:  # SQLAlchemy's empty list of these is no SQL
        for condition in (column.in_(values), column.not_in(values), ~column.in_(values)):
            theirs, ours = answers(engines, condition)
            assert ours == theirs, (values, condition)
            matched += any(ours)
    assert matched


@pytest.mark.parametrize("names", [("other", "number"), ("name", "day"), ("mood", "other"), ("user_id", "id"),
    ("code", "number"), ("turned", "number"), ("words", "number")])  # fmt: skip
def test_list_of_rows_means_what_it_means_to_sqlalchemy(engines: Engines, names: tuple[str, ...]) -> None:
    """The same, with a column that keeps SQLAlchemy's form among them."""
    columns = [TABLE.c[name] for name in names]
    items = [[row[name] for row in ROWS] + VALUES.get(name, [TWO])[:2] for name in names]
    pairs = [*zip(*items, strict=True), *zip(items[0], reversed(items[1]), strict=True)]
    for pair in [[], *[[pair] for pair in pairs], pairs]:
        for condition in (sa.tuple_(*columns).in_(pair), sa.tuple_(*columns).not_in(pair)):
            theirs, ours = answers(engines, condition)
            assert ours == theirs, (pair, condition)


@pytest.mark.parametrize("name", [name for name in VALUES if name not in {"turned", "words"}])
def test_list_is_one_parameter(engines: Engines, name: str) -> None:
    """But for arrays, and for what is bound by an expression."""
    for negated, values in itertools.product((False, True), lists(VALUES[name])):
        condition = TABLE.c[name].not_in(values) if negated else TABLE.c[name].in_(values)
        compiled = condition.compile(dialect=engines[1].dialect)
        assert "POSTCOMPILE" not in str(compiled)
        assert len(compiled.params) == 1


def test_real_number_is_found_in_a_list(engines: Engines) -> None:
    """Alone as well: SQLAlchemy's form meets it only beside others."""
    table = sa.select(sa.literal(0.1).cast(sa.REAL).label("real")).subquery()
    for values in ([0.1], [0.1, 0.2]):
        assert engines[1].execute(sa.select(table).where(table.c.real.in_(values))).all()


def test_fraction_is_no_integer(engines: Engines) -> None:
    """It is rejected: a cast would round it to another number."""
    with pytest.raises(sa.exc.DataError, match="invalid input syntax for type bigint"):
        engines[1].execute(sa.select(TABLE.c.id).where(TABLE.c.number.in_([1, 1.5])))
    engines[1].rollback()


OTHER: Any = aliased(Todo)
IDS = param("ids")
CTE: Any = sa.select(Todo).where(col(Todo.id).in_(IDS)).cte("some")


def in_text(text: str, *names: str, **types: Any) -> Any:
    """Return a condition in text, of lists of these names."""
    given = [*names, *types]
    return sa.text(text).bindparams(*(sa.bindparam(name, expanding=True, type_=types.get(name)) for name in given))


PLACES: dict[str, tuple[Any, int]] = {
    "where": (sa.select(col(Todo.id)).where(col(Todo.id).in_(IDS)), 2),
    "not in": (sa.select(col(Todo.id)).where(col(Todo.id).not_in(IDS)), 1),
    "negated": (sa.select(col(Todo.id)).where(~col(Todo.id).in_(IDS)), 1),
    "common table expression": (sa.select(CTE.c.id), 2),
    "subquery": (sa.select(Todo).where(col(Todo.id).in_(sa.select(OTHER.id).where(OTHER.id.in_(IDS)))), 2),
    "exists": (sa.select(Todo).where(sa.exists().where(OTHER.id == Todo.id, OTHER.id.in_(IDS))), 2),
    "on": (sa.select(Todo).join(OTHER, sa.and_(OTHER.id == Todo.id, OTHER.id.in_(IDS))), 2),
    "outer join": (sa.select(Todo).outerjoin(OTHER, sa.and_(OTHER.id == Todo.id, OTHER.id.in_(IDS))), 3),
    "union": (sa.union_all(*[sa.select(col(Todo.id)).where(col(Todo.id).in_(IDS))] * 2), 4),
    "order": (sa.select(Todo).order_by(col(Todo.id).in_(IDS)), 3),
    "update": (sa.update(Todo).where(col(Todo.id).in_(IDS)).values(title="x"), 2),
    "set": (sa.update(Todo).values(is_completed=col(Todo.id).in_(IDS)), 3),
    "delete": (sa.delete(Todo).where(col(Todo.id).in_(IDS)), 2),
    "case": (sa.select(sa.case((col(Todo.id).in_(IDS), 1), else_=0)), 3),
    "rows": (sa.select(Todo).where(sa.tuple_(Todo.id, Todo.title).in_(param("rows"))), 2),
    "rows with the owner": (sa.select(Todo).where(sa.tuple_(Todo.user_id, Todo.id).in_(param("owned"))), 2),
    "rows, not in": (sa.select(Todo).where(sa.tuple_(Todo.id, Todo.title).not_in(param("rows"))), 1),
    "text": (sa.select(Todo).where(in_text("id IN :ids", "ids")), 2),
    "typed text": (sa.select(Todo).where(in_text("todos.id NOT IN  :ids", ids=sa.Uuid)), 1),
    "text of a function": (sa.select(Todo).where(in_text("coalesce(id, id) IN :ids", "ids")), 2),
    "text of parentheses": (sa.select(Todo).where(in_text("(id) in :ids", "ids")), 2),
    "text of typed rows": (
        sa.select(Todo).where(in_text("(id, title) IN :rows", rows=sa.types.TupleType(sa.Uuid, sa.Text))),
        2,
    ),
    "an array": (sa.select(Todo).where(col(Todo.id) == sa.any_(param("ids", sa.ARRAY(sa.Uuid)))), 2),
    "an alias": (sa.select(OTHER.id).where(OTHER.id.in_(IDS)), 2),
}


@pytest.mark.parametrize("place", PLACES)
def test_list_may_stand_anywhere(play: Play, place: str) -> None:
    """As a parameter of a declared statement or of one built in a handler; others' rows are not met."""
    statement, count = PLACES[place]

    async def scenario(mine: Scope, theirs: Scope) -> None:
        made = await mine.all(TodoQueries.create_todo, [{"title": title} for title in "abc"])
        other = await theirs.one(TodoQueries.create_todo, title="a")
        some = [*made[:2], other]
        given = {
            "ids": [row.id for row in some],
            "rows": [(row.id, row.title) for row in some],
            "owned": [(row.user_id, row.id) for row in some],
        }
        name = next(name for name in given if name in str(statement))
        assert await mine.execute(statement, **{name: given[name]}) == count
        assert (await theirs.all(sa.select(Todo))) == [other]

    play(scenario)


@pytest.mark.parametrize("place", PLACES)
def test_every_length_is_one_text(place: str) -> None:
    """For sixty lengths, and the audit keeps no further verdict."""
    statement, _ = PLACES[place]
    statements = Statements([Todo], AsyncPsycopg2Dialect())
    prepared = statements.prepared(statement)
    kept = statements.audit.verdicts.size
    texts = set()
    for length in range(60):
        ids = [uuid7() for _ in range(length)]
        given: Any = {"ids": ids, "rows": [(id, "a") for id in ids], "owned": [(id, id) for id in ids]}
        values = prepared.parameters(ONE, {name: given[name] for name in prepared.takes})
        text, bound = prepared.sent.bound(values)
        statements.audit.check(text, bound, ONE)
        texts.add(text)
    assert len(texts) == 1
    assert statements.audit.verdicts.size == kept


def test_every_length_of_a_list_in_a_handler_is_one_text() -> None:
    """Values in the statement itself, of items and of rows."""
    statements = Statements([Todo], AsyncPsycopg2Dialect())
    texts = set()
    for length in range(60):
        ids = [uuid7() for _ in range(length)]
        rows = [(id, "a") for id in ids]
        condition = sa.or_(col(Todo.id).in_(ids), sa.tuple_(Todo.id, Todo.title).in_(rows))
        texts.add(statements.prepared(sa.select(Todo).where(condition)).sent.bound({"p_me": ONE})[0])
    assert len(texts) == 1


def test_list_is_anything_that_gives_its_items(play: Play) -> None:
    """None is an empty list, as to SQLAlchemy."""
    some = sa.select(Todo).where(col(Todo.title).in_(param("titles")))
    rows = sa.select(Todo).where(sa.tuple_(Todo.title, Todo.id).in_(param("rows")))

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        made = await mine.one(TodoQueries.create_todo, title="a")
        for titles in (["a"], ("a",), {"a"}, {"a": 1}.keys(), (title for title in "ab")):
            assert await mine.all(some, titles=titles) == [made]
            assert await mine.execute(some, titles=["a"]) == 1
        assert await mine.all(rows, rows=(pair for pair in [("a", made.id)])) == [made]
        for statement, given in ((some, {"titles": None}), (rows, {"rows": None})):
            assert await mine.all(statement, **given) == []

    play(scenario)


ARRAY = sa.ARRAY(sa.Text)
TITLES = param("titles")
TAKES_LISTS: dict[str, Any] = {
    "in": sa.select(Todo).where(col(Todo.title).in_(TITLES)),
    "any": sa.select(Todo).where(col(Todo.title) == sa.any_(param("titles", ARRAY))),
    "any without a type": sa.select(Todo).where(col(Todo.title) == sa.any_(TITLES)),
    "text": sa.text("SELECT id FROM todoservice.todos WHERE user_id = :me AND title IN :titles"),
    "any in text": sa.text("SELECT id FROM todoservice.todos WHERE user_id = :me AND title = ANY (:titles)"),
    "expanding in text": in_text("SELECT id FROM todoservice.todos WHERE user_id = :me AND title IN :titles", "titles"),
    "unnest": sa.select(sa.func.unnest(param("titles", ARRAY)).label("it")),
}


@pytest.mark.parametrize("statement", TAKES_LISTS.values(), ids=TAKES_LISTS)
def test_list_that_is_too_long_is_the_clients_fault(play: Play, statement: Any) -> None:
    """However the statement takes it: nothing is sent."""
    kind: Any = tuple if "IN :" in str(statement) or " IN " in str(statement) else list

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        for call in (mine.all, mine.execute):
            with pytest.raises(InvalidRequest) as refused:
                await call(statement, titles=kind("a" * (MOST_ITEMS + 1)))
            [fault] = refused.value.members["field_errors"]
            assert fault == {"field": "request", "message": "A list has more than 10000 items: send fewer at a time"}
        await mine.execute(statement, titles=kind("a" * MOST_ITEMS))

    play(scenario)


def test_list_of_the_statements_own_is_limited(play: Play) -> None:
    """Of items, of rows, and of an array."""
    many: Any = ["a"] * (MOST_ITEMS + 1)
    rows: Any = [("a", ONE)] * (MOST_ITEMS // 2)
    conditions = [
        col(Todo.title).in_(many),
        sa.tuple_(Todo.title, Todo.id).in_(rows),
        col(Todo.title) == sa.any_(sa.literal(many, ARRAY)),
    ]

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        for condition in conditions:
            with pytest.raises(InvalidRequest):
                await mine.all(sa.select(Todo).where(condition))

    play(scenario)


def test_nested_items_count_together() -> None:
    """With the lists that hold them."""
    assert count_items([]) == 0
    assert count_items([(1, 2), (3, 4)]) == 6
    assert count_items([[1] * 600] * 20, 10_000) > 10_000


def test_list_that_contains_itself_is_rejected(play: Play) -> None:
    endless: list[Any] = []
    endless.append(endless)
    statement = sa.select(Todo).where(col(Todo.id) == sa.any_(param("ids", sa.ARRAY(sa.Uuid))))

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        with pytest.raises(
            TypeError,
            match=r"^a statement built in a handler: the parameter ids contains itself: bind a list without a cycle$",
        ):
            await mine.all(statement, ids=endless)

    play(scenario)


def test_list_that_is_nested_too_deeply_is_rejected(play: Play) -> None:
    deep: list[Any] = []
    for _ in range(40):
        deep = [deep]
    statement = sa.select(Todo).where(col(Todo.id) == sa.any_(param("ids", sa.ARRAY(sa.Uuid))))

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        with pytest.raises(InvalidRequest) as rejected:
            await mine.all(statement, ids=deep)
        assert rejected.value.members["field_errors"] == [
            {"field": "request", "message": "The parameter ids is nested deeper than 32 levels: give fewer"}
        ]

    play(scenario)


def test_json_is_no_list(play: Play) -> None:
    """A document may be as long as it likes."""
    statement = sa.select(sa.func.jsonb_array_length(param("data", pg.JSONB())).label("it"))

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        assert tuple(await mine.one(statement, data=[1] * (MOST_ITEMS + 1))) == (MOST_ITEMS + 1,)

    play(scenario)


def test_rows_of_an_insert_are_not_limited(play: Play) -> None:
    """They travel in messages of their own."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        rows = [{"title": "a"}] * (MOST_ITEMS + 1)
        assert await mine.execute(TodoQueries.create_todo, rows) == len(rows)

    play(scenario)


def test_list_of_10_000_ids_is_answered(app: FastAPI, play: Play) -> None:
    """By statements built in handlers too."""
    ids = [uuid7() for _ in range(MOST_ITEMS)]

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        made = await mine.one(TodoQueries.create_todo, title="a")
        statement = sa.select(Todo).where(col(Todo.id).in_([*ids[1:], made.id]))
        assert await mine.all(statement) == [made]
        assert await mine.all(sa.delete(Todo).where(col(Todo.id).not_in(ids)).returning(col(Todo.id))) == [(made.id,)]

    play(scenario)


def test_list_in_an_upsert(play: Play) -> None:
    """Beside the row's own parameters."""
    insert = upsert(Todo)
    statement = insert.on_conflict_do_update(
        index_elements=["user_id", "id"],
        set_={"title": insert.excluded.title},
        where=col(Todo.title).in_(param("titles")),
    )

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        made = await mine.one(TodoQueries.create_todo, title="a")
        assert await mine.execute(statement, id=made.id, title="b", titles=["x"]) == 0
        assert await mine.execute(statement, id=made.id, title="b", titles=["a"]) == 1

    play(scenario)


class Lists(Queries):
    """Declared with a parameter whose name could be a column of rows."""

    rows = sa.select(Todo).where(sa.tuple_(Todo.id, Todo.title).in_(param("rows")))


def test_columns_of_rows_are_no_parameters() -> None:
    """Only the list itself is given."""
    statements = Statements([Todo], AsyncPsycopg2Dialect())
    assert statements.declare("lists", Lists) == []
    prepared = statements.prepared(Lists.rows)
    with pytest.raises(TypeError, match=r"^lists\.rows needs rows: its parameters are rows$"):
        prepared.parameters(ONE, {})
    with pytest.raises(TypeError, match=r"has no parameter rows__column0"):
        prepared.parameters(ONE, {"rows": [], "rows__column0": []})
    with pytest.raises(ValueError, match="the parameter name 'rows__column0' is reserved"):
        param("rows__column0")
