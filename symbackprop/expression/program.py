"""Programs: an ordered list of equations, each defining one tensor entry by entry in index notation.

    z2[n,i] = Sum(j, W1[i,j] * a1[n,j]) + b1[i]
    a2[n,i] = sigmoid(z2[n,i])

Every front end makes a Program and every back end reads one. Intermediate tensors keep their names, so a deep network
is a long list of short equations. What is known about the inputs (labels, one-hot rows, positive entries) and about
the sizes stands beside the equations.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from operator import eq
from typing import Any, Literal

from symbackprop.errors import IndexNotationError
from symbackprop.expression.build import (
    Expr,
    Symbol,
    Tensor,
    entries_once,
    free_indices,
    nodes_once,
)
from symbackprop.expression.equation import Equation
from symbackprop.expression.recurrence import Block, blocks, equations_of
from symbackprop.expression.shown import Shown
from symbackprop.expression.sizes import Facts

AssumptionKind = Literal["labels", "onehot", "simplex", "prob", "pos", "bern", "pm1", "symmetric", "spd"]


PART = "part of "  # begins the note of an equation to which the user gave no name of its own
UPSTREAM = "upstream gradient times output"  # the note of a cost that stands for all that is computed from an output


@dataclass(frozen=True)
class Assumption:
    """What is known about the entries of an input.

    labels: integers in 0 .. size-1; onehot: along `axis` one 1 and else 0; simplex: along `axis` they add up to 1;
    prob: in (0, 1); pos: > 0;
    bern: 0 or 1; pm1: -1 or +1; symmetric: the matrix along the last two axes is; spd: it is positive definite, too.
    """

    kind: AssumptionKind
    tensor: Tensor
    size: Expr | None = None
    axis: int = -1


# Of an input: what is assumed, or the kind alone, which is then said of the last axis.
Known = Mapping[Tensor, Assumption | AssumptionKind]


@dataclass(frozen=True, repr=False)
class Program(Shown):
    """Equations in an order in which they can be evaluated.

    Args:
        inputs: tensors given from outside, in the order of the arguments.
        equations: every tensor is defined once, from inputs and earlier tensors, or those of its own recurrence.
        outputs: the tensors that the program returns; a cost is one tensor of shape ().
        parameters: the scalars other than sizes (lam, eps) that occur.
        assumptions: what is known about the inputs.
        domain: relations between sizes that hold, as `Compare` nodes (values 0 or 1).
        conditions: points that the program excludes, in words ("z2[n,i] != 0").
        name: what it is called: the name of the user's function.
        lines: the user's code, by the numbers of the lines.
        function: the user's function, if the program was read off one.
        precision: what floating point makes of that function, where it was asked: a `checking.verdict.Precision`.
    """

    inputs: tuple[Tensor, ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Tensor, ...]
    parameters: tuple[Symbol, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    domain: tuple[Expr, ...] = ()
    conditions: tuple[str, ...] = ()
    name: str = field(default="", compare=False)
    lines: Mapping[int, str] = field(default_factory=dict, compare=False, repr=False)
    function: Callable[..., Any] | None = field(default=None, compare=False, repr=False)
    precision: Any = field(default=None, compare=False, repr=False)
    by_tensor: Mapping[Tensor, Equation] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_tensor", {e.tensor: e for e in self.equations})
        well_formed(self)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The equations in an order in which they can be computed, those that read each other as one recurrence."""
        return blocks(self.equations)

    @property
    def known(self) -> dict[Tensor, Assumption]:
        """What is assumed of each input of which something is."""
        return {a.tensor: a for a in self.assumptions}

    @property
    def facts(self) -> Facts:
        """What it says about its sizes and labels."""
        ranges = {a.tensor: a.size for a in self.assumptions if a.kind == "labels" and a.size is not None}
        return Facts(self.domain, ranges)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Inputs, then defined tensors in order."""
        return self.inputs + tuple(e.tensor for e in self.equations)

    @property
    def sizes(self) -> tuple[Symbol, ...]:
        """The size symbols that occur in shapes, in the order of first use."""
        found: dict[Symbol, None] = {}
        for tensor in self.tensors:
            for size in tensor.shape:
                found.update(dict.fromkeys(s for s in symbols(size) if s.kind == "size"))
        return tuple(found)


def symbols(expr: Expr) -> list[Symbol]:
    """The symbols inside `expr`, in order of first occurrence."""
    return [node for node in nodes_once(expr) if isinstance(node, Symbol)]


def well_formed(program: Program) -> None:
    """Check that every equation speaks only of what is known before it.

    Raises:
        IndexNotationError: a tensor is defined twice or used before it is defined (but for those that are computed with
            it, step by step), two tensors or a tensor and a scalar have one name, an entry has the wrong number of
            indices, or the two sides have different free indices.
    """
    known = set(program.inputs)
    _one_name_each(program)
    together = {e.tensor: block for block in program.blocks for e in equations_of(block)}
    for equation in program.equations:
        name = equation.tensor.name
        if equation.tensor in known:
            raise IndexNotationError(f"tensor {name} is defined twice")
        if len(equation.indices) != len(equation.tensor.shape):
            raise IndexNotationError(
                f"the equation for {name} has {len(equation.indices)} indices, its shape {len(equation.tensor.shape)}"
            )
        stray = free_indices(equation.value) - set(equation.indices)
        if stray:
            names = ", ".join(sorted(i.name for i in stray))
            raise IndexNotationError(
                f"the right side of the equation for {name} has a free index that the left lacks: {names}"
            )
        for entry in entries_once(equation.value):
            if entry.tensor not in known and together.get(entry.tensor) is not together[equation.tensor]:
                raise IndexNotationError(f"the equation for {name} uses {entry.tensor.name} before it is defined")
            if len(entry.indices) != len(entry.tensor.shape):
                raise IndexNotationError(
                    f"{entry.tensor.name} has {len(entry.tensor.shape)} axes but {len(entry.indices)} indices"
                )
        known.add(equation.tensor)
    for output in program.outputs:
        if output not in known:
            raise IndexNotationError(f"output {output.name} is never defined")


def _one_name_each(program: Program) -> None:
    """What is printed or passed by name must be one thing."""
    owners: dict[str, Tensor | Symbol] = {s.name: s for s in program.parameters}
    for tensor in program.tensors:
        other = owners.setdefault(tensor.name, tensor)
        if other is not tensor:
            what = "a tensor and a scalar are" if isinstance(other, Symbol) else "two tensors are"
            raise IndexNotationError(f"{what} called {tensor.name}", help="give one of them another name")


def unused(wanted: str, taken: Container[str]) -> str:
    """`wanted`, or the first of wanted_2, wanted_3, ... that is not taken.

    Example:
        >>> unused("J", {"J", "J_2"})
        'J_3'
    """
    names = itertools.chain([wanted], (f"{wanted}_{k}" for k in itertools.count(2)))
    return next(name for name in names if name not in taken)


def defined_once(
    equations: Iterable[Equation], same: Callable[[Equation, Equation], bool] = eq
) -> dict[Tensor, Equation]:
    """The equations of several programs by the tensor that they define.

    Args:
        same: whether two equations for one tensor say the same.

    Raises:
        IndexNotationError: one name means two things, so the programs cannot be joined.
    """
    found: dict[Tensor, Equation] = {}
    names: dict[str, Tensor] = {}
    for equation in equations:
        tensor = equation.tensor
        known = found.setdefault(tensor, equation)
        if names.setdefault(tensor.name, tensor) is not tensor or not (known is equation or same(known, equation)):
            raise IndexNotationError(
                f"two programs define {tensor.name}, each in its own way",
                help="rename the tensors of one of them before they are joined",
            )
    return found


__all__ = [
    "PART",
    "UPSTREAM",
    "Assumption",
    "AssumptionKind",
    "Equation",
    "Known",
    "Program",
    "defined_once",
    "symbols",
    "unused",
    "well_formed",
]
