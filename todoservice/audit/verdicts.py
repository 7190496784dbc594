"""Verdicts of texts, and the bounded store that keeps them."""

import sys
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Final

from todoservice.shapes import APART

KEPT_BYTES: Final = 8 * 1024 * 1024
"""The size of the texts whose verdicts are kept besides those of declared statements."""


@dataclass(frozen=True)
class Verdict:
    """The result of the audit for one text."""

    fault: str | None
    """Why it is refused, and what to write instead. None if it is proven."""
    users: tuple[str, ...] = ()
    """The parameters that must be the scope's user."""
    lists: frozenset[str] = frozenset()
    """The parameters that may be a tuple."""
    interpolated: bool = False
    """True if it must be sent with parameters."""
    inserts: bool = False
    """True if it adds rows."""
    changes: int = 0
    """The number of its parts that change rows."""
    harmless: bool = False
    """True if it changes no rows and calls only functions of the audit's own list."""
    returns: bool = True
    """True if it returns rows."""
    tokens: int = field(default=0, compare=False)
    depth: int = field(default=0, compare=False)
    """The deepest nesting, as `Limits.depth` counts it."""

    def beside(self, parent: "Verdict") -> "Verdict":
        """Return the verdict of a text that has this one and a parent's, whose parameters are named apart."""
        return Verdict(
            None,
            tuple(sorted({*self.users, *(f"{APART}{name}" for name in parent.users)})),
            self.lists | {f"{APART}{name}" for name in parent.lists},
            self.interpolated or parent.interpolated,
            self.inserts or parent.inserts,
            self.changes + parent.changes,
            self.harmless and parent.harmless,
            tokens=self.tokens + parent.tokens,
            depth=max(self.depth, parent.depth),
        )

    def within(self, tokens: int, depth: int) -> "Verdict":
        """Return the verdict of a query around this text that adds as many tokens and levels of nesting at most."""
        return replace(self, returns=True, tokens=self.tokens + tokens, depth=self.depth + depth)


class Verdicts:
    """Verdicts by text: those of declared statements for good, others until `most` bytes of texts are kept."""

    def __init__(self, most: int = KEPT_BYTES) -> None:
        """Begin with none."""
        self._pinned: dict[str, Verdict] = {}
        self._kept: OrderedDict[str, Verdict] = OrderedDict()
        self._most = most
        self.size = 0
        """The bytes of the texts that are kept and may be dropped."""

    def get(self, text: str) -> Verdict | None:
        """Return the verdict of a text, if it is kept."""
        if (pinned := self._pinned.get(text)) is not None:
            return pinned
        if (kept := self._kept.get(text)) is not None:
            self._kept.move_to_end(text)
        return kept

    def keep(self, text: str, verdict: Verdict) -> Verdict:
        """Keep a verdict until others take its place, and return it. One that is larger than all is not kept."""
        size = _size(text, verdict)
        if text not in self._kept and text not in self._pinned and size <= self._most:
            self._kept[text] = verdict
            self.size += size
        while self.size > self._most:
            self.size -= _size(*self._kept.popitem(last=False))
        return verdict

    def pin(self, text: str, verdict: Verdict) -> None:
        """Keep a verdict for good."""
        self._pinned[text] = verdict
        if (kept := self._kept.pop(text, None)) is not None:
            self.size -= _size(text, kept)

    def is_pinned(self, text: str) -> bool:
        """Return True if the verdict of a text is kept for good."""
        return text in self._pinned


def _size(text: str, verdict: Verdict) -> int:
    return sys.getsizeof(text) + sys.getsizeof(verdict.fault) + 64 * (10 + len(verdict.users) + len(verdict.lists))
