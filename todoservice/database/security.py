"""What keeps the rows of a database apart: row-level security, policies and grants; read, compared and mended.

One statement reads the catalogue, so that a database that is as it should be is not locked, and a start costs one trip.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from todoservice.models import SCHEMA

VERSION_TABLE: Final = "_alembic_version"
"""How the name of every version table ends: the service reads them."""
DOORS: Final = frozenset({f"{SCHEMA}.require_user(id uuid)"})
"""The functions that the service may call, besides PostgreSQL's own."""

UPGRADE: Final = "run `todoservice db upgrade`"
PROVISION: Final = "run `todoservice db provision`, and set NEON_DATABASE_URL to the URL that it prints"
AUTHOR: Final = "report it to the author of its plugin, whose next migration must correct it"

STEM: Final = (
    "CASE WHEN octet_length(current_database()) > 57"
    " THEN left(encode(sha256(convert_to(current_database(), 'UTF8')), 'hex'), 32) ELSE current_database() END"
)
"""How the names of the database's roles begin, in SQL: with its own, hashed where no suffix would fit in 63 bytes."""

_ME: Final = f"(SELECT nullif(current_setting('{SCHEMA}.user_id', true), '')::uuid)"
_ME_READ: Final = (  # as pg_get_expr writes it, in PostgreSQL 15 to 18
    f"( SELECT (NULLIF(current_setting('{SCHEMA}.user_id'::text, true), ''::text))::uuid AS \"nullif\")"
)
_KINDS: Final = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence"}
"""The relations that row-level security does not guard."""
_POLICIES: Final = {"owner": "PERMISSIVE", "owner_floor": "RESTRICTIVE"}

STATE: Final = f"""
WITH app AS (SELECT oid, rolname FROM pg_catalog.pg_roles WHERE rolname = {STEM} || '_app'),
item AS (
    SELECT 'relation' AS kind, c.relname::text AS name, format('TABLE %I.%I', n.nspname, c.relname) AS target,
        c.relowner AS owner, coalesce(c.relacl, acldefault('r', c.relowner)) AS acl, c.oid AS relation,
        json_build_object('kind', c.relkind, 'enabled', c.relrowsecurity, 'forced', c.relforcerowsecurity, 'policies', (
            SELECT json_object_agg(p.polname, json_build_array(
                CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                p.polcmd = '*' AND p.polroles = ARRAY[0::oid],
                pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
            )) FROM pg_catalog.pg_policy AS p WHERE p.polrelid = c.oid
        )) AS security
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = '{SCHEMA}' AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL
    SELECT 'schema', n.nspname::text, format('SCHEMA %I', n.nspname),
        n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner)), NULL, NULL
    FROM pg_catalog.pg_namespace AS n WHERE n.nspname = '{SCHEMA}'
    UNION ALL
    SELECT 'routine', format('%s.%s(%s)', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid)),
        format('ROUTINE %I.%I(%s)', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid)),
        f.proowner, coalesce(f.proacl, acldefault('f', f.proowner)), NULL, NULL
    FROM pg_catalog.pg_proc AS f JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
    WHERE n.nspname = '{SCHEMA}'
)
SELECT kind, name, target, json_build_object(
    'app', (SELECT rolname FROM app),
    'mine', pg_has_role(current_user, owner, 'MEMBER'),
    'public', ARRAY(SELECT DISTINCT privilege_type FROM aclexplode(acl) WHERE grantee = 0 UNION
        SELECT x.privilege_type FROM pg_catalog.pg_attribute AS a, aclexplode(a.attacl) AS x
        WHERE a.attrelid = relation AND x.grantee = 0),
    'granted', ARRAY(SELECT privilege_type || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
        FROM aclexplode(acl) WHERE grantee = (SELECT oid FROM app)),
    'granted_columns', ARRAY(
        SELECT ARRAY[x.privilege_type || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, a.attname]
        FROM pg_catalog.pg_attribute AS a, aclexplode(a.attacl) AS x
        WHERE a.attrelid = relation AND NOT a.attisdropped AND x.grantee = (SELECT oid FROM app)),
    'columns', ARRAY(SELECT attname FROM pg_catalog.pg_attribute
        WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped ORDER BY attnum),
    'security', security
)::text FROM item
UNION ALL
SELECT 'session', current_user, {STEM} || '_app', json_build_object(
    'app', (SELECT rolname FROM app),
    'superuser', (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
    'bypasses', ARRAY(SELECT rolname FROM pg_catalog.pg_roles
        WHERE (rolsuper OR rolbypassrls) AND pg_has_role(current_user, oid, 'MEMBER') ORDER BY rolname),
    'may_switch', pg_has_role(current_user, (SELECT oid FROM app),
        CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END)
)::text
"""  # noqa: S608 - constants only


