"""Do the tests guard the trusted part? Small wrong edits are made, one at a time; each must be caught by a test.

    python tests/mutation.py                            # all trusted rooms, every edit
    python tests/mutation.py --room normal_form --most 40
    python tests/mutation.py --sample 60 --seed 5       # an estimate, by edits that nobody has tried before
    python tests/mutation.py --list                     # the edits, without running anything
    python tests/mutation.py --patches DIRECTORY        # edits made by hand, one diff a file
    python tests/mutation.py --tests tests/normal_form  # judged by these tests alone, whatever they enter

The edits are rows of `KINDS`: found in the syntax tree, told by their function and text, so that they survive it when
files move. An edit is judged in a copy of the project by the fast tests that enter the block in which it is made,
those nearest to its room and quickest first, until one fails (of those that are far the quickest alone). Which tests these are is found out once for each
test file, and kept beside the temporary files until it changes; where the package has changed much since, `--anew` finds
it out again. A test that fails catches an edit only if it passes without.
Survivors that were shown to change nothing that is promised stand in `mutation_survivors.md` with the reason; they are
left out of the count. Exit status 0 if at least 90 % of the others were caught.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import gc
import hashlib
import importlib
import inspect
import itertools
import json
import math
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))
from entered import Entered, blocks_by_line, instrument  # noqa: E402

PACKAGE = ROOT / "symbackprop"
SURVIVORS = Path(__file__).with_name("mutation_survivors.md")
SECONDS, SLOWER = 20.0, 4.0  # of work, for the tests of one edit: so long, and so often what they take without one
LONGEST = 15.0  # of work, for one test
PATIENCE = 20  # how many times as long a busy machine may take
WANTED = 0.9
LEFT_OUT = shutil.ignore_patterns(".git", "shared", "benchmarks", ".*_cache", ".hypothesis", "docs")


class Room(NamedTuple):
    """A part of the package, and the fast tests nearest to it, the nearest first.

    Args:
        files: patterns below the package.
        tests: patterns below `tests`.
        trusted: whether edits are made here; the others only say which tests are near.
    """

    files: tuple[str, ...]
    tests: tuple[str, ...]
    trusted: bool = True


KEPT = Path(tempfile.gettempdir()) / "symbackprop-reach"
MOST_ASKED = 60.0  # seconds that tests which are asked for may take
MOST_BEYOND = 12.0  # seconds of tests that are not near to a room, for one edit
BEYOND = ("calculus", "normal_form", "expression", "checking", "frontends")  # their fast tests judge every edit

ROOMS = {
    "kernel": Room(
        (
            "calculus/kernel.py",
            "calculus/meaning.py",
            "calculus/equality.py",
            "normal_form/renaming.py",
            "expression/program.py",
        ),
        (
            "calculus/test_forgeries.py",
            "calculus/test_kernel.py",
            "normal_form/test_renaming.py",
            "expression/test_names.py",
        ),
    ),
    "rules": Room(
        ("calculus/rules.py",),
        (
            "calculus/test_rules.py",
            "calculus/test_reverse_mode.py",
            "calculus/test_forgeries.py",
            "calculus/test_kernel.py",
        ),
    ),
    "normal_form": Room(("normal_form/[!m]*.py",), ("normal_form/test_[!m]*.py", "calculus/test_kernel.py")),
    "equations": Room(
        ("normal_form/modulo_*.py",), ("normal_form/test_modulo_equations.py", "checking/test_check_ranges.py")
    ),
    "lemmas": Room(
        ("calculus/lemmas.py", "expression/recurrence.py"),
        ("calculus/test_lemmas.py", "expression/test_recurrence.py"),
    ),
    "sizes": Room(
        ("expression/siz*.py", "expression/cancellation.py", "expression/build.py", "expression/nodes.py"),
        tuple(
            f"expression/test_{name}.py" for name in ("size_proofs", "size_laws", "wrong_orders", "expression", "sizes")
        ),
    ),
    "judge": Room(
        tuple(
            f"checking/{name}.py"
            for name in ("decide", "proof_search", "check", "verify", "refute", "question", "trace_agreement")
        ),
        tuple(
            f"checking/test_{name}.py"
            for name in (
                "decisions",
                "refuting",
                "asking_numpy",
                "formula_decisions",
                "examination",
                "lines_of_defence",
                "judge",
                "domains",
                "trace_agreement",
                "refute",
                "no_number",
                "check_raising",
            )
        ),
    ),
    "reverse mode": Room(  # what it proposes the kernel replays
        ("calculus/pull_back.py", "calculus/reverse_mode.py"),
        ("calculus/test_reverse_mode.py", "calculus/test_kernel.py"),
        trusted=False,
    ),
    "trace": Room(
        ("frontends/numpy/*.py",),
        tuple(f"frontends/test_{name}.py" for name in ("numpy_views", "numpy_meaning", "traced")),
        trusted=False,
    ),
    "codegen": Room(
        ("codegen/**/*.py", "proofs/stable_logs.py"),
        ("proofs/test_stable_logs.py", "codegen/test_codegen_network.py"),
        trusted=False,
    ),
    "training": Room(
        ("training/*.py",),
        tuple(f"training/test_{name}.py" for name in ("training_steps", "data", "loop")),
        trusted=False,
    ),
    "printing": Room(
        ("rendering/*.py", "document/*.py"), ("rendering/test_math.py", "document/test_document.py"), trusted=False
    ),
}


def files_of(room: Room) -> list[Path]:
    """The modules of a room that no earlier room has."""
    found = [f for pattern in room.files for f in sorted(PACKAGE.glob(pattern))]
    earlier = itertools.takewhile(lambda other: other is not room, ROOMS.values())
    taken = {f for other in earlier for pattern in other.files for f in PACKAGE.glob(pattern)}
    return [f for f in found if f not in taken]


def tests_of(room: Room) -> list[str]:
    """The test files near a room, below the project's folder, the nearest first."""
    folder = Path(__file__).parent
    found = [f for pattern in room.tests for f in sorted(folder.glob(pattern))]
    return [str(f.relative_to(ROOT)) for f in found]


