"""What docs/plugins.md says is so: its commands and code, followed in their order, and its references."""

import ast
import inspect
import json
import re
from collections.abc import Iterator
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import pytest
import todoservice_todos
from api import TODOS, problem
from documents import DOCS, changed, every_block, page, session, table
from following import Author
from plugin_modules import forgotten
from starlette.testclient import TestClient

import todoservice
from todoservice import Plugin, Settings, create_app, hookspecs, scaffold, testing
from todoservice.plugins import Code
from todoservice.testing import plugin as kit

PAGE = "plugins.md"
METRICS = "plugins/metrics/todoservice_metrics/__init__.py"
TOKENS = "todoservice_tokens/__init__.py"
PATH = re.compile(r"# (\S+)\n")


@pytest.fixture
def author(tmp_path: Path, unused_port: int, server_url: str, empty_url: str) -> Iterator[Author]:
    """Return who follows the page, with a database of their own."""
    variables = {"NEON_DATABASE_URL": empty_url, "TODOSERVICE_TEST_DATABASE_URL": server_url}
    somebody = Author(tmp_path, unused_port, **variables)
    yield somebody
    somebody.leave()


@pytest.mark.slow
def test_from_nothing_to_a_published_plugin_and_its_removal(author: Author) -> None:
    """Each command of the page in turn, each file written and changed as it is shown, each output as it is shown."""
    (language, make), *others = every_block(PAGE)
    assert (language, make.splitlines()[-1]) == ("sh", "pytest")
    # The tests as they are written are run by tox, in its environment `new`, on the built wheel.
    take(author, language, make.removesuffix("pytest\n"))
    for language, text in others:
        take(author, language, text)


def take(author: Author, language: str, text: str) -> None:
    """Do what a block of the page says, unless it is another plugin's."""
    if language == "sh":
        for line in text.splitlines():
            author.follow(line)
    elif language == "console":
        for command, output in session(text):
            shown = output.replace("todoservice 0.1.0", f"todoservice {todoservice.__version__}")
            assert rows(author.follow(command)) == rows(shown)
    elif (path := first_line(text)[0]) not in {METRICS, TOKENS}:
        file = author.folder / path
        file.write_text(changed(file.read_text(), first_line(text)[1]) if language == "diff" else text)


def rows(output: str) -> list[list[str]]:
    """Return the words of each line."""
    return [line.split() for line in output.splitlines()]


def first_line(text: str) -> tuple[str, str]:
    """Return the path that the block begins with, and what follows."""
    match = PATH.match(text)
    assert match is not None, text
    return match[1], text[match.end() :]


def shown(path: str) -> str:
    """Return what the page shows of a file."""
    [found] = [text for language, text in every_block(PAGE) if language == "python" and text.startswith(f"# {path}\n")]
    return first_line(found)[1]


def test_what_is_shown_of_the_metrics_is_in_their_file() -> None:
    """Where their own tests run it."""
    assert shown(METRICS) in (DOCS.parent / METRICS).read_text()


def test_the_authentication_plugin_works(
    tmp_path: Path, settings: Settings, user: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has the token is let in, and nobody else."""
    (tmp_path / "todoservice_tokens.py").write_text(shown(TOKENS))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TODOSERVICE_TOKENS__USERS", json.dumps({sha256(b"secret").hexdigest(): str(user)}))
    with forgotten():
        tokens = Plugin("tokens", import_module("todoservice_tokens"))
        app = create_app(settings, plugins=[todoservice_todos, tokens])
        with TestClient(app) as client:
            for headers in ({}, {"Authorization": "Bearer guess"}, {"X-User-ID": str(user)}):
                problem(client.get(TODOS, headers=headers), 401, "UNAUTHENTICATED")
            answer = client.get(TODOS, headers={"Authorization": "Bearer secret"})
            assert answer.json() == {"items": [], "count": 0, "next_cursor": None}
    assert app.openapi()["components"]["securitySchemes"] == {"HTTPBearer": {"type": "http", "scheme": "bearer"}}


def test_the_reference_of_hooks_is_that_of_hookspecs() -> None:
    """Each in its order: name, arguments, what it returns, and the first sentence about it."""
    specs = [node for node in ast.parse(inspect.getsource(hookspecs)).body if isinstance(node, ast.FunctionDef)]
    assert [line for line in page(PAGE).splitlines() if line.startswith("- `todoservice_")] == list(map(told, specs))
    assert len(specs) > 7


def told(spec: ast.FunctionDef) -> str:
    """Return the line about a hook."""
    sentence = re.split(r"(?<=\.)\s", str(ast.get_docstring(spec)))[0]
    arguments = ", ".join(argument.arg for argument in spec.args.args)
    return f"- `{spec.name}({arguments}) -> {ast.unparse(spec.returns or spec)}`: {' '.join(sentence.split())}"


def test_the_reference_of_codes_is_that_of_the_faults() -> None:
    """Each in its order, with its meaning, and what mends it."""
    rows = table(PAGE, "code")
    assert [(code, meaning) for code, meaning, _ in rows] == [(f"`{code}`", code.meaning) for code in Code]
    assert all(mend for *_, mend in rows)


def test_the_names_that_are_stable_are_those_that_are_exported() -> None:
    """By todoservice, and by its testing."""
    names = [name for row in table(PAGE, "import") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(names) == sorted(todoservice._HOME)
    (kits,) = re.findall(r"what `todoservice.testing` exports \((.*?)\)", page(PAGE))
    assert sorted(re.findall(r"`(\w+)`", kits)) == sorted(testing._HOMES)


def test_the_fixtures_are_all_there() -> None:
    """Those of the pytest plugin, and no others."""
    names = [name for row in table(PAGE, "fixture") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(names) == sorted(name for name in vars(kit) if name.startswith("todoservice_"))


def test_the_files_are_those_that_are_written(tmp_path: Path) -> None:
    """By `todoservice plugins new`, but for what needs no word."""
    root = tmp_path / "todoservice-notes"
    written = {str(file.relative_to(root)) for file in scaffold.write("notes", tmp_path)}
    named = [row[0].strip("`") for row in table(PAGE, "file")]
    inside = {name if name in written else f"todoservice_notes/{name}" for name in named}
    assert written - inside == {"README.md", "tox.ini", "todoservice_notes/py.typed"}
    assert inside <= written
