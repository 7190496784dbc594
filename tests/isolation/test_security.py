"""Row-level security and grants: what the database itself refuses, to the role that the service logs in with."""

import re
from collections.abc import Callable
from uuid import UUID

import psycopg2
import pytest
from databases import ask, login_url, migrate
from psycopg2.errors import InsufficientPrivilege
from sqlalchemy import event, make_url

from todoservice import uuid7
from todoservice.database import security
from todoservice.migrations import transaction

OWNERS = {"users": "id", "todos": "user_id"}
TITLES = "SELECT title FROM todoservice.todos"


def todo(user: UUID, title: str = "x") -> tuple[str, str]:
    """Return the statements that add a user, where missing, and a todo of this user's."""
    return (
        f"INSERT INTO todoservice.users (id) VALUES ('{user}') ON CONFLICT DO NOTHING",
        "INSERT INTO todoservice.todos (user_id, id, title, is_completed, created_at)"
        f" VALUES ('{user}', '{uuid7()}', '{title}', false, now())",
    )


def test_without_a_user_there_are_no_rows(service_url: str, user: UUID) -> None:
    """A connection that nobody said anything to sees nothing, even after one that had a user."""
    ask(service_url, *todo(user), user=user)
    assert ask(service_url, TITLES) == []
    assert ask(service_url, "SELECT set_config('todoservice.user_id', '', true)", TITLES) == []
    assert ask(service_url, "SELECT id FROM todoservice.users") == []


def test_a_user_sees_their_own_rows_only(service_url: str, user: UUID, other_user: UUID) -> None:
    """Without any filter in the statement."""
    ask(service_url, *todo(user, "mine"), user=user)
    ask(service_url, *todo(other_user, "theirs"), user=other_user)
    assert ask(service_url, TITLES, user=user) == [("mine",)]
    assert ask(service_url, "SELECT id FROM todoservice.users", user=user) == [(str(user),)]


def test_a_user_changes_and_deletes_their_own_rows_only(service_url: str, user: UUID, other_user: UUID) -> None:
    """Others' rows are not there to be changed."""
    ask(service_url, *todo(user, "mine"), user=user)
    ask(service_url, *todo(other_user, "theirs"), user=other_user)
    ask(service_url, "UPDATE todoservice.todos SET title = 'taken'", user=user)
    ask(service_url, "DELETE FROM todoservice.todos", user=user)
    assert ask(service_url, TITLES, user=user) == []
    assert ask(service_url, TITLES, user=other_user) == [("theirs",)]


def test_a_row_for_another_user_is_refused(service_url: str, user: UUID, other_user: UUID) -> None:
    """A todo as well as the other user."""
    ask(service_url, *todo(other_user), user=other_user)
    for statement in (todo(other_user)[1], todo(uuid7())[0]):
        with pytest.raises(InsufficientPrivilege, match="violates row-level security policy"):
            ask(service_url, statement, user=user)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE todoservice.todos SET user_id = user_id",
        "UPDATE todoservice.todos SET id = id",
        "UPDATE todoservice.users SET id = id",
        "DELETE FROM todoservice.users",
        "INSERT INTO todoservice.users (id, created_at) VALUES (gen_random_uuid(), now())",
        "INSERT INTO todoservice.todos_alembic_version VALUES ('x')",
        "TRUNCATE todoservice.todos",
        "ALTER TABLE todoservice.todos DISABLE ROW LEVEL SECURITY",
        "DROP POLICY owner_floor ON todoservice.todos",
        "CREATE TABLE todoservice.mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE TRIGGER mine BEFORE INSERT ON todoservice.todos EXECUTE FUNCTION pg_catalog.tsvector_update_trigger()",
    ],
)
def test_what_the_service_may_not_do(service_url: str, user: UUID, statement: str) -> None:
    """It reads, adds, deletes, and changes what is neither owner nor id."""
    with pytest.raises(psycopg2.Error, match=r"permission denied|must be owner"):
        ask(service_url, statement, user=user)


def test_no_privilege_reaches_around_row_level_security(service_url: str) -> None:
    """TRUNCATE, REFERENCES and TRIGGER do not ask the policies, so that nobody but the owner has them."""
    query = "SELECT has_table_privilege('todoservice.todos', 'TRUNCATE, REFERENCES, TRIGGER')"
    assert ask(service_url, query) == [(False,)]


