"""Prometheus metrics of the service, by route: a plugin that has no tables and no routes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.types import ASGIApp

from todoservice import hookimpl
from todoservice_metrics.meters import Meters
from todoservice_metrics.middleware import Metrics
from todoservice_metrics.settings import MetricsSettings


@hookimpl
def todoservice_settings() -> type[BaseModel]:
    """Who may read them, and the buckets of durations."""
    return MetricsSettings


@hookimpl
def todoservice_middleware(settings: MetricsSettings) -> Callable[[ASGIApp], ASGIApp]:
    """Measure every request, and answer the scraper's."""
    return partial(Metrics, settings=settings)


@hookimpl
@asynccontextmanager
async def todoservice_lifespan(app: FastAPI, settings: MetricsSettings) -> AsyncIterator[None]:
    """Keep the meters of the app, and look at its event loop, while it runs."""
    app.state.metrics = meters = Meters(app.routes, settings.buckets)
    watching = asyncio.create_task(meters.watch_loop())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        meters.close()
        del app.state.metrics
