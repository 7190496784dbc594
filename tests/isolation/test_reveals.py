"""Two users try each finding of the catalog under row-level security: it reveals. Its neighbors are no finding."""

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from databases import ask, login_url, migrate, neon
from sqlalchemy import make_url
from starlette.testclient import TestClient

from todoservice import Settings, create_app, uuid7
from todoservice.audit.words import FUNCTIONS
from todoservice.database import catalogue, security
from todoservice.middleware import CannotStart
from todoservice.migrations import transaction

OWNERS: dict[str, str | None] = {"users": "id", "todos": "user_id"}
ME, THEM = uuid7(), uuid7()
MADE = "INSERT INTO todoservice.todos (user_id, id, title, is_completed, created_at"
NAMING = f"""
CREATE FUNCTION public.peek() RETURNS text LANGUAGE plpgsql AS $$DECLARE
    me text := current_setting('todoservice.user_id');
    theirs text;
BEGIN
    PERFORM set_config('todoservice.user_id', '{THEM}', true);
    SELECT title INTO theirs FROM todoservice.todos WHERE user_id = '{THEM}';
    PERFORM set_config('todoservice.user_id', me, true);
    RETURN theirs;
END$$;
GRANT EXECUTE ON FUNCTION public.peek() TO PUBLIC;
"""
"""A function that names another user to row-level security, and reads a row of theirs."""


@pytest.fixture
def login(fresh_url: str) -> str:
    """Return the URL of the service's role, in a database of this test's own."""
    return login_url(fresh_url)


def found(url: str, owners: dict[str, str | None] = OWNERS) -> list[str]:
    """Return what is found over this URL, each with its code."""
    with transaction.connected(make_url(url)) as connection:
        return [f"{fault.code}: {fault.what}" for fault in catalogue.verify(connection, owners)]


def start(url: str, **settings: object) -> None:
    """Start the service, which is to require isolation."""
    with TestClient(create_app(Settings.load({"neon_database_url": url, "require_isolation": True, **settings}))):
        pass


def add(user: object, title: str, more: str = "", values: str = "") -> tuple[str, str]:
    """Return the statements that add a user, where missing, and a todo of this user's."""
    return (
        f"INSERT INTO todoservice.users (id) VALUES ('{user}') ON CONFLICT DO NOTHING",
        f"{MADE}{more}) VALUES ('{user}', '{uuid7()}', '{title}', false, now(){values})",
    )