def room_of(file: Path) -> str:
    """The first room that holds the file."""
    return next((name for name, room in ROOMS.items() if file in files_of(room)), "judge")


# --- the kinds of edits ---------------------------------------------------------------------------------------------

# Nothing timed is asserted in tests: what only says how long a search goes on is not edited.
TIMED = re.compile(
    r"deadline|seconds|SECONDS|perf_counter|monotonic|time_left|budget|\bnow\b|patience|BUDGET|late\(\)|fits\("
)
Edit = tuple[ast.AST, ast.AST | str]  # what is replaced, and by what


def _variant(node: ast.AST, change: Callable[[ast.AST], object]) -> ast.AST:
    other = copy.deepcopy(node)
    change(other)
    return other


def operand_dropped(node: ast.AST) -> Iterator[Edit]:
    """`a and b` is `b`, then `a`; likewise for `or`."""
    if isinstance(node, ast.BoolOp):
        for k in range(len(node.values)):
            rest = node.values[:k] + node.values[k + 1 :]
            yield node, rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


_STRICT: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}


def strictness_flipped(node: ast.AST) -> Iterator[Edit]:
    """< is <=, and the other way round."""
    if isinstance(node, ast.Compare):
        for k, operator in enumerate(node.ops):
            if type(operator) in _STRICT:
                ops = [*node.ops[:k], _STRICT[type(operator)](), *node.ops[k + 1 :]]
                yield node, ast.Compare(node.left, ops, node.comparators)


def bound_moved(node: ast.AST) -> Iterator[Edit]:
    """A number in a comparison, a sum or a slice is one larger."""
    if isinstance(node, ast.Compare):
        inside: list[ast.expr] = [node.left, *node.comparators]
    elif isinstance(node, ast.BinOp):
        inside = [node.left, node.right]
    elif isinstance(node, ast.Slice):
        inside = [e for e in (node.lower, node.upper) if e is not None]
    else:
        return
    for part in inside:
        if isinstance(part, ast.Constant) and type(part.value) is int:
            yield part, ast.Constant(part.value + 1)


