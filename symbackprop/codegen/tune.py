"""Measures which form is faster where, on the machine at hand, in less than a minute.

Each question is put to a few networks: all forms in turn, round after round, the least processor time of each counts.
Main name: `tuned`.
"""

from __future__ import annotations

import ctypes
import importlib
import math
import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from symbackprop.codegen.choice import Choices, choices
from symbackprop.codegen.network import CompiledNetwork, compile_network
from symbackprop.codegen.variants import flattened
from symbackprop.errors import UnsupportedError
from symbackprop.frontends.network import Network
from symbackprop.proofs.network import prove_network

Run = Callable[[], object]
ROUNDS, SECONDS = 7, 0.006  # of each form at each size
PRODUCTS = (
    (16, 16, 16), (16, 32, 64), (64, 64, 64), (128, 100, 200), (128, 128, 512), (256, 256, 256), (256, 512, 256),
)  # fmt: skip
MARGIN = 1.02  # what is not clearly slower may stay
BY_TILES = """
void by_tiles(const long *n, const real *A, const real *B, real *C) {
    tiled((int)n[0], n[1], n[2], n[3], A, n[3], 1, B, n[0] ? n[3] : n[2], 1, 0, C, C);
}
void by_blas(const long *n, const real *A, const real *B, real *C) {
    int N = n[2], M = n[1], K = n[3], ldb = n[0] ? n[3] : n[2];
    real one = 1, zero = 0;
    blas(n[0] ? "T" : "N", "N", &N, &M, &K, &one, (real *)B, &ldb, (real *)A, &K, &zero, C, &N);
}
"""


def tuned(observer: Callable[[str], object] = lambda question: None) -> Choices:
    """What was measured here; without a C compiler the choices for C stay what they are.

    Args:
        observer: is told each question.
    """
    observer("few numbers: plain Python numbers or few calls")
    numbers = _few_multiplications()
    observer("small layers: few calls or any arrays")
    activations = _few_activations()
    observer("tall batches: blocks of rows or all at once")
    rows = _rows_in_block()
    found = Choices(numbers, activations, rows, Choices.small_product, *_large_products(observer))
    return found


def _few_multiplications() -> int:
    forms = [(9 * rows, _Forms((2, 2, 1), rows)) for rows in (4, 8, 16, 32, 64)]
    forms += [(26 * rows, _Forms((3, 4, 2), rows)) for rows in (2, 4, 8)]
    found = {size: best({"new": f.bound("unrolled"), "old": f.bound("bound")}) for size, f in forms}
    return limit(found)


def _few_activations() -> int:
    forms = [(30 * rows, _Forms((20, 30, 30, 10), rows)) for rows in (8, 16, 32, 64, 128, 256)]
    return limit({size: best({"new": f.bound("bound"), "old": f.kept()}) for size, f in forms})


def limit(times: Mapping[int, Mapping[str, float]]) -> int:
    """The size up to which "new" is to run and "old" beyond, so that all sizes together are the fastest; perhaps 0.

    Example:
        >>> limit({1: {"new": 1.0, "old": 2.0}, 2: {"new": 1.1, "old": 1.0}, 3: {"new": 3.0, "old": 1.0}})
        1
    """
    sizes = sorted(times)
    gains = [math.log(times[s]["old"] / times[s]["new"]) for s in sizes]
    sums = [sum(gains[:k]) for k in range(len(sizes) + 1)]
    return ([0, *sizes])[sums.index(max(sums))]


def _rows_in_block() -> int:
    forms = _Forms((400, 25, 10), 5000)
    times = best({"0": forms.kept(), **{str(r): forms.blocks(r) for r in (50, 100, 250, 500)}})
    fastest = min(times, key=times.__getitem__)
    return int(fastest) if times[fastest] * MARGIN < times["0"] else 0


def _large_products(observer: Callable[[str], object]) -> tuple[int, int]:
    """For A B and for A B^T the multiplications up to which tiles are no slower than BLAS."""
    now = choices()
    try:
        build = importlib.import_module("symbackprop.codegen.c.build").build
        network = importlib.import_module("symbackprop.codegen.c.network")
        prelude = importlib.import_module("symbackprop.codegen.c.prelude")
        library = build(prelude.head(False, {}) + BY_TILES)
    except (UnsupportedError, ImportError):  # no compiler, or no SciPy
        return now.c_large_product, now.c_large_turned
    observer("products in C: register tiles or BLAS")
    network.use_blas(library, False)
    random, limits = np.random.default_rng(0), list[int]()
    for turned in (0, 1):
        found = {}
        for rows, columns, over in PRODUCTS:
            arrays = [random.normal(size=n) for n in (rows * over, over * columns, rows * columns)]
            told = (ctypes.c_long * 4)(turned, rows, columns, over)
            pointers = [ctypes.c_void_p(a.ctypes.data) for a in arrays]
            forms = {"new": library.by_tiles, "old": library.by_blas}
            found[rows * columns * over] = best({name: partial(f, told, *pointers) for name, f in forms.items()})
        limits.append(limit(found))
    return limits[0], limits[1]


class _Forms:
    """The forms of a network's code on arrays of their own."""

    def __init__(self, widths: tuple[int, ...], rows: int) -> None:
        self.code = _code(widths)
        layout, random = self.code.layout, np.random.default_rng(0)
        shapes = [s for s in layout.shapes if s is not None]
        self.theta, parts = flattened([random.normal(size=s) / np.sqrt(s[-1]) for s in shapes], layout.dtype)
        self.gradient, self.out = flattened([np.empty(s) for s in shapes], layout.dtype)
        x, y = random.normal(size=(rows, widths[0])), random.uniform(0.1, 0.9, (rows, widths[-1]))
        self.arrays = [x, y, *parts]

    def bound(self, form: str) -> Run:
        make = self.code.numpy[f"cost_and_gradient_{form}"]
        run: Run = make(*self.arrays, 1.0, self.out, self.theta, self.gradient)
        return run

    def kept(self) -> Run:
        return partial(self.code.numpy["cost_and_gradient_for"](*self.arrays), *self.arrays, 1.0, *self.out)

    def blocks(self, rows: int) -> Run:
        work = self.code.numpy["cost_and_gradient_blocks_work"](*self.arrays, rows)
        return partial(self.code.numpy["cost_and_gradient_blocks"], *self.arrays, 1.0, self.out, work)


def _code(widths: tuple[int, ...]) -> CompiledNetwork:
    network = Network(list(widths), activation="sigmoid", cost="cross_entropy", l2="lambda/(2*m)")
    gradient = prove_network(network).gradient
    assert gradient is not None, "a network with layers has a gradient"
    return compile_network(gradient.adjoint, network.prediction, network.widths)


def best(runs: Mapping[str, Run]) -> dict[str, float]:
    """Seconds of processor time for a call, by form."""
    counts, found = dict[str, int](), dict.fromkeys(runs, float("inf"))
    for name, run in runs.items():
        run()
        counts[name] = max(1, min(2000, int(SECONDS / max(_time(run, 1), 1e-6))))
    for _ in range(ROUNDS):
        for name, run in runs.items():
            found[name] = min(found[name], _time(run, counts[name]))
    return found


def _time(run: Run, count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        run()
    seconds: float = time.process_time() - start
    return seconds / count
