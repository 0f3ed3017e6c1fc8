"""The code that is generated from a program, searched as a user's code is.

Main name: `precision_of_code`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from symbackprop.checking.generated_code import examined_code
from symbackprop.checking.question import Question
from symbackprop.checking.sample_points import Sampler
from symbackprop.checking.user_run import quietly
from symbackprop.checking.verdict import Precision
from symbackprop.codegen.program import CompiledProgram
from symbackprop.evaluation.point import Point
from symbackprop.expression.program import Program
from symbackprop.normal_form.work_time import worked
from symbackprop.precision.error import Judge
from symbackprop.precision.exact_values import ExactValues
from symbackprop.precision.inputs import Inputs
from symbackprop.precision.ranges import dtype_of, ranges_of
from symbackprop.precision.search import Search
from symbackprop.precision.user_results import Computed
from symbackprop.proofs.program import proved_gradient


@dataclass(frozen=True)
class GeneratedCode:
    """Compiled code in a dtype.

    Args:
        subject: the program that is compiled, again for another dtype.
    """

    subject: Program
    question: Question
    dtype: np.dtype[Any]
    backend: str = "numpy"

    def with_more_digits(self) -> GeneratedCode:
        """The same for float64, which is the widest that there is code for."""
        return replace(self, dtype=np.dtype(np.float64))

    def at(self, point: Point) -> Computed:
        """The cost and the gradients."""
        name = "float32" if self.dtype == np.float32 else "float64"
        code = examined_code(self.subject, self.backend, name)
        assert isinstance(code, CompiledProgram), "of a program"
        given = {t.name: a.astype(name) if a.dtype.kind == "f" else a for t, a in point.inputs.items()}
        with quietly():
            found = {n: np.asarray(a, dtype=np.float64) for n, a in code(**given).items()}
        gradients = {n: found[bar.name] for n, (_, bar) in self.question.pairs.items()}
        costs = () if self.question.upstream else tuple(found[t.name] for t in self.question.forward.outputs)
        return Computed(costs, gradients)


def precision_of_code(
    program: Program,
    dtype: str = "float64",
    ranges: Mapping[str, tuple[float, float]] | None = None,
    *,
    backend: str = "numpy",
    seconds: float = 0.5,
    beside_largest: bool = False,
) -> Precision:
    """What floating point makes of the code that `compile` gives for a program.

    Args:
        ranges: of inputs and upstream gradients, by name.
        seconds: of work, for the search.
        beside_largest: whether an entry may lose digits that are nothing beside the largest derivative.
    """
    proved = proved_gradient(program).short
    gradient = proved.gradient
    pairs = {t.name: (t, bar) for t, bar in gradient.cotangents.items() if bar in gradient.adjoint.outputs}
    own = set(program.inputs)
    as_traced = bool(proved.upstream) and all(t in own for t, _ in pairs.values())
    if as_traced:
        question = Question(program, gradient.adjoint, pairs, proved.upstream)
    else:  # with a cost of its own, or without axes of length 1
        question = Question(gradient.program, gradient.adjoint, pairs)
    number_type = dtype_of(dtype)
    sampler = Sampler(question, random.Random(3))
    free = [t for t in question.forward.inputs if t not in proved.upstream]
    found_ranges = ranges_of(free, sampler.kinds, ranges or {})
    values = ExactValues(question, gradient, 1e-300 if dtype == "float64" else 1e-40)
    code = GeneratedCode(program, question, number_type, backend)
    free_inputs = (*found_ranges, *proved.upstream)
    judge = Judge(values, free_inputs, number_type, beside_largest=beside_largest)
    search = Search(code, Inputs(question, sampler, found_ranges, number_type, proved.upstream), values, judge)
    result = search.run(worked() + seconds)
    if result.found is None:
        safe = True if result.compared else None
        return Precision(safe, result.largest, dtype=dtype, points=result.compared, reason=result.complaint)
    loss, point = result.found.loss, result.found.point
    witness = {t.name: a for t, a in point.inputs.items()}
    return Precision(
        False, loss.error, witness, dtype=dtype, name=loss.name, place=loss.place, computed=loss.computed,
        exact=loss.exact, points=result.compared,
    )  # fmt: skip
