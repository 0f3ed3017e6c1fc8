"""Random loops: do the traced equations give what NumPy gives, at every size?

    python tests/trace_fuzz.py --programs 2000
    python tests/trace_fuzz.py --seconds 600 --seed 7

A program is a loop over a symbolic range, one or two deep, whose rounds write to places and blocks of an array, carry
numbers, give items to lists and dictionaries and branch on rounds and data, as the rows below say. What the tracer
refuses counts as refused; all else is evaluated at several lengths beside the function itself. Where NumPy raises,
nothing is compared: which sizes are left out is judged elsewhere. Exit status 1 if anything differs.
"""

from __future__ import annotations

import argparse
import linecache
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from symbackprop.errors import SymbackpropError
from symbackprop.evaluation.exact import evaluate
from symbackprop.frontends.numpy.traced import trace

LENGTHS = (1, 2, 3, 4, 5, 7)
RANGES = (*["range(N)"] * 4, "range(1, N)", "range(N - 1)", "reversed(range(N))", "range(0, N, 2)",
          "range(N - 1, -1, -1)", "range(0, N - 1, 2)")  # fmt: skip
INNER = ("range(k)", "range(N)", "range(k, N)", "range(k + 1, N)", "range(2)")
ARRAYS = ("np.zeros(N + 2)", "np.zeros(N)", "x.copy()", "np.zeros(2 * N + 2)", "np.ones(3 * N)")
READ = ("k", "k", "k + 1", "N - 1 - k", "k - 1", "k // 2", "N - k", "0", "-1")
WRITTEN = ("k", "k", "k + 1", "N - 1 - k", "2 * k", "k // 2", "k - 1")
BLOCKS = {"k:k + 2": 2, "k:k + 3": 3, "2 * k:2 * k + 2": 2, "k + 1:k + 3": 2, "N - 1 - k:N + 1 - k": 2, "k - 1:k + 1": 2,
          "3 * k:3 * k + 3": 3, ":k": None, "k:": None, "max(k - 1, 0):k + 1": None}  # fmt: skip
CONDITIONS = ("k % 2 == 0", "k > 1", "x[k] > 0", "k == 2", "s > 0", "k < N - 1", "k != 4")
RESULTS = ("y", "y", "s", "y.sum() * s", "y * s", "y + t")


class Program(NamedTuple):
    """The text of a function f(x, a), and the function."""

    text: str
    function: Callable[..., Any]


def scalar(r: random.Random, depth: int = 0) -> str:
    """An expression for a number."""
    if r.random() < 0.2:
        value = f"{r.choice('xy')}[{r.choice(list(BLOCKS))}].{r.choice(('sum()', 'sum()', 'max()'))}"
    else:
        value = r.choice(
            [f"x[{r.choice(READ)}]", f"x[{r.choice(READ)}]", "s", "t", f"y[{r.choice(READ)}]", "a", "k", "2.0"]
        )
    if depth < 2 and r.random() < 0.5:
        value = f"({value} {r.choice('+-*')} {scalar(r, depth + 1)})"
    kind = r.random()
    return f"np.tanh({value})" if kind < 0.1 else f"max({value}, {scalar(r, 2)})" if kind > 0.9 else value


def block(r: random.Random) -> str:
    """A statement that writes a block of places."""
    places = r.choice(list(BLOCKS))
    length, value, kind = BLOCKS[places], scalar(r), r.random()
    if length and kind < 0.6:
        value += f" * np.array({[float(k + 1) for k in range(length)]})"
    elif length and kind < 0.8:
        value = f"x[{places}]"
    return f"y[{places}] {r.choice(('=', '+='))} {value}"


def statement(r: random.Random, nested: bool = False) -> list[str]:
    """The lines of one statement of a round."""
    kind = r.random()
    if kind < 0.25:
        return [f"y[{r.choice(WRITTEN)}] {r.choice(('=', '+=', '*='))} {scalar(r)}"]
    if kind < 0.42:
        return [block(r)]
    if kind < 0.6:
        return [f"{r.choice('sst')} {r.choice(('=', '+=', '+='))} {scalar(r)}"]
    if kind < 0.7:
        return [f"items.append({scalar(r)})"]
    if kind < 0.75:
        return [f"table[{r.choice(('k', 'k', 'k + 1', 'N - k'))}] = {scalar(r)}"]
    if nested:
        return [f"y[{r.choice(WRITTEN)}] += {scalar(r)}"]
    inner = [f"    {line}" for line in statement(r, nested=True)]
    if kind < 0.9:
        other = ["else:", *(f"    {line}" for line in statement(r, nested=True))] if r.random() < 0.4 else []
        return [f"if {r.choice(CONDITIONS)}:", *inner, *other]
    return [f"for j in {r.choice(INNER)}:", *(line.replace("[k", "[j") if r.random() < 0.5 else line for line in inner)]


