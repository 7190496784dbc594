"""How the plugins are found: what is installed, what is blocked, what cannot be imported."""

from types import ModuleType

import pytest
import todoservice_todos
from plugin_modules import Site, faults, found, module

from todoservice import Plugin, Settings, create_app
from todoservice.plugins import PluginError
from todoservice.plugins.host import Host

HOOKS = "from todoservice import hookimpl\n@hookimpl\ndef todoservice_models(): return []\n"


def told(**environment: str) -> list[str]:
    """Return what the host says of the installed plugins, with these settings."""
    return [str(fault) for fault in found(**environment).faults]


def states(**environment: str) -> dict[str, str]:
    """Return the installed plugins, each with its state."""
    host = found(**environment)
    return {one.name: host.state(one) for one in host.found}


def test_todos_is_found_as_a_strangers_plugin_is() -> None:
    """By its entry point, with no second path."""
    plugins = {plugin.name: plugin for plugin in found().plugins}
    assert plugins["todos"].module is todoservice_todos
    assert plugins["todos"].distribution.startswith("todoservice ")


def test_a_strangers_distribution_is_found(site: Site) -> None:
    """Installing it is enough."""
    site.install("todoservice-notes", name="notes", source=HOOKS)
    assert "notes (todoservice-notes 0.3)" in map(str, found().plugins)


def test_given_plugins_are_all_there_is(site: Site, settings: Settings) -> None:
    """No discovery then, so that a test needs no globals."""
    site.install("todoservice-notes", name="notes", source="1 / 0")
    assert "/api/v1/todos" in create_app(settings, plugins=[todoservice_todos]).openapi()["paths"]
    assert create_app(settings, plugins=[]).openapi()["paths"] == {}


def test_a_module_goes_by_the_name_of_its_entry_point() -> None:
    """Else by its own, without `todoservice_`."""
    given: list[ModuleType | Plugin] = [todoservice_todos, module("todoservice_notes", todoservice_models=[])]
    assert [plugin.name for plugin in Host.load(Settings.load(), given).plugins] == ["notes", "todos"]


def test_a_second_distribution_of_the_same_name_is_a_fault(site: Site) -> None:
    """Pluggy's own loader would skip it in silence."""
    site.install("todoservice-notes", name="notes", source=HOOKS)
    site.install("other-notes", name="notes", source=HOOKS)
    assert told() == [
        "P102 notes: other-notes 0.3 and todoservice-notes 0.3 both claim this name: uninstall one of them"
    ]


def test_one_name_given_twice_is_a_fault() -> None:
    """With both claimants."""
    assert faults(module("a.notes", todoservice_models=[]), module("b.notes", todoservice_models=[])) == [
        "P102 notes: module a.notes and module b.notes both claim this name: leave one of them out"
    ]


def test_one_module_under_two_names_is_a_fault(site: Site) -> None:
    """Its tables could be named after one of them only."""
    module = site.install("todoservice-notes", name="notes", source=HOOKS)
    site.install("todoservice-papers", name="papers", target=module)
    assert told() == [
        "P102 papers (todoservice-papers 0.3): its module todoservice_notes is that of notes too: "
        "give it one entry point"
    ]


def test_every_import_error_is_told_with_its_distribution(site: Site) -> None:
    """All at once, and in which line."""
    site.install("todoservice-notes", name="notes", source="import no_such_module")
    site.install("todoservice-papers", name="papers", source="\n1 / 0")
    assert told() == [
        "P101 notes (todoservice-notes 0.3): todoservice_notes cannot be imported: ModuleNotFoundError: "
        "No module named 'no_such_module' (todoservice_notes.py:1): mend it, or set TODOSERVICE_BLOCK=notes",
        "P101 papers (todoservice-papers 0.3): todoservice_papers cannot be imported: ZeroDivisionError: "
        "division by zero (todoservice_papers.py:2): mend it, or set TODOSERVICE_BLOCK=papers",
    ]


def test_a_module_that_exits_is_named(site: Site) -> None:
    """Its own word alone would say nothing."""
    site.install("todoservice-notes", name="notes", source="raise SystemExit('bye')")
    (line,) = told()
    assert line.startswith("P101 notes (todoservice-notes 0.3): todoservice_notes cannot be imported: SystemExit: bye")


def test_a_module_that_panics_is_named(site: Site) -> None:
    """What extensions in Rust raise is no Exception; and some fail to say what they are."""
    panic = "class Panic(BaseException):\n    def __str__(self): raise ValueError\n\nraise Panic"
    site.install("todoservice-notes", name="notes", source=panic)
    assert told() == [
        "P101 notes (todoservice-notes 0.3): todoservice_notes cannot be imported: Panic (todoservice_notes.py:4): "
        "mend it, or set TODOSERVICE_BLOCK=notes"
    ]


