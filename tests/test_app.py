"""The app factory: what it needs to start, and what it leaves behind."""

import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import psycopg2
import pytest
import todoservice_todos
from serving import COMMAND, serving, wait_until_ready
from sqlalchemy import make_url
from starlette.testclient import TestClient

import todoservice
from todoservice import Settings, create_app
from todoservice.middleware import CannotStart
from todoservice.settings import InvalidSettings

TODOS = "/api/v1/todos"


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Return a folder that the embedded server's account can enter, unlike pytest's own when run by root."""
    folder = Path(tempfile.mkdtemp(prefix="todoservice-app-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def stopped(**environment: str) -> str:
    """Return what the server says when these variables stop its start."""
    with serving(*COMMAND, port=1, **environment) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode
    return errors


def test_the_package_is_the_installed_one() -> None:
    """The tests meet the wheel and not the tree, but where the tree is installed editable."""
    installed = Path(todoservice.__file__)
    assert "site-packages" in installed.parts or "TOX_ENV_NAME" not in os.environ


def test_importing_the_package_does_nothing() -> None:
    """It loads neither FastAPI nor SQLAlchemy, and sets no wait callback."""
    script = (
        "import sys, todoservice, psycopg2.extensions; before = set(sys.modules);"
        "assert not {'fastapi', 'sqlalchemy', 'pydantic', 'alembic'} & set(sys.modules);"
        "assert psycopg2.extensions.get_wait_callback() is None"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_serving_does_not_import_alembic(database_url: str) -> None:
    """It takes longer to import than all the rest, and a schema that is current needs none of it."""
    script = (
        "import sys, todoservice, starlette.testclient\n"
        "with starlette.testclient.TestClient(todoservice.create_app()) as client:\n"
        "    assert client.get('/readyz').status_code == 200\n"
        "assert 'alembic' not in sys.modules"
    )
    environment = os.environ | {"NEON_DATABASE_URL": database_url}
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, env=environment)


def test_settings_that_cannot_be_used_stop_the_factory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is made."""
    monkeypatch.setenv("TODOSERVICE_POOL_SIZE", "many")
    with pytest.raises(InvalidSettings, match="TODOSERVICE_POOL_SIZE"):
        create_app()


def test_a_wrong_setting_stops_the_server_with_one_line() -> None:
    """No traceback, and no password."""
    errors = stopped(NEON_DATABASE_URL="mysql://u:secret@h/db")
    assert errors.splitlines()[-1] == (
        "NEON_DATABASE_URL: names the driver 'mysql', and the service speaks psycopg2 only: "
        "write postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=require"
    )
    assert "Traceback" not in errors
    assert "secret" not in errors


def test_without_a_database_the_message_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the embedded server is not installed either: a production image never falls back to it."""
    monkeypatch.setattr("todoservice.database.embedded.installed", lambda: False)
    with pytest.raises(SystemExit) as refused:
        create_app()
    assert str(refused.value) == (
        "NEON_DATABASE_URL is not set: set it to the connection string of a database, "
        "or install the embedded PostgreSQL for development: pip install 'todoservice[embedded]'"
    )


def test_a_schema_that_is_behind_stops_the_start(empty_url: str) -> None:
    """The message names the command that mends it."""
    app = create_app(Settings.load({"neon_database_url": empty_url}))
    with pytest.raises(CannotStart, match=r"the schema is behind: .*run `todoservice db upgrade`"), TestClient(app):
        raise AssertionError


def test_a_server_says_so_in_one_line(empty_url: str) -> None:
    """No traceback, and no password."""
    errors = stopped(NEON_DATABASE_URL=empty_url)
    (line,) = re.findall(r"^ERROR: +(the schema is behind.*)$", errors, re.MULTILINE)
    assert "todoservice db upgrade" in line
    assert "Traceback" not in errors
    assert str(make_url(empty_url).password) not in errors


def test_a_database_that_may_not_be_looked_at_stops_the_start(settings: Settings) -> None:
    """In one line, with the command that mends the role."""
    app = create_app(settings)
    database = app.state.data.database
    database._verify = lambda connection: connection.exec_driver_sql("SELECT 1 FROM pg_authid").scalar()
    database._door = lambda _text, _parameters: None
    with pytest.raises(CannotStart) as refused, TestClient(app):
        raise AssertionError
    assert str(refused.value) == (
        "the database does not let the service look at its tables: "
        "permission denied for table pg_authid: run `todoservice db provision`"
    )
    assert (database.pool.in_use, database.pool.at_hand()) == (0, None)


def test_the_header_is_said_to_be_taken_on_trust(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    """At every start, until an authentication plugin takes its place."""
    with TestClient(create_app(settings)):
        assert "Who is asking is taken from the header X-User-ID on trust" in caplog.text


def test_auto_migrate_migrates_at_start(empty_url: str) -> None:
    """Through the owner's connection."""
    urls = {"neon_database_url": empty_url, "neon_migration_database_url": empty_url}
    app = create_app(Settings.load({**urls, "auto_migrate": True}))
    with TestClient(app) as client:
        assert client.get(TODOS, headers={"X-User-ID": str(uuid4())}).json()["items"] == []


