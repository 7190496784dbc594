"""What is done with faulty plugins: the start is refused, or they are skipped; and how plugins live together."""

import re
from pathlib import Path
from typing import Any

import pytest
from api import TODOS
from assertions import asserted
from databases import login_url, migrate
from plugin_modules import FEATURE, Site, found, install
from starlette.testclient import TestClient

from todoservice import Settings, create_app
from todoservice.plugins import Code, PluginError
from todoservice.plugins.hooks import HOOKS

UNASSERTED = """
P105 = "P105"
OTHER = "P101"

def helper(): return "P102"  # P103

@pytest.mark.parametrize(("case", "other"), [("P107", 1)])
@pytest.mark.parametrize("unused", ["P104"])
def test_it(case, unused):
    '''P110'''
    print("P111", OTHER)
    assert helper() == P105, "P112"
    assert case == f"P106 {helper()}" if case else other
    with pytest.raises(ValueError, match="P108"):
        helper()
"""
SKIP = {"plugin_errors": "skip", "identity": "header"}


def test_all_faults_are_told_at_once(site: Site, settings: Settings) -> None:
    """One line for each, whoever's they are."""
    install(site, "inks", source="1 / 0")
    install(site, "pens", source="from todoservice import hookimpl\n@hookimpl\ndef todoservice_modles(): return 3\n")
    with pytest.raises(SystemExit) as refused:
        create_app(settings)
    assert [line[:4] for line in str(refused.value.code).splitlines()] == ["P101", "P201"]


def test_a_faulty_plugin_may_be_skipped(
    site: Site, service_url: str, caplog: pytest.LogCaptureFixture, user: Any
) -> None:
    """The others are served, and the log says at every start what is missing."""
    install(site, "inks", source="1 / 0")
    install(site, "pens", "inks-of-a-stranger")
    app = create_app(Settings.load({"neon_database_url": service_url} | SKIP))
    with TestClient(app, headers={"X-User-ID": str(user)}) as client:
        assert client.get(TODOS).status_code == 200
        assert client.get("/api/v1/inks").status_code == 404
    (first, second) = [line for line in caplog.messages if line.startswith("Starting without a plugin: ")]
    assert "P101 inks (inks-of-a-stranger 0.3)" in first
    assert "P106 pens (pens-of-a-stranger 0.3): it needs inks, which is broken: mend that first" in second


@pytest.mark.parametrize(
    "source",
    [
        FEATURE.replace("rows = select(Row)", "rows = select(Row.__table__)"),
        FEATURE.replace('"")\nasync def list', '"")\n@router.get("")\nasync def list'),
        FEATURE.replace('"{name}"\n', '"todos_{name}"\n'),
        FEATURE.replace("return router", "return 3"),
    ],
    ids=["query", "route", "table", "router"],
)
def test_whatever_is_wrong_with_it(site: Site, source: str) -> None:
    """And those that need nothing of it are not touched."""
    install(site, "inks", source=source)
    host = found(**SKIP).accept()
    assert [plugin.name for plugin in host.plugins] == ["todos"]
    assert {statement.name.partition(".")[0] for statement in host.statements.declared} == {"todos"}


def test_a_plugin_that_uses_what_a_skipped_one_lost_is_skipped(site: Site) -> None:
    """Though nothing says that it needs it but its query."""
    install(site, "inks", source=FEATURE + "\nrouter.get('', name='a')(lambda: None)\n")
    use = "from sqlalchemy import select\nfrom todoservice import Queries, hookimpl\n"
    use += "from inks_of_a_stranger import Row\nclass Uses(Queries):\n    rows = select(Row)\n"
    use += "@hookimpl\ndef todoservice_queries(): return Uses\n"
    site.install("pens-of-a-stranger", name="pens", source=use)
    host = found(**SKIP).accept()
    assert [plugin.name for plugin in host.plugins] == ["todos"]
    assert "P308" in {fault.code for fault in host.faults if fault.plugin == "pens"}


