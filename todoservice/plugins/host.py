"""The host of one app's plugins: finds them, asks them, and looks at all of it in one pass."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from types import ModuleType
from typing import Final, Self

from fastapi import FastAPI

from todoservice import migrations
from todoservice.audit import Limits
from todoservice.audit.words import FUNCTIONS
from todoservice.database.dialect import AsyncPsycopg2Dialect
from todoservice.identity import Provider
from todoservice.plugins import configuration, discovery, features, providers, routes
from todoservice.plugins.discovery import Found
from todoservice.plugins.faults import Code, Fault, PluginError
from todoservice.plugins.features import Feature
from todoservice.plugins.hooks import Hooks
from todoservice.plugins.plugin import Plugin
from todoservice.settings import Settings, unknown_variables
from todoservice.statements import Statements

_UNTOLD_MODELS: Final = frozenset({Code.UNMARKED, Code.ARGUMENT, Code.RAISED, Code.RETURNED, Code.MODEL})
"""With these, a plugin's models may not be known, and what its migrations are to make."""


class Host:
    """The plugins of one app, and all that is wrong with them.

    To make one fails for nothing that a plugin does; `accept` then refuses what is not to be started with.
    """

    def __init__(
        self, settings: Settings, found: Sequence[Found], faults: Iterable[Fault] = (), *, serving: bool = True
    ) -> None:
        """Ask the plugins that were found, and look at what they contribute.

        Not for `serving`, neither their settings are looked at nor who says who is asking: they are to be migrated, by
        whoever may not know the secrets that the service runs with. Nor are their migrations, unless faulty plugins are
        to be skipped: there may be some to be written.
        """
        self._settings = settings
        self._faults: dict[Fault, None] = dict.fromkeys(faults)
        self.found = tuple(found)
        self.hooks = Hooks()
        self._asked = {one.name: features.ask(self.hooks, one.plugin) for one in found if one.plugin and not one.faults}
        self._look(serving=serving)
        self._graph = self._needs()
        self._ordered = self._order()
        self._give_up_dependents()
        self.statements = self._declare()
        self._provider = self._choose_provider() if serving else None

    @classmethod
    def load(
        cls, settings: Settings, plugins: Iterable[ModuleType | Plugin] | None = None, *, serving: bool = True
    ) -> Self:
        """Return the host of these plugins and no others; without any given, of those that are installed."""
        if plugins is not None:
            return cls(settings, discovery.given(plugins), serving=serving)
        return cls(settings, *discovery.installed(settings), serving=serving)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All that is wrong, each fault once: what concerns all plugins, and then plugin by plugin."""
        return tuple(sorted(self._faults, key=lambda fault: fault.plugin))

    @property
    def installed(self) -> frozenset[str]:
        """The names of all plugins that were found, and of all that are installed, used or not."""
        return frozenset({*(one.name for one in self.found), *discovery.installed_names()})

    def accept(self) -> Self:
        """Return the host itself. Raises PluginError, with all faults, where the app is not to be started.

        Where faulty plugins are to be skipped, that is what concerns them all: the choice of plugins and identity.
        """
        skips = self._settings.plugin_errors == "skip"
        if self._faults and not (skips and all(fault.plugin for fault in self._faults)):
            raise PluginError(*self.faults)
        return self

    @property
    def features(self) -> tuple[Feature, ...]:
        """What the plugins that can be used contribute, in start order: each after those that it needs."""
        return tuple(feature for feature in self._ordered if feature.plugin.name not in self._broken)

    @property
    def plugins(self) -> list[Plugin]:
        """The plugins that can be used, in start order."""
        return [feature.plugin for feature in self.features]

    @property
    def provider(self) -> Provider:
        """Who says who is asking. Raises PluginError where nobody may."""
        if self._provider is None:
            raise PluginError(*self.faults)
        return self._provider

    @cached_property
    def warnings(self) -> tuple[Fault, ...]:
        """What does not keep the app from starting, and is to be told: variables that set nothing, deprecated hooks."""
        models = {name: feature.settings_model for name, feature in self._asked.items()}
        others = {one.name for one in self.found} - models.keys()
        return (
            *(Fault(Code.SETTING, message, hint) for message, hint in unknown_variables(os.environ)),
            *configuration.unknown_variables(os.environ, models, others),
            *(fault for feature in self._asked.values() for fault in self.hooks.deprecations(feature.plugin)),
        )

    def checks(self, app: FastAPI) -> Iterator[Fault]:
        """Yield what the plugins see in their own set-up, and those that fail to look."""
        for feature in self.features:
            try:
                for line in self.hooks.checks(feature.plugin, app):
                    yield feature.plugin.fault(Code.CHECK, line, "")
            except PluginError as error:
                yield from error.faults

    def state(self, found: Found) -> str:
        """Say in one word whether a plugin is used: active, blocked or broken."""
        return "blocked" if found.blocked else "broken" if found.name in self._broken else "active"

    def faults_of(self, found: Found) -> list[Fault]:
        """Return what is wrong with a plugin."""
        return [fault for fault in self._faults if fault.plugin == found.name]

    def feature(self, found: Found) -> Feature | None:
        """Return what a plugin contributes, where it could be asked."""
        feature = self._asked.get(found.name)
        return feature if feature and feature.plugin is found.plugin else None

    @property
    def _broken(self) -> Mapping[str, object]:
        return {fault.plugin: fault for fault in self._faults if fault.plugin}

    def _tell(self, faults: Iterable[Fault]) -> None:
        self._faults |= dict.fromkeys(faults)

    def _look(self, *, serving: bool) -> None:
        asked = self._asked.values()
        for one in self.found:
            self._tell(one.faults)
        functions = FUNCTIONS | {name.lower() for name in self._settings.functions}
        features.look_at_tables(asked, {one.name for one in self.found}, functions)
        for feature in asked:
            providers.look_at_provider(feature)
            self._tell(fault for fault in feature.faults if serving or fault.code is not Code.SETTINGS)
            looked = serving or self._settings.plugin_errors == "skip"
            if looked and not self._codes(feature.plugin.name) & _UNTOLD_MODELS:
                self._tell(migrations.faults(feature.plugin))
        self._tell(routes.faults((feature.plugin, feature.router) for feature in asked))

    def _needs(self) -> dict[str, set[str]]:
        """Return for each plugin the names of those that it needs, whether they are there or not."""
        owners = {table: name for name, feature in self._asked.items() for table in feature.tables}
        graph = {one.name: set(one.requires) for one in self.found}
        for name, feature in self._asked.items():
            for table in feature.referred():
                graph[name].add(owners.get(table) or self._likely_owner(table))
            graph[name].discard(name)
        return graph

    def _likely_owner(self, table: str) -> str:
        """Return the plugin of a table that no plugin has declared, by its name."""
        return migrations.owner(table, [one.name for one in self.found]) or table

    def _give_up_dependents(self) -> None:
        """Give up every plugin that needs one which cannot be used, and those that need it in turn."""
        blocked = {one.name: one.blocked for one in self.found if one.blocked}
        while lost := [
            (one, name, why)
            for one in self.found
            if not one.blocked and not self._codes(one.name) & {Code.NEEDS, Code.CYCLE}
            for name in sorted(self._graph[one.name])
            if (why := self._why_not(name, blocked))
        ]:
            for one, name, (message, hint) in lost:
                # It cannot be imported because the other one cannot.
                self._faults = {
                    fault: None for fault in self._faults if (fault.plugin, fault.code) != (one.name, Code.IMPORT)
                }
                self._tell([Fault(Code.NEEDS, f"it needs {name}, {message}", hint, one.name, one.origin)])

    def _codes(self, name: str) -> set[Code]:
        return {fault.code for fault in self._faults if fault.plugin == name}

    def _why_not(self, name: str, blocked: Mapping[str, str]) -> tuple[str, str] | None:
        if name in blocked:
            return f"which {blocked[name]} keeps out", "let it in, or keep this one out, too"
        if name in self._broken:
            return "which is broken", "mend that first"
        if name not in {one.name for one in self.found}:
            return "which is not there", "install the distribution that brings it"
        return None

    def _declare(self) -> Statements:
        """Return the statements of the plugins that can be used; without those that use what another one lost."""
        usable = [feature for feature in self._asked.values() if self._sound(feature)]
        while True:
            statements = Statements(
                (model for feature in usable for model in feature.models),
                AsyncPsycopg2Dialect(),
                self._settings.functions,
                Limits(
                    self._settings.statement_characters, self._settings.statement_tokens, self._settings.statement_depth
                ),
            )
            for feature in usable:
                self._tell(_query_faults(statements, feature))
            self._give_up_dependents()
            left = [feature for feature in usable if feature.plugin.name not in self._broken]
            if len(left) == len(usable) or self._settings.plugin_errors == "refuse":
                return statements
            usable = left

    def _sound(self, feature: Feature) -> bool:
        """Say whether its queries can be looked at: whether all its tables, and those it refers to, are there."""
        return not self._codes(feature.plugin.name) & {Code.MODEL, Code.TABLE, Code.KEY, Code.REVEALS, Code.NEEDS}

    def _choose_provider(self) -> Provider | None:
        try:
            return providers.chosen(self._settings, self.found, self._asked, self._broken)
        except PluginError as error:
            self._tell(error.faults)
            return None

    def _order(self) -> list[Feature]:
        """Return what was asked, each after those that it needs, without those that need each other in a circle."""
        used = {one.name for one in self.found if not one.blocked}
        graph = {name: needs & used for name, needs in sorted(self._graph.items()) if name in used}
        while True:
            try:
                order = list(TopologicalSorter(graph).static_order())
                return [self._asked[name] for name in order if name in self._asked]
            except CycleError as error:
                circle: list[str] = error.args[1]
                self._tell(self._circle_fault(name, circle) for name in circle)
                graph = {name: needs - set(circle) for name, needs in graph.items() if name not in circle}

    def _circle_fault(self, name: str, circle: Sequence[str]) -> Fault:
        origin = next(one.origin for one in self.found if one.name == name)
        message = f"these need each other in a circle: {' -> '.join(circle)}"
        return Fault(Code.CYCLE, message, "break it in one of them", name, origin)


def _query_faults(statements: Statements, feature: Feature) -> Iterator[Fault]:
    for queries in feature.queries:
        for message in statements.declare(feature.plugin.name, queries):
            yield feature.plugin.fault(Code.QUERY, message, "")
