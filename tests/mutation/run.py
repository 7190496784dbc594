"""Run the tests against mutants: copies of a module that differ in one place. A mutant that no test notices survives.

The mutants are made by cosmic-ray's operators and by four of our own, for word lists, SQL, collections, and statements.
A mutant is never written to disk: each runs in a fork that imports its text in place of the module's. The forks share
one PostgreSQL and the libraries, which are imported once.

`python tests/mutation/run.py [-j JOBS] [--sample N] [MODULE ...]`. The exit status is 1 if fewer than `LEAST` of the
mutants that are not equivalent are killed, or if an entry of equivalents.toml names a mutant that there is not.
"""

import argparse
import ast
import difflib
import importlib
import importlib.machinery
import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
SERVER: Final = "TODOSERVICE_TEST_DATABASE_URL"
LEAST: Final = 0.97
"""The part of the mutants that are not equivalent that the tests must kill."""

_AUDIT: Final = (
    "isolation/test_vocabulary isolation/test_set_operations isolation/test_audit isolation/test_audit_fuzz "
    "isolation/test_audit_limits"
)
_SCOPING: Final = (
    "test_statements test_rows isolation/test_audit_fuzz isolation/test_text isolation/test_two_scopes test_scope "
    "test_idempotence isolation/test_leaks"
)
TARGETS: Final = {
    **dict.fromkeys(
        [f"todoservice.audit.{name}" for name in ("words", "grammar", "reading", "expressions", "relations", "proof")],
        f"{_AUDIT} isolation/test_text",
    ),
    "todoservice.audit": f"{_AUDIT} isolation/test_text test_scope",
    "todoservice.audit.verdicts": "isolation/test_audit_limits isolation/test_audit",
    "todoservice.database.values": "database/test_values isolation/test_values",
    "todoservice.database.lists": "test_lists isolation/test_owners",
    "todoservice.confinement": _SCOPING,
    "todoservice.statements": _SCOPING,
    "todoservice.texts": _SCOPING,
    "todoservice.rows": _SCOPING,
    "todoservice.parameters": _SCOPING,
    "todoservice.identity": "plugins/test_identity http/test_users http/test_errors http/test_validation "
    "http/test_openapi",
    "todoservice.plugins.dispatch": "http/test_routing plugins/test_middleware plugins/test_identity "
    "plugins/test_features http/test_validation",
    "todoservice.database.security": "isolation/test_security isolation/test_privileges isolation/test_roles "
    "isolation/test_check",
    "todoservice.database.roles": "isolation/test_privileges isolation/test_roles isolation/test_security "
    "isolation/test_check",
}
"""The tests that concern each module, fast ones first."""
_LIBRARIES: Final = "alembic.command fastapi.testclient hypothesis psycopg2.extras sqlglot sqlmodel sqlalchemy.orm"

# Operators


_SWAPS: Final = [
    (r"\bAND\b", "OR"), (r"\bOR\b", "AND"), (r"\bNOT EXISTS\b", "EXISTS"), (r"(?<!NOT )\bEXISTS\b", "NOT EXISTS"),
    (r"\bNOT (?!EXISTS)", ""), (r"<>", "="), (r"(?<=\s)=(?=\s)", "<>"), (r"(?<=\s)<(?=\s)", "<="),
    (r"\btrue\b", "false"),
    (r"\bTRUE\b", "FALSE"), (r"\bFALSE\b", "TRUE"), (r"\bRESTRICTIVE\b", "PERMISSIVE"), (r"\bcoalesce\b", "nullif"),
    (r"\b0\b", "1"), (r"\bUSAGE\b", "MEMBER"), (r"\bMEMBER\b", "USAGE"),
]  # fmt: skip
"""Words of SQL, and what stands for each in a mutant."""
_SQL: Final = re.compile(r"\b(SELECT|FROM|WHERE|CREATE|ALTER|GRANT|REVOKE|WITH|AND|CASE)\b")


class _Places(Operator):
    """An operator that lists the texts that may stand for a node, in `texts`."""

    def texts(self, node: Any) -> Iterable[str]:
        """Return them, for a node of the parser's tree."""
        raise NotImplementedError

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Yield a position for each."""
        for _ in self.texts(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """Return a leaf with the one at the index, in the node's place."""
        from parso.python.tree import Name

        return Name(list(self.texts(node))[index], node.start_pos, prefix=node.get_first_leaf().prefix)

    @classmethod
    def examples(cls) -> tuple[Any, ...]:
        """Return nothing: they are for cosmic-ray's documentation."""
        return ()


