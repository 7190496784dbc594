"""SQL that an author writes himself runs where the audit can prove it his user's alone, and is refused elsewhere."""

import json
from typing import Any, Final
from uuid import UUID

import pytest
import sqlalchemy as sa
import todoservice_todos
from fastapi import APIRouter, Response
from playing import Play
from plugin_modules import module
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import col
from starlette.testclient import TestClient
from todoservice_todos.models import Todo
from todoservice_todos.queries import TodoQueries

from todoservice import CurrentScope, NotFound, Queries, Scope, Settings, UnscopedStatement, create_app, param, uuid7
from todoservice.plugins import PluginError
from todoservice.statements import Statements

T: Final = "todoservice.todos"
MINE: Final = f"FROM {T} WHERE user_id = :me"
COLUMNS: Any = Todo


class TextQueries(Queries):
    """One statement of each kind, in the author's own words."""

    titles = sa.text(f"SELECT title {MINE} AND title ~ :pattern ORDER BY id")
    listed = sa.text(f"SELECT id, title, created_at {MINE} ORDER BY id").columns(
        COLUMNS.id, COLUMNS.title, COLUMNS.created_at
    )
    made = sa.text(
        f"INSERT INTO {T} (user_id, id, title, is_completed, created_at) "
        "VALUES (:me, :id, :title, false, now()) RETURNING id, title"
    ).columns(id=sa.Uuid, title=sa.String)
    renamed = sa.text(f"UPDATE {T} SET title = :title WHERE user_id = :me AND title = :was")
    removed = sa.text(f"DELETE {MINE} AND id = :id RETURNING id").columns(id=sa.Uuid)


async def seed(*scopes: Scope) -> None:
    """Give each user a todo with the same title."""
    for scope in scopes:
        await scope.execute(TodoQueries.create_todo, title="Buy milk")


def test_text_reads_the_users_own_rows(play: Play) -> None:
    """With parameters by name, as a declared statement or as one built in a handler."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        await seed(mine, mine, theirs)
        for statement in (TextQueries.titles, sa.text(str(TextQueries.titles.text))):
            assert await mine.all(statement, pattern="^Buy") == [("Buy milk",)] * 2
            assert len(await theirs.all(statement, pattern="^Buy")) == 1
        row = await theirs.one(TextQueries.listed)
        assert row == (await theirs.one(sa.select(Todo.id, Todo.title, Todo.created_at)))  # type: ignore[call-overload]

    play(scenario)


def test_text_writes_the_users_own_rows(play: Play) -> None:
    """Row counts and RETURNING are right, and a first write adds the user."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        made = await mine.one(TextQueries.made, id=uuid7(), title="Text")
        assert made.title == "Text"
        await seed(mine, theirs)
        assert await mine.execute(TextQueries.renamed, was="Buy milk", title="Bought") == 1
        assert (await theirs.one(sa.select(Todo))).title == "Buy milk"
        theirs_id = (await theirs.one(sa.select(Todo))).id
        with pytest.raises(NotFound):
            await mine.one(TextQueries.removed, id=theirs_id)
        assert (await mine.one(TextQueries.removed, id=made.id)).id == made.id
        assert len(await theirs.all(sa.select(Todo))) == 1

    play(scenario)


def test_text_in_a_transaction(play: Play) -> None:
    """As any other statement."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        with pytest.raises(RuntimeError, match="oops"):
            async with mine.transaction():
                await mine.one(TextQueries.made, id=uuid7(), title="undone")
                raise RuntimeError("oops")
        assert await mine.all(sa.text(f"SELECT id {MINE}")) == []

    play(scenario)


def test_text_with_columns_is_answered_as_json(play: Play) -> None:
    """In the same bytes as a select of the class, where it names the class's columns."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        await seed(mine, theirs)
        text = sa.text(f"SELECT * {MINE}")
        expected = (await mine.one_json(sa.select(Todo))).body
        columns: Any = Todo.__table__.columns.keys()  # type: ignore[attr-defined]
        for statement in (
            sa.select(Todo).from_statement(text),
            text.columns(*(getattr(Todo, name) for name in columns)),
        ):
            assert (await mine.one_json(statement)).body == expected
            assert (await mine.all_json(statement)).body == b"[" + bytes(expected) + b"]"
        made = await mine.one_json(TextQueries.made, id=uuid7(), title='"x"')
        assert json.loads(bytes(made.body))["title"] == '"x"'

    play(scenario)