def test_ten_start_together(site: Site, empty_url: str, user: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Each with its rows; uninstalling one leaves the rest working, and what it left is told."""
    names = [f"kind{number}" for number in range(10)]
    for name in names:
        install(site, name)
    migrate(empty_url)
    settings = Settings.load({"neon_database_url": login_url(empty_url), "require_isolation": True})
    with TestClient(create_app(settings), headers={"X-User-ID": str(user)}) as client:
        for name in names:
            assert client.post(f"/api/v1/{name}", params={"text": name}).status_code == 201
            assert client.get(f"/api/v1/{name}").json() == [name]
    site.uninstall("kind3-of-a-stranger")
    with TestClient(create_app(settings), headers={"X-User-ID": str(user)}) as client:
        assert client.get("/readyz").status_code == 200
        for name in names:
            answer = client.get(f"/api/v1/{name}")
            assert answer.status_code == 404 if name == "kind3" else answer.json() == [name]
    assert (
        "W101 kind3: it is not installed, and its tables are still in the database, kind3_alembic_version among them: "
        "install it again, or remove them with `todoservice db drop kind3`" in caplog.messages
    )
    migrate(empty_url)


def test_features_ask_each_others_queries_by_name(
    site: Site, empty_url: str, user: Any, other_user: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Within the same scope: it is the same user's rows that they see."""
    for name in ("inks", "pens"):
        install(site, name)
    migrate(empty_url)
    app = create_app(Settings.load({"neon_database_url": login_url(empty_url)}))
    with TestClient(app, headers={"X-User-ID": str(user)}) as client:
        client.post("/api/v1/inks", params={"text": "blue"})
        assert client.get("/api/v1/pens", params={"of": "inks"}).json() == ["blue"]
        assert client.get("/api/v1/pens", params={"of": "inks"}, headers={"X-User-ID": str(other_user)}).json() == []
        for name, told in {
            "papers": "no plugin of this app is named 'papers' and has queries, and 'papers.rows' is asked for: "
            "install the distribution that brings it, and name that in your own one's dependencies",
            "todos": "todos has no query 'todos.rows': the queries are todos.create_todo, ",
        }.items():
            assert client.get("/api/v1/pens", params={"of": name}).status_code == 500
            assert f"UnknownQuery: {told}" in caplog.text


def test_what_the_host_brings_is_never_at_fault(site: Site) -> None:
    """Of two that claim one thing, it is the stranger's, whatever its name: todos is served all the same."""
    source = "from fastapi import APIRouter\nfrom todoservice import hookimpl\nrouter = APIRouter()\n"
    source += "router.get('', name='list_todos')(lambda: None)\n@hookimpl\ndef todoservice_router(): return router\n"
    site.install("acid", name="acid", source=source)
    host = found(**SKIP).accept()
    assert [plugin.name for plugin in host.plugins] == ["todos"]
    assert list(map(str, host.faults)) == [
        f"P307 acid (acid 0.3): the operation list_todos is named as one of {host.plugins[0]}: rename its function"
    ]


def test_a_table_that_is_there_already_is_told(site: Site) -> None:
    """SQLAlchemy alone would advise to change the other's."""
    install(site, "acid", source=FEATURE.replace('= "{name}"', '= "todos"'))
    (line,) = map(str, found().faults)
    assert line == (
        "P302 acid (acid-of-a-stranger 0.3): it has the table todoservice.todos, which todoservice_todos has already: "
        "name it acid or acid_something"
    )


def test_who_took_anothers_table_is_told(site: Site) -> None:
    """Even where it does not return it, and was imported first, so that the other one's cannot be made."""
    hidden = FEATURE.replace('= "{name}"', '= "inks"')
    hidden = hidden.partition("class Rows")[0] + "@hookimpl\ndef todoservice_models(): return []\n"
    install(site, "acid", source=hidden)
    install(site, "inks")
    acid, inks = map(str, found().faults)
    assert re.match(r"P302 acid \(acid-of-a-stranger 0.3\): Row\d+ has the table inks: name it acid or acid_", acid)
    assert inks == (
        "P302 inks (inks-of-a-stranger 0.3): it has the table todoservice.inks, which acid_of_a_stranger has already: "
        "keep out the plugin of acid_of_a_stranger"
    )


def test_a_class_that_cannot_be_mapped_is_its_plugins_fault(site: Site) -> None:
    """SQLAlchemy alone would refuse to compile every statement of every plugin, and go on to do so."""
    lost = FEATURE.replace("import Field", "import Field, Relationship")
    lost = lost.replace("    text: str", '    friends: list["Nobody"] = Relationship()\n    text: str')
    install(site, "inks", source=lost)
    for _ in range(2):
        host = found(**SKIP).accept()
        assert [plugin.name for plugin in host.plugins] == ["todos"]
        (line,) = map(str, host.faults)
        assert re.match(r"P301 inks \(inks-of-a-stranger 0.3\): Row\d+ cannot be mapped: InvalidRequestError: ", line)
        assert "'Nobody' failed to locate a name" in line
        assert line.endswith(": mend its relationships")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("no answer from postgresql://ada:hunter2@db.example/x", "no answer from postgresql://ada:***@db.example/x"),
        ("no answer from postgresql://ada:hunt@er2@db.example/x", "no answer from postgresql://ada:***@db.example/x"),
        ("host=db.example password=hunter2 user=ada", "host=db.example password=*** user=ada"),
        ("password = 'hunter 2'", "password = ***"),
        ("see https://db.example/a:b", "see https://db.example/a:b"),
    ],
)
def test_a_password_in_a_strangers_exception_is_hidden(site: Site, words: str, told: str) -> None:
    """Its author only wanted to be helpful."""
    site.install("inks", name="inks", source=f"raise RuntimeError({words!r})")
    (line,) = map(str, found().faults)
    assert f"RuntimeError: {told} (inks.py:1)" in line


