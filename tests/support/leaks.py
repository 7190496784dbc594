"""The 88 ways to leak a row, each with attempts at it and the layers that stop every one of them by themselves.

The numbers are those of a list that the project keeps; the tests are in `tests/isolation/test_leaks.py`. The attacker
is a plugin's code, acting for the user `me`; the victim is the user `theirs`, with rows of ids that the attacker knows.
"""
# ruff: noqa: E501

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import leak_checks as check
import leak_models
import sqlalchemy as sa
from leak_models import DDL, LOOSE, at
from sqlalchemy import case, delete, exists, func, insert, literal, select, text, union_all, update
from sqlalchemy.orm import aliased
from todoservice_todos import models as todo_models

Ids = Mapping[str, UUID]
# Not typed: what is tried is what an author may write by mistake.
Todo: Any = todo_models.Todo
Box: Any = leak_models.Box
Item: Any = leak_models.Item
T: Final = "todoservice.todos"
I: Final = "todoservice.boxes_items"  # noqa: E741
ITEMS: Final = Item.__table__
TODOS: Final = Todo.__table__
TITLES: Final = f"SELECT title FROM {T} ORDER BY title"
MINE: Final = "%(me)s::uuid"


@dataclass(frozen=True)
class Sql:
    """Statements as text, one message each, in one transaction; the answer is the last one's.

    `planted` is what somebody with the owner's URL has done to the database before.
    """

    statements: tuple[str, ...]
    planted: str = ""


@dataclass(frozen=True)
class Orm:
    """A statement made of table classes, for these ids."""

    build: Callable[[Ids], Any]


@dataclass(frozen=True)
class Keys:
    """A statement on tables whose keys lack the owner, and the same on tables that have it."""

    loose: str
    strict: str


@dataclass(frozen=True)
class Holds:
    """Something that a function sees to hold, of pytest's fixtures by their names. It raises AssertionError."""

    see: Callable[[Callable[[str], Any]], None]


@dataclass(frozen=True)
class Leak:
    """One way to leak."""

    number: int
    title: str
    layers: str
    """Those that stop every attempt by themselves: P shape, S scope, A audit, R row-level security, F keys, C check."""
    attempts: tuple[Any, ...] = ()
    why: str = ""
    """Why it is out of scope, or is left to one layer."""
    heading: str = field(default="", compare=False)


def sql(*statements: str, planted: str = "") -> Sql:
    """Return an attempt in SQL."""
    return Sql(statements, planted)


