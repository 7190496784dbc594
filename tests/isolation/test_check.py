"""`todoservice check`: each rule finds what it is there for, and says what mends it."""

import json
import re
from pathlib import Path

import pytest
from databases import ask, login_url, migrate, neon
from plugin_modules import Site
from sqlalchemy import make_url
from starlette.testclient import TestClient

from todoservice import Settings, create_app
from todoservice.cli import main
from todoservice.database import catalogue
from todoservice.middleware import CannotStart
from todoservice.migrations import transaction

OWNERS = {"users": "id", "todos": "user_id"}

QUERIES = """
from sqlalchemy import func, select
from todoservice import Queries, hookimpl

class Strange(Queries):
    asks = select(func.query_to_xml('SELECT 1', True, True, ''))

@hookimpl
def todoservice_queries():
    return Strange
"""


FUNCTION = "CREATE FUNCTION public.peek(text) RETURNS int LANGUAGE sql IMMUTABLE RETURN 0"


def start(url: str) -> None:
    """Start the service, which is to require isolation."""
    with TestClient(create_app(Settings.load({"neon_database_url": url, "require_isolation": True}))):
        pass


def found(url: str) -> list[tuple[str, str]]:
    """Return what is found over this URL: each the code, and what and mend in one."""
    with transaction.connected(make_url(url)) as connection:
        return [(fault.code, str(fault)) for fault in catalogue.verify(connection, OWNERS)]


@pytest.fixture
def login(fresh_url: str) -> str:
    """Return the URL of the service's role, in a database of this test's own."""
    return login_url(fresh_url)


@pytest.fixture
def names(fresh_url: str) -> dict[str, str]:
    """Return how a statement may name the database and its roles."""
    database = str(make_url(fresh_url).database)
    return {"database": database, "app": f"{database}_app", "login": f"{database}_login"}


def test_a_database_that_was_provisioned_has_nothing_to_mend(login: str) -> None:
    """No rule finds anything."""
    assert found(login) == []


def test_a_database_of_neons_owner_has_nothing_to_mend(server_url: str) -> None:
    """Migrated and provisioned by an owner who is no superuser."""
    with neon(server_url) as url:
        migrate(url)
        assert found(login_url(url)) == []