def program(r: random.Random, name: str) -> Program:
    """A random function."""
    body = [line for _ in range(r.choice((1, 1, 2, 3))) for line in statement(r)]
    text = "\n".join(body)
    results = [*RESULTS, *(["np.array(items).sum() + s"] * 3 if "append" in text else []),
               *(["table[1] + s"] * 3 if "table[" in text else [])]  # fmt: skip
    lines = ["def f(x, a):", "    N = len(x)", f"    y = {r.choice(ARRAYS)}", "    s, t = 0.0, 1.0",
             "    items, table = [], {}", f"    for k in {r.choice(RANGES)}:",
             *(f"        {line}" for line in body), f"    return {r.choice(results)}"]  # fmt: skip
    text = "\n".join(lines) + "\n"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)  # where the tracer reads it
    space: dict[str, Any] = {"np": np}
    exec(compile(text, name, "exec", dont_inherit=True), space)
    return Program(text, space["f"])


def difference(found: Program) -> str | None:
    """Where the equations differ from NumPy, in words; "" where they do nowhere.

    Raises:
        SymbackpropError: the tracer does not follow it.
    """
    traced = trace(found.function, {"x": ("N",), "a": ()}, {}, None, None, seconds=5)
    names = {t.name for t in traced.inputs}
    for length in LENGTHS:
        x = np.round(np.random.default_rng(length).standard_normal(length) * 4) / 4 + 0.125
        inputs = {n: v for n, v in (("x", x), ("a", np.array(0.75))) if n in names}
        try:
            right = np.asarray(found.function(x.copy(), 0.75))
        except (IndexError, ValueError, KeyError):
            continue
        try:
            got = evaluate(traced, {"N": length} if traced.sizes else {}, inputs)[traced.outputs[0].name]
        except (SymbackpropError, ArithmeticError, LookupError) as error:
            got = f"{type(error).__name__}: {error}"
        same = not isinstance(got, str) and np.shape(got) == right.shape
        if not same or not np.allclose(np.asarray(got, float), right, rtol=1e-7, atol=1e-7):
            return f"at N = {length} NumPy gives {right.tolist()}, the equations {got if isinstance(got, str) else np.asarray(got).tolist()}"
    return ""


class Fuzzed(NamedTuple):
    """How many programs there were, how many the tracer followed, those that differ, and why others were refused."""

    programs: int
    followed: int
    wrong: list[str]
    refused: Counter[str]


def fuzz(seed: int, programs: int | None = None, seconds: float | None = None, *, told: bool = False) -> Fuzzed:
    """Ask about random programs."""
    start, count, followed = time.monotonic(), 0, 0
    wrong, refused = list[str](), Counter[str]()
    while (programs is None or count < programs) and (seconds is None or time.monotonic() - start < seconds):
        found = program(random.Random(seed + count), f"<random loop {seed + count}>")
        count += 1
        try:
            said = difference(found)
        except SymbackpropError as error:
            refused[str(error).split("\n")[0][:90]] += 1
            continue
        followed += 1
        if said:
            wrong.append(f"seed {seed + count - 1}: {said}\n{found.text}")
            if told:
                print(wrong[-1], flush=True)
    return Fuzzed(count, followed, wrong, refused)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    warnings.simplefilter("ignore")
    limited = a.programs is not None or a.seconds is not None
    found = fuzz(a.seed, a.programs if limited else 1000, a.seconds, told=True)
    print(f"{found.programs} programs, {found.followed} followed, {len(found.wrong)} of them wrong")
    for why, count in found.refused.most_common(12):
        print(f"{count:6} {why}")
    return bool(found.wrong)


if __name__ == "__main__":
    sys.exit(main())
