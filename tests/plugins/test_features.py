"""What plugins contribute, and how it is looked at: tables, keys, migrations, routes, queries and settings."""

from collections.abc import Callable
from enum import IntEnum
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
import todoservice_todos
from fastapi import APIRouter
from plugin_modules import Site, faults, found, module
from pydantic import BaseModel, SecretStr, field_validator
from sqlmodel import Field, SQLModel
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from todoservice import Owned, Plugin, Queries, Settings, Shared, create_app, hookimpl
from todoservice.plugins.host import Host

WHOSE = "notes (module notes): "
MODEL = """
from sqlmodel import Field
from todoservice import Owned, hookimpl

class Note(Owned, table=True):
    __tablename__ = "notes"
    text: str = Field(max_length=100)

@hookimpl
def todoservice_models():
    return [Note]
"""
REVISION = "revision = {!r}\ndown_revision = None\ndef upgrade(): ...\ndef downgrade(): ...\n"


def lines(*given: ModuleType | Plugin, serving: bool = False) -> list[str]:
    """Return what the host says of these plugins, one of which is `notes`, without whose it is."""
    return [line.replace(WHOSE, "") for line in faults(*given, serving=serving)]


def order(*given: ModuleType | Plugin) -> list[str]:
    """Return the names of these plugins in start order."""
    return [plugin.name for plugin in Host.load(Settings.load(), given, serving=False).accept().plugins]


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


class Versions(Owned, table=True):
    """Has the name of a version table."""

    __tablename__ = "notes_alembic_version"


class NotOwned(SQLModel):
    """Derives from neither base."""


class OtherKey(Owned, table=True):
    """Adds to the key that is the host's."""

    __tablename__ = "notes_other_key"
    extra: int = Field(primary_key=True)


class Public(Shared, table=True):
    """The same for all users."""

    __tablename__ = "notes_shared"
    id: UUID = Field(primary_key=True)


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


class Numbered(Owned, table=True):
    """Has numbers for ids, which others can guess."""

    __tablename__ = "notes_numbered"
    id: int = Field(primary_key=True)  # type: ignore[assignment]


class Ownerless(Owned, table=True):
    """Has an owner who need not be anybody."""

    __tablename__ = "notes_ownerless"
    user_id: UUID = Field(primary_key=True)


class InPublic(Owned, table=True):
    """Is in another schema."""

    __tablename__ = "notes_public_schema"
    __table_args__ = {"schema": "public"}  # noqa: RUF012 - as SQLAlchemy has it


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        (Elsewhere, "P302 Elsewhere has the table elsewhere: name it notes or notes_something"),
        (
            Versions,
            "P302 Versions has the table notes_alembic_version, which is Alembic's: give it another name",
        ),
        (InPublic, "P302 InPublic is in the schema public: leave the schema to its base class"),
        (
            NotOwned,
            f"P301 {NotOwned!r} is not a table class: derive it from Owned or Shared, with table=True",
        ),
        (
            OtherKey,
            "P303 OtherKey has another primary key than (user_id, id): leave both columns to Owned",
        ),
        *(
            (
                model,
                f"P303 {name} declares user_id or id itself: leave both columns to Owned",
            )
            for name, model in (("Numbered", Numbered), ("Ownerless", Ownerless))
        ),
    ],
)
def test_a_table_keeps_to_its_plugin_and_its_owner(model: Any, fault: str) -> None:
    """By its name, its schema, its base class and its key."""
    assert lines(module(todoservice_models=[model])) == [fault]


def test_a_shared_table_is_no_fault() -> None:
    """Where it says so."""
    assert lines(module(todoservice_models=[Public])) == []


def test_a_table_is_one_plugins() -> None:
    """The fault is the second one's."""
    one, two = (module(name, todoservice_models=[Public]) for name in ("notes", "notes_shared"))
    assert faults(one, two) == [
        "P302 notes_shared (module notes_shared): Public has the table notes_shared, which notes (module notes) "
        "has too: rename one of them"
    ]


def test_a_foreign_key_begins_with_the_owner() -> None:
    """Else it could point at another user's row, and tell that it is there."""
    assert lines(module(todoservice_models=[LooseKey]), todoservice_todos) == [
        "P303 LooseKey has a foreign key (friend_id, todo_id) that could point at another user's row: "
        "add user_id to it, which refers to todoservice.todos.user_id"
    ]


