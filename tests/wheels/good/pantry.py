"""The plain shape: a table, its queries, its routes."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy import delete, insert, select
from sqlmodel import Field, col

from todoservice import (
    CurrentPage,
    CurrentScope,
    Id,
    Line,
    NotFound,
    Owned,
    Page,
    PageRequest,
    Queries,
    hookimpl,
    param,
    responses,
)  # fmt: skip


class Jar(Owned, table=True):
    """Something kept in a jar."""

    __tablename__ = "pantry"

    label: str = Field(max_length=100)


class Pantry(Queries):
    """One statement for each operation."""

    create = insert(Jar).returning(Jar)
    page = select(Jar).where(col(Jar.id) < param("before")).order_by(col(Jar.id).desc()).limit(param("limit"))
    retrieve = select(Jar).where(col(Jar.id) == param("id"))
    delete = delete(Jar).where(col(Jar.id) == param("id")).returning(col(Jar.id))


class New(BaseModel):
    """A new jar."""

    label: Annotated[Line, Field(max_length=100)]


class JarRead(New):
    """A jar."""

    id: Id


router = APIRouter()


@router.post("", status_code=201, response_model=JarRead)
async def fill_jar(new: New, scope: CurrentScope) -> Response:
    """Put a jar there."""
    return await scope.one_json(Pantry.create, **new.model_dump())


@router.get("", response_model=Page[JarRead], responses=PageRequest.responses)
async def list_jars(page: CurrentPage, scope: CurrentScope) -> Response:
    """List the jars."""
    return await scope.page_json(Pantry.page, page)


@router.get("/{id}", response_model=JarRead, responses=responses(NotFound))
async def retrieve_jar(id: Id, scope: CurrentScope) -> Response:
    """Look at a jar."""
    return await scope.one_json(Pantry.retrieve, id=id)


@router.delete("/{id}", status_code=204, responses=responses(NotFound))
async def empty_jar(id: Id, scope: CurrentScope) -> None:
    """Take a jar away."""
    await scope.one(Pantry.delete, id=id)


@hookimpl
def todoservice_models() -> list[type[Jar]]:
    """One table."""
    return [Jar]


@hookimpl
def todoservice_queries() -> type[Queries]:
    """Four statements."""
    return Pantry


@hookimpl
def todoservice_router() -> APIRouter:
    """Four operations."""
    return router