def test_auto_migrate_waits_for_a_database_that_is_away(
    empty_url: str, unused_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    """As the service itself does: it starts, is not ready, and looks again. No password in the log."""
    away = make_url(empty_url).set(host="127.0.0.1", port=unused_port, password="secret", query={})
    urls = {
        "neon_database_url": empty_url,
        "neon_migration_database_url": away.render_as_string(hide_password=False),
    }
    app = create_app(Settings.load({**urls, "auto_migrate": True}))
    with TestClient(app) as client:
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
    assert "Starting without a database" in caplog.text
    assert "secret" not in caplog.text


def test_two_apps_in_one_process_are_apart(database_url: str, fresh_url: str) -> None:
    """Each has its database, its settings and its plugins."""
    one = create_app(Settings.load({"neon_database_url": database_url}))
    two = create_app(Settings.load({"neon_database_url": fresh_url}), plugins=[todoservice_todos])
    me = {"X-User-ID": str(uuid4())}
    with TestClient(one) as first, TestClient(two) as second:
        assert first.post(TODOS, json={"title": "In one"}, headers=me).status_code == 201
        assert first.get(TODOS, headers=me).json()["count"] == 1
        assert second.get(TODOS, headers=me).json()["count"] == 0


def test_an_app_can_be_started_again(settings: Settings) -> None:
    """On another event loop, with the pool opened anew."""
    app = create_app(settings)
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/readyz").json() == {"status": "ready"}


def test_closing_the_app_closes_its_connections(fresh_url: str) -> None:
    """None is left at the server."""
    app = create_app(Settings.load({"neon_database_url": fresh_url}))
    with TestClient(app) as client:
        client.get(TODOS, headers={"X-User-ID": str(uuid4())})
    connection = psycopg2.connect(fresh_url)
    connection.autocommit = True  # a transaction sees what was there as it first looked
    with connection.cursor() as cursor:
        for _ in range(100):
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            if cursor.fetchall() == [(1,)]:
                break
            time.sleep(0.05)
        else:
            pytest.fail("a connection was left open")
    connection.close()


def test_what_the_garbage_collector_is_spared(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there as an app of the environment starts, for as long as it runs; nothing where settings were given."""
    before, (young, *older) = gc.get_freeze_count(), gc.get_threshold()
    with TestClient(create_app(Settings.load({"neon_database_url": database_url}))):
        assert (gc.get_freeze_count(), gc.get_threshold()) == (before, (young, *older))
    monkeypatch.setenv("NEON_DATABASE_URL", database_url)
    with TestClient(create_app()):
        assert gc.get_freeze_count() > before + 1000
        assert gc.get_threshold() == (10_000, *older)
    assert (gc.get_freeze_count(), gc.get_threshold()) == (0, (young, *older))


@pytest.mark.parametrize("own", [0, 50_000])
def test_a_threshold_of_the_operators_own(database_url: str, monkeypatch: pytest.MonkeyPatch, own: int) -> None:
    """A collector that was switched off stays so, and one that looks less often than ours would does, too."""
    monkeypatch.setenv("NEON_DATABASE_URL", database_url)
    thresholds = gc.get_threshold()
    gc.set_threshold(own)
    try:
        with TestClient(create_app()):
            assert gc.get_threshold()[0] == own
    finally:
        gc.set_threshold(*thresholds)


def test_the_object_for_fastapi_run_is_the_app(database_url: str) -> None:
    """`todoservice.asgi:app`, as `[tool.fastapi]` names it."""
    script = "from todoservice.asgi import app; assert '/api/v1/todos' in app.openapi()['paths']"
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"NEON_DATABASE_URL": database_url})


@pytest.mark.slow
def test_workers_share_an_embedded_server(data_dir: Path, unused_port: int) -> None:
    """Ten start at once on an empty directory; the data outlives a kill -9 of all of them."""
    me = {"X-User-ID": str(uuid4())}
    address = f"http://127.0.0.1:{unused_port}{TODOS}"
    with serving(*COMMAND, "--workers", "10", port=unused_port, TODOSERVICE_DATA_DIR=str(data_dir)) as process:
        wait_until_ready(unused_port)
        made = [httpx2.post(address, json={"title": f"{n}"}, headers=me).json()["id"] for n in range(20)]
        _kill_group(process)
    with serving(*COMMAND, port=unused_port, TODOSERVICE_DATA_DIR=str(data_dir)) as process:
        wait_until_ready(unused_port)
        assert [todo["id"] for todo in httpx2.get(address, headers=me).json()["items"]] == made[::-1]
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert f"using an embedded PostgreSQL, its data in {data_dir}" in errors
    assert not list(data_dir.rglob("postmaster.pid"))


def _kill_group(process: subprocess.Popen[str]) -> None:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