def test_an_interrupt_at_import_is_the_operators(site: Site) -> None:
    """Ctrl-C is nobody's fault."""
    site.install("todoservice-notes", name="notes", source="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        found()


def test_an_entry_point_is_a_module(site: Site) -> None:
    """And no object in it."""
    site.install("todoservice-notes", name="notes", source="def plugin(): ...", target="todoservice_notes:plugin")
    assert told() == [
        "P101 notes (todoservice-notes 0.3): its entry point todoservice_notes:plugin is no module: "
        'write notes = "todoservice_notes"'
    ]


def test_the_app_does_not_start_with_a_broken_plugin(site: Site, settings: Settings) -> None:
    """A backend that silently loses a feature is worse than one that does not start."""
    site.install("todoservice-notes", name="notes", source="1 / 0")
    with pytest.raises(SystemExit, match=r"P101 notes \(todoservice-notes 0.3\)"):
        create_app(settings)


@pytest.mark.parametrize(
    ("requirement", "fault"),
    [
        ("no-such-distribution>=2", "it requires no-such-distribution>=2, which is not installed: install no-such-"),
        ("todoservice>=99", "it requires todoservice>=99, and 0.1.0 is installed: install a version of it that is "),
        ("pluggy<1", "it requires pluggy<1, and "),
        ("no-such-distribution ; python_version > '3'", "it requires no-such-distribution, which is not installed"),
        ("todoservice[no-such-extra, testing]<0.1", "it requires todoservice<0.1, and"),
        ("a b c", "it requires 'a b c', which nobody can read: install todoservice-notes in another version"),
    ],
)
def test_a_requirement_that_is_not_met_is_a_fault(site: Site, requirement: str, fault: str) -> None:
    """Read from `Requires-Dist`, before the module is imported: it could not work."""
    site.install("todoservice-notes", name="notes", source="1 / 0", requires=(requirement,))
    (line,) = told()
    assert line.startswith(f"P103 notes (todoservice-notes 0.3): {fault}")


@pytest.mark.parametrize(
    "requirement",
    [
        "todoservice>=0.1,<99",
        "no-such-distribution ; python_version < '3'",
        "no-such-distribution ; extra == 'loud'",
        "PLUGGY>=1",
    ],
)
def test_a_requirement_that_is_met_is_none(site: Site, requirement: str) -> None:
    """Markers are asked, and what only an extra needs is not."""
    site.install("todoservice-notes", name="notes", source=HOOKS, requires=(requirement,))
    assert told() == []


def test_what_an_asked_for_extra_requires_is_looked_at(site: Site) -> None:
    """Where a plugin requires `papers[loud]`, it needs what that extra needs."""
    loud = ("no-such-distribution ; extra == 'loud'", "pluggy")
    site.install("todoservice-papers", name="papers", source=HOOKS, requires=loud)
    site.install("todoservice-notes", name="notes", source=HOOKS, requires=("todoservice-papers[loud]",))
    assert told() == [
        "P103 notes (todoservice-notes 0.3): it requires no-such-distribution, which is not installed: "
        "install no-such-distribution"
    ]


def test_a_requirement_starts_first(site: Site) -> None:
    """Read from the distribution's own Requires-Dist."""
    site.install("a-first", name="first", source=HOOKS, requires=("Z.Last>=0.1 ; python_version > '3'", "todoservice"))
    site.install("z-last", name="last", source=HOOKS)
    names = [plugin.name for plugin in found().plugins]
    assert names.index("last") < names.index("first")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("users", "'users' is reserved: give its entry point another"),
        ("todoservice", "'todoservice' is reserved: give its entry point another"),
        ("header", "'header' is reserved: give its entry point another"),
        *(
            (
                name,
                f"{name!r} is not lower-case letters and digits, at most 39, in words joined by single underscores: "
                "give its entry point another",
            )
            for name in ("Notes", "no-tes", "", "1notes", "no__tes", "notes_", "n" * 40, "nötes")
        ),
    ],
)
def test_a_name_that_cannot_be_used_is_a_fault(name: str, why: str) -> None:
    """It is a URL, a table prefix and an environment variable at once."""
    (line,) = faults(Plugin(name, module(todoservice_models=[])))
    assert line == f"P105 {name} (module notes): the name {why}".replace("  ", " ")


def test_a_blocked_plugin_is_not_imported(site: Site) -> None:
    """So that one that breaks the start can be kept from it."""
    site.install("todoservice-notes", name="notes", source="1 / 0")
    assert told(block=" notes ,") == []
    assert states(block="notes") == {"notes": "blocked", "todos": "active"}


