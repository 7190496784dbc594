"""A plugin's own settings, `TODOSERVICE_<NAME>__<FIELD>`."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from todoservice.plugins.faults import Code, Fault, PluginError, did_you_mean
from todoservice.plugins.plugin import Plugin
from todoservice.plugins.telling import prefix, told, without_values
from todoservice.settings import PREFIX


def read(plugin: Plugin, model: type[BaseModel]) -> BaseModel:
    """Return the plugin's settings from the environment. Raises PluginError, which never shows a value."""
    config = SettingsConfigDict(
        env_prefix=prefix(plugin.name), env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )
    broken: set[str] = set()
    body = {
        "model_config": config,
        "__module__": model.__module__,
        "settings_customise_sources": classmethod(lambda _, settings_cls, **__: (_Environment(settings_cls, broken),)),
    }
    try:
        return type(model.__name__, (model, BaseSettings), body)()  # type: ignore[no-any-return]
    except ValidationError as error:
        found = [_fault(plugin, one, broken) for one in error.errors(include_url=False)]
        raise PluginError(*dict.fromkeys(found)) from None
    except (Exception, SystemExit) as error:
        message = f"its settings raised {told(error, plugin.module.__name__, plugin.name)}"
        raise PluginError(plugin.fault(Code.RAISED, message, "mend it")) from error


class _Environment(EnvSettingsSource):
    """The environment, where a text that is no JSON is one fault among others: pydantic-settings stops at the first."""

    def __init__(self, settings: type[BaseSettings], broken: set[str]) -> None:
        """Add to `broken` the fields that are no JSON."""
        super().__init__(settings)
        self._broken = broken

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            self._broken.add(field_name)
            return value


def _fault(plugin: Plugin, found: Any, broken: Collection[str]) -> Fault:
    names = "__".join(map(str, found["loc"])).upper()
    variable = prefix(plugin.name) + names if names else f"{prefix(plugin.name)}*"
    if found["loc"] and found["loc"][0] in broken:
        variable = prefix(plugin.name) + str(found["loc"][0]).upper()
        return plugin.fault(Code.SETTINGS, f"{variable}: This is not JSON", "write JSON")
    message = without_values(str(found["msg"]).removeprefix("Value error, "), plugin.name)
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
