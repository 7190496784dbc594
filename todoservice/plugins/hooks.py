"""The typed caller of the hooks: what a plugin implements is looked at once, and what it returns each time."""

import inspect
import reprlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from types import ModuleType, SimpleNamespace
from typing import Any, Final

import pluggy
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from todoservice import hookspecs
from todoservice.middleware import Layer
from todoservice.plugins.faults import Code, Fault, PluginError, did_you_mean
from todoservice.plugins.plugin import Plugin
from todoservice.plugins.telling import told
from todoservice.statements import Queries

_shown = reprlib.Repr()
_shown.maxother = _shown.maxstring = 100

_MANAGED: Final = "write @asynccontextmanager above it, under @hookimpl"

HOOKS: Final = tuple(name for name in vars(hookspecs) if name.startswith("todoservice_"))


class Hooks:
    """The hook implementations of one app's plugins.

    Each method returns what the plugin's own implementation returns, or nothing where it has none, and raises
    PluginError for what that raises and for what is of the wrong type.
    """

    def __init__(self) -> None:
        """Begin with no plugin."""
        self._manager = pluggy.PluginManager("todoservice")
        self._manager.add_hookspecs(hookspecs)

    def register(self, plugin: Plugin) -> list[Fault]:
        """Take the plugin's implementations, but for those that cannot be called: return what is wrong with these."""
        faults: dict[str, list[Fault]] = {}
        for name, code, message, hint in _implementation_faults(plugin.module, self._manager):
            faults.setdefault(name, []).append(plugin.fault(code, message, hint))
        sound = {name: value for name, value in vars(plugin.module).items() if name not in faults}
        with warnings.catch_warnings(action="ignore"):  # what is deprecated is told by `deprecations`, and whose it is
            self._manager.register(SimpleNamespace(**sound) if faults else plugin.module, plugin.name)
        return [fault for name in faults for fault in faults[name]]

    def of(self, plugin: Plugin) -> tuple[str, ...]:
        """Return the names of the hooks that the plugin implements."""
        return tuple(name for name in HOOKS if self._implementation(plugin, name) is not None)

    def deprecations(self, plugin: Plugin) -> Iterator[Fault]:
        """Yield a warning for each hook, and each argument of one, that is deprecated and that the plugin uses.

        The text of the warning in `hookspecs` is what to write instead.
        """
        for name in HOOKS:
            if (implementation := self._implementation(plugin, name)) is None:
                continue
            spec = getattr(self._manager.hook, name).spec
            if spec.warn_on_impl is not None:
                yield plugin.fault(Code.DEPRECATED, f"{name} is deprecated", str(spec.warn_on_impl))
            for argument, mend in (spec.warn_on_impl_args or {}).items():
                if argument in implementation.argnames:
                    message = f"{name} has the argument {argument!r}, which is deprecated"
                    yield plugin.fault(Code.DEPRECATED, message, str(mend))

    def settings(self, plugin: Plugin) -> type[BaseModel] | None:
        """Return the class of the plugin's settings."""
        model = self._call(plugin, "todoservice_settings")
        if model is not None and not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise _unexpected(plugin, "todoservice_settings", model, "a class derived from BaseModel")
        return model

    def models(self, plugin: Plugin) -> tuple[Any, ...]:
        """Return what the plugin calls its table classes: each is still to be looked at."""
        return self._several(plugin, "todoservice_models", "a list of table classes")

    def queries(self, plugin: Plugin) -> tuple[type[Queries], ...]:
        """Return the plugin's declared queries."""
        wanted = "a class derived from Queries, or a list of such"
        declared = self._several(plugin, "todoservice_queries", wanted, one=type)
        for queries in declared:
            if not (isinstance(queries, type) and issubclass(queries, Queries)):
                raise _unexpected(plugin, "todoservice_queries", queries, wanted)
        return declared

    def router(self, plugin: Plugin, settings: BaseModel | None) -> APIRouter | None:
        """Return the plugin's endpoints."""
        router = self._call(plugin, "todoservice_router", settings=settings)
        if router is not None and not isinstance(router, APIRouter):
            raise _unexpected(plugin, "todoservice_router", router, "an APIRouter")
        return router

    def user(self, plugin: Plugin, settings: BaseModel | None) -> Callable[..., Any] | None:
        """Return the plugin's dependency that says who is asking."""
        hook = "todoservice_user"
        dependency = self._call(plugin, hook, settings=settings)
        # None is no answer where it is implemented: the header would stand in for a forgotten return.
        if not callable(dependency) and self._implementation(plugin, hook) is not None:
            raise _unexpected(plugin, hook, dependency, "a function that FastAPI can depend on")
        return dependency  # type: ignore[no-any-return]

    def layer(self, plugin: Plugin, settings: BaseModel | None) -> Layer | None:
        """Return the plugin's middleware, made."""
        hook, wanted = "todoservice_middleware", "a function that takes an ASGI app and returns one"
        wrap = self._call(plugin, hook, settings=settings)
        if wrap is None:
            return None
        if not callable(wrap):
            raise _unexpected(plugin, hook, wrap, wanted)
        with _Attributed(plugin, hook):
            layer = Layer(str(plugin), wrap)
        if not callable(layer.outside):
            raise _unexpected(plugin, hook, layer.outside, wanted)
        return layer

    def checks(self, plugin: Plugin, app: FastAPI) -> tuple[str, ...]:
        """Return the problems that the plugin sees in its own set-up."""
        wanted = "a list of sentences"
        found = self._several(plugin, "todoservice_checks", wanted, app=app)
        for line in found:
            if not isinstance(line, str):
                raise _unexpected(plugin, "todoservice_checks", line, wanted)
        return found

    def lifespan(
        self, plugin: Plugin, app: FastAPI, settings: BaseModel | None
    ) -> AbstractAsyncContextManager[None] | None:
        """Return what is to be entered when the app starts."""
        context = self._call(plugin, "todoservice_lifespan", app=app, settings=settings)
        if context is not None and not isinstance(context, AbstractAsyncContextManager):
            raise _unexpected(plugin, "todoservice_lifespan", context, "an asynchronous context manager")
        return context

    def _several(
        self, plugin: Plugin, hook: str, wanted: str, *, one: type | tuple[()] = (), **arguments: Any
    ) -> tuple[Any, ...]:
        """Return a tuple of what the implementation returns or yields; an instance of `one` stands for itself."""
        found = self._call(plugin, hook, **arguments)
        if isinstance(found, one):
            return (found,)
        if found is not None and (not isinstance(found, Iterable) or isinstance(found, str | type)):
            raise _unexpected(plugin, hook, found, wanted)
        with _Attributed(plugin, hook):
            return tuple(found or ())

    def _call(self, plugin: Plugin, hook: str, **arguments: Any) -> Any:
        implementation = self._implementation(plugin, hook)
        if implementation is None:
            return None
        with _Attributed(plugin, hook):
            return implementation.function(*(arguments[name] for name in implementation.argnames))

    def _implementation(self, plugin: Plugin, hook: str) -> pluggy.HookImpl | None:
        implementations = getattr(self._manager.hook, hook).get_hookimpls()
        return next((found for found in implementations if found.plugin_name == plugin.name), None)


