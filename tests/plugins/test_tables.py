"""A declared table reveals nothing across users: its columns, keys, and constraints are checked at start."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import todoservice_todos
from plugin_modules import faults, forgotten, module
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.operators import custom_op
from sqlmodel import Field

from todoservice import Owned, Settings, Shared
from todoservice.models import SCHEMA, metadata
from todoservice.plugins.host import Host

_numbers = count()
UNIQUE = "unique over all users, which tells one what another has: add user_id to it as a plain column, compared by ="
USERS = "to todoservice.users, which shows whether a user exists: keep the id without it"
COUNTS = "which reveals how many rows other users add: leave it out: id is unique, and sorts by time"
CALLS = "which could reveal what other users do: leave it out, or allow the function in TODOSERVICE_ALLOWED_FUNCTIONS"
UNREADABLE = "that cannot be read: write it without comments, escapes, and dollar quotes"
USER_ID = metadata.tables["todoservice.users"].c.id


@pytest.fixture(autouse=True)
def own_tables() -> Iterator[None]:
    """Remove the tables that the test has made."""
    with forgotten():
        yield


def table_class(*items: Any, base: Any = Owned, **columns: Any) -> Any:
    """Return a table class with these columns, constraints, and indexes; the last item may be table arguments."""
    name = f"notes_{next(_numbers)}"
    attributes = {"__tablename__": name, "__table_args__": items, "__module__": __name__, "__annotations__": {}}
    for column, made in columns.items():
        attributes[column] = Field(sa_column=made)
        attributes["__annotations__"][column] = Any  # type: ignore[index]
    if base is Shared:
        attributes["key"] = Field(primary_key=True)
        attributes["__annotations__"]["key"] = UUID  # type: ignore[index]
    return type(base)(f"Note{name}", (base,), attributes, table=True)


def found(model: Any, **settings: Any) -> list[str]:
    """Return the faults of a table class, each without its name and plugin."""
    plugins = (module(todoservice_models=[model]), todoservice_todos)
    lines = map(str, Host.load(Settings.load(settings), plugins, serving=False).faults)
    name = model.__tablename__
    return [
        line.replace("notes (module notes): ", "").replace(f"Note{name} ", "").replace(name, "TABLE") for line in lines
    ]


def text_column(**options: Any) -> Any:
    """Return a column of text."""
    return sa.Column(sa.Text, **options)


def plain(*items: Any, **columns: Any) -> Any:
    """Return a table class that has the columns `title`, `archived`, and `span` besides."""
    given = {"title": text_column(), "archived": sa.Column(sa.Boolean), "span": sa.Column(postgresql.INT4RANGE)}
    return table_class(*items, **given, **columns)


def indexed(first: Any) -> Any:
    """Return a table class with a unique index of the title and what `first` returns of its columns."""
    model = plain()
    sa.Index("one", first(model.__table__.c), model.__table__.c.title, unique=True)
    return model


ACCEPTED = {
    "partial index": lambda: plain(
        sa.Index("one", "user_id", "title", unique=True, postgresql_where=sa.text("NOT archived"))
    ),
    "expressions beside user_id": lambda: plain(
        sa.Index("one", sa.text("lower(title)"), "user_id", sa.text("coalesce(title, 'x')"), unique=True)
    ),
    "ordered user_id": lambda: indexed(lambda table: table.user_id.desc().nulls_last()),
    "unique constraint": lambda: plain(sa.UniqueConstraint("title", "user_id", postgresql_include=["archived"])),
    "exclusion constraint": lambda: plain(
        postgresql.ExcludeConstraint(("user_id", "="), ("span", "&&"), where=sa.text("NOT archived"))
    ),
    "unnamed index": lambda: plain(sa.Index(None, sa.func.length("title"), postgresql_using="hash")),
    "server defaults": lambda: table_class(
        made=sa.Column(sa.DateTime(timezone=True), server_default=sa.func.now()),
        changed=sa.Column(sa.DateTime(timezone=True), server_default=sa.text("(now() AT TIME ZONE 'utc')")),
        state=text_column(server_default="nextval('numbers')"),
        data=sa.Column(postgresql.JSONB, server_default=sa.text("'{}'::jsonb")),
        code=sa.Column(sa.Uuid, server_default=sa.text("pg_catalog.gen_random_uuid()"), default=lambda: UUID(int=1)),
        price=sa.Column(sa.Numeric(10, 2), server_default=sa.text("0::numeric(10, 2)")),
    ),
    "checks": lambda: plain(
        sa.CheckConstraint(r"title ~ '^[^@]+@\d+$' AND char_length(btrim(title)) BETWEEN 1 AND 9", name="a"),
        sa.CheckConstraint("(title IS NULL) <> (archived IS NULL) OR title IN ('it''s', 'nextval(1)')", name="b"),
        sa.CheckConstraint(sa.column("title") != "x", name="c"),
    ),
    "computed": lambda: plain(words=sa.Column(postgresql.TSVECTOR, sa.Computed("to_tsvector('english', title)"))),
    "cast to a type of a length": lambda: plain(
        sa.CheckConstraint("CAST(title AS bit(3)) <> title::varbit(4)::bit varying(5)", name="bits")
    ),
    "choice": lambda: table_class(
        kind=sa.Column(sa.Enum("a", "b", name="kind", native_enum=False, create_constraint=True))
    ),
    "number of a shared table": lambda: table_class(
        base=Shared, number=sa.Column(sa.BigInteger, sa.Identity(), sa.CheckConstraint("odd(number)", name="odd"))
    ),
    "storage": lambda: plain({"postgresql_with": {"fillfactor": 70}, "postgresql_using": "heap"}),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_table_that_reveals_nothing_is_accepted(kind: str) -> None:
    """Partial, ordered, and computed parts beside user_id included."""
    assert found(ACCEPTED[kind]()) == []


def test_foreign_key_to_shared_table_is_accepted() -> None:
    """Its rows are the same for all users."""
    shared = table_class(base=Shared)
    key = sa.Column(sa.Uuid, sa.ForeignKey(f"{SCHEMA}.{shared.__tablename__}.key"))
    assert faults(module(todoservice_models=[shared, table_class(colour=key)])) == []


class Decorated(sa.TypeDecorator[int]):
    """A domain that counts, under another type."""

    impl = postgresql.DOMAIN("number", sa.BigInteger, default=sa.text("nextval('n')"))
    cache_ok = True


class Serial(sa.types.UserDefinedType[int]):
    """A type that brings a sequence."""

    cache_ok = True

    def get_col_spec(self, **_options: Any) -> str:
        """Return its name."""
        return "BIGSERIAL"


REFUSED: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "identity": (
        lambda: table_class(number=sa.Column(sa.BigInteger, sa.Identity(always=True))),
        [f"P311 has the column number with an identity, {COUNTS}"],
    ),
    "sequence": (
        lambda: table_class(number=sa.Column(sa.BigInteger, sa.Sequence("numbers"))),
        [f"P311 has the column number with a sequence, {COUNTS}"],
    ),
    "sequence on update": (
        lambda: table_class(number=sa.Column(sa.BigInteger, onupdate=sa.Sequence("numbers"))),
        [f"P311 has the column number with a sequence, {COUNTS}"],
    ),
    "sequence as server default": (
        lambda: table_class(number=sa.Column(sa.BigInteger, server_default=sa.Sequence("numbers").next_value())),
        [f"P311 calls nextval in the server_default of number, {CALLS}"],
    ),
    "nextval": (
        lambda: table_class(number=sa.Column(sa.BigInteger, server_default=sa.text("'a' || NEXTVAL ('numbers')"))),
        [f"P311 calls nextval in the server_default of number, {CALLS}"],
    ),
    "quoted nextval": (
        lambda: table_class(
            number=sa.Column(sa.BigInteger, server_default=sa.text("abs(pg_catalog . \"nextval\"('numbers'))"))
        ),
        [f"P311 calls nextval in the server_default of number, {CALLS}"],
    ),
    "allowed name of another schema": (
        lambda: table_class(number=sa.Column(sa.BigInteger, server_default=sa.text("other.random()"))),
        [f"P311 calls other.random in the server_default of number, {CALLS}"],
    ),
    "grammar as the name of a function": (
        lambda: table_class(number=text_column(server_default=sa.text("other.left('a')"))),
        [f"P311 calls other.left in the server_default of number, {CALLS}"],
    ),
    "open literal": (
        lambda: table_class(number=text_column(server_default=sa.text("it's"))),
        [f"P311 has SQL in the server_default of number {UNREADABLE}"],
    ),
    "activity of others": (
        lambda: table_class(number=sa.Column(sa.BigInteger, server_default=sa.func.pg_current_xact_id())),
        [f"P311 calls pg_current_xact_id in the server_default of number, {CALLS}"],
    ),
    "comment": (
        lambda: table_class(number=sa.Column(sa.BigInteger, server_default=sa.text("nextval/**/('numbers')"))),
        [f"P311 has SQL in the server_default of number {UNREADABLE}"],
    ),
    "escapes": (
        lambda: table_class(number=text_column(server_default=sa.text(r"E'\'' || nextval('n') || E'\''"))),
        [f"P311 has SQL in the server_default of number {UNREADABLE}"],
    ),
    "default": (
        lambda: table_class(number=sa.Column(sa.BigInteger, default=sa.func.txid_current())),
        [f"P311 calls txid_current in the default of number, {CALLS}"],
    ),
    "onupdate": (
        lambda: table_class(number=sa.Column(sa.BigInteger, onupdate=sa.func.lastval())),
        [f"P311 calls lastval in the onupdate of number, {CALLS}"],
    ),
    "computed": (
        lambda: table_class(number=sa.Column(sa.BigInteger, sa.Computed("next_number(1)"))),
        [f"P311 calls next_number in the expression of number, {CALLS}"],
    ),
    "domain": (
        lambda: table_class(
            number=sa.Column(
                postgresql.DOMAIN("number", sa.BigInteger, default=sa.text("nextval('n')"), check="odd(VALUE)")
            )
        ),
        [f"P311 calls {name} in the domain number, {CALLS}" for name in ("nextval", "odd")],
    ),
    "domain of a list": (
        lambda: table_class(number=sa.Column(sa.ARRAY(Decorated()))),
        [f"P311 calls nextval in the domain number, {CALLS}"],
    ),
    "serial": (
        lambda: table_class(number=sa.Column(Serial())),
        [f"P311 has the column number with a sequence, {COUNTS}"],
    ),
    "check": (
        lambda: plain(sa.CheckConstraint("is_free(title)", name="free")),
        [f"P311 calls is_free in ck_TABLE_free, {CALLS}"],
    ),
    "function of an index": (
        lambda: plain(sa.Index("short", sa.func.shorten(sa.text("title")), postgresql_where="is_new(title)")),
        [f"P311 calls {name} in short, {CALLS}" for name in ("shorten", "is_new")],
    ),
    "function of an exclusion constraint": (
        lambda: plain(postgresql.ExcludeConstraint(("user_id", "="), (sa.text("spread(span)"), "&&"), name="apart")),
        [f"P311 calls spread in apart, {CALLS}"],
    ),
    "foreign key to users": (
        lambda: table_class(friend=sa.Column(sa.Uuid, sa.ForeignKey("todoservice.users.id"))),
        [f"P303 has a foreign key (friend) {USERS}"],
    ),
    "foreign key without a schema": (
        lambda: table_class(friend=sa.Column(sa.Uuid, sa.ForeignKey("users.id"))),
        [f"P303 has a foreign key (friend) {USERS}"],
    ),
    "foreign key to a column object": (
        lambda: table_class(friend=sa.Column(sa.Uuid, sa.ForeignKey(USER_ID, use_alter=True, name="late"))),
        [f"P303 has a foreign key (friend) {USERS}"],
    ),
    "composite foreign key to users": (
        lambda: table_class(
            sa.ForeignKeyConstraint(
                ["user_id", "since"], ["todoservice.users.id", "todoservice.users.created_at"], use_alter=True, name="x"
            ),
            since=sa.Column(sa.DateTime(timezone=True)),
        ),
        [f"P303 has a foreign key (user_id, since) {USERS}"],
    ),
    "foreign key of a shared table": (
        lambda: table_class(base=Shared, user_id=sa.Column(sa.Uuid, sa.ForeignKey("todoservice.users.id"))),
        [f"P303 has a foreign key (user_id) {USERS}"],
    ),
    "foreign key to todos without a schema": (
        lambda: table_class(todo=sa.Column(sa.Uuid, sa.ForeignKey("todos.id"))),
        [
            "P303 has a foreign key (todo) that could point at another user's row: "
            "add user_id to it, which refers to todoservice.todos.user_id"
        ],
    ),
    "foreign key out of the schema": (
        lambda: table_class(person=sa.Column(sa.Integer, sa.ForeignKey("public.people.id"))),
        [
            "P303 has a foreign key (person) to public.people, which is no plugin's table, and shows whether a row "
            "exists there: keep the value without it, or refer to a table class derived from Shared"
        ],
    ),
    "unique length of user_id": (
        lambda: indexed(lambda table: sa.func.length(sa.cast(table.user_id, sa.Text)).desc()),
        [f"P303 has one, {UNIQUE}"],
    ),
    "unique length of user_id as text": (
        lambda: plain(sa.Index("one", "title", sa.text("length(user_id::text)"), unique=True)),
        [f"P303 has one, {UNIQUE}"],
    ),
    "unique by an operator of user_id": (
        lambda: indexed(lambda table: sa.UnaryExpression(table.user_id, operator=custom_op("##"))),
        [f"P303 has one, {UNIQUE}"],
    ),
    "included user_id": (
        lambda: plain(sa.Index("one", "title", unique=True, postgresql_include=["user_id"])),
        [f"P303 has one, {UNIQUE}"],
    ),
    "constraint that includes user_id": (
        lambda: plain(sa.UniqueConstraint("title", name="one", postgresql_include=["user_id"])),
        [f"P303 has one, {UNIQUE}"],
    ),
    "operator class": (
        lambda: plain(sa.Index("one", "user_id", "title", unique=True, postgresql_ops={"user_id": "all_equal_ops"})),
        [f"P303 has one, {UNIQUE}"],
    ),
    "column that is unique": (
        lambda: table_class(slug=text_column(unique=True)),
        [f"P303 has uq_TABLE_slug, {UNIQUE}"],
    ),
    "index that is unique": (
        lambda: table_class(slug=text_column(unique=True, index=True)),
        [f"P303 has ix_TABLE_slug, {UNIQUE}"],
    ),
    "exclusion without user_id": (
        lambda: plain(postgresql.ExcludeConstraint(("span", "&&"))),
        [f"P303 has an unnamed ExcludeConstraint, {UNIQUE}"],
    ),
    "exclusion by another operator": (
        lambda: plain(postgresql.ExcludeConstraint(("user_id", "<>"), ("title", "="), name="one")),
        [f"P303 has one, {UNIQUE}"],
    ),
    "exclusion by another operator class": (
        lambda: plain(
            postgresql.ExcludeConstraint(("user_id", "="), ("title", "="), name="one", ops={"user_id": "my_ops"})
        ),
        [f"P303 has one, {UNIQUE}"],
    ),
    "exclusion by an expression": (
        lambda: plain(
            postgresql.ExcludeConstraint((sa.text("length(user_id::text)"), "="), ("title", "="), name="one")
        ),
        [f"P303 has one, {UNIQUE}"],
    ),
    "child": (
        lambda: table_class({"postgresql_inherits": "todos"}),
        [
            "P311 has postgresql_inherits, and a query of a parent or child bypasses the policies of the other: "
            "leave it out"
        ],
    ),
    "partitions": (
        lambda: table_class({"postgresql_partition_by": "HASH (user_id)"}),
        [
            "P311 has postgresql_partition_by, and a query of a parent or child bypasses the policies of the other: "
            "leave it out"
        ],
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_table_that_reveals_something_is_refused(kind: str) -> None:
    """The message names the column or constraint, and the remedy."""
    make, lines = REFUSED[kind]
    assert found(make()) == lines


def test_check_leaves_a_table_as_it_was() -> None:
    """Its migration still makes the exclusion constraint."""
    model = ACCEPTED["exclusion constraint"]()
    assert found(model) == []
    assert "EXCLUDE" in str(sa.schema.CreateTable(model.__table__).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]


def test_operator_allows_a_function() -> None:
    """By its name in any case; a name with a schema is allowed with that schema only."""
    model = plain(
        sa.Index("short", sa.func.unaccent(sa.text("title"))),
        title_key=text_column(server_default=sa.text("todoservice.made_key()")),
    )
    assert found(model, allowed_functions="UNACCENT, todoservice.made_key") == []
    assert found(model, allowed_functions="unaccent") == [
        f"P311 calls todoservice.made_key in the server_default of title_key, {CALLS}"
    ]


def test_shared_model_of_a_created_view_is_refused() -> None:
    """SQLAlchemy marks the table of a CreateView."""
    view = sa.CreateView(sa.select(sa.literal(1).label("id")), "notes_view", metadata=metadata, schema=SCHEMA)

    class Seen(Shared):
        __table__ = view.table
        __mapper_args__ = {"primary_key": [view.table.c.id]}  # noqa: RUF012 - SQLAlchemy's form

    lines = faults(module(todoservice_models=[Seen]))
    assert lines == [
        "P311 notes (module notes): Seen is a view, and row-level security guards tables only: make it a table"
    ]


def test_model_of_a_query_is_refused() -> None:
    """It has no table."""

    class Seen(Shared):
        __table__ = sa.select(sa.literal(1).label("id")).subquery("notes_query")
        __mapper_args__ = {"primary_key": [__table__.c.id]}  # noqa: RUF012 - SQLAlchemy's form

    assert faults(module(todoservice_models=[Seen])) == [
        f"P301 notes (module notes): {Seen!r} is not a table class: derive it from Owned or Shared, with table=True"
    ]


def test_foreign_key_without_a_schema_needs_its_plugin() -> None:
    """SQLAlchemy completes the name with the schema of the metadata."""
    key = sa.ForeignKeyConstraint(["user_id", "todo"], ["todos.user_id", "todos.id"])
    model = table_class(key, todo=sa.Column(sa.Uuid))
    assert faults(module(todoservice_models=[model])) == [
        "P106 notes (module notes): it needs todos, which is not there: install the distribution that brings it"
    ]
