"""The audit accepts what it can prove confined to the user, and refuses everything else."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from audit_models import Mood, Slug, Step
from audit_refusals import REFUSED
from audit_shapes import ACCEPTED, MINE
from audit_shapes import T as TODOS
from psycopg2.extensions import AsIs
from psycopg2.sql import SQL
from sqlalchemy import make_url
from todoservice_todos.models import Todo
from todoservice_todos.queries import TodoQueries

from todoservice import UnscopedStatement, uuid7
from todoservice.audit import Audit, Verdict
from todoservice.audit.verdicts import Verdicts
from todoservice.shapes import SEPARATOR, Column, Columns, Shape
from todoservice.statements import Statements

ME = uuid7()
OTHER = uuid7()
VALUES: dict[str, Any] = {
    "me": ME,
    "id": uuid7(),
    "new": uuid7(),
    "ids": [uuid7()],
    "tuple": ("a", "b"),
    "title": "a",
    "n": 5,
    "when": datetime(2026, 1, 1, tzinfo=UTC),
}


def values(text: str) -> dict[str, Any]:
    """Return the values of the parameters that the text names."""
    return {name: value for name, value in VALUES.items() if f"%({name})s" in text}


def table(model: Any) -> sa.Table:
    """Return the table of a model."""
    found: sa.Table = model.__table__
    return found


@pytest.fixture(scope="module")
def audit() -> Audit:
    """Return the audit of an app with these tables."""
    return Audit(map(table, [Todo, Step, Slug]), [table(Mood)])


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_confined_is_accepted(audit: Audit, text: str) -> None:
    """With the user bound."""
    audit.check(text, values(text), ME)


@pytest.fixture
def cursor(fresh_url: str) -> Iterator[Any]:
    """Return a cursor of a database that has the tables, each with a row of the user's."""
    engine = sa.create_engine(make_url(fresh_url).set(drivername="postgresql+psycopg2"))
    with engine.begin() as connection:
        for model in (Step, Mood, Slug):
            table(model).create(connection)
        connection.execute(sa.text("INSERT INTO todoservice.users (id) VALUES (:me)"), {"me": ME})
        connection.execute(
            sa.insert(table(Todo)), {"user_id": ME, "id": VALUES["id"], "title": "a", "created_at": VALUES["when"]}
        )
        connection.exec_driver_sql("ALTER TABLE todoservice.todos ALTER created_at SET DEFAULT now()")
        connection.exec_driver_sql("ALTER TABLE todoservice.todos ALTER is_completed SET DEFAULT false")
    raw = engine.raw_connection()
    try:
        yield raw.cursor()
    finally:
        raw.close()
        engine.dispose()


def test_what_is_accepted_is_sql(cursor: Any) -> None:
    """PostgreSQL runs every statement of the table above: none is accepted that nobody could write."""
    failed = {}
    for name, text in ACCEPTED.items():
        try:
            cursor.execute(text, values(text))
        except Exception as error:  # noqa: BLE001 - told below
            failed[name] = f"{error} {text}"
        cursor.connection.rollback()
    assert failed == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [pytest.param(text, why, id=f"{why}-{name}") for why, shapes in REFUSED.items() for name, text in shapes.items()],
)
def test_what_is_not_proven_is_refused(audit: Audit, text: str, why: str) -> None:
    """With what is wrong about it."""
    with pytest.raises(UnscopedStatement) as refused:
        audit.check(text, values(text), ME)
    assert why in str(refused.value).split(" It is: ")[0]


@pytest.mark.parametrize("shape", [None, *Shape])
@pytest.mark.parametrize(
    "name", [name for name, value in vars(TodoQueries).items() if isinstance(value, sa.Executable)]
)
def test_the_queries_of_todos_are_accepted(audit: Audit, name: str, shape: Shape | None) -> None:
    """In each shape of answer, by an audit that has not seen what it is made of."""
    prepared = Statements([Todo], sa.create_engine("postgresql+psycopg2://").dialect).prepared(
        getattr(TodoQueries, name)
    )
    message = prepared.sent if shape is None else prepared.json(shape)
    text, _ = message.bound(dict.fromkeys(prepared.compiled.binds))
    verdict = audit.verdict(text)
    assert (verdict.fault, verdict.users) == (None, ("p_me",))


COLUMNS = Columns((Column("id"), Column("created_at", is_instant=True), Column("oid")))


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED)
def test_an_answer_as_json_is_what_its_own_proof_says_of_it(audit: Audit, text: str, shape: Shape) -> None:
    """It is taken as proven since its statement is; a proof of the whole finds the same."""
    answer = audit.answer(COLUMNS, shape, text)
    assert audit.verdict(answer) == Audit(map(table, [Todo, Step, Slug]), [table(Mood)]).verdict(answer)


