"""Where one form becomes faster than another: `python benchmarks/choices.py` writes benchmarks/results/choices.md, from
which the numbers in symbackprop/codegen/choice.py are read.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import cases  # before NumPy
import numpy as np
import sympy as sp
from cases import LAM, Case, textbook
from measure import best_times
from scipy.linalg import get_blas_funcs

import symbackprop as sb
from symbackprop.codegen.c import network as c_code
from symbackprop.codegen.c.build import build
from symbackprop.codegen.c.prelude import head

RESULTS = Path(__file__).resolve().parent / "results"
SECONDS = 0.3
Run = Callable[[], object]


class Forms:
    """The printed functions of one case, called directly."""

    def __init__(self, widths: tuple[int, ...], rows: int, dtype: str = "float64") -> None:
        self.case = Case(widths, rows, dtype)
        self.net: Any = sb.compile(self.case.net, dtype=dtype)
        self.theta, self.gradient = self.case.theta, np.empty_like(self.case.theta)
        self.parts = self.net.layout.views(self.gradient)
        self.arrays = [self.case.X, self.case.Y, *self.case.params.values()]

    def bound(self, form: str) -> Run:
        """The forms that are made for given arrays."""
        make = self.net.functions[f"cost_and_gradient_{form}"]
        run: Run = make(*self.arrays, LAM, self.parts, self.theta, self.gradient)
        return run

    def whole(self) -> Run:
        functions = self.net.functions
        return partial(functions["cost_and_gradient_for"](*self.arrays), *self.arrays, LAM, *self.parts)

    def blocks(self, rows: int) -> Run:
        functions = self.net.functions
        work = functions["cost_and_gradient_blocks_work"](*self.arrays, rows)
        return partial(functions["cost_and_gradient_blocks"], *self.arrays, LAM, self.parts, work)

    def step(self, fused: bool) -> Run:
        if fused:
            gemm = get_blas_funcs("gemm", dtype=self.theta.dtype)
            step: Run = self.net.functions["cost_and_step"](*self.arrays, LAM, self.parts, 1e-9, gemm)
            return step
        run, rate = self.bound("bound"), np.array(1e-9)

        def plain() -> None:
            run()
            np.multiply(self.gradient, rate, self.gradient)
            np.subtract(self.theta, self.gradient, self.theta)

        return plain


def table(head: str, first: str, rows: Iterable[tuple[object, dict[str, Run]]]) -> list[str]:
    """Times of each row as multiples of its first column."""
    lines: list[str] = []
    for title, runs in rows:
        times = best_times(runs, SECONDS)
        if not lines:
            lines = [f"| {head} | {' | '.join(times)} |", "|---|" + "---|" * len(times)]
        lines.append(f"| {title} | {' | '.join(f'{t / times[first]:.2f}' for t in times.values())} |")
        print(lines[-1], flush=True)
    return lines


def blocks() -> Iterable[tuple[object, dict[str, Run]]]:
    for widths in ((400, 25, 10), (784, 100, 10), (100, 50, 10)):
        for rows, dtype in ((500, "float64"), (1000, "float64"), (5000, "float64"), (5000, "float32")):
            forms = Forms(widths, rows, dtype)
            runs = {str(b): forms.blocks(b) for b in (50, 100, 200, 500)}
            yield f"{'-'.join(map(str, widths))}, m={rows}, {dtype}", {"whole": forms.whole(), **runs}


def c_blocks() -> Iterable[tuple[object, dict[str, Run]]]:
    for widths in ((400, 25, 10), (784, 100, 10), (100, 50, 10)):
        case, runs = Case(widths, 5000, "float64"), {}
        net: Any = sb.compile(case.net, "c")
        for rows in (5000, 32, 64, 128, 256, 512):
            with mock.patch.object(c_code, "c_block_rows", lambda *_, rows=rows: rows):
                runs["whole" if rows == 5000 else str(rows)] = net.bind(
                    case.theta, case.X, case.Y, out=np.empty_like(case.theta), lam=LAM
                )
        yield f"{'-'.join(map(str, widths))}, m=5000", runs


PRODUCTS = """
void by_tiles(const long *n, const real *A, const real *B, real *C) {
    tiled((int)n[1], n[2], n[3], n[4], A, n[0] ? 1 : n[4], n[0] ? n[2] : 1, B, n[1] ? n[4] : n[3], 1, n[0], C, C);
}
void by_dots(const long *n, const real *A, const real *B, real *C) {
    dotted(n[2], n[3], n[4], A, n[4], B, n[4], 1, 0, C, C);
}
void by_blas(const long *n, const real *A, const real *B, real *C) {
    int N = n[3], M = n[2], K = n[4], lda = n[0] ? n[2] : n[4], ldb = n[1] ? n[4] : n[3];
    real one = 1, beta = n[0];
    blas(n[1] ? "T" : "N", n[0] ? "T" : "N", &N, &M, &K, &one, (real *)B, &ldb, (real *)A, &lda, &beta, C, &N);
}
"""


def c_products() -> Iterable[tuple[object, dict[str, Run]]]:
    """A layer's products: A B^T forward, A B for the error term, A^T B for the weights, added to what is there."""
    library = build(head(False, {}) + PRODUCTS)
    c_code.use_blas(library, False)
    random = np.random.default_rng(0)
    for units, inputs, rows in ((30, 784, 10), (30, 784, 32), (64, 64, 128), (25, 400, 128), (100, 784, 128),
                                (256, 256, 256), (512, 784, 256)):  # fmt: skip
        for name, turns, sizes in (("A B^T", (0, 1), (rows, units, inputs)), ("A B", (0, 0), (rows, inputs, units)),
                                   ("A^T B", (1, 0), (units, inputs, rows))):  # fmt: skip
            (m, n, k), numbers = sizes, (ctypes.c_long * 5)(*turns, *sizes)
            arrays = [random.normal(size=size) for size in (m * k, n * k, m * n)]
            pointers = [ctypes.c_void_p(a.ctypes.data) for a in arrays]
            forms = ("blas", "tiles", "dots") if name == "A B^T" else ("blas", "tiles")
            runs = {f: _holding(partial(getattr(library, f"by_{f}"), numbers, *pointers), arrays) for f in forms}
            yield f"{name}: {m} x {n}, sum of {k}", runs