def test_nothing_is_wrong_with_what_is_blocked(site: Site) -> None:
    """Neither with its name, nor with those that claim it too, nor with what it needs: it is not used."""
    site.install("todoservice-docs", name="docs", source=HOOKS)
    site.install("todoservice-notes", name="notes", source=HOOKS)
    site.install("other-notes", name="notes", source=HOOKS)
    site.install("todoservice-pens", name="pens", source=HOOKS, requires=("todoservice-inks",))
    site.install("todoservice-inks", name="inks", source=HOOKS, requires=("todoservice-pens",))
    assert {line.partition(" ")[0] for line in told()} == {"P102", "P105", "P107"}
    assert told(only="todos") == []
    assert told(block="docs,notes,pens,inks") == []
    assert [line.partition(" (")[0] for line in told(block="docs,notes,pens")] == ["P106 inks"]


def test_only_those_that_are_allowed_are_used(site: Site) -> None:
    """Todos among those that are left out, where it is not named."""
    site.install("todoservice-notes", name="notes", source=HOOKS)
    assert states(only="notes") == {"notes": "active", "todos": "blocked"}


@pytest.mark.parametrize("field", ["block", "only"])
def test_an_unknown_name_is_a_fault(site: Site, field: str) -> None:
    """Else the wrong plugin would run."""
    site.install("todoservice-notes", name="notes", source=HOOKS)
    lines = told(**{field: "todos,note"})
    assert lines == [f"P104: TODOSERVICE_{field.upper()} names 'note', which is not installed: did you mean notes?"]
    with pytest.raises(PluginError, match="P104"):
        found(**{field: "todos,note"}, plugin_errors="skip", identity="header").accept()


def test_what_a_blocked_one_is_needed_for_is_a_fault(site: Site) -> None:
    """It is not imported either, and says why."""
    site.install("todoservice-notes", name="notes", source=HOOKS)
    traced = "from pathlib import Path\nPath(__file__).with_name('imported').touch()\n" + HOOKS
    site.install("todoservice-papers", name="papers", source=traced, requires=("todoservice-notes",))
    assert told(block="notes") == [
        "P106 papers (todoservice-papers 0.3): it needs notes, which TODOSERVICE_BLOCK keeps out: "
        "let it in, or keep this one out, too"
    ]
    assert not (site.path / "imported").exists()
    (line,) = told(only="papers")
    assert line.startswith("P106 papers (todoservice-papers 0.3): it needs notes, which TODOSERVICE_ONLY keeps out")


def test_what_a_broken_one_is_needed_for_is_a_fault(site: Site) -> None:
    """That it cannot be imported without that one is no fault of its own."""
    site.install("todoservice-notes", name="notes", source="1 / 0")
    site.install(
        "todoservice-papers", name="papers", source="import todoservice_notes", requires=("todoservice-notes",)
    )
    assert [line.partition(": ")[0] for line in told()] == [
        "P101 notes (todoservice-notes 0.3)",
        "P106 papers (todoservice-papers 0.3)",
    ]
    assert told()[1].endswith("it needs notes, which is broken: mend that first")


def test_what_is_not_there_is_a_fault() -> None:
    """Of plugins given by hand, too."""
    assert faults(Plugin("notes", module(todoservice_models=[]), ("papers",))) == [
        "P106 notes (module notes): it needs papers, which is not there: install the distribution that brings it"
    ]


def test_a_circle_of_requirements_is_a_fault() -> None:
    """The message names it, and whoever is outside of it starts."""
    one = Plugin("one", module("one", todoservice_models=[]), ("two",))
    two = Plugin("two", module("two", todoservice_models=[]), ("one",))
    needing = Plugin("four", module("four", todoservice_models=[]), ("one",))
    host = Host.load(Settings.load(), [one, two, needing, module("three", todoservice_models=[])])
    assert list(map(str, host.faults)) == [
        "P106 four (module four): it needs one, which is broken: mend that first",
        *(
            f"P107 {name} (module {name}): these need each other in a circle: one -> two -> one: "
            "break it in one of them"
            for name in ("one", "two")
        ),
    ]
    assert [plugin.name for plugin in host.plugins] == ["three"]


def test_one_distributions_fault_hides_no_others(site: Site) -> None:
    """Whatever kind each is of."""
    site.install("todoservice-notes", name="notes", source="1 / 0")
    clash = "from fastapi import APIRouter\nfrom todoservice import hookimpl\nrouter = APIRouter()\n"
    clash += "for name in 'ab': router.get('/a', name=name)(lambda: None)\n"
    clash += "@hookimpl\ndef todoservice_router(): return router\n"
    site.install("todoservice-papers", name="papers", source=clash)
    site.install("todoservice-pens", name="pens", source=HOOKS.replace("models", "model"))
    site.install("todoservice-inks", name="inks", source=HOOKS, requires=("todoservice>9",))
    assert [line.partition(" (")[0] for line in told(block="toods")] == [
        "P104: TODOSERVICE_BLOCK names 'toods', which is not installed: did you mean todos?",
        *("P103 inks", "P101 notes", "P306 papers", "P201 pens"),
    ]
