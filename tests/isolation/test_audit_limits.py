"""The audit is bounded: in characters, tokens, and depth, in its steps, and in what it keeps."""

import sys
from collections.abc import Iterator
from typing import Any

import proofs
import pytest
import sqlalchemy as sa
from audit_models import Step
from hypothesis import given, settings
from hypothesis import strategies as st
from plugin_modules import module
from sqlmodel import col
from todoservice_todos.models import Todo

from todoservice import Queries, Settings, UnscopedStatement, uuid7
from todoservice.audit import Audit, Limits
from todoservice.audit.verdicts import Verdict, Verdicts
from todoservice.plugins.host import Host
from todoservice.shapes import Column, Columns, Shape
from todoservice.statements import Statements

ME = uuid7()
MINE = "SELECT t.id FROM todoservice.todos AS t WHERE t.user_id = %(me)s"
UNLIMITED = Limits(characters=10**9, tokens=10**9, depth=10**9)
TABLES: list[Any] = [model.__dict__["__table__"] for model in (Todo, Step)]


def audit(limits: Limits | None = None) -> Audit:
    """Return an audit of todos and steps."""
    return Audit(TABLES, [], limits=limits)


# Limits


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("SELECT '" + "a" * 20_000 + "'", "more than 20000 characters: split it, bind what is long, or raise "
         "TODOSERVICE_STATEMENT_CHARACTERS"),
        ("SELECT 1" + ", 1" * 2_000, "more than 1500 tokens: split it, bind what is long, or raise "
         "TODOSERVICE_STATEMENT_TOKENS"),
        ("SELECT " + "(" * 21 + "1" + ")" * 21, "more than 20 levels of nesting: split it, bind what is long, or raise "
         "TODOSERVICE_STATEMENT_DEPTH"),
    ],
)  # fmt: skip
def test_text_over_a_limit_is_refused_with_its_setting(text: str, fault: str) -> None:
    assert f"the statement has {fault}" in str(audit().verdict(text).fault)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT " + "ARRAY[" * 21 + "1" + "]" * 21,
        "SELECT " + "CASE WHEN true THEN " * 21 + "1" + " END" * 21,
        "SELECT " + "NOT " * 21 + "true",
        "SELECT " + "- " * 21 + "1",
        "SELECT now()" + " AT TIME ZONE 'UTC'" * 21,
        "SELECT " + "CASE WHEN (SELECT x.end FROM (SELECT 1) AS x) = 1 THEN " * 21 + "1" + " END" * 21,
    ],
)
def test_depth_counts_everything_that_the_parser_descends_for(text: str) -> None:
    assert "more than 20 levels of nesting" in str(audit().verdict(text).fault)


@pytest.mark.parametrize(
    "text", ["SELECT (1 END) ", "SELECT CASE WHEN (true END) THEN 1", "SELECT 1)", "SELECT ARRAY[1)", "SELECT (1]",
             "SELECT 1 FROM (SELECT 1) AS a JOIN (SELECT 1) AS b"],
)  # fmt: skip
def test_what_has_no_end_is_refused_before_it_is_parsed(text: str) -> None:
    assert "without its end" in str(audit().verdict(text).fault)


def test_joins_whose_on_comes_later_are_bounded() -> None:
    text = "SELECT 1 FROM (SELECT 1) AS a" + "".join(f" JOIN (SELECT 1) AS b{n}" for n in range(4)) + " ON true" * 4
    assert "nests joins without parentheses: write the ON of each JOIN behind its table" in str(
        audit().verdict(text).fault
    )


def test_type_takes_only_numbers_in_parentheses() -> None:
    assert "gives the type text something else than numbers in parentheses" in str(
        audit().verdict("SELECT CAST(1 AS text(CAST(1 AS text)))").fault
    )


