"""The plugin host: what it finds, in which order, and how it tells faults."""

from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import todoservice_todos
from fastapi import APIRouter
from plugin_modules import Site, module
from pydantic import BaseModel
from sqlmodel import Field, SQLModel

from todoservice import Owned, Plugin, Queries, Settings, Shared, create_app, hookimpl, plugins
from todoservice.plugins import Host, PluginError

HOOKS = "from todoservice import hookimpl\n@hookimpl\ndef todoservice_models(): return []\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a folder to install distributions in."""
    return Site(tmp_path, monkeypatch)


def faults(*given: ModuleType | Plugin) -> list[str]:
    """Return the lines that the host refuses these plugins with."""
    with pytest.raises(PluginError) as refused:
        _ = Host(plugins.of(given)).features
    return str(refused.value).splitlines()


def order(*given: ModuleType | Plugin) -> list[str]:
    """Return the names of these plugins in start order."""
    return [feature.plugin.name for feature in Host(plugins.of(given)).features]


def test_todos_is_found_as_a_strangers_plugin_is() -> None:
    """By its entry point, with no second path."""
    found = {plugin.name: plugin for plugin in plugins.discover()}
    assert found["todos"].module is todoservice_todos
    assert found["todos"].distribution.startswith("todoservice ")


def test_a_strangers_distribution_is_found(site: Site) -> None:
    """Installing it is enough."""
    site.install("todoservice-notes", name="notes", source=HOOKS)
    assert "notes (todoservice-notes 0.3)" in {str(plugin) for plugin in plugins.discover()}


def test_a_second_distribution_of_the_same_name_is_a_fault(site: Site) -> None:
    """Pluggy's own loader would skip it in silence."""
    site.install("todoservice-notes", name="notes", source=HOOKS)
    site.install("other-notes", name="notes", source=HOOKS)
    with pytest.raises(PluginError) as refused:
        plugins.discover()
    assert str(refused.value) == (
        "notes: two distributions claim this name, other-notes 0.3 and todoservice-notes 0.3: uninstall one of them"
    )


def test_every_import_error_is_told_with_its_distribution(site: Site) -> None:
    """All at once, and not the first only."""
    site.install("todoservice-notes", name="notes", source="import no_such_module")
    site.install("todoservice-tags", name="tags", source="1 / 0")
    with pytest.raises(PluginError) as refused:
        plugins.discover()
    assert str(refused.value).splitlines() == [
        "notes (todoservice-notes 0.3): todoservice_notes cannot be imported: "
        "ModuleNotFoundError: No module named 'no_such_module': mend it, or uninstall todoservice-notes 0.3",
        "tags (todoservice-tags 0.3): todoservice_tags cannot be imported: "
        "ZeroDivisionError: division by zero: mend it, or uninstall todoservice-tags 0.3",
    ]


def test_the_app_does_not_start_with_a_broken_plugin(site: Site, settings: Settings) -> None:
    """A backend that silently loses a feature is worse than one that does not start."""
    site.install("todoservice-notes", name="notes", source="1 / 0")
    with pytest.raises(SystemExit, match=r"notes \(todoservice-notes 0.3\)"):
        create_app(settings)


def test_given_plugins_are_all_there_is(site: Site, settings: Settings) -> None:
    """No discovery then, so that a test needs no globals."""
    site.install("todoservice-notes", name="notes", source="1 / 0")
    assert "/api/v1/todos" in create_app(settings, plugins=[todoservice_todos]).openapi()["paths"]
    assert create_app(settings, plugins=[]).openapi()["paths"] == {}


def test_a_module_goes_by_the_name_of_its_entry_point() -> None:
    """Else by its own, without `todoservice_`."""
    assert [plugin.name for plugin in plugins.of([todoservice_todos, module("todoservice_notes")])] == [
        "todos",
        "notes",
    ]


