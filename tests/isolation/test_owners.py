"""An author may give the owner of a row if it is the scope's user, and no other is ever sent."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from fastapi import FastAPI, Request
from playing import Play
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import aliased
from sqlmodel import col
from todoservice_todos.models import Todo
from todoservice_todos.queries import TodoQueries

from todoservice import Conflict, InvalidRequest, Queries, Scope, UnscopedStatement, param, uuid7, uuid7_time
from todoservice.audit import Verdict
from todoservice.database.dialect import AsyncPsycopg2Dialect
from todoservice.database.lists import MOST_ITEMS
from todoservice.pagination import PageRequest
from todoservice.statements import Statements

TABLE: Any = Todo.__table__  # type: ignore[attr-defined]
OTHER: Any = aliased(Todo)
ALIAS: Any = TABLE.alias("others")
MINE = TABLE.c.user_id == param("owner", sa.Uuid())


class Sly(UUID):
    """Equals everything."""

    __hash__ = UUID.__hash__

    def __eq__(self, _other: object) -> bool:
        return True


class SlyText(str):
    """Is another text in lower case."""

    user: UUID

    def lower(self) -> str:
        return str(self.user)


def sly_text(them: UUID, me: UUID) -> str:
    """Return a text that claims to be me."""
    text = SlyText(str(them))
    text.user = me
    return text


def tampered(them: UUID) -> UUID:
    """Return a UUID whose number is of a class of its own."""

    class Number(int):
        def __eq__(self, _other: object) -> bool:
            return True

        __hash__ = int.__hash__

    value = UUID(int=them.int)
    object.__setattr__(value, "int", Number(them.int))
    return value


NOT_ME = {
    "another": lambda them, _: them,
    "text": lambda them, _: str(them),
    "a subclass": lambda them, _: Sly(int=them.int),
    "a subclass of text": sly_text,
    "a tampered one": lambda them, _: tampered(them),
    "nothing": lambda *_: None,
    "a list": lambda them, me: [me, them],
    "no UUID": lambda *_: "x",
    "a number": lambda _, me: me.int,
}
FULL = {"id": UUID(int=1), "title": "x", "description": None, "is_completed": True, "created_at": datetime.now(UTC)}
WAYS: dict[str, Any] = {
    "values": lambda value: (sa.insert(Todo).values(user_id=value, title="x"), {}),
    "a literal": lambda value: (sa.insert(Todo).values(user_id=sa.literal(value, sa.Uuid()), title="x"), {}),
    "a parameter": lambda value: (sa.insert(Todo).values(user_id=param("owner"), title="x"), {"owner": value}),
    "a parameter of its name": lambda value: (
        sa.insert(Todo).values(user_id=param("user_id"), title="x"),
        {"user_id": value},
    ),
    "an upsert": lambda value: (upsert(Todo).values(user_id=value, title="x").on_conflict_do_nothing(), {}),
    "one of several rows": lambda value: (
        sa.insert(Todo).values([{"title": "a"}, {"title": "b", "user_id": value}]),
        {},
    ),
    "a row in order": lambda value: (
        sa.insert(Todo).values([tuple(FULL.get(column.name, value) for column in TABLE.columns)]),
        {},
    ),
    "a select": lambda value: (
        sa.insert(Todo).from_select(
            ["user_id", "id", "title"],
            sa.select(sa.literal(value, sa.Uuid()), sa.func.gen_random_uuid(), sa.literal("x")),
        ),
        {},
    ),
    "a select with a parameter": lambda value: (
        sa.insert(Todo).from_select(
            ["user_id", "id", "title"],
            sa.select(param("owner", sa.Uuid()).label("o"), sa.func.gen_random_uuid(), sa.literal("x")),
        ),
        {"owner": value},
    ),
    "a table": lambda value: (sa.select(TABLE.c.id).where(TABLE.c.user_id == value), {}),
    "a table and a parameter": lambda value: (sa.select(TABLE.c.id).where(MINE), {"owner": value}),
    "an update of a table": lambda value: (sa.update(TABLE).values(title="x").where(TABLE.c.user_id == value), {}),
    "a delete of a table": lambda value: (sa.delete(TABLE).where(value == TABLE.c.user_id), {}),
    "an update from": lambda value: (
        sa.update(Todo).values(title="x").where(OTHER.user_id == value, OTHER.title != "y"),
        {},
    ),
    "a delete using": lambda value: (sa.delete(Todo).where(OTHER.user_id == value, OTHER.title != "y"), {}),
    "a delete in a common table expression": lambda value: (
        sa.select(sa.delete(TABLE).where(TABLE.c.user_id == value).returning(TABLE.c.id).cte("gone").c.id),
        {},
    ),
}


@pytest.fixture
def statements() -> Statements:
    """Return the statements of an app."""
    return Statements([Todo], AsyncPsycopg2Dialect())


@pytest.fixture
def unaudited(statements: Statements) -> Statements:
    """Return them without an audit."""
    statements.audit = SimpleNamespace(verdict=lambda _: Verdict(None))  # type: ignore[assignment]
    return statements


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("value", NOT_ME.values(), ids=NOT_ME)
def test_another_owner_is_refused_by_the_scope_alone(unaudited: Statements, way: Any, value: Any) -> None:
    """Before anything is sent, whatever the value calls itself."""
    me, them = uuid7(), uuid7()
    with pytest.raises((UnscopedStatement, sa.exc.ArgumentError)) as refused:
        statement, given = way(value(them, me))
        unaudited.prepared(statement).parameters(me, given)
    if isinstance(refused.value, UnscopedStatement):
        assert str(them) not in str(refused.value)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("made", [UUID, str])
def test_only_the_hosts_own_parameter_is_sent(statements: Statements, way: Any, made: Any) -> None:
    """The author's value stays behind, also where it is right; and the audit accepts what is sent."""
    me = uuid7()
    statement, given = way(made(str(me)))
    prepared = statements.prepared(statement)
    values = prepared.parameters(me, given)
    assert not {"p_owner", "p_user_id"} & values.keys()
    text, bound = prepared.sent.bound(values)
    assert all(bound[name] == me and type(bound[name]) is UUID for name in statements.audit.verdict(text).users)
    assert statements.audit.verdict(text).users == ("p_me",)
    statements.audit.check(text, bound, me)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_owner_is_given_and_checked_in_a_running_app(play: Play, way: Any) -> None:
    """The user's own statement is done; another's is refused, names its statement, and leaves nothing behind."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        await mine.one(TodoQueries.create_todo, title="mine")
        other = await theirs.one(TodoQueries.create_todo, title="theirs")
        before = await mine.all(sa.select(Todo))
        statement, given = way(theirs.user_id)
        with pytest.raises(UnscopedStatement, match="gives user_id another value than the scope's user: leave it out"):
            await mine.execute(statement, **given)
        assert await mine.all(sa.select(Todo)) == before
        statement, given = way(mine.user_id)
        assert await mine.execute(statement, **given) in {1, 2}
        assert await theirs.all(sa.select(Todo)) == [other]

    play(scenario)


def test_list_of_rows_may_have_the_owner(play: Play) -> None:
    """If it is the user; else the row is named and nothing is inserted."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        rows: list[dict[str, Any]] = [
            {"title": "a", "user_id": mine.user_id},
            {"title": "b", "user_id": str(mine.user_id)},
            {"title": "c"},
        ]
        made = await mine.all(TodoQueries.create_todo, rows)
        assert [row.user_id for row in made] == [mine.user_id] * 3
        for value in (theirs.user_id, str(theirs.user_id), Sly(int=theirs.user_id.int), None):
            with pytest.raises(UnscopedStatement, match=r"row 1002: gives user_id another value than the scope's user"):
                await mine.execute(
                    TodoQueries.create_todo, [{"title": "a"}] * 1002 + [{"title": "b", "user_id": value}]
                )
        with pytest.raises(TypeError, match="has no parameter user_id"):
            await mine.one(TodoQueries.create_todo, title="a", user_id=mine.user_id)
        assert len(await mine.all(sa.select(Todo))) == 3
        assert await theirs.all(sa.select(Todo)) == []
        keys = sa.tuple_(Todo.user_id, Todo.id)
        other = await theirs.one(TodoQueries.create_todo, title="theirs")
        listed = [(row.user_id, row.id) for row in (*made[:2], other)]
        assert await mine.execute(sa.select(Todo).where(keys.in_(listed))) == 2

    play(scenario)


