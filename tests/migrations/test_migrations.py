"""Migrations: one history for each plugin, all in one transaction."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent, indent

import psycopg2
import pytest
import sqlalchemy as sa
import todoservice_todos
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import event

from todoservice import Plugin, migrations, uuid7
from todoservice.database.url import parse_url
from todoservice.migrations import History, runner, transaction
from todoservice.migrations.runner import DatabaseUnreachable, MigrationError
from todoservice.models import metadata
from todoservice.plugins import PluginError

MakePlugin = Callable[..., Plugin]

TODOS = Plugin("todos", todoservice_todos)
HOST = History.host().plugin

NOTES = """
    from sqlmodel import Field
    from todoservice import Owned

    class Note(Owned, table=True):
        __tablename__ = "notes"
        text: str = Field(max_length=100)
"""

RICH = """
    from datetime import datetime
    from enum import Enum
    from typing import Any
    from uuid import UUID
    from sqlalchemy import CheckConstraint, Enum as EnumType, ForeignKeyConstraint, Index, UniqueConstraint, text as sql
    from sqlalchemy.dialects.postgresql import JSONB
    from sqlmodel import Field
    from todoservice import Owned, Shared, created_at

    class _Colour(str, Enum):
        RED = "red"
        GREEN = "green"

    class Note(Owned, table=True):
        __tablename__ = "notes"
        __table_args__ = (
            ForeignKeyConstraint(
                ["user_id", "todo_id"], ["todoservice.todos.user_id", "todoservice.todos.id"], ondelete="CASCADE"
            ),
            UniqueConstraint("user_id", "text"),
            Index(None, "user_id", "todo_id"),
            Index("ix_notes_urgent", "user_id", postgresql_where=sql("stars > 3")),
            CheckConstraint("stars BETWEEN 0 AND 5", name="stars"),
        )
        todo_id: UUID
        text: str = Field(max_length=100)
        comment: str | None = None
        stars: int = Field(default=0, sa_column_kwargs={"server_default": sql("0")})
        colour: _Colour = Field(sa_type=EnumType(_Colour, native_enum=False, length=10, create_constraint=True))
        more: dict[str, Any] = Field(default_factory=dict, sa_type=JSONB)
        created_at: datetime = created_at()

    class Tag(Shared, table=True):
        __tablename__ = "notes_tags"
        name: str = Field(primary_key=True, max_length=20)
"""


def script(up: str, revision: str = "0001_notes", after: str | None = None, down: str = "pass") -> str:
    """Return the text of a revision file."""
    return dedent(
        """
        import sqlalchemy as sa
        from alembic import op

        revision = {revision!r}
        down_revision = {after!r}


        def upgrade():
        {up}


        def downgrade():
        {down}
        """
    ).format(revision=revision, after=after, up=indent(dedent(up).strip(), "    "), down=indent(down, "    "))


@contextmanager
def connected(url: sa.URL) -> Iterator[sa.Connection]:
    """Yield a connection in a transaction that is rolled back."""
    with transaction.connected(url) as connection:
        yield connection


def tables(url: sa.URL) -> set[str]:
    """Return the names of the tables in our schema."""
    with connected(url) as connection:
        return set(sa.inspect(connection).get_table_names("todoservice"))


def test_upgrade_makes_the_tables_of_the_host_and_of_each_plugin(url: sa.URL) -> None:
    """An empty database gets every table, and each plugin a version table."""
    applied = runner.upgrade(url, [TODOS])
    assert applied == ["todoservice: 0001_users", "todos: 0001_todos"]
    assert tables(url) == {"users", "todos", "todoservice_alembic_version", "todos_alembic_version"}


def test_upgrade_a_second_time_does_nothing(url: sa.URL) -> None:
    """A database that is current is left alone."""
    runner.upgrade(url, [TODOS])
    assert runner.upgrade(url, [TODOS]) == []


@pytest.mark.parametrize("plugin", [HOST, TODOS], ids=lambda plugin: plugin.name)
def test_models_and_migrations_agree(url: sa.URL, plugin: Plugin) -> None:
    """What the migrations make is what the models say."""
    runner.upgrade(url, [TODOS])
    with connected(url) as connection:
        assert runner.differences(connection, plugin, [TODOS]) == []


def test_up_down_up(url: sa.URL) -> None:
    """Every migration can be taken back, and run again."""
    runner.upgrade(url, [TODOS])
    assert runner.downgrade(url, TODOS) == ["todos: 0001_todos"]
    assert runner.downgrade(url, HOST) == ["todoservice: 0001_users"]
    assert tables(url) == {"todoservice_alembic_version", "todos_alembic_version"}
    assert runner.upgrade(url, [TODOS]) == ["todoservice: 0001_users", "todos: 0001_todos"]


@pytest.mark.parametrize("known", [True, False])
def test_require_user_raises_for_a_stranger(url: sa.URL, known: bool) -> None:
    """The function passes a user who is there, and raises TS403 for another."""
    runner.upgrade(url, [])
    user = uuid7()
    with connected(url) as connection:
        if known:
            connection.execute(sa.text("INSERT INTO todoservice.users (id) VALUES (:id)"), {"id": user})
        try:
            connection.execute(sa.text("SELECT todoservice.require_user(:id)"), {"id": user})
            state = None
        except sa.exc.DBAPIError as error:
            state = getattr(error.orig, "pgcode", None)
    assert state == (None if known else "TS403")


TEN = """
import json, os, sys
import todoservice_todos
from sqlalchemy import make_url
from todoservice import Plugin
from todoservice.migrations import runner

