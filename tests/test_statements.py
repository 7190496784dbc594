"""Statements are confined to one user, or refused with what to write instead."""

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import aliased
from sqlmodel import Field, col
from todoservice_todos.models import Todo
from todoservice_todos.queries import TodoQueries

from todoservice import Owned, Queries, Shared, UnscopedStatement, param, uuid7, uuid7_time
from todoservice.models import User
from todoservice.shapes import Shape
from todoservice.statements import Statements


class Remark(Owned, table=True):
    """Refers to a todo by its whole key."""

    __tablename__ = "remarks"
    __table_args__ = (
        sa.ForeignKeyConstraint(["user_id", "todo_id"], ["todoservice.todos.user_id", "todoservice.todos.id"]),
    )
    todo_id: UUID
    body: str = ""


class Color(Shared, table=True):
    """The same for all users."""

    __tablename__ = "colors"
    id: UUID = Field(primary_key=True)
    name: str


TABLE: Any = Todo.__table__  # type: ignore[attr-defined]
OTHER: Any = aliased(Todo)
EXCLUDED: Any = TABLE.alias("excluded")
ME = uuid7()


@pytest.fixture
def statements() -> Statements:
    """Return the statements of an app with these models."""
    return Statements([Todo, Remark, Color], sa.create_engine("postgresql+psycopg2://").dialect)


def sql(statements: Statements, statement: Any) -> str:
    """Return the SQL of the confined statement, on one line and without the schema."""
    return " ".join(str(statements.prepared(statement).compiled).split()).replace("todoservice.", "")


CONFINED: dict[str, tuple[Any, str]] = {
    "a count with a filter alone": (
        sa.select(sa.func.count().filter(col(Todo.is_completed))),
        "WHERE todos.user_id = %(p_me)s::UUID",
    ),
    "a percentile alone": (
        sa.select(sa.func.percentile_disc(0.5).within_group(col(Todo.created_at))),
        "WHERE todos.user_id = %(p_me)s::UUID",
    ),
    "what is extracted, below": (
        sa.select(sa.select(sa.extract("year", col(Todo.created_at)).label("year")).subquery().c.year),
        "WHERE todos.user_id = %(p_me)s::UUID",
    ),
    "entity": (sa.select(Todo), "WHERE todos.user_id = %(p_me)s::UUID"),
    "columns": (sa.select(col(Todo.id)), "WHERE todos.user_id = %(p_me)s::UUID"),
    "alias": (sa.select(OTHER), "WHERE todos_1.user_id = %(p_me)s::UUID"),
    "count": (sa.select(sa.func.count()).select_from(Todo), "WHERE todos.user_id = %(p_me)s::UUID"),
    "count where": (
        sa.select(sa.func.count()).where(col(Todo.is_completed)),
        "WHERE todos.is_completed AND todos.user_id = %(p_me)s::UUID",
    ),
    "or": (
        sa.select(Todo).where(sa.or_(col(Todo.title) == "a", sa.true())),
        "AND todos.user_id = %(p_me)s::UUID",
    ),
    "join": (
        sa.select(Todo).join(Remark, col(Remark.todo_id) == Todo.id),
        "AND remarks.user_id = %(p_me)s::UUID WHERE todos.user_id = %(p_me)s::UUID",
    ),
    "outer join": (
        sa.select(Todo).outerjoin(Remark, col(Remark.todo_id) == Todo.id),
        "AND remarks.user_id = %(p_me)s::UUID WHERE todos.user_id = %(p_me)s::UUID",
    ),
    "cross join": (
        sa.select(Todo, col(Remark.body)),
        "WHERE todos.user_id = %(p_me)s::UUID AND remarks.user_id = %(p_me)s::UUID",
    ),
    "exists": (
        sa.select(Todo).where(sa.exists().where(col(Remark.todo_id) == Todo.id)),
        "AND remarks.user_id = %(p_me)s::UUID)) AND todos.user_id = %(p_me)s::UUID",
    ),
    "in": (
        sa.select(Todo).where(col(Todo.id).in_(sa.select(col(Remark.todo_id)))),
        "WHERE remarks.user_id = %(p_me)s::UUID) AND todos.user_id = %(p_me)s::UUID",
    ),
    "scalar subquery": (
        sa.select(Todo).order_by(sa.select(sa.func.max(OTHER.title)).scalar_subquery()),
        "WHERE todos_1.user_id = %(p_me)s::UUID)",
    ),
    "union": (
        sa.union(sa.select(col(Todo.id)), sa.select(OTHER.id)),
        "WHERE todos.user_id = %(p_me)s::UUID UNION SELECT todos_1.id FROM todos AS todos_1 WHERE todos_1.user_id",
    ),
    "subquery": (
        sa.select(sa.func.count()).select_from(sa.select(Todo).subquery()),
        "WHERE todos.user_id = %(p_me)s::UUID) AS anon_1",
    ),
    "common table expression": (
        sa.select(sa.select(Todo).cte("mine").c.id),
        "FROM todos WHERE todos.user_id = %(p_me)s::UUID)",
    ),
    "update": (
        sa.update(Todo).values(title="x"),
        "UPDATE todos SET title=%(title)s WHERE todos.user_id = %(p_me)s::UUID",
    ),
    "delete": (sa.delete(Todo), "DELETE FROM todos WHERE todos.user_id = %(p_me)s::UUID"),
    "delete in a common table expression": (
        sa.select(sa.func.count()).select_from(sa.delete(Todo).returning(col(Todo.id)).cte("gone")),
        "DELETE FROM todos WHERE todos.user_id = %(p_me)s::UUID RETURNING",
    ),
    "insert": (sa.insert(Todo), "VALUES (%(p_me)s::UUID, %(p_id)s::UUID, %(p_title)s"),
    "insert of some": (sa.insert(Todo).values(title="x"), "VALUES (%(p_me)s::UUID, %(p_id)s::UUID, %(title)s"),
    "upsert": (
        upsert(Todo).on_conflict_do_nothing(index_elements=["user_id", "id"]),
        "VALUES (%(p_me)s::UUID, %(p_id)s::UUID, %(p_title)s",
    ),
    "upsert of what was kept out": (
        upsert(Todo).on_conflict_do_update(
            index_elements=["user_id", "id"], set_={"title": upsert(Todo).excluded.title}
        ),
        "ON CONFLICT (user_id, id) DO UPDATE SET title = excluded.title",
    ),
    "insert from select": (
        sa.insert(Remark).from_select(
            ["user_id", "id", "todo_id", "body"],
            sa.select(col(Todo.user_id), col(Todo.id), col(Todo.id), col(Todo.title)),
        ),
        "FROM todos WHERE todos.user_id = %(p_me)s::UUID",
    ),
    "shared": (sa.select(Color), "SELECT colors.id, colors.name FROM colors"),
}