class Several(Queries):
    """Declared with rows of its own."""

    start = sa.insert(Todo).values([{"title": "a"}, {"title": "b", "is_completed": True}]).returning(Todo)


def test_several_rows_of_one_insert_are_a_list_of_rows(play: Play, statements: Statements) -> None:
    """Each is filled as a single one is; every number of them is one text, and they are answered as JSON."""
    assert statements.declare("several", Several) == []
    texts = set()
    for count in (1, 2, 60):
        insert = sa.insert(Todo).values([{"title": "a"}] * count)
        prepared = statements.prepared(insert)
        texts.add(prepared.sent.bound(prepared.parameters(uuid7(), {}))[0])
        assert not prepared.repeatable
    assert len(texts) == 1

    async def scenario(mine: Scope, theirs: Scope) -> None:
        made = await mine.all(Several.start)
        again = await mine.all(Several.start)
        assert [(row.title, row.is_completed, row.user_id) for row in again] == [
            ("a", False, mine.user_id),
            ("b", True, mine.user_id),
        ]
        assert all(row.created_at == uuid7_time(row.id) for row in [*made, *again])
        assert len({row.id for row in [*made, *again]}) == 4
        body = json.loads(bytes((await mine.all_json(Several.start)).body))
        assert [todo["title"] for todo in body] == ["a", "b"]
        same = uuid7()
        twice = sa.insert(Todo).values([{col(Todo.title): "a", col(Todo.id): same}, {"title": "b", "id": same}])
        with pytest.raises(Conflict):
            await mine.execute(twice)
        with pytest.raises(TypeError, match="has no parameter title: its parameters are none"):
            await mine.execute(twice, title="x")
        with pytest.raises(TypeError, match=r"row 1: .* has no parameter colour"):
            await mine.execute(sa.insert(Todo).values([{"title": "a"}, {"title": "b", "colour": "red"}]))
        with pytest.raises(InvalidRequest):
            await mine.execute(sa.insert(Todo).values([{"title": "a"}] * (MOST_ITEMS + 1)))
        assert len(await mine.all(sa.select(Todo))) == 6
        assert await theirs.all(sa.select(Todo)) == []

    play(scenario)


