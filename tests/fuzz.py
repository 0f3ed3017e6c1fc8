"""Random NumPy programs with random backward passes, right and wrong: is what `check` says of them so?

    python tests/fuzz.py --programs 200
    python tests/fuzz.py --seconds 600 --seed 7

A forward is a random chain of the operations in `OPERATIONS`, its backward the chain of their transposes; a second one is
rewritten into equal code, a third is edited so that it is probably wrong. What is true of each is found by differences of
the forward in extended precision, which know nothing of the package: PROVED is wrong where the differences disagree with
the backward at some point, REFUTED where they agree with it at the very point that is shown. A program with a wrong verdict
is shrunk and printed. Exit status 1 if there was one.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np

import symbackprop as sb

Shape = tuple[str, ...]
SIZES = ({"N": 3, "D": 2, "M": 4}, {"N": 2, "D": 4, "M": 3}, {"N": 4, "D": 3, "M": 1}, {"N": 1, "D": 5, "M": 2})
SCALES = (1.0, 0.2, 4.0, 25.0)
INPUTS: dict[str, Shape] = {"x": ("N", "D"), "w": ("D", "M"), "v": ("D",), "u": ("N",), "y": ("N",)}
LABELS = {"y": "labels:D"}


class Operation(NamedTuple):
    """A row of the grammar.

    Args:
        takes: the shapes of the operands; "*" is any one shape, the same for all of them.
        gives: the shape of the result, "*" for that of the operands.
        forward: code with {a} and {b} for the operands.
        backward: for each operand its cotangent, with {d} for that of the result and {o} for the result.
    """

    takes: tuple[Any, ...]
    gives: Any
    forward: str
    backward: tuple[str, ...]


def _each(forward: str, slope: str) -> Operation:
    return Operation(("*",), "*", forward, ("{d} * " + slope,))


ROWS, COLUMNS, TABLE, OTHER = ("N",), ("D",), ("N", "D"), ("N", "M")
OPERATIONS: dict[str, Operation] = {
    "exp": _each("np.exp(0.1 * {a})", "0.1 * {o}"),
    "tanh": _each("np.tanh({a})", "(1 - {o} ** 2)"),
    "sigmoid": _each("1 / (1 + np.exp(-{a}))", "{o} * (1 - {o})"),
    "square": _each("{a} ** 2", "2 * {a}"),
    "cube": _each("{a} * {a} * {a}", "3 * {a} ** 2"),
    "log": _each("np.log(1 + {a} ** 2)", "(2 * {a} / (1 + {a} ** 2))"),
    "root": _each("np.sqrt(1 + {a} ** 2)", "({a} / {o})"),
    "sin": _each("np.sin({a})", "np.cos({a})"),
    "scale": _each("1.5 * {a}", "1.5"),
    "relu": _each("np.maximum({a}, 0)", "({a} > 0)"),
    "leaky": _each("np.where({a} > 0.5, {a}, 0.2 * {a} + 0.4)", "np.where({a} > 0.5, 1.0, 0.2)"),
    "clip": _each("np.clip({a}, -1.0, 2.0)", "(({a} > -1.0) & ({a} < 2.0))"),
    "abs": _each("np.abs({a})", "np.sign({a})"),
    "far": _each("np.where({a} > 20.0, 2.0 * {a} - 20.0, {a})", "np.where({a} > 20.0, 2.0, 1.0)"),
    "share": _each("{a} / {a}.shape[0]", "(1 / {a}.shape[0])"),
    "reversed": Operation(("*",), "*", "{a}[::-1]", ("{d}[::-1]",)),
    "rolled": Operation(("*",), "*", "np.concatenate([{a}[1:], {a}[:1]])", ("np.concatenate([{d}[-1:], {d}[:-1]])",)),
    "running": Operation(("*",), "*", "np.cumsum({a}, axis=0)", ("np.cumsum({d}[::-1], axis=0)[::-1]",)),
    "centred": Operation(
        ("*",), "*", "{a} - {a}.mean(axis=0, keepdims=True)", ("{d} - {d}.mean(axis=0, keepdims=True)",)
    ),
    "softmax": Operation(
        (TABLE,),
        TABLE,
        "np.exp({a} - {a}.max(axis=1, keepdims=True)) / np.exp({a} - {a}.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)",
        ("{o} * ({d} - ({d} * {o}).sum(axis=1, keepdims=True))",),
    ),
    "add": Operation(("*", "*"), "*", "{a} + {b}", ("{d}", "{d}")),
    "subtract": Operation(("*", "*"), "*", "{a} - {b}", ("{d}", "-{d}")),
    "multiply": Operation(("*", "*"), "*", "{a} * {b}", ("{d} * {b}", "{d} * {a}")),
    "divide": Operation(
        ("*", "*"),
        "*",
        "{a} / (1 + {b} ** 2)",
        ("{d} / (1 + {b} ** 2)", "-{d} * {a} * 2 * {b} / (1 + {b} ** 2) ** 2"),
    ),
    "larger": Operation(
        ("*", "*"), "*", "np.maximum({a}, {b} + 0.1)", ("{d} * ({a} > {b} + 0.1)", "{d} * ({a} <= {b} + 0.1)")
    ),
    "row sums": Operation((TABLE,), ROWS, "{a}.sum(axis=1)", ("np.repeat({d}[:, None], {a}.shape[1], axis=1)",)),
    "column means": Operation((TABLE,), COLUMNS, "{a}.mean(axis=0)", ("np.ones_like({a}) * {d} / {a}.shape[0]",)),
    "row maxima": Operation(
        (TABLE,), ROWS, "{a}.max(axis=1)", ("{d}[:, None] * ({a} == {a}.max(axis=1, keepdims=True))",)
    ),
    "picked": Operation(
        (TABLE,), ROWS, "{a}[np.arange({a}.shape[0]), y]", ("{d}[:, None] * (np.arange({a}.shape[1]) == y[:, None])",)
    ),
    "plus row": Operation((TABLE, COLUMNS), TABLE, "{a} + {b}", ("{d}", "{d}.sum(axis=0)")),
    "times row": Operation((TABLE, COLUMNS), TABLE, "{a} * {b}", ("{d} * {b}", "({d} * {a}).sum(axis=0)")),
    "times column": Operation(
        (TABLE, ROWS), TABLE, "{a} * {b}[:, None]", ("{d} * {b}[:, None]", "({d} * {a}).sum(axis=1)")
    ),
    "matmul": Operation((TABLE, ("D", "M")), OTHER, "{a} @ {b}", ("{d} @ {b}.T", "{a}.T @ {d}")),
    "gram": Operation((OTHER, TABLE), ("M", "D"), "{a}.T @ {b}", ("{b} @ {d}.T", "{a} @ {d}")),
    "transposed": Operation((("M", "D"),), ("D", "M"), "{a}.T", ("{d}.T",)),
    "product": Operation((TABLE, COLUMNS), ROWS, "{a} @ {b}", ("{d}[:, None] * {b}", "{a}.T @ {d}")),
    "outer": Operation((ROWS, COLUMNS), TABLE, "np.outer({a}, {b})", ("{d} @ {b}", "{a} @ {d}")),
}


@dataclass(frozen=True)
class Line:
    """One operation of a program: result, operands, and which row of the table it is."""

    result: str
    operands: tuple[str, ...]
    operation: str

    def forward(self) -> str:
        """As a line of the forward."""
        return f"{self.result} = {self._filled(OPERATIONS[self.operation].forward)}"

    def backward(self) -> list[str]:
        """As lines of the backward, one for each operand."""
        texts = OPERATIONS[self.operation].backward
        return [f"d{a} = d{a} + {self._filled(t)}" for a, t in zip(self.operands, texts, strict=True)]

    def _filled(self, text: str) -> str:
        a, b = (*self.operands, "", "")[:2]
        return text.format(a=a, b=b, o=self.result, d=f"d{self.result}")


@dataclass(frozen=True)
class Case:
    """A forward, and one of its backward passes.

    Args:
        edits: lines of the backward that read otherwise, by their number.
        kind: "right", "rewritten" or "edited".
    """

    lines: tuple[Line, ...]
    edits: tuple[tuple[int, str], ...] = ()
    kind: str = "right"

    @property
    def inputs(self) -> dict[str, Shape]:
        """The inputs that are read."""
        read = {a for line in self.lines for a in line.operands}
        read |= {"y"} if any("y" in re.findall(r"\w+", line.forward()) for line in self.lines) else set()
        return {name: shape for name, shape in INPUTS.items() if name in read}

    def backward_lines(self) -> list[str]:
        """The lines that add up the cotangents."""
        lines = [text for line in reversed(self.lines) for text in line.backward()]
        for number, text in self.edits:
            lines[number] = text
        return [text for text in lines if not re.match(r"dy\b", text)]

    def source(self) -> str:
        """Both functions as code."""
        arguments = ", ".join(self.inputs)
        last, own = self.lines[-1].result, [line.result for line in self.lines]
        forward = [line.forward() for line in self.lines]
        differentiable = [n for n in self.inputs if n not in LABELS]
        zeros = [f"d{n} = np.zeros_like({n})" for n in (*differentiable, *own[:-1])]
        returned = ", ".join(f'"{n}": d{n}' for n in differentiable)
        parts = [
            f"def forward({arguments}):",
            *(f"    {text}" for text in [*forward, f"return {last}"]),
            "",
            "",
            f"def backward(dout, {arguments}):",
            *(f"    {text}" for text in [*forward, *zeros, f"d{last} = dout", *self.backward_lines()]),
            f"    return {{{returned}}}",
        ]
        return "\n".join(parts)

    def functions(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """The two functions."""
        names: dict[str, Any] = {"np": np}
        exec(compile(self.source(), "<fuzz>", "exec"), names)
        return names["forward"], names["backward"]


def program(r: random.Random, length: int) -> tuple[Line, ...]:
    """A random chain: each operation reads what is there, mostly what was made last; what is not used is dropped."""
    shapes = {name: shape for name, shape in INPUTS.items() if name not in LABELS}
    lines: list[Line] = []
    while len(lines) < length:
        name = r.choice(list(OPERATIONS))
        operation = OPERATIONS[name]
        latest = [line.result for line in lines][-2:]
        any_shape = shapes[r.choice(latest or list(shapes))]
        operands = []
        for wanted in operation.takes:
            fitting = [n for n, s in shapes.items() if s == (any_shape if wanted == "*" else wanted)]
            recent = [n for n in fitting if n in latest]
            if fitting:
                operands.append(r.choice(recent) if recent and r.random() < 0.8 else r.choice(fitting))
        if len(operands) < len(operation.takes):
            continue
        result = f"h{len(lines)}"
        shapes[result] = any_shape if operation.gives == "*" else operation.gives
        lines.append(Line(result, tuple(operands), name))
    return used(lines)


def used(lines: Sequence[Line]) -> tuple[Line, ...]:
    """The lines that the last one depends on."""
    needed, kept = {lines[-1].result}, []
    for line in reversed(lines):
        if line.result in needed:
            needed |= set(line.operands)
            kept.append(line)
    return tuple(reversed(kept))


# Equal code, and code that is probably wrong: patterns of a line and what stands there instead.
REWRITES = (
    (r"(\w+) \*\* 2", r"(\1 * \1)"),
    (r"2 \* (\w+)", r"(\1 + \1)"),
    (r"(d\w+) \* (\w+)$", r"np.multiply(\2, \1)"),
    (r"\(1 - (\w+) \*\* 2\)", r"((1 - \1) * (1 + \1))"),
    (r"= (\w+) \+ (.+)$", r"= (\2) + \1"),
    (r"(\w+)\.T @ (\w+)", r"(\2.T @ \1).T"),
    (r"\.sum\(axis=0\)", r".T.sum(axis=1)"),
    (r"np\.sign\((\w+)\)", r"np.where(\1 > 0, 1.0, -1.0)"),
    (r"> 0\)", r">= 0)"),
)
EDITS = (
    (r"\+ (.+)$", r"+ 2 * (\1)"),
    (r"\+ (.+)$", r"- (\1)"),
    (r"\+ (.+)$", r"* 1.0"),
    (r"\+ (.+)$", r"+ 1.0001 * (\1)"),
    (r" - ", " + "),
    (r" > ", " < "),
    (r"2 \* ", ""),
    (r" \*\* 2", ""),
    (r"\[::-1\]", ""),
    (r"\[-1:\], (\w+)\[:-1\]", r"[:1], \1[1:]"),
    (r"axis=0\)", "axis=0) / 2"),
    (r"\.shape\[0\]", ".shape[-1]"),
    (r"0\.5", "0.501"),
    (r"20\.0", "30.0"),
    (r"20\.0, 2\.0", "20.0, 2.5"),
    (r"-1\.0\) & \((\w+) <", r"-1.0) | (\1 >"),
    (r"\(np\.arange\((\w+)\.shape\[1\]\) == y", r"(np.arange(\1.shape[1]) <= y"),
    (r"\+ (.*)\b(dh\d|dout)\b", r"+ \1(\2 * 0.5)"),
)


def variants(lines: tuple[Line, ...], r: random.Random) -> Iterator[Case]:
    """The right backward, one that is rewritten, and one that is edited."""
    right = Case(lines)
    yield right
    for kind, table in (("rewritten", REWRITES), ("edited", EDITS)):
        texts = [text for line in reversed(lines) for text in line.backward()]
        choices = [
            (k, new)
            for (k, text), (old, by) in product(enumerate(texts), table)
            if (new := re.sub(old, by, text, count=1)) != text and _is_code(new)
        ]
        if choices:
            yield Case(lines, (r.choice(choices),), kind)


def _is_code(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compile(text, "line", "exec")
    except (SyntaxError, SyntaxWarning):
        return False
    return True


# --- what is true ---------------------------------------------------------------------------------------------------


def point(case: Case, sizes: dict[str, int], scale: float, seed: int) -> dict[str, Any]:
    """Inputs of the case in extended precision."""
    rng = np.random.default_rng(seed)
    values: dict[str, Any] = {}
    for name, shape in case.inputs.items():
        dimensions = tuple(sizes[s] for s in shape)
        values[name] = (
            rng.integers(0, sizes["D"], dimensions)
            if name in LABELS
            else (scale * rng.normal(size=dimensions)).astype(np.longdouble)
        )
    return values


def slopes(forward: Callable[..., Any], values: dict[str, Any], dout: Any, name: str) -> Any:
    """The derivative of sum(dout * forward) by each entry; nan where two steps do not agree, near a kink."""
    found = np.full(values[name].shape, np.nan, dtype=np.longdouble)
    for place in np.ndindex(*found.shape):
        both = []
        for step in (np.longdouble(2.0) ** -17, np.longdouble(2.0) ** -20):
            sides = []
            for sign in (1, -1):
                moved = values[name].copy()
                moved[place] += sign * step
                sides.append((dout * forward(**{**values, name: moved})).sum())
            both.append((sides[0] - sides[1]) / (2 * step))
        if np.isfinite(both).all() and abs(both[0] - both[1]) <= 1e-7 * (1 + abs(both[1])):
            found[place] = both[1]
    return found


def disagreement(case: Case, values: dict[str, Any], dout: Any) -> float:
    """The largest difference between the backward and the slopes, relative to the slopes; nan where nothing exists."""
    forward, backward = case.functions()
    with np.errstate(all="ignore"):
        claimed = backward(dout, **values)
        worst = np.nan
        for name, claim in claimed.items():
            truth = slopes(forward, values, dout, name)
            if np.shape(claim) != truth.shape:
                return np.inf
            gap = np.abs(claim - truth) / (1 + np.nanmax(np.abs(truth), initial=0.0))
            if not np.isnan(gap).all():
                worst = np.fmax(worst, np.nanmax(gap))
    return float(worst)


def is_wrong(case: Case, seed: int) -> bool:
    """True if the backward is certainly wrong at some point."""
    for k, (sizes, scale) in enumerate(product(SIZES, SCALES)):
        values = point(case, sizes, scale, seed + k)
        forward, _ = case.functions()
        with np.errstate(all="ignore"):
            shape = np.shape(forward(**values))
        dout = np.random.default_rng([seed, k]).normal(size=shape).astype(np.longdouble)
        if disagreement(case, values, dout) > 1e-5:
            return True
    return False


def verdict_of(case: Case) -> Any:
    """What `check` says."""
    forward, backward = case.functions()
    labels = {k: v for k, v in LABELS.items() if k in case.inputs}
    return sb.check(forward, backward, shapes=case.inputs, assume=labels, seconds=5.0)


def is_wrongly_judged(case: Case, verdict: Any, seed: int) -> bool:
    """True if what was said is not so."""
    if verdict.status == "PROVED":
        return is_wrong(case, seed)
    if verdict.status == "MALFORMED":
        try:
            return not is_wrong(case, seed)
        except Exception:
            return False  # NumPy refuses it too
    if verdict.status != "REFUTED":
        return False
    found = verdict.counterexample
    values = {n: a if n in LABELS else np.asarray(a, dtype=np.longdouble) for n, a in found.inputs.items()}
    gap = disagreement(case, values, np.asarray(found.upstream, dtype=np.longdouble))
    return gap < 1e-12 * (1 + abs(found.entry.difference))


def shrunk(case: Case, seed: int) -> Case:
    """A case with fewer lines that is judged wrongly too."""
    progress = True
    while progress and len(case.lines) > 1:
        progress = False
        for smaller in _smaller(case):
            try:
                wrong = is_wrongly_judged(smaller, verdict_of(smaller), seed)
            except Exception:
                continue  # a line is missed that others need
            if wrong:
                case, progress = smaller, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    """The case without one of its lines, its result replaced by an operand."""
    texts = [(n, k) for n, line in reversed(list(enumerate(case.lines))) for k, _ in enumerate(line.operands)]
    for n, gone in enumerate(case.lines[:-1]):
        if any(texts[number][0] == n for number, _ in case.edits):
            continue
        swap = {gone.result: gone.operands[0]}
        rest = [
            Line(line.result, tuple(swap.get(a, a) for a in line.operands), line.operation)
            for line in case.lines
            if line is not gone
        ]
        before = [t for t in texts if t[0] != n]
        edits = tuple((before.index(texts[number]), text) for number, text in case.edits)
        pattern, by = rf"\b(d?){gone.result}\b", rf"\g<1>{gone.operands[0]}"
        yield Case(tuple(rest), tuple((k, re.sub(pattern, by, text)) for k, text in edits), case.kind)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make programs, ask for verdicts, compare, shrink what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=100, help="backward passes that are judged")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    start, counts, wrong, seed = time.monotonic(), Counter[tuple[str, str]](), 0, options.seed
    while counts.total() < options.programs and time.monotonic() - start < options.seconds:
        r = random.Random(seed)
        seed += 1
        for case in variants(program(r, r.randint(1, 6)), r):
            verdict = verdict_of(case)
            counts[case.kind, verdict.status] += 1
            if is_wrongly_judged(case, verdict, seed):
                wrong += 1
                small = shrunk(case, seed)
                print(
                    f"seed {seed - 1}: {case.kind}, judged {verdict.status}\n\n{small.source()}\n\n{verdict}\n",
                    flush=True,
                )
    for (kind, status), count in sorted(counts.items()):
        print(f"{kind:<10} {status:<10} {count}")
    print(f"{counts.total()} backward passes, {wrong} wrong verdicts, {time.monotonic() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
