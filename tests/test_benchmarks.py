"""The benchmarks run, and their contestants agree; no time is asserted."""

import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
AGREE = """
import cases, epochs, measure, numpy as np
from functools import partial
case = cases.Case((3, 4, 2), 20, "float64")
makers = {"numpy": partial(cases.ours("numpy", "bind"), case), "flat": partial(cases.ours("numpy", "flat"), case)}
runs = measure.agreeing(makers, cases.as_vector(cases.textbook(case)()), cases.as_vector, 1e-11)
order = np.random.default_rng(0).permutation(20)
steps = {"numpy": partial(epochs.ours("numpy"), case, order)}
found = measure.agreeing(steps, epochs.textbook(case, order)(), np.asarray, 1e-9)
print(*sorted(runs), *found, *measure.best_times(runs, 0.001))
"""


def run(*arguments):
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=BENCHMARKS, timeout=60, check=True).stdout


def test_contestants_agree():
    assert run("-c", AGREE).split() == ["flat", "numpy", "numpy", "numpy", "flat"]


def test_derivations_run():
    for name in ("derived", "sympy_written_out"):  # one of ours, one of the others: each is a process
        seconds, size = run("proof_time.py", "--one", name, "3", "2").split()
        assert float(seconds) >= 0 and int(size) > 0