ORM: Final = [
    Leak(1, "a query without any filter", "SAR", (
        Orm(lambda _: select(Todo.title).order_by(Todo.title)),
        Orm(lambda _: select(Todo)),
        sql(TITLES),
    )),
    Leak(2, "a row that the session already holds, asked for by its key", "P", (Holds(check.no_session),), "one layer: no statement is sent"),
    Leak(3, "a row refreshed, or a column loaded later, by its key alone", "PAR", (
        Holds(check.plain_rows),
        sql(f"SELECT title FROM {T} WHERE id = %(their_todo)s"),
    )),
    Leak(4, "what a row refers to, loaded when it is touched", "PAR", (
        Holds(check.plain_rows),
        sql(f"SELECT b.name FROM todoservice.boxes b JOIN {I} i ON i.box_id = b.id"),
    )),
    Leak(5, "a relationship's any() and has()", "SAR", (
        Orm(lambda _: select(Box.name).where(Box.items.any(Item.label == "of theirs"))),
        Orm(lambda _: select(Item.label).where(Item.box.has(Box.name == "theirs"))),
        Orm(lambda _: select(Box.name).where(~Box.items.any(Item.label == "of mine"))),
    )),
    Leak(6, "a table that only EXISTS names", "SAR", (
        Orm(lambda _: select(literal(1)).where(exists().where(Todo.title == "theirs"))),
        Orm(lambda _: select(literal(1)).where(Todo.title == "theirs")),
        Orm(lambda _: select(Box.name).where(exists(select(Todo.id).where(Todo.title == "theirs")))),
    )),
    Leak(7, "a count of a table that only WHERE names", "SAR", (
        Orm(lambda _: select(func.count()).where(Todo.id > at(0))),
        Orm(lambda _: select(func.count(Todo.id))),
        Orm(lambda _: select(func.count()).select_from(select(Todo.id).subquery())),
    )),
    Leak(8, "a join by another condition than the owner", "SAR", (
        Orm(lambda _: select(Box.name, Item.label).join(Item, Item.label != Box.name)),
        Orm(lambda _: select(Box.name, Item.label).outerjoin(Item, sa.true())),
        Orm(lambda _: select(Box.name, aliased(Item).label).select_from(Box)),
        Orm(lambda _: select(Box.name, (other := aliased(Item)).label).select_from(Box).join(other, sa.true())),
    )),
    Leak(9, "a union, whose parts are cached with another's user", "SAR", (
        Orm(lambda _: union_all(select(Todo.title), select(Item.label))),
        Orm(lambda _: select(union_all(select(Todo.title), select(Item.label)).subquery().c.title)),
        Holds(check.one_statement_two_users),
    )),
    Leak(10, "a user kept in a closure, for the next one", "S", (Holds(check.one_statement_two_users),), "one layer: "
        "it is how the scope binds its user; the audit compares the value bound, and row-level security the row"),
    Leak(11, "a table that inherits, and has no owner of its own", "AR", (
        sql("SELECT note FROM todoservice.boxes_special", planted=DDL["special"]),
        Holds(check.models_without_owner_are_refused),
    )),
    Leak(12, "the table between two others, without an owner", "AR", (
        sql("SELECT * FROM todoservice.boxes_links", planted=DDL["links"]),
        Holds(check.models_without_owner_are_refused),
    )),
    Leak(13, "text with OR beside the filter", "AR", (
        Orm(lambda _: select(Todo.title).where(text("1=1 OR true"))),
        sql(f"SELECT title FROM {T} WHERE 1=1 OR true AND user_id = {MINE}"),
        sql(f"SELECT title FROM {T} WHERE user_id = {MINE} OR title LIKE 'their%%'"),
    )),
    Leak(14, "a subquery in ORDER BY, HAVING or CASE", "SAR", (
        Orm(lambda _: select(Box.name).order_by(
            select(func.count(Item.id)).where(Item.label > Box.name).scalar_subquery(), Box.name.desc())),
        Orm(lambda _: select(case((exists().where(Todo.title == "theirs"), "yes"), else_="no"))),
        Orm(lambda _: select(Box.name).group_by(Box.name).having(exists().where(Todo.title == "theirs"))),
    )),
]  # fmt: skip

