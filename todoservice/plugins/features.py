"""What plugins contribute: asked of their hooks once, and looked at."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel

from todoservice.models import SCHEMA, Owned, Shared
from todoservice.plugins import configuration
from todoservice.plugins.faults import Fault, PluginError
from todoservice.plugins.hooks import Hooks
from todoservice.plugins.plugin import Plugin
from todoservice.statements import Queries
from todoservice.tables import model_faults

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
    faults: list[Fault] = field(default_factory=list)

    @property
    def tables(self) -> list[str]:
        """The names of its tables."""
        return [model.__table__.name for model in self.models]  # type: ignore[union-attr]

    def referred(self) -> Iterator[str]:
        """Yield the names of the features' tables that its own refer to."""
        for model in self.models:
            for key in model.__table__.foreign_keys:  # type: ignore[union-attr]
                schema, _, table = key.target_fullname.rpartition(".")[0].rpartition(".")
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
    return feature


def look_at_tables(features: Iterable[Feature]) -> None:
    """Add to each feature what is wrong with its tables, and leave it those that nothing is wrong with."""
    owners: dict[str, Plugin] = {}
    for feature in features:
        sound = []
        for model in feature.models:
            faults = list(model_faults(feature.plugin, model, owners))
            feature.faults += faults
            if not faults:
                owners[model.__table__.name] = feature.plugin  # type: ignore[union-attr]
                sound.append(model)
        feature.models = tuple(sound)
