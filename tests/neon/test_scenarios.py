"""The faults that a robust service outlives, and that each has a test, which names its number."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent.parent

SCENARIOS = {
    1: "the compute restarts while the pool is idle",
    2: "the pooler is killed while the pool is idle",
    3: "forty requests into a cold start",
    4: "the compute restarts behind the pooler",
    5: "a cut before or after a statement of a transaction, before its COMMIT",
    6: "a cut before or after COMMIT",
    7: "the answer to an INSERT is lost",
    8: "the proxy's errors that pass",
    9: "refusals that do not pass",
    10: "connections that are refused, or never answered",
    11: "a network that swallows everything",
    12: "delay: messages are counted",
    13: "the pooler has no free connection",
    14: "the pool has no free connection",
    15: "two users take turns on one connection",
    16: "no database at the start",
    17: "every spelling of the URL",
    18: "migrations given a pooled URL, and two migrators at once",
    19: "nothing is said while nobody asks",
    20: "PostgreSQL 15 and 18: `tox -e py312-pg15`",
}


def numbered() -> Iterator[tuple[int, str]]:
    """Yield each number that the docstring of a test names, and the test."""
    for path in (*TESTS.glob("neon/test_*.py"), TESTS / "isolation" / "test_pooler.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for numbers in re.findall(r"\(scenarios? ([^)]+)\)", ast.get_docstring(node) or ""):
                    yield from ((int(number), f"{path.stem}::{node.name}") for number in re.findall(r"\d+", numbers))


def test_every_scenario_has_a_test() -> None:
    """And no test names one that is not in the list."""
    found: dict[int, list[str]] = defaultdict(list)
    for number, test in numbered():
        found[number].append(test)
    assert sorted(found) == sorted(SCENARIOS)
