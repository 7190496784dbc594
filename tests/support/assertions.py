"""What the tests assert, read from their sources: texts elsewhere, in comments and docstrings say nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent.parent
Test = ast.FunctionDef | ast.AsyncFunctionDef


def asserted(folder: Path = TESTS) -> str:
    """Return the texts that the test functions below `folder` assert, each on lines of its own."""
    files = sorted(folder.rglob("test_*.py"))
    return "\n".join(text for file in files for text in _asserted(ast.parse(file.read_text())))


def _asserted(module: ast.Module) -> Iterator[str]:
    constants = {
        target.id: statement.value
        for statement in module.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    for test in ast.walk(module):
        if isinstance(test, Test) and test.name.startswith("test_"):
            claims = list(_claims(test))
            names = {node.id for claim in claims for node in ast.walk(claim) if isinstance(node, ast.Name)}
            named = [value for name, value in constants.items() if name in names]
            for said in (*claims, *named, *_cases(test, names)):
                yield from _texts(said)


def _claims(test: Test) -> Iterator[ast.expr]:
    """Yield what the test asserts, and what it expects an exception to say."""
    for node in ast.walk(test):
        if isinstance(node, ast.Assert):
            yield node.test
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"pytest.raises", "pytest.warns"}:
            yield from (keyword.value for keyword in node.keywords if keyword.arg == "match")


def _cases(test: Test, names: set[str]) -> Iterator[ast.expr]:
    """Yield the values that the test is parametrized with, where what it asserts names one of them."""
    for decorator in test.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.parametrize":
            parameters, values = decorator.args[:2]
            if names & {name.strip() for text in _texts(parameters) for name in text.split(",")}:
                yield values


def _texts(expression: ast.expr) -> Iterator[str]:
    return (
        node.value for node in ast.walk(expression) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
