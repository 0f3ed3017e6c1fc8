"""What is known while a formula is read: letters, tensors and their layers, conventions, and what was inferred."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from symbackprop.audit.lengths import Key
from symbackprop.audit.names import Layer
from symbackprop.expression.build import Expr
from symbackprop.expression.functions import Function

SAMPLES: Key = ("samples",)


@dataclass(frozen=True)
class Letter:
    """An index: its place counted from 0, the class of its range, and the number of its first value."""

    place: Expr
    key: Key
    origin: int = 1


@dataclass(frozen=True)
class Instance:
    """A tensor's family, layer, and whether its first axis counts examples."""

    family: str
    layer: Layer | None
    lifted: bool


@dataclass(frozen=True)
class Scope:
    """What letters mean where a formula is read.

    Args:
        letters: indices of entries; `samples`: indices of examples.
        layers: what a letter that numbers layers stands for.
        sample: the example that is meant where none is marked; None where the document speaks of one example alone.
        claim: a key under which free indices are known; None where there are none.
        stacked: quantities of each example without a mark are arrays over all examples.
    """

    letters: Mapping[str, Letter] = field(default_factory=dict)
    samples: Mapping[str, Expr] = field(default_factory=dict)
    layers: Mapping[str, Layer] = field(default_factory=dict)
    sample: Expr | None = None
    claim: Key | None = None
    stacked: bool = False


@dataclass
class Reading:
    """Conventions that a document may leave open.

    Args:
        elementwise: vectors side by side are multiplied entry by entry.
        rows: vectors are rows.
        stacked: quantities of each example without a mark are arrays over all examples.
        lower_first: the Jacobian dy/dx has the axis of x first.
        turned: the derivative of a number by a matrix has the shape of its transpose, and by a vector it is a row.
        powers: X^2 is the product of a matrix with itself, also where nothing says so.
        ties: what happens on the thresholds of cases is left aside.
        at_once: a cost of h_t, as the words call it, is one of this time alone.
        numbers: quantities that are numbers here, whatever they are elsewhere.
        costs_apart: a cost that is only named is no function of the other costs.
    """

    elementwise: bool = False
    rows: bool = False
    stacked: bool = False
    lower_first: bool = False
    turned: bool = False
    powers: bool = False
    ties: bool = False
    at_once: bool = False
    numbers: frozenset[str] = frozenset()
    costs_apart: bool = False


@dataclass
class Facts:
    """What is inferred about a document's quantities beside its equations."""

    ranks: dict[str, int] = field(default_factory=dict)
    named_functions: dict[str, Function] = field(default_factory=dict)
    per_sample: set[str] = field(default_factory=set)
    aliases: dict[str, str] = field(default_factory=dict)
    stacks: dict[str, str] = field(default_factory=dict)
    ones: dict[str, Expr] = field(default_factory=dict)
    zeros: set[tuple[str, int]] = field(default_factory=set)
    implicit: dict[str, tuple[str, ...]] = field(default_factory=dict)
    columns: bool = False  # examples are the columns of matrices
    targets: set[str] = field(default_factory=set)
    along: int = -1
    sums_to_one: bool = False
    constrained: dict[str, set[str]] = field(default_factory=dict)
    one_hot: dict[str, str] = field(default_factory=dict)  # data that are 1 at this letter, 0 elsewhere
    reaches: dict[str, set[str]] = field(default_factory=dict)  # what a cost is said to be a function of
    laid_out: set[str] = field(default_factory=set)  # the layouts of derivatives that the words settle
    sure: set[str] = field(default_factory=set)
    guessed: bool = False  # no choice of ranks suits all definitions
    assumptions: list[str] = field(default_factory=list)