PLANTED = {
    "view": (
        "CREATE VIEW todoservice.all_todos AS SELECT * FROM todoservice.todos",
        "the view todoservice.all_todos reads declared tables as its owner: "
        "run ALTER VIEW todoservice.all_todos SET (security_invoker = true), or drop it",
    ),
    "view of a view, elsewhere": (
        "CREATE SCHEMA other; CREATE VIEW other.inner_one WITH (security_invoker = true) AS SELECT id FROM "
        "todoservice.todos; CREATE VIEW other.outer_one AS SELECT * FROM other.inner_one",
        "the view other.outer_one reads declared tables as its owner: run ALTER VIEW other.outer_one ",
    ),
    "materialized view": (
        "CREATE MATERIALIZED VIEW titles AS SELECT title FROM todoservice.todos",
        "the materialized view titles keeps a copy of declared tables, which has no policies: run DROP ",
    ),
    "relation": (
        "CREATE TABLE todoservice.notes (id int); GRANT SELECT, DELETE ON todoservice.notes TO {app}",
        "the role {app} may DELETE, SELECT todoservice.notes, which no installed plugin declares: "
        "run REVOKE ALL ON todoservice.notes FROM PUBLIC, {app}",
    ),
    "relation elsewhere": (
        "CREATE TABLE public.copies (id int); GRANT INSERT (id) ON public.copies TO {login}",
        "the role {login} may INSERT copies, which no installed plugin declares: run REVOKE ALL ON copies FROM ",
    ),
    "relation, named as a version table": (
        "CREATE TABLE todoservice.copy_alembic_version (title text); "
        "GRANT SELECT ON todoservice.copy_alembic_version TO {app}",
        "the role {app} may SELECT todoservice.copy_alembic_version, which no installed plugin declares",
    ),
    "relation, a sequence": (
        "CREATE SEQUENCE todoservice.counter; GRANT USAGE ON SEQUENCE todoservice.counter TO {app}",
        "the role {app} may USAGE todoservice.counter, which no installed plugin declares",
    ),
    "grant to the login": (
        "GRANT TRUNCATE ON todoservice.todos TO {login}",
        "the role {login} may TRUNCATE on todoservice.todos: run REVOKE ALL ON todoservice.todos FROM {login}: ",
    ),
    "grant of a column": (
        "GRANT SELECT (title) ON todoservice.todos TO pg_monitor",
        "the role pg_monitor may SELECT on todoservice.todos: run REVOKE ALL ON todoservice.todos FROM pg_monitor",
    ),
    "grant widened": (
        "GRANT UPDATE ON todoservice.todos TO {app}",
        "the role {app} may UPDATE on todos: run `todoservice db upgrade`",
    ),
    "grant to every role": (
        "GRANT SELECT ON todoservice.todos TO PUBLIC",
        "todos is open to every role (SELECT): run `todoservice db upgrade`",
    ),
    "grant of the version table": (
        "GRANT UPDATE ON todoservice.todos_alembic_version TO {app}",
        "the role {app} may change todoservice.todos_alembic_version: run REVOKE ALL ",
    ),
    "policy added": (
        "CREATE POLICY open ON todoservice.todos USING (true)",
        "todoservice.todos has the policy open, which is not the host's and opens it but for the floor: "
        "run DROP POLICY open ON todoservice.todos",
    ),
    "policy dropped": (
        "DROP POLICY owner_floor ON todoservice.todos",
        "todos lacks the policy owner_floor: run `todoservice db upgrade`",
    ),
    "policy altered": (
        "ALTER POLICY owner ON todoservice.todos USING (true)",
        "the policy owner of todos is not the host's: run `todoservice db upgrade`",
    ),
    "row-security": (
        "ALTER TABLE todoservice.todos NO FORCE ROW LEVEL SECURITY",
        "row-level security is not forced on todos: run `todoservice db upgrade`",
    ),
    "rewrite": (
        "CREATE RULE keep AS ON DELETE TO todoservice.todos DO INSTEAD NOTHING",
        "todoservice.todos has the rewrite rule keep, which turns a statement into another: run DROP RULE keep ON ",
    ),
    "trigger": (
        "ALTER TABLE todoservice.todos DISABLE TRIGGER ALL",
        "a foreign key of todoservice.todos is switched off: run ALTER TABLE todoservice.todos ENABLE TRIGGER ALL",
    ),
    "trigger of a definer": (
        "CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN new; END'; "
        "CREATE TRIGGER spying BEFORE INSERT ON todoservice.todos FOR EACH ROW EXECUTE FUNCTION spy()",
        "the trigger spying of todoservice.todos runs spy() as that function's owner: "
        "run DROP TRIGGER spying ON todoservice.todos",
    ),
    "trigger of an author": (
        "CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'; "
        "CREATE TRIGGER spying BEFORE INSERT ON todoservice.todos FOR EACH ROW EXECUTE FUNCTION spy()",
        "the trigger spying of todoservice.todos runs spy(), which the audit cannot read: "
        "run DROP TRIGGER spying ON todoservice.todos, or allow spy in TODOSERVICE_ALLOWED_FUNCTIONS",
    ),
    "partition": (
        "CREATE TABLE public.more () INHERITS (todoservice.todos)",
        "more is a partition or child of todoservice.todos, and a query of either passes the policies of the other by: "
        "run ALTER TABLE more NO INHERIT todoservice.todos",
    ),
    "function": (
        "CREATE FUNCTION public.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS "
        "'SELECT count(*) FROM todoservice.todos'; GRANT EXECUTE ON FUNCTION public.peek() TO PUBLIC",
        "the role {login} may call peek(), which runs as its owner (SECURITY DEFINER): "
        "run ALTER ROUTINE peek() SECURITY INVOKER, or REVOKE EXECUTE ON ROUTINE peek() FROM PUBLIC, {login}",
    ),
    "function, leakproof": (
        "CREATE FUNCTION public.tell(text) RETURNS bool LANGUAGE plpgsql LEAKPROOF AS 'BEGIN RETURN true; END'; "
        "GRANT EXECUTE ON FUNCTION public.tell(text) TO {app}",
        "the role {app} may call tell(text), which sees rows before their policy does (LEAKPROOF): run REVOKE ",
    ),
    "function, of a name of PostgreSQL's": (
        "CREATE FUNCTION public.lower(varchar) RETURNS text LANGUAGE sql RETURN $1; "
        "GRANT EXECUTE ON FUNCTION public.lower(varchar) TO {app}",
        "the role {app} may call lower(character varying), which a statement can mean by the name of PostgreSQL's own: "
        "run DROP ROUTINE lower(character varying), or REVOKE EXECUTE ON ROUTINE lower(character varying) FROM PUBLIC",
    ),
    "function, of an operator": (
        "CREATE FUNCTION public.same(varchar, varchar) RETURNS bool LANGUAGE sql RETURN true; "
        "CREATE OPERATOR public.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.same)",
        "the operator =(character varying,character varying) runs same(character varying,character varying), "
        "which the audit cannot read: drop the operator =(character varying,character varying)",
    ),
    "function, of a cast": (
        "CREATE TYPE public.colour AS ENUM ('red'); "
        "CREATE FUNCTION public.shown(public.colour) RETURNS text LANGUAGE sql RETURN 'x'; "
        "CREATE CAST (public.colour AS text) WITH FUNCTION public.shown(public.colour) AS IMPLICIT",
        "the cast from colour to text runs shown(colour), which the audit cannot read: drop the cast from colour to",
    ),
    "default": (
        "ALTER DEFAULT PRIVILEGES IN SCHEMA todoservice GRANT SELECT ON TABLES TO {app}",
        "in the schema todoservice will be open to {app}: run ALTER DEFAULT PRIVILEGES FOR ROLE ",
    ),
    "create, temporary tables": (
        "GRANT TEMPORARY ON DATABASE {database} TO {login}",
        "the role {login} may make temporary tables, which outlast the user of a pooled connection, in this database: "
        "run `todoservice db provision`",
    ),
    "create, a schema's": (
        "GRANT CREATE ON SCHEMA public TO {app}",
        "the role {app} may make tables and functions in the schema public: run REVOKE CREATE ON SCHEMA public FROM ",
    ),
    "role, an attribute": (
        "ALTER ROLE {login} BYPASSRLS",
        "the role {login} has BYPASSRLS: run `todoservice db provision`",
    ),
    "role, a membership": (
        "GRANT pg_read_all_data TO {app}",
        "the role {login} is a member of pg_read_all_data: run REVOKE pg_read_all_data FROM {app}",
    ),
    "role, a member": (
        "CREATE ROLE {database}_other; GRANT {app} TO {database}_other",
        "the role {database}_other is a member of {app}, and can read and change every user's rows",
    ),
    "role, an owner": (
        "CREATE TABLE public.own (); ALTER TABLE public.own OWNER TO {login}",
        "the role {login} owns the table own: run REASSIGN OWNED BY {login} TO CURRENT_USER",
    ),
    "setting": (
        "ALTER ROLE {login} SET todoservice.user_id = '9f0c3ab2-1f5e-4c7e-9d2f-6a1b7c1de001'",
        "a session of the role {login} begins with a value for todoservice.user_id: "
        "run ALTER ROLE {login} RESET todoservice.user_id",
    ),
    "setting of the database": (
        "ALTER DATABASE {database} SET search_path = other, public",
        "every session begins with a value for search_path: run ALTER DATABASE {database} RESET search_path",
    ),
    "setting, a parameter": (
        "GRANT SET ON PARAMETER session_replication_role TO {app}",
        "the role {app} may set session_replication_role: run REVOKE ALL ON PARAMETER session_replication_role FROM ",
    ),
    "setting of every role": (
        "ALTER ROLE ALL IN DATABASE {database} SET IntervalStyle = 'sql_standard'",
        "every session begins with a value for IntervalStyle: run ALTER DATABASE {database} RESET intervalstyle",
    ),
    "setting of the role in the database": (
        "ALTER ROLE {login} IN DATABASE {database} SET app.secret = 'do not show'",
        "a session of the role {login} begins with a value for app.secret: "
        "run ALTER ROLE {login} IN DATABASE {database} RESET app.secret",
    ),
    "reveal, an identity": (
        "ALTER TABLE todoservice.todos ADD n bigint GENERATED BY DEFAULT AS IDENTITY",
        "the column n of todoservice.todos is an identity, which reveals how many rows other users add: report it ",
    ),
    "reveal, an identity of users": (
        "ALTER TABLE todoservice.users ADD n bigint GENERATED ALWAYS AS IDENTITY",
        "the column n of todoservice.users is an identity, which reveals how many rows other users add: report it ",
    ),
    "reveal, a sequence": (
        "ALTER TABLE todoservice.todos ADD n serial",
        "the default of n of todoservice.todos calls nextval(regclass), which could reveal what other users do: "
        "report it to the author of its plugin, whose next migration must correct it, or allow nextval in TODO",
    ),
    "reveal, a sequence by an operator": (
        "CREATE SEQUENCE s; CREATE OPERATOR public.## (RIGHTARG = regclass, FUNCTION = nextval);"
        "ALTER TABLE todoservice.todos ADD n bigint DEFAULT (OPERATOR(public.##) 's'::regclass)",
        "the default of n of todoservice.todos calls nextval(regclass), which could reveal what other users do",
    ),
    "reveal, activity": (
        "ALTER TABLE todoservice.todos ADD n text DEFAULT md5(pg_current_xact_id()::text)",
        "the default of n of todoservice.todos calls pg_current_xact_id(), which could reveal what other users do",
    ),
    "reveal, a generated column": (
        "{function}; ALTER TABLE todoservice.todos ADD n int GENERATED ALWAYS AS (public.peek(title)) STORED",
        "the default of n of todoservice.todos calls peek(text), which could reveal what other users do",
    ),
    "reveal, a check": (
        "{function}; ALTER TABLE todoservice.todos ADD CONSTRAINT free CHECK (public.peek(title) = 0)",
        "the constraint free of todoservice.todos calls peek(text), which could reveal what other users do",
    ),
    "reveal, an index": (
        "{function}; CREATE INDEX short ON todoservice.todos (user_id, public.peek(title))",
        "the index todoservice.short calls peek(text), which could reveal what other users do",
    ),
    "reveal, the condition of an index": (
        "{function}; CREATE INDEX short ON todoservice.todos (user_id) WHERE public.peek(title) = 0",
        "the index todoservice.short calls peek(text), which could reveal what other users do",
    ),
    "reveal, the condition of a trigger": (
        "{function}; CREATE TRIGGER same BEFORE UPDATE ON todoservice.todos FOR EACH ROW "
        "WHEN (public.peek(new.title) = 0) EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "the trigger same of todoservice.todos calls peek(text), which could reveal what other users do",
    ),
    "reveal, the default of a type": (
        "CREATE SEQUENCE s; CREATE DOMAIN public.number AS bigint DEFAULT nextval('s'); CREATE DOMAIN public.own AS "
        "public.number; ALTER TABLE todoservice.todos ADD n public.own",
        "the type own of a column of todoservice.todos calls nextval(regclass), which could reveal what other users do",
    ),
    "reveal, the check of a type": (
        "{function}; CREATE DOMAIN public.word AS text CHECK (public.peek(VALUE) = 0);"
        "ALTER TABLE todoservice.todos ADD n public.word[]",
        "the type word of a column of todoservice.todos calls peek(text), which could reveal what other users do",
    ),
    "key, foreign, to users": (
        "ALTER TABLE todoservice.todos ADD friend uuid CONSTRAINT friend REFERENCES todoservice.users (id)",
        "the foreign key friend of todoservice.todos shows whether a user exists: report it to the author",
    ),
    "key, foreign, to users and more": (
        "ALTER TABLE todoservice.users ADD UNIQUE (id, created_at); ALTER TABLE todoservice.todos "
        "ADD since timestamptz, ADD CONSTRAINT friend FOREIGN KEY (user_id, since) "
        "REFERENCES todoservice.users (id, created_at)",
        "the foreign key friend of todoservice.todos shows whether a user exists: report it to the author",
    ),
    "key, foreign, out of the schema": (
        "CREATE TABLE public.people (id int PRIMARY KEY); "
        "ALTER TABLE todoservice.todos ADD who int CONSTRAINT who REFERENCES public.people (id)",
        "the foreign key who of todoservice.todos shows whether a row exists in people, which is no plugin's table: ",
    ),
    "key, foreign, to a table that nobody declares": (
        "CREATE TABLE todoservice.old (user_id uuid, id uuid PRIMARY KEY); "
        "ALTER TABLE todoservice.todos ADD up uuid CONSTRAINT up REFERENCES todoservice.old (id)",
        "the foreign key up of todoservice.todos can point at another user's row of todoservice.old: report it ",
    ),
    "key, unique by the length of the owner": (
        "CREATE UNIQUE INDEX titles ON todoservice.todos (title, length(user_id::text))",
        "todoservice.titles is unique over all users, which tells one what another has: report it to the author ",
    ),
    "key, unique by an operator class": (
        "CREATE FUNCTION public.same(uuid, uuid) RETURNS int LANGUAGE sql IMMUTABLE RETURN 0; "
        "CREATE OPERATOR CLASS public.same_ops FOR TYPE uuid USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, "
        "OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 public.same(uuid, uuid); "
        "CREATE UNIQUE INDEX titles ON todoservice.todos (title, user_id public.same_ops)",
        "todoservice.titles is unique over all users, which tells one what another has: report it to the author ",
    ),
    "key, unique over users": (
        "CREATE UNIQUE INDEX moments ON todoservice.users (created_at)",
        "todoservice.moments is unique over all users, which tells one what another has: report it to the author ",
    ),
    "key, excluding by a title": (
        "ALTER TABLE todoservice.todos ADD CONSTRAINT titles EXCLUDE (title WITH =)",
        "todoservice.titles is unique over all users, which tells one what another has: report it to the author ",
    ),
    "key, unique": (
        "CREATE UNIQUE INDEX titles ON todoservice.todos (title)",
        "todoservice.titles is unique over all users, which tells one what another has: report it to the author ",
    ),
    "key, unique but for what it includes": (
        "CREATE UNIQUE INDEX titles ON todoservice.todos (title) INCLUDE (user_id)",
        "todoservice.titles is unique over all users, which tells one what another has: report it to the author ",
    ),
    "key, excluding other owners": (
        "CREATE SCHEMA gist; CREATE EXTENSION btree_gist SCHEMA gist; ALTER TABLE todoservice.todos ADD CONSTRAINT "
        "titles EXCLUDE USING gist (title gist.gist_text_ops WITH =, "
        "user_id gist.gist_uuid_ops WITH OPERATOR(pg_catalog.<>))",
        "todoservice.titles is unique over all users, which tells one what another has: report it to the author ",
    ),
    "key, primary": (
        "ALTER TABLE todoservice.todos DROP CONSTRAINT pk_todos, ADD PRIMARY KEY (id)",
        "todoservice.todos has another primary key than (user_id, id): report it to the author of its plugin",
    ),
    "key, foreign": (
        "ALTER TABLE todoservice.todos ADD UNIQUE (id), ADD up uuid; ALTER TABLE todoservice.todos "
        "ADD CONSTRAINT up FOREIGN KEY (up) REFERENCES todoservice.todos (id)",
        "the foreign key up of todoservice.todos can point at another user's row of todoservice.todos: report it ",
    ),
    "key, not validated": (
        "ALTER TABLE todoservice.todos DROP CONSTRAINT fk_todos_user_id, "
        "ADD CONSTRAINT late FOREIGN KEY (user_id) REFERENCES todoservice.users (id) NOT VALID",
        "the foreign key late of todoservice.todos was never validated: "
        "run ALTER TABLE todoservice.todos VALIDATE CONSTRAINT late",
    ),
    "key, nullable": (
        "ALTER TABLE todoservice.todos DROP CONSTRAINT pk_todos, ALTER user_id DROP NOT NULL",
        "the column user_id of todoservice.todos is not a uuid that every row has: report it to the author",
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_what_weakens_isolation_is_found(fresh_url: str, login: str, names: dict[str, str], planted: str) -> None:
    """With the words that an operator reads, seen with the service's own role.

    The service does not start if isolation is required, but for a table that no plugin declares: a newer release, or a
    plugin that is blocked, may have made it.
    """
    statement, words = (part.format(**names, function=FUNCTION) for part in PLANTED[planted])
    ask(fresh_url, statement)
    try:
        code = planted.split(",", maxsplit=1)[0].split(maxsplit=1)[0] if planted != "materialized view" else "view"
        assert [text for kind, text in found(login) if kind == code and words in text], found(login)
        if code == "relation":
            start(login)
        else:
            with pytest.raises(CannotStart, match=f"isolation is degraded: .*{re.escape(words.partition(': ')[0])}"):
                start(login)
    finally:
        if "PARAMETER" in statement:
            ask(fresh_url, f"REVOKE SET ON PARAMETER session_replication_role FROM {names['app']}")
        if "_other" in statement:
            ask(fresh_url, f"DROP ROLE IF EXISTS {names['database']}_other")


def test_every_rule_has_something_planted_for_it() -> None:
    """No rule is without a test in which it fires."""
    fired = {planted.split(",")[0].split()[0] for planted in PLANTED}
    assert catalogue.rules().keys() <= fired


def test_the_roles_themselves_are_looked_for(fresh_url: str) -> None:
    """An owner's URL before provisioning: everything that is degraded is told."""
    codes = {code for code, _ in found(fresh_url)}
    assert {"bypass", "create"} <= codes


@pytest.fixture
def service(login: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the environment to the service's, and return its URL."""
    monkeypatch.setenv("NEON_DATABASE_URL", login)
    return login


def test_the_command_says_what_it_looked_at(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And exits with 0 where there is nothing to mend."""
    assert main(["check"]) == 0
    role = make_url(service).username
    assert capsys.readouterr().out == (
        f"nothing to mend; looked at 2 tables and 5 declared queries, as the role {role}\n"
    )


def test_the_command_exits_with_1_on_a_finding(
    service: str, fresh_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each: its code, what it is, and what mends it."""
    ask(fresh_url, "DROP POLICY owner_floor ON todoservice.todos")
    assert main(["check"]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first == "policy  todos lacks the policy owner_floor: run `todoservice db upgrade`"
    assert last.startswith("1 thing to mend; looked at ")


@pytest.mark.usefixtures("service")
def test_the_same_as_json(fresh_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For a machine."""
    ask(fresh_url, "DROP POLICY owner_floor ON todoservice.todos")
    assert main(["check", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report.keys() == {"ok", "role", "tables", "queries", "findings"}
    assert (report["ok"], report["tables"]) == (False, ["todos", "users"])
    assert "todos.retrieve_todo" in report["queries"]
    assert report["findings"] == [
        {"code": "policy", "what": "todos lacks the policy owner_floor", "mend": "run `todoservice db upgrade`"}
    ]


@pytest.mark.usefixtures("service")
def test_it_changes_nothing(fresh_url: str) -> None:
    """What is found stays until its owner mends it."""
    ask(fresh_url, "DROP POLICY owner_floor ON todoservice.todos")
    assert main(["check"]) == main(["check"]) == 1


def test_an_upgrade_mends_what_is_the_hosts(service: str, fresh_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the report says."""
    ask(fresh_url, "DROP POLICY owner_floor ON todoservice.todos", "GRANT ALL ON todoservice.todos TO PUBLIC")
    assert main(["check"]) == 1
    monkeypatch.setenv("NEON_MIGRATION_DATABASE_URL", fresh_url)
    assert main(["db", "upgrade"]) == 0
    assert main(["check"]) == 0
    assert found(service) == []


def test_a_schema_that_is_behind_is_a_finding(
    empty_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the command that mends it."""
    monkeypatch.setenv("NEON_DATABASE_URL", empty_url)
    assert main(["check"]) == 1
    assert re.search(
        r"^schema  the schema is behind: .*: run `todoservice db upgrade`$", capsys.readouterr().out, re.MULTILINE
    )


def test_a_database_out_of_reach_is_a_finding(
    unused_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the queries are looked at all the same."""
    monkeypatch.setenv("NEON_DATABASE_URL", f"postgresql://nobody@127.0.0.1:{unused_port}/todoservice")
    assert main(["check"]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("database  no connection to the database ")
    assert last == "1 thing to mend; looked at 2 tables and 5 declared queries, but not at the database"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a folder of installed distributions."""
    return Site(tmp_path, monkeypatch)


@pytest.mark.usefixtures("service")
def test_a_query_that_is_not_proven_is_a_finding(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """With its plugin and distribution, and the database is looked at all the same."""
    site.install("todoservice-strange", name="strange", source=QUERIES)
    assert main(["check"]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("P308  strange (todoservice-strange 0.3): strange.asks: the statement calls query_to_xml")
    assert "as the role" in last


@pytest.mark.usefixtures("service")
def test_what_a_plugin_sees_in_its_set_up_is_a_finding(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """As it is a warning at start."""
    source = (
        "from todoservice import hookimpl\n@hookimpl\ndef todoservice_checks(app): yield f'{app.title} has no bell'\n"
    )
    site.install("todoservice-careful", name="careful", source=source)
    assert main(["check"]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first == "W104  careful (todoservice-careful 0.3): todoservice has no bell"
    assert last.startswith("1 thing to mend; looked at ")


@pytest.mark.usefixtures("service")
def test_a_plugin_that_cannot_be_used_is_a_finding(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """With its plugin and distribution."""
    site.install("todoservice-broken", name="broken", source="import nothing_of_that_name")
    assert main(["check"]) == 1
    assert capsys.readouterr().out.startswith("P101  broken (todoservice-broken 0.3): todoservice_broken cannot be")