def test_limits_are_read_from_the_settings() -> None:
    class Wide(Queries):
        wide: Any = sa.select(*[sa.literal_column("1").label(f"c{number}") for number in range(200)])

    notes = module("notes", todoservice_queries=Wide)
    assert Host.load(Settings.load(), [notes]).faults == ()
    (fault,) = Host.load(Settings.load({"statement_tokens": 300}), [notes]).faults
    assert str(fault).startswith(
        "P308 notes (module notes): notes.wide: the statement has more than 300 tokens: split it, bind what is long, "
        "or raise TODOSERVICE_STATEMENT_TOKENS. It is: SELECT 1 AS c0"
    )
    assert len(Host.load(Settings.load({"statement_characters": 1000}), [notes]).faults) == 1


def test_answer_as_json_is_within_the_limits_too() -> None:
    columns = Columns((Column("id"),))
    limits = Limits(tokens=150)
    fits = "SELECT 1 AS id"
    assert audit(limits).verdict(audit(limits).answer(columns, Shape.PAGE, fits)).fault is None
    with pytest.raises(UnscopedStatement, match=r"more than 150 tokens.*, for its answer as JSON"):
        audit(limits).answer(columns, Shape.PAGE, f"SELECT 1 AS id{', 1' * 40}")


@pytest.mark.parametrize("shape", Shape)
def test_bounds_of_an_answer_hold_for_the_answer(shape: Shape) -> None:
    names = [Column(f"column{number}", is_instant=True) for number in range(30)]
    proven = audit(UNLIMITED)
    answer = proven.answer(Columns(tuple(names)), shape, MINE, MINE)
    bound, exact = proven.verdict(answer), audit(UNLIMITED).verdict(answer)
    assert bound == exact
    assert bound.tokens >= exact.tokens
    assert bound.depth >= exact.depth


@pytest.mark.parametrize("text", ["SELECT %% (x0) s", "SELECT 1 WHERE 1 = %% (x0) s", "SELECT (%% (x0) s)"])
def test_percent_sign_without_a_value_before_it_is_refused(text: str) -> None:
    assert "has a percent sign without a value before it" in str(audit().verdict(text).fault)


# Steps


@pytest.fixture
def deep_stack() -> Iterator[None]:
    """Let the parser descend as far as a text without limits needs."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    yield
    sys.setrecursionlimit(limit)


class _TooMany(BaseException):
    pass


def steps(text: str, most: int = 1_000_000) -> int:
    """Return how many calls the parser and the checker make for a text."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"
        if calls > most:
            raise _TooMany(text)

    checker = audit(UNLIMITED)
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        checker.prove(text)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.slow
def test_steps_grow_with_the_depth_of_every_construct(deep_stack: None) -> None:
    """A power of the depth would be eightfold or more from 15 to 30."""
    grown = {}
    for name, form in proofs.NESTED.items():
        shallow, middle, deep = (steps(proofs.nested(form, depth)) for depth in (5, 15, 30))
        if (deep - middle) / 15 > 1.3 * (middle - shallow) / 10 + 20:
            grown[name] = (shallow, middle, deep)
    assert grown == {}


def test_steps_grow_with_the_length_of_every_construct(deep_stack: None) -> None:
    grown = {}
    for name, chain in proofs.CHAINED.items():
        short, middle, long = (steps(chain(length)) for length in (10, 20, 40))
        if (long - middle) / 20 > 1.3 * (middle - short) / 10 + 20:
            grown[name] = (short, middle, long)
    assert grown == {}


@pytest.mark.slow
@settings(max_examples=400, deadline=None, derandomize=True)
@given(forms=st.lists(st.sampled_from(sorted(proofs.NESTED)), min_size=2, max_size=4, unique=True))
def test_steps_grow_with_the_depth_of_mixed_constructs(forms: list[str]) -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    mixed = "@"
    for form in forms:
        mixed = mixed.replace("@", proofs.NESTED[form])
    try:
        shallow, middle, deep = (steps(proofs.nested(mixed, depth)) for depth in (2, 4, 8))
    finally:
        sys.setrecursionlimit(before)
    assert (deep - middle) / 4 <= 1.3 * (middle - shallow) / 2 + 20


# Verdicts