class Words(_Places):
    """Removes a word of a list of words, or adds one."""

    def texts(self, node: Any) -> Iterable[str]:
        """Return the list without each of its words, and with another."""
        if node.type != "string":
            return
        place = node.parent.parent if node.parent.type == "strings" else node.parent
        named = place.get_previous_sibling() if place.type == "trailer" else place.parent and place.parent.children[0]
        if named is not None and named.type == "name" and named.value in {"_words", "_parts", "_OPERATORS"}:
            for found in re.finditer(r"[^\s\"]+", node.value):
                yield f"{node.value[: found.start()]}{node.value[found.end() :]}"
            at = len(node.value.rstrip('"'))
            yield f"{node.value[:at]} pg_sleep{node.value[at:]}"


class Sql(_Places):
    """Replaces a word of SQL."""

    def texts(self, node: Any) -> Iterable[str]:
        """Return the string with each of its words replaced."""
        if node.type in {"string", "fstring_string"} and _SQL.search(node.value):
            for pattern, text in _SWAPS:
                for found in re.finditer(pattern, node.value):
                    yield f"{node.value[: found.start()]}{text}{node.value[found.end() :]}"


class Elements(_Places):
    """Removes an element of a set, list, tuple, or dictionary that has several."""

    def texts(self, node: Any) -> Iterable[str]:
        """Return the elements without each of them."""
        if node.type in {"dictorsetmaker", "testlist_comp"} and "comp_for" not in str(node.children[-1].type):
            items: list[str] = [""]
            for child in node.children:
                if child.type == "operator" and child.value == ",":
                    items.append("")
                else:
                    items[-1] += child.get_code()
            items = [item for item in items if item.strip()]
            # A tuple of other items has a fixed length: without one, nothing works.
            is_tuple = node.parent.children[0].value == "("
            if len(items) > 1 and not (
                is_tuple and any(child.type not in {"string", "operator"} for child in node.children)
            ):
                yield from (",".join([*items[:at], *items[at + 1 :]]) + "," for at in range(len(items)))


class Statements(_Places):
    """Replaces a statement of a function with `pass`."""

    def texts(self, node: Any) -> Iterable[str]:
        """Return `pass`."""
        within = (
            node.parent is not None and node.parent.type == "simple_stmt" and node.type not in {"newline", "string"}
        )
        return ["pass"] if within and "import" not in node.type and _function_of(node) else []


class Membership(_Places):
    """Replaces `in` with `not in`, and the other way around."""

    def texts(self, node: Any) -> Iterable[str]:
        """Return the other one."""
        if node.parent is not None and node.parent.type == "comparison":
            if node.type == "keyword" and node.value == "in":
                return ["not in"]
            if node.type == "comp_op" and node.get_code(include_prefix=False) == "not in":
                return ["in"]
        return []


_OWN: Final = [Words, Sql, Elements, Statements, Membership]
_CHOSEN: Final = re.compile(
    r"core/(AddNot|ReplaceTrueWithFalse|ReplaceFalseWithTrue|ReplaceAndWithOr|ReplaceOrWithAnd|NumberReplacer|"
    r"ExceptionReplacer|ZeroIterationForLoop|RemoveDecorator|ReplaceUnaryOperator_Delete_Not|ReplaceBreakWithContinue|"
    r"ReplaceBinaryOperator_(Add_Sub|Sub_Add|BitOr_BitAnd|BitAnd_BitOr)|"
    r"ReplaceComparisonOperator_(Eq_NotEq|NotEq_Eq|Lt_LtE|LtE_Lt|Gt_GtE|GtE_Gt|Is_IsNot|IsNot_Is))"
)
"""Those of cosmic-ray's operators whose mutants differ from each other."""


# Mutants


@dataclass(frozen=True)
class Key:
    """The name of a mutant in equivalents.toml, which does not depend on its line."""

    module: str
    function: str
    before: str
    after: str


@dataclass(frozen=True)
class Mutant:
    """A module's text with one change."""

    key: Key
    code: str


def _function_of(node: Any) -> str:
    names = []
    while node is not None:
        if node.type in {"funcdef", "classdef"}:
            names.append(node.name.value)
        node = node.parent
    return ".".join(reversed(names))


