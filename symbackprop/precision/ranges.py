"""Over which inputs floating point is asked: a range for each, and a dtype.

Main names: `ranges_of`, `dtype_of`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from symbackprop.errors import MalformedError, UnsupportedError, nearest
from symbackprop.expression.build import Tensor
from symbackprop.expression.program import Assumption

LARGEST = 1e4  # of an input whose range is not stated
DTYPES = ("float64", "float32")
OF_RANGE = (None, "pos", "prob")  # kinds of inputs whose entries may be any numbers of an interval
HELP = 'write ranges={"x": (-1e4, 1e4)}'


class Range(NamedTuple):
    """Where the entries of an input lie; the ends belong to it unless `open` says that what is assumed excludes 0."""

    low: float
    high: float
    open: bool = False

    def holds(self, value: float) -> bool:
        """Whether a number is in it."""
        inside = self.low <= value <= self.high
        return inside and not (self.open and value == self.low)


DEFAULTS = {None: Range(-LARGEST, LARGEST), "pos": Range(0.0, LARGEST, True), "prob": Range(0.0, 1.0, True)}


def dtype_of(text: Any) -> np.dtype[Any]:
    """The dtype that is asked about.

    Raises:
        UnsupportedError: a dtype with too few digits to say anything about.
        MalformedError: not a dtype of floating-point numbers.
    """
    try:
        found: np.dtype[Any] = np.dtype(text)
    except TypeError:
        raise MalformedError(f"dtype is {text!r}", help='write dtype="float64" or dtype="float32"') from None
    if found.name in DTYPES:
        return found
    if found.kind == "f":
        raise UnsupportedError(f"precision is not searched in {found.name}", help='dtype="float64" or dtype="float32"')
    what = f"dtype is {found.name}: gradients are floating-point numbers"
    raise MalformedError(what, help='write dtype="float64" or dtype="float32"')


def checked(
    ranges: Any, names: Sequence[str], assume: Mapping[str, str], dtype: np.dtype[Any]
) -> dict[str, tuple[float, float]]:
    """The stated ranges as pairs of numbers.

    Args:
        names: of the inputs.
        assume: what is assumed of some of them.

    Raises:
        MalformedError: an unknown name, no pair of numbers, a range that is empty, reversed or beyond the dtype, or one
            of an input that is labels or the like, or not within what is assumed.
    """
    if ranges is None:
        return {}
    if not isinstance(ranges, Mapping):
        raise MalformedError(f"ranges is a {type(ranges).__name__}, not a dictionary", help=HELP)
    found = {str(name): _pair(name, given, names, dtype) for name, given in ranges.items()}
    for name, (low, high) in found.items():
        kind = str(assume.get(name, "")).partition(":")[0] or None
        if kind not in OF_RANGE:
            raise MalformedError(f"{name} has no range: {kind} is assumed of it")
        if kind is not None and (low < 0 or high > (1 if kind == "prob" else math.inf)):
            raise MalformedError(f"the range of {name}, {low:g} to {high:g}, is not within what is assumed: {kind}")
    return found


def _pair(name: Any, given: Any, names: Sequence[str], dtype: np.dtype[Any]) -> tuple[float, float]:
    if name not in names:
        near = nearest(str(name), names)
        help = f"did you mean {near}?" if near else f"the inputs are {', '.join(names)}"
        raise MalformedError(f"ranges speaks of {name}, which is no input", help=help)
    pair = list(given) if isinstance(given, (tuple, list)) else []
    if len(pair) != 2 or not all(isinstance(n, Real) and not isinstance(n, bool) for n in pair):
        raise MalformedError(f"the range of {name} is {given!r}, not two numbers", help=HELP)
    low, high = float(pair[0]), float(pair[1])
    if not (math.isfinite(low) and math.isfinite(high)):
        raise MalformedError(f"the range of {name} is {given!r}: its ends must be finite numbers", help=HELP)
    if low > high:
        raise MalformedError(
            f"the range of {name} is empty: {low:g} is above {high:g}", help="write the lower end first"
        )
    most = float(np.finfo(dtype).max)
    if max(-low, high) > most:
        raise MalformedError(f"the range of {name} goes beyond {dtype.name}, whose largest number is {most:.3g}")
    return low, high


def ranges_of(
    tensors: Sequence[Tensor], kinds: Mapping[Tensor, Assumption], stated: Mapping[str, tuple[float, float]]
) -> dict[Tensor, Range]:
    """The range of each input whose entries may be any numbers of an interval.

    Args:
        kinds: what is assumed of them.
        stated: ranges by name; they may hold the 0 that "pos" excludes.
    """
    found: dict[Tensor, Range] = {}
    for tensor in tensors:
        kind = kinds[tensor].kind if tensor in kinds else None
        if kind not in OF_RANGE or tensor.kind != "real":
            continue
        given = stated.get(tensor.name)
        found[tensor] = Range(*given) if given is not None else DEFAULTS[kind]
    return found
