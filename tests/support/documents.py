"""The pages of `docs/`, as tests read them."""

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent.parent / "docs"


def page(document: str) -> str:
    """Return a page's text."""
    return (DOCS / document).read_text()


def blocks(document: str, language: str) -> list[str]:
    """Return a page's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page(document), re.DOTALL | re.MULTILINE)


def every_block(document: str) -> list[tuple[str, str]]:
    """Return a page's code blocks in their order, each with its language, which may be ""."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", page(document), re.DOTALL | re.MULTILINE)


def session(text: str) -> list[tuple[str, str]]:
    """Return the commands of a console's block, each with its output."""
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(command, output.strip()) for command, _, output in (part.partition("\n") for part in parts)]


def changed(text: str, diff: str) -> str:
    """Return a file's text with this diff applied: each part between @@ is to fit at one place."""
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        before, after = ("".join(line[1:] or line for line in lines if line[0] != sign) for sign in "+-")
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


def table(document: str, first: str) -> list[list[str]]:
    """Return the rows of the page's table whose heading begins with the column `first`."""
    (found,) = re.findall(rf"^\| {re.escape(first)} \|.*\n\| --- .*\n((?:\|.*\n)+)", page(document), re.MULTILINE)
    return [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in str(found).splitlines()]