url, todos = make_url(sys.argv[1]), [Plugin("todos", todoservice_todos)]
gate, opener = os.pipe()
children = []
for _ in range(10):
    answer, told = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(opener)
        os.read(gate, 1)
        try:
            result = runner.upgrade(url, todos)
        except BaseException as error:
            result = repr(error)
        os.write(told, json.dumps(result).encode())
        os._exit(0)
    os.close(told)
    children.append((pid, answer))
os.close(opener)
results = []
for pid, answer in children:
    results.append(json.loads(os.read(answer, 65536)))
    os.waitpid(pid, 0)
print(json.dumps(results))
"""


def test_ten_processes_at_once_migrate_once(url: sa.URL) -> None:
    """Of ten workers that start together one migrates, and the others find it done."""
    command = [sys.executable, "-c", TEN, url.render_as_string(hide_password=False)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    results = json.loads(run.stdout)
    assert sorted(results, key=len) == [[]] * 9 + [["todoservice: 0001_users", "todos: 0001_todos"]]


def test_a_role_with_a_lock_timeout_waits_for_another_migrator(url: sa.URL) -> None:
    """Waiting for our turn is not waiting for a table: a role's short lock_timeout does not end it."""
    applied: list[str] = []
    with connected(url) as other:
        other.exec_driver_sql(f"ALTER DATABASE {url.database} SET lock_timeout = '1ms'")
        other.commit()
        other.exec_driver_sql(f"SELECT pg_advisory_xact_lock({transaction.LOCK})")
        thread = threading.Thread(target=lambda: applied.extend(runner.upgrade(url, [])))
        thread.start()
        _wait_until(other, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        time.sleep(0.05)
        other.rollback()
    thread.join()
    assert applied == ["todoservice: 0001_users"]


def _wait_until(connection: sa.Connection, query: str) -> None:
    for _ in range(1000):
        if connection.exec_driver_sql(query).scalar():
            return
        time.sleep(0.01)
    pytest.fail(f"never came true: {query}")


def test_a_failure_rolls_everything_back_and_is_attributed(url: sa.URL, make_plugin: MakePlugin) -> None:
    """The message names plugin, distribution and revision, and not even the host's tables are there."""
    notes = make_plugin("notes", migrations={
        "0001_notes": script('op.execute("CREATE TABLE todoservice.notes (id int)")'),
        "0002_bad": script('op.execute("SELECT * FROM todoservice.nowhere")', "0002_bad", "0001_notes"),
    })  # fmt: skip
    with pytest.raises(MigrationError) as caught:
        runner.upgrade(url, [TODOS, notes])
    assert str(caught.value) == (
        "notes (todoservice-notes 1.0): revision 0002_bad failed: "
        'UndefinedTable: relation "todoservice.nowhere" does not exist; '
        "to start without it, set TODOSERVICE_BLOCK=notes"
    )
    assert tables(url) == set()


def test_a_constraint_that_fails_at_the_commit_is_told(url: sa.URL, make_plugin: MakePlugin) -> None:
    """Nothing is changed, and there is one line for that too."""
    up = """
        op.execute("CREATE TABLE todoservice.notes (id int PRIMARY KEY, "
                   "parent int REFERENCES todoservice.notes DEFERRABLE INITIALLY DEFERRED)")
        op.execute("INSERT INTO todoservice.notes VALUES (1, 2)")
    """
    notes = make_plugin("notes", migrations={"0001_notes": script(up)})
    with pytest.raises(MigrationError, match=r"was not migrated: ForeignKeyViolation: .*$"):
        runner.upgrade(url, [notes])
    assert tables(url) == set()


def test_a_python_error_in_a_revision_is_attributed(url: sa.URL, make_plugin: MakePlugin) -> None:
    """An exception that has nothing to do with the database is told as well."""
    notes = make_plugin("notes", migrations={"0001_notes": script("1 / 0")})
    with pytest.raises(MigrationError, match=r"revision 0001_notes failed: ZeroDivisionError: division by zero"):
        runner.upgrade(url, [notes])


@pytest.mark.parametrize(
    ("up", "told"),
    [
        (
            'op.create_index("ix", "todos", ["title"], schema="todoservice", postgresql_concurrently=True)',
            "CONCURRENTLY",
        ),
        ('op.execute("CREATE INDEX CONCURRENTLY ix ON todoservice.todos (title)")', "CONCURRENTLY"),
        ("with op.get_context().autocommit_block():\n    pass", r"it uses autocommit_block\(\)"),
        ('op.execute("commit")', "it uses commit,"),
        ('op.execute("ROLLBACK")', "it uses ROLLBACK,"),
        ("op.get_bind().commit()", r"it uses commit\(\)"),
        ("op.get_bind().rollback()", r"it uses rollback\(\)"),
    ],
)
def test_what_would_end_the_transaction_is_refused(
    url: sa.URL, make_plugin: MakePlugin, up: str, told: str
) -> None:  # fmt: skip
    """The message names the revision and says that all share one transaction; nothing is changed."""
    notes = make_plugin("notes", migrations={"0001_notes": script(up)})
    with pytest.raises(MigrationError, match=rf"^notes \(.*\): revision 0001_notes failed: .*{told}.*one transaction"):
        runner.upgrade(url, [TODOS, notes])
    assert tables(url) == set()


def test_a_commit_among_other_statements_is_noticed(url: sa.URL, make_plugin: MakePlugin) -> None:
    """Where it cannot be kept from happening, it does not pass unnoticed."""
    notes = make_plugin("notes", migrations={"0001_notes": script('op.execute("SELECT 1; COMMIT; SELECT 2")')})
    with pytest.raises(MigrationError, match="revision 0001_notes ended the transaction"):
        runner.upgrade(url, [notes])


def test_savepoints_are_a_revisions_own(url: sa.URL, make_plugin: MakePlugin) -> None:
    """A revision may try something and take it back."""
    up = """
        attempt = op.get_bind().begin_nested()
        op.execute("CREATE TABLE todoservice.notes (id int)")
        attempt.rollback()
    """
    notes = make_plugin("notes", migrations={"0001_notes": script(up)})
    assert "notes: 0001_notes" in runner.upgrade(url, [notes])


def test_a_data_migration_under_forced_row_level_security_fails_aloud(
    server_url: str, url: sa.URL, make_plugin: MakePlugin
) -> None:
    """An owner whom the policies bind would change no row; it is told so instead."""
    up = """
        op.execute("CREATE TABLE todoservice.notes (text text)")
        op.execute("ALTER TABLE todoservice.notes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        op.execute("UPDATE todoservice.notes SET text = 'x'")
    """
    notes = make_plugin("notes", migrations={"0001_notes": script(up)})
    with owner(server_url, url) as owned, pytest.raises(MigrationError, match="affected by row-level security policy"):
        runner.upgrade(owned, [notes])


@contextmanager
def owner(server_url: str, url: sa.URL, *, rights: str = "CREATE") -> Iterator[sa.URL]:
    """Yield the URL of a role that is no superuser and has these rights on the database."""
    role = f"test_{uuid7().hex}"
    administrator = sa.make_url(server_url)
    with connected(administrator) as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'very secret'")
        connection.exec_driver_sql(f"GRANT {rights} ON DATABASE {url.database} TO {role}")
        connection.commit()
    try:
        yield url.set(username=role, password="very secret")
    finally:
        with connected(administrator) as connection:
            connection.exec_driver_sql(f"REVOKE ALL ON DATABASE {url.database} FROM {role}")
            connection.commit()
        with connected(url) as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
            connection.commit()


def test_a_role_that_may_not_make_the_schema_is_told(server_url: str, url: sa.URL) -> None:
    """One line names the database and the setting."""
    with owner(server_url, url, rights="CONNECT") as owned, pytest.raises(MigrationError) as caught:
        runner.upgrade(owned, [])
    assert str(caught.value) == (
        f"the database '{url.database}' was not migrated: permission denied for database {url.database}: "
        "set NEON_MIGRATION_DATABASE_URL to the owner's connection"
    )


def test_a_schema_that_is_there_needs_no_right_to_make_schemas(server_url: str, url: sa.URL) -> None:
    """The owner of the schema may migrate without the right to create others."""
    with owner(server_url, url, rights="CONNECT") as owned:
        with connected(url) as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA todoservice AUTHORIZATION {owned.username}")
            connection.commit()
        assert runner.upgrade(owned, []) == ["todoservice: 0001_users"]


def test_an_unreachable_database_is_told_in_one_line() -> None:
    """The line has libpq's reason, and no password."""
    with pytest.raises(DatabaseUnreachable) as caught:
        runner.upgrade(sa.make_url("postgresql://me:very-secret@127.0.0.1:1/db"), [])
    assert "no connection to the database 'db': " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("ep-cool-1-pooler.us-east-2.aws.neon.tech", "ep-cool-1.us-east-2.aws.neon.tech"),
        ("ep-cool-1-pooler.c-2.us-east-1.aws.neon.tech", "ep-cool-1.c-2.us-east-1.aws.neon.tech"),
        ("ep-cool-1.x-pooler.neon.tech", "ep-cool-1.x-pooler.neon.tech"),
        ("localhost", "localhost"),
        (None, None),
    ],
)
def test_migrations_take_the_direct_connection(host: str | None, wanted: str | None) -> None:
    """Only the first label of the host says that it is a pooler."""
    assert runner.direct(sa.URL.create("postgresql", host=host, database="db")).host == wanted