def test_text_without_columns_is_not_answered_as_json(play: Play) -> None:
    """PostgreSQL's names would do, but nobody could say which of them are instants."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        for answer in (mine.one_json, mine.all_json):
            with pytest.raises(TypeError) as refused:
                await answer(TextQueries.titles, pattern="x")
            assert str(refused.value).endswith(
                "is text() that does not say its columns: write text(...).columns(...) for an answer as JSON"
            )

    play(scenario)


def test_an_entity_is_read_from_text(play: Play) -> None:
    """`from_statement` gives plain rows, with the class's columns, of this user alone."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        await seed(mine, theirs)
        row = await mine.one(sa.select(Todo).from_statement(sa.text(f"SELECT * {MINE} AND title = :t")), t="Buy milk")
        assert row.user_id == mine.user_id
        assert row.id == (await mine.one(sa.select(Todo))).id

    play(scenario)


FRAGMENTS: dict[str, Any] = {
    "where": sa.select(Todo).where(sa.text("title ~ :pattern")),
    "an or in parentheses": sa.select(Todo).where(sa.text("(title ~ :pattern OR true)")),
    "beside the same parameter": sa.select(Todo).where(
        sa.text("title ~ :pattern"), col(Todo.title).regexp_match(param("pattern"))
    ),
    "a literal with a colon": sa.select(Todo).where(sa.text(r"(title ~ :pattern OR title = 'a\:b')")),
    "a percent sign": sa.select(Todo).where(sa.text("title ~ :pattern AND title LIKE 'Buy%'")),
    "a name that begins as the host's": sa.select(Todo).where(sa.text("title ~ :pattern AND 1 = :p_me")),
    "within": sa.select(Todo).where(col(Todo.id).in_(sa.select(col(Todo.id)).where(sa.text("title ~ :pattern")))),
    "literal column": sa.select(sa.literal_column("lower(title)").label("t")).where(
        col(Todo.title).regexp_match(param("pattern"))
    ),
    "everything": sa.select(sa.text("id, title"))
    .select_from(sa.text(T))
    .where(sa.text("user_id = :me AND title ~ :pattern")),
    "update": sa.update(Todo).values(title=sa.text("lower(title)")).where(sa.text("title ~ :pattern")),
    "delete": sa.delete(Todo).where(sa.text("title ~ :pattern")),
}


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_a_fragment_is_confined(play: Play, fragment: str) -> None:
    """By the host, as what is around it; rows of another user that fit it are neither read nor changed."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        await seed(mine, theirs)
        given = {"pattern": "^Buy"} | ({"p_me": 1} if fragment.startswith("a name") else {})
        assert await mine.execute(FRAGMENTS[fragment], **given) == 1
        assert [row.title for row in await theirs.all(sa.select(Todo))] == ["Buy milk"]

    play(scenario)


def test_a_parameter_of_text_has_the_type_of_the_param_beside_it(play: Play) -> None:
    """So that a value is bound alike in both places."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        statement = sa.select(sa.cast(param("data", sa.JSON()), sa.Text).label("a"), sa.text("CAST(:data AS TEXT)"))
        assert tuple(await mine.one(statement, data={"a": 1})) == ('{"a": 1}', '{"a": 1}')

    play(scenario)


def test_a_list_after_in(play: Play) -> None:
    """In text with `expanding`, and in a select, with values or a parameter."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        await seed(mine, theirs)
        ids = [row.id for scope in (mine, theirs) for row in await scope.all(sa.select(Todo))]
        text = sa.text(f"SELECT id {MINE} AND id IN :ids").bindparams(sa.bindparam("ids", expanding=True))
        for statement in (text, sa.select(col(Todo.id)).where(col(Todo.id).in_(param("ids")))):
            assert await mine.all(statement, ids=ids) == [(ids[0],)]
        assert await mine.all(sa.select(col(Todo.id)).where(col(Todo.id).in_(ids))) == [(ids[0],)]
        assert await mine.all(sa.select(col(Todo.id)).where(col(Todo.id).in_([]))) == []

    play(scenario)


def test_a_value_that_text_brings(play: Play) -> None:
    """By `bindparams`; a call may give another."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        text = sa.text("SELECT :word || '!'").bindparams(word="hello")
        assert (await mine.one(text))[0] == "hello!"
        assert (await mine.one(text, word="bye"))[0] == "bye!"

    play(scenario)


