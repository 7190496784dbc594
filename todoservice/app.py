"""The app factory: settings, plugins, database, routes."""

import gc
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)  # fmt: skip
from functools import partial
from types import ModuleType
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp

import todoservice
from todoservice import handlers, health, openapi, problems
from todoservice.database.client import Database, NotReady
from todoservice.database.embedded import EmbeddedUnavailable
from todoservice.database.engine import build_pool
from todoservice.database.source import Source
from todoservice.identity import BY_HEADER, HEADER, Identity, Provider
from todoservice.middleware import BodyLimit, CannotStart, LastResort, ReadableStartup, RequestContext
from todoservice.plugins import Plugin, lifespan, listing
from todoservice.plugins.dispatch import Guard
from todoservice.plugins.host import Host
from todoservice.readiness import Readiness
from todoservice.scope import Data, admit
from todoservice.settings import Settings

logger = logging.getLogger("todoservice")
_YOUNG: Final = 10_000
"""How many objects more than before let the garbage collector look at those that are new: a hundred requests' worth."""


def create_app(settings: Settings | None = None, *, plugins: Iterable[ModuleType | Plugin] | None = None) -> FastAPI:
    """Make the app: `uvicorn todoservice:create_app --factory` serves it.

    `settings` are read from the environment where none are given. `plugins` means exactly those modules; without
    it, the installed distributions are asked (entry points of the group `todoservice`). Nothing connects before the
    app's lifespan runs, and two apps in one process share nothing.

    An app whose settings are the environment's takes the process for its own: while it runs, Python's garbage collector
    is spared what was there at its start (`gc.freeze`), and looks less often at what is new (`gc.set_threshold`).

    Raises StartupError, with what to mend, for settings or plugins that cannot be used.
    """
    keeping = _spared if settings is None else nullcontext
    settings = settings or Settings.load()
    host = Host.load(settings, plugins).accept()
    source = Source(settings)
    database = _database(settings, source, host)
    app = FastAPI(
        title="todoservice",
        version=todoservice.__version__,
        summary="Rows that have an owner.",
        lifespan=_lifespan(source, database, host, keeping),
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.host = host
    app.state.data = Data(
        database, host.statements, settings.statement_timeout, settings.provision_users, settings.request_budget
    )
    identity = Identity(host.provider, partial(admit, app.state.data), app)
    handlers.install(app, identity)
    for around in _around(settings, host):
        app.add_middleware(around)
    app.include_router(health.router)
    if settings.plugins_endpoint:
        app.include_router(listing.endpoint(host))
    guard = Guard(app, identity)
    for feature in host.features:
        if feature.router is not None:
            guard.add(feature.plugin, feature.router, _responses(host.provider))
    app.router.routes.insert(0, guard)
    openapi.install(app)
    return app


def _around(settings: Settings, host: Host) -> Iterator[Callable[[ASGIApp], ASGIApp]]:
    """Yield what is put around the routes, from the inside out."""
    yield partial(BodyLimit, limit=settings.max_body_size)
    yield LastResort
    yield from (feature.layer.around for feature in reversed(host.features) if feature.layer)
    yield RequestContext
    yield ReadableStartup


def _operation_id(route: APIRoute) -> str:
    return route.name


def _database(settings: Settings, source: Source, host: Host) -> Database:
    pool = build_pool(
        source.url,
        pool_size=settings.pool_size,
        pool_timeout=settings.pool_timeout,
        connect_timeout=settings.connect_timeout,
        recycle_after=settings.pool_recycle,
        ping_after=settings.pool_ping_after,
        connect_args=source.connect_args,
    )

    readiness = Readiness(settings, source, host.plugins, host.installed)
    mend = readiness.migrate if source.migrates else None
    return Database(
        pool, readiness.verify, mend, door=readiness.door, statement_limit=settings.statement_timeout + 1,
        shutdown_timeout=settings.shutdown_timeout,
    )  # fmt: skip


def _responses(provider: Provider) -> dict[int | str, dict[str, Any]]:
    """Return what the host declares for each operation of a feature."""
    return problems.responses(
        *provider.problems, problems.UnknownUser, problems.BodyTooLarge,
        problems.InvalidRequest, problems.ServerError, problems.ServiceUnavailable,
    )  # fmt: skip


def _lifespan(
    source: Source, database: Database, host: Host, keeping: Callable[[], AbstractContextManager[None]]
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        _speak()
        _warn(host, app)
        try:
            async with source.held_async():
                try:
                    await database.open()
                    async with lifespan.entered(host, app):
                        with keeping():
                            yield
                finally:
                    await database.close()
        except (NotReady, EmbeddedUnavailable) as error:
            raise CannotStart(str(error)) from error

    return running


@contextmanager
def _spared() -> Iterator[None]:
    """Spare Python's garbage collector what lives as long as the app, or as a request: it frees neither.

    By its own setting it looks at all that is new whenever there are 700 objects more than before, which is what a few
    requests are made of. Those that go well leave no cycles behind.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(thresholds[0] and max(thresholds[0], _YOUNG), *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _warn(host: Host, app: FastAPI) -> None:
    """Log what is not as it should be, and does not keep the app from starting."""
    if host.provider is BY_HEADER:
        logger.warning(
            "Who is asking is taken from the header %s on trust: let only a proxy that sets it reach this", HEADER
        )
    for fault in host.faults:
        logger.warning("Starting without a plugin: %s", fault)
    for fault in (*host.warnings, *host.checks(app)):
        logger.warning("%s", fault)


def _speak() -> None:
    """Write the service's own log to stderr where nobody has said where it should go."""
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s:     %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