def test_the_switch_to_the_direct_connection_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Who reads the log sees which host was used."""
    caplog.set_level("INFO", "todoservice")
    runner.direct(sa.make_url("postgresql://u:very-secret@ep-1-pooler.neon.tech/db"))
    assert "to ep-1.neon.tech instead of its pooler" in caplog.text
    assert "very-secret" not in caplog.text


def test_a_role_whose_search_path_is_our_schema_makes_no_difference(url: sa.URL) -> None:
    """What is compared does not depend on how a role or a database is set up."""
    with connected(url) as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {url.database} SET search_path = todoservice")
        connection.commit()
    runner.upgrade(url, [TODOS])
    with connected(url) as connection:
        assert runner.differences(connection, TODOS, [TODOS]) == []


# What is known without Alembic


def test_serving_imports_no_alembic() -> None:
    """It takes longer to import than all the rest."""
    code = "import sys, todoservice.app, todoservice.migrations; print('alembic' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize("history", [History.host(), History.of(TODOS)], ids=lambda history: history.plugin.name)
def test_heads_are_alembics(history: History) -> None:
    """What is read from the files' constants is what Alembic finds by importing them."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("version_locations", str(history.folder))
    config.set_main_option("path_separator", "newline")
    directory = ScriptDirectory.from_config(config)
    assert directory.get_heads() == [history.head]
    assert {item.revision for item in directory.walk_revisions()} == set(history.scripts)


