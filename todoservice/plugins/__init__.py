"""The plugin host: find, ask, check and order the features of an app.

`discovery` finds them, `hooks` asks them, `features` collects what they contribute and checks it, and `host` puts it
together in one pass, which fails for nothing that a plugin does: it collects every fault, each with its code.
"""

from todoservice.plugins.faults import Code, Fault, PluginError
from todoservice.plugins.plugin import Plugin

__all__ = ["Code", "Fault", "Plugin", "PluginError"]
