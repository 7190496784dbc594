"""Plugins that the tests of the host install."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from plugin_modules import Site, forgotten


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Return a folder to install distributions in, whose modules and tables nobody sees afterwards."""
    with forgotten():
        yield Site(tmp_path, monkeypatch)