def test_what_is_unique_is_unique_to_its_owner() -> None:
    """Else a conflict tells one user what another has."""
    assert lines(module(todoservice_models=[Slug])) == [
        "P303 Slug has uq_notes_slug_slug, unique over all users, which tells one what another has: "
        "add user_id to it as a plain column, compared by =",
        "P303 Slug has ix_notes_short, unique over all users, which tells one what another has: "
        "add user_id to it as a plain column, compared by =",
    ]


def test_a_table_referred_to_starts_first() -> None:
    """Its migrations make what the foreign key needs."""
    site = module("aaa", todoservice_models=[Comment])
    assert order(site, todoservice_todos) == ["todos", "aaa"]


def test_a_table_referred_to_is_there() -> None:
    """Else the first statement would fail, naming nobody."""
    assert faults(module("aaa", todoservice_models=[Comment])) == [
        "P106 aaa (module aaa): it needs todos, which is not there: install the distribution that brings it"
    ]


def test_models_without_migrations_are_a_fault(site: Site) -> None:
    """The package was built without them, or they were never written."""
    site.install("todoservice-notes", name="notes", source=MODEL, files={"py.typed": ""})
    assert list(map(str, found().faults)) == [
        "P304 notes (todoservice-notes 0.3): it has models and no migrations: "
        "write them with `todoservice db revision -p notes -m notes`"
    ]


def test_a_module_with_models_is_a_package(site: Site) -> None:
    """A single file has no folder of migrations."""
    site.install("todoservice-sheet", name="notes", source=MODEL)
    assert list(map(str, found().faults)) == [
        "P304 notes (todoservice-sheet 0.3): it has models and no migrations: "
        "make its module a package, so that it can have a folder of migrations"
    ]


def test_two_last_migrations_are_a_fault(site: Site) -> None:
    """Nobody knows which to run."""
    files = {f"migrations/{name}.py": REVISION.format(name) for name in ("0001_a", "0001_b")}
    site.install("todoservice-pad", name="notes", source=MODEL, files=files)
    assert list(map(str, found().faults)) == [
        "P305 notes (todoservice-pad 0.3): 0001_a.py and 0001_b.py are both last: "
        "set the down_revision of one to the revision of the other"
    ]


def _router(*paths: str, name: Callable[[int], str] = str) -> APIRouter:
    router = APIRouter()
    for number, path in enumerate(paths):
        router.add_api_route(path, lambda: None, name=name(number))
    return router


def test_two_routes_of_one_method_and_path_are_a_fault() -> None:
    """Whatever their parameters are called: FastAPI would serve the first in silence."""
    assert lines(module(todoservice_router=_router("/{id}", "/{other:path}", "/{id}/x"))) == [
        "P306 GET /api/v1/notes/{other:path} is taken by its GET /api/v1/notes/{id}: give one of them another path"
    ]


def test_a_route_that_was_included_is_looked_at() -> None:
    """Since FastAPI 0.137 it is not among the routes of the router itself."""
    router = _router("/a/b")
    router.include_router(_router("/b", name=lambda _: "other"), prefix="/a")
    (line,) = lines(module(todoservice_router=router))
    assert line.startswith("P306 GET /api/v1/notes/a/b is taken by its GET /api/v1/notes/a/b")


@pytest.mark.parametrize(
    ("route", "kind"),
    [(Route("/x", PlainTextResponse("x")), "Route"), (Mount("/x", PlainTextResponse("x")), "Mount")],
)
def test_a_route_that_nobody_guards_is_a_fault(route: Any, kind: str) -> None:
    """FastAPI asks no dependency before a plain route of Starlette's."""
    router = APIRouter()
    router.routes.append(route)
    assert lines(module(todoservice_router=router)) == [
        f"P306 /api/v1/notes/x is a {kind}, before which nobody asks who is asking: "
        "declare it with the methods of APIRouter, such as @router.get"
    ]


def test_a_path_begins_with_a_slash() -> None:
    """Else it would be another plugin's."""
    assert lines(module(todoservice_router=_router("x"))) == ["P306 the path 'x' does not begin with /: write '/x'"]


