"""What docs/performance.md says is so: its commands, and the run that it shows."""

import configparser
import re
import shlex

import pytest
from documents import DOCS, blocks, page
from performance import report
from performance.__main__ import options
from performance.results import Results

PAGE = "performance.md"


def test_the_page_has_the_command_and_its_options() -> None:
    """The one that runs everything is tox's, and what it passes on is understood."""
    [everything, more] = blocks(PAGE, "sh")
    assert everything.split(" && ")[-1] == ".venv/bin/tox -e benchmark\n"
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(DOCS.parent / "tox.ini")
    assert tox["testenv:benchmark"]["commands"] == "python -m performance {posargs}"
    assert "benchmark" not in tox["tox"]["env_list"]
    for line in more.splitlines():
        command, _, passed = line.partition(" -- ")
        assert command == ".venv/bin/tox -e benchmark"
        chosen = options(shlex.split(passed))
        assert chosen.contestants
        assert chosen.only


def test_an_unknown_contestant_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With the names of those that there are."""
    with pytest.raises(SystemExit):
        options(["--contestants", "todoservice,nobody"])
    assert "nobody: there is no such; there are todoservice, open" in capsys.readouterr().err


def test_the_page_shows_the_run_that_is_kept_beside_it() -> None:
    """Its tables are those of results.json, its peers those of the benchmark, and its plots are there."""
    kept = Results.model_validate_json((DOCS / "performance" / "results.json").read_text())
    text = page(PAGE)
    assert text.partition(report.BEGIN)[2].partition(report.END)[0].strip() == report.markdown(kept).strip()
    assert report.contestants() in text
    plots = re.findall(r"\]\((performance/\w+\.svg)\)", text)
    assert len(plots) == 3
    assert all((DOCS / plot).read_text().startswith("<?xml") for plot in plots)
