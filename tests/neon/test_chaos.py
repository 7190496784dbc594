"""A third of a minute of what `benchmarks/chaos.py` does for as long as one likes: nothing lost, nothing twice."""

import re
import shlex
from pathlib import Path

import pytest
from chaos import main

PAGE = Path(__file__).parents[2] / "docs" / "chaos.md"


def test_a_while_of_chaos(capsys: pytest.CaptureFixture[str]) -> None:
    """As its page says to run it, but shorter: hundreds of operations, and each answer as it had to be."""
    [command] = re.findall(r"^```sh\n(.*)\n```$", PAGE.read_text(), re.MULTILINE)
    path, _, script, *options = shlex.split(command)
    assert (path, script) == ("PYTHONPATH=tests/support", "benchmarks/chaos.py")
    status = main([*options, "--seconds", "20"])
    told = capsys.readouterr().out
    assert status == 0, told
    seed, report, answers, *_, failures = told.splitlines()
    assert failures == "failures: 0"
    assert seed == "seed 1"
    done = re.fullmatch(r"seed 1: (\d+) operations and (\d+) faults in \d+ s", report)
    assert done is not None
    assert int(done[1]) > 100
    assert int(done[2]) >= 8
    assert set(re.findall(r" (\d{3})(?=,|$)", answers.partition(";")[0])) == {"200", "201", "204", "404", "503"}
