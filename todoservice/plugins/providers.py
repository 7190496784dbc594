"""Which of the plugins says who is asking: `TODOSERVICE_IDENTITY`, and never another where that one fails."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from todoservice.identity import BY_HEADER, Identity, Provider
from todoservice.plugins.discovery import Found
from todoservice.plugins.faults import Code, Fault, PluginError, did_you_mean
from todoservice.plugins.features import Feature
from todoservice.plugins.telling import told
from todoservice.settings import Settings, variable

VARIABLE: Final = variable("identity")


def look_at_provider(feature: Feature) -> None:
    """Add to the feature what is wrong with its dependency that says who is asking."""
    if feature.user is None:
        return
    try:
        reads_body = Identity(Provider(str(feature.plugin), feature.user)).reads_body
    except Exception as error:  # noqa: BLE001 - whatever FastAPI says of a stranger's function
        message = (
            f"todoservice_user returned what FastAPI cannot depend on: {told(error, __name__, feature.plugin.name)}"
        )
        feature.faults.append(feature.plugin.fault(Code.RETURNED, message, "return a dependency"))
        return
    if reads_body:
        message = "todoservice_user returned a dependency with a parameter that is read from the body of a request"
        feature.faults.append(feature.plugin.fault(Code.IDENTITY_BODY, message, "read headers or cookies"))


def chosen(
    settings: Settings, found: Sequence[Found], features: Mapping[str, Feature], broken: Collection[str]
) -> Provider:
    """Return who says who is asking. Raises PluginError where nobody may.

    `features` are those of the plugins that could be asked, `broken` the names of those that cannot be used.
    """
    named = settings.identity
    providers = {
        name: Provider(str(feature.plugin), feature.user)
        for name, feature in features.items()
        if feature.user is not None
    }
    faults = _named_faults(named, found, providers, broken) if named else _unnamed_faults(settings, providers)
    if refused := tuple(faults):
        raise PluginError(*refused)
    only = next(iter(providers), BY_HEADER.name)
    return ({BY_HEADER.name: BY_HEADER} | providers)[named or only]


def _unnamed_faults(settings: Settings, providers: Collection[str]) -> Iterator[Fault]:
    if len(providers) > 1:
        message = f"{', '.join(providers)} each say who is asking, and {VARIABLE} names none"
        yield Fault(Code.IDENTITY_SEVERAL, message, "set it to one of them")
    if settings.plugin_errors == "skip":
        message = (
            f"{variable('plugin_errors')} is skip, and {VARIABLE} is not set: an authentication plugin could be skipped"
        )
        yield Fault(Code.IDENTITY_UNNAMED, message, f"set {VARIABLE} to it, or to {BY_HEADER.name}")


def _named_faults(
    name: str, found: Sequence[Found], providers: Collection[str], broken: Collection[str]
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
    elif name not in providers:
        message = f"{VARIABLE} names {name}, which does not say who is asking"
        hint = f"name one that implements todoservice_user, or {BY_HEADER.name}"
        yield Fault(Code.IDENTITY_NONE, message, hint)
