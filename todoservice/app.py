"""The app factory: settings, plugins, database, routes."""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import ModuleType
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute

import todoservice
from todoservice import handlers, health, migrations, openapi, problems
from todoservice import plugins as plugin_host
from todoservice.database.client import Database, NotReady
from todoservice.database.embedded import EmbeddedUnavailable
from todoservice.database.engine import build_engine
from todoservice.database.source import Source
from todoservice.identity import HEADER, Identity, header_user
from todoservice.middleware import BodyLimit, CannotStart, ReadableStartup, RequestContext
from todoservice.plugins import Feature, Host, Plugin, PluginError, route_faults
from todoservice.readiness import Readiness
from todoservice.scope import Data, admit, belongs_to
from todoservice.settings import Settings
from todoservice.statements import Statements

API: Final = "/api/v1"

logger = logging.getLogger("todoservice")


def create_app(settings: Settings | None = None, *, plugins: Iterable[ModuleType | Plugin] | None = None) -> FastAPI:
    """Make the app: `uvicorn todoservice:create_app --factory` serves it.

    `settings` are read from the environment where none are given. `plugins` means exactly those modules; without
    it, the installed distributions are asked (entry points of the group `todoservice`). Nothing connects before the
    app's lifespan runs, and two apps in one process share nothing but psycopg2's wait callback.

    Raises StartupError, with what to mend, for settings or plugins that cannot be used.
    """
    settings = settings or Settings.load()
    host = Host(plugin_host.discover() if plugins is None else plugin_host.of(plugins))
    features = host.features
    ordered = [feature.plugin for feature in features]
    migrations.heads(ordered)
    faults = list(route_faults((feature, f"{API}/{feature.plugin.name}") for feature in features))
    if faults:
        raise PluginError("\n".join(faults))
    source = Source(settings)
    database = _database(settings, source, ordered)
    app = FastAPI(
        title="todoservice",
        version=todoservice.__version__,
        summary="Rows that have an owner.",
        lifespan=_lifespan(source, database),
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.data = Data(
        database, _statements(features, database, settings), settings.statement_timeout, settings.provision_users
    )
    identity = Identity(header_user, partial(admit, app.state.data))  # the hook todoservice_user takes this place
    handlers.install(app, identity)
    for middleware in (_limit(settings.max_body_size), RequestContext, ReadableStartup):
        app.add_middleware(middleware)
    app.include_router(health.router)
    for feature in features:
        _mount(app, feature, identity)
    openapi.install(app)
    return app


def _limit(size: int) -> Callable[[Any], BodyLimit]:
    return lambda app: BodyLimit(app, size)


def _operation_id(route: APIRoute) -> str:
    return route.name


def _database(settings: Settings, source: Source, plugins: Sequence[Plugin]) -> Database:
    engine = build_engine(
        source.url,
        pool_size=settings.pool_size,
        pool_timeout=settings.pool_timeout,
        connect_timeout=settings.connect_timeout,
        connect_args=source.connect_args,
    )

    readiness = Readiness(settings, source, plugins)
    mend = readiness.migrate if source.migrates else None
    return Database(engine, readiness.verify, mend, door=readiness.door, statement_limit=settings.statement_timeout + 1)


def _statements(features: Iterable[Feature], database: Database, settings: Settings) -> Statements:
    statements, faults = plugin_host.declare(features, database.engine.dialect, settings.functions)
    if faults:
        raise PluginError("\n".join(faults))
    return statements


def _mount(app: FastAPI, feature: Feature, identity: Identity) -> None:
    if feature.router is None:
        return
    answers = problems.responses(
        problems.MissingUserContext, problems.InvalidUserContext, problems.UnknownUser, problems.BodyTooLarge,
        problems.InvalidRequest, problems.ServerError, problems.ServiceUnavailable,
    )  # fmt: skip
    name = feature.plugin.name
    dependencies = [belongs_to(str(feature.plugin)), identity.dependency]
    app.include_router(
        feature.router, prefix=f"{API}/{name}", tags=[name], dependencies=dependencies, responses=answers
    )


def _lifespan(source: Source, database: Database) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        _speak()
        logger.warning(
            "Who is asking is taken from the header %s on trust: let only a proxy that sets it reach this", HEADER
        )
        try:
            async with source.held_async():
                await database.open()
                try:
                    yield
                finally:
                    await database.close()
        except (NotReady, EmbeddedUnavailable) as error:
            raise CannotStart(str(error)) from error

    return lifespan


def _speak() -> None:
    """Write the service's own log to stderr where nobody has said where it should go."""
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s:     %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
