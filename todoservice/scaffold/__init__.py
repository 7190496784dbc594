"""A new feature's distribution, written from a template: what `todoservice plugins new` does."""

import keyword
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template
from typing import Final

import todoservice
from todoservice.plugins.discovery import name_fault

_SUFFIX: Final = ".tmpl"
_TAKEN: Final = frozenset(
    {
        "Annotated", "BaseModel", "Depends", "Field", "Final", "Id", "Line", "Owned", "Page", "Queries", "Response",
        "Timestamp",
    }
)  # fmt: skip
"""The classes that the template imports: a model of that name is given another."""


class CannotWrite(Exception):
    """The distribution cannot be written. The message says what to do."""


def write(name: str, folder: Path) -> list[Path]:
    """Write the distribution `todoservice-<name>` into a folder of that name in `folder`, and return its files.

    `name` is that of the feature, and as the plural of what it holds, such as `notes`, it names the table and the URL.
    Raises CannotWrite where there is such a folder already, or where the name cannot be a module's or a class's.
    """
    names = _names(name)
    target = folder / names["distribution"]
    if target.exists():
        msg = f"{target} is there already: choose another name, or another folder with --into"
        raise CannotWrite(msg)
    written = []
    for path, text in _rendered(files(__package__) / "template", names):
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        written.append(file)
    return written


def _names(name: str) -> dict[str, str]:
    item = name.removesuffix("s") or name
    fault = name_fault(name)
    if keyword.iskeyword(item) or keyword.iskeyword(name):
        fault = f"the name {name!r} is a word of Python's"
    if fault is not None:
        msg = f"{fault}: choose another"
        raise CannotWrite(msg)
    plain = name.replace("_", " ")
    model = "".join(part.capitalize() for part in item.split("_"))
    return {
        "name": name,
        "distribution": f"todoservice-{name.replace('_', '-')}",
        "package": f"todoservice_{name}",
        "model": f"{model}Record" if model in _TAKEN else model,
        "item": item,
        "words": plain,
        "Words": plain.capitalize(),
        "word": item.replace("_", " "),
        "article": "an" if item[0] in "aeiou" else "a",
        "host": todoservice.__version__,
    }


def _rendered(folder: Traversable, names: dict[str, str], at: str = "") -> Iterator[tuple[PurePosixPath, str]]:
    """Yield each file's path and text. The folder `package` gets the package's name, and so do names with `name`."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        path = f"{at}{entry.name}".replace("package", names["package"]).replace("name", names["name"])
        if entry.is_dir():
            yield from _rendered(entry, names, f"{path}/")
        elif path.endswith(_SUFFIX):
            text = Template(entry.read_text(encoding="utf-8")).substitute(names)
            yield PurePosixPath(path.removesuffix(_SUFFIX)), text
