"""Each rule of `Conformance` finds a feature that breaks just that rule, and the good one keeps them all.

One session runs the rules on all of these features, each alone in its app and its database: to start a session takes
longer than the rules.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from todoservice import scaffold

# ruff: noqa: E501

LEFT = "CREATE OR REPLACE FUNCTION todoservice.notes_one() RETURNS int LANGUAGE sql AS 'SELECT 1'"
TABLE_MADE = '        schema="todoservice",\n    )\n\n\n'
BROKEN: dict[str, tuple[str, list[tuple[str, str]], str]] = {
    "test_it_starts": (
        "__init__.py",
        [("@hookimpl\n", "")],
        r"P203 notes \(todoservice-notes 0.1.0\): todoservice_models is not marked: write @hookimpl above it",
    ),
    "test_its_routes_refuse_who_is_not_known": (
        "__init__.py",
        [
            (
                '    """Five operations, under /api/v1/notes."""\n    return router\n',
                '    """Five operations, under /api/v1/notes."""\n    return router\n\n\n'
                "@hookimpl\ndef todoservice_middleware():\n    return Cached\n\n\n"
                "class Cached:\n    def __init__(self, app):\n        self.app = app\n\n"
                "    async def __call__(self, scope, receive, send):\n"
                '        kept = scope["type"] == "http" and (scope["method"], scope["path"]) == ("GET", "/api/v1/notes")\n'
                "        await (PlainTextResponse('kept') if kept else self.app)(scope, receive, send)\n",
            ),
            ("from todoservice import", "from starlette.responses import PlainTextResponse\nfrom todoservice import"),
        ],
        "GET /api/v1/notes answers 200 to nobody: ",
    ),
    "test_anothers_rows_answer_as_missing_ones": (
        "router.py",
        [
            (
                "    return await scope.one_json(NoteQueries.create, **new.model_dump())\n",
                "    response = await scope.one_json(NoteQueries.create, **new.model_dump())\n"
                "    made.add(response.body[7:43].decode())\n"
                "    return response\n\n\nmade = set()\n",
            ),
            (
                '    """Retrieve a note."""\n',
                '    """Retrieve a note."""\n    if str(id) in made:\n        raise Conflict\n',
            ),
            ("import CurrentPage, CurrentScope, Id", "import Conflict, CurrentPage, CurrentScope, Id"),
        ],
        r"GET /api/v1/notes/\{id\} tells another user's row from a missing one: with .* it answers 409",
    ),
    "test_nothing_is_kept_for_the_next_user": (
        "router.py",
        [
            (
                "    return await scope.page_json(NoteQueries.page, page)\n",
                "    if not kept:\n        kept.append(await scope.page_json(NoteQueries.page, page))\n"
                "    return kept[0]\n\n\nkept = []\n",
            )
        ],
        "GET /api/v1/notes answers with rows of a user who asked before: ",
    ),
    "test_its_errors_are_problems": (
        "router.py",
        [
            (
                '    """Delete a note for good."""\n',
                '    """Delete a note for good."""\n    return Response("gone", 410, media_type="text/plain")\n',
            ),
        ],
        r"DELETE /api/v1/notes/[-0-9a-f]+ answers an error as text/plain.*: raise a Problem",
    ),
    "test_no_request_names_an_owner": (
        "schemas.py",
        [
            (
                "    title: Title\n\n\nclass NoteUpdate",
                "    title: Title\n    user_id: Id | None = Field(default=None, exclude=True)\n\n\nclass NoteUpdate",
            )
        ],
        "POST /api/v1/notes takes a user_id: leave it out, the scope knows it",
    ),
    "test_its_migrations_make_its_models": (
        "migrations/0001_notes.py",
        [("sa.String(length=255)", "sa.String(length=200)")],
        r"the migrations of notes \(.*\) do not make its models: notes.title: .*: run `todoservice db revision -p notes`",
    ),
    "test_nothing_weakens_isolation": (
        "migrations/0001_notes.py",
        [
            (TABLE_MADE, f'{TABLE_MADE[:-2]}    op.execute("{view}")\n\n\n')
            for view in ["CREATE VIEW todoservice.notes_all AS SELECT * FROM todoservice.notes"]
        ]
        + [
            (
                '    op.drop_table("notes"',
                '    op.execute("DROP VIEW todoservice.notes_all")\n    op.drop_table("notes"',
            )
        ],
        "the view todoservice.notes_all reads declared tables as its owner: run ALTER VIEW",
    ),
    "test_nothing_is_left_of_it": (
        "migrations/0001_notes.py",
        [(TABLE_MADE, f"{TABLE_MADE[:-2]}    op.execute({LEFT!r})\n\n\n")],
        r"downgrade leaves function notes_one: drop it in downgrade\(\) of the revision that made it",
    ),
}
"""For each rule: a file of the feature, what is put in the place of what, and what the author then reads."""
SESSION = '''
"""The rules, on one feature after another."""

from importlib import import_module

import pytest
from todoservice import Plugin
from todoservice.testing import Conformance


@pytest.fixture(scope="session", params={names})
def todoservice_plugins(request):
    """Return one of them."""
    module = import_module(f"todoservice_{{request.param}}")
    return [Plugin(request.param, module, distribution=f"todoservice-{{request.param}} 0.1.0")]


class TestConformance(Conformance):
    """What todoservice asks of every feature."""

    @pytest.fixture(autouse=True)
    def named(self, todoservice_plugins):
        """Name it."""
        type(self).plugin = todoservice_plugins[0].name
'''


def renamed(text: str, name: str) -> str:
    """Return a text about notes as it is about the feature `name`, which ends in "notes" too."""
    item = name.removesuffix("s")
    return text.replace("note", item).replace("Note", item.capitalize())


def broken(name: str, rule: str, folder: Path) -> None:
    """Write the feature `name`, which breaks one rule."""
    scaffold.write(name, folder)
    file, changes, _ = BROKEN[rule]
    path = folder / f"todoservice-{name}" / f"todoservice_{name}" / renamed(file, name)
    for good, bad in changes:
        text = path.read_text()
        assert renamed(good, name) in text
        path.write_text(text.replace(renamed(good, name), renamed(bad, name)))


def outcomes_of(names: list[str], folder: Path, server_url: str) -> tuple[dict[str, dict[str, str]], str]:
    """Run the rules on the features: return the outcome of each, by feature and rule, and what pytest printed."""
    (folder / "test_rules.py").write_text(SESSION.format(names=names))
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    path = os.pathsep.join([*(str(folder / f"todoservice-{name}") for name in names), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "--tb=short", "test_rules.py"],
        cwd=folder, env=os.environ | {"PYTHONPATH": path, "TODOSERVICE_TEST_DATABASE_URL": server_url},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    outcomes: dict[str, dict[str, str]] = {name: {} for name in names}
    for outcome, rule, name in re.findall(r"^(PASSED|FAILED|ERROR) \S+::(test_\w+)\[(\w+)\]", ran.stdout, re.MULTILINE):
        outcomes[name][rule] = outcome
    return outcomes, ran.stdout + ran.stderr


@pytest.mark.slow
def test_a_feature_that_breaks_one_rule_fails_its_test(tmp_path: Path, server_url: str) -> None:
    """It alone, with what is wrong and what to do about it; a new feature keeps every rule."""
    features = {f"{letter}notes": rule for letter, rule in zip("bcdfghjkl", BROKEN, strict=True)}
    for name, rule in features.items():
        broken(name, rule, tmp_path)
    scaffold.write("notes", tmp_path)
    outcomes, printed = outcomes_of(["notes", *features], tmp_path, server_url)
    assert outcomes.pop("notes") == dict.fromkeys(BROKEN, "PASSED"), printed
    failed = {
        name: [rule for rule, outcome in rules.items() if outcome == "FAILED"] for name, rules in outcomes.items()
    }
    expected = {name: [rule] for name, rule in features.items()}
    # The kit requires isolation, so that the app does not start with what the rules find in the database.
    expected["knotes"].insert(0, "test_its_routes_refuse_who_is_not_known")
    assert failed == expected, printed
    assert set(outcomes["bnotes"].values()) == {"FAILED", "ERROR"}
    assert "_finalizers" not in printed
    for name, rule in features.items():
        assert re.search(renamed(BROKEN[rule][2], name), printed), printed
