"""Imports point down, modules stay small, and nothing in the package knows a benchmark."""

import ast
from pathlib import Path

import pytest

import symbackprop

ROOT = Path(symbackprop.__file__).parent
MAXIMUM_LINES = 400
# A module imports only from rows above its own; a package (canonical, codegen, trace, document) counts as one module.
ROWS = (
    ("errors", "freeing", "layout"),
    ("fields", "files", "layout_mathml", "layout_tex", "parameters", "primitives"),
    ("nodes", "notation", "optimizers", "scalar", "storage", "table"),
    ("expression",),
    ("closures", "data", "display", "polynomial", "sympy_form"),
    ("latex",),
    ("program",),
    ("cancellation", "trials"),
    ("cotangents", "derivation", "evaluate", "plain", "readable", "rules", "run", "sizes", "spelling"),
    ("arrival", "reader", "relations"),
    ("canonical", "differentiate", "document", "formula", "progress", "proof", "question", "trace", "train"),
    ("counterexample", "description", "equations", "gathering", "kernel", "plot", "points", "resolve", "unfold"),
    ("tidying", "vectors", "vocabulary"),
    ("codegen", "screening", "slips"),
    ("substitutes",),
    ("edits",),
    ("concatenation",),
    ("rewording",),
    ("closed_forms", "cured"),
    ("short_backward",),
    ("comparing", "directed", "seeking", "sweeping", "network", "shrink", "verdict"),
    ("error_terms", "locating"),
    ("by_numpy", "mending"),
    ("any_depth", "diagnosis", "raising", "refute", "rerun"),
    ("backprop", "deciding"),
    ("claims", "first_page", "proving", "verifying"),
    ("checking", "compiling", "gallery"),
    ("estimators", "layer_exhibit"),
    ("cli",),
    ("__init__",),
    ("__main__",),
)
ROW_OF = {name: row for row, names in enumerate(ROWS) for name in names}
FILES = sorted(ROOT.rglob("*.py"))
TRUSTED = (
    "errors",
    "nodes",
    "primitives",
    "expression",
    "program",
    "sympy_form",
    "rules",
    "sizes",
    "polynomial",
    "cancellation",
    "trials",
    "derivation",
    "canonical",
)


def unit(path: Path) -> str:
    """The module, or the package that holds it."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imports(node: ast.AST) -> list[str]:
    """Modules of our own package that are imported anywhere below `node`, without those for type checkers alone."""
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.ImportFrom) and (child.module or "").split(".")[0] == "symbackprop":
            parts = (child.module or "").split(".")
            found += [parts[1]] if len(parts) > 1 else [a.name for a in child.names]
        found += imports(child)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    name = unit(path)
    assert name in ROW_OF, f"{name} is not in the table of rows"
    for other in imports(ast.parse(path.read_text())):
        assert other == name or ROW_OF[other] < ROW_OF[name], f"{name} imports {other}, which is not above it"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_function_imports_our_own_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            assert imports(node) == []


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_are_small(path):
    lines = len(path.read_text().splitlines())
    assert lines <= MAXIMUM_LINES, f"{path.name} has {lines} lines"


def test_packages_have_no_cycles():
    graph = {p: set() for p in FILES}
    by_name = {
        ".".join(("symbackprop", *p.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): p
        for p in FILES
    }
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module in by_name and path.name != "__init__.py":
                graph[path].add(by_name[node.module])
                graph[path] |= {by_name[m] for a in node.names if (m := f"{node.module}.{a.name}") in by_name}
    done: set[Path] = set()
    while True:
        ready = [p for p in graph if p not in done and not {q for q in graph[p] if q.name != "__init__.py"} - done]
        if not ready:
            break
        done.update(ready)
    assert not {p.name for p in FILES if p not in done}


def test_the_kernel_trusts_few():
    """The kernel does not know who proposes; `differentiate` does not know the kernel."""
    kernel = set(imports(ast.parse((ROOT / "kernel.py").read_text())))
    assert kernel <= set(TRUSTED), kernel - set(TRUSTED)
    assert "kernel" not in imports(ast.parse((ROOT / "differentiate.py").read_text()))


def test_no_text_is_evaluated():
    """No eval, exec, sympify of text or parse_expr anywhere in the front ends."""
    for name in ("formula.py", "description.py", "network.py", "verifying.py"):
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if isinstance(node, ast.Call):
                assert getattr(node.func, "id", "") not in ("eval", "exec", "compile", "__import__", "parse_expr")
                assert getattr(node.func, "attr", "") not in ("eval", "parse_expr")


@pytest.mark.parametrize("word", ["gradcheck_cases", "benchmark", "leaderboard", "hidden_test"])
def test_no_names_of_a_benchmark(word):
    for path in FILES:
        code = ast.parse(path.read_text())
        names = {getattr(n, "id", getattr(n, "attr", getattr(n, "name", ""))) for n in ast.walk(code)}
        assert not any(word in str(n).lower() for n in names), path.name