@pytest.mark.parametrize(("statement", "part"), CONFINED.values(), ids=CONFINED)
def test_a_statement_is_confined(statements: Statements, statement: Any, part: str) -> None:
    """The user stands wherever an owned table does."""
    assert part in sql(statements, statement)


SELF = "todos itself: use its class, so that the host can add the user"
REFUSED: dict[str, tuple[Any, str]] = {
    "ddl": (sa.schema.CreateTable(TABLE), "is a CreateTable: a scope takes select, insert, update, delete and text()"),
    "table": (sa.select(TABLE), SELF),
    "column": (sa.select(TABLE.c.id), "uses the column todos.id itself: use its class"),
    "table alias": (sa.select(TABLE.alias().c.id), "itself: use its class"),
    "select of a table alias": (sa.select(TABLE.alias()), SELF),
    "a table called excluded": (
        sa.select(Todo).where(col(Todo.title) == EXCLUDED.c.title),
        "uses the column excluded.title itself",
    ),
    "a table called excluded, inserted from": (
        sa.insert(Todo).from_select(
            ["user_id", "id", "title"], sa.select(EXCLUDED.c.user_id, EXCLUDED.c.id, EXCLUDED.c.title)
        ),
        SELF,
    ),
    "what was kept out of nothing": (
        sa.update(Todo).values(title=EXCLUDED.c.title),
        "uses the column excluded.title itself",
    ),
    "select from table": (sa.select(sa.func.count()).select_from(TABLE), SELF),
    "table around a class": (
        sa.select(sa.func.count()).select_from(TABLE).where(sa.exists(sa.select(col(Todo.id)))),
        SELF,
    ),
    "joined table": (sa.select(OTHER).join(TABLE, TABLE.c.id == OTHER.id), "itself: use its class"),
    "table in a subquery": (sa.select(Todo).where(sa.exists(sa.select(TABLE.c.id))), "itself: use its class"),
    "update of a table": (sa.update(TABLE).values(title="x"), SELF),
    "delete of a table": (sa.delete(TABLE), SELF),
    "insert into a table": (sa.insert(TABLE).values(title="x"), SELF),
    "delete of a table in a common table expression": (
        sa.select(Todo).add_cte(sa.delete(TABLE).cte("gone")),
        SELF,
    ),
    "insert in a common table expression": (
        sa.select(sa.insert(Todo).values(title="x").returning(col(Todo.id)).cte("made").c.id),
        "inserts inside of another statement: make it a statement of its own",
    ),
    "full join": (
        sa.select(Todo).join(OTHER, OTHER.id == Todo.id, full=True),
        "FULL",
    ),
    "table by name": (
        sa.select(sa.table("pg_authid", sa.column("rolname"))),
        "uses the table pg_authid by name: use the class of a table that a plugin has declared",
    ),
    "undeclared table": (sa.select(User), "uses the table todoservice.users, which no plugin has declared"),
    "undeclared table written": (sa.delete(User), "writes to User, which no plugin has declared"),
    "shared table written": (
        sa.update(Color).values(name="red"),
        "writes to Color, which is shared by all users: change it in a migration",
    ),
    "update from another table": (
        sa.update(Todo).where(col(Todo.id) == Remark.todo_id).values(title=col(Remark.body)),
        "reaches into remarks, which no filter confines there: use .in_(select(...))",
    ),
    "delete using another table": (
        sa.delete(Todo).where(col(Todo.id) == Remark.todo_id),
        "reaches into remarks, which no filter confines there",
    ),
    "an owner by an expression": (
        sa.insert(Todo).values(user_id=sa.func.gen_random_uuid(), title="x"),
        "gives user_id by an expression: leave it out, the host fills it with the scope's user",
    ),
    "an id of its own": (
        sa.insert(Todo).values(id=ME, title="x"),
        "gives id: leave it out, the host makes it, or a call gives it as the parameter id",
    ),
    "gift": (sa.update(Todo).values(user_id=ME), "sets user_id: a row keeps its owner and its id for life"),
    "new id": (sa.update(Todo).values({col(Todo.id): ME}), "sets id: a row keeps its owner and its id for life"),
    "insert from select without an id": (
        sa.insert(Todo).from_select(["user_id", "title"], sa.select(col(Todo.user_id), col(Todo.title))),
        "inserts from a select without id: select one for each row, as in insert(Todo).from_select(['id', 'title'], "
        "select(func.gen_random_uuid(), ...))",
    ),
    "several rows with an expression": (
        sa.insert(Todo).values([{"title": "a"}, {"title": sa.func.lower("B")}]),
        "gives title of row 1 by an expression: give plain values, or insert that row alone",
    ),
    "several columns at once": (
        sa.update(Todo).values({sa.tuple_(Todo.title, Todo.description): sa.tuple_("a", "b")}),
        "sets several columns at once with tuple_(...): give each column its own value",
    ),
    "several columns at once, inserted": (
        sa.insert(Todo).values({sa.tuple_(Todo.title, Todo.description): sa.tuple_("a", "b")}),
        "gives several columns at once with tuple_(...): give each column its own value",
    ),
    "what does not compile": (
        sa.select(Todo).where(sa.cast(col(Todo.id), sa.types.NullType()) == 1),
        "cannot be compiled",
    ),
}