def mutants(module: str) -> list[Mutant]:
    """Return the mutants of a module that compile to code of their own."""
    source = _source(module)
    seen, found = {_meaning(source)}, []
    operators = [get_operator(name)() for name in sorted(operator_names()) if _CHOSEN.fullmatch(name)]
    for operator in [*(own() for own in _OWN), *operators]:
        for code in _codes(source, operator):
            meaning = _meaning(code)
            if meaning not in seen:
                seen.add(meaning)
                found.append(Mutant(_key(module, source, code), code))
    return found


def _codes(source: str, operator: Operator) -> Iterator[str]:
    occurrence = 0
    while (code := mutate_code(source, operator, occurrence)) is not None:
        yield code
        occurrence += 1


def _source(module: str) -> str:
    path = _path(module)
    return path.read_text(encoding="utf-8")


def _path(module: str) -> Path:
    # Not importlib.util.find_spec, which imports the packages around: nothing of them is imported before the fork.
    first, *rest = module.split(".")
    folder = Path(str(importlib.util.find_spec(first).origin)).parent  # type: ignore[union-attr]
    path = folder.joinpath(*rest)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


class _Plain(ast.NodeTransformer):
    """Leaves out what has no effect: annotations of functions and variables, and docstrings."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def _meaning(code: str) -> str:
    try:
        return ast.dump(_Plain().visit(ast.parse(code)))
    except SyntaxError:
        return ""


def _key(module: str, source: str, code: str) -> Key:
    before, after = source.splitlines(), code.splitlines()
    changes = [
        change for change in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
        if change[0] != "equal"
    ]  # fmt: skip
    (_, first, last, start, end) = (*changes[0][:2], changes[-1][2], changes[0][3], changes[-1][4])
    old, new = (" ".join(" ".join(lines).split()) for lines in (before[first:last], after[start:end]))
    if '"' not in old and len(old.split()) != len(new.split()) and set(old + new) <= _LIST:
        words, others = Counter(old.split()), Counter(new.split())
        old, new = (" ".join(more.elements()) for more in (words - others, others - words))
    return Key(module, _place(source, first + 1), old, new)


_LIST: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_ ")


def _place(source: str, line: int) -> str:
    """Return the function or class, or the variable of the module, that a line is in."""
    names: list[str] = []
    body: Sequence[ast.AST] = ast.parse(source).body
    while inner := [node for node in body if node.lineno <= line <= (node.end_lineno or 0)]:  # type: ignore[attr-defined]
        node = inner[0]
        target = getattr(node, "target", None) or getattr(node, "targets", [None])[0]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(target, ast.Name) and not names:
            names.append(target.id)
        body = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
    return ".".join(names)


# Runs


_NOT_IMPORTED: Final = 99


class _Import(importlib.machinery.SourceFileLoader):
    """Imports a mutant in place of its module."""

    def __init__(self, mutant: Mutant) -> None:
        super().__init__(mutant.key.module, str(_path(mutant.key.module)))
        self._code = mutant.code

    def find_spec(self, name: str, *_: Any) -> Any:
        """Return the specification of the mutant, and None for any other module."""
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self)

    def get_code(self, fullname: str) -> Any:
        """Return the mutant's code."""
        del fullname
        return compile(self._code, self.path, "exec")


@dataclass(eq=False)
class _Trial:
    """A mutant, or None for the module as it is, and the tests that it has not met."""

    mutant: Mutant | None
    tests: list[str]
    failed: bool = False