def test_a_parameter_kept_in_an_update_may_stand_in_text(play: Play) -> None:
    """It is NULL there where the call leaves it out."""

    async def scenario(mine: Scope, _theirs: Scope) -> None:
        await seed(mine)
        update = (
            sa.update(Todo)
            .values(title=param("title", else_=col(Todo.title)))
            .where(sa.text("CAST(:title AS TEXT) IS NULL"))
        )
        assert await mine.execute(update) == 1
        assert await mine.execute(update, title="x") == 0

    play(scenario)


UNPROVEN = "reaches todoservice.todos without its user: add todos.user_id = :me"
REFUSED: dict[str, tuple[Any, str]] = {
    "no user": (sa.text(f"SELECT * FROM {T}"), UNPROVEN),
    "no user, with columns": (sa.text(f"SELECT * FROM {T}").columns(COLUMNS.id), UNPROVEN),
    "an entity": (sa.select(Todo).from_statement(sa.text(f"SELECT * FROM {T}")), UNPROVEN),
    "an or": (sa.text(f"SELECT id {MINE} OR true"), UNPROVEN),
    "the user in a literal": (sa.text(f"SELECT id FROM {T} WHERE ':me' = 'x'"), "holds a literal with"),
    "the user in a comment": (sa.text(f"SELECT id FROM {T} -- WHERE user_id = :me"), "nor is a comment"),
    "the user in a block comment": (sa.text(f"SELECT id FROM {T} /* WHERE user_id = :me */"), "nor is a comment"),
    "another parameter": (
        sa.text(f"SELECT id FROM {T} WHERE user_id = :you"),
        "takes its user from :you: write :me there, which the host binds to the scope's user",
    ),
    "another parameter, insert": (
        sa.text(f"INSERT INTO {T} (user_id, id, title) VALUES (:you, :id, 'x')"),
        "takes its user from :you",
    ),
    "a user of the author's": (
        sa.text(f"SELECT id {MINE}").bindparams(me=uuid7()),
        "gives :me a value: leave it out, the host binds the scope's user",
    ),
    "the host's own name": (
        sa.text(f"SELECT id FROM {T} WHERE user_id = :p_me"),
        "takes its user from :p_me: write :me there",
    ),
    "a name of flags": (
        sa.text("SELECT :title__given"),
        "holds :title__given, a name that is reserved for the host: give the parameter another",
    ),
    "a cast with colons": (
        sa.text(f"SELECT id FROM {T} WHERE user_id = :me::uuid"),
        "write CAST(:name AS type) in text(), not :name::type",
    ),
    "a percent sign of psycopg2": (sa.text(f"SELECT id FROM {T} WHERE user_id = %(p_me)s"), "the statement "),
    "two statements": (sa.text(f"SELECT id {MINE}; DELETE FROM {T}"), "holds a semicolon"),
    "commit": (sa.text("COMMIT"), "the statement "),
    "another user's settings": (sa.text("SELECT set_config('role', 'none', true)"), "calls set_config"),
    "the catalogue": (sa.text("SELECT rolname FROM pg_authid"), "reads pg_authid, which no plugin has declared"),
    "insert without a user": (
        sa.text(f"INSERT INTO {T} (id, title) VALUES (:id, 'x')"),
        "without user_id: name it once, and give it the bound user",
    ),
    "a gift": (sa.text(f"UPDATE {T} SET user_id = :me WHERE user_id = :me"), "keeps its owner and its id for life"),
    "a fragment with an or": (sa.select(Todo).where(sa.text("1=1 OR true")), "and parentheses around an OR"),
    "a fragment that closes": (sa.select(Todo).where(sa.text("true) OR (true")), "the statement "),
    "a fragment that ends": (sa.select(Todo).where(sa.text("true --")), "nor is a comment"),
    "a fragment with a union": (
        sa.select(col(Todo.id)).where(sa.text(f"true UNION SELECT id FROM {T} WHERE true")),
        UNPROVEN,
    ),
    "a from": (sa.select(sa.text("id")).select_from(sa.text(T)), UNPROVEN),
    "a joined from": (sa.select(Todo).select_from(sa.text(f"{T} AS other")), "cannot be compiled: "),
    "a literal column with a subquery": (
        sa.select(Todo, sa.literal_column(f"(SELECT count(*) FROM {T} AS t)")),
        "reaches todoservice.todos without its user: add t.user_id = :me",
    ),
    "a parameter in a literal column": (sa.select(sa.literal_column("title = :title")).select_from(Todo), "a colon"),
    "an order": (sa.select(Todo).order_by(sa.text(f"(SELECT max(t.title) FROM {T} AS t)")), "without its user"),
    "an update": (sa.update(Todo).values(title="x").where(sa.text("true OR true")), "and parentheses around an OR"),
    "a delete": (sa.delete(Todo).where(sa.text("true OR true")), "and parentheses around an OR"),
    "a prefix": (sa.select(Todo).prefix_with(f"(SELECT max(t.title) FROM {T} AS t),"), "without its user"),
    "an upsert": (
        upsert(Todo).on_conflict_do_update(index_elements=["user_id", "id"], set_={"title": sa.text("1), (2")}),
        "the statement ",
    ),
}


