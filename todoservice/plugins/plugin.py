"""What a plugin is."""

from dataclasses import dataclass
from types import ModuleType

from todoservice.plugins.faults import Code, Fault


@dataclass(frozen=True)
class Plugin:
    """A feature's name and module. `requires` names the features that it needs to start and migrate first."""

    name: str
    module: ModuleType
    requires: tuple[str, ...] = ()
    distribution: str = ""
    """The name and version of the distribution that brought it, or "" for a module given by hand."""

    @property
    def origin(self) -> str:
        """Where it came from, as an operator knows it."""
        return self.distribution or f"module {self.module.__name__}"

    def __str__(self) -> str:
        """Name the plugin and where it came from."""
        return f"{self.name} ({self.origin})"

    def fault(self, code: Code, message: str, hint: str) -> Fault:
        """Return a fault of this plugin's."""
        return Fault(code, message, hint, self.name, self.origin)