def test_a_requirement_starts_first(site: Site) -> None:
    """Read from the distribution's own Requires-Dist."""
    site.install("a-first", name="first", source=HOOKS, requires=("Z.Last>=0.1 ; python_version > '3'", "todoservice"))
    site.install("z-last", name="last", source=HOOKS)
    names = [feature.plugin.name for feature in Host(plugins.discover()).features]
    assert names.index("last") < names.index("first")


def test_a_table_referred_to_starts_first() -> None:
    """Its migrations make what the foreign key needs."""
    site = module("aaa", todoservice_models=[Comment])
    assert order(site, todoservice_todos) == ["todos", "aaa"]


def test_a_circle_of_requirements_is_a_fault() -> None:
    """The message names it."""
    one = Plugin("one", module("one", todoservice_models=[]), ("two",))
    two = Plugin("two", module("two", todoservice_models=[]), ("one",))
    (line,) = faults(one, two)
    assert line.startswith("these features need each other in a circle: one -> two -> one")


def test_an_unknown_hook_is_a_fault() -> None:
    """With the one that was probably meant."""
    assert faults(module(todoservice_model=[])) == [
        "notes (module notes): todoservice_model is no hook: did you mean todoservice_models?"
    ]


def test_every_unknown_hook_is_told() -> None:
    """Pluggy would tell the first, and not whose it is."""
    lines = faults(module(todoservice_zzz=[], another=[]))
    assert [line.partition(" is no hook")[0] for line in lines] == [
        "notes (module notes): another",
        "notes (module notes): todoservice_zzz",
    ]


def test_a_module_without_hooks_is_a_fault() -> None:
    """Most likely @hookimpl was forgotten altogether."""
    assert faults(module()) == [
        "notes (module notes): notes implements no hook: "
        "import hookimpl from todoservice, and see todoservice.hookspecs"
    ]


def test_a_hook_that_is_not_marked_is_a_fault() -> None:
    """Pluggy would ignore the function."""
    made = module(todoservice_models=[])
    made.todoservice_queries = lambda: Queries  # type: ignore[attr-defined]
    assert faults(made) == ["notes (module notes): todoservice_queries is not marked: write @hookimpl above it"]


def test_an_argument_that_the_hook_does_not_give_is_a_fault() -> None:
    """It is told which there are."""

    def router(settings: Any, app: Any) -> APIRouter:
        raise AssertionError

    assert faults(module(todoservice_router=router)) == [
        "notes (module notes): todoservice_router has the argument 'app', and the hook gives settings"
    ]


def test_what_a_hook_raises_is_attributed() -> None:
    """To the plugin and the hook."""

    def models() -> list[Any]:
        raise KeyError("oops")

    assert faults(module(todoservice_models=models)) == [
        "notes (module notes): todoservice_models raised KeyError: 'oops'"
    ]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("users", "is reserved"),
        ("todoservice", "is reserved"),
        ("Notes", "is not lower-case letters, digits and underscores"),
        ("no-tes", "is not lower-case letters, digits and underscores"),
        ("", "is not lower-case letters, digits and underscores"),
    ],
)
def test_a_name_that_cannot_be_used_is_a_fault(name: str, why: str) -> None:
    """It is a URL, a table prefix and an environment variable at once."""
    (line,) = faults(Plugin(name, module(todoservice_models=[])))
    assert line == f"{name} (module notes): the name {name!r} {why}: give its entry point another"


def test_one_name_given_twice_is_a_fault() -> None:
    """With both claimants."""
    assert faults(module("a.notes", todoservice_models=[]), module("b.notes", todoservice_models=[])) == [
        "notes: given twice, as notes (module a.notes) and notes (module b.notes): leave one of them out"
    ]


class Comment(Owned, table=True):
    """Refers to a todo by its whole key."""

    __tablename__ = "aaa"
    __table_args__ = (
        sa.ForeignKeyConstraint(["user_id", "todo_id"], ["todoservice.todos.user_id", "todoservice.todos.id"]),
    )
    todo_id: UUID


class Elsewhere(Owned, table=True):
    """Has a table that is not named after its plugin."""

    __tablename__ = "elsewhere"