def test_a_route_without_a_schema_is_a_fault() -> None:
    """One would leave the whole service without an OpenAPI document; the routes beside it are not told of."""
    inner, router = APIRouter(), _router("/fine")

    @inner.post("/odd")
    def odd(called: Callable[[int], int] | None = None) -> None: ...

    router.include_router(inner, prefix="/very")
    (line,) = lines(module(todoservice_router=router))
    assert line.startswith("P310 /api/v1/notes/very/odd has no JSON schema: PydanticInvalidForJsonSchema: Cannot")
    assert line.endswith(": let it take and return what pydantic can describe")


def test_two_operations_of_one_name_are_a_fault() -> None:
    """A generated client would have one of them only."""
    given = [module(name, todoservice_router=_router("", name=lambda _: "list_all")) for name in ("one", "two")]
    assert faults(*given) == [
        "P307 two (module two): the operation list_all is named as one of one (module one): rename its function"
    ]


def test_a_query_that_cannot_be_confined_is_a_fault() -> None:
    """Every one is named by plugin and attribute, with what to write instead."""

    class Careless(Queries):
        one = sa.select(Elsewhere)
        two = sa.select(Public.__table__)  # type: ignore[attr-defined]

    first, second = lines(module(todoservice_queries=Careless))
    assert first.startswith("P308 notes.one: uses the table todoservice.elsewhere, which no plugin has declared: ")
    assert second.startswith("P308 notes.two: uses the ")


def test_two_queries_of_one_name_are_a_fault() -> None:
    """By its name another plugin asks for it, and a cursor belongs to it."""

    class One(Queries):
        page = sa.select(sa.literal(1).label("n"))

    class Two(Queries):
        page = sa.select(sa.literal(2).label("n"))

    assert lines(module(todoservice_queries=[One, Two])) == [
        "P308 notes.page: two statements have this name: rename one of them"
    ]


def test_a_query_that_cannot_be_prepared_is_a_fault() -> None:
    """Whatever is raised by what an author wrote, in whosever code."""

    class Odd(sa.Select[Any]):
        inherit_cache = False

        def options(self, *_options: Any) -> Any:
            raise KeyError("oops")

    class OddQueries(Queries):
        odd = Odd(sa.literal(1).label("n"))

    assert lines(module(todoservice_queries=OddQueries)) == ["P308 notes.odd: cannot be prepared: KeyError: 'oops'"]


class Size(IntEnum):
    """A choice."""

    SMALL = 1