def _holding(run: Run, arrays: object) -> Run:
    """`run`, with what its bare addresses point to."""
    return lambda kept=arrays: run()


def few_activations() -> Iterable[tuple[object, dict[str, Run]]]:
    for rows in (4, 16, 32, 64, 128, 256):
        forms = Forms((20, 30, 30, 10), rows)
        yield 30 * rows, {"kept": forms.whole(), "bound": forms.bound("bound")}


def few_multiplications() -> Iterable[tuple[object, dict[str, Run]]]:
    for widths in ((2, 2, 1), (3, 4, 2)):
        for rows in (1, 2, 4, 8, 16, 32):
            forms = Forms(widths, rows)
            yield rows * forms.theta.size, {"bound": forms.bound("bound"), "unrolled": forms.bound("unrolled")}


def lambdified(case: Case) -> Run:
    """The same by SymPy: cost and all derivatives of all rows written out, `lambdify(cse=True)` over `math`."""
    m, LAMBDA = case.rows, sp.Float(LAM)
    shapes = {name: p.shape for name, p in case.params.items()}
    symbols = {name: np.array(sp.symbols(f"{name}_:{int(np.prod(s))}")).reshape(s) for name, s in shapes.items()}
    x = np.array(sp.symbols(f"x:{case.X.size}")).reshape(case.X.shape)
    y = np.array(sp.symbols(f"y:{case.Y.size}")).reshape(case.Y.shape)
    a, z, layers = x, x, len(shapes) // 2
    for layer in range(1, layers + 1):
        z = a @ symbols[f"W{layer}"].T + symbols[f"b{layer}"]
        a = np.vectorize(lambda t: 1 / (1 + sp.exp(-t)), otypes=[object])(z)
    J = sum((np.vectorize(lambda t: sp.log(1 + sp.exp(t)), otypes=[object])(z) - z * y).ravel()) / m
    J += LAMBDA / (2 * m) * sum((symbols[f"W{layer}"] ** 2).sum() for layer in range(1, layers + 1))
    theta = [s for array in symbols.values() for s in array.ravel()]
    arguments = [*theta, *x.ravel(), *y.ravel()]
    f = sp.lambdify(arguments, [J, *(J.diff(t) for t in theta)], modules="math", cse=True)
    gradient = np.empty(len(theta))

    def run() -> float:
        values = f(*case.theta.tolist(), *case.X.ravel().tolist(), *case.Y.ravel().tolist())
        gradient[:] = values[1:]
        result: float = values[0]
        return result

    expected = textbook(case)()
    assert abs(run() - expected[0]) < 1e-9
    assert np.allclose(gradient, np.concatenate([g.ravel() for g in expected[1]]))
    return run


def plain_numbers() -> Iterable[tuple[object, dict[str, Run]]]:
    for widths, rows in (((2, 2, 1), 1), ((2, 2, 1), 4), ((3, 4, 2), 2)):
        forms = Forms(widths, rows)
        runs = {"bound": forms.bound("bound"), "unrolled": forms.bound("unrolled"), "lambdify": lambdified(forms.case)}
        yield f"{'-'.join(map(str, widths))}, m={rows}", runs


def long_vectors() -> Iterable[tuple[object, dict[str, Run]]]:
    for units in (10, 30, 60, 100, 200, 784):
        forms = Forms((units, 30, 10), 10)
        yield forms.theta.size, {"two passes": forms.step(False), "inside gemm": forms.step(True)}


def main() -> None:
    parts = [
        ("BLOCKS, SMALL_PRODUCT: rows in a block", table("network", "whole", blocks())),
        ("C_BLOCKS: rows in a block, C", table("network", "whole", c_blocks())),
        ("C_LARGE_PRODUCT, C_FEW_ROWS: products in C", table("product", "blas", c_products())),
        ("FEW_ACTIVATIONS: rows times the widest layer", table("activations", "kept", few_activations())),
        ("FEW_MULTIPLICATIONS: rows times parameters", table("multiplications", "bound", few_multiplications())),
        ("Plain numbers: by this package, and by sympy.lambdify(cse=True)", table("network", "bound", plain_numbers())),
        ("LONG_VECTOR: a step of gradient descent", table("parameters", "two passes", long_vectors())),
    ]
    text = ["# Which form is faster", "", "Times as multiples of the first column, one thread.", ""]
    for title, lines in parts:
        text += [f"## {title}", "", *lines, ""]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "choices.md").write_text("\n".join(text))
    print(f"wrote {RESULTS / 'choices.md'}; BLAS threads: {cases.os.environ['OMP_NUM_THREADS']}")


if __name__ == "__main__":
    main()
