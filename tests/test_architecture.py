"""The rooms stand in an order and imports go down only; what the kernel trusts; nothing in the package knows a benchmark."""

import ast
import importlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import symbackprop
from symbackprop.expression.shown import REGISTERED_IN, Shown

ROOT = Path(symbackprop.__file__).parent
# Ground first: a room imports from itself and from rooms before it. What stands beside rooms at the top counts as one.
ROOMS = (
    "errors",
    "files",
    "expression",
    "normal_form",
    "rendering",
    "evaluation",
    "calculus",
    "frontends",
    "proofs",
    "codegen",
    "checking",
    "certificate",
    "precision",
    "audit",
    "document",
    "api",
    "training",
    "__init__",
    "pytest_plugin",
    "cli",
    "__main__",
)
MOST_FOLDERS = 15


def dotted(path: Path) -> str:
    """The module's name inside the package: "calculus.kernel"; a folder's `__init__` has the folder's name."""
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


FILES = {dotted(path): path for path in sorted(ROOT.rglob("*.py"))}


class Seen(NamedTuple):
    """What is asked of a module; the trees of all modules together would fill the memory.

    Args:
        imports: modules of our own package, but for those that type checkers alone import.
        for_type_checkers: all of them.
        inside: those that functions import.
        names: of all sorts, in lower case.
        document: its docstring, and how many statements there are.
    """

    imports: frozenset[str]
    for_type_checkers: frozenset[str]
    inside: frozenset[str]
    names: frozenset[str]
    document: tuple[str, int]


def imports(node: ast.AST, where: frozenset[str] = frozenset()) -> Iterator[tuple[str, frozenset[str]]]:
    """Modules of our own package that are imported anywhere below `node`, and where: inside a function, for type
    checkers alone."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        where |= {"inside"}
    if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
        where |= {"for type checkers"}
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "symbackprop":
        module = (node.module or "").partition(".")[2]
        named = [f"{module}.{alias.name}".strip(".") for alias in node.names]
        yield from ((name if name in FILES else module or "__init__", where) for name in named)
    elif isinstance(node, ast.Import):
        ours = [alias.name for alias in node.names if alias.name.split(".")[0] == "symbackprop"]
        yield from ((name.partition(".")[2] or "__init__", where) for name in ours)
    elif isinstance(node, (ast.stmt, ast.mod, ast.ExceptHandler, ast.match_case)):  # no expression imports anything
        for child in ast.iter_child_nodes(node):
            yield from imports(child, where)


@cache
def seen(name: str) -> Seen:
    """What a module's text says; it is read when it is asked for."""
    tree = ast.parse(FILES[name].read_text())
    found = [*imports(tree)]
    names = {str(getattr(n, "id", getattr(n, "attr", getattr(n, "name", "")))).lower() for n in ast.walk(tree)}
    return Seen(
        frozenset(module for module, where in found if "for type checkers" not in where),
        frozenset(module for module, _ in found),
        frozenset(module for module, where in found if "inside" in where),
        frozenset(names),
        (ast.get_docstring(tree) or "", len(tree.body)),
    )


def closure(names: Iterable[str]) -> set[str]:
    """The modules, all that they import, all that those import, and so on."""
    reached, waiting = set(), list(names)
    while waiting:
        if (name := waiting.pop()) not in reached:
            reached.add(name)
            waiting += seen(name).imports
    return reached


def room(name: str) -> str:
    return name.partition(".")[0]


def test_every_module_is_in_a_room():
    assert {room(name) for name in FILES} == set(ROOMS)


def test_the_top_of_the_package_is_small():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert len(folders) <= MOST_FOLDERS, sorted(folders)


@pytest.mark.parametrize("name", ROOMS)
def test_imports_go_down(name):
    """Whatever a room imports, and whatever that imports, is in the room or below it."""
    reached = {room(other) for other in closure(module for module in FILES if room(module) == name)}
    above = ROOMS[ROOMS.index(name) + 1 :]
    assert not reached & set(above), {
        m: c for m in FILES if room(m) == name and (c := {*map(room, seen(m).imports)} & {*above})
    }


def test_no_circles():
    """Not even for type checkers alone; the package itself names its classes for them."""
    graph = {name: seen(name).for_type_checkers - {"__init__"} for name in FILES}
    done: set[str] = set()
    while ready := [name for name in graph if name not in done and graph[name] <= done]:
        done.update(ready)
    assert not set(graph) - done


@pytest.mark.parametrize("name", FILES)
def test_no_function_imports_our_own_modules(name):
    assert not seen(name).inside


@pytest.mark.parametrize("path", [p for p in FILES.values() if p.name == "__init__.py"], ids=dotted)
def test_a_room_says_what_it_is(path):
    """What comes in, what goes out, the door and what to read first; the docstring is all that loads with a room."""
    name = dotted(path)
    text, statements = seen(name).document
    if room(name) not in ("__init__", "cli"):
        assert statements == 1
        for what in ("In:", "Out:", "Door:", "Read first:"):
            assert what in " ".join(text.split()), f"the docstring of {name} does not say {what}"


def test_the_kernel_trusts_few():
    """What a proof rests on, whatever it is imported by: nothing that searches, renders or proposes."""
    trusted = closure(["calculus.kernel"])
    assert {room(name) for name in trusted} == {"errors", "expression", "normal_form", "calculus"}
    own = {name for name in trusted if room(name) == "calculus"}
    assert own == {f"calculus.{name}" for name in ("kernel", "meaning", "equality", "rules", "derivation")}
    assert len(FILES["calculus.kernel"].read_text().splitlines()) <= 150
    assert "calculus.kernel" not in closure(["calculus.reverse_mode"])


DATA = {
    "expression.program": ("Equation", "Program"),
    "calculus.derivation": ("Derivation",),
    "proofs.theorem": ("Theorem", "Proof"),
    "checking.verdict": ("Verdict",),
}


@pytest.mark.parametrize("name", DATA)
def test_data_know_no_printers(name):
    """What they import, in the end, typesets nothing; plain text is the syntax in which users write."""
    reached = closure([name])
    assert {other for other in reached if room(other) in ("rendering", "document", "codegen")} <= {
        "rendering.text",
        "rendering.conventions",
    }


def test_a_verdict_is_data():
    assert len(closure(["checking.verdict"])) <= 30


def test_what_can_be_shown_is_registered():
    for module, names in DATA.items():
        for name in names:
            kind = getattr(importlib.import_module(f"symbackprop.{module}"), name)
            assert issubclass(kind, Shown)
    assert REGISTERED_IN.removeprefix("symbackprop.") in FILES


@pytest.mark.parametrize("name", [*(n for n in FILES if room(n) == "frontends"), "checking.verify"])
def test_no_text_is_evaluated(name):
    """No eval, exec, sympify of text or parse_expr anywhere in the front ends.

    `control_flow` compiles the functions that run anyway, from their own source, and runs nothing of it.
    """
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Call):
            forbidden = {"eval", "exec", "compile", "__import__", "parse_expr"}
            forbidden -= {"compile"} if name == "frontends.numpy.control_flow" else set()
            assert getattr(node.func, "id", "") not in forbidden
            assert getattr(node.func, "attr", "") not in ("eval", "parse_expr")


def test_no_names_of_a_benchmark():
    words = ("gradcheck_cases", "benchmark", "leaderboard", "hidden_test")
    for name in FILES:  # what is seen of a module is not kept: each is read once
        assert not any(word in n for n in seen(name).names for word in words), name
