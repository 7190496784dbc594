"""Each rule of `Conformance` finds a feature that breaks just that rule, and the good one keeps them all."""

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
        r"notes \(todoservice-notes 0.1.0\)",
    ),
    "test_its_routes_refuse_who_is_not_known": (
        "router.py",
        [
            ("router = APIRouter()\n", f"router = APIRouter()\n\n\n{open_route}")
            for open_route in [
                "from fastapi.routing import APIRoute\n\n\n"
                "class Open(APIRoute):\n    def get_route_handler(self):\n"
                "        async def answer(_):\n            return Response('open')\n        return answer\n\n\n"
                "async def open_notes() -> None: ...\n\n\n"
                "router.add_api_route('/open', open_notes, route_class_override=Open)\n"
            ]
        ],
        "GET /api/v1/notes/open answers 200 to nobody: ",
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
            ("import CurrentScope, Id", "import Conflict, CurrentScope, Id"),
        ],
        r"GET /api/v1/notes/\{id\} tells another user's row from a missing one: with .* it answers 409",
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


@pytest.fixture
def feature(tmp_path: Path) -> Path:
    """Return a new feature's folder, installed."""
    scaffold.write("notes", tmp_path)
    folder = tmp_path / "todoservice-notes"
    info = folder / "todoservice_notes-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: todoservice-notes\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[todoservice]\nnotes = todoservice_notes\n")
    return folder


def outcomes_of(feature: Path, server_url: str, *arguments: str) -> tuple[dict[str, str], str]:
    """Run the feature's own tests as its author does, and return the outcome of each, and what pytest printed."""
    path = os.pathsep.join(filter(None, [str(feature), os.environ.get("PYTHONPATH")]))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", *arguments],
        cwd=feature, env=os.environ | {"PYTHONPATH": path, "TODOSERVICE_TEST_DATABASE_URL": server_url},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    outcomes = re.findall(r"^(PASSED|FAILED|ERROR) \S+::(test_\w+)", ran.stdout, re.MULTILINE)
    return {name: outcome for outcome, name in outcomes}, ran.stdout + ran.stderr


def test_a_new_feature_keeps_every_rule(feature: Path, server_url: str) -> None:
    """And its own tests pass as they were written."""
    outcomes, printed = outcomes_of(feature, server_url)
    assert set(outcomes.values()) == {"PASSED"}, printed
    assert outcomes.keys() >= BROKEN.keys()


@pytest.mark.parametrize("rule", BROKEN)
def test_a_feature_that_breaks_one_rule_fails_its_test(feature: Path, server_url: str, rule: str) -> None:
    """With what is wrong, and what to do about it."""
    name, changes, words = BROKEN[rule]
    file = feature / "todoservice_notes" / name
    for good, bad in changes:
        text = file.read_text()
        assert good in text
        file.write_text(text.replace(good, bad))
    outcomes, printed = outcomes_of(feature, server_url, "-k", "TestConformance")
    assert re.search(words, printed), printed
    assert {test for test, outcome in outcomes.items() if outcome == "FAILED"} == {rule}, printed