def test_insert_from_select_gives_its_own_id(play: Play) -> None:
    """The host adds the owner: to a select, and to a union of them."""
    ids = sa.func.gen_random_uuid()
    named = sa.select(ids.label("id"), (col(Todo.title) + "!").label("title"), sa.false().label("done"), sa.func.now())
    columns = ["id", "title", "is_completed", "created_at"]
    plain = sa.insert(Todo).from_select(columns, named).returning(Todo)
    union = sa.insert(Todo).from_select(columns, named.union_all(named)).returning(Todo)
    short = sa.insert(Todo).from_select(["id", "title"], sa.select(ids, col(Todo.title))).returning(Todo)

    async def scenario(mine: Scope, theirs: Scope) -> None:
        await mine.one(TodoQueries.create_todo, title="a")
        other = await theirs.one(TodoQueries.create_todo, title="theirs")
        [made] = await mine.all(plain)
        assert (made.title, made.user_id) == ("a!", mine.user_id)
        assert len(await mine.all(union)) == 4
        assert len(json.loads(bytes((await mine.all_json(short)).body))) == 6
        assert await theirs.all(sa.select(Todo)) == [other]

    play(scenario)


CONFINED: dict[str, tuple[Any, int]] = {
    "a table": (sa.select(TABLE.c.title).where(MINE, TABLE.c.title != ""), 2),
    "a table, counted": (sa.select(sa.func.count().label("n")).select_from(TABLE).where(sa.and_(MINE, sa.true())), 1),
    "an alias": (sa.select(ALIAS.c.title).where(ALIAS.c.user_id == param("owner")), 2),
    "the user in text": (sa.select(TABLE.c.title).where(TABLE.c.user_id == sa.text(":me"), MINE), 2),
    "a join": (
        sa.select(TABLE.c.title, ALIAS.c.title.label("other"))
        .join(ALIAS, sa.and_(ALIAS.c.id == TABLE.c.id, ALIAS.c.user_id == TABLE.c.user_id))
        .where(MINE),
        2,
    ),
    "an outer join": (
        sa.select(TABLE.c.title)
        .select_from(TABLE.outerjoin(ALIAS, sa.and_(ALIAS.c.id == TABLE.c.id, ALIAS.c.user_id == TABLE.c.user_id)))
        .where(MINE),
        2,
    ),
    "a class and a table": (
        sa.select(Todo.title).join(ALIAS, ALIAS.c.user_id == Todo.user_id).where(ALIAS.c.id == Todo.id),  # type: ignore[call-overload]
        2,
    ),
    "a subquery": (sa.select(sa.select(TABLE.c.title).where(MINE).subquery().c.title), 2),
    "an update": (sa.update(TABLE).values(title="x").where(MINE), 2),
    "an update from": (
        sa.update(Todo).values(title=OTHER.title).where(OTHER.id == Todo.id, OTHER.user_id == Todo.user_id),
        2,
    ),
    "an update from, as JSON": (
        sa.update(Todo)
        .values(title=OTHER.title)
        .where(OTHER.id == Todo.id, OTHER.user_id == param("owner"))
        .returning(Todo),
        2,
    ),
    "a delete": (sa.delete(TABLE).where(MINE).returning(TABLE.c.id), 2),
    "a delete using": (
        sa.delete(Todo).where(OTHER.id == Todo.id, OTHER.user_id == Todo.user_id, OTHER.user_id == param("owner")),
        2,
    ),
}


