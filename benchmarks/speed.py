"""The table of docs/speed.md: `python benchmarks/speed.py` writes benchmarks/results/speed.md, .png and .json.

Cost and gradient of one batch for several networks, by this package and by what else is installed; an epoch of
gradient descent; and how long compiling takes. `--quick` measures less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cases  # before NumPy
import matplotlib
import matplotlib.pyplot as pyplot
import numpy as np
from cases import CASES, Case, as_vector, floor, ours, textbook
from epochs import BATCH, EPOCHS, WIDTHS
from measure import agreeing, best_times
from peers import PEERS

RESULTS = Path(__file__).resolve().parent / "results"
OURS = {"c": ours("c", "bind"), "numpy": ours("numpy", "bind"), "numpy flat": ours("numpy", "flat")}
CONTESTANTS = {"floor": floor, **OURS, "textbook": textbook, **PEERS}
COMPILE = """
import os, symbackprop as sb
net = sb.Network({widths}, cost="cross_entropy", l2="lambda/(2*m)")
start = sum(os.times()[:4])
sb.compile(net, {backend!r})
print(sum(os.times()[:4]) - start)
"""
COMPILED_MODULES = tempfile.TemporaryDirectory()
Times = dict[str, dict[str, float]]


def gradients(dtype: str, seconds: float, names: list[str]) -> Times:
    """Microseconds for cost and gradient, by case and contestant."""
    found: Times = {}
    for title, (widths, rows) in CASES.items():
        case = Case(widths, rows, dtype)
        makers = {name: partial(CONTESTANTS[name], case) for name in names}
        tolerance = 1e-11 if dtype == "float64" else 1e-4
        runs = agreeing(makers, as_vector(textbook(case)()), as_vector, tolerance, ("floor",), tuple(OURS))
        found[title] = best_times(runs, seconds)
        print(title, {n: round(t / found[title]["floor"], 2) for n, t in found[title].items()}, file=sys.stderr)
    return found


def epochs(dtype: str, rows: int, seconds: float) -> dict[str, float]:
    """Microseconds for one step of gradient descent."""
    case, order = Case(WIDTHS, rows, dtype), np.random.default_rng(0).permutation(rows)
    makers = {name: partial(make, case, order) for name, make in EPOCHS.items()}
    tolerance = 1e-9 if dtype == "float64" else 1e-2
    runs = agreeing(makers, EPOCHS["textbook"](case, order)(), np.asarray, tolerance)  # type: ignore[arg-type]
    return {name: t / (rows / BATCH) for name, t in best_times(runs, seconds).items()}


def compile_seconds(widths: tuple[int, ...], backend: str) -> float:
    """From a network to code that runs, in a fresh process with an empty cache: CPU time, the compiler's too."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"XDG_CACHE_HOME": cache, "PYTHONPATH": str(RESULTS.parents[1])}
        environment |= {"PYTHONPYCACHEPREFIX": COMPILED_MODULES.name}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as on a user's machine, the package itself is compiled once
        code = COMPILE.format(widths=list(widths), backend=backend)
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
        )
    return float(result.stdout)


def machine() -> dict[str, object]:
    """What the figures depend on."""
    packages = ("numpy", "scipy", "torch", "jax", "autograd", "scikit-learn")
    versions = {}
    for name in packages:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    vectors = (
        "AVX-512" if any("avx512f" in line for line in lines) else "AVX2" if any("avx2" in x for x in lines) else ""
    )
    return {
        "processor": f"{names[0] if names else platform.processor()} {vectors}".strip(),
        "load": [round(x, 1) for x in os.getloadavg()] if hasattr(os, "getloadavg") else [],
        "python": platform.python_version(),
        **versions,
    }


