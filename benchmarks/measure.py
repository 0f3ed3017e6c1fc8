"""Contestants against each other: outputs compared first, then interleaved rounds, the minimum of CPU time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

import numpy as np

Run = Callable[[], object]


def agreeing(
    makers: Mapping[str, Callable[[], Run]],
    reference: np.ndarray,
    as_vector: Callable[[object], np.ndarray],
    tolerance: float,
    unchecked: tuple[str, ...] = (),
    required: tuple[str, ...] = (),
) -> dict[str, Run]:
    """The contestants that are installed and whose output is right; the required ones must be both."""
    runs = {}
    for name, make in makers.items():
        try:
            run = make()
            if name not in unchecked:
                error = np.abs(as_vector(run()) - reference).max() / np.abs(reference).max()
                assert error < tolerance, f"disagrees: {error:.1e}"
        except Exception as error:  # a package that is not installed, or whose version cannot build this
            if name in required:
                raise
            text = str(error).splitlines()
            print(f"  {name} left out: {type(error).__name__}: {text[0] if text else ''}", file=sys.stderr)
            continue
        runs[name] = run
    return runs


def best_times(runs: Mapping[str, Run], seconds: float) -> dict[str, float]:
    """Microseconds a call, about so many seconds for each contestant."""
    repeats, best = {}, dict.fromkeys(runs, np.inf)
    for name, run in runs.items():
        run()
        start = time.process_time()
        run()
        repeats[name] = max(1, min(20_000, int(seconds / 20 / max(time.process_time() - start, 1e-6))))
    stop, rounds = time.perf_counter() + seconds * len(runs), 0
    while rounds < 5 or time.perf_counter() < stop:
        rounds += 1
        for name, run in runs.items():
            start = time.process_time()
            for _ in range(repeats[name]):
                run()
            best[name] = min(best[name], (time.process_time() - start) / repeats[name])
    return {name: value * 1e6 for name, value in best.items()}