CORE: Final = [
    Leak(15, "the table itself instead of its class", "SAR", (
        Orm(lambda _: select(TODOS.c.title)),
        Orm(lambda _: update(TODOS).values(title="taken")),
        Orm(lambda _: delete(TODOS)),
    )),
    Leak(16, "a class joined to a table itself", "SAR", (
        Orm(lambda _: select(Box.name, ITEMS.c.label).join(ITEMS, sa.true())),
        Orm(lambda _: select(Box.name, (other := ITEMS.alias("x")).c.label).select_from(Box).join(other, sa.true())),
    )),
    Leak(17, "text of one's own", "AR", (sql(f"SELECT * FROM {T}"), sql(f"TABLE {T}"), sql(f'SELECT * FROM ONLY {T}'))),
    Leak(18, "text that is read into a class", "AR", (
        Orm(lambda _: select(Todo).from_statement(text(f"SELECT * FROM {T}"))),
        Orm(lambda _: text(f"SELECT id, title FROM {T}").columns(id=sa.Uuid(), title=sa.String())),
    )),
    Leak(19, "the connection under the session", "PA", (Holds(check.no_session), Holds(check.closed_door))),
    Leak(20, "SQL handed to the driver", "PA", (Holds(check.no_session), Holds(check.closed_door))),
    Leak(21, "a cursor of the driver's own", "PA", (Holds(check.no_session), Holds(check.closed_door))),
    Leak(22, "another session or connection of the same engine", "PA", (Holds(check.closed_door),)),
    Leak(23, "an engine of one's own, with the service's URL", "R", (Holds(check.service_url_sees_nothing),), "one "
        "layer: without naming a user there are no rows; who has the URL and names one is trusted with it"),
    Leak(24, "a scope kept for later, by a task or another request", "P", (Holds(check.scope_keeps_its_user),),
        "one layer: the scope is its user's for good"),
    Leak(25, "a second statement behind the first", "AR", (
        sql(f"SELECT 1; {TITLES}"),
        sql(f"SELECT 1; DELETE FROM {T}"),
        sql(f"SELECT title FROM {T} WHERE user_id = {MINE}; UPDATE {T} SET title = 'taken'"),
    )),
    Leak(26, "SQL inside of a string that a function runs", "AR", (
        sql(f"SELECT * FROM ts_stat('SELECT to_tsvector(''simple'', title) FROM {T}')"),
        sql(f"SELECT ts_rewrite('theirs'::tsquery, 'SELECT title::tsquery, ''seen''::tsquery FROM {T}')"),
        Holds(check.refused(
            f"SELECT query_to_xml('SELECT title FROM {T}', true, true, '')", "SELECT schema_to_xml('x', true, true, '')",
            "SELECT * FROM dblink('dbname=x', 'SELECT 1') AS t (a int)", "SELECT * FROM crosstab('SELECT 1') AS t (a int)",
        )),
    )),
    Leak(27, "a statement of another kind", "A", (
        sql(f"DO $$ BEGIN DELETE FROM {T}; END $$"),
        sql(f"PREPARE p AS {TITLES}", "EXECUTE p"),
        sql(f"DECLARE c CURSOR FOR {TITLES}", "FETCH ALL FROM c"),
        sql(f"MERGE INTO {T} t USING (SELECT 1) x ON true WHEN MATCHED THEN UPDATE SET title = 'taken'"),
        sql(f"CREATE TABLE public.copy AS SELECT * FROM {T}", "SELECT title FROM public.copy"),
        sql("SET LOCAL row_security = off", TITLES),
        sql("SET LOCAL ROLE NONE", TITLES),
    ), "row-level security stops all but MERGE, whose error tells that there are others' rows"),
]  # fmt: skip

ESCAPING: Final = [
    Leak(28, "a COMMIT in the text", "AR", (sql(f"COMMIT; {TITLES}"), sql("COMMIT", TITLES), sql(f"ROLLBACK; {TITLES}"))),
    Leak(29, "another role", "AR", (
        sql("RESET ROLE", TITLES),
        sql("SET ROLE none", TITLES),
        sql("SELECT set_config('role', 'none', true)", TITLES),
        sql("RESET SESSION AUTHORIZATION", TITLES),
    )),
    Leak(30, "another user in the setting", "A", (
        sql("SELECT set_config('todoservice.user_id', '{theirs}', true)", TITLES),
        sql("SET LOCAL todoservice.user_id = '{theirs}'", TITLES),
    ), "one layer: to PostgreSQL a user is who the session says; the audit lets no statement say it"),
    Leak(31, "a setting that opens the policies", "AR", (
        sql("SELECT set_config('todoservice.bypass', 'true', true)", TITLES),
        sql("SELECT set_config('row_security', 'off', true)", TITLES),
    )),
    Leak(32, "a savepoint from before the user was set", "AR", (
        sql("SAVEPOINT before", "ROLLBACK TO SAVEPOINT before", TITLES),
    )),
    Leak(33, "a setting that outlasts the transaction", "A", (
        sql("SELECT set_config('todoservice.user_id', '{theirs}', false)", TITLES),
        sql("SET SESSION todoservice.user_id = '{theirs}'", TITLES),
    ), "one layer, as 30; and every message of the host's sets its own user again"),
    Leak(34, "a temporary table of the same name", "AR", (
        sql(f"CREATE TEMPORARY TABLE todos AS SELECT * FROM {T}", "SELECT title FROM todos"),
    )),
    Leak(35, "a cursor that outlasts the transaction", "AR", (
        sql(f"DECLARE kept CURSOR WITH HOLD FOR {TITLES}", "FETCH ALL FROM kept"),
    )),
    Leak(36, "session locks and notifications, which the next user of the connection meets", "A", (
        Holds(check.refused("SELECT pg_advisory_lock(1)", "SELECT pg_notify('a', 'b')", "LISTEN a",
            "SELECT pg_try_advisory_lock(1)")),
    ), "one layer: no rows are in them"),
    Leak(37, "a setting of the role's own, for all its sessions", "ARC", (
        Holds(check.refused("ALTER ROLE CURRENT_USER SET todoservice.user_id = '{theirs}'")),
        Holds(check.denied("ALTER ROLE CURRENT_USER SET todoservice.user_id = '{theirs}'")),
        Holds(check.finds("setting", DDL["setting"])),
    )),
]  # fmt: skip