class NotOwned(SQLModel):
    """Derives from neither base."""


class OtherKey(Owned, table=True):
    """Adds to the key that is the host's."""

    __tablename__ = "notes_other_key"
    extra: int = Field(primary_key=True)


class Public(Shared, table=True):
    """The same for all users."""

    __tablename__ = "notes_public"
    id: UUID = Field(primary_key=True)


def test_a_table_is_named_after_its_plugin() -> None:
    """So that two plugins cannot meet in one."""
    assert faults(module(todoservice_models=[Elsewhere])) == [
        "notes (module notes): Elsewhere has the table elsewhere: name it notes or notes_something"
    ]


def test_a_model_is_owned_or_shared() -> None:
    """Whose rows they are decides what guards them."""
    (line,) = faults(module(todoservice_models=[NotOwned]))
    assert line.endswith("NotOwned'> is not a table class: derive it from Owned or Shared, with table=True")
    assert order(module(todoservice_models=[Public])) == ["notes"]


def test_the_key_of_an_owned_table_is_the_hosts() -> None:
    """(user_id, id) and nothing else."""
    assert faults(module(todoservice_models=[OtherKey])) == [
        "notes (module notes): OtherKey has another primary key than (user_id, id): leave both columns to Owned"
    ]


class LooseKey(Owned, table=True):
    """Refers to a todo, and not by its owner."""

    __tablename__ = "notes_loose_key"
    __table_args__ = (
        sa.ForeignKeyConstraint(["friend_id", "todo_id"], ["todoservice.todos.user_id", "todoservice.todos.id"]),
    )
    friend_id: UUID
    todo_id: UUID


class Slug(Owned, table=True):
    """Is unique over all users, in two ways."""

    __tablename__ = "notes_slug"
    __table_args__ = (sa.UniqueConstraint("slug"), sa.Index("ix_notes_short", "short", unique=True))
    slug: str
    short: str


class InPublic(Owned, table=True):
    """Is in another schema."""

    __tablename__ = "notes_public_schema"
    __table_args__ = {"schema": "public"}  # noqa: RUF012 - as SQLAlchemy has it


def test_a_foreign_key_begins_with_the_owner() -> None:
    """Else it could point at another user's row, and tell that it is there."""
    assert faults(module(todoservice_models=[LooseKey])) == [
        "notes (module notes): LooseKey has a foreign key (friend_id, todo_id) that could point at another user's row: "
        "add user_id to it, which refers to todoservice.todos.user_id"
    ]


def test_what_is_unique_is_unique_to_its_owner() -> None:
    """Else a conflict tells one user what another has."""
    assert faults(module(todoservice_models=[Slug])) == [
        "notes (module notes): Slug has uq_notes_slug_slug, unique over all users, "
        "which tells one what another has: add user_id to it",
        "notes (module notes): Slug has ix_notes_short, unique over all users, "
        "which tells one what another has: add user_id to it",
    ]


def test_every_table_is_in_the_schema_of_the_service() -> None:
    """Which is where the host guards them."""
    assert faults(module(todoservice_models=[InPublic])) == [
        "notes (module notes): InPublic is in the schema public: leave the schema to its base class"
    ]


@pytest.mark.parametrize(
    ("hook", "value", "words"),
    [
        ("todoservice_models", 3, "todoservice_models returned 3: return a list of table classes"),
        ("todoservice_models", Public, "a list of table classes"),
        ("todoservice_router", "r", "todoservice_router returned 'r': return an APIRouter"),
        ("todoservice_queries", [1], "todoservice_queries returned 1: return a class derived from Queries"),
        ("todoservice_queries", Queries(), "return a class derived from Queries, or a list of such"),
        ("todoservice_settings", {}, "todoservice_settings returned {}: return a class derived from BaseModel"),
    ],
)
def test_what_a_hook_returns_is_looked_at(hook: str, value: Any, words: str) -> None:
    """Before it fails somewhere that names nobody."""
    (line,) = faults(module(**{hook: value}))
    assert line.startswith(f"notes (module notes): {hook} returned ")
    assert words in line


