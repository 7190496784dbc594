"""What can be wrong with the plugins of an app: each fault as data, under a code that is the same in every release."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from todoservice.settings import StartupError


class Code(StrEnum):
    """The kind of a fault, and what it means. P stops the start, or the plugin; W is a warning."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> "Code":
        """Take the code and its meaning."""
        code = str.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    # Finding it
    IMPORT = "P101", "its module cannot be imported"
    TWICE = "P102", "two distributions have one name, or one module has two names"
    REQUIREMENT = "P103", "its distribution requires another that is missing, or there in another version"
    UNKNOWN_NAME = "P104", "TODOSERVICE_BLOCK or TODOSERVICE_ONLY names a plugin that is not installed"
    NAME = "P105", "its name cannot be one, or is reserved"
    NEEDS = "P106", "it needs a plugin that is blocked, broken or not installed"
    CYCLE = "P107", "plugins need each other in a circle"
    # Asking it
    UNKNOWN_HOOK = "P201", "it implements a hook that there is not"
    NO_HOOK = "P202", "it implements no hook"
    UNMARKED = "P203", "a function with the name of a hook is not marked as its implementation"
    ARGUMENT = "P204", "a hook's implementation has arguments that it is not given"
    RAISED = "P205", "a hook's implementation raised an exception"
    RETURNED = "P206", "a hook's implementation returned something of the wrong type"
    # What it contributes
    MODEL = "P301", "a model is no table class derived from Owned or Shared"
    TABLE = "P302", "a table is not named after its plugin, is in another schema, or is claimed twice"
    KEY = "P303", "a key does not keep rows to their owner"
    MIGRATIONS = "P304", "it has models and no migrations"
    HISTORY = "P305", "its migrations are no single line of revisions"
    ROUTE = "P306", "two routes have one method and path, or a route is none that the host can guard"
    OPERATION = "P307", "two operations have one name"
    QUERY = "P308", "a declared query cannot be confined to one user, or has the name of another"
    SETTINGS = "P309", "its settings are missing or invalid"
    SCHEMA = "P310", "a route takes or returns what no JSON schema describes"
    REVEALS = "P311", "a table reveals what other users do"
    # Who is asking
    IDENTITY_MISSING = "P401", "TODOSERVICE_IDENTITY names a plugin that is not installed"
    IDENTITY_BLOCKED = "P402", "TODOSERVICE_IDENTITY names a plugin that is blocked"
    IDENTITY_BROKEN = "P403", "TODOSERVICE_IDENTITY names a plugin that is broken"
    IDENTITY_NONE = "P404", "TODOSERVICE_IDENTITY names a plugin that does not say who is asking"
    IDENTITY_SEVERAL = "P405", "several plugins say who is asking, and TODOSERVICE_IDENTITY names none"
    IDENTITY_UNNAMED = "P406", "faulty plugins are to be skipped, and TODOSERVICE_IDENTITY names nobody"
    IDENTITY_BODY = "P407", "the dependency that identifies the user reads the body of a request"
    # While it runs
    ENTERING = "P501", "its lifespan failed when the app started"
    LEAVING = "P502", "its lifespan failed when the app stopped"
    # Warnings
    LEFTOVER = "W101", "a plugin that is not installed left tables behind"
    VARIABLE = "W102", "a variable sets nothing of any plugin"
    SETTING = "W103", "a variable sets nothing of the host"
    CHECK = "W104", "a plugin sees a problem in its own set-up"
    DEPRECATED = "W105", "it implements a hook, or takes an argument, that a later release does without"


@dataclass(frozen=True)
class Fault:
    """Something that is wrong, whose it is, and what to do."""

    code: Code
    message: str
    hint: str
    """What to do next."""
    plugin: str = ""
    """The name of the plugin, or "" for what concerns them all."""
    origin: str = ""
    """The name and version of its distribution, or the module that was given by hand."""

    @property
    def whose(self) -> str:
        """The plugin and where it came from, or ""."""
        return f"{self.plugin} ({self.origin})".strip() if self.origin else self.plugin

    def __str__(self) -> str:
        """Tell it in one line."""
        line = ": ".join(filter(None, [f"{self.code} {self.whose}".rstrip(), self.message, self.hint]))
        return " ".join(line.split())

    def as_json(self) -> dict[str, str]:
        """Return its code, message and hint."""
        return {"code": self.code.value, "message": self.message, "hint": self.hint}


class PluginError(StartupError):
    """Plugins that cannot be used: one line for each of its `faults`."""

    def __init__(self, *faults: Fault) -> None:
        """Tell these."""
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


def did_you_mean(name: str, known: Iterable[str], kinds: str) -> str:
    """Return the question after the known name that is most like `name`, else which `kinds` there are."""
    known = sorted(known)
    close = get_close_matches(name, known, 1)
    return f"did you mean {close[0]}?" if close else f"the {kinds} are {', '.join(known)}" if known else "leave it out"
