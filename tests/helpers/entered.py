"""Which blocks of the package each test enters, and how long it takes: an instrumented copy, and a plugin of pytest.

A block is the body of a function, of a branch, of a loop ...; it is told by its file, its function and its number there.
What is entered while tests are collected, or by fixtures that several tests share, counts for all tests of the file.
"""

import ast
import builtins
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

MARK = "_entered"  # a set that the instrumented copy finds among the builtins


def blocks(tree: ast.AST) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Every list of statements inside of functions, the outer ones before those in them.

    Each with the name of its function and its number there, which stay when other functions change.
    """
    numbers: dict[str, int] = {}
    waiting = [(tree, "")]
    for node, function in waiting:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            function = f"{function}.{node.name}".lstrip(".")
        if not isinstance(node, (ast.Module, ast.ClassDef)):
            for field in ("body", "orelse", "finalbody"):
                found = getattr(node, field, None)
                if isinstance(found, list) and found:
                    numbers[function] = numbers.get(function, 0) + 1
                    yield f"{function}:{numbers[function]}", found
        waiting += [(child, function) for child in ast.iter_child_nodes(node)]


def blocks_by_line(tree: ast.AST) -> dict[int, str]:
    """For each line in a block the name of the innermost one."""
    innermost: dict[int, tuple[int, str]] = {}
    for name, block in blocks(tree):
        for line in range(block[0].lineno, (block[-1].end_lineno or 0) + 1):
            if line not in innermost or innermost[line][0] <= block[0].lineno:
                innermost[line] = block[0].lineno, name
    return {line: name for line, (_, name) in innermost.items()}


def instrument(file: Path, name: str) -> None:
    """Let every block of a module tell that it is entered."""
    tree = ast.parse(file.read_bytes())
    for own, block in list(blocks(tree)):
        docstring = isinstance(block[0], ast.Expr) and isinstance(block[0].value, ast.Constant)
        block.insert(1 if docstring else 0, ast.parse(f"{MARK}.add({f'{name}:{own}'!r})").body[0])
    file.write_text(ast.unparse(ast.fix_missing_locations(tree)))


class Entered:
    """The plugin.

    Args:
        told: the file that gets the table, as JSON: for each test that passes its seconds and its blocks.
    """

    def __init__(self, told: Path) -> None:
        self.told = told
        self.now: set[str] = set()
        self.shared: set[str] = set()
        self.tests: dict[str, tuple[float, set[str]]] = {}
        self.failed: set[str] = set()
        setattr(builtins, MARK, self.now)

    def _taken(self) -> set[str]:
        found = set(self.now)
        self.now.clear()
        return found

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.shared |= self._taken()
        start = time.process_time()
        result = yield
        self.tests[item.nodeid] = time.process_time() - start, self._taken()
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Iterator[None]:
        before = set(self.now)
        result = yield
        if fixturedef.scope != "function":
            self.shared |= self.now - before
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        passed = {t: both for t, both in self.tests.items() if t not in self.failed}
        self.told.write_text(json.dumps({t: (s, sorted(b | self.shared)) for t, (s, b) in passed.items()}))
