"""The two roles of a database: one holds the grants, the other logs in, inherits the first, and can do nothing else.

Roles belong to the cluster, so that their names carry the database. All is read before anything is changed: a role that
is as it should be is not touched, and the owner of a Neon database may not touch all of its attributes.
"""

import json
import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from todoservice.database.security import STEM, literal, quoted, run
from todoservice.models import SCHEMA

LOCK: Final = 0x726F6C6573
"""The key of the advisory lock that those who change roles take: "roles" in ASCII. It is the database's."""
PATIENCE: Final = 60
"""Seconds to wait for it."""
ATTEMPTS: Final = 10
"""Databases of one cluster share its catalogue of roles, which no lock of one of them guards."""

_IN_THE_WAY: Final = frozenset({"XX000", "23505", "42710", "40P01"})
"""What PostgreSQL says where two change the catalogue at once: "tuple concurrently updated", which has no SQLSTATE of
its own, unique_violation, duplicate_object and deadlock_detected."""
_CAN_SET: Final = 160000
"""The version from which a membership says whether the member inherits, and whether it may switch."""
_ATTRIBUTES: Final = {
    "rolsuper": "SUPERUSER", "rolcreatedb": "CREATEDB", "rolcreaterole": "CREATEROLE",
    "rolreplication": "REPLICATION", "rolbypassrls": "BYPASSRLS",
}  # fmt: skip

_ROLE: Final = """(
    SELECT json_build_object(
        'attributes', to_json(r), 'groups', ARRAY(
            SELECT json_build_object('name', g.rolname, 'options', to_json(m))
            FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_roles AS g ON g.oid = m.roleid
            WHERE m.member = r.oid),
        'can_set', pg_has_role(current_user, r.oid,
            CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END),
        'admin', pg_has_role(current_user, r.oid, 'MEMBER WITH ADMIN OPTION'),
        'may_connect', EXISTS (SELECT FROM aclexplode(d.datacl) WHERE grantee = r.oid AND privilege_type = 'CONNECT'),
        'may_more', EXISTS (SELECT FROM aclexplode(d.datacl) WHERE grantee = r.oid AND privilege_type <> 'CONNECT'))
    FROM pg_catalog.pg_roles AS r WHERE r.rolname = """
_STATE: Final = f"""
SELECT json_build_object(
    'stem', {STEM}, 'database', d.datname, 'me', me.rolname, 'version', current_setting('server_version_num')::int,
    'manages', me.rolsuper OR me.rolcreaterole, 'superuser', me.rolsuper,
    'app', {_ROLE} {STEM} || '_app'), 'login', {_ROLE} {STEM} || '_login'),
    'owns_database', pg_has_role(me.oid, d.datdba, 'USAGE'),
    'public_database', EXISTS (
        SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) WHERE grantee = 0),
    'outsider', (SELECT o.rolname FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_roles AS o ON o.oid = n.nspowner
        WHERE n.nspname = '{SCHEMA}' AND o.oid <> d.datdba AND NOT o.rolsuper
            AND NOT EXISTS (SELECT FROM aclexplode(d.datacl) WHERE grantee = o.oid AND privilege_type = 'CONNECT')),
    'public_schema', (SELECT json_build_object('owned', pg_has_role(me.oid, n.nspowner, 'USAGE'), 'open', EXISTS (
            SELECT FROM aclexplode(n.nspacl) WHERE grantee = 0 AND privilege_type = 'CREATE'))
        FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'public'),
    'functions_open', NOT EXISTS (
        SELECT FROM pg_catalog.pg_default_acl AS a WHERE a.defaclrole = me.oid AND a.defaclnamespace = 0
            AND a.defaclobjtype = 'f' AND NOT EXISTS (SELECT FROM aclexplode(a.defaclacl) WHERE grantee = 0))
)::text FROM pg_catalog.pg_database AS d, pg_catalog.pg_roles AS me
WHERE d.datname = current_database() AND me.rolname = current_user
"""  # noqa: S608 - constants only

logger = logging.getLogger("todoservice")
_State = dict[str, Any]


@dataclass(frozen=True)
class Login:
    """The role that the service logs in with."""

    name: str
    renewed: bool
    """Whether it has the password that was given: where it was there already, it keeps the one it had."""


def ensure_app(connection: Connection) -> None:
    """Make or repair the role that holds the grants, in a transaction of its own. Where it is right, nothing is locked.

    Where the connection's role may not make roles, that is logged. Raises DBAPIError.
    """
    state = _changed(connection, lambda state: list(_app_changes(state)))
    if state["app"] is None:
        logger.warning(
            "There is no role %s_app, and %s may not make it: isolation is degraded until `todoservice db upgrade` is "
            "run with a role that has CREATEROLE", state["stem"], state["me"],
        )  # fmt: skip