def _test(trial: _Trial) -> int:
    """Run the next file of tests in a fork, with the mutant. Return the fork's process id."""
    if process := os.fork():
        return process
    os.setsid()
    if trial.mutant is not None:
        # What fails without a mutant is shown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        sys.meta_path.insert(0, _Import(trial.mutant))
    # pytest imports the service itself to rewrite its asserts, past the mutant.
    status, quiet = 1, ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain"]
    try:
        status = int(pytest.main([*quiet, trial.tests[0]]))
        imported = getattr(sys.modules.get(trial.mutant.key.module), "__loader__", None) if trial.mutant else None
        status = status if imported is None or type(imported) is _Import else _NOT_IMPORTED
    except BaseException:  # noqa: BLE001 - a fork ends here, whatever was raised
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(waiting: list[_Trial], jobs: int, limit: float) -> None:
    """Run the trials, so many at a time: one file of tests after the other, until one fails."""
    waiting.reverse()
    running: dict[int, tuple[_Trial, float]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            trial = waiting.pop()
            running[_test(trial)] = (trial, time.monotonic() + limit)
        process, status = os.waitpid(-1, os.WNOHANG)
        if process:
            trial, _ = running.pop(process)
            if os.waitstatus_to_exitcode(status) == _NOT_IMPORTED:
                sys.exit(f"{trial.tests[0]} imports the module in place of its mutant")
            trial.failed = status != 0
            trial.tests = trial.tests[1:]
            if trial.tests and not trial.failed:
                waiting.append(trial)
            elif trial.failed and len(waiting) % 50 == 0:
                print(f"{len(waiting)} wait", flush=True)
            elif not trial.failed:
                print(f"survived: {trial.mutant.key if trial.mutant else ''}", flush=True)
            continue
        for late in [each for each, (_, end) in running.items() if end < time.monotonic()]:
            os.killpg(late, signal.SIGKILL)
        time.sleep(0.02)


def _judge(module: str, jobs: int, sample: int, equivalents: dict[Key, str]) -> tuple[int, int, list[Key]]:
    """Test the mutants of a module. Return how many were killed, how many are equivalent, and which survived."""
    tests = [str(ROOT / "tests" / f"{name}.py") for name in TARGETS[module].split()]
    tests = [test for test in tests if Path(test).exists()]
    everything = mutants(module)
    unknown = [key for key in equivalents if key.module == module and key not in {each.key for each in everything}]
    if unknown:
        sys.exit(f"equivalents.toml names what is no mutant of {module}: {unknown}")
    chosen = [each for each in everything if each.key not in equivalents]
    if sample:
        chosen = chosen[:: max(1, len(chosen) // sample)]
    begin, clean = time.monotonic(), [_Trial(None, [test]) for test in tests]
    _run([*clean], 1, 1200)
    if any(trial.failed for trial in clean):
        sys.exit(f"the tests of {module} fail without a mutant")
    trials = [_Trial(mutant, tests) for mutant in chosen]
    _run([*trials], jobs, max(60.0, 3 * (time.monotonic() - begin)))
    survivors = [trial.mutant.key for trial in trials if trial.mutant and not trial.failed]
    killed = len(chosen) - len(survivors)
    rate = killed / max(1, len(chosen))
    print(
        f"{module}: {len(everything)} mutants, {len(everything) - len(chosen)} equivalent or not tried, "
        f"{len(chosen)} tried, {killed} killed, {len(survivors)} survived: {rate:.1%}", flush=True,
    )  # fmt: skip
    return killed, len(chosen), survivors


def main(arguments: list[str]) -> int:
    """Judge the modules, and return the exit status."""
    parser = argparse.ArgumentParser(description="Run the tests against mutants.")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="default: all of TARGETS")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="how many to test at a time")
    parser.add_argument("--sample", type=int, default=0, help="about how many of each module to try, evenly; 0: all")
    parser.add_argument("--list", action="store_true", help="print the mutants and try none")
    options = parser.parse_args(arguments)
    modules = options.modules or list(TARGETS)
    if options.list:
        for module in modules:
            for mutant in mutants(module):
                print(mutant.key)
        return 0
    if SERVER not in os.environ:
        return _with_server(arguments)
    entries = tomllib.loads((HERE / "equivalents.toml").read_text(encoding="utf-8")).get("equivalent", [])
    equivalents = {
        Key(entry["module"], entry["function"], before, entry["after"]): entry["reason"]
        for entry in entries
        for before in ([entry["before"]] if isinstance(entry["before"], str) else entry["before"])
    }
    for name in _LIBRARIES.split():
        importlib.import_module(name)
    found = [_judge(module, options.jobs, options.sample, equivalents) for module in modules]
    killed, tried = (sum(counts) for counts in list(zip(*found, strict=True))[:2])
    print(f"{killed} of {tried} mutants killed: {killed / tried:.2%}")
    return int(killed < LEAST * tried)


def _with_server(arguments: list[str]) -> int:
    """Run this again with a PostgreSQL for the whole run: in another process, which has not imported the service."""
    from todoservice.database import embedded

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with embedded.acquire(Path(folder), durable=False) as lease:
            command = [sys.executable, __file__, *arguments]
            return subprocess.run(command, env={**os.environ, SERVER: lease.url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
