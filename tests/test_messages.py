"""What a statement answers as JSON is what it answers as rows, and SQLAlchemy and the driver send the same."""

import json
from collections.abc import Awaitable, Callable, Iterator
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from asking import lend
from sqlalchemy import event, make_url
from sqlalchemy.orm import aliased, defer, joinedload, relationship, selectinload
from sqlalchemy.sql import quoted_name
from sqlmodel import Field, SQLModel, col

from todoservice import Owned, Queries, param
from todoservice.database.dialect import AsyncPsycopg2Dialect
from todoservice.database.lease import Lease
from todoservice.shapes import Shape
from todoservice.statements import Statements


def told(context: Any) -> str:
    """Return what the default of a column sees of its row."""
    return f"{context.current_column.name} of {context.get_current_parameters().get('p_item', 'none')}"


def retold(context: Any) -> str:
    """Return what it sees of a column that was filled before it."""
    return f"{context.current_parameters['note']}, retold"


class Wish(Owned, table=True):
    """Names that the host's own SQL could have, what SQLAlchemy fills by itself, and what it would load along."""

    __tablename__ = "wishes"

    item: str
    row: str | None = Field(default=None, sa_column=sa.Column("row", sa.Text))
    note: str | None = Field(default=None, sa_column_kwargs={"onupdate": told})
    state: str = Field(default="new", sa_column_kwargs={"onupdate": "old"})
    again: str | None = Field(default=None, sa_column_kwargs={"onupdate": retold})
    p_kind: str = ""


class Idea(Owned, table=True):
    """What a wish loads along."""

    __tablename__ = "ideas"
    __table_args__ = (
        sa.ForeignKeyConstraint(["user_id", "wish_id"], ["todoservice.wishes.user_id", "todoservice.wishes.id"]),
    )
    wish_id: UUID


TABLES: list[Any] = [Wish.__dict__["__table__"], Idea.__dict__["__table__"]]
sa.inspect(Wish).add_property("ideas", relationship(Idea, lazy="joined", viewonly=True))
sa.inspect(Wish).add_property("later", relationship(Idea, viewonly=True))


class Letter(Enum):
    """Is sent by another name than its own."""

    A = "a"
    C = "c"


LETTER: Any = sa.Enum(Letter, native_enum=False, values_callable=lambda letters: [letter.value for letter in letters])


class WishQueries(Queries):
    """Queries that a plain text and plain values do not make."""

    make = sa.insert(Wish).returning(Wish)
    reset = sa.update(Wish).where(col(Wish.id) == param("id")).values(item="fixed").returning(Wish)
    change = sa.update(Wish).where(col(Wish.id) == param("id")).values(item=param("item")).returning(Wish)
    all = sa.select(Wish).order_by(col(Wish.id))
    some = sa.select(Wish).where(col(Wish.item).in_(param("items"))).order_by(col(Wish.id))
    spaced = sa.select(Wish).where(col(Wish.item) == param("an item"))
    spaced_list = sa.select(Wish).where(
        col(Wish.item).in_(param("some items", LETTER)), col(Wish.item) != param("an item", LETTER)
    )
    literal = sa.select(Wish).where(col(Wish.item) == sa.literal("b", literal_execute=True))
    page = (
        sa.select(Wish)
        .where(col(Wish.item) != "c", col(Wish.p_kind) != "x", col(Wish.id) < param("before"))
        .order_by(col(Wish.id).desc())
        .limit(param("limit"))
    )
    parent = sa.select(Wish).where(col(Wish.item) != "z", col(Wish.p_kind) != "y")
    nobody = sa.select(Wish).where(col(Wish.item) == "z")
    listed = sa.select(Wish).where(col(Wish.item) == "a", col(Wish.item).in_(param("items")))
    gone = sa.select(sa.delete(Wish).where(col(Wish.item) == "c").returning(Wish).cte("gone"))


@pytest.fixture
def statements() -> Statements:
    """Return the statements of an app that has declared them."""
    statements = Statements([Wish, Idea], AsyncPsycopg2Dialect())
    assert statements.declare("wishes", WishQueries) == []
    return statements


Do = Callable[[Lease], Awaitable[None]]
Send = Callable[[Do], None]


