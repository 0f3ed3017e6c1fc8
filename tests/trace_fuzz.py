"""Random programs: do the traced equations give what NumPy gives, at every size?

    python tests/trace_fuzz.py --programs 2000
    python tests/trace_fuzz.py --seconds 600 --seed 7

A program is a loop over a symbolic range, one or two deep, whose rounds write to places and blocks of an array, carry
numbers, give items to lists and dictionaries and branch on rounds and data; or it takes views and copies of an array,
changes them in place, directly, through functions and in branches on data, and exchanges their names. What the tracer
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

LOOPS = {"N": (1, 2, 3, 4, 5, 7)}
ARRAYS_OF = {"N": (3, 2, 1, 4, 1, 2, 5), "D": (2, 4, 3, 1, 1, 2, 3)}
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


VIEWS = ("{b}", "{b}[1:]", "{b}[:, ::-1]", "{b}.T", "{b}.reshape(-1)", "{b}.ravel()", "{b}[::2]", "{b}[0]", "{b}[:, 0]",
         "{b}[None]", "{b}.copy()", "{b}[[0]]", "{b} + 0", "np.asarray({b})", "np.array({b})", "{b}.astype(float)",
         "{b}.astype(float, copy=False)", "{b}.swapaxes(0, 1)", "{b}.flatten()", "np.atleast_2d({b})", "{b}[-1]",
         "{b}[:, 1:]", "{b}[:-1]", "np.ascontiguousarray({b}.T)", "np.ascontiguousarray({b})", "{b}[..., None]",
         "{b}.reshape(N, D)", "{b}.reshape(D, N)", "{b}.T.reshape(-1)", "np.flip({b}, 0)", "{b}.T.T", "np.diagonal({b})",
         "{b}[::-1]", "np.moveaxis({b}, 0, 1)", "np.expand_dims({b}, 0)", "{b}[0:1]", "np.split({b}, 1)[0]",
         "{b}[np.arange(N)]", "np.where({b} > 0, {b}, 0)", "{b}[{b} > 0]", "np.broadcast_to({b}, (N, D))", "np.copy({b})",
         "np.nan_to_num({b}, copy=False)", "{b}.clip(-1, 1)", "{b}.take([0], 0)", "np.concatenate([{b}, {b}])",
         "np.stack([{b}, {b}])[0]")  # fmt: skip
CHANGES = ("{v} += {c}", "{v} *= {c}", "{v}[...] = {c}", "{v}[0] = {c}", "{v}[..., 0] += {c}", "np.add({v}, {c}, out={v})",
           "{v}.fill({c})", "np.negative({v}, out={v})", "{v}[1:] = {v}[:-1]", "{v}[:] = {v}[::-1]", "{v} -= {v}.mean()",
           "{v} /= 2", "np.maximum({v}, 0, out={v})", "np.copyto({v}, {c})", "{v}[{v} > 0] = {c}", "{v}[{v} > 0] *= 2",
           "{v} = {v} * {c}", "{v}[-1] *= {c}", "{v}[::2] = {c}", "np.exp({v}, out={v})", "np.tanh({v}, {v})",
           "{v}[:1] += {v}[-1:]", "h({v})", "{v} = h({v})", "g({v}, {c})", "{v} **= 2", "np.multiply({v}, {v}, out={v})",
           "{v}[0], {v}[-1] = {v}[-1], {v}[0]", "{v}[0] += {v}[-1]", "{v} += {v}[::-1]", "{v} += {v}.sum()",
           "np.cumsum({v}, axis=0, out={v})", "{v}.T[...] += {c}", "np.add.at({v}, [0, 0], {c})",
           "np.clip({v}, -1, 1, out={v})")  # fmt: skip
NUMBERS = ("a", "2.0", "x[0, 0]", "a * 0.5", "x.sum()", "3", "-a")
TESTS = ("x[0, 0] > 0", "a > 0", "x.sum() > a", "N > 1", "y[0, 0] > 1")
FRESH = (
    "x.copy()",
    "x * 1.0",
    "np.zeros_like(x) + x",
    "np.ones((N, D)) * x",
    "np.array(x)",
    "np.zeros((N, D))",
    "x + a",
)
BESIDE = ("def h(u):", "    u += 1.0", "    return u", "def g(u, c):", "    u[0] = c")


class Program(NamedTuple):
    """The text of a function f(x, a), the function, and at which sizes it is looked at."""

    text: str
    function: Callable[..., Any]
    sizes: dict[str, tuple[int, ...]]


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


def with_loops(r: random.Random, name: str) -> Program:
    """A random function that goes through a loop."""
    body = [line for _ in range(r.choice((1, 1, 2, 3))) for line in statement(r)]
    text = "\n".join(body)
    results = [*RESULTS, *(["np.array(items).sum() + s"] * 3 if "append" in text else []),
               *(["table[1] + s"] * 3 if "table[" in text else [])]  # fmt: skip
    lines = ["def f(x, a):", "    N = len(x)", f"    y = {r.choice(ARRAYS)}", "    s, t = 0.0, 1.0",
             "    items, table = [], {}", f"    for k in {r.choice(RANGES)}:",
             *(f"        {line}" for line in body), f"    return {r.choice(results)}"]  # fmt: skip
    return made(lines, name, LOOPS)


def with_views(r: random.Random, name: str) -> Program:
    """A random function that changes views and copies of an array."""
    lines = [*BESIDE, "def f(x, a):", "    N, D = x.shape", f"    y = {r.choice(FRESH)}"]
    names = ["y"]

    def change() -> str:
        return r.choice(CHANGES).format(v=r.choice(names), c=r.choice(NUMBERS))

    for k in range(r.choice((2, 3, 4, 5))):
        kind = r.random()
        if kind < 0.4:
            lines.append(f"    v{k} = {r.choice(VIEWS).format(b=r.choice(names))}")
            names.append(f"v{k}")
        elif kind < 0.75:
            lines.append(f"    {change()}")
        elif kind < 0.85:
            lines += [f"    if {r.choice(TESTS)}:", f"        {change()}"]
            lines += ["    else:", f"        {change()}"] if r.random() < 0.5 else []
        elif kind < 0.92:
            lines += [f"    d = {{'p': {r.choice(names)}, 'q': [{r.choice(names)}]}}", f"    d['p'] += {r.choice(NUMBERS)}",
                      f"    d['q'][0] *= {r.choice(NUMBERS)}"]  # fmt: skip
        else:
            one, other = r.choice(names), r.choice(names)
            lines.append(f"    {one}, {other} = {other}, {one}")
    results = r.sample(names, min(len(names), r.choice((1, 2))))
    return made([*lines, "    return " + ", ".join(f"{n} * 1.0" for n in results)], name, ARRAYS_OF)


def made(lines: list[str], name: str, sizes: dict[str, tuple[int, ...]]) -> Program:
    """The program with this text."""
    text = "\n".join(lines) + "\n"
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)  # where the tracer reads it
    space: dict[str, Any] = {"np": np}
    exec(compile(text, name, "exec", dont_inherit=True), space)
    return Program(text, space["f"], sizes)


def difference(found: Program) -> str:
    """Where the equations differ from NumPy, in words; "" where they do nowhere.

    Raises:
        SymbackpropError: the tracer does not follow it.
    """
    traced = trace(found.function, {"x": tuple(found.sizes), "a": ()}, {}, None, None, seconds=5)
    names, symbols = {t.name for t in traced.inputs}, {s.name for s in traced.sizes}
    for lengths in zip(*found.sizes.values(), strict=True):
        x = np.round(np.random.default_rng(lengths).standard_normal(lengths) * 4) / 4 + 0.125
        inputs = {n: v for n, v in (("x", x), ("a", np.array(0.75))) if n in names}
        sizes = {n: k for n, k in zip(found.sizes, lengths, strict=True) if n in symbols}
        try:
            right = found.function(x.copy(), 0.75)
        except (IndexError, ValueError, KeyError):
            continue
        results = [np.asarray(v) for v in (right if isinstance(right, tuple) else (right,))]
        if not all(np.isfinite(v).all() for v in results):
            continue
        try:
            values = evaluate(traced, sizes, inputs)
        except (SymbackpropError, ArithmeticError, LookupError) as error:
            return f"at {sizes} the equations have no value: {type(error).__name__}: {error}"
        for tensor, expected in zip(traced.outputs, results, strict=True):
            got = np.asarray(values[tensor.name], float)
            if got.shape != expected.shape or not np.allclose(got, expected, rtol=1e-7, atol=1e-7):
                return f"at {sizes} NumPy gives {expected.tolist()}, the equations {got.tolist()}"
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
        r = random.Random(seed + count)
        found = (with_loops if r.random() < 0.5 else with_views)(r, f"<random program {seed + count}>")
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