PAGE = f"SELECT t.id {MINE} AND t.id < %(id)s ORDER BY t.id DESC LIMIT %(n)s"


@pytest.mark.parametrize("text", [PAGE, "SELECT 1 AS id"], ids=["page", "constant"])
@pytest.mark.parametrize("parent", ACCEPTED.values(), ids=ACCEPTED)
def test_so_is_an_answer_that_asks_for_a_parent(audit: Audit, text: str, parent: str) -> None:
    """The parameters of the two are told apart, and both are looked at."""
    answer = audit.answer(COLUMNS, Shape.PAGE, text, parent)
    assert audit.verdict(answer) == Audit(map(table, [Todo, Step, Slug]), [table(Mood)]).verdict(answer)


def test_forgotten_answer_is_proven_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kept verdicts are bounded, and nothing else keeps one."""
    small = Audit([table(Todo)], [])
    answer = small.answer(COLUMNS, Shape.PAGE, PAGE)
    small.verdicts = Verdicts()
    monkeypatch.setattr(small, "prove", Verdict)
    assert small.verdict(answer) == Verdict(answer)


@pytest.mark.parametrize(("text", "parent"), [(f"SELECT id FROM {TODOS}", ""), (PAGE, f"SELECT id FROM {TODOS}")])
def test_what_is_not_proven_has_no_answer_as_json(audit: Audit, text: str, parent: str) -> None:
    """Neither a statement nor a parent."""
    with pytest.raises(UnscopedStatement, match=f"reaches {TODOS} without its user"):
        audit.answer(COLUMNS, Shape.PAGE, text, parent)


def test_no_text_of_another_kind_has_an_answer(audit: Audit) -> None:
    """It could write itself as something else than what was proven."""

    class Liar(str):
        __slots__ = ()

        def __format__(self, _: str) -> str:
            return f"SELECT id FROM {TODOS}"

    with pytest.raises(UnscopedStatement, match="a Liar cannot be audited"):
        audit.answer(COLUMNS, Shape.ONE, Liar(PAGE))
    with pytest.raises(ValueError, match="has a column without a name"):
        Column(Liar("id"))


def test_what_is_accepted_is_answered_as_json(cursor: Any, audit: Audit) -> None:
    """PostgreSQL makes as many objects as there are rows, with the names of the columns."""
    answered = 0
    for text in ACCEPTED.values():
        cursor.execute(text, values(text))
        names = [column.name for column in cursor.description or ()]
        if names and all(map(str.isidentifier, names)) and len(set(names)) == len(names):
            count = cursor.rowcount
            cursor.connection.rollback()
            columns = Columns(tuple(map(Column, names)))
            cursor.execute(audit.answer(columns, Shape.PAGE, text), values(text))
            objects, found = cursor.fetchone()
            assert found == count, text
            assert all(json.loads(item).keys() == set(names) for item in filter(None, objects.split(SEPARATOR))), text
            answered += 1
        cursor.connection.rollback()
    assert answered > 100


def test_a_refusal_says_what_to_write(audit: Audit) -> None:
    """And names the table and the statement."""
    verdict = audit.verdict("SELECT t.id\n FROM todoservice.todos AS t")
    assert verdict.fault == (
        "the statement reaches todoservice.todos without its user: add t.user_id = :me to the WHERE of that SELECT, "
        "UPDATE or DELETE, or to the ON of its join, as a condition of its own beside the rest, and parentheses "
        "around an OR. It is: SELECT t.id FROM todoservice.todos AS t"
    )


def test_a_long_statement_is_cut_in_the_message(audit: Audit) -> None:
    """It goes into a log."""
    fault = audit.verdict(f"SELECT {', '.join(['1'] * 1000)} FROM todoservice.todos").fault
    assert fault is not None
    assert len(fault) < 500


def test_a_deep_statement_is_refused(audit: Audit) -> None:
    assert audit.verdict("SELECT " + "- " * 5000 + "1").fault
    assert audit.verdict("SELECT 1" + " + 1" * 5000).fault


def test_functions_can_be_allowed() -> None:
    """By their names, in any case."""
    audit = Audit([], [], ["Similarity"])
    audit.check("SELECT similarity('a', 'b')", None, ME)


class _Liar(int):
    def __eq__(self, other: object) -> bool:
        return other is not None

    __hash__ = int.__hash__


@pytest.mark.parametrize(
    "value",
    [
        UUID(int=_Liar(OTHER.int)),
        OTHER,
        str(ME),
        None,
        ME.bytes,
        [ME],
        (ME,),
        AsIs("user_id"),
        type("Sub", (UUID,), {})(str(ME)),
    ],
    ids=[
        "another user that says it is equal",
        "another user",
        "text",
        "null",
        "bytes",
        "list",
        "tuple",
        "sql",
        "subclass",
    ],
)
def test_only_the_user_is_bound_as_the_user(audit: Audit, value: object) -> None:
    """Exactly, as a UUID."""
    with pytest.raises(UnscopedStatement, match="another value than the scope's user in its parameter me"):
        audit.check(f"SELECT t.id {MINE}", {"me": value}, ME)


def test_a_missing_user_is_refused(audit: Audit) -> None:
    """Whoever else is bound."""
    with pytest.raises(UnscopedStatement, match="another value than the scope's user"):
        audit.check(f"SELECT t.id {MINE}", {"user": ME}, ME)


def test_each_user_of_a_statement_is_compared(audit: Audit) -> None:
    """Where its tables have parameters of their own."""
    text = f"SELECT t.id {MINE} UNION SELECT s.id FROM todoservice.steps AS s WHERE s.user_id = %(you)s"
    audit.check(text, {"me": ME, "you": ME}, ME)
    with pytest.raises(UnscopedStatement, match="in its parameter you"):
        audit.check(text, {"me": ME, "you": OTHER}, ME)


def test_one_text_with_changing_values(audit: Audit) -> None:
    """Each time is compared, whatever came before."""
    text = f"SELECT t.title {MINE}"
    audit.check(text, {"me": ME}, ME)
    audit.check(text, {"me": OTHER}, OTHER)
    with pytest.raises(UnscopedStatement):
        audit.check(text, {"me": ME}, OTHER)
    audit.check(text, {"me": ME}, ME)


INSERT = "INSERT INTO todoservice.todos (user_id, id, title) VALUES (%(me)s, %(id)s, 'x'), (%(you)s, %(id)s, 'x')"


def test_each_row_inserted_is_the_users(audit: Audit) -> None:
    """The second too."""
    audit.check(INSERT, {"me": ME, "you": ME, "id": OTHER}, ME)
    with pytest.raises(UnscopedStatement, match="in its parameter you"):
        audit.check(INSERT, {"me": ME, "you": OTHER, "id": OTHER}, ME)


TITLED = f"SELECT t.id {MINE} AND t.title = %(title)s"
LISTED = f"SELECT t.id {MINE} AND t.title IN %(title)s"


def test_names_of_parameters_are_plain(audit: Audit) -> None:
    """Another kind may be another's name at the second look."""
    parameters: Any = {"me": ME, type("S", (str,), {})("title"): "a"}
    with pytest.raises(UnscopedStatement, match="whose name is no plain str"):
        audit.check(TITLED, parameters, ME)