def test_a_hook_is_no_coroutine() -> None:
    """The message says so, where pluggy would hand over a coroutine."""

    async def todoservice_models() -> list[Any]:
        return []

    assert faults(module(todoservice_models=todoservice_models)) == [
        "notes (module notes): todoservice_models is async: write it with def, and return a list of table classes"
    ]


def test_two_routes_of_one_method_and_path_are_a_fault(settings: Settings) -> None:
    """Whatever their parameters are called: FastAPI would serve the first in silence."""
    router = APIRouter()
    router.add_api_route("/{id}", lambda id: id, name="one")
    router.add_api_route("/{other}", lambda other: other, name="two")
    with pytest.raises(PluginError) as refused:
        create_app(settings, plugins=[module(todoservice_router=router)])
    assert str(refused.value) == (
        "notes (module notes): GET /api/v1/notes/{other} is taken by GET /api/v1/notes/{id} "
        "of notes (module notes): give one of them another path"
    )


def test_two_operations_of_one_name_are_a_fault(settings: Settings) -> None:
    """A generated client would have one of them only."""
    routers = [APIRouter(), APIRouter()]
    for router in routers:
        router.add_api_route("", list, name="list_all")
    given = [module(name, todoservice_router=router) for name, router in zip(("one", "two"), routers, strict=True)]
    with pytest.raises(PluginError) as refused:
        create_app(settings, plugins=given)
    assert str(refused.value) == (
        "two (module two): the operation list_all is named as one of one (module one): rename its function"
    )


def test_a_module_that_exits_is_named(site: Site) -> None:
    """Its own word alone would say nothing."""
    site.install("todoservice-notes", name="notes", source="raise SystemExit('bye')")
    with pytest.raises(PluginError, match=r"notes \(todoservice-notes 0.3\): .* SystemExit: bye"):
        plugins.discover()


def test_a_query_that_cannot_be_confined_stops_the_start(settings: Settings) -> None:
    """It is named by plugin and attribute, with what to write instead."""

    class Careless(Queries):
        everything = sa.text("SELECT * FROM todoservice.todos")

    with pytest.raises(PluginError) as refused:
        create_app(settings, plugins=[module(todoservice_queries=Careless)])
    assert str(refused.value) == (
        "notes (module notes): notes.everything: the statement reads todoservice.todos, which no plugin has declared: "
        "return its class from todoservice_models. It is: SELECT * FROM todoservice.todos"
    )


class NotesSettings(BaseModel):
    """What an operator may configure."""

    size: int = 3
    url: str


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """TODOSERVICE_<NAME>__<FIELD> sets a field, and the router gets the instance."""
    monkeypatch.setenv("TODOSERVICE_NOTES__URL", "u")
    given: list[NotesSettings] = []

    @hookimpl
    def todoservice_router(settings: NotesSettings) -> APIRouter:
        given.append(settings)
        return APIRouter()

    made = module(todoservice_settings=NotesSettings)
    made.todoservice_router = todoservice_router  # type: ignore[attr-defined]
    _ = Host(plugins.of([made])).features
    assert isinstance(given[0], NotesSettings)
    assert (given[0].size, given[0].url) == (3, "u")


def test_invalid_settings_name_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every one, with the plugin whose they are, and without the value."""
    monkeypatch.setenv("TODOSERVICE_NOTES__SIZE", "secret")
    assert faults(module(todoservice_settings=NotesSettings)) == [
        "notes (module notes): TODOSERVICE_NOTES__SIZE: "
        "Input should be a valid integer, unable to parse string as an integer",
        "notes (module notes): TODOSERVICE_NOTES__URL: Field required",
    ]


def test_two_apps_share_no_plugins(settings: Settings) -> None:
    """Each has a manager of its own."""
    one = create_app(settings, plugins=[todoservice_todos])
    two = create_app(settings, plugins=[])
    assert one.openapi()["paths"]
    assert not two.openapi()["paths"]
