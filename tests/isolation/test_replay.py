"""Every operation of the OpenAPI document, asked as one user for the other's rows, answers as for a missing one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
import todoservice_todos
from databases import ask, database, login_url
from fastapi import APIRouter, FastAPI, Response
from leak_models import Box, Item
from plugin_modules import module
from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, func, insert, make_url, select, update
from starlette.testclient import TestClient

from todoservice import (
    Conflict,
    CurrentScope,
    Id,
    Line,
    NotFound,
    Queries,
    Settings,
    create_app,
    param,
    responses,
    uuid7,
)  # fmt: skip
from todoservice.migrations import runner
from todoservice.plugins.host import Host
from todoservice.testing.replay import differences, operations

TABLES = ("users", "todos", "boxes", "boxes_items")
BOXES = "/api/v1/boxes"
A_BOX: Any = Box
AN_ITEM: Any = Item


class BoxQueries(Queries):
    """Boxes, and the items in them."""

    create = insert(A_BOX).returning(A_BOX)
    box = select(A_BOX).where(A_BOX.id == param("box_id"))
    put = insert(AN_ITEM).returning(AN_ITEM)
    item = select(AN_ITEM).where(AN_ITEM.id == param("id"), AN_ITEM.box_id == param("box_id"))
    move = update(AN_ITEM).where(AN_ITEM.id == param("id")).values(box_id=param("box_id")).returning(AN_ITEM)
    remove = delete(A_BOX).where(A_BOX.id == param("box_id")).returning(A_BOX.id)


class NewItem(BaseModel):
    """An item and the box that it is to be in."""

    model_config = ConfigDict(extra="forbid")
    label: Line
    box_id: Id


router = APIRouter()


@router.post("", status_code=201)
async def create_box(name: Line, scope: CurrentScope) -> Response:
    """Create a box."""
    return await scope.one_json(BoxQueries.create, name=name)


@router.post("/items", status_code=201, responses=responses(NotFound))
async def create_item(item: NewItem, scope: CurrentScope) -> Response:
    """Put an item into a box."""
    async with scope.transaction():
        await scope.one(BoxQueries.box, box_id=item.box_id)
        return await scope.one_json(BoxQueries.put, **item.model_dump())


@router.get("/{box_id}/items/{id}", responses=responses(NotFound))
async def retrieve_item(box_id: Id, id: Id, scope: CurrentScope) -> Response:
    """Retrieve an item of a box."""
    return await scope.one_json(BoxQueries.item, id=id, box_id=box_id)


@router.delete("/{box_id}", status_code=204, responses=responses(NotFound))
async def delete_box(box_id: Id, scope: CurrentScope) -> None:
    """Delete a box and what is in it."""
    await scope.one(BoxQueries.remove, box_id=box_id)


MIGRATION = """
from alembic import op
from leak_models import Box, Item
from todoservice.models import metadata

revision = "0001_boxes"
down_revision = None

def upgrade():
    metadata.create_all(op.get_bind(), [Box.__table__, Item.__table__])
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a package with the migration of boxes."""
    folder = tmp_path_factory.mktemp("boxes")
    (folder / "migrations").mkdir()
    (folder / "migrations" / "0001_boxes.py").write_text(MIGRATION)
    return folder


def feature(package: Path, boxes: APIRouter) -> ModuleType:
    """Return boxes as a plugin, with these endpoints."""
    made = module("boxes", todoservice_models=[Box, Item], todoservice_queries=BoxQueries, todoservice_router=boxes)
    made.__path__ = [str(package)]
    return made


@pytest.fixture(scope="module")
def owner_url(server_url: str, template: str, package: Path) -> Iterator[str]:
    """Return the owner's URL of a database with boxes."""
    with database(server_url, str(make_url(template).database)) as url:
        modules = [todoservice_todos, feature(package, router)]
        runner.upgrade(make_url(url), Host.load(Settings.load(), modules, serving=False).plugins)
        yield url


@pytest.fixture
def app_with(owner_url: str, package: Path) -> Callable[[APIRouter], FastAPI]:
    """Return what makes the app with todos and boxes, boxes with these endpoints."""
    settings = Settings.load({"neon_database_url": login_url(owner_url)})
    return lambda boxes: create_app(settings, plugins=[todoservice_todos, feature(package, boxes)])