def test_tuple_is_accepted_after_in_only(audit: Audit) -> None:
    """Elsewhere psycopg2 would write several values in place of one."""
    audit.check(LISTED, {"me": ME, "title": ("a", None)}, ME)
    with pytest.raises(UnscopedStatement, match="binds a tuple to title, which is a list of values: write IN before"):
        audit.check(TITLED, {"me": ME, "title": ("a", None)}, ME)


class _Mapping(dict[str, Any]):
    """Answers each look-up with something else."""


@pytest.mark.parametrize("parameters", [_Mapping(me=ME), [ME], (ME,), {"me"}], ids=["subclass", "list", "tuple", "set"])
def test_parameters_are_a_plain_dictionary(audit: Audit, parameters: Any) -> None:
    """Another kind may answer psycopg2 otherwise than the audit."""
    with pytest.raises(UnscopedStatement, match="has no plain dictionary of parameters"):
        audit.check(f"SELECT t.id {MINE}", parameters, ME)


def test_a_percent_sign_needs_parameters(audit: Audit) -> None:
    """Without any, psycopg2 sends the text as it is, which is another statement."""
    audit.check("SELECT 5 %% 2", {}, ME)
    with pytest.raises(UnscopedStatement, match="has no parameters: give a dictionary of them"):
        audit.check("SELECT 5 %% 2", None, ME)


@pytest.mark.parametrize("text", [b"SELECT 1", SQL("SELECT 1"), type("S", (str,), {})("SELECT 1")])
def test_a_statement_is_text(audit: Audit, text: Any) -> None:
    """Nothing else can be read twice alike."""
    with pytest.raises(UnscopedStatement, match="cannot be audited: send the statement as a str"):
        audit.check(text, None, ME)