def guard_skipped(node: ast.AST) -> Iterator[Edit]:
    """A check before `return None`, `return False`, `raise` or `continue` is not made."""
    if isinstance(node, ast.If) and not node.orelse and len(node.body) == 1 and _refuses(node.body[0]):
        yield node.test, ast.Constant(False)


def _refuses(statement: ast.stmt) -> bool:
    if isinstance(statement, (ast.Raise, ast.Continue)):
        return True
    return isinstance(statement, ast.Return) and (
        statement.value is None
        or (isinstance(statement.value, ast.Constant) and statement.value.value in (None, False, ""))
        or (isinstance(statement.value, ast.List) and not statement.value.elts)
    )


def guard_negated(node: ast.AST) -> Iterator[Edit]:
    """A branch is taken where it should not be."""
    if isinstance(node, (ast.If, ast.IfExp)):
        yield node.test, ast.UnaryOp(ast.Not(), node.test)


_TWINS = {"max": "min", "min": "max", "any": "all", "all": "any"}


def extremes_swapped(node: ast.AST) -> Iterator[Edit]:
    """max for min, all for any."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _TWINS:
        yield node.func, ast.Name(_TWINS[node.func.id])
    if isinstance(node, ast.Constant) and node.value in ("max", "min"):
        yield node, ast.Constant(_TWINS[str(node.value)])


def condition_forgotten(node: ast.AST) -> Iterator[Edit]:
    """What a proof made use of is not written down."""
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    if (
        isinstance(node, ast.Assign)
        and isinstance(target, ast.Subscript)
        and ast.unparse(target.value).endswith("used")
    ):
        yield node, "pass"
    if isinstance(node, ast.AugAssign) and ast.unparse(node.target).endswith("used"):
        yield node, "pass"


def said_at_once(node: ast.AST) -> Iterator[Edit]:
    """A function that answers yes or no says yes without looking."""
    if isinstance(node, ast.FunctionDef) and node.returns is not None and ast.unparse(node.returns) == "bool":
        first = node.body[1 if ast.get_docstring(node) and len(node.body) > 1 else 0]
        yield first, "return True"


_BINARY = ("add", "plus", "minus", "subtract", "multiply", "times", "intersection", "union")


def operand_lost(node: ast.AST) -> Iterator[Edit]:
    """A sum, product, union or intersection of two things is the one, then the other."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitOr, ast.BitAnd)):
        yield node, node.left
        yield node, node.right
    if isinstance(node, ast.Call) and len(node.args) == 2 and not any(isinstance(a, ast.Starred) for a in node.args):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in _BINARY:
            yield node, node.args[0]


def filter_dropped(node: ast.AST) -> Iterator[Edit]:
    """A comprehension takes everything."""
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        for k, loop in enumerate(node.generators):
            for n in range(len(loop.ifs)):
                yield node, _variant(node, lambda c, k=k, n=n: c.generators[k].ifs.pop(n))  # type: ignore[attr-defined, misc]