WRITES: Final = [
    Leak(38, "a request's user_id, taken into the row", "PSAR", (
        Holds(check.requests_with_user_id_are_refused),
        Orm(lambda ids: insert(Todo).values(user_id=ids["theirs"], id=at(77), title="x", is_completed=False,
            created_at=func.now())),
    )),
    Leak(39, "a row inserted for another", "SAR", (
        Orm(lambda ids: insert(Box).values([{"user_id": ids["theirs"], "id": at(78), "name": "given"}])),
        sql(f"INSERT INTO {I} (user_id, id, box_id, label) VALUES (%(theirs)s, %(their_todo)s, %(their_box)s, 'given')"),
    )),
    Leak(40, "a row given to another", "SAR", (
        Orm(lambda ids: update(Todo).values(user_id=ids["theirs"])),
        sql(f"UPDATE {T} SET user_id = %(theirs)s WHERE user_id = {MINE}"),
        sql(f"UPDATE {T} SET (user_id, title) = (%(theirs)s, 'given') WHERE user_id = {MINE}"),
    )),
    Leak(41, "another's row changed by its id", "AR", (
        sql(f"UPDATE {T} SET title = 'taken' WHERE id = %(their_todo)s"),
        sql(f"UPDATE {T} SET title = 'taken' WHERE user_id = %(theirs)s"),
    )),
    Leak(42, "another's row deleted by its id, rows changed in bulk", "AR", (
        sql(f"DELETE FROM {T} WHERE id = %(their_todo)s"),
        sql(f"DELETE FROM {T} WHERE id IN (SELECT id FROM {T})"),
        sql(f"UPDATE {T} AS t SET title = v.title FROM (VALUES (%(their_todo)s::uuid, 'taken')) AS v (id, title) "
            "WHERE t.id = v.id"),
    )),
    Leak(43, "an id that another's row has", "FC", (
        Keys("INSERT INTO {loose} (id, user_id, name) VALUES (%(their_box)s, %(me)s, 'mine')",
            "INSERT INTO {strict} (id, user_id, name) VALUES (%(their_box)s, %(me)s, 'mine')"),
        Holds(check.finds("key", LOOSE["id"])),
    )),
    Leak(44, "an upsert that meets another's row", "AF", (
        Keys("INSERT INTO {loose} (id, user_id, name) VALUES (%(their_box)s, %(me)s, 'mine') ON CONFLICT (id) "
            "DO UPDATE SET user_id = %(me)s RETURNING name",
            "INSERT INTO {strict} (id, user_id, name) VALUES (%(their_box)s, %(me)s, 'mine') ON CONFLICT (id) "
            "DO UPDATE SET user_id = %(me)s RETURNING name"),
    )),
    Leak(45, "an insert that does nothing where a row is there", "FC", (
        Holds(check.finds("key", LOOSE["id"])),
        Keys("INSERT INTO {loose} (id, user_id, name) VALUES (%(their_box)s, %(me)s, 'x') ON CONFLICT DO NOTHING "
            "RETURNING name",
            "INSERT INTO {strict} (id, user_id, name) VALUES (%(their_box)s, %(me)s, 'x') ON CONFLICT DO NOTHING "
            "RETURNING name"),
    )),
    Leak(46, "rows copied by INSERT ... SELECT", "SAR", (
        Orm(lambda ids: insert(Box).from_select(
            ["user_id", "id", "name"],
            select(sa.bindparam("p_me", ids["me"], sa.Uuid()), Todo.id, Todo.title + "!")).returning(Box.name)),
        Orm(lambda ids: insert(Box).from_select(
            ["user_id", "id", "name"], select(literal(ids["me"], sa.Uuid()), TODOS.c.id, TODOS.c.title + "!"))),
        sql(f"INSERT INTO todoservice.boxes (user_id, id, name) SELECT {MINE}, id, title || '!' FROM {T} RETURNING name"),
    )),
    Leak(47, "another table in an UPDATE or DELETE", "SAR", (
        Orm(lambda _: update(Box).values(name=select(func.max(Todo.title)).scalar_subquery())),
        Orm(lambda _: delete(Box).where(Box.name != Todo.title, Todo.title == "theirs")),
        Orm(lambda _: update(Box).where(Todo.title == "theirs").values(name=Todo.title)),
    )),
    Leak(48, "a write inside of WITH", "SAR", (
        Orm(lambda _: select(delete(Todo).returning(Todo.title).cte("gone").c.title)),
        sql(f"WITH gone AS (DELETE FROM {T} RETURNING *) SELECT title FROM gone"),
        sql(f"WITH u AS (UPDATE {T} SET title = 'taken' RETURNING 1) SELECT count(*) FROM u"),
    )),
    Leak(49, "another's row put under one's own", "PAR", (
        Holds(check.plain_rows),
        sql(f"UPDATE {I} SET box_id = %(my_box)s WHERE id = %(their_item)s"),
    )),
]  # fmt: skip

