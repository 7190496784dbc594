"""What runs a scenario with the scopes of two users, in a running app."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from fastapi import FastAPI

from todoservice import Scope

Scenario = Callable[[Scope, Scope], Awaitable[None]]
Play = Callable[[Scenario], None]


def playing(app: FastAPI, user: UUID, other_user: UUID) -> Play:
    """Return what runs a scenario with the scopes of these users."""

    def run(scenario: Scenario) -> None:
        async def main() -> None:
            async with app.router.lifespan_context(app):
                await scenario(Scope(app.state.data, user), Scope(app.state.data, other_user))

        asyncio.run(main())

    return run
