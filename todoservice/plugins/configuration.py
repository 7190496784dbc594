"""A plugin's own settings, `TODOSERVICE_<NAME>__<FIELD>`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from todoservice.plugins.faults import Code, Fault, PluginError, did_you_mean, told
from todoservice.plugins.plugin import Plugin
from todoservice.settings import PREFIX


def prefix(name: str) -> str:
    """Return how the variables of a plugin begin."""
    return f"{PREFIX}{name.upper()}__"


def read(plugin: Plugin, model: type[BaseModel]) -> BaseModel:
    """Return the plugin's settings from the environment. Raises PluginError, which never shows a value."""
    config = SettingsConfigDict(
        env_prefix=prefix(plugin.name), env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )
    try:
        body = {"model_config": config, "__module__": model.__module__}
        return type(model.__name__, (model, BaseSettings), body)()  # type: ignore[no-any-return]
    except ValidationError as error:
        raise PluginError(*(_fault(plugin, found) for found in error.errors(include_url=False))) from None
    except SettingsError as error:
        field = (re.findall('field "(.+?)"', str(error)) or ["?"])[0]
        variable = prefix(plugin.name) + field.upper()
        raise PluginError(plugin.fault(Code.SETTINGS, f"{variable}: This is not JSON", "write JSON")) from None
    except (Exception, SystemExit) as error:
        message = f"its settings raised {told(error, plugin.module.__name__)}"
        raise PluginError(plugin.fault(Code.RAISED, message, "mend it")) from error


def _fault(plugin: Plugin, found: Any) -> Fault:
    names = "__".join(map(str, found["loc"])).upper()
    variable = prefix(plugin.name) + names if names else f"{prefix(plugin.name)}*"
    message = str(found["msg"]).removeprefix("Value error, ")
    hint = "set it" if found["type"] == "missing" else "change it"
    return plugin.fault(Code.SETTINGS, f"{variable}: {message}", hint)


def unknown_variables(
    environment: Mapping[str, str], models: Mapping[str, type[BaseModel] | None], others: Iterable[str]
) -> Iterator[Fault]:
    """Yield a warning for each variable that means a plugin and sets nothing of it.

    `models` has the settings of each plugin that was asked for them; what is for the `others` is let be.
    """
    for variable in sorted(environment):
        name, separator, field = variable.upper().removeprefix(PREFIX).partition("__")
        if not (variable.upper().startswith(PREFIX) and separator) or name.lower() in others:
            continue
        if name.lower() not in models:
            known = [prefix(other).removesuffix("__") for other in models]
            message = f"{variable} sets nothing: there is no plugin {name.lower()}"
            yield Fault(Code.VARIABLE, message, did_you_mean(PREFIX + name, known, "plugins"))
        elif field.lower() not in (fields := _fields(models[name.lower()])):
            known = [prefix(name) + one.upper() for one in fields]
            hint = did_you_mean(variable, known, "variables")
            yield Fault(Code.VARIABLE, f"{variable} sets nothing", hint, name.lower())


def _fields(model: type[BaseModel] | None) -> set[str]:
    return (
        {str(field.validation_alias or name).lower() for name, field in model.model_fields.items()} if model else set()
    )