def test_status_before_and_after(url: sa.URL) -> None:
    """An empty database is behind; a migrated one is current."""
    with connected(url) as connection:
        before = migrations.status(connection, [TODOS])
    runner.upgrade(url, [TODOS])
    with connected(url) as connection:
        after = migrations.status(connection, [TODOS])
    assert [(r.plugin, r.current, r.head, r.state) for r in before] == [
        ("todoservice", None, "0001_users", "behind"),
        ("todos", None, "0001_todos", "behind"),
    ]
    assert [(r.plugin, r.current, r.head, r.state) for r in after] == [
        ("todoservice", "0001_users", "0001_users", "current"),
        ("todos", "0001_todos", "0001_todos", "current"),
    ]


def test_status_takes_two_statements(url: sa.URL) -> None:
    """However many plugins there are."""
    runner.upgrade(url, [TODOS])
    statements: list[str] = []
    with connected(url) as connection:
        event.listen(connection, "before_cursor_execute", lambda *given: statements.append(given[2]))
        migrations.status(connection, [TODOS])
    assert len(statements) == 2


def test_verify_names_what_is_behind_and_the_mend(url: sa.URL, make_plugin: MakePlugin) -> None:
    """The message says where the database is, where it should be, and what to run."""
    first = script("pass")
    runner.upgrade(url, [TODOS, make_plugin("notes", migrations={"0001_notes": first})])
    newer = make_plugin(
        "notes", migrations={"0001_notes": first, "0002_more": script("pass", "0002_more", "0001_notes")}
    )
    with connected(url) as connection, pytest.raises(migrations.SchemaBehind) as caught:
        migrations.verify(connection, [TODOS, newer])
    assert str(caught.value) == (
        "the schema is behind: notes is at 0001_notes and needs 0002_more: run `todoservice db upgrade`"
    )