class NotesSettings(BaseModel):
    """What an operator may configure."""

    size: int = 3
    url: str
    key: SecretStr | None = None
    lists: list[Size] = Field(default_factory=list)

    @field_validator("url")
    @classmethod
    def _is_polite(cls, value: str) -> str:
        if value == "rude":
            msg = "Say please"
            raise ValueError(msg)
        return str({"u": "u", "please": "please"}[value])


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what sets variables of the plugin notes."""

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(f"TODOSERVICE_NOTES__{name}", value)

    return set_all


def test_settings_are_read_from_the_environment(environment: Callable[..., None]) -> None:
    """TODOSERVICE_<NAME>__<FIELD> sets a field, and the hooks get the instance."""
    environment(URL="u", LISTS="[1]")
    given: list[NotesSettings] = []

    @hookimpl
    def todoservice_router(settings: NotesSettings) -> APIRouter:
        given.append(settings)
        return APIRouter()

    made = module(todoservice_settings=NotesSettings)
    made.todoservice_router = todoservice_router  # type: ignore[attr-defined]
    assert lines(made) == []
    assert isinstance(given[0], NotesSettings)
    assert (given[0].size, given[0].url, given[0].lists) == (3, "u", [Size.SMALL])


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {"SIZE": "secret"},
            [
                "P309 TODOSERVICE_NOTES__SIZE: Input should be a valid integer, unable to parse string as an integer: "
                "change it",
                "P309 TODOSERVICE_NOTES__URL: Field required: set it",
            ],
        ),
        ({"URL": "rude"}, ["P309 TODOSERVICE_NOTES__URL: Say please: change it"]),
        (
            {"LISTS": "secret"},
            [
                "P309 TODOSERVICE_NOTES__URL: Field required: set it",
                "P309 TODOSERVICE_NOTES__LISTS: This is not JSON: write JSON",
            ],
        ),
        ({"URL": "u", "LISTS": "[7]"}, ["P309 TODOSERVICE_NOTES__LISTS__0: Input should be 1: change it"]),
    ],
)
def test_invalid_settings_name_their_variables(
    environment: Callable[..., None], variables: dict[str, str], told: list[str]
) -> None:
    """Every one, with the plugin whose they are, and without the value."""
    environment(**variables)
    made = module(todoservice_settings=NotesSettings)
    assert lines(made, serving=True) == told
    assert lines(made) == []  # whoever migrates need not know them


def test_settings_that_fail_are_attributed(environment: Callable[..., None]) -> None:
    """A validator may raise what pydantic lets through."""
    environment(URL="secret")
    (line,) = lines(module(todoservice_settings=NotesSettings))
    assert line.startswith("P205 its settings raised KeyError")


def test_a_hook_that_fails_for_its_settings_does_not_tell_them(environment: Callable[..., None]) -> None:
    """Its author may have forgotten SecretStr."""

    def router(settings: NotesSettings) -> APIRouter:
        raise KeyError(settings.url)

    environment(URL="please")
    (line,) = lines(module(todoservice_settings=NotesSettings, todoservice_router=router), serving=True)
    assert line.startswith("P205 todoservice_router raised KeyError: '***'")


def test_a_router_is_not_asked_for_without_its_settings() -> None:
    """It would fail for want of them, which is no fault of its own."""

    def router(settings: NotesSettings) -> APIRouter:
        raise AssertionError(settings)

    (line,) = lines(module(todoservice_settings=NotesSettings, todoservice_router=router), serving=True)
    assert line == "P309 TODOSERVICE_NOTES__URL: Field required: set it"


def test_a_variable_that_sets_nothing_is_a_warning(environment: Callable[..., None]) -> None:
    """With the one that was probably meant."""
    environment(URL="u", SIZ="4")
    host = Host.load(Settings.load(), [module(todoservice_settings=NotesSettings)])
    assert list(map(str, host.warnings)) == [
        "W102 notes: TODOSERVICE_NOTES__SIZ sets nothing: did you mean TODOSERVICE_NOTES__SIZE?"
    ]


def test_a_variable_of_no_plugin_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the name of the plugin, and for one that has no settings."""
    monkeypatch.setenv("TODOSERVICE_NOTE__SIZE", "4")
    monkeypatch.setenv("TODOSERVICE_PENS__SIZE", "4")
    given = [module(todoservice_models=[]), module("pens", todoservice_models=[])]
    assert list(map(str, Host.load(Settings.load(), given).warnings)) == [
        "W102: TODOSERVICE_NOTE__SIZE sets nothing: there is no plugin note: did you mean TODOSERVICE_NOTES?",
        "W102 pens: TODOSERVICE_PENS__SIZE sets nothing: leave it out",
    ]


def test_a_variable_of_a_blocked_plugin_is_none(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is to be used again one day."""
    site.install("todoservice-notes", name="notes", source="1 / 0")
    monkeypatch.setenv("TODOSERVICE_NOTES__SIZE", "4")
    assert found(block="notes").warnings == ()


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("TODOSERVICE_POOLSIZE", "did you mean TODOSERVICE_POOL_SIZE?"),
        ("TODOSERVICE_ZZZ", "unset it"),
        ("NEON_DATABSE_URL", "did you mean NEON_DATABASE_URL?"),
    ],
)
def test_a_misspelt_variable_of_the_host_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, variable: str, told: str
) -> None:
    """With the one that was probably meant."""
    monkeypatch.setenv(variable, "secret")
    assert list(map(str, Host.load(Settings.load(), []).warnings)) == [f"W103: {variable} sets nothing: {told}"]


@pytest.mark.parametrize("variable", ["NEON_API_KEY", "todoservice_pool_size", "TODOSERVICE_TEST_X", "OTHER"])
def test_other_variables_are_none_of_ours(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    """Neon has more, a name may be in lower case, and the tests have their own."""
    monkeypatch.setenv(variable, "3")
    assert Host.load(Settings.load(), []).warnings == ()


def test_two_apps_share_no_plugins(settings: Settings) -> None:
    """Each has a manager of its own."""
    one = create_app(settings, plugins=[todoservice_todos])
    two = create_app(settings, plugins=[])
    assert one.openapi()["paths"]
    assert not two.openapi()["paths"]
