"""The user's two functions, run by NumPy at a point in a dtype, and what NumPy reports meanwhile.

Main names: `UserCode`, and `ForwardCode` for a forward pass alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.checking.question import Question
from symbackprop.checking.user_run import handed, quietly, run
from symbackprop.evaluation.point import Point
from symbackprop.frontends.numpy.traced import beside_inputs, outputs_and_cache, roles_as_traced

Floats = NDArray[Any]


@dataclass(frozen=True)
class Computed:
    """What the user's code returned.

    Args:
        outputs: of the forward pass.
        gradients: by the names of the inputs.
    """

    outputs: tuple[Floats, ...]
    gradients: Mapping[str, Floats]
    failed: str = ""

    @property
    def finite(self) -> bool:
        """Whether all of it are finite numbers."""
        return all(np.isfinite(a).all() for a in (*self.outputs, *self.gradients.values()))


@dataclass
class UserCode:
    """A forward and a backward function, and the question that they answer."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    question: Question
    dtype: np.dtype[Any]
    roles: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        names = [t.name for t in self.question.forward.inputs]
        self.roles = roles_as_traced(self.forward, self.backward, names, self.question.upstream)

    def with_more_digits(self) -> UserCode:
        """The same, run in a wider dtype."""
        wider: Any = np.float64 if self.dtype == np.float32 else np.longdouble
        return replace(self, dtype=np.dtype(wider))

    def at(self, point: Point) -> Computed:
        """Both functions' results."""
        given = {t: a.astype(self.dtype) if a.dtype.kind == "f" else a for t, a in point.inputs.items()}
        point = replace(point, inputs=given)
        with quietly():
            try:
                outputs, gradients = self.returned(point)
                plain = tuple(np.asarray(v, dtype=np.float64) for v in outputs)
                by_name = {n: np.asarray(v, dtype=np.float64) for n, v in gradients.items()}
            except Exception as error:  # the user's code may raise anything
                return Computed((), {}, f"{type(error).__name__}: {error}")
        return Computed(plain, by_name)

    def returned(self, point: Point) -> tuple[list[Any], dict[str, Any]]:
        """Outputs and gradients as they come, whatever the entries of the inputs are; raises what the code raises."""
        outputs, cache = outputs_and_cache(run(self.forward, self.question.forward.inputs, point), self.roles)
        upstream = tuple(handed(t, point) for t in self.question.upstream)
        others = beside_inputs(self.roles, upstream, cache)
        returned = run(self.backward, self.question.forward.inputs, point, **others)
        return listed(outputs), {n: named(returned, n, k) for k, n in enumerate(self.question.pairs)}


class ForwardCode(UserCode):
    """A forward pass alone: its outputs stand in the place of gradients, since all of their digits are asked for."""

    def returned(self, point: Point) -> tuple[list[Any], dict[str, Any]]:
        """The outputs, by the names that the question gives them."""
        outputs = listed(run(self.forward, self.question.forward.inputs, point))
        return [], dict(zip(self.question.pairs, outputs, strict=True))


def listed(result: Any) -> list[Any]:
    """What a forward pass returned, one after the other."""
    if isinstance(result, dict):
        return list(result.values())
    return list(result) if isinstance(result, (tuple, list)) else [result]


def named(returned: Any, name: str, place: int) -> Any:
    """The gradient of an input, by its name with or without a "d", or by its place."""
    if isinstance(returned, dict):
        return next(v for k, v in returned.items() if str(k) in (name, f"d{name}", f"d_{name}"))
    return listed(returned)[place]