class _Attributed:
    """Raises PluginError, with the plugin and the hook, for what the block raises. KeyboardInterrupt passes."""

    def __init__(self, plugin: Plugin, hook: str) -> None:
        self._plugin = plugin
        self._hook = hook

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None and not isinstance(error, PluginError | KeyboardInterrupt):
            message = f"{self._hook} raised {told(error, self._plugin.module.__name__, self._plugin.name)}"
            raise PluginError(self._plugin.fault(Code.RAISED, message, "mend it")) from error


def _unexpected(plugin: Plugin, hook: str, value: object, wanted: str) -> PluginError:
    if inspect.iscoroutine(value):
        value.close()
        return PluginError(plugin.fault(Code.RETURNED, f"{hook} is async", f"write it with def, and return {wanted}"))
    if inspect.isasyncgen(value):
        return PluginError(plugin.fault(Code.RETURNED, f"{hook} is an async generator", _MANAGED))
    return PluginError(plugin.fault(Code.RETURNED, f"{hook} returned {_shown.repr(value)}", f"return {wanted}"))


def _implementation_faults(module: ModuleType, manager: pluggy.PluginManager) -> Iterator[tuple[str, Code, str, str]]:
    """Yield what is wrong with the module's implementations: the function's name, the code, the message, the hint."""
    functions = {name: value for name, value in vars(module).items() if inspect.isroutine(value)}
    options = {name: found for name in functions if (found := manager.parse_hookimpl_opts(module, name)) is not None}
    if not options and not functions.keys() & set(HOOKS):
        hint = "import hookimpl from todoservice, and see todoservice.hookspecs"
        yield "", Code.NO_HOOK, f"{module.__name__} implements no hook", hint
    for name in sorted(functions.keys() & set(HOOKS) - options.keys()):
        yield name, Code.UNMARKED, f"{name} is not marked", "write @hookimpl above it"
    for name in sorted(options):
        hook = options[name].get("specname")
        if hook is not None and hook != name:
            yield name, Code.UNMARKED, f"{name} has another name than its hook", f"name it {hook}, and write @hookimpl"
        elif name not in HOOKS:
            yield name, Code.UNKNOWN_HOOK, f"{name} is no hook", did_you_mean(name, HOOKS, "hooks")
        elif options[name].get("wrapper") or options[name].get("hookwrapper"):
            yield name, Code.UNMARKED, f"{name} is a wrapper, and nobody's hook is another's to wrap", "write @hookimpl"
        elif inspect.isasyncgenfunction(functions[name]):
            yield name, Code.RETURNED, f"{name} is an async generator", _MANAGED
        else:
            yield from _argument_faults(name, functions[name])


def _argument_faults(name: str, function: Callable[..., Any]) -> Iterator[tuple[str, Code, str, str]]:
    gives = tuple(inspect.signature(getattr(hookspecs, name)).parameters)
    given = ", ".join(gives) or "none"
    for argument in inspect.signature(function).parameters.values():
        if argument.name not in gives:
            yield name, Code.ARGUMENT, f"{name} has the argument {argument.name!r}", f"the hook gives {given}"
        elif argument.default is not argument.empty or argument.kind is argument.KEYWORD_ONLY:
            message = f"{name} gives {argument.name!r} a default or takes it by name, and would not get it"
            yield name, Code.ARGUMENT, message, f"write plain ({given})"
