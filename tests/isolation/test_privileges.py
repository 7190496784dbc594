"""Privileges that no role has: the login role's to switch, and PUBLIC's on later functions and look-alike tables."""

from typing import Final

import psycopg2
import pytest
from databases import PASSWORD, ask, login_url, migrate, neon, role
from psycopg2.errors import InsufficientPrivilege
from sqlalchemy import make_url

from todoservice import uuid7
from todoservice.database import roles
from todoservice.migrations import transaction

MAKE: Final = "CREATE FUNCTION public.later() RETURNS int LANGUAGE sql RETURN 1"
CALL: Final = "SELECT public.later()"
CLOSED: Final = """
    SELECT count(*) FROM pg_default_acl AS a, pg_roles AS r WHERE r.rolname = current_user
        AND a.defaclrole = r.oid AND a.defaclnamespace = 0 AND a.defaclobjtype = 'f'
        AND NOT EXISTS (SELECT FROM aclexplode(a.defaclacl) WHERE grantee = 0)
"""


def version(url: str) -> int:
    """Return the number of the server's version."""
    [(number,)] = ask(url, "SELECT current_setting('server_version_num')::int")
    return int(number)


# Roles


def test_login_cannot_become_the_role_that_holds_the_grants(fresh_url: str) -> None:
    """PostgreSQL 15 has no such option: there the login becomes a role that can do no more than itself."""
    service = login_url(fresh_url)
    app = f"{make_url(fresh_url).database}_app"
    become = f'SET LOCAL ROLE "{app}"'
    if version(fresh_url) < roles._CAN_SET:
        titles = "SELECT title FROM todoservice.todos"
        assert ask(service, become, titles, user=uuid7()) == []
    else:
        with pytest.raises(InsufficientPrivilege, match=f'permission denied to set role "{app}"'):
            ask(service, become)


@pytest.mark.parametrize("statement", ["SET ROLE {}", "SET SESSION AUTHORIZATION {}", "GRANT {} TO CURRENT_USER"])
def test_login_cannot_become_its_owner(fresh_url: str, statement: str) -> None:
    service = login_url(fresh_url)
    with pytest.raises(psycopg2.Error, match=r"permission denied|must be superuser"):
        ask(service, statement.format(make_url(fresh_url).username))


@pytest.mark.parametrize("owner", ["superuser", "neon"])
def test_login_inherits_one_role_and_may_neither_become_nor_grant_it(
    server_url: str, fresh_url: str, owner: str
) -> None:
    query = """
        SELECT g.rolname, to_jsonb(m) FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid
        WHERE m.member = (SELECT oid FROM pg_roles WHERE rolname = current_database() || '_login')
    """
    with neon(server_url) as neons:
        url = neons if owner == "neon" else fresh_url
        login_url(url)
        [(name, options)] = ask(url, query)
        assert name == f"{make_url(url).database}_app"
        assert (options.get("inherit_option", True), options.get("set_option", False)) == (True, False)
        assert not options["admin_option"]


@pytest.mark.parametrize("wrong", ["SET TRUE", "INHERIT FALSE", "ADMIN OPTION"])
def test_membership_of_the_login_is_repaired(fresh_url: str, wrong: str) -> None:
    """Each of its three options, one at a time. PostgreSQL 15 has the last one only."""
    if version(fresh_url) < roles._CAN_SET and wrong != "ADMIN OPTION":
        return
    service = login_url(fresh_url)
    name = make_url(fresh_url).database
    ask(fresh_url, f'GRANT "{name}_app" TO "{name}_login" WITH {wrong}')
    login_url(fresh_url)
    with pytest.raises(InsufficientPrivilege):
        ask(service, f'GRANT "{name}_app" TO "{name}_login"' if wrong == "ADMIN OPTION" else f'SET ROLE "{name}_app"')
    assert ask(service, "SELECT FROM todoservice.todos", user=uuid7()) == []


def test_owner_may_become_the_role_that_holds_the_grants_without_inheriting_it(server_url: str) -> None:
    with neon(server_url) as url:
        migrate(url)
        app = f"{make_url(url).database}_app"
        assert ask(url, f'SET LOCAL ROLE "{app}"', "SELECT current_user") == [(app,)]
        assert ask(url, f"SELECT pg_has_role('{app}', 'USAGE')") == [(version(url) < roles._CAN_SET,)]


