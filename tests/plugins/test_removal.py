"""`todoservice db drop`: what an uninstalled plugin left is removed, and nothing else."""

import io
from typing import Any

import pytest
from databases import ask, migrate
from plugin_modules import Site, install

from todoservice.cli import main

TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'todoservice'::regnamespace AND relkind = 'r' ORDER BY 1"
LEFT = ["todos", "todos_alembic_version", "todoservice_alembic_version", "users"]


@pytest.fixture
def database(site: Site, empty_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set the environment to a database that `pens` has tables in, and return its URL."""
    install(site, "pens")
    migrate(empty_url)
    monkeypatch.setenv("NEON_DATABASE_URL", empty_url)
    return empty_url


@pytest.fixture
def uninstalled(site: Site, database: str) -> str:
    """Uninstall `pens`, and return the URL of the database where it left its tables."""
    site.uninstall("pens-of-a-stranger")
    return database


def tables(database: str) -> list[str]:
    """Return the names of the service's tables."""
    return [name for (name,) in ask(database, TABLES)]


def refused(*arguments: str) -> str:
    """Return the line that the command fails with."""
    with pytest.raises(SystemExit) as error:
        main(["db", "drop", *arguments])
    return str(error.value)


def answering(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """Have somebody sit at the terminal who answers so."""
    terminal: Any = io.StringIO(f"{answer}\n")
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", terminal)


def test_all_of_it_goes(uninstalled: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its tables, their rows and grants, and its version table; a second time there is nothing."""
    assert main(["db", "drop", "pens", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines() == ["dropped pens", "dropped pens_alembic_version"]
    assert tables(uninstalled) == LEFT
    assert refused("pens", "--yes") == "pens has no tables in this database: see `todoservice plugins`"


def test_somebody_is_asked(
    uninstalled: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And told what is to go, and where."""
    answering(monkeypatch, "no")
    assert refused("pens") == "nothing was removed"
    told = capsys.readouterr().out
    assert told.startswith("pens, pens_alembic_version and all their rows are to be removed from the database 'test_")
    answering(monkeypatch, "y")
    assert main(["db", "drop", "pens"]) == 0
    assert tables(uninstalled) == LEFT


def test_nobody_is_there_to_ask(uninstalled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script has to say --yes."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert refused("pens").endswith(": there is nobody to ask, so give --yes")
    assert "pens" in tables(uninstalled)


def test_an_installed_plugin_keeps_its_tables(database: str) -> None:
    """Unless it is insisted."""
    assert refused("pens", "--yes") == (
        "pens is installed, and would miss its tables: uninstall it first, or give --force"
    )
    assert "pens" in tables(database)
    assert main(["db", "drop", "pens", "--yes", "--force"]) == 0
    assert tables(database) == LEFT


def test_a_blocked_or_broken_plugin_is_installed(site: Site, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is to be used again one day."""
    monkeypatch.setenv("TODOSERVICE_BLOCK", "pens")
    assert "pens is installed" in refused("pens", "--yes")
    monkeypatch.delenv("TODOSERVICE_BLOCK")
    site.uninstall("pens-of-a-stranger")
    install(site, "pens", source="1 / 0")
    assert "pens is installed" in refused("pens", "--yes")


@pytest.mark.parametrize("name", ["users", "todoservice"])
def test_the_hosts_own_tables_are_not_a_plugins(uninstalled: str, name: str) -> None:
    """Whatever is insisted."""
    assert refused(name, "--yes", "--force") == f"{name} is the host's own: name a plugin"


def test_a_table_that_others_refer_to_stays(uninstalled: str) -> None:
    """With all of them: they are named."""
    ask(
        uninstalled,
        "CREATE TABLE todoservice.nibs (user_id uuid, id uuid, pen_id uuid,"
        " FOREIGN KEY (user_id, pen_id) REFERENCES todoservice.pens (user_id, id))",
    )
    assert refused("pens", "--yes") == (
        "pens is not dropped: todoservice.nibs refer to its tables by foreign key: "
        "drop the plugins that these belong to first"
    )
    assert "pens" in tables(uninstalled)


def test_a_longer_named_plugins_tables_are_its_own(site: Site, uninstalled: str) -> None:
    """Whether it is installed or was uninstalled, too."""
    install(site, "pens_red")
    install(site, "pens_blue")
    migrate(uninstalled)
    site.uninstall("pens_blue-of-a-stranger")
    ask(uninstalled, "CREATE TABLE todoservice.pens_old (id int)")
    assert main(["db", "drop", "pens", "--yes"]) == 0
    left = {"pens_blue", "pens_blue_alembic_version", "pens_red", "pens_red_alembic_version"}
    assert set(tables(uninstalled)) == {*LEFT, *left}


def test_another_plugins_table_is_not_taken_for_its_name(site: Site, database: str) -> None:
    """`pens` may have a table `pens_red`, though a plugin of that name was there once."""
    ask(database, "CREATE TABLE todoservice.pens_red_alembic_version (version_num text)")
    assert main(["db", "drop", "pens_red", "--yes"]) == 0
    assert "pens" in tables(database)


def test_a_view_on_its_tables_is_told(uninstalled: str) -> None:
    """It may be anybody's, and nothing is removed."""
    ask(uninstalled, "CREATE VIEW todoservice.seen AS SELECT * FROM todoservice.pens")
    assert refused("pens", "--yes") == ("pens is not dropped: view seen depends on table pens: drop that first")
    assert "pens_alembic_version" in tables(uninstalled)
