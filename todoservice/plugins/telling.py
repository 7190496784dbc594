"""What a plugin's own code raised, told in one line: strangers wrote it, and it may say what nobody should read."""

import os
import re
from pathlib import Path
from traceback import walk_tb
from typing import Final

from todoservice.settings import PREFIX

HIDDEN: Final = "***"
_PASSWORD: Final = re.compile(r"""(://[^\s/:@]*:)\S*(?=@)|(\bpassword\s*=\s*)('[^']*'|[^\s'"]+)""", re.IGNORECASE)
"""In a URL, or among libpq's parameters."""
_SHORTEST_SECRET: Final = 4
"""Characters. What is shorter is a number or a word, without which nobody would understand the message."""


def words_of(error: BaseException) -> str:
    """Return the words of what was raised: none where it fails to say them."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a stranger's exception is a stranger's code, too
        return ""


def prefix(name: str) -> str:
    """Return how the variables of a plugin begin."""
    return f"{PREFIX}{name.upper()}__"


def without_values(words: str, name: str) -> str:
    """Hide the values of a plugin's variables: its author's own code may show what it was given."""
    for variable, value in os.environ.items():
        if variable.upper().startswith(prefix(name)) and len(value) >= _SHORTEST_SECRET:
            words = words.replace(value, HIDDEN)
    return words


def told(error: BaseException, module: str, name: str) -> str:
    """Return what was raised, in one line, and the line of the package of `module` that it came through last.

    Passwords that its words have are hidden, and the values of the variables of the plugin called `name`.
    """
    words = _PASSWORD.sub(rf"\1\2{HIDDEN}", (words_of(error).strip().splitlines() or [""])[0])
    words = without_values(words, name)
    raised = f"{type(error).__name__}: {words}" if words else type(error).__name__
    package = module.partition(".")[0]
    frames = [
        f"{Path(frame.f_code.co_filename).name}:{line}"
        for frame, line in walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package
    ]
    return f"{raised} ({frames[-1]})" if frames else raised
