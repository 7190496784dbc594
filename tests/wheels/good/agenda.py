"""No table: it asks another feature's declared queries by name."""

from fastapi import APIRouter

from todoservice import CurrentScope, hookimpl, uuid7

router = APIRouter()


@router.get("")
async def list_agenda(scope: CurrentScope) -> list[str]:
    """List the titles of the user's newest todos."""
    return [todo.title for todo in await scope.all("todos.list_todos", before=uuid7(), limit=10)]


@hookimpl
def todoservice_router() -> APIRouter:
    """One operation."""
    return router