@pytest.fixture
def send(fresh_url: str, statements: Statements, user: UUID) -> Iterator[Send]:
    """Return what does something with a lease that is guarded for the user, in a database with three wishes."""
    plain = sa.create_engine(make_url(fresh_url).set(drivername="postgresql+psycopg2"))
    make = statements.prepared(WishQueries.make)
    with plain.begin() as connection:
        SQLModel.metadata.create_all(connection, tables=TABLES)
        connection.execute(sa.text("INSERT INTO todoservice.users (id) VALUES (:id)"), {"id": user})
        wishes = [connection.execute(make.rows, make.parameters(user, {"item": item})).one() for item in "abc"]
        idea = statements.prepared(sa.insert(Idea))
        for _ in range(2):
            connection.execute(idea.rows, idea.parameters(user, {"wish_id": wishes[0].id}))
    yield lambda do: lend(fresh_url, lambda text, given: statements.audit.check(text, given, user), do)
    plain.dispose()


def attribute(name: str) -> Any:
    """Return an attribute of a wish, as the options of a select take it."""
    return sa.inspect(Wish).attrs[name].class_attribute


DEFERRED: Any = sa.select(Wish).options(defer(attribute("note"))).order_by(col(Wish.id))

ASKED: list[tuple[Any, dict[str, Any], str]] = [
    (WishQueries.all, {}, "abc"),
    (WishQueries.some, {"items": ["a", "c", "x"]}, "ac"),
    (WishQueries.some, {"items": []}, ""),
    (WishQueries.spaced, {"an item": "b"}, "b"),
    (WishQueries.literal, {}, "b"),
    (WishQueries.gone, {}, "c"),
    (WishQueries.spaced_list, {"some items": [Letter.A, Letter.C], "an item": Letter.C}, "a"),
    (WishQueries.literal.union_all(WishQueries.nobody), {}, "b"),
    (DEFERRED, {}, "abc"),
    (sa.select(Wish).options(joinedload(attribute("ideas"))).order_by(col(Wish.id)).limit(2), {}, "ab"),
    (sa.select(Wish).options(joinedload(attribute("later"))).order_by(col(Wish.id)).limit(2), {}, "ab"),
    (sa.select(Wish).options(selectinload(attribute("ideas"))).order_by(col(Wish.id)), {}, "abc"),
    (sa.select(aliased(Wish)), {}, "abc"),
    (sa.select(Wish).where(col(Wish.item).in_(["b", "c"])), {}, "bc"),
]


@pytest.mark.parametrize("listened", [False, True])
@pytest.mark.parametrize(("query", "params", "items"), ASKED)
def test_json_is_what_the_rows_are(
    send: Send, statements: Statements, user: UUID, query: Any, params: dict[str, Any], items: str, listened: bool
) -> None:
    """Each with the columns that it selects and no others, whether a listener hears of the statement or not."""
    prepared = statements.prepared(query)
    values = prepared.parameters(user, params)
    heard: list[str] = []

    async def do(lease: Lease) -> None:
        message = prepared.json(Shape.ALL)
        if listened:
            event.listen(lease.connection.engine, "before_cursor_execute", lambda *given: heard.append(given[2]))
        [array] = (await message.execute(lease, values)).fetchone()
        assert heard == [message.bound(values)[0]] * listened
        found = json.loads(array)
        assert "".join(item["item"] for item in found) == items
        if query is not WishQueries.gone:
            rows = (await lease.execute(prepared.rows, values)).all()
            assert [row.item for row in rows] == [item["item"] for item in found]
            assert all(set(row._fields) == item.keys() for row, item in zip(rows, found, strict=True))
        names = {column.name for column in TABLES[0].columns}
        assert all(item.keys() == names - ({"note"} if query is DEFERRED else set()) for item in found)

    send(do)


def test_what_a_change_fills_by_itself(send: Send, statements: Statements, user: UUID) -> None:
    """A value, and a function of the row, as where SQLAlchemy sends it."""
    every = statements.prepared(WishQueries.all)
    asked: list[tuple[Any, dict[str, str], str]] = [
        (WishQueries.change, {"item": "d"}, "note of d"),
        (WishQueries.reset, {}, "note of none"),
    ]

    async def do(lease: Lease) -> None:
        id = (await lease.execute(every.rows, every.parameters(user, {}))).all()[0].id
        for query, given, note in asked:
            change = statements.prepared(query)
            values = change.parameters(user, {"id": id, **given})
            [made] = (await change.json(Shape.ONE).execute(lease, values)).fetchone()
            assert (await change.sent.execute(lease, values)).rowcount == 1
            row = (await lease.execute(change.rows, values)).one()
            expected = {"note": note, "state": "old", "again": f"{note}, retold"}
            assert json.loads(made).items() >= expected.items()
            assert row._asdict().items() >= expected.items()

    send(do)