def test_a_database_that_is_ahead_is_let_pass(
    url: sa.URL, make_plugin: MakePlugin, caplog: pytest.LogCaptureFixture
) -> None:
    """An older worker in a rolling deploy serves, warns, and migrates nothing."""
    first = script("pass")
    newer = make_plugin(
        "notes", migrations={"0001_notes": first, "0002_more": script("pass", "0002_more", "0001_notes")}
    )
    runner.upgrade(url, [newer])
    older = make_plugin("notes", migrations={"0001_notes": first})
    with connected(url) as connection:
        migrations.verify(connection, [older])
    assert "The database is ahead: notes is at 0002_more" in caplog.text
    assert runner.upgrade(url, [older]) == []


def test_a_plugin_without_tables_has_no_history(url: sa.URL, make_plugin: MakePlugin) -> None:
    """There is nothing to do for it, and it gets no version table."""
    plain = make_plugin("plain")
    assert runner.upgrade(url, [plain]) == ["todoservice: 0001_users"]
    assert migrations.heads([plain]) == {"todoservice": "0001_users"}
    assert "plain_alembic_version" not in tables(url)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (
            {"0001_a": script("pass", "0001_a"), "0001_b": script("pass", "0001_b")},
            "0001_a.py and 0001_b.py are both last",
        ),
        (
            {"0001_a": script("pass", "0001_a"), "0002_b": script("pass", "0001_a")},
            "0001_a.py and 0002_b.py are both 0001_a",
        ),
        ({"0002_b": script("pass", "0002_b", "0001_a")}, "a migration follows 0001_a, which is not in"),
        ({"0001_a": script("pass", "0001_a", "0001_a")}, "follow each other in a circle"),
        ({"0001_a": "revision = 'a' + 'b'"}, "0001_a.py: its revision is computed"),
        ({"helpers": "x = 1"}, "helpers.py: has no `revision"),
        ({"0001_a": f"revision = '{'x' * 33}'"}, "0001_a.py: its revision id is longer than 32 characters"),
        ({"0001_a": "revision ="}, "invalid syntax (0001_a.py, line 1)"),
    ],
)
def test_a_history_that_cannot_be_told_is_a_fault(
    make_plugin: MakePlugin, files: dict[str, str], told: str
) -> None:  # fmt: skip
    """The fault names the plugin, its distribution and the file."""
    with pytest.raises(PluginError) as caught:
        migrations.heads([make_plugin("notes", migrations=files)])
    assert str(caught.value).startswith("P305 notes (todoservice-notes 1.0): ")
    assert told in str(caught.value)


def test_models_without_migrations_are_a_fault(make_plugin: MakePlugin) -> None:
    """The fault names the command that writes them."""
    mend = "has models and no migrations: write them with `todoservice db revision -p notes -m notes`"
    with pytest.raises(PluginError, match=mend):
        migrations.heads([make_plugin("notes", NOTES)])