REVEALING = {
    "identity": ("ALTER TABLE todoservice.todos ADD n int GENERATED ALWAYS AS IDENTITY", "n", "", ""),
    "sequence": (
        "ALTER TABLE todoservice.todos ADD n serial; GRANT USAGE ON SEQUENCE todoservice.todos_n_seq TO {app}",
        "n", "", "",
    ),
    "foreign key": (
        "ALTER TABLE todoservice.todos ADD friend uuid REFERENCES todoservice.users (id)",
        "friend", ", friend", f", '{THEM}'",
    ),
    "length of the owner": (
        "CREATE UNIQUE INDEX titles ON todoservice.todos (title, length(user_id::text))", "title", "", "",
    ),
    "operator class": (
        "CREATE FUNCTION public.same(uuid, uuid) RETURNS int LANGUAGE sql IMMUTABLE RETURN 0; "
        "CREATE OPERATOR CLASS public.same_ops FOR TYPE uuid USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, "
        "OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 public.same(uuid, uuid); "
        "CREATE UNIQUE INDEX titles ON todoservice.todos (title, user_id public.same_ops)", "title", "", "",
    ),
    "exclusion": ("ALTER TABLE todoservice.todos ADD EXCLUDE (title WITH =)", "title", "", ""),
    "trigger": (
        NAMING + "CREATE FUNCTION public.spy() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
        "new.description := public.peek(); RETURN new; END$$; "
        "CREATE TRIGGER spying BEFORE INSERT ON todoservice.todos FOR EACH ROW EXECUTE FUNCTION public.spy()",
        "description", "", "",
    ),
    "default": (
        NAMING + "ALTER TABLE todoservice.todos ADD seen text DEFAULT public.peek()",
        "seen", "", "",
    ),
    "function of a name of PostgreSQL's": (
        NAMING + "CREATE FUNCTION public.lower(varchar) RETURNS text LANGUAGE sql "
        "RETURN public.peek(); GRANT EXECUTE ON FUNCTION public.lower(varchar) TO PUBLIC",
        "lower(title)", "", "",
    ),
    "operator": (
        NAMING + "CREATE FUNCTION public.same(varchar, varchar) RETURNS bool LANGUAGE sql "
        "RETURN public.peek() IS NOT NULL; GRANT EXECUTE ON FUNCTION public.same TO PUBLIC; "
        "CREATE OPERATOR public.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.same)",
        "title = title", "", "",
    ),
    "check of a type": (
        NAMING + "CREATE DOMAIN public.free AS text CHECK (VALUE <> public.peek()); "
        "ALTER TABLE todoservice.todos ADD word public.free",
        "word", ", word", ", 'x'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REVEALING)
def test_one_user_learns_of_another_from_it(fresh_url: str, login: str, kind: str) -> None:
    """Row-level security is on, and the statement is the user's own; the check finds it, and the service stays down."""
    planted, column, more, values = REVEALING[kind]
    ask(fresh_url, planted.replace("{app}", f"{make_url(fresh_url).database}_app"))
    assert answer(login, column, more, values) != answer(login, column, more, values, victim=True)
    assert found(login)
    with pytest.raises(CannotStart, match="isolation is degraded: "):
        start(login)


def answer(url: str, column: str, more: str, values: str, *, victim: bool = False) -> object:
    """Return what the attacker gets, alone or beside a victim. Only a sequence keeps its count."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        for user in [THEM] * victim + [ME]:
            cursor.execute("SELECT set_config('todoservice.user_id', %s, true)", (str(user),))
            try:
                for statement in add(user, "x", *(("", "") if user == THEM else (more, values))):
                    cursor.execute(statement)
            except psycopg2.IntegrityError as error:
                return type(error)
        cursor.execute(f"SELECT {column} FROM todoservice.todos")
        return cursor.fetchall()


HARMLESS = {
    "partial index": "CREATE UNIQUE INDEX ON todoservice.todos (user_id, title) WHERE NOT is_completed",
    "expressions beside the owner": "CREATE UNIQUE INDEX ON todoservice.todos (lower(title), user_id DESC NULLS LAST)",
    "exclusion with the owner": "CREATE EXTENSION btree_gist; ALTER TABLE todoservice.todos ADD "
    "EXCLUDE USING gist (user_id WITH =, tstzrange(created_at, NULL) WITH &&)",
    "null owners": "CREATE UNIQUE INDEX ON todoservice.todos (user_id, description) NULLS NOT DISTINCT",
    "a default that computes": "ALTER TABLE todoservice.todos "
    "ADD a text DEFAULT upper(to_char(now(), 'YYYY') || random()), ADD b uuid DEFAULT gen_random_uuid(), "
    "ADD c date DEFAULT (now() AT TIME ZONE 'utc'), ADD d int DEFAULT 1 + 2",
    "a generated column": "ALTER TABLE todoservice.todos "
    "ADD words tsvector GENERATED ALWAYS AS (to_tsvector('english', title)) STORED",
    "a check": r"ALTER TABLE todoservice.todos ADD CHECK (title ~ '^\w+$' AND created_at > '2000-01-01'::date)",
    "a domain": "CREATE DOMAIN public.word AS text DEFAULT 'x' CHECK (length(VALUE) < 9); "
    "ALTER TABLE todoservice.todos ADD word public.word",
    "an operator of an extension": "CREATE EXTENSION citext; "
    "ALTER TABLE todoservice.todos ADD mail citext CHECK (mail <> '')",
    "a trigger of PostgreSQL's": "ALTER TABLE todoservice.todos ADD words tsvector; "
    "CREATE TRIGGER words BEFORE INSERT ON todoservice.todos FOR EACH ROW "
    "EXECUTE FUNCTION tsvector_update_trigger(words, 'pg_catalog.english', title)",
    "a second key to one's own user": "ALTER TABLE todoservice.todos "
    "ADD FOREIGN KEY (user_id) REFERENCES todoservice.users",
    "an upright view": "CREATE VIEW todoservice.mine WITH (security_invoker = true) AS SELECT * FROM todoservice.todos",
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_its_neighbor_reveals_nothing(fresh_url: str, login: str, kind: str) -> None:
    """Neither the check nor the start has anything against it."""
    ask(fresh_url, HARMLESS[kind])
    migrate(fresh_url)
    assert found(login) == []
    start(login)


def test_operator_allows_a_function_of_the_database(fresh_url: str, login: str) -> None:
    """In a trigger as in a default, by its name, with or without its schema."""
    ask(
        fresh_url,
        "CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
        "CREATE TRIGGER touching BEFORE UPDATE ON todoservice.todos FOR EACH ROW EXECUTE FUNCTION touch()",
        "CREATE FUNCTION public.key() RETURNS text LANGUAGE sql RETURN 'x'",
        "ALTER TABLE todoservice.todos ADD key text DEFAULT public.key()",
    )
    migrate(fresh_url)
    with pytest.raises(
        CannotStart, match=r"the default of key .* calls key\(\).*the trigger touching .* runs touch\(\)"
    ):
        start(login)
    start(login, allowed_functions="Touch, public.key")


def test_functions_that_statements_may_call_are_known_to_the_check(fresh_url: str) -> None:
    """Those of PostgreSQL's that are not immutable are listed there, but for those that no expression can call."""
    query = """
        SELECT DISTINCT proname FROM pg_proc
        WHERE oid < 16384 AND provolatile <> 'i' AND prokind = 'f' AND NOT proretset AND proname = ANY(%s)
    """
    with closing(psycopg2.connect(fresh_url)) as connection, connection.cursor() as cursor:
        cursor.execute(query, (sorted(FUNCTIONS),))
        names = [name for (name,) in cursor.fetchall()]
    assert [name for name in names if f"'{name}'" not in catalogue.rules()["reveal"]] == []


DECLARED = {
    "a view": "CREATE VIEW todoservice.colours AS SELECT * FROM todoservice.todos",
    "a materialized view": "CREATE MATERIALIZED VIEW todoservice.colours AS SELECT * FROM todoservice.todos",
    "a foreign table": "CREATE FOREIGN DATA WRAPPER none; CREATE SERVER elsewhere FOREIGN DATA WRAPPER none; "
    "CREATE FOREIGN TABLE todoservice.colours (title text) SERVER elsewhere",
    "a sequence": "CREATE SEQUENCE todoservice.colours",
}


@pytest.mark.parametrize("column", [None, "user_id"], ids=["shared", "owned"])
@pytest.mark.parametrize("kind", DECLARED)
def test_declared_relation_that_is_no_table_is_granted_to_nobody(
    fresh_url: str, login: str, kind: str, column: str | None
) -> None:
    """An older release granted it: the next migration revokes that, and the finding stays."""
    app = f"{make_url(fresh_url).database}_app"
    ask(fresh_url, *add(THEM, "theirs"), DECLARED[kind], f"GRANT SELECT ON todoservice.colours TO {app}")
    if kind in {"a view", "a materialized view"}:
        assert ask(login, "SELECT title FROM todoservice.colours", user=ME) == [("theirs",)]
    owners = {**OWNERS, "colours": column}
    for _ in range(2):
        with transaction.connected(make_url(fresh_url)) as connection, connection.begin():
            security.apply(connection, owners)
        assert ask(login, "SELECT has_table_privilege('todoservice.colours', 'SELECT')") == [(False,)]
    with transaction.connected(make_url(login)) as connection:
        [fault] = security.inspect(connection, owners).faults
    assert str(fault) == (
        f"colours is {kind}, and row-level security guards tables only: "
        "report it to the author of its plugin, whose next migration must correct it"
    )


OWN_SETTINGS = {
    "DateStyle = 'ISO, DMY'": "SELECT '01/02/2026'::date",
    "IntervalStyle = 'iso_8601'": "SELECT '1 day'::interval::text",
    "TimeZone = 'Asia/Tokyo'": "SELECT '2026-01-01'::timestamptz::text",
    "bytea_output = 'escape'": "SELECT 'a'::bytea::text",
    "extra_float_digits = 0": "SELECT (0.1::float8 + 0.2)::text",
    "transform_null_equals = on": "SELECT 1 WHERE nullif(1, 1) = NULL",
    "array_nulls = off": "SELECT '{NULL}'::text[] = ARRAY[NULL]",
    "default_text_search_config = 'pg_catalog.simple'": "SELECT to_tsvector('cats')::text",
    "default_transaction_isolation = 'serializable'": "SELECT current_setting('transaction_isolation')",
    "search_path = pg_catalog": "SELECT current_schema()",
    "quote_all_identifiers = on": "SELECT pg_get_viewdef('pg_catalog.pg_roles'::regclass)",
    "xmlbinary = 'hex'": "SELECT current_setting('xmlbinary')",
    "enable_seqscan = off": "SELECT current_setting('enable_seqscan')",
    "plan_cache_mode = 'force_generic_plan'": "SELECT current_setting('plan_cache_mode')",
    "gin_fuzzy_search_limit = 1": "SELECT current_setting('gin_fuzzy_search_limit')",
    "check_function_bodies = off": "SELECT current_setting('check_function_bodies')",
    "client_encoding = 'LATIN1'": "SELECT current_setting('client_encoding')",
}


@pytest.mark.parametrize("setting", OWN_SETTINGS)
def test_setting_that_a_role_gives_itself_is_found(login: str, setting: str) -> None:
    """The login may do so, and a later session of it reads the same statement otherwise."""
    name = setting.partition(" ")[0]
    before = ask(login, OWN_SETTINGS[setting])
    with closing(psycopg2.connect(login)) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"ALTER ROLE CURRENT_USER SET {setting}")
    assert ask(login, OWN_SETTINGS[setting]) != before
    words = f"setting: a session of the role {make_url(login).username} begins with a value for {name}"
    assert words in [line.replace('"', "") for line in found(login)]
    with pytest.raises(CannotStart, match=f"begins with a value for {name}.*RESET {name.lower()}"):
        start(login)


def test_setting_of_time_limits_and_logs_is_no_finding(fresh_url: str, login: str) -> None:
    """Neither of the role nor of the database."""
    database, role = make_url(fresh_url).database, make_url(login).username
    ask(
        fresh_url,
        f"ALTER ROLE {role} SET statement_timeout = '5s'",
        f"ALTER ROLE {role} SET idle_in_transaction_session_timeout = '5s'",
        f"ALTER DATABASE {database} SET log_min_duration_statement = 100",
        f"ALTER DATABASE {database} SET work_mem = '8MB'",
        f"ALTER DATABASE {database} SET random_page_cost = 1.1",
    )
    assert found(login) == []
    start(login)


@pytest.fixture
def neon_url(server_url: str) -> Iterator[str]:
    """Return the URL of an owner as Neon makes one."""
    with neon(server_url) as url:
        yield url


def test_owner_of_neons_kind_starts_the_service(neon_url: str) -> None:
    """Migrated and provisioned, with isolation required; and with its own URL, degraded, if that is not required."""
    migrate(neon_url)
    login = login_url(neon_url)
    start(login)
    start(neon_url, require_isolation=False)
    with pytest.raises(CannotStart, match=r"isolation is degraded: .*BYPASSRLS"):
        start(neon_url)


def test_rules_take_one_statement(login: str) -> None:
    """Over a slow network a start with isolation required takes one trip more."""
    with transaction.connected(make_url(login)) as connection:
        assert catalogue.found(connection, catalogue.statement(OWNERS)) == []
    assert catalogue.statement(OWNERS).count(" UNION ALL SELECT '") == len(catalogue.rules()) - 1