def table(found: Times, names: list[str]) -> list[str]:
    columns = [n for n in names if n != "floor" and any(n in times for times in found.values())]
    lines = ["| case | floor µs | " + " | ".join(columns) + " |", "|---|" + "---|" * (len(columns) + 1)]
    for title, times in found.items():
        ratios = [f"{times[n] / times['floor']:.2f}" if n in times else "–" for n in columns]
        lines.append(f"| {title} | {times['floor']:.1f} | {' | '.join(ratios)} |")
    return lines


def report(facts: dict[str, dict[str, object]], names: list[str]) -> str:
    lines = ["# Speed", "", "Times for cost and gradient of one batch, as multiples of the floor (the necessary matrix",
             "products alone). One thread, one process, interleaved, the minimum of CPU time.", ""]  # fmt: skip
    for dtype, found in facts["gradients"].items():
        lines += [f"## {dtype}", "", *table(found, names), ""]  # type: ignore[arg-type]
    lines += ["## Gradient descent, 784-30-10, batches of 10: µs a step", ""]
    lines += ["| type | " + " | ".join(EPOCHS) + " |", "|---|" + "---|" * len(EPOCHS)]
    for dtype, times in facts["epochs"].items():
        lines.append(f"| {dtype} | " + " | ".join(f"{times[n]:.1f}" if n in times else "–" for n in EPOCHS) + " |")  # type: ignore[operator,index]
    lines += [
        "",
        "## From a network to code that runs: seconds of CPU time, proof and C compiler included",
        "",
        "| network | numpy | c |",
        "|---|---|---|",
    ]
    lines += [f"| {title} | {t['numpy']:.2f} | {t['c']:.2f} |" for title, t in facts["compile"].items()]  # type: ignore[index]
    facts_of = dict(facts["machine"])
    load = facts_of.pop("load")
    lines += ["", "## Where", "", f"{', '.join(f'{k} {v}' for k, v in facts_of.items())}; load at the end {load}."]
    return "\n".join(lines) + "\n"


def picture(found: Times, names: list[str], path: Path) -> None:
    matplotlib.use("Agg")
    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    for name in names:
        if name != "floor":
            ratios = [times.get(name, np.nan) / times["floor"] for times in found.values()]
            axes.plot(list(found), ratios, marker="o", ms=4, lw=2.2 if name in OURS else 1, label=name)
    axes.axhline(1, color="black", lw=0.8)
    axes.set(yscale="log", ylabel="time / matrix products alone", title="Cost and gradient of one batch")
    axes.tick_params(axis="x", rotation=25)
    axes.legend(ncols=2, frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contestants", default=",".join(CONTESTANTS))
    parser.add_argument("--quick", action="store_true", help="less time for each, float64 alone")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # one core, always the same
    names, start = options.contestants.split(","), time.perf_counter()
    seconds, dtypes = (0.2, ["float64"]) if options.quick else (1.0, ["float64", "float32"])
    facts: dict[str, dict[str, object]] = {"gradients": {d: gradients(d, seconds, names) for d in dtypes}}
    facts["epochs"] = {d: epochs(d, 6_000 if options.quick else 60_000, 5 * seconds) for d in dtypes}
    repeats = range(1 if options.quick else 3)
    compile_seconds((2, 2, 1), "c")  # from now on Python has its own modules compiled
    facts["compile"] = {
        title: {b: min(compile_seconds(widths, b) for _ in repeats) for b in ("numpy", "c")}
        for title, (widths, _) in CASES.items()
    }
    facts["machine"] = machine()
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "speed.json").write_text(json.dumps(facts, indent=1) + "\n")
    (RESULTS / "speed.md").write_text(report(facts, names))
    picture(facts["gradients"]["float64"], names, RESULTS / "speed.png")  # type: ignore[arg-type]
    print((RESULTS / "speed.md").read_text())
    print(f"{time.perf_counter() - start:.0f} s; wrote {RESULTS}; BLAS threads: {cases.os.environ['OMP_NUM_THREADS']}")


if __name__ == "__main__":
    main()
