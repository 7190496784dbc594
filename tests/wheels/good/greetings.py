"""Settings: how to greet is the operator's to say."""

from fastapi import APIRouter
from pydantic import BaseModel

from todoservice import CurrentScope, hookimpl


class Greetings(BaseModel):
    """What an operator sets."""

    salute: str


@hookimpl
def todoservice_settings() -> type[BaseModel]:
    """TODOSERVICE_GREETINGS__SALUTE."""
    return Greetings


@hookimpl
def todoservice_router(settings: Greetings) -> APIRouter:
    """One operation, made for these settings."""
    router = APIRouter()

    @router.get("")
    async def greet(scope: CurrentScope) -> str:
        return f"{settings.salute}, {scope.user_id}!"

    return router
