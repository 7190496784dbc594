"""Find, load, check and order the plugins: every fault names its plugin and its distribution."""

import inspect
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Final

import pluggy
from fastapi import APIRouter
from fastapi.routing import iter_route_contexts
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine.interfaces import Dialect

from todoservice import hookspecs
from todoservice.confinement import UnscopedStatement
from todoservice.models import Owned, Shared
from todoservice.settings import PREFIX, StartupError
from todoservice.statements import Queries, Statements
from todoservice.tables import model_faults

GROUP: Final = "todoservice"
RESERVED: Final = frozenset({"todoservice", "users", "openapi", "docs", "redoc", "healthz", "readyz"})
_PARAMETER: Final = re.compile(r"\{[^}]*\}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,38}")


class PluginError(StartupError):
    """Plugins that cannot be used: one line for each fault, with its plugin and distribution."""


@dataclass(frozen=True)
class Plugin:
    """A feature's name and module. `requires` names the features that it needs to start and migrate first."""

    name: str
    module: ModuleType
    requires: tuple[str, ...] = ()
    distribution: str = ""
    """The name and version of the distribution that brought it, or "" for a module given by hand."""

    def __str__(self) -> str:
        """Name the plugin as an operator knows it."""
        return f"{self.name} ({self.distribution or f'module {self.module.__name__}'})"


@dataclass(frozen=True)
class Feature:
    """What a plugin contributes, asked of its hooks once."""

    plugin: Plugin
    models: tuple[type[Owned | Shared], ...] = ()
    router: APIRouter | None = None
    queries: tuple[type[Queries], ...] = ()
    settings: BaseModel | None = None


def of(modules: Iterable[ModuleType | Plugin]) -> list[Plugin]:
    """Return the plugins for modules given by hand: each under the name of its entry point, else of its module."""
    names = {point.value: point.name for point in entry_points(group=GROUP)}
    return [module if isinstance(module, Plugin) else Plugin(_given_name(module, names), module) for module in modules]


def _given_name(module: ModuleType, names: Mapping[str, str]) -> str:
    return names.get(module.__name__) or module.__name__.rpartition(".")[2].removeprefix("todoservice_")


def discover() -> list[Plugin]:
    """Return the installed plugins, sorted by name.

    The host does this itself, since pluggy's own loader skips a second distribution of the same name in silence.
    Raises PluginError, one line for each that cannot be imported and each name that two distributions claim.
    """
    faults: list[str] = []
    found: dict[str, list[EntryPoint]] = defaultdict(list)
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, _distribution(point))):
        found[point.name].append(point)
    plugins = []
    for name, points in found.items():
        if len(points) > 1:
            claims = " and ".join(_distribution(point) for point in points)
            faults.append(f"{name}: two distributions claim this name, {claims}: uninstall one of them")
            continue
        try:
            plugins.append(Plugin(name, points[0].load(), _requires(points[0], found), _distribution(points[0])))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a stranger's module raises, it is named
            faults.append(
                f"{name} ({_distribution(points[0])}): {points[0].value} cannot be imported: "
                f"{type(error).__name__}: {error}: mend it, or uninstall {_distribution(points[0])}"
            )
    if faults:
        raise PluginError("\n".join(faults))
    return plugins


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "unknown distribution"


def _requires(point: EntryPoint, found: Mapping[str, Sequence[EntryPoint]]) -> tuple[str, ...]:
    """Return the features whose distributions this one requires."""
    required = {canonicalize_name(Requirement(text).name) for text in (point.dist and point.dist.requires) or ()}
    return tuple(
        name
        for name, points in found.items()
        if name != point.name and any(other.dist and canonicalize_name(other.dist.name) in required for other in points)
    )


def declare(features: Iterable[Feature], dialect: Dialect, functions: Iterable[str]) -> tuple[Statements, list[str]]:
    """Return the statements of the features, and a line for each that cannot be confined to one user.

    `functions` are those that statements may call besides the audit's own list.
    """
    features = tuple(features)
    statements = Statements((model for feature in features for model in feature.models), dialect, functions)
    faults = []
    for feature in features:
        for queries in feature.queries:
            try:
                statements.declare(feature.plugin.name, queries)
            except UnscopedStatement as error:
                faults.append(f"{feature.plugin}: {error}")
    return statements, faults


