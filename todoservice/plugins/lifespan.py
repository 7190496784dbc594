"""The lifespans of features: entered in start order, left in reverse, and each fault is its plugin's."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI

from todoservice.middleware import CannotStart
from todoservice.plugins.faults import Code, PluginError
from todoservice.plugins.features import Feature
from todoservice.plugins.host import Host
from todoservice.plugins.telling import told

logger = logging.getLogger("todoservice")


@asynccontextmanager
async def entered(host: Host, app: FastAPI) -> AsyncIterator[None]:
    """Hold the block in the lifespans of all features.

    Raises CannotStart where one fails to start: those before it are left. One that fails to stop is logged.
    """
    async with AsyncExitStack() as stack:
        for feature in host.features:
            await stack.enter_async_context(_entered(host, feature, app))
        yield


@asynccontextmanager
async def _entered(host: Host, feature: Feature, app: FastAPI) -> AsyncIterator[None]:
    plugin, module = feature.plugin, feature.plugin.module.__name__
    try:
        context = host.hooks.lifespan(plugin, app, feature.settings)
        if context is None:
            leave: Any = None
        else:
            await context.__aenter__()
            leave = context.__aexit__
    except PluginError as error:
        raise CannotStart(str(error)) from error
    except (Exception, SystemExit) as error:
        message = f"its lifespan raised {told(error, module, plugin.name)}"
        raise CannotStart(str(plugin.fault(Code.ENTERING, message, "mend it"))) from error
    try:
        yield
    finally:
        if leave is not None:
            try:
                await leave(None, None, None)
            except (Exception, SystemExit) as error:
                message = f"its lifespan raised {told(error, module, plugin.name)}"
                logger.exception("%s", plugin.fault(Code.LEAVING, message, "mend it"))