@pytest.mark.parametrize("name", CONFINED)
def test_conditions_of_the_author_confine_a_table(play: Play, name: str) -> None:
    """As rows, counted, and as JSON; another user's rows are neither read nor changed."""
    statement, count = CONFINED[name]
    owned = "owner" in str(statement)

    async def scenario(mine: Scope, theirs: Scope) -> None:
        for title in "ab":
            await mine.one(TodoQueries.create_todo, title=title)
        other = await theirs.one(TodoQueries.create_todo, title="theirs")
        given = {"owner": mine.user_id} if owned else {}
        if "JSON" in name or not statement.is_dml:
            assert len(json.loads(bytes((await mine.all_json(statement, **given)).body))) == count
        assert await mine.execute(statement, **given) == count
        assert await theirs.all(sa.select(Todo)) == [other]

    play(scenario)


ITSELF = " itself: use its class"
REACHES = ", which no filter confines there: use .in_(select(...)), or compare its user_id with that of todos"
EXISTS = sa.exists().where(ALIAS.c.id == TABLE.c.id, ALIAS.c.user_id == TABLE.c.user_id)
BARE: dict[str, tuple[Any, str]] = {
    "an or": (sa.select(TABLE.c.id).where(sa.or_(MINE, sa.true())), ITSELF),
    "an or inside": (sa.select(TABLE.c.id).where(sa.and_(sa.true(), sa.or_(MINE, TABLE.c.title == "x"))), ITSELF),
    "a not": (sa.select(TABLE.c.id).where(~MINE), ITSELF),
    "another comparison": (sa.select(TABLE.c.id).where(TABLE.c.user_id != param("owner")), ITSELF),
    "another operator": (sa.select(TABLE.c.id).where(TABLE.c.user_id.op("=")(param("owner"))), ITSELF),
    "another column": (sa.select(TABLE.c.id).where(TABLE.c.id == param("owner")), ITSELF),
    "itself": (sa.select(TABLE.c.id).where(TABLE.c.user_id == TABLE.c.user_id), ITSELF),
    "a case": (sa.select(TABLE.c.id).where(sa.case((MINE, sa.true()), else_=sa.true())), ITSELF),
    "a list": (sa.select(TABLE.c.id).where(TABLE.c.user_id.in_(param("owner"))), ITSELF),
    "a function": (sa.select(TABLE.c.id).where(TABLE.c.user_id == sa.func.coalesce(param("owner"))), ITSELF),
    "a parameter that no call can give": (sa.select(TABLE.c.id).where(TABLE.c.user_id == sa.bindparam("you")), ITSELF),
    "having": (sa.select(TABLE.c.id).group_by(TABLE.c.id).having(MINE), ITSELF),
    "an alias of another": (sa.select(ALIAS.c.id).where(MINE), ITSELF),
    "a self-join": (sa.select(TABLE.c.id, ALIAS.c.id).where(MINE), ITSELF),
    "two that hold each other": (
        sa.select(TABLE.c.id, ALIAS.c.id).where(TABLE.c.user_id == ALIAS.c.user_id),
        ITSELF,
    ),
    "an outer join's other side": (
        sa.select(TABLE.c.id).select_from(TABLE.outerjoin(ALIAS, sa.and_(MINE, ALIAS.c.user_id == TABLE.c.user_id))),
        ITSELF,
    ),
    "an outer join of a class": (
        sa.select(Todo.id, ALIAS.c.id).outerjoin(Todo, ALIAS.c.user_id == Todo.user_id).select_from(ALIAS),  # type: ignore[call-overload]
        ITSELF,
    ),
    "a full join": (
        sa.select(TABLE.c.id).select_from(TABLE.join(ALIAS, ALIAS.c.id == TABLE.c.id, full=True)).where(MINE),
        ITSELF,
    ),
    "a full join by its own condition": (
        sa.select(TABLE.c.id).join(ALIAS, ALIAS.c.user_id == TABLE.c.user_id, full=True).where(MINE),
        ITSELF,
    ),
    "a correlated subquery": (sa.select(TABLE.c.id).where(MINE, EXISTS), ITSELF),
    "the condition outside": (sa.select(TABLE.c.id).where(sa.exists(sa.select(ALIAS.c.id).where(MINE))), ITSELF),
    "the condition of a subquery": (sa.select(sa.select(TABLE).subquery().c.id).where(MINE), ITSELF),
    "a table that a written class hides": (
        sa.select(sa.func.count()).select_from(TABLE, sa.delete(Todo).returning(col(Todo.id)).cte("gone")),
        ITSELF,
    ),
    "an update in a common table expression": (
        sa.select(sa.update(TABLE).values(title="x").returning(TABLE.c.id).cte("changed").c.id),
        ITSELF,
    ),
    "an update from": (sa.update(Todo).values(title=OTHER.title).where(OTHER.id == Todo.id), REACHES),
    "an update from, or": (
        sa.update(Todo).values(title="x").where(sa.or_(OTHER.user_id == Todo.user_id, OTHER.id == Todo.id)),
        REACHES,
    ),
    "a delete using": (sa.delete(Todo).where(OTHER.id == Todo.id), REACHES),
    "a delete using itself": (sa.delete(Todo).where(OTHER.user_id == OTHER.user_id, OTHER.id == Todo.id), REACHES),
    "an update of a table by a class": (
        sa.update(TABLE).values(title="x").where(TABLE.c.user_id == OTHER.user_id),
        REACHES,
    ),
    "an update of a table with a class inside": (
        sa.update(TABLE).values(title="x").where(MINE, TABLE.c.id.in_(sa.select(OTHER.id))),
        "mixes a table itself with a class inside: use the class of each",
    ),
    "a gift": (sa.update(TABLE).values(user_id=uuid7()).where(MINE), "sets user_id: a row keeps its owner"),
    "a new id": (sa.update(TABLE).values(id=uuid7()).where(MINE), "sets id: a row keeps its owner"),
    "an insert": (sa.insert(TABLE).values(title="x", user_id=uuid7()), ITSELF),
    "an insert of several": (sa.insert(TABLE).values([{"title": "x", "user_id": uuid7()}]), ITSELF),
}


