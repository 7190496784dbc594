"""What a distribution requires of others (`Requires-Dist`), and whether that is installed."""

from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

HOST: Final = "todoservice"
_ANY: Final = frozenset({""})


def unmet(of: Distribution, extras: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """Yield each requirement of the distribution, and of these extras of it, that is not met: a message and a hint.

    Which extras it was installed with, nobody knows afterwards: what only they need is not asked for.
    """
    for text in of.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            yield f"it requires {text!r}, which nobody can read", f"install {of.name} in another version"
            continue
        if _applies(requirement, extras or _ANY):
            yield from _unmet(requirement)


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return extras == _ANY
    without = requirement.marker.evaluate({"extra": ""})
    return without if extras == _ANY else not without and any(requirement.marker.evaluate({"extra": e}) for e in extras)


def _unmet(requirement: Requirement) -> Iterator[tuple[str, str]]:
    wanted = f"{requirement.name}{requirement.specifier}"
    try:
        found = distribution(requirement.name)
    except PackageNotFoundError:
        yield f"it requires {wanted}, which is not installed", f"install {wanted}"
        return
    if not requirement.specifier.contains(found.version, prereleases=True):
        another = "a version of it that is made for this host" if is_host(found.name) else f"install {wanted}"
        hint = f"install {another}, or {wanted}" if is_host(found.name) else another
        yield f"it requires {wanted}, and {found.version} is installed", hint
    if requirement.extras:
        yield from unmet(found, frozenset(requirement.extras))


def required(of: Distribution | None) -> frozenset[str]:
    """Return the canonical names of the distributions that this one requires, but for the host's own."""
    names = set()
    for text in (of and of.requires) or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if _applies(requirement, _ANY) and not is_host(requirement.name):
            names.add(canonicalize_name(requirement.name))
    return frozenset(names)


def is_host(name: str) -> bool:
    """Say whether a distribution of this name is the host's."""
    return canonicalize_name(name) == HOST
