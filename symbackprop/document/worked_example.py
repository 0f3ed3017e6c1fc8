"""A worked example: a 2-2-1 network (2-2-2 for a softmax) with numbers carried forward, backward and through a step.

Every number is the value of one of the proof's own equations at the point; the generated code and central differences
of the cost must give the same, else nothing is printed. Main name: `worked_example`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from symbackprop.checking.generated_code import examined_code
from symbackprop.codegen.network import CompiledNetwork
from symbackprop.document.matrix_form import form_layout, matrix_form, matrix_name
from symbackprop.document.model import Block, Display, Paragraph, Section, Symbolic, Text
from symbackprop.errors import GeneratedCodeError, SymbackpropError, UnsupportedError
from symbackprop.evaluation.exact import evaluate
from symbackprop.expression.build import Symbol, Tensor
from symbackprop.expression.functions import FUNCTIONS, is_arbitrary
from symbackprop.expression.program import Equation, Program
from symbackprop.frontends.network import Network
from symbackprop.proofs.network import prove_network
from symbackprop.proofs.theorem import Theorem
from symbackprop.rendering.layout import TIMES, Fence, Glyph, Grid, Layout, operator, relation, row
from symbackprop.rendering.notation import (
    WEIGHTS,
    Notation,
    derivative_layout,
    function_layout,
    letter,
    tensor_layout,
)

DIGITS = 4  # after the point
RATES = (0.5, 0.1, 0.02, 0.004)  # sizes of the step that are tried, the first that lowers the cost is shown
HYPER_PARAMETER = 0.1
_EXAMPLES, _TRIALS = 2, 200
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Worked:
    """The numbers of an example.

    Args:
        network: what is computed.
        given: x, y and the parameters, by name.
        values: all tensors of the adjoint program, by name.
        rate: the size of the step.
        after: the parameters after the step, by name, and the cost J.
    """

    network: Network
    given: Mapping[str, Array]
    values: Mapping[str, Array]
    rate: float
    after: Mapping[str, Array]

    @property
    def hyper(self) -> dict[str, float]:
        """The hyper-parameters."""
        return {s.name: HYPER_PARAMETER for s in self.network.hyper_parameters}


def small_network(network: Network) -> Network:
    """The network with the same functions, cost and penalties, and layers 2-2-1; 2-2-2 for a softmax."""
    small = network.like([2, 2, 2 if network.softmax else 1])
    functions = [x.function for x in small.layers[1:]]
    known = ["softmax" if f is None else "sigmoid" if f.definition is None else f for f in functions]
    return small.like(small.widths, activation=known)


@lru_cache(maxsize=16)
def work(network: Network) -> Worked:
    """The numbers of the example of a network.

    Raises:
        UnsupportedError: no simple numbers were found at which the cost is defined.
        GeneratedCodeError: the generated code computes other numbers.
    """
    small = small_network(network)
    adjoint = _adjoint(small)
    hyper = {s.name: HYPER_PARAMETER for s in small.hyper_parameters}
    sizes = _sizes(small)
    for seed in range(_TRIALS):
        given = _numbers(small, seed)
        try:
            values = evaluate(adjoint, sizes, given, hyper)
        except (SymbackpropError, ArithmeticError, ValueError):
            continue
        if not _clear(small, values):
            continue
        found = _stepped(small, given, values, hyper, sizes)
        if found is not None:
            _confirm(found, sizes)
            return found
    raise UnsupportedError(
        "no worked example: at none of the simple numbers that were tried the cost and its gradients are defined"
    )


def _sizes(network: Network) -> dict[str, int]:
    widths = {layer.size.name: int(layer.width) for layer in network.layers}
    return {"m": _EXAMPLES, **widths}


def _numbers(network: Network, seed: int) -> dict[str, Array]:
    """Inputs, targets and parameters with one digit after the point."""
    rng = np.random.default_rng(seed)
    sizes = _sizes(network)
    shapes = {t.name: tuple(sizes[s.name] for s in t.shape if isinstance(s, Symbol)) for t in network.parameters}
    given = {name: np.round(rng.uniform(-1.0, 1.0, shape), 1) for name, shape in shapes.items()}
    given["x"] = np.round(rng.uniform(0.1, 2.0, (_EXAMPLES, 2)), 1)
    outputs = sizes[network.layers[-1].size.name]
    given["y"] = np.eye(_EXAMPLES)[:, :outputs] if outputs > 1 else np.array([[1.0], [0.0]])
    return given


def _clear(network: Network, values: Mapping[str, Array]) -> bool:
    """Whether all is finite, no entry stands at a kink, no parameter is 0, and no gradient is 0."""
    if not all(np.isfinite(v).all() for v in values.values()):
        return False
    kinks = any(x.function is not None and x.function.kinks for x in network.layers[1:])
    entries = [v for name, v in values.items() if name[0] == "z"] if kinks else []
    away = all(np.abs(v).min() > 0.05 for v in entries)
    set_apart = all(np.abs(values[t.name]).min() >= 0.1 for t in network.parameters)
    moving = all(np.abs(values[f"dJ_d{t.name}"]).max() > 0.01 for t in network.parameters)
    return away and set_apart and moving


def _stepped(
    network: Network,
    given: Mapping[str, Array],
    values: Mapping[str, Array],
    hyper: Mapping[str, float],
    sizes: Mapping[str, int],
) -> Worked | None:
    """The example with the first step that lowers the cost visibly."""
    for rate in RATES:
        after = {t.name: given[t.name] - rate * values[f"dJ_d{t.name}"] for t in network.parameters}
        try:
            again = evaluate(network.program, sizes, {**given, **after}, hyper)
        except (SymbackpropError, ArithmeticError, ValueError):
            continue
        if np.isfinite(again["J"]) and again["J"] < values["J"] - 10.0 ** (1 - DIGITS):
            return Worked(network, dict(given), dict(values), rate, {**after, "J": again["J"]})
    return None


def _confirm(found: Worked, sizes: Mapping[str, int]) -> None:
    """Have the generated code and central differences compute the same.

    Raises:
        GeneratedCodeError: they do not.
    """
    network, hyper = found.network, found.hyper
    names = [t.name for t in network.parameters]
    code = examined_code(network, "numpy", "float64")
    assert isinstance(code, CompiledNetwork), "the code of a network"
    parameters = {name: found.given[name] for name in names}
    cost, gradients = code(parameters, found.given["x"], found.given["y"], **hyper)
    agreed = [bool(np.isclose(cost, found.values["J"], rtol=1e-9))]
    agreed += [np.allclose(gradients[n], found.values[f"dJ_d{n}"], rtol=1e-8, atol=1e-12) for n in names]
    for name in names:
        for place in np.ndindex(found.given[name].shape):
            ends = []
            for move in (1e-6, -1e-6):
                moved = found.given[name].copy()
                moved[place] += move
                ends.append(float(evaluate(network.program, sizes, {**found.given, name: moved}, hyper)["J"]))
            slope = (ends[0] - ends[1]) / 2e-6
            agreed.append(bool(np.isclose(slope, found.values[f"dJ_d{name}"][place], rtol=1e-5, atol=1e-7)))
    if not all(agreed):
        raise GeneratedCodeError("the numbers of the worked example are not those of the generated code")


# The section.


def worked_example(network: Network, notation: Notation) -> Section:
    """The example as a section of a document."""
    found = work(network)
    small, forward = found.network, found.network.program.equations
    known = {e.tensor for e in forward}
    wanted = [e for e in _adjoint(small).equations if e.tensor not in known and not e.tensor.name.startswith("dJ_da")]
    hyper = [Symbolic(row(letter(name), relation("="), _decimal(value))) for name, value in found.hyper.items()]
    intro: Text = (
        f"The same equations with numbers, for a {'-'.join(map(str, small.widths))} network and {_EXAMPLES} examples, "
        "one in each row. What is given is exact; all else is computed from that without rounding on the way, and "
        f"shown to {DIGITS} digits after the point.",
    )
    given = [small.x, small.y, *small.parameters]
    body: list[Block] = [
        Paragraph(intro),
        *_functions(network, small, notation),
        Display((*((_equation(t, found.given[t.name], notation), ()) for t in given), *((h, ()) for h in hyper))),
        Paragraph(("Forward:",)),
        Display(tuple(_line(e, found, notation) for e in forward)),
        Paragraph(("Backward:",)),
        Display(tuple(_line(e, found, notation) for e in wanted)),
        *_step(found, notation),
    ]
    return Section("A worked example", tuple(body))


def _functions(network: Network, small: Network, notation: Notation) -> list[Block]:
    """Which function stands for an arbitrary one."""
    arbitrary = next((x.function for x in network.layers[1:] if x.function and is_arbitrary(x.function)), None)
    if arbitrary is None:
        return []
    here = row(function_layout(arbitrary, notation), relation("="), function_layout(FUNCTIONS["sigmoid"], WEIGHTS))
    return [Paragraph(("For the arbitrary function, ", Symbolic(here), " is taken, the sigmoid."))]


def _line(equation: Equation, found: Worked, notation: Notation) -> tuple[Symbolic, Text]:
    """What an equation computes here, and the equation for whole arrays beside it."""
    value = found.values[equation.tensor.name]
    written = [
        equation.value,
        *(t.derivation.right for t in prove_network(found.network).theorems if _is_about(t, equation)),
    ]
    forms = [form for expr in written if (form := matrix_form(expr, equation.indices)) is not None]
    form = next(iter(forms), None)
    shown = _equation(equation.tensor, value, notation, about=True)
    if form is None:
        return shown, ()
    name = matrix_name(equation.tensor, notation)
    return shown, (Symbolic(row(name, relation("="), form_layout(form, notation))), ".")


def _is_about(theorem: Theorem, equation: Equation) -> bool:
    """A theorem about the same tensor, with the same indices, that assumes nothing."""
    return theorem.derivation.left is equation.left and not theorem.conditions


def _step(found: Worked, notation: Notation) -> list[Block]:
    """One step of gradient descent, and the cost after it."""
    cost = tensor_layout("J", (), notation)
    theta, alpha = letter("theta"), letter("alpha")
    step = row(theta, relation("←"), theta, operator("−"), alpha, TIMES, derivative_layout(cost, theta))
    parameters = found.network.parameters
    said: Text = (
        "One step of gradient descent with ",
        Symbolic(row(alpha, relation("="), _decimal(found.rate))),
        ", ",
        Symbolic(step),
        " for every parameter ",
        Symbolic(theta),
        ", gives:",
    )
    lines = [(_equation(t, found.after[t.name], notation, about=True), ()) for t in parameters]
    falls: Text = (
        "With these the cost is ",
        Symbolic(_decimal(float(found.after["J"]))),
        ", where it was ",
        Symbolic(_decimal(float(found.values["J"]))),
        ": the step has lowered it.",
    )
    return [Paragraph(said), Display(tuple(lines)), Paragraph(falls)]


def _equation(tensor: Tensor, value: Array, notation: Notation, *, about: bool = False) -> Symbolic:
    """name = numbers; ≈ where they are rounded."""
    rounded = about and not np.allclose(np.round(value, DIGITS), value, rtol=0.0, atol=1e-12)
    return Symbolic(row(matrix_name(tensor, notation), relation("≈" if rounded else "="), _array(np.asarray(value))))


def _array(value: Array) -> Layout:
    """A number, a column, or a matrix."""
    if value.ndim == 0:
        return _decimal(float(value))
    rows = value[:, None] if value.ndim == 1 else value
    return Fence("[", Grid(tuple(tuple(_decimal(float(v)) for v in line) for line in rows)), "]")


def _decimal(value: float) -> Layout:
    """A number with the digits that are shown, without zeros at its end."""
    text = f"{value:.{DIGITS}f}".rstrip("0").rstrip(".")
    text = "0" if text in ("-0", "") else text
    minus, digits = text.startswith("-"), Glyph(text.lstrip("-"), "number")
    return row(operator("−"), digits) if minus else digits


def _adjoint(network: Network) -> Program:
    """The forward equations and the gradients of a network, as they were proved."""
    gradient = prove_network(network).gradient
    assert gradient is not None, "the proof of a network has its gradient"
    return gradient.adjoint