@pytest.mark.parametrize("name", BARE)
def test_condition_that_proves_nothing_is_refused_by_the_scope_alone(unaudited: Statements, name: str) -> None:
    """With what to write instead."""
    statement, why = BARE[name]
    with pytest.raises(UnscopedStatement) as refused:
        unaudited.prepared(statement)
    assert why in str(refused.value)


def test_change_without_returning_is_refused_for_its_rows(play: Play) -> None:
    """Before it is sent, also as text and as a list of rows."""
    text = sa.text("DELETE FROM todoservice.todos WHERE user_id = :me")
    changes: list[Any] = [sa.delete(Todo), sa.update(Todo).values(title="x"), text, sa.delete(TABLE).where(MINE)]
    words = r"returns no rows: write \.returning\(\.\.\.\), or count them with scope\.execute\(\.\.\.\)$"

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        made = await mine.one(TodoQueries.create_todo, title="a")
        for change in changes:
            given = {"owner": mine.user_id} if change is changes[-1] else {}
            for call in (mine.all, mine.first, mine.one):
                with pytest.raises(TypeError, match=words):
                    await call(change, **given)
        with pytest.raises(TypeError, match=words):
            await mine.all(sa.insert(Todo), [{"title": "b"}])
        with pytest.raises(TypeError, match=words):
            await mine.all(sa.insert(Todo).values([{"title": "b"}]))
        assert await mine.all(sa.select(Todo)) == [made]

    play(scenario)


class Pages(Queries):
    """Declared with the parameters of a page, and no id."""

    titles = sa.select(Todo.title).where(col(Todo.id) < param("before")).limit(param("limit"))  # type: ignore[call-overload]


def test_page_without_an_id_is_refused_at_its_first_use(play: Play, app: FastAPI) -> None:
    """And not at the second page only; as a page of something too."""
    assert app.state.data.statements.declare("pages", Pages) == []
    page = PageRequest(Request({"type": "http", "path": "/", "query_string": b"", "headers": []}))

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        for of in (None, TodoQueries.list_todos):
            with pytest.raises(TypeError) as refused:
                await mine.page_json(Pages.titles, page, of=of)
            assert str(refused.value) == (
                "pages.titles has no column id, which the cursor of a page is made of: select it too"
            )

    play(scenario)