def test_a_later_policy_opens_nothing(fresh_url: str, user: UUID) -> None:
    """The floor is restrictive, and policies of the other kind only add up above it."""
    service = login_url(fresh_url)
    ask(service, *todo(user), user=user)
    ask(fresh_url, "CREATE POLICY everyone ON todoservice.todos USING (true) WITH CHECK (true)")
    assert ask(service, TITLES, user=uuid7()) == []
    with pytest.raises(InsufficientPrivilege):
        ask(service, todo(user)[1], user=uuid7())


def apply(url: str, owners: dict[str, str | None]) -> list[security.Fault]:
    """Apply the security of these tables, and return what was mended."""
    with transaction.connected(make_url(url)) as connection, connection.begin():
        return security.apply(connection, owners)


def test_a_shared_table_is_read_only(fresh_url: str) -> None:
    """It has no owner, and no policy."""
    ask(fresh_url, "CREATE TABLE todoservice.colours AS SELECT 'red' AS name")
    apply(fresh_url, {"colours": None})
    service = login_url(fresh_url)
    assert ask(service, "SELECT name FROM todoservice.colours") == [("red",)]
    with pytest.raises(InsufficientPrivilege):
        ask(service, "INSERT INTO todoservice.colours VALUES ('blue')")


def test_an_undeclared_table_is_nobodys(fresh_url: str) -> None:
    """What was granted on it to every role is taken back."""
    ask(fresh_url, "CREATE TABLE todoservice.stray (id int)", "GRANT SELECT ON todoservice.stray TO PUBLIC")
    migrate(fresh_url)
    with pytest.raises(InsufficientPrivilege):
        ask(login_url(fresh_url), "SELECT FROM todoservice.stray")


def test_a_table_in_partitions_has_one_door(fresh_url: str, user: UUID) -> None:
    """Its policies hold for who asks the table itself, so that nobody may ask a partition."""
    columns = "(user_id uuid, id uuid, PRIMARY KEY (user_id, id))"
    ask(fresh_url, f"CREATE TABLE todoservice.logs {columns} PARTITION BY HASH (user_id)")
    part = "PARTITION OF todoservice.logs FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
    ask(fresh_url, f"CREATE TABLE todoservice.logs_0 {part}")
    apply(fresh_url, {"logs": "user_id"})
    service = login_url(fresh_url)
    ask(service, f"INSERT INTO todoservice.logs VALUES ('{user}', '{user}')", user=user)
    assert ask(service, "SELECT FROM todoservice.logs", user=uuid7()) == []
    with pytest.raises(InsufficientPrivilege):
        ask(service, "SELECT FROM todoservice.logs_0", user=user)


def test_a_new_column_can_be_changed_after_the_next_migration(fresh_url: str, user: UUID) -> None:
    """Grants are by column, and follow the table."""
    ask(fresh_url, 'ALTER TABLE todoservice.todos ADD "new %s ""one""" text')
    migrate(fresh_url)
    service = login_url(fresh_url)
    ask(service, 'UPDATE todoservice.todos SET "new %s ""one""" = NULL', user=user)


SNAPSHOT = """
    SELECT 'pg_class', oid::text, xmin::text FROM pg_class WHERE relnamespace = 'todoservice'::regnamespace
    UNION ALL SELECT 'pg_attribute', attrelid || '.' || attname, a.xmin::text
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = attrelid WHERE relnamespace = 'todoservice'::regnamespace
    UNION ALL SELECT 'pg_policy', oid::text, xmin::text FROM pg_policy
    UNION ALL SELECT 'pg_proc', oid::text, xmin::text FROM pg_proc WHERE pronamespace = 'todoservice'::regnamespace
    UNION ALL SELECT 'pg_namespace', oid::text, xmin::text FROM pg_namespace
    UNION ALL SELECT 'pg_default_acl', oid::text, xmin::text FROM pg_default_acl
    UNION ALL SELECT 'pg_authid', oid::text, xmin::text FROM pg_authid WHERE rolname ~ current_database()
    UNION ALL SELECT 'pg_auth_members', m.member::text, m.xmin::text FROM pg_auth_members AS m
        JOIN pg_authid AS r ON r.oid = m.roleid WHERE rolname ~ current_database()
    UNION ALL SELECT 'pg_database', oid::text, xmin::text FROM pg_database WHERE datname = current_database()
    ORDER BY 1, 2, 3
"""