def provision(connection: Connection, password: str, *, renew: bool = False) -> Login:
    """Make or repair both roles and what every role may do in this database, in a transaction of its own.

    The login gets `password` where it is made, or with `renew`: connections that it has stay. Raises DBAPIError, and
    PermissionError, which says what to do, where the connection's role may not make roles.
    """
    renewed = renew

    def changes(state: _State) -> list[str]:
        nonlocal renewed
        if not state["manages"]:
            msg = f"the role {state['me']} may not make roles: set NEON_MIGRATION_DATABASE_URL to the owner's"
            raise PermissionError(msg)
        renewed = renew or state["login"] is None
        return [
            *_app_changes(state), *_login_changes(state, password if renewed else None), *_database_changes(state),
        ]  # fmt: skip

    state = _changed(connection, changes)
    if state["public_database"]:
        logger.warning(
            "Every role may still connect to %s and make temporary tables there: run `todoservice db provision` as its "
            "owner", state["database"],
        )  # fmt: skip
    return Login(f"{state['stem']}_login", renewed)


def _changed(connection: Connection, changes: Callable[[_State], list[str]]) -> _State:
    """Do what `changes` finds to do, one at a time in this database, again where another database was in the way."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connection.begin():
                return _attempt(connection, changes)
        except DBAPIError as error:
            if attempt == ATTEMPTS or getattr(error.orig, "pgcode", None) not in _IN_THE_WAY:
                raise
            time.sleep(random.uniform(0.01, 0.05) * attempt)  # noqa: S311 - no secret
    raise AssertionError


def _attempt(connection: Connection, changes: Callable[[_State], list[str]]) -> _State:
    state = _read(connection)
    if changes(state):
        run(connection, f"SET LOCAL lock_timeout = '{PATIENCE}s'; SELECT pg_advisory_xact_lock({LOCK})")
        for statement in changes(_read(connection)):
            run(connection, statement)
        state = _read(connection)
    return state


def _read(connection: Connection) -> _State:
    found = connection.exec_driver_sql(_STATE, execution_options={"no_parameters": True}).scalar_one()
    return dict(json.loads(found))


def _app_changes(state: _State) -> Iterator[str]:
    if not state["manages"]:
        return
    name, role = quoted(f"{state['stem']}_app"), state["app"]
    options = " WITH INHERIT FALSE, SET TRUE" if state["version"] >= _CAN_SET else ""
    if role is None:
        yield f"CREATE ROLE {name} NOLOGIN"
        if not state["superuser"]:
            yield f"GRANT {name} TO CURRENT_USER{options}"
        return
    yield from _repairs(name, role, login=False)
    if not role["can_set"] and (role["admin"] or state["version"] < _CAN_SET):
        yield f"GRANT {name} TO CURRENT_USER{options}"


def _login_changes(state: _State, password: str | None) -> Iterator[str]:
    app, name, role = quoted(f"{state['stem']}_app"), quoted(f"{state['stem']}_login"), state["login"]
    if role is None:
        yield f"CREATE ROLE {name} LOGIN PASSWORD {literal(password or '')}"
    else:
        yield from _repairs(name, role, login=True, keep=f"{state['stem']}_app")
        if password is not None:
            yield f"ALTER ROLE {name} PASSWORD {literal(password)}"
    if role is None or not any(_inherits(group, state) for group in role["groups"]):
        options = " WITH INHERIT TRUE, SET FALSE" if state["version"] >= _CAN_SET else ""
        if role is not None and any(group["options"]["admin_option"] for group in role["groups"]):
            # A GRANT without it does not take it back.
            yield f"REVOKE ADMIN OPTION FOR {app} FROM {name}"
        yield f"GRANT {app} TO {name}{options}"


def _inherits(group: dict[str, Any], state: _State) -> bool:
    options = group["options"]
    return (
        group["name"] == f"{state['stem']}_app"
        and options.get("inherit_option", True)
        and not (options.get("set_option") or options["admin_option"])
    )


def _repairs(name: str, role: dict[str, Any], *, login: bool, keep: str = "") -> Iterator[str]:
    """Yield what takes from a role what it should not have."""
    wrong = [f"NO{attribute}" for column, attribute in _ATTRIBUTES.items() if role["attributes"][column]]
    if role["attributes"]["rolcanlogin"] != login:
        wrong.append("LOGIN" if login else "NOLOGIN")
    if not role["attributes"]["rolinherit"]:
        wrong.append("INHERIT")
    if wrong:
        yield f"ALTER ROLE {name} {' '.join(wrong)}"
    for group in sorted({group["name"] for group in role["groups"]} - {keep}):
        yield f"REVOKE {quoted(group)} FROM {name}"


def _database_changes(state: _State) -> Iterator[str]:
    """Yield what closes the database to every role but its owner's, and opens it to the login."""
    database, login = quoted(state["database"]), quoted(f"{state['stem']}_login")
    role = state["login"] or {"may_connect": False, "may_more": False}
    if state["owns_database"]:
        if role["may_more"]:
            yield f"REVOKE ALL ON DATABASE {database} FROM {login}"
        if role["may_more"] or not role["may_connect"]:
            yield f"GRANT CONNECT ON DATABASE {database} TO {login}"
        if state["public_database"] and state["outsider"]:
            yield f"GRANT CONNECT ON DATABASE {database} TO {quoted(state['outsider'])}"
        if state["public_database"]:
            yield f"REVOKE ALL ON DATABASE {database} FROM PUBLIC"
    if (state["public_schema"] or {}).get("open") and state["public_schema"]["owned"]:
        yield "REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    if state["functions_open"]:
        yield "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"