def test_all_faults_are_told_at_once(make_plugin: MakePlugin) -> None:
    """One line for each plugin."""
    faulty = [make_plugin(name, migrations={"x": "x = 1"}) for name in ("one", "two")]
    with pytest.raises(PluginError) as caught:
        migrations.heads(faulty)
    assert len(str(caught.value).splitlines()) == 2


# Writing migrations


def written(url: sa.URL, plugin: Plugin, message: str = "notes", others: Sequence[Plugin] = (TODOS,)) -> Path:
    """Write a plugin's next migration."""
    file = runner.revision(url, plugin, message, [*others, plugin])
    assert file is not None
    return file


def test_what_is_written_runs_and_leaves_no_difference(url: sa.URL, make_plugin: MakePlugin) -> None:
    """Composite keys, indexes, checks, JSONB and enums included: up, compared, down and up again."""
    runner.upgrade(url, [TODOS])
    notes = make_plugin("notes", RICH)
    file = written(url, notes, "Notes, with 'tags'!")
    assert runner.upgrade(url, [TODOS, notes]) == ["notes: 0001_notes_with_tags"]
    with connected(url) as connection:
        assert runner.differences(connection, notes, [TODOS, notes]) == []
        assert runner.differences(connection, TODOS, [TODOS, notes]) == []
    runner.downgrade(url, notes)
    assert runner.upgrade(url, [TODOS, notes]) == [f"notes: {file.stem}"]


def test_what_is_written_is_plain(url: sa.URL, make_plugin: MakePlugin) -> None:
    """It lies in the plugin's package, is named by its id, and imports nothing but SQLAlchemy and Alembic."""
    notes = make_plugin("notes", RICH)
    file = written(url, notes)
    text = file.read_text()
    assert file == Path(notes.module.__path__[0], "migrations", "0001_notes.py")
    assert [line for line in text.splitlines() if "import" in line] == [
        "import sqlalchemy as sa",
        "from alembic import op",
        "from sqlalchemy.dialects import postgresql",
    ]
    assert "sa.String(length=100)" in text
    assert "sa.DateTime(timezone=True)" in text
    assert "op.f('fk_notes_user_id_todo_id')" in text
    assert "sqlmodel" not in text
    assert "###" not in text


def test_the_next_migration_has_the_next_number_and_the_change_only(url: sa.URL, make_plugin: MakePlugin) -> None:
    """A new column is added; the tables of others are not touched."""
    runner.upgrade(url, [TODOS])
    first = written(url, make_plugin("notes", NOTES))
    metadata.remove(metadata.tables["todoservice.notes"])
    more = make_plugin("notes", f"{NOTES}        done: bool | None = None\n", {first.stem: first.read_text()})
    runner.upgrade(url, [TODOS, more])
    file = written(url, more, "done")
    assert file.name == "0002_done.py"
    assert [line.strip() for line in file.read_text().splitlines() if "op." in line] == [
        "op.add_column('notes', sa.Column('done', sa.Boolean(), nullable=True), schema='todoservice')",
        "op.drop_column('notes', 'done', schema='todoservice')",
    ]


def test_without_a_difference_nothing_is_written(url: sa.URL, make_plugin: MakePlugin) -> None:
    """There is no empty migration."""
    notes = make_plugin("notes", NOTES)
    file = written(url, notes)
    runner.upgrade(url, [notes])
    assert runner.revision(url, notes, "nothing", [notes]) is None
    assert sorted(file.parent.glob("*.py")) == [file]


def test_writing_leaves_the_database_as_it_was(url: sa.URL, make_plugin: MakePlugin) -> None:
    """Not even the schema is made."""
    written(url, make_plugin("notes", NOTES))
    with connected(url) as connection:
        assert "todoservice" not in sa.inspect(connection).get_schema_names()


