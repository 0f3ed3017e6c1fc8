"""A point: concrete sizes and exact numbers at which programs are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from numpy.typing import NDArray

from symbackprop.evaluation.number_types import Field, Value
from symbackprop.expression.build import Symbol, Tensor
from symbackprop.expression.functions import Function


@dataclass(frozen=True)
class Point:
    """Concrete sizes, exact numbers and functions: everything that a program needs.

    Args:
        inputs: for each tensor that is given an array, float64 (each entry the dyadic number it is) or int64.
        functions: what each arbitrary function stands for.
        exact: floats among the inputs that stand for another number than the dyadic one: 0.1 for 1/10, where a program
            compares an input with 1/10 and so with the float that the user wrote.
    """

    sizes: Mapping[Symbol, int]
    inputs: Mapping[Tensor, NDArray[Any]]
    parameters: Mapping[Symbol, float] = field(default_factory=dict)
    functions: Mapping[str, Function] = field(default_factory=dict)
    exact: Mapping[float, Fraction] = field(default_factory=dict)

    def values(self, number_field: Field) -> dict[Symbol, Value]:
        """Sizes and hyper-parameters as numbers of a field."""
        return {**self.sizes, **{s: number_field.number(v) for s, v in self.parameters.items()}}