@dataclass
class Host:
    """The plugins of one app: registered, checked and in start order.

    Raises PluginError with all faults at once.
    """

    plugins: Sequence[Plugin]

    def __post_init__(self) -> None:
        """Register each plugin with a manager of this app's own."""
        self._manager = pluggy.PluginManager("todoservice")
        self._manager.add_hookspecs(hookspecs)
        faults = [*_name_faults(self.plugins), *(fault for plugin in self.plugins for fault in _hook_faults(plugin))]
        faults = faults or [fault for plugin in self.plugins for fault in self._register(plugin)]
        if faults:
            raise PluginError("\n".join(faults))

    def _register(self, plugin: Plugin) -> Iterator[str]:
        try:
            self._manager.register(plugin.module, plugin.name)
        except (pluggy.PluginValidationError, ValueError) as error:
            yield f"{plugin}: {error}"

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """What the plugins contribute, in start order: a feature comes after those it requires or refers to."""
        faults: list[str] = []
        features: dict[str, Feature] = {}
        for plugin in self.plugins:
            try:
                features[plugin.name] = self._feature(plugin)
            except PluginError as error:
                faults.append(str(error))
        faults += _table_faults(features.values())
        if faults:
            raise PluginError("\n".join(faults))
        return tuple(features[name] for name in _order(features))

    def _feature(self, plugin: Plugin) -> Feature:
        settings = self._settings(plugin)
        models = self._call(plugin, "todoservice_models")
        router = self._call(plugin, "todoservice_router", settings=settings)
        queries = self._call(plugin, "todoservice_queries")
        queries = [queries] if isinstance(queries, type) else queries
        _expect(plugin, "todoservice_models", models, Iterable, "a list of table classes")
        _expect(plugin, "todoservice_router", router, APIRouter, "an APIRouter")
        _expect(plugin, "todoservice_queries", queries, Iterable, "a class derived from Queries, or a list of such")
        for declared in queries or ():
            _expect(plugin, "todoservice_queries", _is_queries(declared), bool, "a class derived from Queries")
        return Feature(plugin, tuple(models or ()), router, tuple(queries or ()), settings)

    def _call(self, plugin: Plugin, hook: str, **arguments: Any) -> Any:
        """Return what the plugin's own implementation of `hook` returns, or None. What it raises is attributed."""
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            if implementation.plugin_name == plugin.name:
                try:
                    return implementation.function(*(arguments[name] for name in implementation.argnames))
                except Exception as error:
                    msg = f"{plugin}: {hook} raised {type(error).__name__}: {error}"
                    raise PluginError(msg) from error
        return None

    def _settings(self, plugin: Plugin) -> BaseModel | None:
        model = self._call(plugin, "todoservice_settings")
        if model is None:
            return None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise PluginError(_unexpected(plugin, "todoservice_settings", model, "a class derived from BaseModel"))
        prefix = f"{PREFIX}{plugin.name.upper()}__"
        config = SettingsConfigDict(env_prefix=prefix, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True)
        try:
            return type(model.__name__, (model, BaseSettings), {"model_config": config, "__module__": __name__})()  # type: ignore[no-any-return]
        except ValidationError as error:
            lines = (
                f"{plugin}: {prefix}{'__'.join(map(str, fault['loc'])).upper()}: {fault['msg']}"
                for fault in error.errors(include_url=False)
            )
            raise PluginError("\n".join(lines)) from None


def _is_queries(declared: object) -> object:
    return True if isinstance(declared, type) and issubclass(declared, Queries) else declared


