"""Find the plugins: those that are installed, by their entry points, or those that were given by hand."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from operator import itemgetter
from types import ModuleType
from typing import Final

from packaging.utils import canonicalize_name

from todoservice.plugins import requirements
from todoservice.plugins.faults import Code, Fault, did_you_mean
from todoservice.plugins.plugin import Plugin
from todoservice.plugins.telling import told, words_of
from todoservice.settings import Settings, variable
from todoservice.tables import belongs, holders

GROUP: Final = "todoservice"
RESERVED: Final = frozenset({"todoservice", "users", "header", "openapi", "docs", "redoc", "healthz", "readyz"})
_NAME: Final = re.compile(r"(?=.{1,39}\Z)[a-z][a-z0-9]*(_[a-z0-9]+)*")

_TAKEN: Final = re.compile(r"Table '([^']+)' is already defined")
"""What SQLAlchemy says of a second table of one name."""


@dataclass(frozen=True)
class Found:
    """A plugin that was found, whether it can be used or not."""

    name: str
    origin: str
    requires: tuple[str, ...] = ()
    """The plugins whose distributions its own one requires."""
    plugin: Plugin | None = None
    """The plugin where it was imported."""
    blocked: str = ""
    """The variable that keeps it from being imported."""
    faults: tuple[Fault, ...] = ()

    def with_fault(self, code: Code, message: str, hint: str) -> "Found":
        """Return it with one more fault."""
        return replace(self, faults=(*self.faults, Fault(code, message, hint, self.name, self.origin)))


def given(modules: Iterable[ModuleType | Plugin]) -> list[Found]:
    """Return the plugins that were given by hand: a module goes by the name of its entry point, else by its own."""
    names = {point.value: point.name for point in entry_points(group=GROUP)}
    plugins = [module if isinstance(module, Plugin) else Plugin(_name(module, names), module) for module in modules]
    found = [Found(plugin.name, plugin.origin, plugin.requires, plugin) for plugin in plugins]
    return _with_names_looked_at(found, "leave one of them out")


def _name(module: ModuleType, names: Mapping[str, str]) -> str:
    return names.get(module.__name__) or module.__name__.rpartition(".")[2].removeprefix("todoservice_")


def installed(settings: Settings) -> tuple[list[Found], list[Fault]]:
    """Return the installed plugins, the host's own first, and the faults of the settings that choose among them.

    The host does this itself: pluggy's own loader skips a second distribution of one name in silence, and ends at the
    first module that cannot be imported. What is blocked or cannot work is not imported. Of two that claim one thing
    the second is at fault: never the one that the host brings.
    """
    origins = [(not _is_own(point), point.name, _origin(point), point) for point in entry_points(group=GROUP)]
    origins.sort(key=itemgetter(0, 1, 2))
    points = [point for *_, point in origins]
    owners = [(point.name, canonicalize_name(point.dist.name)) for point in points if point.dist]
    blocked = _blocking(settings)
    found = [Found(name, origin, _requires(point, owners), blocked=blocked(name)) for _, name, origin, point in origins]
    found = _with_names_looked_at(found, "uninstall one of them")
    kept_out = {one.name for one in found if one.blocked}
    loaded = [_loaded(one, point, kept_out) for one, point in zip(found, points, strict=True)]
    return _with_modules_looked_at(loaded), list(_unknown_names(settings, {point.name for point in points}))


def installed_names() -> set[str]:
    """Return the names of the installed plugins."""
    return {point.name for point in entry_points(group=GROUP)}


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "unknown distribution"


def _is_own(point: EntryPoint) -> bool:
    return point.dist is not None and requirements.is_host(point.dist.name)


def _requires(point: EntryPoint, owners: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the plugins that this one's distribution requires. `owners` has each plugin with its distribution."""
    names = requirements.required(point.dist)
    return tuple(sorted({plugin for plugin, owner in owners if owner in names} - {point.name}))


