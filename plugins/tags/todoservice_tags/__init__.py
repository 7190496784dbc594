"""Tags on todos: a plugin in a distribution of its own, shaped as a stranger's is."""

from fastapi import APIRouter

from todoservice import Owned, Queries, hookimpl
from todoservice_tags.models import Tag, TagTodo
from todoservice_tags.queries import TagQueries
from todoservice_tags.router import router

__all__ = ["Tag", "TagTodo"]


@hookimpl
def todoservice_models() -> list[type[Owned]]:
    """Two tables: tags, and which todos have them."""
    return [Tag, TagTodo]


@hookimpl
def todoservice_router() -> APIRouter:
    """Eight operations."""
    return router


@hookimpl
def todoservice_queries() -> type[Queries]:
    """One statement for each, and one more for the tags of a todo."""
    return TagQueries
