"""Every form in which a network's code may run, called alike: what examines the code need not know how each is called.

A `Variant` takes arrays (x, y, then the parameters) and hyper-parameters and returns the cost, the gradients, or both.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from symbackprop.codegen.arguments import Array

Outcome = tuple[float | None, list[Array] | None]  # the cost and the gradients, None where a form has no such output
BLOCK = 2  # rows: so that three rows are a whole block and a part of one


@dataclass(frozen=True)
class Variant:
    """One form of the code.

    Attributes:
        name: as it is called in the printed module.
        run: (arrays, numbers) -> the cost and the gradients. It may change neither.
    """

    name: str
    run: Callable[[Sequence[Array], Sequence[float]], Outcome]


def numpy_variants(functions: Mapping[str, Any], dtype: np.dtype[Any]) -> Iterator[Variant]:
    """The forms in a printed NumPy module that compute the cost or the gradient."""
    for name in ("cost_and_gradient", "cost", "gradient"):
        yield Variant(name, partial(_plain, functions[name], name))
        yield Variant(f"{name}_for", partial(_kept, functions, name))
        if f"{name}_blocks" in functions:
            yield Variant(f"{name}_blocks", partial(_in_blocks, functions, name))
    for form in ("bound", "unrolled"):
        if f"cost_and_gradient_{form}" in functions:
            yield Variant(f"cost_and_gradient_{form}", partial(_bound, functions[f"cost_and_gradient_{form}"], dtype))
    if "cost_and_step" in functions:
        yield Variant("cost_and_step", partial(_step, functions["cost_and_step"], dtype))


def predictions(
    functions: Mapping[str, Any], arrays: Sequence[Array], shape: tuple[int, ...]
) -> Iterator[tuple[str, Array]]:
    """What each form of `predict` gives for x and the parameters; `shape` is that of the last activations."""
    given = [arrays[0], *arrays[2:]]
    yield "predict", functions["predict"](*given)
    out = np.full(shape, np.nan, arrays[0].dtype)
    functions["predict_for"](*given)(*given, out)
    yield "predict_for", out
    if "predict_blocks" in functions:
        out = np.full(shape, np.nan, arrays[0].dtype)
        functions["predict_blocks"](*given, [out], functions["predict_blocks_work"](*given, BLOCK))
        yield "predict_blocks", out


def runner_variants(runners: Mapping[str, Any]) -> Iterator[Variant]:
    """The forms of another backend, each called like the NumPy form that writes into given arrays."""
    for name in ("cost_and_gradient", "cost", "gradient"):
        yield Variant(name, partial(_runner, runners[name], name))


def _plain(function: Callable[..., Any], name: str, arrays: Sequence[Array], numbers: Sequence[float]) -> Outcome:
    found = function(*arrays, *numbers)
    if name == "cost":
        return float(found), None
    results = list(found)
    return (float(results.pop(0)) if name == "cost_and_gradient" else None), results


def _kept(functions: Mapping[str, Any], name: str, arrays: Sequence[Array], numbers: Sequence[float]) -> Outcome:
    out = _empty(name, arrays)
    cost = functions[f"{name}_for"](*arrays)(*arrays, *numbers, *out)
    return (None if name == "gradient" else float(cost)), (None if name == "cost" else out)


def _in_blocks(functions: Mapping[str, Any], name: str, arrays: Sequence[Array], numbers: Sequence[float]) -> Outcome:
    work = functions[f"{name}_blocks_work"](*arrays, BLOCK)
    out = _empty(name, arrays)
    cost = functions[f"{name}_blocks"](*arrays, *numbers, out, work)
    return (None if name == "gradient" else float(cost)), (None if name == "cost" else out)


def _runner(runner: Any, name: str, arrays: Sequence[Array], numbers: Sequence[float]) -> Outcome:
    out = _empty(name, arrays)
    cost = runner(arrays, numbers, out)
    return (None if name == "gradient" else float(cost)), (None if name == "cost" else out)


def _empty(name: str, arrays: Sequence[Array]) -> list[Array]:
    return [] if name == "cost" else [np.full_like(a, np.nan) for a in arrays[2:]]


def _bound(
    function: Callable[..., Any], dtype: np.dtype[Any], arrays: Sequence[Array], numbers: Sequence[float]
) -> Outcome:
    theta, inside = flattened(arrays[2:], dtype)
    gradient, out = flattened([np.full_like(a, np.nan) for a in arrays[2:]], dtype)
    cost = function(*arrays[:2], *inside, *numbers, out, theta, gradient)()
    return float(cost), out


def _step(
    function: Callable[..., Any], dtype: np.dtype[Any], arrays: Sequence[Array], numbers: Sequence[float]
) -> Outcome:
    """A step of length 1 down the gradient, seen as a gradient."""
    _, inside = flattened(arrays[2:], dtype)
    out = [np.empty_like(a) for a in inside]
    gemm = importlib.import_module("scipy.linalg").get_blas_funcs("gemm", dtype=dtype)  # SciPy takes long to load
    cost = function(*arrays[:2], *inside, *numbers, out, 1.0, gemm)()
    return float(cost), [before - after for before, after in zip(arrays[2:], inside, strict=True)]


def flattened(arrays: Sequence[Array], dtype: np.dtype[Any]) -> tuple[Array, list[Array]]:
    """The arrays in one vector, and each of them as a part of it."""
    vector = np.concatenate([a.ravel() for a in arrays]).astype(dtype)
    ends = np.cumsum([a.size for a in arrays])
    return vector, [vector[e - a.size : e].reshape(a.shape) for a, e in zip(arrays, ends, strict=True)]
