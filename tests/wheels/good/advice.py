"""Checks: it sees a problem in its own set-up, and works all the same."""

from fastapi import APIRouter

from todoservice import CurrentScope, hookimpl

router = APIRouter()


@router.get("")
async def list_advice(scope: CurrentScope) -> list[str]:
    """Advise the user."""
    return [f"Rest, {scope.user_id}."]


@hookimpl
def todoservice_checks() -> list[str]:
    """Find something, always."""
    return ["there is only one piece of advice: write more"]


@hookimpl
def todoservice_router() -> APIRouter:
    """One operation."""
    return router
