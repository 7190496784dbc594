"""The audit checks each part of a set operation and of a SELECT in parentheses."""

from typing import Any, Final

import pytest
from audit_models import Mood, Slug, Step
from audit_shapes import ME, MINE, M, S, T
from databases import ask
from todoservice_todos.models import Todo

from todoservice import uuid7
from todoservice.audit import Audit

TABLES: Final[list[Any]] = [model.__dict__["__table__"] for model in (Todo, Step, Slug)]
AUDIT: Final = Audit(TABLES, [Mood.__dict__["__table__"]])
OPERATIONS: Final = ["UNION", "UNION ALL", "EXCEPT", "EXCEPT ALL", "INTERSECT", "INTERSECT ALL"]
ONE: Final = f"SELECT t.id {MINE}"

QUERIES: Final = {
    **{operation: f"{ONE} {operation} {ONE}" for operation in OPERATIONS},
    "three": f"{ONE} UNION {ONE} EXCEPT {ONE}",
    "the left in parentheses": f"({ONE}) INTERSECT {ONE}",
    "the right in parentheses": f"{ONE} UNION ALL ({ONE} EXCEPT {ONE})",
    "a SELECT in parentheses": f"({ONE})",
    "a SELECT in two": f"(({ONE}))",
    "a set operation in parentheses": f"({ONE} UNION {ONE})",
}
FREE: Final = {
    "a query without its user": f"(SELECT count(*) FROM {S} AS s)",
    "a query in a function": f"coalesce((SELECT count(*) FROM {S} AS s), 1)",
    "a query in a query": f"(SELECT count(*) {MINE} AND EXISTS (SELECT 1 FROM {S} AS s))",
    "a set operation": f"(SELECT count(*) {MINE} UNION SELECT count(*) FROM {S} AS s)",
    "a query with its own": f"(WITH w AS (SELECT s.id FROM {S} AS s) SELECT count(*) FROM w)",
    "a table of PostgreSQL": "(SELECT count(*) FROM pg_stat_activity AS a)",
    "a function that reads": "(SELECT pg_relation_size('todoservice.todos'))",
    "a function that waits": "pg_sleep(1)",
    "a setting": "current_setting('port')::int",
    "a name of the catalog": "'todoservice.todos'::regclass::int",
}
CLAUSES: Final = ["ORDER BY {}", "ORDER BY 1, {} DESC NULLS LAST", "LIMIT {}", "OFFSET {}", "LIMIT 1 OFFSET {}"]
BEFORE: Final = {
    "a query without its user": f"WITH w AS (SELECT s.id FROM {S} AS s)",
    "the second of two": f"WITH v AS ({ONE}), w AS (SELECT s.id FROM {S} AS s)",
    "a query without its user, recursive": f"WITH RECURSIVE w AS ({ONE} UNION SELECT s.id FROM {S} s JOIN w ON true)",
    "a change": f"WITH w AS (DELETE FROM {S} RETURNING id)",
    "a name of a table": f"WITH todos AS ({ONE})",
    "a name of PostgreSQL": f"WITH pg_class AS ({ONE})",
    "a function": "WITH w AS (SELECT pg_sleep(1))",
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_clauses_of_the_users_own_are_accepted(query: str) -> None:
    own = f"(SELECT count(*) {MINE})"
    for text in (query, f"{query} ORDER BY id DESC LIMIT {own} OFFSET 0 * {own}", f"WITH w AS ({ONE}) {query} LIMIT 1"):
        verdict = AUDIT.verdict(text)
        assert (verdict.fault, verdict.users, verdict.changes, verdict.harmless) == (None, ("me",), 0, True)


def test_postgresql_runs_what_is_accepted(service_url: str) -> None:
    own = f"(SELECT count(*) {MINE})"
    for query in QUERIES.values():
        for text in (query, f"{query} ORDER BY id DESC LIMIT {own}", f"WITH w AS ({ONE}) {query} LIMIT 1"):
            assert ask(service_url, text.replace("%(me)s", f"'{uuid7()}'")) == []


@pytest.mark.parametrize("value", FREE.values(), ids=FREE)
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_clause_with_what_is_not_proven_is_refused(query: str, value: str) -> None:
    for clause in CLAUSES:
        for text in (
            f"{query} {clause.format(value)}",
            f"({query} {clause.format(value)}) ORDER BY 1",
            f"WITH x AS ({query} {clause.format(value)}) SELECT x.id FROM x",
            f"SELECT x.id FROM ({query} {clause.format(value)}) AS x",
            f"SELECT t.id {MINE} AND t.id IN ({query} {clause.format(value)})",
        ):
            fault = AUDIT.verdict(text).fault
            assert fault, text
            assert "cannot be read" not in fault, text


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_with_of_what_is_not_proven_is_refused(query: str, before: str) -> None:
    for text in (
        f"{before} {query}",
        f"({before} {query})",
        f"{ONE} UNION ({before} {query})",
        f"({before} {query}) EXCEPT {ONE}",
        f"SELECT x.id FROM ({before} {query}) AS x",
    ):
        assert AUDIT.verdict(text).fault, text


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operand_is_proven(operation: str) -> None:
    """Wherever the one without its user stands, and however deep."""
    free = f"SELECT s.id FROM {S} AS s"
    for text in (
        f"{free} {operation} {ONE}",
        f"{ONE} {operation} {free}",
        f"{ONE} {operation} ({free})",
        f"({free}) {operation} ({ONE})",
        f"{ONE} {operation} {ONE} {operation} {free}",
        f"{ONE} {operation} ({ONE} {operation} ({free}))",
        f"(({free} {operation} {ONE}) {operation} {ONE})",
    ):
        assert "without its user" in str(AUDIT.verdict(text).fault), text


@pytest.mark.parametrize("operation", OPERATIONS)
def test_users_of_all_operands_are_compared(operation: str) -> None:
    theirs = ONE.replace("%(me)s", "%(you)s")
    for text in (f"{ONE} {operation} {theirs}", f"({theirs}) {operation} ({ONE} LIMIT 1)"):
        assert AUDIT.verdict(text).users == ("me", "you")


LOCKS: Final = ["FOR UPDATE", "FOR NO KEY UPDATE", "FOR SHARE", "FOR KEY SHARE", "FOR UPDATE NOWAIT"]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_of_a_set_operation_is_refused(lock: str) -> None:
    """PostgreSQL refuses it too; a lock of one operand in parentheses is that SELECT's own."""
    for operation in OPERATIONS:
        assert AUDIT.verdict(f"({ONE}) {operation} ({ONE}) {lock}").fault
        assert AUDIT.verdict(f"SELECT m.id FROM {M} AS m {operation} (SELECT m.id FROM {M} AS m {lock})").fault
        assert AUDIT.verdict(f"({ONE} {lock}) {operation} (SELECT m.id FROM {M} AS m {lock})").fault


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_of_a_select_in_parentheses_is_checked(lock: str) -> None:
    assert AUDIT.verdict(f"({ONE} {lock})").fault is None
    for text in (
        f"(SELECT m.id FROM {M} AS m {lock})",
        f"(SELECT m.id FROM {M} AS m) {lock}",
        f"(SELECT t.id FROM {T} AS t JOIN {M} AS m ON true WHERE t.user_id = {ME} {lock})",
        f"SELECT x.id FROM (SELECT m.id FROM {M} AS m {lock}) AS x",
        f"WITH x AS (SELECT m.id FROM {M} AS m {lock}) SELECT x.id FROM x",
        f"WITH x AS ({ONE}) SELECT x.id FROM x {lock}",
        f"SELECT x.id FROM ({ONE}) AS x {lock}",
        f"SELECT g FROM generate_series(1, 2) AS g {lock}",
    ):
        assert AUDIT.verdict(text).fault, text
    for of in ("m", "s", "todos", "u", "t, m"):
        assert AUDIT.verdict(f"({ONE} {lock.replace(' NOWAIT', '')} OF {of})").fault


@pytest.mark.parametrize(
    "clause", ["INTO x", "FETCH FIRST 1 ROWS ONLY", "LIMIT 1 WITH TIES", "WINDOW w AS ()", "; SELECT 1"]
)
def test_another_clause_is_refused(clause: str) -> None:
    for query in QUERIES.values():
        assert AUDIT.verdict(f"{query} {clause}").fault


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "by_name", ["BY NAME", "CORRESPONDING", "DISTINCT BY NAME", "STRICT CORRESPONDING", "BY NAME ON (id)"]
)
def test_words_of_another_dialect_are_refused(operation: str, by_name: str) -> None:
    """They choose the columns by their names, to the parser alone."""
    assert AUDIT.verdict(f"{ONE} {operation} {by_name} {ONE}").fault


@pytest.mark.parametrize(
    "text",
    [f"{ONE} MINUS {ONE}", f"{ONE} UNION SELECT * FROM todos", f"{ONE} UNION TABLE {T}", f"{ONE} UNION VALUES (1)",
     f"{ONE} UNION (DELETE FROM {T} RETURNING id)", f"({ONE}) AS x", f"({ONE}) AS x UNION {ONE}", f"({ONE}) x"],
)  # fmt: skip
def test_another_operand_is_refused(text: str) -> None:
    assert AUDIT.verdict(text).fault


@pytest.mark.parametrize("place", ["todos", "s", "w"])
def test_columns_of_an_operand_are_not_seen_in_another(place: str) -> None:
    assert AUDIT.verdict(f"{ONE} UNION SELECT {place}.id {MINE}").fault
    assert AUDIT.verdict(f"({ONE}) ORDER BY t.id, {place}.id").fault