def sender(client: TestClient, user: UUID) -> Callable[[str, str, Any], Any]:
    """Return what asks as a user."""
    return lambda method, path, body: client.request(method, path, json=body, headers={"X-User-ID": str(user)})


def rows(client: TestClient, user: UUID) -> list[UUID]:
    """Give a user a todo, a box and an item in it, and return their ids."""
    send = sender(client, user)
    todo = send("POST", "/api/v1/todos", {"title": "x"}).json()["id"]
    box = send("POST", f"{BOXES}?name=box", None).json()["id"]
    item = send("POST", f"{BOXES}/items", {"label": "x", "box_id": box}).json()["id"]
    return [UUID(id) for id in (todo, box, item)]


def all_rows(owner_url: str) -> Any:
    """Return all rows of the tables, as their owner sees them."""
    return [ask(owner_url, f"SELECT t::text FROM todoservice.{table} t ORDER BY 1") for table in TABLES]


def test_the_document_is_walked_whole(app_with: Callable[[APIRouter], FastAPI]) -> None:
    """Every operation that takes an id, in the path or in the body, of every feature."""
    assert {str(operation) for operation in operations(app_with(router).openapi())} == {
        "GET /api/v1/todos/{id}",
        "PATCH /api/v1/todos/{id}",
        "DELETE /api/v1/todos/{id}",
        "POST /api/v1/boxes/items",
        "GET /api/v1/boxes/{box_id}/items/{id}",
        "DELETE /api/v1/boxes/{box_id}",
    }


def test_anothers_rows_answer_as_missing_ones(owner_url: str, app_with: Callable[[APIRouter], FastAPI]) -> None:
    """To the byte, with each of the other's ids in each place; and no row has changed."""
    app = app_with(router)
    with TestClient(app) as client:
        theirs, me = rows(client, uuid7()), uuid7()
        rows(client, me)
        before = all_rows(owner_url)
        assert list(differences(app.openapi(), sender(client, me), theirs)) == []
        assert all_rows(owner_url) == before
        assert sender(client, me)("GET", f"/api/v1/todos/{theirs[0]}", None).status_code == 404


def test_an_answer_that_tells_them_apart_is_found(app_with: Callable[[APIRouter], FastAPI]) -> None:
    """As of a feature that counts what the scope does not see, in a body of another status."""
    seen: set[UUID] = set()
    careless = APIRouter()

    @careless.post("", status_code=201)
    async def remember(id: Id, scope: CurrentScope) -> None:
        await scope.all(select(func.count()))
        seen.add(id)

    @careless.get("/{id}")
    async def tell(id: Id) -> None:
        raise Conflict if id in seen else NotFound

    app = app_with(careless)
    with TestClient(app) as client:
        id, me = uuid7(), uuid7()
        sender(client, uuid7())("POST", f"{BOXES}?id={id}", None)
        [told] = differences(app.openapi(), sender(client, me), [id])
    assert told.startswith(f"GET {BOXES}/{{id}} tells another user's row from a missing one: with {id} it answers 409 ")
    assert told.endswith("look for the row through the scope, and answer NotFound where there is none")


@pytest.mark.parametrize("path", ["/of?id={}&kind=x", "/named/{}"])
def test_an_id_is_tried_wherever_it_could_stand(app_with: Callable[[APIRouter], FastAPI], path: str) -> None:
    """In the query, beside what else that has to have; and in a path that only asks for a text."""
    id = uuid7()
    careless = APIRouter()

    @careless.get("/of")
    async def tell_of(id: Id, kind: Line) -> None:
        tell_named(str(id))

    @careless.get("/named/{name}")
    def tell_named(name: str) -> None:
        if name != str(id):
            raise NotFound

    app = app_with(careless)
    with TestClient(app) as client:
        send = sender(client, uuid7())
        assert send("GET", f"{BOXES}{path.format(id)}", None).status_code == 200
        told = list(differences(app.openapi(), send, [id]))
    template = path.partition("?")[0].format("{name}")
    assert [
        line for line in told if line.startswith(f"GET {BOXES}{template} tells another user's row from a missing one")
    ]