@pytest.mark.parametrize(("statement", "why"), REFUSED.values(), ids=REFUSED)
def test_a_statement_is_refused(statements: Statements, statement: Any, why: str) -> None:
    """Where the user cannot be added everywhere, with what to write instead."""
    with pytest.raises(UnscopedStatement) as refused:
        statements.prepared(statement)
    message = str(refused.value)
    assert message.startswith("a statement built in a handler: ")
    assert why in message


def test_a_declared_statement_is_prepared_once(statements: Statements) -> None:
    """And named after its feature and attribute."""
    statements.declare("todos", TodoQueries)
    prepared = statements.prepared(TodoQueries.retrieve_todo)
    assert prepared.name == "todos.retrieve_todo"
    assert statements.prepared(TodoQueries.retrieve_todo) is prepared


def test_a_page_and_what_it_is_of_share_their_parameters(statements: Statements) -> None:
    """One call gives them to both."""
    statements.declare("todos", TodoQueries)
    page, parent = statements.prepared(TodoQueries.list_todos), statements.prepared(TodoQueries.retrieve_todo)
    with pytest.raises(TypeError) as refused:
        page.page_of(parent)
    assert str(refused.value) == (
        "todos.retrieve_todo takes id, and todos.list_todos does not: give the two the same name"
    )


