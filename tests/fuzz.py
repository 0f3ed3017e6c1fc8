"""Random NumPy programs with random backward passes, right and wrong: is what `check` says of them so?

    python tests/fuzz.py --programs 200
    python tests/fuzz.py --seconds 600 --seed 7
    python tests/fuzz.py --seconds 600 --unhurried      # with the searches and budgets that a user gets
    python tests/fuzz.py --seeds 0:9000 --results fuzz.jsonl      # can be stopped and run again; several may run at once

A forward is a random chain of the operations in `OPERATIONS`; its first backward is the chain of their transposes. Others
are rewritten into equal code, or edited so that they are probably wrong. Each pair of a forward and a backward goes
through `check`, as functions, with a cache, or as methods of one object. What is true of it is found by tangents that
NumPy carries through the forward in extended precision (`helpers/tangents.py`), and by differences at a point where a
branch turns; neither knows anything of the package:

- PROVED is wrong where the tangents disagree with the backward at some point of its scope;
- REFUTED is wrong where they agree with the backward, or there is no derivative, at the very entry that is shown;
- a normal form is wrong that calls a gradient equal which random numbers refute, whatever the verdict says.

What is wrong is shrunk and printed. Exit status 1 if there was anything.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import pathlib
import random
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from helpers.tangents import Tangents

import symbackprop as sb
from symbackprop.checking import budget, check, decide
from symbackprop.checking.verdict import Verdict

Shape = tuple[str, ...]
SIZES = (
    {"N": 3, "D": 2, "M": 4},
    {"N": 2, "D": 4, "M": 3},
    {"N": 4, "D": 3, "M": 1},
    {"N": 1, "D": 5, "M": 2},
    {"N": 5, "D": 1, "M": 2},
)
SCALES = (1.0, 0.2, 4.0, 25.0)
INPUTS: dict[str, Shape] = {"x": ("N", "D"), "w": ("D", "M"), "v": ("D",), "u": ("N",), "y": ("N",)}
LABELS = {"y": "labels:D"}
STYLES = ("functions", "functions", "cache", "methods")
REWRITTEN, EDITED = 2, 8  # backward passes of each forward
WORK = 1.5  # seconds of work for one verdict
BLOCK = 10  # seeds between two entries of a file of results
CONTRADICTED = "the normal form proves what numbers refute"


class Operation(NamedTuple):
    """A row of the grammar.

    Args:
        takes: the shapes of the operands; "*" is any one shape, the same for all of them.
        gives: the shape of the result, "*" for that of the operands.
        forward: code with {a} and {b} for the operands: an expression, or statements that define {o}.
        backward: for each operand its cotangent, with {d} for that of the result and {o} for the result; or statements
            that change {da}.
        weight: how often it is chosen.
    """

    takes: tuple[Any, ...]
    gives: Any
    forward: str
    backward: tuple[str, ...]
    weight: int = 4


def _each(forward: str, slope: str, weight: int = 4) -> Operation:
    return Operation(("*",), "*", forward, ("{d} * " + slope,), weight)


ROWS, COLUMNS, TABLE, OTHER = ("N",), ("D",), ("N", "D"), ("N", "M")
SMOOTH = {
    "exp": _each("np.exp(0.1 * {a})", "0.1 * {o}"),
    "tanh": _each("np.tanh({a})", "(1 - {o} ** 2)"),
    "sigmoid": _each("1 / (1 + np.exp(-{a}))", "{o} * (1 - {o})"),
    "square": _each("{a} ** 2", "2 * {a}"),
    "cube": _each("{a} * {a} * {a}", "3 * {a} ** 2"),
    "log": _each("np.log(1 + {a} ** 2)", "(2 * {a} / (1 + {a} ** 2))"),
    "root": _each("np.sqrt(1 + {a} ** 2)", "({a} / {o})"),
    "sin": _each("np.sin({a})", "np.cos({a})"),
    "scale": _each("1.5 * {a}", "1.5"),
    "shift": _each("{a} + 0.1", "1.0", 1),
    "add": Operation(("*", "*"), "*", "{a} + {b}", ("{d}", "{d}")),
    "subtract": Operation(("*", "*"), "*", "{a} - {b}", ("{d}", "-{d}")),
    "multiply": Operation(("*", "*"), "*", "{a} * {b}", ("{d} * {b}", "{d} * {a}")),
    "divide": Operation(
        ("*", "*"),
        "*",
        "{a} / (1 + {b} ** 2)",
        ("{d} / (1 + {b} ** 2)", "-{d} * {a} * 2 * {b} / (1 + {b} ** 2) ** 2"),
    ),
}
DOMAINS = {
    "inverse": _each("1 / {a}", "-({o} ** 2)", 2),
    "logarithm": _each("np.log({a})", "(1 / {a})", 2),
    "square root": _each("np.sqrt({a})", "(0.5 / {o})", 2),
    "log of a square": _each("np.log({a} ** 2)", "(2 / {a})", 2),
    "there and back": _each("np.exp(np.log({a}))", "1.0", 1),
    "broken power": _each("np.abs({a}) ** 1.5", "(1.5 * np.sqrt(np.abs({a})) * np.sign({a}))", 2),
    "quotient": Operation(("*", "*"), "*", "{a} / {b}", ("{d} / {b}", "-{d} * {a} / {b} ** 2"), 2),
    "norm": Operation((TABLE,), ROWS, "np.sqrt(({a} ** 2).sum(axis=1))", ("({d} / {o})[:, None] * {a}",)),
}
BRANCHES = {
    "relu": _each("np.maximum({a}, 0)", "({a} > 0)"),
    "leaky": _each("np.where({a} > 0.5, {a}, 0.2 * {a} + 0.4)", "np.where({a} > 0.5, 1.0, 0.2)"),
    "clip": _each("np.clip({a}, -1.0, 2.0)", "(({a} > -1.0) & ({a} < 2.0))"),
    "abs": _each("np.abs({a})", "np.sign({a})"),
    "far": _each("np.where({a} > 20.0, 2.0 * {a} - 20.0, {a})", "np.where({a} > 20.0, 2.0, 1.0)"),
    "one point": _each("np.where({a} == 0.25, 1.0, 3.0 * {a})", "3.0", 1),
    "both signs": _each(
        "np.where(({a} > 0) | ({a} < -1.0), {a} ** 2, -{a})", "np.where(({a} > 0) | ({a} < -1.0), 2 * {a}, -1.0)", 2
    ),
    "larger": Operation(
        ("*", "*"), "*", "np.maximum({a}, {b} + 0.1)", ("{d} * ({a} > {b} + 0.1)", "{d} * ({a} <= {b} + 0.1)")
    ),
    "chosen": Operation(
        ("*", "*"),
        "*",
        "np.where({a} > 0, {b}, 2.0 * {a})",
        ("{d} * np.where({a} > 0, 0.0, 2.0)", "{d} * ({a} > 0)"),
        2,
    ),
    "row maxima": Operation(
        (TABLE,), ROWS, "{a}.max(axis=1)", ("{d}[:, None] * ({a} == {a}.max(axis=1, keepdims=True))",)
    ),
    "largest": Operation(
        (TABLE,),
        ROWS,
        "{a}[np.arange({a}.shape[0]), {a}.argmax(axis=1)]",
        ("{d}[:, None] * (np.arange({a}.shape[1]) == {a}.argmax(axis=1)[:, None])",),
    ),
}
TYPES = {
    "counted": _each("{a} * ({a} > 0).sum(axis=0)", "({a} > 0).sum(axis=0)", 2),
    "flagged": _each("{a} * ({a} > 0).astype(int)", "({a} > 0)", 2),
    "floored": _each("{a} + np.floor({a})", "1.0", 2),
    "rounded": _each("{a} * np.round({a})", "np.round({a})", 2),
    "by label": Operation((ROWS,), ROWS, "{a} * (y + 1)", ("{d} * (y + 1)",), 2),
    "by parity": Operation((ROWS,), ROWS, "{a} * (y % 2)", ("{d} * (y % 2)",), 2),
    "in a byte": Operation((ROWS,), ROWS, "{a} * (y.astype(np.uint8) - 1)", ("{d} * (y.astype(np.uint8) - 1)",), 1),
    "any": Operation(
        (TABLE,), TABLE, "{a} * ({a} > 1.0).any(axis=1)[:, None]", ("{d} * ({a} > 1.0).any(axis=1)[:, None]",), 2
    ),
    "picked": Operation(
        (TABLE,), ROWS, "{a}[np.arange({a}.shape[0]), y]", ("{d}[:, None] * (np.arange({a}.shape[1]) == y[:, None])",)
    ),
    "one-hot": Operation((TABLE,), TABLE, "{a} * np.eye({a}.shape[1])[y]", ("{d} * np.eye({a}.shape[1])[y]",), 2),
}
PLACES = {
    "share": _each("{a} / {a}.shape[0]", "(1 / {a}.shape[0])"),
    "reversed": Operation(("*",), "*", "{a}[::-1]", ("{d}[::-1]",)),
    "rolled": Operation(("*",), "*", "np.concatenate([{a}[1:], {a}[:1]])", ("np.concatenate([{d}[-1:], {d}[:-1]])",)),
    "running": Operation(("*",), "*", "np.cumsum({a}, axis=0)", ("np.cumsum({d}[::-1], axis=0)[::-1]",)),
    "differences": Operation(
        ("*",),
        "*",
        "np.concatenate([{a}[:1], {a}[1:] - {a}[:-1]])",
        ("{d} - np.concatenate([{d}[1:], np.zeros_like({d}[:1])])",),
    ),
    "centred": Operation(
        ("*",), "*", "{a} - {a}.mean(axis=0, keepdims=True)", ("{d} - {d}.mean(axis=0, keepdims=True)",)
    ),
    "flat": _each("{a}.reshape(-1).reshape({a}.shape)", "1.0", 1),
    "every other": Operation(
        ("*",),
        "*",
        "{o} = {a}.copy()\n{o}[::2] = 2 * {o}[::2]",
        ("t = {d}.copy()\nt[::2] = 2 * t[::2]\n{da} = {da} + t",),
        2,
    ),
    "through a view": Operation(
        ("*",),
        "*",
        "{o} = {a} + 0\nt = {o}[1:]\nt *= 3",
        ("t = np.ones_like({d})\nt[1:] = 3\n{da} = {da} + t * {d}",),
        2,
    ),
    "first again": Operation(
        ("*",), "*", "{o} = {a}.copy()\n{o}[0] += {a}[0]", ("{da} = {da} + {d}\n{da}[0] += {d}[0]",), 2
    ),
    "masked": Operation(
        ("*",),
        "*",
        "{o} = {a}.copy()\n{o}[{a} < 0.25] = 0.25",
        ("t = {d}.copy()\nt[{a} < 0.25] = 0\n{da} = {da} + t",),
        2,
    ),
    "weighted": Operation(
        ("*",),
        "*",
        "{o} = np.zeros_like({a})\nfor i in range({a}.shape[0]):\n    {o}[i] = {a}[i] * (i + 1)",
        ("for i in range({a}.shape[0]):\n    {da}[i] = {da}[i] + {d}[i] * (i + 1)",),
        2,
    ),
    "carried": Operation(
        (ROWS,),
        ROWS,
        "{o} = {a}.copy()\nfor i in range(1, {a}.shape[0]):\n    {o}[i] = {o}[i] + 0.5 * {o}[i - 1]",
        ("t = {d}.copy()\nfor i in range({a}.shape[0] - 1, 0, -1):\n    t[i - 1] += 0.5 * t[i]\n{da} = {da} + t",),
        1,
    ),
    "by size": _each("(2 * {a} if {a}.shape[0] > 2 else {a})", "(2 if {a}.shape[0] > 2 else 1)", 1),
    "row sums": Operation((TABLE,), ROWS, "{a}.sum(axis=1)", ("np.repeat({d}[:, None], {a}.shape[1], axis=1)",)),
    "column means": Operation((TABLE,), COLUMNS, "{a}.mean(axis=0)", ("np.ones_like({a}) * {d} / {a}.shape[0]",)),
    "spread": Operation(
        (TABLE,), COLUMNS, "{a}.var(axis=0)", ("{d} * 2 * ({a} - {a}.mean(axis=0)) / {a}.shape[0]",), 2
    ),
    "plus row": Operation((TABLE, COLUMNS), TABLE, "{a} + {b}", ("{d}", "{d}.sum(axis=0)")),
    "times row": Operation((TABLE, COLUMNS), TABLE, "{a} * {b}", ("{d} * {b}", "({d} * {a}).sum(axis=0)")),
    "times column": Operation(
        (TABLE, ROWS), TABLE, "{a} * {b}[:, None]", ("{d} * {b}[:, None]", "({d} * {a}).sum(axis=1)")
    ),
    "softmax": Operation(
        (TABLE,),
        TABLE,
        "np.exp({a} - {a}.max(axis=1, keepdims=True)) / np.exp({a} - {a}.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)",
        ("{o} * ({d} - ({d} * {o}).sum(axis=1, keepdims=True))",),
    ),
    "pairs": Operation(
        (ROWS, ROWS),
        ROWS,
        "np.tanh({a}[:, None] - {b}).sum(axis=1)",
        (
            "({d}[:, None] * (1 - np.tanh({a}[:, None] - {b}) ** 2)).sum(axis=1)",
            "-({d}[:, None] * (1 - np.tanh({a}[:, None] - {b}) ** 2)).sum(axis=0)",
        ),
        2,
    ),
    "matmul": Operation((TABLE, ("D", "M")), OTHER, "{a} @ {b}", ("{d} @ {b}.T", "{a}.T @ {d}")),
    "einsum": Operation(
        (TABLE, ("D", "M")),
        OTHER,
        "np.einsum('nd,dm->nm', {a}, {b})",
        ("np.einsum('nm,dm->nd', {d}, {b})", "np.einsum('nm,nd->dm', {d}, {a})"),
        2,
    ),
    "gram": Operation((OTHER, TABLE), ("M", "D"), "{a}.T @ {b}", ("{b} @ {d}.T", "{a} @ {d}")),
    "transposed": Operation((("M", "D"),), ("D", "M"), "{a}.T", ("{d}.T",)),
    "product": Operation((TABLE, COLUMNS), ROWS, "{a} @ {b}", ("{d}[:, None] * {b}", "{a}.T @ {d}")),
    "outer": Operation((ROWS, COLUMNS), TABLE, "np.outer({a}, {b})", ("{d} @ {b}", "{a} @ {d}")),
}
OPERATIONS: dict[str, Operation] = {**SMOOTH, **DOMAINS, **BRANCHES, **TYPES, **PLACES}


@dataclass(frozen=True)
class Line:
    """One operation of a program: result, operands, and which row of the table it is."""

    result: str
    operands: tuple[str, ...]
    operation: str

    def forward(self) -> str:
        """As lines of the forward."""
        text = OPERATIONS[self.operation].forward
        return self._filled(text if text.startswith("{o} =") else "{o} = " + text)

    def backward(self) -> list[str]:
        """As lines of the backward, one group for each operand."""
        texts = OPERATIONS[self.operation].backward
        found = []
        for operand, text in zip(self.operands, texts, strict=True):
            whole = text if "{da}" in text else "{da} = {da} + " + text
            found.append(self._filled(whole.replace("{da}", f"d{operand}")))
        return found

    def _filled(self, text: str) -> str:
        a, b = (*self.operands, "", "")[:2]
        return text.format(a=a, b=b, o=self.result, d=f"d{self.result}")


@dataclass(frozen=True)
class Case:
    """A forward, and one of its backward passes.

    Args:
        edits: lines of the backward that read otherwise, by their number.
        kind: "right", "rewritten" or "edited".
        style: how both are handed to `check`.
    """

    lines: tuple[Line, ...]
    edits: tuple[tuple[int, str], ...] = ()
    kind: str = "right"
    style: str = "functions"

    @property
    def inputs(self) -> dict[str, Shape]:
        """The inputs that are read."""
        read = {a for line in self.lines for a in line.operands}
        read |= {"y"} if any(re.search(r"\by\b", line.forward()) for line in self.lines) else set()
        return {name: shape for name, shape in INPUTS.items() if name in read}

    def backward_lines(self) -> list[str]:
        """The lines that add up the cotangents."""
        lines = [text for line in reversed(self.lines) for text in line.backward()]
        for number, text in self.edits:
            lines[number] = text
        return [text for text in lines if not re.match(r"dy\b", text)]

    def source(self, style: str | None = None) -> str:
        """Both passes as code, in the style of the case or another one."""
        return _WRITTEN[style or self.style](self)

    def functions(self, style: str | None = None) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """The two functions."""
        return _compiled(self.source(style))


def _passes(case: Case) -> tuple[list[str], list[str], str]:
    """The lines of both passes, and what the second returns."""
    last, own = case.lines[-1].result, [line.result for line in case.lines]
    forward = [row for line in case.lines for row in line.forward().split("\n")]
    differentiable = [n for n in case.inputs if n not in LABELS]
    zeros = [f"d{n} = np.zeros_like({n})" for n in (*differentiable, *own[:-1])]
    backward = [*zeros, f"d{last} = dout", *(row for text in case.backward_lines() for row in text.split("\n"))]
    return forward, backward, "{" + ", ".join(f'"{n}": d{n}' for n in differentiable) + "}"


def _function(head: str, lines: Sequence[str], indent: str = "") -> str:
    return "\n".join([f"{indent}def {head}:", *(f"{indent}    {text}" for text in lines)])


def _as_functions(case: Case) -> str:
    forward, backward, returned = _passes(case)
    names, last = ", ".join(case.inputs), case.lines[-1].result
    first = _function(f"forward({names})", [*forward, f"return {last}"])
    return first + "\n\n\n" + _function(f"backward(dout, {names})", [*forward, *backward, f"return {returned}"])


def _with_cache(case: Case) -> str:
    """The forward hands what the backward needs to it."""
    forward, backward, returned = _passes(case)
    kept = ", ".join(dict.fromkeys((*case.inputs, *(line.result for line in case.lines)))) + ","
    last = case.lines[-1].result
    first = _function(f"forward({', '.join(case.inputs)})", [*forward, f"cache = ({kept})", f"return {last}, cache"])
    return first + "\n\n\n" + _function("backward(dout, cache)", [f"{kept} = cache", *backward, f"return {returned}"])


def _as_methods(case: Case) -> str:
    """Two methods of one object, which keeps what the backward needs."""
    forward, backward, returned = _passes(case)
    kept = ", ".join(dict.fromkeys((*case.inputs, *(line.result for line in case.lines)))) + ","
    names, last = ", ".join(case.inputs), case.lines[-1].result
    first = _function(f"forward(self, {names})", [*forward, f"self.kept = ({kept})", f"return {last}"], "    ")
    second = _function("backward(self, dout)", [f"{kept} = self.kept", *backward, f"return {returned}"], "    ")
    made = "layer = Layer()\nforward, backward = layer.forward, layer.backward"
    return f"class Layer:\n{first}\n\n{second}\n\n\n{made}"


_WRITTEN = {"functions": _as_functions, "cache": _with_cache, "methods": _as_methods}


@cache
def _compiled(source: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    names: dict[str, Any] = {"np": np}
    exec(compile(source, "<fuzz>", "exec"), names)
    return names["forward"], names["backward"]


def program(r: random.Random, length: int) -> tuple[Line, ...]:
    """A random chain: each operation reads what is there, mostly what was made last; what is not used is dropped."""
    shapes = {name: shape for name, shape in INPUTS.items() if name not in LABELS}
    names, weights = list(OPERATIONS), [o.weight for o in OPERATIONS.values()]
    lines: list[Line] = []
    while len(lines) < length:
        name = r.choices(names, weights)[0]
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
    (r"(\w+) \*\* 2", r"np.square(\1)"),
    (r"\b2 \* (\w+)", r"(\1 + \1)"),
    (r"(d\w+) \* (\w+)$", r"np.multiply(\2, \1)"),
    (r"\(1 - (\w+) \*\* 2\)", r"((1 - \1) * (1 + \1))"),
    (r"^(d\w+) = (d\w+) \+ (.+)$", r"\1 = (\3) + \2"),
    (r"^(d\w+) = (d\w+) \+ (.+)$", r"\1 = \2 - -(\3)"),
    (r"^(d\w+) = (d\w+) \+ (.+)$", r"\1 = \2.copy()\n\1 += \3"),
    (r"^(d\w+) = (d\w+) \+ (.+)$", r"\1 = \2 + 0.5 * (\3) + (\3) / 2"),
    (r"(\w+)\.T @ (\w+)", r"(\2.T @ \1).T"),
    (r"(\w+)\.T @ (\w+)", r"np.dot(\1.T, \2)"),
    (r"\.sum\(axis=0\)", r".T.sum(axis=-1)"),
    (r"(\w+)\.sum\(axis=0\)", r"np.ones(\1.shape[0]) @ \1"),
    (r"\.mean\(axis=0, keepdims=True\)", r".mean(0)"),
    (r"np\.sign\((\w+)\)", r"np.where(\1 > 0, 1.0, -1.0)"),
    (r"\((\w+) > 0\)", r"np.where(\1 > 0, 1.0, 0.0)"),
    (r"\((\w+) > 0\)", r"(\1 > 0).astype(float)"),
    (r"\((\w+) > 0\)", r"np.heaviside(\1, 0.5)"),
    (r"> 0\)", r">= 0)"),
    (r"np\.cos\((\w+)\)", r"np.sqrt(1 - np.sin(\1) ** 2) * np.sign(np.cos(\1))"),
    (r"\[::-1\]", r"[::-1].copy()"),
    (r"(\w+)\[:, None\]", r"\1.reshape(-1, 1)"),
    (r"np\.repeat\((\w+)\[:, None\], (\w+)\.shape\[1\], axis=1\)", r"np.outer(\1, np.ones(\2.shape[1]))"),
    (r"\(i \+ 1\)", r"(1 + i)"),
    (r"1\.5 \* np\.sqrt\(np\.abs\((\w+)\)\) \* np\.sign\(\w+\)", r"1.5 * \1 / np.sqrt(np.abs(\1))"),
)
EDITS = (
    (r"\+ (.+)$", r"+ 2 * (\1)"),
    (r"\+ (.+)$", r"- (\1)"),
    (r"\+ (.+)$", r"* 1.0"),
    (r"\+ (.+)$", r"+ 1.0001 * (\1)"),
    (r"\+ (.+)$", r"+ (\1) + 1e-6"),
    (r"^(d\w+) = d\w+ \+ ", r"\1 = "),
    (r" - ", " + "),
    (r" > ", " < "),
    (r" \| ", " & "),
    (r"\b2 \* ", ""),
    (r" \*\* 2", ""),
    (r" \*\* 2", " ** 4"),
    (r"\[::-1\]", ""),
    (r"\[::2\]", "[1::2]"),
    (r"\[1:\]", "[:-1]"),
    (r"\[0\] \+=", "[-1] +="),
    (r"\[-1:\], (\w+)\[:-1\]", r"[:1], \1[1:]"),
    (r"\[-1:\], (\w+)\[:-1\]", r"[:1], \1[:-1]"),
    (r"axis=0\)", "axis=0) / 2"),
    (r"axis=1", "axis=0"),
    (r"axis=0, keepdims=True", "keepdims=True"),
    (r"\.mean\(", ".sum("),
    (r"\.shape\[0\]", ".shape[-1]"),
    (r"(\w+)\.shape\[0\]", r"max(\1.shape[0], 2)"),
    (r"(\w+)\.shape\[0\]", r"(\1.shape[0] - 1)"),
    (r"0\.5", "0.501"),
    (r"0\.25", "0.125"),
    (r"20\.0", "30.0"),
    (r"20\.0, 2\.0", "20.0, 2.5"),
    (r"1\.5", "1.5000001"),
    (r"-1\.0\) & \((\w+) <", r"-1.0) | (\1 >"),
    (r"\(np\.arange\((\w+)\.shape\[1\]\) == y", r"(np.arange(\1.shape[1]) <= y"),
    (r"argmax", "argmin"),
    (r"\.any\(", ".all("),
    (r"astype\(np\.uint8\)", "astype(int)"),
    (r"% 2", "// 2"),
    (r"\(y \+ 1\)", "y"),
    (r"\(i \+ 1\)", "i"),
    (r"np\.round", "np.floor"),
    (r"np\.sign\((\w+)\)", r"(\1 > 0)"),
    (r"\.copy\(\)", ""),
    (r"\.T\b", ""),
    (r"'nm,dm->nd'", "'nd,dm->nm'"),
    (r"'nm,nd->dm'", "'nm,md->dm'"),
    (r"\+ (.*)\b(dh\d|dout)\b", r"+ \1(\2 * 0.5)"),
    (r"\+ (.*)\b(h\d)\b", r"+ \1(\2 + 0.001)"),
    (r"\+ (.+)$", r"+ np.abs(\1)"),
)


def variants(lines: tuple[Line, ...], r: random.Random) -> Iterator[Case]:
    """The right backward, some that are rewritten, and some that are edited."""
    yield Case(lines, style=r.choice(STYLES))
    texts = [text for line in reversed(lines) for text in line.backward()]
    for kind, table, most in (("rewritten", REWRITES, REWRITTEN), ("edited", EDITS, EDITED)):
        choices = [
            (k, new)
            for (k, text), (old, by) in itertools.product(enumerate(texts), table)
            if (new := re.sub(old, by, text, count=1)) != text and _is_code(new)
        ]
        for choice in r.sample(choices, min(most, len(choices))):
            yield Case(lines, (choice,), kind, r.choice(STYLES))


@cache
def _is_code(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compile(text, "line", "exec")
    except (SyntaxError, SyntaxWarning):
        return False
    return True


# --- what is true ---------------------------------------------------------------------------------------------------

STEPS = tuple(np.longdouble(2.0) ** -k for k in (11, 12, 13))
CLOSE = np.longdouble(2.0) ** -44  # nearer than any point that is put beside a threshold
ROUNDING = float(np.finfo(np.longdouble).eps)
EXACT = 1e-9  # so well differences must be known, and a claim is wrong beyond the tenfold
COARSER = 2048 / 64  # how much coarser float64 is than the type that is worked in, with a margin


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


class Slope(NamedTuple):
    """The derivative by one entry.

    Args:
        value: nan where it is not known well.
        kink: whether the slopes to the left and to the right differ for certain.
    """

    value: float
    kink: bool = False


def run_with_tangents(case: Case, values: dict[str, Any]) -> Tangents:
    """The result of the forward with its derivative by each entry of each input."""
    forward, _ = case.functions("functions")
    labels = {n: a.copy() for n, a in values.items() if n in LABELS}
    varied = Tangents.inputs({n: a for n, a in values.items() if n not in LABELS})
    result = forward(**labels, **varied)
    assert isinstance(result, Tangents), "each forward reads an input that varies"
    return result


def gradient(case: Case, values: dict[str, Any], dout: Any) -> dict[str, Any]:
    """The derivative of sum(dout * forward) by each input; nan where a branch may turn at this very point."""
    result = run_with_tangents(case, values)
    nowhere = np.isnan(result.value)[..., None] & (result.tangent != 0)  # what has no value has no derivative
    flat = (dout[..., None] * np.where(nowhere, np.nan, result.tangent)).sum(axis=tuple(range(dout.ndim)))
    flat[result.record.doubtful] = np.nan
    found, first = {}, 0
    for name, value in values.items():
        if name not in LABELS:
            found[name] = flat[first : first + value.size].reshape(value.shape)
            first += value.size
    return found


def slope(case: Case, values: dict[str, Any], dout: Any, name: str, place: tuple[int, ...]) -> Slope:
    """The derivative of sum(dout * forward) by one entry, by differences that are extrapolated twice.

    They are taken within one branch of the program: where it turns on the way they say nothing, and where it turns
    at the very point they say whether there is a kink.
    """

    def total(step: Any) -> tuple[Any, Any, list[bytes]]:
        moved = {n: a.copy() for n, a in values.items()}
        moved[name][place] += step
        result = run_with_tangents(case, moved)
        terms = dout * result.value
        return terms.sum(), np.abs(terms).sum(), result.record.branches

    middle, middle_size, branches = total(0)
    found, size, one_branch = [], float(middle_size), True
    for step in STEPS:
        (above, *sizes, way), (below, *others, other_way) = total(step), total(-step)
        if not np.isfinite([above, below, *sizes, *others]).all():
            return Slope(np.nan)
        found.append((above - below) / (2 * step))
        size = max(size, *map(float, (*sizes, *others)))
        one_branch &= way == other_way
    better = [(4 * b - a) / 3 for a, b in itertools.pairwise(found)]
    scale = 1 + abs(float(better[1]))
    close = abs(better[0] - better[1]) <= EXACT * scale and abs(found[1] - found[2]) <= 1e-4 * scale
    if 8 * ROUNDING * size > EXACT / 10 * scale * float(STEPS[-1]):
        return Slope(np.nan)
    (above, _, way), (below, _, other_way) = total(CLOSE), total(-CLOSE)
    bend = abs(above - 2 * middle + below) / CLOSE
    if bend > 1e-3 * scale + 100 * ROUNDING * size / float(CLOSE):
        return Slope(np.nan, not way == branches == other_way)
    return Slope(float(better[1]) if close and one_branch else np.nan)


def claims(case: Case, values: dict[str, Any], dout: Any) -> dict[str, Any]:
    """What the backward returns."""
    _, backward = case.functions("functions")
    found: dict[str, Any] = backward(dout.copy(), **{n: a.copy() for n, a in values.items()})
    return found


def is_wrong_at(case: Case, values: dict[str, Any], dout: Any, no_number: bool = False) -> bool:
    """True if the backward is not the gradient at this point, beyond all that rounding may do to both.

    Args:
        no_number: whether nan is wrong where the gradient is finite; it may be an overflow.
    """
    claimed, true = claims(case, values, dout), gradient(case, values, dout)
    if any(np.shape(claimed[n]) != a.shape for n, a in true.items()):
        return True
    if no_number and any((np.isnan(claimed[n].astype(float)) & np.isfinite(a)).any() for n, a in true.items()):
        return True
    gaps = {n: np.abs(claimed[n] - a) for n, a in true.items()}
    scales = {n: 1 + np.abs(a[np.isfinite(a)]).max(initial=0) for n, a in true.items()}
    if not any((gap > 10 * EXACT * scales[n]).any() for n, gap in gaps.items()):
        return False
    coarse = {n: a if n in LABELS else a.astype(float) for n, a in values.items()}
    again, coarsely = claims(case, coarse, dout.astype(float)), gradient(case, coarse, dout.astype(float))
    return any(
        (gap > 10 * EXACT * scales[n] + (np.abs(again[n] - claimed[n]) + np.abs(coarsely[n] - true[n])) / COARSER).any()
        for n, gap in gaps.items()
    )


def is_wrong(case: Case, seed: int, sizes: Sequence[dict[str, int]] = SIZES, no_number: bool = False) -> bool:
    """True if the backward is certainly wrong at some point, or, with `no_number`, nan where the gradient is finite."""
    forward, _ = case.functions("functions")
    for k, (chosen, scale) in enumerate(itertools.product(sizes, SCALES)):
        values = point(case, chosen, scale, seed + k)
        with np.errstate(all="ignore"):
            shape = np.shape(forward(**{n: a.copy() for n, a in values.items()}))
            dout = np.random.default_rng([seed, k]).normal(size=shape).astype(np.longdouble)
            if is_wrong_at(case, values, dout, no_number):
                return True
    return False


def sizes_of(verdict: Any) -> list[dict[str, int]]:
    """Sizes of which a proof speaks."""
    places = verdict.scope.split(" and ") if " = " in verdict.scope else [""]
    stated = [dict(re.findall(r"(\w) = (\d+)", place)) for place in places]
    found = [{**s, **{n: int(k) for n, k in one.items()}} for s in SIZES for one in stated]
    excluded = [re.fullmatch(r"([NDM]) != (\d+)", c) for c in verdict.conditions]
    return [s for s in found if not any(e and s[e[1]] == int(e[2]) for e in excluded)]


# --- verdicts -------------------------------------------------------------------------------------------------------


def _refuted_at_once(goal: Any, subject: str, found: Any, work: Any, scope: str | None = None) -> Verdict:
    """The verdict without a search for a cause; but the normal form is asked about what random numbers refute."""
    notes: tuple[str, ...] = ()
    if scope is not None and np.isfinite(found.entry.claimed):
        proof = decide.prove(goal, [found.entry.name], goal.sides.quick, work)
        notes = () if proof.unproved else (CONTRADICTED,)
    return Verdict("REFUTED", subject, wrong=(found.entry.name,), counterexample=found, notes=notes)


HURRIED = {
    "first look": 0.04,
    "directed look": 0.2,
    "branches": 0.02,
    "branches at stated sizes": 0.02,
    "outside": 0.2,
    "patient": 0.0,
    "last look": 0.2,
    "stated sizes": 1.0,
}


@contextlib.contextmanager
def hurried(ask_numpy: bool = True) -> Iterator[None]:
    """Without what a fuzzer has no use for: cures, patient proofs, and most of the points that numbers are tried at.

    A wrong proof is less likely to be caught by numbers then.

    Args:
        ask_numpy: whether NumPy runs both functions beside their equations; the differences say in any case what is
            true of the functions themselves.
    """
    shares = {task: budget.Share(seconds) for task, seconds in HURRIED.items()}
    with (
        mock.patch.dict(budget.SHARES, shares),
        mock.patch.object(decide, "refuted", _refuted_at_once),
        mock.patch.multiple(check, refuted=_refuted_at_once, CONCRETE_SCREENED=3, _limit=lambda _: 60),
        contextlib.nullcontext() if ask_numpy else mock.patch.object(check, "agree_with_numpy", lambda *_, **__: ""),
    ):
        yield


def verdict_of(case: Case, unhurried: bool = False) -> Any:
    """What `check` says."""
    forward, backward = case.functions()
    labels = {k: v for k, v in LABELS.items() if k in case.inputs}
    asked = {"shapes": case.inputs, "assume": labels}
    if unhurried:
        return sb.check(forward, backward, **asked, seconds=30.0)
    with hurried(ask_numpy=case.kind != "edited"):
        return sb.check(forward, backward, **asked, seconds=WORK)


def is_wrongly_judged(case: Case, verdict: Any, seed: int) -> bool:
    """True if what was said is not so."""
    if CONTRADICTED in verdict.notes or "internal error" in str(verdict.reason):
        return True
    if verdict.status == "PROVED":
        return is_wrong(case, seed, sizes_of(verdict))
    if verdict.status == "MALFORMED":
        try:
            return not is_wrong(case, seed, no_number=True)  # a backward that gives nan is malformed
        except Exception:
            return False  # NumPy refuses it too
    return verdict.status == "REFUTED" and _agrees_where_refuted(case, verdict.counterexample)


def _agrees_where_refuted(case: Case, found: Any) -> bool:
    """True if the backward is the gradient at the entry that is shown, or there is none."""
    values = {n: a if n in LABELS else np.asarray(a, dtype=np.longdouble) for n, a in found.inputs.items()}
    dout, entry = np.asarray(found.upstream, dtype=np.longdouble), found.entry
    with np.errstate(all="ignore"):
        exact = float(gradient(case, values, dout)[entry.name][entry.index])
        true = Slope(exact) if np.isfinite(exact) else slope(case, values, dout, entry.name, entry.index)
        claim = float(claims(case, values, dout)[entry.name][entry.index])
    if true.kink:
        return True
    certain = abs(entry.difference) > 100 * EXACT * (1 + abs(entry.correct))
    return certain and bool(abs(claim - true.value) < 0.1 * abs(entry.difference))


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
        edits = tuple((k, re.sub(pattern, by, text)) for k, text in edits)
        yield Case(tuple(rest), edits, case.kind, case.style)


@dataclass
class Tally:
    """What was judged from some seeds.

    Args:
        counts: pairs by kind and status, as "edited REFUTED".
        wrong: what was judged wrongly, as it is told.
        forwards: of how many forward passes the pairs are.
    """

    counts: Counter[str]
    wrong: list[str]
    forwards: int = 0

    def add(self, other: Tally) -> None:
        """Put another one to it."""
        self.counts.update(other.counts)
        self.wrong += other.wrong
        self.forwards += other.forwards

    def told(self) -> str:
        """In one line."""
        return f"{self.counts.total()} pairs of {self.forwards} forward passes, {len(self.wrong)} wrong verdicts"


def judged(seed: int, unhurried: bool = False) -> Tally:
    """Make the forward of a seed and its backward passes, ask for verdicts, compare, shrink what is wrong."""
    r, tally = random.Random(seed), Tally(Counter(), [], 1)
    for case in variants(program(r, r.choice((1, 1, 2, 2, 3, 4, 6))), r):
        try:
            verdict = verdict_of(case, unhurried)
            status, wrong = verdict.status, is_wrongly_judged(case, verdict, seed)
        except Exception as error:
            status, wrong = f"{type(error).__name__}: {error}", True
        tally.counts[f"{case.kind} {status.split(':')[0]}"] += 1
        if wrong:
            small = shrunk(case, seed)
            tally.wrong.append(f"seed {seed}: {case.kind}, {status}\n\n{small.source()}\n")
            print(tally.wrong[-1], flush=True)
        if status == "UNDECIDED" and case.kind == "right":
            break  # its other backward passes will hardly be decided either
    _compiled.cache_clear()
    return tally


def version() -> str:
    """The code that judges, as a number."""
    room = pathlib.Path(sb.__file__).parent
    return hashlib.sha1(b"".join(p.read_bytes() for p in sorted(room.rglob("*.py")))).hexdigest()[:10]


def kept(results: pathlib.Path) -> tuple[dict[str, Tally], set[int]]:
    """What a file of results adds up to, by version, and which seeds are in it."""
    tallies, seeds = dict[str, Tally](), set[int]()
    for row in map(json.loads, results.read_text().splitlines() if results.exists() else ()):
        if seeds.intersection(row["seeds"]):
            continue  # of two that ran at once
        seeds.update(row["seeds"])
        tally = Tally(Counter(row["counts"]), row["wrong"], row["forwards"])
        tallies.setdefault(row["version"], Tally(Counter(), [])).add(tally)
    return tallies, seeds


def _run(first: int, end: int, options: argparse.Namespace) -> Tally:
    """Judge the seeds from `first` to `end` that are not in the results, and write each block of them there."""
    start, tally, this = time.monotonic(), Tally(Counter(), []), version()
    done = kept(options.results)[1] if options.results else set()
    for seed in range(first, end, BLOCK):
        block, seeds = Tally(Counter(), []), [one for one in range(seed, min(seed + BLOCK, end)) if one not in done]
        for one in seeds:
            block.add(judged(one, options.unhurried))
            enough = tally.counts.total() + block.counts.total() >= options.programs
            late = options.seconds is not None and time.monotonic() - start > options.seconds
            if (enough or late) and not options.results:
                break
        if not seeds:
            continue
        tally.add(block)
        if options.results:
            with options.results.open("a") as file:
                file.write(json.dumps({"seeds": seeds, "version": this, **vars(block)}) + "\n")
        print(f"seed {seed}: {tally.told()}, {time.monotonic() - start:.0f} s", flush=True)
        if enough or late:
            break
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge a range of seeds, or so many programs, or for so long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, help="pairs of a forward and a backward that are judged at least")
    parser.add_argument("--seconds", type=float, help="stop after so long, however many those are")
    parser.add_argument("--seed", type=int, default=0, help="of the first forward; the next ones have the next seeds")
    parser.add_argument("--seeds", metavar="FIRST:END", help="judge these forwards, instead of so many programs")
    parser.add_argument("--results", type=pathlib.Path, help="a file that grows; what is in it is not judged again")
    parser.add_argument("--unhurried", action="store_true", help="with the budgets and searches that a user gets")
    options = parser.parse_args(arguments)
    if options.seeds:
        first, end = map(int, options.seeds.split(":"))
    else:
        first, end = options.seed, sys.maxsize
        options.programs = options.programs or (100 if options.seconds is None else None)
    options.programs = options.programs or sys.maxsize
    tally = _run(first, end, options)
    for name, count in sorted(tally.counts.items()):
        print(f"{name:<22} {count}")
    print(tally.told())
    if options.results:
        for name, whole in kept(options.results)[0].items():
            print(f"in {options.results} by version {name}: {whole.told()}")
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