def test_accident_is_raised_and_not_kept() -> None:
    """The caller's stack is nearly used up: the same text is proven a moment later."""
    proven, text = audit(), f"{MINE} AND {'(' * 15}true{')' * 15}"

    def descend(left: int) -> None:
        if left:
            descend(left - 1)
        else:
            proven.check(text, {"me": ME}, ME)

    with pytest.raises(UnscopedStatement, match=r"could not be read \(RecursionError\): write it in a simpler way"):
        descend(sys.getrecursionlimit() - 200)
    proven.check(text, {"me": ME}, ME)


def test_unforeseen_tree_is_raised_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    proven = audit()

    def fail(_: object) -> None:
        raise KeyError("this")

    with monkeypatch.context() as patched, pytest.raises(UnscopedStatement, match=r"could not be read \(KeyError\)"):
        patched.setattr("todoservice.audit.parse", fail)
        proven.verdict(MINE)
    assert proven.verdict(MINE).fault is None


def test_kept_verdicts_are_bounded_in_bytes() -> None:
    kept = Verdicts(10_000)
    for number in range(1000):
        kept.keep(f"SELECT {number} {'x' * 100}", Verdict(None))
    assert 5_000 < kept.size <= 10_000
    assert kept.get(f"SELECT 999 {'x' * 100}") is not None
    assert kept.get(f"SELECT 0 {'x' * 100}") is None
    kept.keep("x" * 20_000, Verdict(None))
    assert kept.get("x" * 20_000) is None
    assert kept.get(f"SELECT 999 {'x' * 100}") is not None


def test_verdict_that_is_used_stays() -> None:
    kept = Verdicts(10_000)
    kept.keep("used", Verdict(None))
    for number in range(1000):
        kept.keep(f"SELECT {number}", Verdict(None))
        assert kept.get("used") is not None


def test_text_over_the_limit_takes_no_place() -> None:
    proven = audit()
    proven.verdict("SELECT '" + "a" * 1_000_000 + "'")
    assert proven.verdicts.size == 0


def test_verdicts_of_declared_queries_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    class TodoQueries(Queries):
        titles = sa.select(col(Todo.id), col(Todo.title))

    dialect = sa.create_engine("postgresql+psycopg2://").dialect
    statements = Statements([Todo], dialect)
    assert statements.declare("todos", TodoQueries) == []
    prepared = statements.prepared("todos.titles")
    texts = [message.bound({"p_me": ME})[0] for _, message in prepared.messages()]
    for number in range(500):
        statements.audit.verdict(f"SELECT '{'y' * 19_000}{number}'")
    proofs_made: list[str] = []
    monkeypatch.setattr(statements.audit, "prove", proofs_made.append)
    for text in texts:
        statements.audit.check(text, {"p_me": ME}, ME)
    assert (len(texts), proofs_made) == (3, [])


# Columns