@dataclass(frozen=True)
class Fault:
    """Something that weakens isolation, and what mends it."""

    code: str
    """A word for its kind, the same in every release."""
    what: str
    mend: str
    sql: str = ""
    """The statements that mend it, where there are such."""

    def __str__(self) -> str:
        """Tell both, in one line."""
        return f"{self.what}: {self.mend}"


@dataclass(frozen=True)
class Isolation:
    """How well this connection's database and role keep users apart."""

    faults: tuple[Fault, ...]
    """Nothing, where it is as it should be."""
    role: str | None
    """The role to switch to before each statement, since the connection's own can do too much; else None."""

    def __str__(self) -> str:
        """Tell what is wrong, and then each mend once."""
        faults = "; ".join(fault.what for fault in self.faults)
        return f"{faults}: {'; '.join(dict.fromkeys(fault.mend for fault in self.faults))}"


@dataclass(frozen=True)
class _Item:
    """A schema, relation, routine or session, as the catalogue tells it."""

    kind: str
    name: str
    target: str
    facts: Mapping[str, Any]


def apply(connection: Connection, owners: Mapping[str, str | None]) -> list[Fault]:
    """Make the security of the tables `owners` what it should be, in the connection's transaction.

    `owners` gives for each declared table the column that names its rows' owner, or None for a shared one. What is
    right already is left alone, without a lock. Returns what was mended. Raises DBAPIError.
    """
    faults = [fault for fault in _catalogue_faults(_state(connection), owners) if fault.sql]
    for fault in faults:
        run(connection, fault.sql)
    return faults


def inspect(connection: Connection, owners: Mapping[str, str | None]) -> Isolation:
    """Say how well users are kept apart, in one statement. `owners` is as in `apply`."""
    items = _state(connection)
    session = next(item for item in items if item.kind == "session")
    mine = sorted(item.name for item in items if item.name in owners and item.facts["mine"])
    session_faults = list(_session_faults(session, mine))
    may_switch = session_faults and session.facts["may_switch"]
    return Isolation((*session_faults, *_catalogue_faults(items, owners)), session.facts["app"] if may_switch else None)


def run(connection: Connection, text: str) -> None:
    """Send SQL as it stands: a percent sign in a name is no placeholder."""
    connection.exec_driver_sql(text, execution_options={"no_parameters": True})


def quoted(name: str) -> str:
    """Return a name as an SQL identifier."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def literal(value: str) -> str:
    """Return a text as an SQL literal, whatever `standard_conforming_strings` is."""
    escaped = value.replace("'", "''").replace("\\", "\\\\")
    return f" E'{escaped}'" if "\\" in value else f"'{escaped}'"


def _state(connection: Connection) -> list[_Item]:
    rows = connection.exec_driver_sql(STATE, execution_options={"no_parameters": True})
    return [_Item(kind, name, target, json.loads(facts)) for kind, name, target, facts in rows]


def _session_faults(session: _Item, mine: Iterable[str]) -> Iterator[Fault]:
    """Yield what is wrong with the connection's role: it can undo what keeps users apart."""
    if session.facts["superuser"]:
        why = f"the role {session.name} is a superuser, whom row-level security does not bind"
    elif session.facts["bypasses"]:
        others = [name for name in session.facts["bypasses"] if name != session.name]
        why = f"the role {session.name} {f'can become {others[0]}, which' if others else 'has BYPASSRLS and'} bypasses "
        why += "row-level security"
    elif tables := ", ".join(mine):
        why = f"the role {session.name} owns {tables}, and can switch row-level security off"
    else:
        return
    yield Fault("bypass", why, PROVISION)
    if session.facts["app"] and not session.facts["may_switch"]:
        yield Fault("bypass", f"the role {session.name} may not switch to {session.target}", PROVISION)


def _catalogue_faults(items: Iterable[_Item], owners: Mapping[str, str | None]) -> Iterator[Fault]:
    for item in items:
        if item.kind == "session":
            if item.facts["app"] is None:
                yield Fault("role", f"there is no role {item.target}", UPGRADE)
            continue
        if item.kind == "relation" and item.name in owners:
            kind, column = _kind(item), owners[item.name]
            if kind:
                what = f"{item.name} is {kind}, and row-level security guards tables only"
                yield Fault("relation", what, AUTHOR)
            elif column:
                yield from _row_faults(item, column)
        yield from _grant_faults(item, owners)