@pytest.mark.parametrize("again", [migrate, login_url], ids=["upgrade", "provision"])
def test_with_nothing_to_do_nothing_is_written(fresh_url: str, again: Callable[[str], object]) -> None:
    """A second time, no row of the catalogue is touched, and no table locked."""
    login_url(fresh_url)
    before = ask(fresh_url, SNAPSHOT)
    again(fresh_url)
    assert ask(fresh_url, SNAPSHOT) == before


ALWAYS = "USING (true) WITH CHECK (true)"
WEAKNESSES = {
    "row-level security is not enabled on todos": ["ALTER TABLE todoservice.todos DISABLE ROW LEVEL SECURITY"],
    "row-level security is not forced on users": ["ALTER TABLE todoservice.users NO FORCE ROW LEVEL SECURITY"],
    "todos lacks the policy owner": ["DROP POLICY owner ON todoservice.todos"],
    "todos lacks the policy owner_floor": ["DROP POLICY owner_floor ON todoservice.todos"],
    "the policy owner of todos is not the host's": [f"ALTER POLICY owner ON todoservice.todos {ALWAYS}"],
    "the policy owner_floor of todos is not the host's": ["ALTER POLICY owner_floor ON todoservice.todos USING (true)"],
    "the policy owner_floor of users is not the host's": [
        "ALTER POLICY owner_floor ON todoservice.users TO pg_monitor"
    ],
    "the policy owner of users is not the host's": [
        "DROP POLICY owner ON todoservice.users",
        f"CREATE POLICY owner ON todoservice.users AS RESTRICTIVE {ALWAYS}",
    ],
    "the role APP may TRUNCATE on todos": ["GRANT TRUNCATE ON todoservice.todos TO APP"],
    "the role APP may UPDATE (user_id) on todos": ["GRANT UPDATE (user_id) ON todoservice.todos TO APP"],
    "the role APP may not DELETE on todos": ["REVOKE DELETE ON todoservice.todos FROM APP"],
    "the role APP may SELECT WITH GRANT OPTION and may not SELECT on todos": [
        "GRANT SELECT ON todoservice.todos TO APP WITH GRANT OPTION"
    ],
    "the role APP may UPDATE on todos_alembic_version": ["GRANT UPDATE ON todoservice.todos_alembic_version TO APP"],
    "the role APP may CREATE on todoservice": ["GRANT CREATE ON SCHEMA todoservice TO APP"],
    "todos is open to every role (SELECT)": ["GRANT SELECT (title) ON todoservice.todos TO PUBLIC"],
    "todoservice is open to every role (CREATE)": ["GRANT CREATE ON SCHEMA todoservice TO PUBLIC"],
    "todoservice.require_user(id uuid) is open to every role (EXECUTE)": [
        "GRANT EXECUTE ON FUNCTION todoservice.require_user(uuid) TO PUBLIC"
    ],
    "todoservice.all_todos() is open to every role (EXECUTE)": [
        "CREATE FUNCTION todoservice.all_todos() RETURNS bigint SECURITY DEFINER LANGUAGE sql"
        " RETURN (SELECT count(*) FROM todoservice.todos)",
        "GRANT EXECUTE ON FUNCTION todoservice.all_todos() TO PUBLIC",
    ],
}


def inspected(url: str) -> list[str]:
    """Return what is seen to be wrong over this URL."""
    with transaction.connected(make_url(url)) as connection:
        return [fault.what for fault in security.inspect(connection, OWNERS).faults]


@pytest.mark.parametrize("fault", WEAKNESSES)
def test_each_weakness_is_seen_and_mended(fresh_url: str, fault: str) -> None:
    """Seen with the service's own rights, and mended by the next upgrade."""
    service = login_url(fresh_url)
    app = f"{make_url(fresh_url).database}_app"
    ask(fresh_url, *(re.sub(r"\bAPP\b", app, statement) for statement in WEAKNESSES[fault]))
    assert inspected(service) == [fault.replace("APP", app)]
    migrate(fresh_url)
    assert inspected(service) == []


def test_a_sound_database_has_no_fault(service_url: str) -> None:
    """As the service sees it."""
    assert inspected(service_url) == []


def test_to_inspect_takes_one_statement(service_url: str) -> None:
    """A start over a slow network is not slowed down."""
    statements: list[str] = []
    with transaction.connected(make_url(service_url)) as connection:
        event.listen(connection, "before_cursor_execute", lambda *given: statements.append(given[2]))
        security.inspect(connection, OWNERS)
    assert len(statements) == 1