def test_a_declared_statement_that_is_refused_is_named(statements: Statements) -> None:
    """By feature and attribute, and nothing is kept of it."""

    class Careless(Queries):
        everything = sa.select(TABLE)

    (line,) = statements.declare("notes", Careless)
    assert line.startswith("notes.everything: uses the ")
    assert statements.declared == ()


UNANSWERED: dict[str, tuple[Any, str]] = {
    "text": (sa.text("SELECT 1"), "is text() that does not say its columns: write text(...).columns(...)"),
    "nothing returned": (sa.delete(Todo), "returns nothing: write .returning(...) for an answer as JSON"),
    "text among columns": (
        sa.select(sa.text("title")).select_from(Todo),
        "selects text(), which has no name: write literal_column(...).label(...) for an answer as JSON",
    ),
    "no name": (
        sa.select(sa.literal_column("lower(title)")).select_from(Todo),
        "has a column without a name, lower(title): write .label(...) for an answer as JSON",
    ),
    "a sign": (
        sa.select(-sa.func.length(Todo.title)),
        "has a column without a name, -length(todoservice.todos.title): write .label(...) for an answer as JSON",
    ),
    "one name twice": (
        sa.select(col(Todo.title).label("x"), col(Todo.description).label("x")),
        "has two columns named x: write .label(...) for an answer as JSON",
    ),
    "the host's name": (
        sa.select(sa.select(Todo).cte("_rows").c.id),
        "holds the name _rows, which the host has beside it: write another for an answer as JSON",
    ),
}


@pytest.mark.parametrize(("statement", "why"), UNANSWERED.values(), ids=UNANSWERED)
def test_what_has_no_names_is_not_answered_as_json(statements: Statements, statement: Any, why: str) -> None:
    """The message says what to write; as rows it can be declared."""
    statements.declare("notes", type("NoteQueries", (Queries,), {"it": statement}))
    prepared = statements.prepared(statement)
    assert [shape for shape, _ in prepared.messages()] == ["all"]
    with pytest.raises(TypeError) as refused:
        prepared.json(Shape.ONE)
    assert str(refused.value).startswith(f"notes.it {why}")


def test_defaults_of_a_row_are_filled(statements: Statements) -> None:
    """The id, the instant that it says, and the model's own defaults."""
    values = statements.prepared(TodoQueries.create_todo).parameters(ME, {"title": "x"})
    assert values["p_me"] == ME
    assert uuid7_time(values["p_id"]) == values["p_created_at"]
    assert (values["p_title"], values["p_description"], values["p_is_completed"]) == ("x", None, False)


def test_an_absent_parameter_is_told_from_null(statements: Statements) -> None:
    """`param(..., else_=...)` keeps what is there; None clears it."""
    update = statements.prepared(TodoQueries.update_todo)
    absent = update.parameters(ME, {"id": ME})
    cleared = update.parameters(ME, {"id": ME, "description": None})
    assert (absent["p_description__given"], cleared["p_description__given"]) == (False, True)


def test_a_missing_parameter_is_told(statements: Statements) -> None:
    """With all there are."""
    statements.declare("todos", TodoQueries)
    with pytest.raises(TypeError) as refused:
        statements.prepared(TodoQueries.list_todos).parameters(ME, {"limit": 1})
    assert str(refused.value) == "todos.list_todos needs before: its parameters are before, limit"


@pytest.mark.parametrize("name", ["me", "user_id", "colour"])
def test_an_unknown_parameter_is_told(statements: Statements, name: str) -> None:
    """The user's own among them: nobody binds it but the host."""
    with pytest.raises(TypeError, match=f"has no parameter {name}: its parameters are "):
        statements.prepared(sa.insert(Todo)).parameters(ME, {"title": "x", name: ME})


@pytest.mark.parametrize("name", ["me", "title__given"])
def test_a_reserved_parameter_cannot_be_made(name: str) -> None:
    """The host binds it itself."""
    with pytest.raises(ValueError, match=f"the parameter name '{name}' is reserved"):
        param(name)
