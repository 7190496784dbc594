"""A new feature's distribution, as `todoservice plugins new` writes it. Its own tests run in tox, on its wheel."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from todoservice import scaffold
from todoservice.cli import main


@pytest.mark.parametrize("name", ["notes", "work_items", "pages", "status", "ids", "x"])
def test_what_is_written_makes_an_app(tmp_path: Path, name: str) -> None:
    """Whatever the name: its module is imported, and its five operations are mounted."""
    scaffold.write(name, tmp_path)
    [distribution] = tmp_path.iterdir()
    asking = (
        f"import todoservice_{name} as module; from todoservice import Plugin, Settings, create_app; "
        f"paths = create_app(Settings.load({{}}), plugins=[Plugin({name!r}, module)]).openapi()['paths']; "
        f"print(sum(len(paths[p].keys() & {{'get', 'post', 'patch', 'delete'}}) for p in paths if '/{name}' in p))"
    )
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", asking],
        check=False,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(filter(None, [str(distribution), os.environ.get("PYTHONPATH")]))},
        capture_output=True,
        text=True,
    )
    assert (answer.stdout.strip(), answer.stderr) == ("5", "")


def test_every_file_of_the_template_is_filled_in(tmp_path: Path) -> None:
    """No placeholder is left, and no file is missing."""
    written = scaffold.write("notes", tmp_path)
    assert not [file for file in written if "$" in file.read_text()]
    assert {str(file.relative_to(tmp_path / "todoservice-notes")) for file in written} == {
        "README.md",
        "pyproject.toml",
        "tox.ini",
        "tests/test_notes.py",
        "todoservice_notes/__init__.py",
        "todoservice_notes/migrations/0001_notes.py",
        "todoservice_notes/models.py",
        "todoservice_notes/py.typed",
        "todoservice_notes/queries.py",
        "todoservice_notes/router.py",
        "todoservice_notes/schemas.py",
    }


def test_the_project_has_the_entry_point(tmp_path: Path) -> None:
    """By which the host finds the feature."""
    scaffold.write("notes", tmp_path)
    project = tomllib.loads((tmp_path / "todoservice-notes" / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["todoservice"] == {"notes": "todoservice_notes"}


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A folder of that name stays as it is."""
    scaffold.write("notes", tmp_path)
    with pytest.raises(scaffold.CannotWrite, match="is there already: choose another name, or another folder"):
        scaffold.write("notes", tmp_path)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Notes", "the name 'Notes' is not lower-case letters"),
        ("../notes", "is not lower-case letters"),
        ("users", "the name 'users' is reserved"),
        ("class", "the name 'class' is a word of Python's: choose another"),
    ],
)
def test_a_bad_name_is_told(tmp_path: Path, name: str, why: str) -> None:
    """And nothing is written."""
    with pytest.raises(scaffold.CannotWrite, match=why):
        scaffold.write(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_says_where_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And refuses to write over what is there, in a line."""
    assert main(["plugins", "new", "notes", "--into", str(tmp_path)]) == 0
    assert capsys.readouterr().out.endswith("/todoservice-notes, and see its README.md\n")
    with pytest.raises(SystemExit, match="is there already: choose another name, or another folder with --into"):
        main(["plugins", "new", "notes", "--into", str(tmp_path)])