def sign_lost(node: ast.AST) -> Iterator[Edit]:
    """-a is a; a - b is a + b."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node, node.operand
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
        yield node, ast.BinOp(node.left, ast.Add(), node.right)


KINDS: tuple[Callable[[ast.AST], Iterator[Edit]], ...] = (
    operand_dropped,
    strictness_flipped,
    bound_moved,
    guard_skipped,
    guard_negated,
    extremes_swapped,
    condition_forgotten,
    said_at_once,
    operand_lost,
    filter_dropped,
    sign_lost,
)


@dataclass(frozen=True)
class Mutant:
    """One edit.

    Args:
        name: function, kind and text: the same wherever the function stands.
        block: the innermost block that it stands in (see `entered`), "" if that is not known.
        source: the whole file, edited.
    """

    name: str
    block: str
    file: Path
    line: int
    source: str


def mutants_of(file: Path) -> Iterator[Mutant]:
    """The edits of one module, in the order of its lines."""
    data = file.read_bytes()
    seen: dict[str, int] = {}
    tree = ast.parse(data)
    starts, lines = blocks_by_line(tree), _line_starts(data)
    for function, node in _inside_functions(tree, ""):
        for kind in KINDS:
            for old, new in kind(node):
                start, end = _span(lines, old)
                whole = _span(lines, node) if isinstance(node, ast.expr) else (start, end)
                if TIMED.search(data[whole[0] : whole[1]].decode()) and kind is not said_at_once:
                    continue
                before = data[start:end].decode()
                after = new if isinstance(new, str) else ast.unparse(ast.fix_missing_locations(new))
                if kind is said_at_once:
                    end, before = start, ""
                    after += "\n" + " " * old.col_offset  # type: ignore[attr-defined]
                elif isinstance(old, ast.expr):
                    after = f"({after})"
                name = f"{function}: {kind.__name__}: {_short(before)} -> {_short(after)}"
                seen[name] = seen.get(name, 0) + 1
                told = name if seen[name] == 1 else f"{name} #{seen[name]}"
                source = (data[:start] + after.encode() + data[end:]).decode()
                yield Mutant(told, starts.get(old.lineno, ""), file, old.lineno, source)  # type: ignore[attr-defined]


def _inside_functions(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST]]:
    """The nodes of function bodies with the functions' names; no annotations, patterns, messages or assertions."""
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "pattern", "defaults", "kw_defaults"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, (ast.Assert, ast.JoinedStr)):
                continue
            inner = function
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                inner = f"{function}.{child.name}".lstrip(".")
            if inner and not isinstance(child, ast.ClassDef):
                yield inner, child
            if not isinstance(child, ast.Raise):
                yield from _inside_functions(child, inner)


def _line_starts(data: bytes) -> list[int]:
    return [0, *itertools.accumulate(len(line) + 1 for line in data.split(b"\n"))]


def _span(lines: list[int], node: ast.AST) -> tuple[int, int]:
    first = lines[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
    last = lines[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
    return first, last


def _short(text: str) -> str:
    return " ".join(text.split()).replace("|", "¦")


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _patched(patches: Iterable[Path]) -> Iterator[Mutant]:
    for patch in patches:
        try:
            yield by_patch(patch)
        except LookupError as error:
            print(f"{patch.stem}: left out: {error}", file=sys.stderr)


def by_patch(patch: Path) -> Mutant:
    """The edit of a diff: put where its lines stand now, whatever the file is called."""
    files: dict[Path, str] = {}
    blocks: list[tuple[list[str], list[str]]] = []
    for line in patch.read_text().splitlines():
        if line.startswith("@@"):
            blocks.append(([], []))
        elif blocks and not line.startswith(("diff", "index", "---", "+++")):
            for side, marks in zip(blocks[-1], (" -", " +"), strict=True):
                if line[:1] in tuple(marks) or not line:
                    side.append(line[1:])
    changed: Mutant | None = None
    for before, after in blocks:
        file, old, new = _place(before, after)
        text = files.get(file) or file.read_text()
        files[file] = text.replace(old, new, 1)
        changed = Mutant(patch.stem, "", file, text[: text.index(old)].count("\n") + 1, files[file])
    if changed is None or len(files) != 1:
        raise LookupError(f"{patch.name}: the edit is not in one file")
    return changed


def _place(before: list[str], after: list[str]) -> tuple[Path, str, str]:
    """The one module that holds the lines, with as much of the context as still stands there."""
    for cut in range(4):
        top = cut if before[:cut] == after[:cut] else 0
        low = cut if before[len(before) - cut :] == after[len(after) - cut :] else 0
        old = "\n".join(before[top : len(before) - low])
        new = "\n".join(after[top : len(after) - low])
        holding = [f for f in sorted(PACKAGE.rglob("*.py")) if f.read_text().count(old) == 1]
        if len(holding) == 1:
            return holding[0], old, new
    raise LookupError("the lines stand nowhere in the package: " + " ".join(before)[:80])


# --- running --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What became of an edit: the test that caught it, "" if none did."""

    mutant: Mutant
    caught_by: str
    seconds: float


def run_tests(
    place: Path, tests: Sequence[str], seconds: float, told: Path | None = None, edited: tuple[Path, str] | None = None
) -> str:
    """The first test that fails in a copy of the project, "time" after so many seconds of work, "" if all pass.

    With a file to be told no test is the last one, and the file holds the blocks that each enters (see `entered`).
    The tests run in a fork of this process, which has imported what is slow to import.

    Args:
        edited: a module of the copy, and its text before the edit that stands in it now.
    """
    log = place / "output.txt"
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds) + 1))
        if edited and not put_in(*edited):
            _forget(place)
        _in_the_child(place, tests, log, told)
    deadline = time.monotonic() + PATIENCE * seconds
    status = None
    while status is None and time.monotonic() < deadline:
        done, code = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if done else None
        time.sleep(0 if done else 0.02)
    if status is None:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "time"
    if status in (-signal.SIGXCPU, -signal.SIGPROF, -signal.SIGKILL):
        return "time"
    if status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return ""
    found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", log.read_text(errors="replace"), re.MULTILINE)
    if not found and status == pytest.ExitCode.USAGE_ERROR:
        raise RuntimeError("tests are not found by their names:\n" + log.read_text(errors="replace"))
    return found[1] if found else "does not import"