SCHEMA: Final = [
    Leak(50, "a foreign key that lacks the owner", "FC", (
        Keys("INSERT INTO {loose}_items (id, user_id, box_id) VALUES (%(my_todo)s, %(me)s, %(their_box)s)",
            "INSERT INTO {strict}_items (id, user_id, box_id, label) VALUES (%(my_todo)s, %(me)s, %(their_box)s, 'x')"),
        Holds(check.finds("key", LOOSE["foreign key"])),
    )),
    Leak(51, "a delete that cascades into another's rows", "F", (Holds(check.cascades_stay_with_the_owner),), "one "
        "layer: PostgreSQL's foreign keys ask no policy; a feature with another key does not start, and check finds it"),
    Leak(52, "a delete that takes the owner off a row", "F", (Holds(check.no_row_loses_its_owner),),
        "one layer: the owner's column is never null"),
    Leak(53, "a unique name over all users", "FC", (
        Keys("INSERT INTO {loose} (id, user_id, name) VALUES (%(my_todo)s, %(me)s, 'theirs')",
            "INSERT INTO {strict} (id, user_id, name) VALUES (%(my_todo)s, %(me)s, 'theirs')"),
        Holds(check.finds("key", LOOSE["name"])),
        Holds(check.models_unique_over_all_are_refused),
    )),
    Leak(54, "a sequence that counts all users' rows", "AR", (
        sql("SELECT nextval('todoservice.numbers')", planted=DDL["sequence"]),
        sql("SELECT last_value FROM todoservice.numbers", planted=DDL["sequence"]),
    )),
    Leak(55, "a view that reads as its owner", "AC", (
        sql("SELECT title FROM todoservice.all_todos ORDER BY title", planted=DDL["view"]),
        sql("SELECT title FROM todoservice.kept_todos ORDER BY title", planted=DDL["materialized view"]),
        Holds(check.finds("view", DDL["view"])), Holds(check.finds("view", DDL["materialized view"])),
    )),
    Leak(56, "a function that runs as its owner", "AC", (
        sql("SELECT todoservice.peek()", planted=DDL["definer"]), Holds(check.finds("function", DDL["definer"])),
    )),
    Leak(57, "a partition or child, asked for by its own name", "AC", (
        sql("SELECT title FROM todoservice.todos_child", planted=DDL["child"]),
        Holds(check.finds("partition", DDL["child"])),
    )),
    Leak(58, "a table whose row-level security was forgotten", "SAC", (
        Orm(lambda _: select(Todo.title).order_by(Todo.title)),
        sql(TITLES, planted=DDL["open"]),
        Holds(check.finds("row-security", DDL["open"])),
        Holds(check.every_upgrade_closes_tables),
    )),
    Leak(59, "a further policy that opens a table", "ARC", (
        sql(TITLES, planted=DDL["policy"]), Holds(check.finds("policy", DDL["policy"])),
    )),
    Leak(60, "TRUNCATE, which asks no policy", "AR", (sql(f"TRUNCATE {T}"), sql(f"TRUNCATE {I} CASCADE"))),
    Leak(61, "policies that differ by role, in a plan that was kept", "C", (
        Holds(check.finds("policy", "ALTER POLICY owner ON todoservice.todos TO pg_monitor")),
    ), "one layer: the host makes one policy, for every role, that asks the setting only"),
    Leak(62, "a lock on the whole table", "A", (Holds(check.refused(f"LOCK TABLE {T}")),),
        "one layer: it shows nothing, and the statement timeout ends it"),
]  # fmt: skip

