"""The plain call beside the bound one: `python benchmarks/calls.py` writes benchmarks/results/calls.md.

`f(params, X, Y, lam=1.0)` checks its arrays and returns new ones; `bind` did so once. The unit is textbook NumPy: a
number above 1 is how many times faster a call is.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial

import cases  # before NumPy
import numpy as np
from cases import CASES, LAM, Case, as_vector, ours, textbook
from measure import agreeing, best_times
from processor import processor
from speed import RESULTS

import symbackprop as sb


def plain(backend: str, case: Case) -> Callable[[], object]:
    f = sb.compile(case.net, backend, case.dtype)
    assert f.backend == backend

    def run() -> object:
        J, gradients = f(case.params, case.X, case.Y, lam=LAM)
        return J, list(gradients.values())

    return run


def measured(title: str, dtype: str, seconds: float) -> dict[str, float]:
    case = Case(*CASES[title], dtype)
    makers = {"textbook": partial(textbook, case)}
    for backend in ("numpy", "c"):
        makers[f"{backend} bound"] = partial(ours(backend, "bind"), case)
        makers[f"{backend} plain"] = partial(plain, backend, case)
    tolerance = 1e-11 if dtype == "float64" else 1e-4
    runs = agreeing(makers, as_vector(textbook(case)()), as_vector, tolerance)
    return best_times(runs, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--show", action="store_true", help="print and write nothing")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    lines = [
        "# The plain call",
        "",
        "How many times as fast as textbook NumPy, one thread; the last columns are what a plain call costs beyond the",
        "bound one, in µs.",
        "",
    ]
    for dtype in ("float64", "float32"):
        head = "| case | textbook µs | numpy bound | numpy plain | c bound | c plain | numpy µs | c µs |"
        lines += [f"## {dtype}", "", head, "|---|---|---|---|---|---|---|---|"]
        for title in CASES:
            t = measured(title, dtype, options.seconds)
            ratios = [f"{t['textbook'] / t[n]:.2f}" if n in t else "–" for n in
                      ("numpy bound", "numpy plain", "c bound", "c plain")]  # fmt: skip
            more = [f"{t[f'{b} plain'] - t[f'{b} bound']:.1f}" if f"{b} plain" in t else "–" for b in ("numpy", "c")]
            lines.append(f"| {title} | {t['textbook']:.1f} | {' | '.join(ratios + more)} |")
            print(dtype, lines[-1], file=sys.stderr, flush=True)
        lines.append("")
    text = "\n".join([*lines, "## Where", "", processor()]) + "\n"
    if options.show:
        print(text)
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "calls.md").write_text(text)


if __name__ == "__main__":
    assert np.dtype(float).itemsize == 8 and cases.LAM
    main()