@pytest.mark.parametrize(("parent", "count"), [(WishQueries.parent, 2), (WishQueries.nobody, None)])
def test_a_page_and_its_parent_each_have_values_of_their_own(
    send: Send, statements: Statements, user: UUID, parent: Any, count: int | None
) -> None:
    """Though SQLAlchemy names them alike: what one compares with is not what the other does."""
    page = statements.prepared(WishQueries.page)
    values = page.parameters(user, {"before": UUID(int=2**128 - 1), "limit": 5})
    message = page.page_of(statements.prepared(parent))

    async def do(lease: Lease) -> None:
        found = (await message.execute(lease, values)).fetchone()
        assert (found and found[1]) == count

    send(do)


def test_a_parent_may_take_a_list(send: Send, statements: Statements, user: UUID) -> None:
    """Of another length each time."""
    some, listed = statements.prepared(WishQueries.some), statements.prepared(WishQueries.listed)
    message = some.page_of(listed)

    async def do(lease: Lease) -> None:
        for items, count in ((["a", "b"], 2), (["a"], 1), (["b", "c"], None)):
            found = (await message.execute(lease, some.parameters(user, {"items": items}))).fetchone()
            assert (found and found[1]) == count

    send(do)


def test_a_parent_that_changes_rows_is_refused(statements: Statements) -> None:
    """It would be asked for its rows only."""
    with pytest.raises(TypeError, match=r"^wishes\.gone changes rows, and is only asked whether there"):
        statements.prepared(WishQueries.page).page_of(statements.prepared(WishQueries.gone))


NAMED: list[tuple[Any, dict[str, str]]] = [
    (sa.select(col(Wish.item).label(quoted_name("Item", quote=False)), col(Wish.state)), {"Item": "a", "state": "new"}),
    (sa.select(sa.literal_column("Item"), col(Wish.state)), {"Item": "a", "state": "new"}),
    (sa.select(sa.select(Wish).cte("some").c.item.label("_parent")), {"_parent": "a"}),
    (
        sa.text("SELECT state, item FROM todoservice.wishes WHERE user_id = :me ORDER BY id").columns(
            sa.column("item"), sa.column("state")
        ),
        {"item": "a", "state": "new"},
    ),
]


@pytest.mark.parametrize(("query", "expected"), NAMED)
def test_names_are_those_of_the_statement(
    send: Send, statements: Statements, user: UUID, query: Any, expected: dict[str, str]
) -> None:
    """However PostgreSQL folds them; those of a text are where they stand in it."""
    prepared = statements.prepared(query)

    async def do(lease: Lease) -> None:
        [made] = (await prepared.json(Shape.ONE).execute(lease, prepared.parameters(user, {}))).fetchone()
        assert json.loads(made) == expected

    send(do)


def test_a_parameter_that_is_named_as_a_parents_is_refused(statements: Statements) -> None:
    """One of the two would be asked with the other's value."""

    class Clashing(Queries):
        page = sa.select(Wish).where(col(Wish.item) == sa.bindparam("_of_item_1", "a"))

    assert statements.declare("clashing", Clashing) == []
    told = r"^clashing\.page takes _of_item_1, as a parent's parameter is named beside it: give it another name$"
    with pytest.raises(TypeError, match=told):
        statements.prepared(Clashing.page).page_of(statements.prepared(WishQueries.nobody))


class Shouting(str):
    """A label that writes itself as something else than it is."""

    __slots__ = ()

    def __str__(self) -> str:
        return 'loud" FROM todoservice.wishes) AS _row --'

    __format__ = lambda self, _: str(self)  # noqa: E731


def test_a_label_is_the_text_that_it_is(statements: Statements) -> None:
    """However it would write itself."""
    query: Any = sa.select(col(Wish.item).label(Shouting("loud")))
    text, _ = statements.prepared(query).json(Shape.ONE).bound({"p_me": None})
    assert '(SELECT _rows."loud" FROM _rows)' in text
    assert "--" not in text