def _in_the_child(place: Path, tests: Sequence[str], log: Path, told: Path | None) -> NoReturn:
    code = 1
    listener = Entered(told) if told else None
    try:
        os.setsid()
        _go_to(place)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", *([] if listener else ["-x"])]
        code = int(pytest.main([*options, *tests], plugins=[listener or Impatient()]))
    finally:
        sys.stdout.flush()
        os._exit(code)


class Impatient:
    """A plugin that ends the process where one test works too long: an edit may leave it in a circle."""

    def pytest_runtest_setup(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, LONGEST)


def _go_to(place: Path) -> None:
    """From here on the project is the one in a copy."""
    os.chdir(place)
    here = {str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "helpers")}
    sys.path[:] = [str(place), *(p for p in sys.path if p not in here and p != str(place))]
    os.environ["PYTHONPATH"] = str(place)
    sys.dont_write_bytecode = True


def put_in(module: Path, before: str) -> bool:
    """Let the functions of a module that is imported do what its text says now; False where that takes an import.

    Edits stand in functions: to give these their new code is a hundred times quicker than to import the package again.
    """
    old, new = (_codes(compile(text, str(module), "exec")) for text in (before, module.read_text()))
    if old.keys() != new.keys() or any(len(old[name]) != len(new[name]) for name in old):
        return False  # what is inside of an expression has gone: a comprehension, a lambda
    moved = {}
    for name, codes in old.items():
        for one, other in zip(codes, new[name], strict=True):
            if not one.co_flags & inspect.CO_OPTIMIZED and _run_at_import(one) != _run_at_import(other):
                return False
            moved[name, one.co_firstlineno, one.co_code] = other
    for function in gc.get_objects():
        if isinstance(function, types.FunctionType) and function.__code__.co_filename == str(module):
            code = function.__code__
            other = moved.get((code.co_qualname, code.co_firstlineno, code.co_code))
            if other is None or other.co_freevars != code.co_freevars:
                return False
            function.__code__ = other
    return True