def test_every_code_has_a_test() -> None:
    """In which its line is asserted."""
    texts = asserted()
    assert [code for code in Code if not re.search(rf"\b{code}\b", texts)] == []
    assert all(code.meaning for code in Code)


def test_every_hook_has_a_test() -> None:
    """In which it is named by what is asserted, beside those that `test_hooks.py` has for whichever there is."""
    texts = asserted()
    assert [hook for hook in HOOKS if not re.search(rf"\b{hook}\b", texts)] == []


def test_what_is_only_said_is_not_asserted(tmp_path: Path) -> None:
    """By a docstring, a comment, a helper, or a case that nothing asks for."""
    (tmp_path / "test_it.py").write_text(UNASSERTED)
    assert sorted(asserted(tmp_path).split()) == ["P105", "P106", "P107", "P108"]


def test_the_start_names_no_secret(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the settings of a plugin, too."""
    source = "from pydantic import BaseModel\nfrom todoservice import hookimpl\nclass S(BaseModel):\n    size: int\n"
    site.install("inks", name="inks", source=source + "@hookimpl\ndef todoservice_settings(): return S\n")
    monkeypatch.setenv("TODOSERVICE_INKS__SIZE", "hunter2")
    with pytest.raises(PluginError, match=r"P309 inks \(inks 0.3\): TODOSERVICE_INKS__SIZE: Input") as refused:
        found().accept()
    assert "hunter2" not in str(refused.value)


def test_a_strangers_validator_shows_no_value(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its message has it."""
    source = "from pydantic import BaseModel, field_validator\nfrom todoservice import hookimpl\n"
    source += "class S(BaseModel):\n    token: str\n    @field_validator('token')\n    @classmethod\n"
    source += "    def readable(cls, value): raise ValueError(f'{value} is no token')\n"
    site.install("inks", name="inks", source=source + "@hookimpl\ndef todoservice_settings(): return S\n")
    monkeypatch.setenv("TODOSERVICE_INKS__TOKEN", "hunter2")
    (line,) = map(str, found().faults)
    assert line == "P309 inks (inks 0.3): TODOSERVICE_INKS__TOKEN: *** is no token: change it"
