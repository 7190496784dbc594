"""What docs/neon.md says is so: its commands, with the rig as the Neon, and what it says of settings and faults."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from compute import ADMIN, OWNER, Compute, free_port
from databases import PASSWORD, database
from documents import blocks, page, table
from endpoint import DOMAIN, NAME, Endpoint
from pooler import pooler
from serving import curl, serving, wait_until_ready
from sqlalchemy import make_url

from todoservice import Settings
from todoservice.cli import main
from todoservice.doctor import Code
from todoservice.settings import variable

PAGE = "neon.md"
HOST = "ep-cool-darkness-123456-pooler.us-east-2.aws.neon.tech"
SOURCES = Path(__file__).parent


@pytest.fixture
def project(node: Compute, authority: trustme.CA, tmp_path: Path) -> Iterator[Endpoint]:
    """Return the endpoint of a new project's database, whose pooler asks the server for passwords, as Neon's does."""
    with (
        database(node.url(), owner=OWNER) as url,
        pooler(url, {ADMIN: PASSWORD}, free_port(), default_pool_size=93, auth_user=ADMIN) as made,
        Endpoint(url, made.url(url), authority, tmp_path) as endpoint,
    ):
        yield endpoint


def test_from_a_new_project_to_a_served_request(
    project: Endpoint, unused_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command of the page in turn, but for hosts, passwords and ports."""
    set_up, serve, request = blocks(PAGE, "sh")
    for line in set_up.splitlines():
        follow(line, project, monkeypatch)
    printed = capsys.readouterr().out.splitlines()[-1]
    assert make_url(printed).host == f"{NAME}-pooler.{DOMAIN}"
    *steps, last = serve.splitlines()
    for line in steps:
        follow(line, project, monkeypatch, printed)
    assert "nothing to change" in (told := capsys.readouterr().out)
    assert "nothing to mend" in told
    uvicorn, *arguments = shlex.split(last)
    assert uvicorn == "uvicorn"
    arguments[arguments.index("--port") + 1] = str(unused_port)
    with serving(*arguments, port=unused_port, **{name: os.environ[name] for name in os.environ if "NEON" in name}):
        wait_until_ready(unused_port)
        answer = curl(request.replace("8000", str(unused_port)))
    assert (answer.status_code, answer.json()["title"]) == (201, "Buy milk")


def follow(line: str, project: Endpoint, patch: pytest.MonkeyPatch, printed: str = "") -> None:
    """Do what a line of the page does: set a variable, to what the rig has in place of Neon's, or run the command."""
    program, *arguments = shlex.split(line)
    if program != "export":
        assert program == "todoservice"
        assert main(arguments) == 0, line
        return
    name, _, value = arguments[0].partition("=")
    if value.startswith("postgresql:"):
        shown = make_url(value)
        pooled = shown.host == HOST
        assert pooled or shown.host == HOST.replace("-pooler", "")
        value = printed if shown.username == "neondb_login" else project.address(OWNER, PASSWORD, pooled=pooled)
    patch.setenv(name, value)


def test_the_codes_are_all_there() -> None:
    """In the page's table, and no others."""
    told = [code for row in table(PAGE, "code") for code in re.findall(r"`([\w-]+)`", row[0])]
    assert sorted(told) == sorted(Code)


def test_the_settings_are_as_told() -> None:
    """Their defaults, and the longest that a client waits."""
    defaults = {variable(name): field.default for name, field in Settings.model_fields.items()}
    rows = table(PAGE, "setting")
    assert rows
    for name, default, _ in rows:
        assert float(default.removesuffix(" s")) == defaults[name.strip("`")]
    longest = defaults["TODOSERVICE_REQUEST_BUDGET"] + defaults["TODOSERVICE_STATEMENT_TIMEOUT"] + 1
    assert f"{longest:g} s by default" in page(PAGE)


def test_the_words_at_each_fault_are_those_that_are_tested() -> None:
    """What the table quotes, some test of the rig asserts, or the service's own source says."""
    tests = "".join(file.read_text() for file in SOURCES.glob("test_*.py") if file.name != Path(__file__).name)
    sources = tests + "".join(file.read_text() for file in Path(main.__globals__["__file__"]).parent.rglob("*.py"))
    quoted = re.findall("“(.+?)”", page(PAGE))
    assert len(quoted) > 10
    assert [words for words in quoted if words not in sources] == []