def test_a_changed_check_is_a_difference(url: sa.URL, make_plugin: MakePlugin) -> None:
    """Though its name is the same: the old one is dropped and the new one made, and back."""
    models = """
        from sqlalchemy import CheckConstraint, Enum
        from sqlmodel import Field
        from todoservice import Owned

        class Note(Owned, table=True):
            __tablename__ = "notes"
            __table_args__ = (CheckConstraint("stars < {}", name="stars"),)
            stars: int
            colour: str = Field(sa_type=Enum("red", "green", name="colour", native_enum=False, create_constraint=True))
    """
    first = written(url, make_plugin("notes", models.format(5)))
    metadata.remove(metadata.tables["todoservice.notes"])
    changed = make_plugin("notes", models.format(10), {first.stem: first.read_text()})
    runner.upgrade(url, [changed])
    with connected(url) as connection:
        found = runner.differences(connection, changed, [changed])
    assert found == ["remove constraint ck_notes_stars of notes", "add constraint ck_notes_stars of notes"]
    written(url, changed, "more stars")
    runner.upgrade(url, [changed])
    with connected(url) as connection:
        assert runner.differences(connection, changed, [changed]) == []
    runner.downgrade(url, changed)


def test_a_longer_named_plugins_tables_are_its_own_even_when_it_is_gone(url: sa.URL, make_plugin: MakePlugin) -> None:
    """What notes_tags left behind is not for notes to drop; a table that notes itself no longer has is."""
    tags = {"0001_tags": script('op.execute("CREATE TABLE todoservice.notes_tags (id int)")', "0001_tags")}
    gone = make_plugin("notes_tags", migrations=tags)
    notes = make_plugin("notes", migrations={
        "0001_notes": script('op.execute("CREATE TABLE todoservice.notes_old (id int)")')
    })  # fmt: skip
    runner.upgrade(url, [gone, notes])
    with connected(url) as connection:
        assert runner.differences(connection, notes, [notes]) == ["remove table notes_old"]


def test_an_installed_copy_is_not_written_to(url: sa.URL, make_plugin: MakePlugin) -> None:
    """The migration would be lost with the next install; the message says what to do."""
    notes = make_plugin("notes", NOTES, under="site-packages")
    with pytest.raises(MigrationError, match=r"notes \(.*\): .*is an installed copy.*pip install --editable"):
        runner.revision(url, notes, "notes", [notes])


def test_a_distribution_built_without_its_migrations_is_told_apart(make_plugin: MakePlugin) -> None:
    """Its user cannot write them; its author forgot them."""
    with pytest.raises(PluginError, match=r"its distribution was built without .*migrations: tell its author"):
        migrations.heads([make_plugin("notes", NOTES, under="site-packages")])


def test_nothing_is_written_while_the_database_is_behind(url: sa.URL, make_plugin: MakePlugin) -> None:
    """What is not yet run would be written a second time."""
    notes = make_plugin("notes", NOTES)
    written(url, notes)
    with pytest.raises(MigrationError, match="0001_notes was not run in this database yet: run `todoservice db"):
        runner.revision(url, notes, "more", [notes])


def test_a_message_without_letters_is_refused(url: sa.URL, make_plugin: MakePlugin) -> None:
    """It would name no file."""
    with pytest.raises(MigrationError, match="has no letter or digit"):
        runner.revision(url, make_plugin("notes", NOTES), "?!", [])


def test_a_native_enum_is_refused(url: sa.URL, make_plugin: MakePlugin) -> None:
    """Its type would outlive the table, so that down and up again fails."""
    models = """
        from enum import Enum
        from todoservice import Owned

        class _Colour(Enum):
            RED = "red"

        class Note(Owned, table=True):
            __tablename__ = "notes"
            colour: _Colour
    """
    with pytest.raises(MigrationError, match=r"notes.colour is an enum type .* native_enum=False"):
        runner.revision(url, make_plugin("notes", models), "notes", [])


def test_who_comes_second_waits(empty_url: str) -> None:
    """For the lock that the first holds until its transaction ends, and makes nothing before that."""
    first = psycopg2.connect(empty_url)
    try:
        with first.cursor() as cursor, ThreadPoolExecutor(1) as pool:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (transaction.LOCK,))
            second = pool.submit(runner.upgrade, parse_url(empty_url), [TODOS])
            waiting = (
                "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
                " WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
            )
            for _ in range(200):
                cursor.execute(waiting)
                if cursor.fetchall() == [(1,)]:
                    break
                time.sleep(0.05)
            else:
                pytest.fail("the second did not wait")
            cursor.execute("SELECT to_regclass('todoservice.users')")
            assert cursor.fetchall() == [(None,)]
            first.rollback()
            assert second.result() == ["todoservice: 0001_users", "todos: 0001_todos"]
    finally:
        first.close()