@pytest.mark.parametrize(("statement", "why"), REFUSED.values(), ids=REFUSED)
def test_text_that_is_not_proven_is_refused(statement: Any, why: str) -> None:
    """Before anything is sent, with what to write instead."""
    statements = Statements([Todo], sa.create_engine("postgresql+psycopg2://").dialect)
    with pytest.raises(UnscopedStatement) as refused:
        statements.prepared(statement)
    assert why in str(refused.value)


@pytest.mark.parametrize("statement", [TextQueries.titles, sa.select(Todo).where(sa.text("title ~ :pattern"))])
def test_the_user_is_nobodys_to_give(play: Play, statement: Any) -> None:
    """Not even the user's own."""

    async def scenario(mine: Scope, theirs: Scope) -> None:
        await seed(theirs)
        for user in (mine.user_id, theirs.user_id):
            with pytest.raises(TypeError, match="has no parameter me: its parameters are pattern"):
                await mine.all(statement, pattern="x", me=user)

    play(scenario)


def test_a_feature_with_unproven_text_does_not_start(settings: Settings) -> None:
    """The message names plugin, statement and table."""

    class Careless(Queries):
        everything = sa.text(f"SELECT * FROM {T}")

    with pytest.raises(
        PluginError, match=rf"^P308 notes \(module notes\): notes\.everything: the statement {UNPROVEN}"
    ):
        create_app(settings, plugins=[todoservice_todos, module(todoservice_queries=Careless)])


def test_text_over_http(settings: Settings, user: UUID, other_user: UUID) -> None:
    """A feature made of text alone serves each user their own rows."""
    router = APIRouter()

    @router.post("", status_code=201)
    async def make_note(title: str, scope: CurrentScope) -> Response:
        return await scope.one_json(TextQueries.made, id=uuid7(), title=title)

    @router.get("")
    async def list_notes(scope: CurrentScope) -> Response:
        return await scope.all_json(TextQueries.listed)

    @router.delete("/{id}", status_code=204)
    async def remove_note(id: UUID, scope: CurrentScope) -> None:
        await scope.one(TextQueries.removed, id=id)

    notes = module(todoservice_queries=TextQueries, todoservice_router=router)
    with TestClient(create_app(settings, plugins=[todoservice_todos, notes])) as client:
        mine, theirs = ({"X-User-ID": str(asking)} for asking in (user, other_user))
        made = client.post("/api/v1/notes?title=mine", headers=mine).json()
        client.post("/api/v1/notes?title=theirs", headers=theirs)
        assert [todo["title"] for todo in client.get("/api/v1/notes", headers=mine).json()] == ["mine"]
        assert (
            client.get("/api/v1/todos", headers=mine).json()["items"][0]["created_at"]
            == (client.get("/api/v1/notes", headers=mine).json()[0]["created_at"])
        )
        assert client.delete(f"/api/v1/notes/{made['id']}", headers=theirs).status_code == 404
        assert client.delete(f"/api/v1/notes/{made['id']}", headers=mine).status_code == 204