INFERENCE: Final = [
    Leak(63, "plans and statistics that count others' rows", "A", (
        sql("SELECT reltuples FROM pg_catalog.pg_class WHERE relname = 'todos'", planted=f"ANALYZE {T}"),
        sql(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT title FROM {T} WHERE title > 'm'"),
        Holds(check.refused("SELECT n_live_tup FROM pg_stat_user_tables",
            "SELECT pg_relation_size('todoservice.todos')", "SELECT * FROM pg_stats",
            "SELECT * FROM information_schema.tables")),
    ), "one layer: PostgreSQL lets every role read its catalogue"),
    Leak(64, "others' statements, with their values, in pg_stat_activity", "A", (
        Holds(check.refused("SELECT query FROM pg_stat_activity", "SELECT pg_stat_get_activity(NULL)")),
    ), "one layer: PostgreSQL shows a role its own sessions"),
    Leak(65, "an error that tells a hidden row from a missing one", "PF", (
        Holds(check.answers_are_alike),
        Keys("INSERT INTO {loose} (id, user_id, name) VALUES (%(their_box)s, %(me)s, 'mine')",
            "INSERT INTO {strict} (id, user_id, name) VALUES (%(their_box)s, %(me)s, 'mine')"),
    )),
    Leak(66, "a function in WHERE that sees rows before the policy", "AR", (
        sql("CREATE FUNCTION pg_temp.spy(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS "
            "'BEGIN IF $1 = ''theirs'' THEN RAISE EXCEPTION ''seen''; END IF; RETURN true; END'",
            f"SELECT count(*) FROM {T} WHERE pg_temp.spy(title)"),
        sql(f"SELECT count(*) FROM {T} WHERE 1 / (title <> 'theirs')::int = 1"),
    )),
    Leak(67, "an answer that a cache gives to another", "P", (Holds(check.nothing_is_cached),),
        "one layer: no rows pass through the database"),
    Leak(68, "a search, a ranking or a limit over all users", "SAR", (
        Orm(lambda _: select(Todo.title, func.count()).group_by(Todo.title)),
        Orm(lambda _: select(func.rank().over(order_by=Todo.title), Todo.title)),
    )),
    Leak(69, "a user named in the path, the query or the body", "P", (Holds(check.requests_with_user_id_are_refused),),
        "one layer: there is one place where the user is said"),
    Leak(70, "a worker or a socket with no user at all", "A", (Holds(check.closed_door),),
        "with the service's role row-level security shows it nothing either, see 23"),
    Leak(71, "values of others' rows in logs and errors", "P", (Holds(check.errors_hide_values),),
        "one layer: it is about what is logged"),
    Leak(72, "Python in the same process", "", (), "out of scope: what is imported can read the memory and the "
        "environment; only another role in another process contains it"),
]  # fmt: skip

VALUES: Final = [
    Leak(73, "a UUID whose number writes SQL when it is formatted", "P", (Holds(check.changed_uuids_are_rejected),),
        "one layer: SQL in the message can name another user; every value is rebuilt before it is sent"),
    Leak(74, "a value whose class writes its own SQL", "P", (Holds(check.values_that_write_sql_are_rejected),),
        "one layer, as 73"),
    Leak(75, "a user's id that writes SQL, from an authentication plugin", "P", (
        Holds(check.scopes_of_changed_users_are_rejected),
    ), "one layer, as 73"),
]  # fmt: skip

MODELS: Final = [
    Leak(76, "an identity column, which counts all users' rows", "FC", (
        Holds(check.model_is_refused(check.numbered, "has the column number with an identity, which reveals")),
        Holds(check.finds("reveal", DDL["identity"])),
    )),
    Leak(77, "a second foreign key to the users, which shows who exists", "FC", (
        Holds(check.model_is_refused(check.followed, "shows whether a user exists")),
        Holds(check.finds("key", DDL["second key"])),
    )),
    Leak(78, "a unique index that has the owner only in an expression", "FC", (
        Holds(check.model_is_refused(check.measured, "unique over all users, which tells one what another has")),
        Holds(check.finds("key", DDL["expression"])),
    )),
    Leak(79, "an exclusion constraint that compares owners otherwise than by =", "FC", (
        Holds(check.model_is_refused(check.excluded, "unique over all users, which tells one what another has")),
        Holds(check.finds("key", DDL["exclusion"])),
    )),
    Leak(80, "a table that is a child of another, or its parent", "FC", (
        Holds(check.model_is_refused(check.inherited, "has postgresql_inherits, and a query of a parent or child bypasses")),
        Holds(check.finds("partition", DDL["child"])),
    )),
    Leak(81, "a shared model over a view, which reads as its owner", "C", (Holds(check.shared_views_are_found),),
        "one layer: a model does not show what its name stands for; the host grants nothing on it"),
    Leak(82, "a trigger or a rule, which does more than the statement", "C", (
        Holds(check.finds("trigger", DDL["trigger"])), Holds(check.finds("rewrite", DDL["rule"])),
    ), "one layer: no statement shows them"),
    Leak(83, "a function of a plugin's that hides PostgreSQL's own", "C", (Holds(check.finds("function", DDL["hiding"])),),
        "one layer: to the audit it is PostgreSQL's, by its name"),
]  # fmt: skip

SERVICE: Final = [
    Leak(84, "a function in the notation of a column", "AC", (
        sql("SELECT s.peek FROM (SELECT 1 AS a) AS s", planted=DDL["row function"]),
        sql("WITH s AS (SELECT 1 AS a) SELECT s.peek FROM s", planted=DDL["row function"]),
        sql("SELECT s.peek FROM (VALUES (1)) AS s(a)", planted=DDL["row function"]),
        Holds(check.finds("function", DDL["row function"])),
    )),
    Leak(85, "a route class that answers by itself", "P", (Holds(check.route_classes_are_guarded),),
        "one layer: the user is resolved in front of the router"),
    Leak(86, "a statement whose proof holds up all users", "A", (Holds(check.long_proofs_are_refused),),
        "one layer: no row is in it"),
    Leak(87, "a list that a client makes as long as it likes", "P", (Holds(check.long_lists_are_refused),),
        "one layer: no row is in it"),
    Leak(88, "a verdict that one caller's stack spoils for all users", "A", (Holds(check.accidents_are_not_kept),),
        "one layer: no row is in it"),
]  # fmt: skip

HEADINGS: Final = {
    "Reads through table classes": ORM,
    "Tables, text and other ways in": CORE,
    "Leaving the scope": ESCAPING,
    "Writes": WRITES,
    "Keys, and what else is in the schema": SCHEMA,
    "Inference": INFERENCE,
    "Values": VALUES,
    "Models, and what the catalog shows": MODELS,
    "The service itself": SERVICE,
}
LEAKS: Final = [leak for leaks in HEADINGS.values() for leak in leaks]
