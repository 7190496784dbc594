"""Todos: the feature this service exists for, and a plugin like any other.

`Todo` and `TodoRead` are what other features may import.
"""

from fastapi import APIRouter

from todoservice import Queries, hookimpl
from todoservice_todos.models import Todo
from todoservice_todos.queries import TodoQueries
from todoservice_todos.router import router
from todoservice_todos.schemas import TodoRead

__all__ = ["Todo", "TodoRead"]


@hookimpl
def todoservice_models() -> list[type[Todo]]:
    """One table: todos."""
    return [Todo]


@hookimpl
def todoservice_router() -> APIRouter:
    """Five operations."""
    return router


@hookimpl
def todoservice_queries() -> type[Queries]:
    """One statement for each."""
    return TodoQueries
