"""The layers of `claims/layers`: right backward passes proved for all sizes, wrong ones refuted.

The docstring of each file says what is expected of each of its functions: verdict, wrong gradients, fault. A
counterexample is examined here from scratch, by central differences of the forward pass in plain NumPy.
"""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from thinning import thinned

import symbackprop as sb

FOLDER = Path(__file__).parent / "claims" / "layers"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def expected(module: ModuleType) -> list[tuple[str, str, str]]:
    """(function, verdict, wrong gradients) for each line of the docstring's table, whose columns are two spaces apart."""
    rows = [re.split(r"  +", line) for line in module.__doc__.splitlines() if line.startswith("backward")]
    return [(row[0], row[1], row[2] if len(row) > 2 else "") for row in rows]


MODULES = {path.stem: load(path) for path in sorted(FOLDER.glob("*.py"))}
CLAIMS = [(n, *found) for n, m in MODULES.items() for found in expected(m)]


def output_of(forward, inputs):
    """What the forward returns, without a cache, as a list of arrays."""
    result = forward(**{name: np.array(value) for name, value in inputs.items()})
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], (tuple, dict)):
        result = result[0]
    return [np.asarray(r) for r in (result if isinstance(result, tuple) else (result,))]


def differences(forward, inputs, upstream, name):
    """The gradient of sum(upstream * output), by central differences at two steps, extrapolated."""

    def total(shift, position):
        moved = {n: np.array(v, float) if n == name else v for n, v in inputs.items()}
        moved[name][position] += shift
        outputs = output_of(forward, moved)
        return sum(np.sum(o * u) for o, u in zip(outputs, upstream or [1.0], strict=True))

    gradient = np.zeros(np.shape(inputs[name]))
    for position in np.ndindex(*gradient.shape):
        wide, narrow = ((total(h, position) - total(-h, position)) / (2 * h) for h in (2e-4, 1e-4))
        gradient[position] = (4 * narrow - wide) / 3
    return gradient


def claimed_by(backward, forward, inputs, upstream):
    """What the backward returns for the inputs, called the way that its signature says."""
    arrays = {name: np.array(value) for name, value in inputs.items()}
    dout = upstream[0] if upstream and len(upstream) == 1 else upstream
    parameters = inspect.signature(backward).parameters
    if "cache" in parameters:
        return backward(dout, forward(**arrays)[1])
    return backward(dout, **arrays) if "dout" in parameters else backward(**arrays)


def distance(left, right):
    return np.max(np.abs(left - right)) / max(1.0, np.max(np.abs(right)))


def check(name, function, **options):
    module = MODULES[name]
    assume, where = getattr(module, "ASSUME", None), getattr(module, "WHERE", None)
    return sb.check(
        module.forward, getattr(module, function), shapes=module.SHAPES, assume=assume, where=where, **options
    )


@pytest.mark.parametrize(("name", "function"), [(n, f) for n, f, status, _ in CLAIMS if status == "PROVED"])
def test_right_layer_is_proved_for_all_sizes(name, function):
    verdict = check(name, function, seconds=60)
    assert verdict.status == "PROVED" and verdict.for_all_sizes, str(verdict)


@pytest.mark.parametrize(
    ("name", "function", "wrong"),
    thinned([(n, f, w) for n, f, status, w in CLAIMS if status == "REFUTED"], lambda case: case[1][-1] in "12"),
)
@pytest.mark.usefixtures("no_diagnosis")
def test_wrong_layer_is_refuted_by_numbers_that_hold(name, function, wrong):
    module = MODULES[name]
    verdict = check(name, function, seconds=60)
    assert (verdict.status, sorted(verdict.wrong)) == ("REFUTED", sorted(wrong.split(", "))), str(verdict)

    found = verdict.counterexample
    upstream = found.upstream
    if upstream is not None:
        upstream = [np.asarray(u, float) for u in (upstream if isinstance(upstream, (tuple, list)) else [upstream])]
    inputs = {n: np.asarray(found.inputs[n]) for n in module.SHAPES}
    claims = claimed_by(getattr(module, function), module.forward, inputs, upstream)
    truths = {n: differences(module.forward, inputs, upstream, n) for n in claims}
    apart = {n for n in claims if distance(claims[n], truths[n]) > 1e-6}
    assert apart, "the counterexample does not hold"
    assert apart <= set(verdict.wrong)


@pytest.mark.parametrize("name", MODULES)
def test_every_layer_has_a_right_version_and_three_wrong_ones(name):
    table = {function: status for n, function, status, _ in CLAIMS if n == name}
    written = {n for n in vars(MODULES[name]) if re.fullmatch(r"backward(_wrong_\d+)?", n)}
    assert set(table) == written
    assert table["backward"] == "PROVED" and len(table) >= 4