def test_password_of_a_login_is_the_one_given(fresh_url: str) -> None:
    """Not an empty one, with which nobody could log in."""
    with transaction.connected(make_url(fresh_url)) as connection:
        login = roles.provision(connection, PASSWORD)
    assert login == roles.Login(f"{make_url(fresh_url).database}_login", renewed=True)
    [(scram,)] = ask(fresh_url, f"SELECT rolpassword FROM pg_authid WHERE rolname = '{login.name}'")
    assert scram.startswith("SCRAM-SHA-256$")


# PUBLIC's default privileges


def test_function_made_after_provisioning_is_closed_to_every_role(fresh_url: str) -> None:
    assert ask(fresh_url, CLOSED) == [(0,)]
    service = login_url(fresh_url)
    assert ask(fresh_url, CLOSED) == [(1,)]
    ask(fresh_url, MAKE)
    with pytest.raises(InsufficientPrivilege, match="permission denied for function later"):
        ask(service, CALL)


@pytest.mark.parametrize(
    "beside",
    [
        "IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO {other}",
        "FOR ROLE {other} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        "REVOKE USAGE ON TYPES FROM PUBLIC",
        "GRANT SELECT ON TABLES TO {other}",
        "GRANT EXECUTE ON FUNCTIONS TO {other}",
    ],
)
def test_another_default_privilege_does_not_stand_for_the_functions(
    server_url: str, fresh_url: str, beside: str
) -> None:
    """Of a schema, of another role, of another kind of object, or in addition to PUBLIC's."""
    with role(server_url, "") as other:
        ask(fresh_url, f"ALTER DEFAULT PRIVILEGES {beside.format(other=other)}")
        service = login_url(fresh_url)
        ask(fresh_url, MAKE)
        with pytest.raises(InsufficientPrivilege):
            ask(service, CALL)
        ask(fresh_url, f"DROP OWNED BY {other}")


def test_functions_that_an_owner_has_closed_stay_as_they_are(fresh_url: str) -> None:
    """Nothing is written for them again."""
    ask(fresh_url, "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")
    query = "SELECT oid, xmin::text, defaclacl::text FROM pg_default_acl"
    before = ask(fresh_url, query)
    login_url(fresh_url)
    assert ask(fresh_url, query) == before


# Tables that resemble a version table


READ: Final = "SELECT * FROM todoservice.{}"
LOOK_ALIKES: Final = {
    "another column": ("x_alembic_version", "(secret text)"),
    "a column more": ("x_alembic_version", "(version_num text, secret text)"),
    "a column before": ("x_alembic_version", "(secret text, version_num text)"),
    "no column": ("x_alembic_version", "()"),
    "a column in upper case": ("x_alembic_version", '("VERSION_NUM" text)'),
    "the name within": ("x_alembic_version_of", "(version_num text)"),
    "the name without an underscore": ("xalembic_versions", "(version_num text)"),
    "the name in upper case": ('"x_ALEMBIC_VERSION"', "(version_num text)"),
}


@pytest.mark.parametrize(("name", "columns"), LOOK_ALIKES.values(), ids=LOOK_ALIKES)
def test_table_that_resembles_a_version_table_is_not_granted(fresh_url: str, name: str, columns: str) -> None:
    ask(fresh_url, f"CREATE TABLE todoservice.{name} {columns}")
    migrate(fresh_url)
    with pytest.raises(InsufficientPrivilege):
        ask(login_url(fresh_url), READ.format(name))


def test_version_table_of_any_plugin_is_read_only(fresh_url: str) -> None:
    ask(fresh_url, "CREATE TABLE todoservice.x_alembic_version (version_num text)")
    migrate(fresh_url)
    service = login_url(fresh_url)
    assert ask(service, READ.format("x_alembic_version")) == []
    for statement in (
        "INSERT INTO {} VALUES ('a')",
        "UPDATE {} SET version_num = 'a'",
        "DELETE FROM {}",
        "TRUNCATE {}",
    ):
        with pytest.raises(InsufficientPrivilege):
            ask(service, statement.format("todoservice.x_alembic_version"))


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED VIEW"])
def test_view_that_resembles_a_version_table_is_not_granted(fresh_url: str, kind: str) -> None:
    ask(fresh_url, f"CREATE {kind} todoservice.x_alembic_version AS SELECT title AS version_num FROM todoservice.todos")
    migrate(fresh_url)
    with pytest.raises(InsufficientPrivilege):
        ask(login_url(fresh_url), READ.format("x_alembic_version"))