@pytest.mark.parametrize(
    "text",
    [
        "SELECT s.peek FROM (SELECT 1 AS a) AS s",
        "SELECT s.peek FROM (SELECT t.* FROM todoservice.todos AS t WHERE t.user_id = %(me)s) AS s",
        "WITH s AS (SELECT 1 AS a) SELECT s.peek FROM s",
        "WITH s AS (SELECT 1 AS a) SELECT x.peek FROM s AS x",
        "WITH s(a) AS (SELECT 1 AS peek) SELECT s.peek FROM s",
        "WITH RECURSIVE s AS (SELECT 1 AS a UNION SELECT s.peek FROM s) SELECT 1",
        "SELECT s.peek FROM (VALUES (1)) AS s",
        "SELECT s.peek FROM (VALUES (1)) AS s(a)",
        "SELECT s.peek FROM (SELECT 1 UNION SELECT 2 AS peek) AS s",
        "SELECT s.peek FROM (SELECT 1 AS peek) AS s(a)",
        "SELECT s.peek FROM (SELECT CAST(1 AS text)) AS s",
        "SELECT 1 FROM (SELECT 1 AS a) AS s WHERE s.peek = 1",
        "SELECT 1 FROM (SELECT 1 AS a) AS s ORDER BY s.peek",
        "SELECT 1 FROM (SELECT 1 AS a) AS s GROUP BY s.peek",
        "SELECT 1 FROM (SELECT 1 AS a) AS s JOIN (SELECT 1 AS b) AS u ON u.peek = 1",
        "SELECT 1 FROM (SELECT 1 AS a) AS s, LATERAL (SELECT s.peek) AS u",
        "SELECT u.peek FROM (SELECT 1 AS a) AS s, LATERAL (SELECT s.a) AS u",
        "SELECT 1 FROM (SELECT 1 AS a) AS s, unnest(ARRAY[s.peek]) AS u",
        "SELECT (SELECT s.peek) FROM (SELECT 1 AS a) AS s",
        "WITH s AS (DELETE FROM todoservice.todos WHERE user_id = %(me)s RETURNING id) SELECT s.peek FROM s",
        "WITH s AS (INSERT INTO todoservice.todos (user_id, id, title) VALUES (%(me)s, %(id)s, 'x') RETURNING *) "
        "SELECT s.peek FROM s",
        "SELECT s.peek FROM (SELECT * FROM (SELECT 1 AS a) AS u) AS s",
        "SELECT peek.peek FROM unnest(ARRAY[1], ARRAY[2]) AS peek",
        "SELECT peek.peek FROM unnest(to_tsvector('a')) AS peek",
        "SELECT peek.peek FROM unnest(%(ids)s) AS peek",
        "SELECT peek.peek FROM todoservice.todos AS t, unnest(ARRAY[t]) AS peek WHERE t.user_id = %(me)s",
        "SELECT peek.peek FROM (SELECT 1 AS a) AS s, unnest(ARRAY[s.a]) AS peek",
        "SELECT peek.peek FROM todoservice.todos AS t, coalesce(t) AS peek WHERE t.user_id = %(me)s",
        "SELECT peek.peek FROM todoservice.todos AS t, LATERAL nullif(t, t) AS peek WHERE t.user_id = %(me)s",
    ],
)
def test_function_in_the_notation_of_a_column_is_refused(text: str) -> None:
    """PostgreSQL reads `s.peek` as `peek(s)` if s has no column peek."""
    fault = str(audit().verdict(text).fault)
    assert "uses peek, which is no known column of" in fault
    assert "give it that name there, with AS, or in a list of columns, as in AS" in fault


@pytest.mark.parametrize(
    "text",
    [
        "SELECT s.a FROM (SELECT 1 AS a) AS s",
        "SELECT s.b FROM (SELECT 1 AS a) AS s(b)",
        "SELECT s.column1, s.column2 FROM (VALUES (1, 2)) AS s",
        "SELECT s.a, s.column2 FROM (VALUES (1, 2)) AS s(a)",
        "SELECT s.count, s.now FROM (SELECT count(*), now()) AS s",
        "SELECT s.title FROM (SELECT CAST(t.title AS text) FROM todoservice.todos AS t WHERE t.user_id = %(me)s) AS s",
        "SELECT s.id, s.title FROM (SELECT * FROM todoservice.todos AS t WHERE t.user_id = %(me)s) AS s",
        "SELECT s.a FROM (SELECT 1 AS a UNION SELECT 2) AS s",
        "WITH s AS (SELECT 1 AS a), u AS (SELECT * FROM s) SELECT u.a FROM u",
        "WITH RECURSIVE s(a) AS (SELECT 1 UNION SELECT s.a FROM s) SELECT s.a FROM s",
        "WITH s AS (DELETE FROM todoservice.todos WHERE user_id = %(me)s RETURNING *) SELECT s.title FROM s",
        "SELECT u.a FROM (SELECT 1 AS a) AS s, LATERAL (SELECT s.a) AS u",
        "SELECT u.x FROM (SELECT 1 AS a) AS s, unnest(ARRAY[s.a]) AS u(x)",
        "SELECT u.u FROM unnest(CAST(%(ids)s AS uuid[])) AS u",
        "SELECT u.u FROM unnest(ARRAY[1, CAST(2 AS int)]) AS u",
        "SELECT u.u FROM generate_series(1, 2) AS u",
    ],
)
def test_column_of_a_query_is_known_by_its_name(text: str) -> None:
    assert audit().verdict(text).fault is None
