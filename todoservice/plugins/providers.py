"""Which of the plugins says who is asking: `TODOSERVICE_IDENTITY`, and never another where that one fails."""

from collections.abc import Iterator, Mapping, Sequence

from todoservice.identity import BY_HEADER, Identity, Provider
from todoservice.plugins.discovery import Found
from todoservice.plugins.faults import Code, Fault, PluginError, did_you_mean, told
from todoservice.plugins.features import Feature
from todoservice.plugins.plugin import Plugin
from todoservice.settings import Settings, variable

VARIABLE = variable("identity")


def look_at_provider(feature: Feature) -> None:
    """Add to the feature what is wrong with its dependency that says who is asking."""
    if feature.user is None:
        return
    try:
        Identity(of(feature.plugin, feature))
    except Exception as error:  # noqa: BLE001 - whatever FastAPI says of a stranger's function
        message = f"todoservice_user returned what FastAPI cannot depend on: {told(error, __name__)}"
        feature.faults.append(feature.plugin.fault(Code.RETURNED, message, "return a dependency"))


def of(plugin: Plugin, feature: Feature) -> Provider:
    """Return the provider that a plugin brings."""
    if feature.user is None:
        raise AssertionError
    return Provider(str(plugin), feature.user)


def chosen(
    settings: Settings, found: Sequence[Found], features: Mapping[str, Feature], broken: Mapping[str, object]
) -> Provider:
    """Return who says who is asking. Raises PluginError where nobody may.

    `features` are those of the plugins that were imported, `broken` the names of those that cannot be used.
    """
    providers = [name for name, feature in features.items() if feature.user is not None]
    faults = list(
        _named_faults(settings.identity, found, features, broken)
        if settings.identity
        else _unnamed_faults(settings, providers)
    )
    if faults:
        raise PluginError(*faults)
    if settings.identity == BY_HEADER.name or not (settings.identity or providers):
        return BY_HEADER
    feature = features[settings.identity or providers[0]]
    return of(feature.plugin, feature)


def _unnamed_faults(settings: Settings, providers: Sequence[str]) -> Iterator[Fault]:
    if len(providers) > 1:
        message = f"{', '.join(providers)} each say who is asking, and {VARIABLE} names none"
        yield Fault(Code.IDENTITY_SEVERAL, message, "set it to one of them")
    if settings.plugin_errors == "skip":
        message = (
            f"{variable('plugin_errors')} is skip, and {VARIABLE} is not set: an authentication plugin could be skipped"
        )
        yield Fault(Code.IDENTITY_UNNAMED, message, f"set {VARIABLE} to it, or to {BY_HEADER.name}")


def _named_faults(
    name: str, found: Sequence[Found], features: Mapping[str, Feature], broken: Mapping[str, object]
) -> Iterator[Fault]:
    known = {one.name: one for one in found}
    if name == BY_HEADER.name:
        return
    if name not in known:
        hint = did_you_mean(name, [BY_HEADER.name, *known], "ones to name")
        yield Fault(Code.IDENTITY_MISSING, f"{VARIABLE} names {name!r}, which is not installed", hint)
    elif known[name].blocked:
        message = f"{VARIABLE} names {name}, which {known[name].blocked} keeps out"
        yield Fault(Code.IDENTITY_BLOCKED, message, "let it in, or name another")
    elif name in broken:
        yield Fault(Code.IDENTITY_BROKEN, f"{VARIABLE} names {name}, which is broken", "mend it, or name another")
    elif features[name].user is None:
        message = f"{VARIABLE} names {name}, which does not say who is asking"
        hint = f"name one that implements todoservice_user, or {BY_HEADER.name}"
        yield Fault(Code.IDENTITY_NONE, message, hint)
