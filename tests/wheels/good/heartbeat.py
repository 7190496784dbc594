"""A lifespan: it does something while the app runs, and no more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI
from pydantic import BaseModel

from todoservice import hookimpl


class Heartbeat(BaseModel):
    """What an operator sets."""

    file: Path


@hookimpl
def todoservice_settings() -> type[BaseModel]:
    """TODOSERVICE_HEARTBEAT__FILE."""
    return Heartbeat


async def _beat(file: Path) -> None:
    while True:
        await asyncio.to_thread(file.write_text, "beating")
        await asyncio.sleep(0.1)


@hookimpl
@asynccontextmanager
async def todoservice_lifespan(app: FastAPI, settings: Heartbeat) -> AsyncIterator[None]:
    """Beat until the app stops."""
    task = asyncio.create_task(_beat(settings.file))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        settings.file.write_text(f"{app.title} stopped")