def _expect(plugin: Plugin, hook: str, value: object, kind: type, words: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise PluginError(_unexpected(plugin, hook, value, words))


def _unexpected(plugin: Plugin, hook: str, value: object, words: str) -> str:
    if inspect.iscoroutine(value):
        value.close()
        return f"{plugin}: {hook} is async: write it with def, and return {words}"
    return f"{plugin}: {hook} returned {value!r}: return {words}"


def route_faults(features: Iterable[tuple[Feature, str]]) -> Iterator[str]:
    """Yield the routes and operations that two claim. Each feature comes with the path it is mounted at."""
    paths: dict[tuple[str, str], tuple[str, Plugin]] = {}
    names: dict[str, Plugin] = {}
    for feature, prefix in features:
        for route in iter_route_contexts(feature.router.routes if feature.router else ()):
            for method in sorted(route.methods or ()):
                claim = f"{method} {prefix}{route.path}"
                normal = (method, _PARAMETER.sub("{}", prefix + str(route.path)))
                other, claimant = paths.setdefault(normal, (claim, feature.plugin))
                if other != claim or claimant is not feature.plugin:
                    yield f"{feature.plugin}: {claim} is taken by {other} of {claimant}: give one of them another path"
            claimant = names.setdefault(str(route.name), feature.plugin)
            if claimant is not feature.plugin:
                yield f"{feature.plugin}: the operation {route.name} is named as one of {claimant}: rename its function"


def name_fault(name: str) -> str | None:
    """Return what keeps this from being a feature's name, or None."""
    if name in RESERVED:
        return f"the name {name!r} is reserved"
    return None if _NAME.fullmatch(name) else f"the name {name!r} is not lower-case letters, digits and underscores"


def _name_faults(plugins: Sequence[Plugin]) -> Iterator[str]:
    claims = defaultdict(list)
    for plugin in plugins:
        claims[plugin.name].append(plugin)
        if fault := name_fault(plugin.name):
            yield f"{plugin}: {fault}: give its entry point another"
    for name, claimants in claims.items():
        if len(claimants) > 1:
            yield f"{name}: given twice, as {' and '.join(map(str, claimants))}: leave one of them out"


def _hook_faults(plugin: Plugin) -> Iterator[str]:
    return (f"{plugin}: {fault}" for fault in _implementation_faults(plugin.module))


def _implementation_faults(module: ModuleType) -> Iterator[str]:
    """Yield what is wrong with the module's hook implementations."""
    known = {name for name in vars(hookspecs) if name.startswith("todoservice_")}
    functions = {name: value for name, value in vars(module).items() if inspect.isroutine(value)}
    implemented = {name for name, function in functions.items() if hasattr(function, "todoservice_impl")}
    for name in sorted(implemented - known):
        yield f"{name} is no hook{_did_you_mean(name, known)}"
    for name in sorted(functions.keys() & known - implemented):
        yield f"{name} is not marked: write @hookimpl above it"
    for name in sorted(implemented & known):
        yield from _argument_faults(name, functions[name])
    if not functions.keys() & known and not implemented:
        yield f"{module.__name__} implements no hook: import hookimpl from todoservice, and see todoservice.hookspecs"


def _argument_faults(name: str, function: Callable[..., Any]) -> Iterator[str]:
    takes = set(inspect.signature(getattr(hookspecs, name)).parameters)
    for argument in set(inspect.signature(function).parameters) - takes:
        yield f"{name} has the argument {argument!r}, and the hook gives {', '.join(sorted(takes)) or 'none'}"


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, 1)
    return f": did you mean {close[0]}?" if close else f": the hooks are {', '.join(sorted(known))}"


def _table_faults(features: Iterable[Feature]) -> Iterator[str]:
    owners: dict[str, Plugin] = {}
    for feature in features:
        for model in feature.models:
            yield from (f"{feature.plugin}: {fault}" for fault in model_faults(feature.plugin.name, model, owners))
        owners |= {getattr(model, "__tablename__", ""): feature.plugin for model in feature.models}


def _order(features: Mapping[str, Feature]) -> list[str]:
    tables = {model.__table__.fullname: name for name, feature in features.items() for model in feature.models}  # type: ignore[union-attr]
    graph: dict[str, set[str]] = {}
    for name, feature in features.items():
        keys = (key for model in feature.models for key in model.__table__.foreign_keys)  # type: ignore[union-attr]
        referred = {key.target_fullname.rpartition(".")[0] for key in keys}
        needed = {tables[table] for table in referred if table in tables} | set(feature.plugin.requires)
        graph[name] = (needed & features.keys()) - {name}
    try:
        return list(TopologicalSorter(dict(sorted(graph.items()))).static_order())
    except CycleError as error:
        msg = f"these features need each other in a circle: {' -> '.join(error.args[1])}: break it in one of them"
        raise PluginError(msg) from None