def _blocking(settings: Settings) -> Callable[[str], str]:
    """Return what says of a plugin's name which variable blocks it, or ""."""

    def blocked(name: str) -> str:
        if name in settings.blocked:
            return variable("block")
        return variable("only") if settings.only is not None and name not in settings.allowed else ""

    return blocked


def _unknown_names(settings: Settings, known: set[str]) -> Iterator[Fault]:
    for field, names in (("block", settings.blocked), ("only", settings.allowed)):
        for name in names:
            if name not in known:
                message = f"{variable(field)} names {name!r}, which is not installed"
                yield Fault(Code.UNKNOWN_NAME, message, did_you_mean(name, known, "installed plugins"))


def _with_names_looked_at(found: Sequence[Found], mend: str) -> list[Found]:
    claims: dict[str, list[str]] = defaultdict(list)
    for one in found:
        claims[one.name].append(one.origin)
    return [_with_name_looked_at(one, claims[one.name], mend) for one in found]


def _with_name_looked_at(found: Found, claims: Sequence[str], mend: str) -> Found:
    if found.blocked:
        return found
    if len(claims) > 1:
        message = f"{' and '.join(claims)} both claim this name"
        found = replace(found, faults=(Fault(Code.TWICE, message, mend, found.name),))
    fault = name_fault(found.name)
    return found.with_fault(Code.NAME, fault, "give its entry point another") if fault else found


def name_fault(name: str) -> str | None:
    """Return what keeps this from being a plugin's name, or None."""
    if name in RESERVED:
        return f"the name {name!r} is reserved"
    if _NAME.fullmatch(name):
        return None
    return f"the name {name!r} is not lower-case letters and digits, at most 39, in words joined by single underscores"


def _with_modules_looked_at(found: Sequence[Found]) -> list[Found]:
    names: dict[ModuleType, str] = {}
    looked = []
    for one in found:
        other = names.setdefault(one.plugin.module, one.name) if one.plugin else one.name
        if one.plugin and other != one.name:
            message = f"its module {one.plugin.module.__name__} is that of {other} too"
            one = one.with_fault(Code.TWICE, message, "give it one entry point")  # noqa: PLW2901
        looked.append(one)
    return looked


def _taken(name: str, table: str, module: str) -> tuple[str, str]:
    """Return what to tell of a plugin whose table is there already: it may be the other one that has a wrong name."""
    holder, package = holders().get(table), module.partition(".")[0]
    other = holder.__module__.partition(".")[0] if holder else package
    message = f"it has the table {table}, which {f'{other} has' if other != package else 'is there'} already"
    if other != package and belongs(table.rpartition(".")[2], name):
        return message, f"keep out the plugin of {other}"
    return message, f"name it {name} or {name}_something"


def _loaded(found: Found, point: EntryPoint, kept_out: set[str]) -> Found:
    """Import it, where nothing speaks against that."""
    if found.blocked or found.faults or kept_out.intersection(found.requires):
        return found
    for message, hint in requirements.unmet(point.dist) if point.dist else ():
        found = found.with_fault(Code.REQUIREMENT, message, hint)
    if found.faults:
        return found
    try:
        module = point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a stranger's module raises, a panic of Rust's too, is named
        if taken := _TAKEN.match(words_of(error)):
            # SQLAlchemy's own hint would have it change the other's table.
            return found.with_fault(Code.TABLE, *_taken(found.name, taken[1], point.module))
        message = f"{point.value} cannot be imported: {told(error, point.module, found.name)}"
        return found.with_fault(Code.IMPORT, message, f"mend it, or set {variable('block')}={found.name}")
    if not isinstance(module, ModuleType):
        message = f"its entry point {point.value} is no module"
        return found.with_fault(Code.IMPORT, message, f'write {found.name} = "{point.module}"')
    return replace(found, plugin=Plugin(found.name, module, found.requires, found.origin))
