"""Parameters: a network's weights and biases as named arrays and as one flat vector.

Names are W1, b1, W2, b2, ...: W1 has shape (s_2, s_1), W1[i, j] leads from unit j to unit i; b1 has shape (s_2,).
The flat vector theta holds them in this order, each row-major; the named arrays are views into it, so a change of
theta changes them without a copy. This module knows nothing of costs or data.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from symbackprop.errors import DataError

Array = NDArray[np.floating]
Params = dict[str, Array]
Shapes = dict[str, tuple[int, ...]]


def shapes_of(params: Mapping[str, Array]) -> Shapes:
    """The shape of each array of `params`, in the order W1, b1, W2, b2, ...

    Raises:
        DataError: a name is missing or unknown, or neighbouring layers do not fit together.

    Example:
        >>> shapes_of({"b1": np.zeros(4), "W1": np.zeros((4, 3))})
        {'W1': (4, 3), 'b1': (4,)}
    """
    layers = len(params) // 2
    names = [f"{kind}{layer}" for layer in range(1, layers + 1) for kind in "Wb"]
    if not names or set(names) != set(params):
        raise DataError(
            "these are not the parameters of a network",
            evidence=["names: " + (", ".join(sorted(params)) or "none"), "wanted: W1, b1, W2, b2, ..."],
        )
    shapes: Shapes = {name: tuple(np.shape(params[name])) for name in names}
    sends: int | None = None
    for layer in range(1, layers + 1):
        W, b = shapes[f"W{layer}"], shapes[f"b{layer}"]
        if len(W) != 2 or b != (W[0],) or 0 in W or (sends is not None and W[1] != sends):
            wanted = f"W{layer}: (s_{layer + 1}, s_{layer}), b{layer}: (s_{layer + 1},)"
            evidence = [f"W{layer}: {W}, b{layer}: {b}", wanted] + ([f"s_{layer} = {sends}"] if sends else [])
            raise DataError("weights and biases do not fit together", evidence=evidence)
        sends = W[0]
    return shapes


def widths(shapes: Shapes) -> list[int]:
    """The number of units of each layer, inputs first.

    Example:
        >>> widths({"W1": (4, 3), "b1": (4,), "W2": (2, 4), "b2": (2,)})
        [3, 4, 2]
    """
    receiving = [shape[0] for name, shape in shapes.items() if name.startswith("W")]
    return [shapes["W1"][1], *receiving]


def flatten(params: Mapping[str, Array]) -> Array:
    """The flat vector theta: W1, b1, W2, b2, ... each row-major; a new array.

    Example:
        >>> flatten({"W1": np.array([[1.0, 2.0]]), "b1": np.array([3.0])}).tolist()
        [1.0, 2.0, 3.0]
    """
    return np.concatenate([np.ravel(params[name]) for name in shapes_of(params)])


def views(theta: Array, shapes: Shapes) -> Params:
    """Named views into the flat vector `theta`; no number is copied."""
    params: Params = {}
    start = 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        params[name] = theta[start : start + size].reshape(shape)
        start += size
    assert start == theta.size, f"theta has {theta.size} numbers, the shapes need {start}"
    return params


def weight_mask(shapes: Shapes) -> Array:
    """A flat vector with 1 at each weight and 0 at each bias: what decay may touch."""
    ones = [np.full(int(np.prod(shape)), float(name.startswith("W"))) for name, shape in shapes.items()]
    return np.concatenate(ones)