def _codes(code: types.CodeType) -> dict[str, list[types.CodeType]]:
    """By name, all that is compiled in a module, in the order of its lines."""
    found: dict[str, list[types.CodeType]] = {}
    waiting = [code]
    while waiting:
        code = waiting.pop(0)
        found.setdefault(code.co_qualname, []).append(code)
        waiting += [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return found


def _run_at_import(code: types.CodeType) -> tuple[object, ...]:
    return code.co_code, code.co_names, [c for c in code.co_consts if not isinstance(c, types.CodeType)]


def _forget(place: Path) -> None:
    """What was imported from a copy is imported again."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(place)):
            del sys.modules[name]


def judged(mutants: Sequence[Mutant], jobs: int, tests: Sequence[str] = ()) -> Iterator[Outcome]:
    """Each edit with what became of it, as they are done.

    Args:
        tests: what judges each of them, instead of the tests that enter it.
    """
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / f"copy{k}" for k in range(jobs)]
        for place in places:
            shutil.copytree(ROOT, place, ignore=LEFT_OUT)
        if tests:
            orders = [([*tests], MOST_ASKED)] * len(mutants)
        else:
            reach = _reach(Path(folder) / "instrumented")
            orders = [_order(m, reach) for m in mutants]
        context = multiprocessing.get_context("fork")
        free = context.Queue()
        for place in places:
            free.put(place)
        files = sorted({t.split("::")[0] for tests, _ in orders for t in tests})
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_take, initargs=(free, files)) as pool:
            yield from pool.map(_judge, mutants, orders)


Reach = dict[str, tuple[float, frozenset[str]]]  # of each test: its seconds, and the blocks that it enters


def _reach(place: Path) -> Reach:
    """What each test that may judge enters."""
    near = {t for room in ROOMS.values() if room.trusted for t in tests_of(room)}
    fast = {str(f.relative_to(ROOT)) for folder in BEYOND for f in Path(__file__).parent.glob(f"{folder}/test_*.py")}
    found: Reach = {}
    for test in sorted(near | fast):
        for name, (seconds, blocks) in _reach_of(place, test, "" if test in near else "not slow").items():
            found[name] = seconds, frozenset(blocks)
    return found


def _reach_of(place: Path, test: str, marked: str) -> dict[str, tuple[float, list[str]]]:
    mark = hashlib.sha256((ROOT / test).read_bytes()).hexdigest()
    kept = KEPT / f"{test.replace('/', '.')}-{mark[:16]}.json"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        _instrument(place)
        failed = run_tests(place, [test, "-m", marked], 30 * SECONDS, kept)
        if failed:
            print(f"{failed} fails without any edit, and is left out", file=sys.stderr)
        if not kept.exists():
            return {}
    return json.loads(kept.read_text())  # type: ignore[no-any-return]


def _instrument(place: Path) -> None:
    """A copy of the project whose trusted rooms tell what is entered, if it is not there."""
    if not place.exists():
        shutil.copytree(ROOT, place, ignore=LEFT_OUT)
        for file in {f for room in ROOMS.values() if room.trusted for f in files_of(room)}:
            instrument(place / file.relative_to(ROOT), str(file.relative_to(PACKAGE)))


def _order(mutant: Mutant, reach: Reach) -> tuple[list[str], float]:
    """The tests that enter the block that is edited, the nearest and quickest first, and their seconds."""
    near = tests_of(ROOMS[room_of(mutant.file)])
    block = f"{mutant.file.relative_to(PACKAGE)}:{mutant.block}"
    ranked = []
    for test, (seconds, blocks) in reach.items():
        if block in blocks or not mutant.block:
            ranked.append((test.split("::")[0] not in near, seconds, test))
    chosen_tests, total, beyond = list[str](), 0.0, 0.0
    for far, seconds, test in sorted(ranked):
        beyond += seconds if far else 0.0
        if beyond <= MOST_BEYOND:
            chosen_tests.append(test)
            total += seconds
    return chosen_tests, total


_own: list[Path] = []  # in a worker: its copy of the project


def _take(free: Any, files: Sequence[str]) -> None:
    """Take one of the copies, and import it with its tests: of what is imported only the edited functions change."""
    _own.append(free.get())
    _go_to(_own[0])
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        pytest.main(["-q", "-p", "no:cacheprovider", "-o", "addopts=", "--collect-only", *files])


def _judge(mutant: Mutant, order: tuple[list[str], float]) -> Outcome:
    start, (tests, seconds) = time.perf_counter(), order
    caught = _caught_by(mutant, tests, seconds)
    while caught in tests and run_tests(_own[0], [caught], SECONDS + SLOWER * seconds):  # without the edit, too
        tests = [t for t in tests if t != caught]
        caught = _caught_by(mutant, tests, seconds)
    return Outcome(mutant, caught, time.perf_counter() - start)


def _caught_by(mutant: Mutant, tests: Sequence[str], seconds: float) -> str:
    """The test that fails with the edit, as `run_tests` says it."""
    edited = _own[0] / mutant.file.relative_to(ROOT)
    original = edited.read_bytes()
    try:
        edited.write_text(mutant.source)
        before = edited, original.decode()
        return run_tests(_own[0], tests, SECONDS + SLOWER * seconds, edited=before) if tests else ""
    finally:
        edited.write_bytes(original)


def known_survivors() -> dict[str, str]:
    """The edits that change nothing that is promised, with the reason."""
    if not SURVIVORS.exists():
        return {}
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \|$", SURVIVORS.read_text(), re.MULTILINE)
    return dict(rows)


def chosen(mutants: Iterable[Mutant], most: int | None, seed: int = 0) -> list[Mutant]:
    """At most so many edits that compile, spread over all of them: the same ones in every run with one seed."""
    everything = list(mutants)
    ranked = sorted(everything, key=lambda m: hashlib.sha256(f"{seed or ''}{m.name}".encode()).digest())
    kept = set(itertools.islice((m for m in ranked if _compiles(m.source)), most))
    return [m for m in everything if m in kept]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the edits, run the tests, and say which edits survived."""
    trusted = [name for name, room in ROOMS.items() if room.trusted]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--room", choices=trusted, help="one room of the trusted part; all of them without")
    parser.add_argument("--most", type=int, help="at most so many edits in each room")
    parser.add_argument("--sample", type=int, help="at most so many edits of all rooms together")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of edits where there are more")
    parser.add_argument("--list", action="store_true", help="only list the edits")
    parser.add_argument("--jobs", type=int, default=2, help="edits that are judged at once")
    parser.add_argument("--only", default="", help="edits whose name this pattern is found in")
    parser.add_argument("--patches", type=Path, help="a folder of diffs, instead of the edits of the table")
    parser.add_argument("--tests", nargs="+", default=(), help="test files or folders that judge the edits, alone")
    parser.add_argument("--anew", action="store_true", help="find out anew which tests enter what")
    options = parser.parse_args(arguments)
    if options.anew:
        shutil.rmtree(KEPT, ignore_errors=True)
    if options.patches:
        mutants = list(_patched(p for p in sorted(options.patches.glob("*.patch")) if re.match(options.only, p.stem)))
    else:
        rooms = [options.room] if options.room else trusted
        mutants = []
        for name in rooms:
            found = (m for f in files_of(ROOMS[name]) for m in mutants_of(f) if re.search(options.only, m.name))
            mutants += found if options.most is None else chosen(found, options.most, options.seed)
        mutants = chosen(mutants, options.sample, options.seed)
    if options.list:
        for mutant in mutants:
            print(f"{mutant.file.relative_to(ROOT)}:{mutant.line}: {mutant.name}")
        return 0
    return _report(mutants, options.jobs, options.tests)


def _report(mutants: Sequence[Mutant], jobs: int, tests: Sequence[str]) -> int:
    harmless, caught, survived = known_survivors(), 0, list[Mutant]()
    for outcome in judged([m for m in mutants if m.name not in harmless], jobs, tests):
        mutant = outcome.mutant
        caught += bool(outcome.caught_by)
        survived += [] if outcome.caught_by else [mutant]
        word = f"caught by {outcome.caught_by}" if outcome.caught_by else "SURVIVED"
        place = mutant.file.relative_to(ROOT)
        print(f"{place}:{mutant.line}: {mutant.name}: {word} ({outcome.seconds:.1f} s)", flush=True)
    left_out = sum(m.name in harmless for m in mutants)
    total = caught + len(survived)
    share = caught / total if total else 1.0
    print(f"\n{caught} of {total} caught ({100 * share:.1f} %), {left_out} more are known to be harmless")
    for mutant in survived:
        print(f"  survived: {mutant.file.relative_to(ROOT)}:{mutant.line}: {mutant.name}")
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    for name in ("numpy", "sympy", "scipy.special", "flint", "hypothesis"):
        importlib.import_module(name)
    sys.exit(main())