def _kind(item: _Item) -> str | None:
    return _KINDS.get(item.facts["security"]["kind"])


def _row_faults(item: _Item, column: str) -> Iterator[Fault]:
    """Yield how a table's row-level security differs from an owned one's."""
    found = item.facts["security"]
    if not found["enabled"] or not found["forced"]:
        sql = f"ALTER {item.target} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        missing = "forced" if found["enabled"] else "enabled"
        yield Fault("row-security", f"row-level security is not {missing} on {item.name}", UPGRADE, sql)
    policies = found["policies"] or {}
    for name, kind in _POLICIES.items():
        table = item.target.removeprefix("TABLE ")
        make = f"CREATE POLICY {name} ON {table} AS {kind} FOR ALL TO PUBLIC"
        make += f" USING ({column} = {_ME}) WITH CHECK ({column} = {_ME})"
        if name not in policies:
            yield Fault("policy", f"{item.name} lacks the policy {name}", UPGRADE, make)
        elif policies[name] != [kind, True, *[f"({column} = {_ME_READ})"] * 2]:
            remake = f"DROP POLICY {name} ON {table}; {make}"
            yield Fault("policy", f"the policy {name} of {item.name} is not the host's", UPGRADE, remake)


def _grant_faults(item: _Item, owners: Mapping[str, str | None]) -> Iterator[Fault]:
    """Yield what is granted to too many, or to the app's role not as it should be."""
    if item.facts["public"]:
        what = f"{item.name} is open to every role ({', '.join(sorted(item.facts['public']))})"
        yield Fault("grant", what, UPGRADE, f"REVOKE ALL ON {item.target} FROM PUBLIC")
    wanted, app = _wanted(item, owners), item.facts["app"]
    if wanted is None or app is None:
        return
    found = set(item.facts["granted"]) | {(privilege, column) for privilege, column in item.facts["granted_columns"]}
    if found != wanted:
        more, less = (_told(names) for names in (found - wanted, wanted - found))
        differs = " and ".join(filter(None, [more and f"may {more}", less and f"may not {less}"]))
        sql = _regrant(item.target, quoted(app), wanted)
        yield Fault("grant", f"the role {app} {differs} on {item.name}", UPGRADE, sql)


_Privileges = set[str | tuple[str, str]]
"""Of a whole object, or of a column."""


def _wanted(item: _Item, owners: Mapping[str, str | None]) -> _Privileges | None:
    """Return what the app's role may do with it, or None for what nobody declared: that is left as it is."""
    match item.kind:
        case "schema":
            return {"USAGE"}
        case "routine":
            return {"EXECUTE"} if item.name in DOORS else None
        case _ if item.name in owners:
            if _kind(item):
                return set()
            return _wanted_of_table(owners[item.name], item.facts["columns"])
        case _:
            return {"SELECT"} if _is_version_table(item) else None


def _is_version_table(item: _Item) -> bool:
    # A view of that name would be read with its owner's rights, past row-level security.
    is_table = item.kind == "relation" and item.facts["security"]["kind"] == "r"
    return is_table and item.name.endswith(VERSION_TABLE) and item.facts["columns"] == ["version_num"]


def _wanted_of_table(owner: str | None, columns: Iterable[str]) -> _Privileges:
    match owner:
        case None:
            return {"SELECT"}
        case "id":  # of users: a row is added with its id, and is never changed
            return {"SELECT", ("INSERT", "id")}
        case _:
            changing = [column for column in columns if column not in {owner, "id"}]
            return {"SELECT", "INSERT", "DELETE", *(("UPDATE", column) for column in changing)}


def _regrant(target: str, role: str, wanted: _Privileges) -> str:
    grants = [privilege for privilege in wanted if isinstance(privilege, str)]
    grants += [f"{what} ({quoted(column)})" for what, column in (name for name in wanted if isinstance(name, tuple))]
    grant = f"; GRANT {', '.join(sorted(grants))} ON {target} TO {role}" if grants else ""
    return f"REVOKE ALL ON {target} FROM {role}{grant}"


def _told(privileges: _Privileges) -> str:
    return ", ".join(sorted(name if isinstance(name, str) else f"{name[0]} ({name[1]})" for name in privileges))
