"""The questions that readers of a network's proof ask, each answer with the check behind it.

A row of `QUESTIONS` is a question, an answer, and a predicate of the network that says when the answer is both asked
for and true. One question may have several rows, at most one of which fits: whether dividing by m moves a minimum
depends on the penalty. The predicates ask the proof (is there a theorem a - y?) and the equations, never a name alone.
Main names: `NetworkFacts`, `answers`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

from symbackprop.expression.build import Expr, Index, Kronecker, Multiply, Power, nodes_once, number
from symbackprop.expression.functions import FUNCTIONS
from symbackprop.expression.sympy_bridge import to_sympy
from symbackprop.frontends.network import M, Network
from symbackprop.proofs.theorem import Proof


@dataclass(frozen=True)
class NetworkFacts:
    """What is true of a network and its proof, as far as a sentence needs it."""

    proof: Proof
    network: Network

    @property
    def averages(self) -> bool:
        """The data term is a mean."""
        return self.network.reduction == "mean"

    @property
    def penalised(self) -> bool:
        """The cost has a penalty on the weights."""
        return bool(self.network.penalties())

    @property
    def penalty_is_divided_too(self) -> bool:
        """Every coefficient of a penalty carries the same 1/m as the mean: times m it is free of m."""
        m = to_sympy(M)
        given = [c for c in (self.network.l1, self.network.l2) if c is not None]
        return all(m not in sp.cancel(to_sympy(c) * m).free_symbols for c in given)

    @property
    def penalty_is_free_of_m(self) -> bool:
        """No coefficient of a penalty depends on the number of examples."""
        given = [c for c in (self.network.l1, self.network.l2) if c is not None]
        return not any(to_sympy(M) in to_sympy(c).free_symbols for c in given)

    @property
    def halved_data(self) -> bool:
        """The data term is half a square."""
        return any(_is_half_a_square(n) for n in nodes_once(self._term()))

    @property
    def halved_penalty(self) -> bool:
        """The coefficient of the squared weights has a factor 1/2."""
        return self.network.l2 is not None and to_sympy(self.network.l2).as_coeff_Mul()[0] == sp.Rational(1, 2)

    @property
    def elementwise(self) -> bool:
        """Each output depends on its own pre-activation alone."""
        return not self.network.softmax

    @property
    def squares(self) -> bool:
        """The derivative of the data term by an activation is a - y, up to the scale."""
        return self.network.cost_name == "squared_error"

    @property
    def no_slope_left(self) -> bool:
        """It is proved that activation minus target is the error term, and there was a slope to cancel."""
        proved = any(t.name.endswith("activation minus target") for t in self.proof.theorems)
        return proved and self.network.layers[-1].function is not FUNCTIONS["identity"]

    @property
    def hidden_layers(self) -> bool:
        """There is a layer between input and output."""
        return self.network.depth is not None or len(self.network.layers) > 2

    @property
    def brackets(self) -> bool:
        """Some line of a derivation says with a bracket which entry is meant."""
        lines = (step.after for t in self.proof.theorems for step in t.derivation.steps)
        return any(isinstance(n, Kronecker) for line in lines for n in nodes_once(line))

    def _term(self) -> Expr:
        """The cost of one output in one example."""
        return self.network.term(Index("n", M), Index("k", self.network.layers[-1].size))


@dataclass(frozen=True)
class ReaderQuestion:
    """A question that a reader may have.

    Args:
        fits: whether the question arises and the answer is true.
    """

    ask: str
    answer: str
    fits: Callable[[NetworkFacts], bool]


def answers(facts: NetworkFacts) -> tuple[ReaderQuestion, ...]:
    """The questions that arise, each with the answer that is true here."""
    return tuple(q for q in QUESTIONS if q.fits(facts))


def _is_half_a_square(node: Expr) -> bool:
    if not isinstance(node, Multiply) or node.factors[0] is not number(Fraction(1, 2)):
        return False
    return any(isinstance(f, Power) and f.exponent is number(2) for f in node.factors)


_HALF = "Why is there a factor ½ in the cost?"
_MEAN = "Why average over the examples instead of adding them up?"
_COMPARABLE = (
    "A mean stays comparable when the number of examples changes. Its $1/m$ enters the error terms at the output layer "
    "and travels backwards inside them."
)
_NO_SLOPE = "Why has the error term of the output layer no slope of the activation left?"
_OUTPUT = "Where does the error term of the output layer come from?"
_SINGLE = (
    "From the chain rule with a single path: the pre-activation of an output unit moves the cost only through its "
    "own activation. So it is the derivative of the cost with respect to the activation, times the slope of the "
    "activation itself, taken at $z$."
)

QUESTIONS = (
    ReaderQuestion(
        _HALF,
        "For tidiness only. Differentiating the square brings down a 2, and the ½ cancels it. It stands in front of "
        "the "
        "whole cost, and a positive factor there scales every gradient by the same number and moves no minimum; it "
        "only "
        "changes which step size suits.",
        lambda f: f.halved_data and not f.penalised,
    ),
    ReaderQuestion(
        _HALF,
        "Each ½ cancels the 2 that its square brings down. Leaving out the one of the data alone, or that of the "
        "penalty "
        "alone, would change how the two weigh against each other, and so the minimum.",
        lambda f: f.halved_data and f.halved_penalty,
    ),
    ReaderQuestion(
        _HALF,
        "It cancels the 2 that the square of the data term brings down. Without it the data would weigh twice as much "
        "against the penalty, and the minimum would move.",
        lambda f: f.halved_data and f.penalised and not f.halved_penalty,
    ),
    ReaderQuestion(
        _HALF,
        "It belongs to the penalty: there it cancels the 2 that the squared weights bring down. Leaving it out is the "
        "same as doubling the coefficient, and moves the minimum.",
        lambda f: not f.halved_data and f.halved_penalty,
    ),
    ReaderQuestion(
        _MEAN,
        "The mean is the sum times $1/m$, a positive factor in front of the whole cost, so both have the same minima. "
        + _COMPARABLE,
        lambda f: f.averages and not f.penalised,
    ),
    ReaderQuestion(
        _MEAN,
        "Here the penalty is divided by $m$ too, so the cost is $1/m$ times one without any $m$, and has the same "
        "minima. " + _COMPARABLE + " The penalty brings its own $1/m$ to the gradient of the weights.",
        lambda f: f.averages and f.penalised and f.penalty_is_divided_too,
    ),
    ReaderQuestion(
        _MEAN,
        "It decides how the data weigh against the penalty, which is not divided by $m$: with a sum instead of the "
        "mean, "
        "the same penalty would count for less the more examples there are, and in general the minimum would lie "
        "elsewhere. " + _COMPARABLE,
        lambda f: f.averages and f.penalised and f.penalty_is_free_of_m,
    ),
    ReaderQuestion(
        "What is the penalty on the weights for?",
        "With a positive coefficient it makes large weights expensive, so that of all weights that fit the examples "
        "about "
        "equally well the small ones are preferred; a negative weight costs as much as a positive one of the same "
        "size. "
        "No activation occurs in it, so it does not pass through the error terms: it adds its own derivative to the "
        "gradient of each weight, and nothing to that of a bias. Read as probability it is, up to a positive factor "
        "and "
        "a constant, minus the logarithm of a prior density that is largest where the weights are zero.",
        lambda f: f.penalised,
    ),
    ReaderQuestion(
        _OUTPUT,
        _SINGLE
        + " Half the square has the derivative $a - y$; written as $-(y - a)$ the minus sign is the derivative of $y "
        "- a$ "
        "with respect to $a$.",
        lambda f: f.elementwise and f.squares,
    ),
    ReaderQuestion(_OUTPUT, _SINGLE, lambda f: f.elementwise and not f.squares),
    ReaderQuestion(
        _OUTPUT,
        "From the chain rule with as many paths as there are outputs: a pre-activation of a softmax moves every output "
        "of its example, its own through the numerator and all of them through the common denominator. So each output "
        "contributes the derivative of the cost with respect to it, times one entry of the slope of the softmax.",
        lambda f: not f.elementwise,
    ),
    ReaderQuestion(
        _NO_SLOPE,
        "The logarithms of the cost bring the denominators $a$ and $1 - a$, which are exactly the factors of the "
        "slope of "
        "sigmoid, so they cancel and only activation minus target remains. That is the practical reason for this "
        "pairing "
        "of cost and output: a unit that is confidently wrong still learns.",
        lambda f: f.no_slope_left and f.elementwise,
    ),
    ReaderQuestion(
        _NO_SLOPE,
        "The slope of a softmax is a matrix, with entries $a_p ([p = k] - a_k)$. The logarithm of output $p$ brings "
        "the "
        "denominator $a_p$, which cancels the first factor. The rest, weighted by the targets, adds up to "
        "$a_k \\sum_p y_p - y_k$, and the targets of an example add up to 1.",
        lambda f: f.no_slope_left and not f.elementwise,
    ),
    ReaderQuestion(
        "Where does the sum over the later layer come from?",
        "A unit sends its activation to every unit of the next layer, so a small change in it reaches the cost along "
        "each of those connections at once. Each connection contributes its weight times the error term at its far "
        "end; the total change is their sum. That is why the sum runs over the receiving index of the weights, the "
        "first one, and the weights seem transposed. The index changes because one letter already names the unit in "
        "question; the units of the later layer, which are all visited, need a letter of their own.",
        lambda f: f.hidden_layers,
    ),
    ReaderQuestion(
        "Why does a sum collapse to a single term?",
        "For a direct derivative the entries of an array count as independent variables, so the derivative of one by "
        "another is 1 when all their indices agree and 0 otherwise, which a bracket such as $[j = i]$ says. Under a "
        "sum "
        "it silences every term but one.",
        lambda f: f.brackets,
    ),
)
