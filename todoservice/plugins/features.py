"""What plugins contribute: asked of their hooks once, and looked at."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel

from todoservice.middleware import Layer
from todoservice.models import SCHEMA, Owned, Shared
from todoservice.plugins import configuration
from todoservice.plugins.faults import Code, Fault, PluginError
from todoservice.plugins.hooks import Hooks
from todoservice.plugins.plugin import Plugin
from todoservice.plugins.telling import told
from todoservice.statements import Queries
from todoservice.tables import belongs, holders, model_faults, references, unmapped

Answer = TypeVar("Answer")


@dataclass
class Feature:
    """What a plugin contributes, and what is wrong with it."""

    plugin: Plugin
    hooks: tuple[str, ...] = ()
    """The names of the hooks that it implements."""
    models: tuple[type[Owned | Shared], ...] = ()
    router: APIRouter | None = None
    queries: tuple[type[Queries], ...] = ()
    settings_model: type[BaseModel] | None = None
    settings: BaseModel | None = None
    user: Callable[..., Any] | None = None
    """The dependency that says who is asking, where it brings one."""
    layer: Layer | None = None
    """Its middleware."""
    faults: list[Fault] = field(default_factory=list)

    @property
    def tables(self) -> list[str]:
        """The names of its tables."""
        return [model.__table__.name for model in self.models]  # type: ignore[union-attr]

    def referred(self) -> Iterator[str]:
        """Yield the names of the features' tables that its own refer to."""
        for model in self.models:
            for referred, _ in references(model.__table__):  # type: ignore[union-attr]
                schema, _, table = referred.rpartition(".")
                if schema == SCHEMA and table != "users":
                    yield table


def ask(hooks: Hooks, plugin: Plugin) -> Feature:
    """Ask a plugin for all that it contributes: a fault of one hook keeps none of the others from being asked."""
    feature = Feature(plugin)
    feature.faults += hooks.register(plugin)
    feature.hooks = hooks.of(plugin)

    def asked(question: Callable[[], Answer], instead: Answer) -> Answer:
        try:
            return question()
        except PluginError as error:
            feature.faults += error.faults
            return instead

    feature.settings_model = model = asked(lambda: hooks.settings(plugin), None)
    if model is not None:
        feature.settings = asked(lambda: configuration.read(plugin, model), None)
    feature.models = asked(lambda: hooks.models(plugin), ())
    feature.queries = asked(lambda: hooks.queries(plugin), ())
    if feature.settings is not None or "todoservice_settings" not in feature.hooks:
        feature.router = asked(lambda: hooks.router(plugin, feature.settings), None)
        feature.user = asked(lambda: hooks.user(plugin, feature.settings), None)
        feature.layer = asked(lambda: hooks.layer(plugin, feature.settings), None)
    return feature


def look_at_tables(features: Iterable[Feature], names: Collection[str], functions: Collection[str]) -> None:
    """Add to each feature what is wrong with its tables, and leave it those that nothing is wrong with.

    `names` are those of all plugins that were found, `functions` those that tables may call.
    """
    owners: dict[str, Plugin] = {}
    failed = unmapped()
    for feature in features:
        feature.faults += [*_mapping_faults(feature, failed), *_hidden_faults(feature, names)]
        sound = []
        for model in feature.models:
            faults = list(model_faults(feature.plugin, model, owners, functions))
            feature.faults += faults
            if not faults:
                owners[model.__table__.name] = feature.plugin  # type: ignore[union-attr]
                sound.append(model)
        feature.models = tuple(sound)


def _hidden_faults(feature: Feature, names: Collection[str]) -> Iterator[Fault]:
    """Yield the tables of the plugin's package that it does not return, and that are named after another plugin."""
    plugin, package = feature.plugin, feature.plugin.module.__name__
    for table, model in holders().items():
        schema, _, name = table.rpartition(".")
        is_its_own = f"{model.__module__}.".startswith(f"{package}.") and model not in feature.models
        if (
            schema == SCHEMA
            and is_its_own
            and not belongs(name, plugin.name)
            and any(belongs(name, other) for other in names)
        ):
            message = f"{model.__name__} has the table {name}"
            yield plugin.fault(Code.TABLE, message, f"name it {plugin.name} or {plugin.name}_something")


def _mapping_faults(feature: Feature, failed: Mapping[type, Exception]) -> Iterator[Fault]:
    """Yield the plugin's classes that cannot be mapped: its models, and what else is in its package."""
    package = feature.plugin.module.__name__
    for model, error in failed.items():
        if model in feature.models or f"{model.__module__}.".startswith(f"{package}."):
            message = f"{model.__name__} cannot be mapped: {told(error, package, feature.plugin.name)}"
            yield feature.plugin.fault(Code.MODEL, message, "mend its relationships")
