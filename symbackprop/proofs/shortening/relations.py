"""How the tensors of a program express each other: what an equation says when it is solved for something on its right.

From `xhat = xc/std` follows `xc = xhat*std`; from `i = 1/(1 + exp(-z))` follows `exp(-z) = 1/i - 1`; from
`std = sqrt(var + eps)` follows that every power of `var + eps` is one of `std`. With such relations a gradient can be
said in the tensors that make it short. They are proposals: whoever uses one has the result checked. Main names:
`Relation`, `relations_of`, `by_value`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import sympy as sp

from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Apply,
    Compare,
    Entry,
    Expr,
    Extremum,
    Index,
    Kronecker,
    Multiply,
    Number,
    Power,
    Sum,
    Symbol,
    Tensor,
    Where,
    add,
    apply,
    children,
    entries_once,
    free_indices,
    multiply,
    nodes_once,
    number,
    power,
    rewrite,
    substitute,
    subtract,
    tensors_in,
)
from symbackprop.expression.functions import Function, z
from symbackprop.expression.program import PART, Equation, Program
from symbackprop.expression.sizes import NO_FACTS, Facts, decide, simplify

_MOST_FACTORS = 6  # of a product in which some factors are looked for
Binding = dict[Expr, Expr]


@dataclass(frozen=True)
class Relation:
    """`pattern`, for all values of `indices`, is `meaning`.

    Args:
        tensor: the tensor whose equation says so.
        uses: the tensors whose equations it follows from.
        exponent: if not None, `pattern` is the base of a power, and `pattern ** e` is `meaning ** (exponent * e)`.
    """

    pattern: Expr
    indices: tuple[Index, ...]
    meaning: Expr
    tensor: Tensor
    uses: tuple[Tensor, ...] = ()
    exponent: Fraction | None = None

    @property
    def says(self) -> str:
        """In one sentence, what the relation does."""
        uses = " and ".join(t.name for t in self.uses)
        if isinstance(self.meaning, Entry) and self.meaning.tensor is self.tensor:
            return f"This is {uses}, known from the forward pass."
        replaced = f", {self.pattern.tensor.name} is" if isinstance(self.pattern, Entry) else ", this is"
        said = " and ".join(dict.fromkeys(e.tensor.name for e in entries_once(self.meaning)))
        return f"By the equation of {uses}{replaced} written with {said}."

    def put_into(self, expr: Expr) -> Expr:
        """`expr` with all that fits the pattern replaced; the same node if nothing does."""

        wanted = tensors_in(self.pattern)

        def visit(node: Expr) -> Expr | None:
            if not wanted <= tensors_in(node):
                return node  # nothing inside fits either
            if self.exponent is None:
                return self._at(node)
            if not isinstance(node, Power) or not isinstance(node.exponent, Number):
                return None
            meaning = self._at(node.base)
            return None if meaning is None else power(meaning, node.exponent.value * self.exponent)

        return rewrite(expr, visit)

    def _at(self, node: Expr) -> Expr | None:
        binding = match(self.pattern, node, self.indices)
        if binding is not None:
            return substitute(self.meaning, binding)
        if isinstance(self.pattern, Where) and self.pattern.otherwise is ZERO:
            return self._masked(self.pattern, node)
        scale, rest = _scaled(node)
        if not isinstance(self.pattern, Multiply):
            return None
        binding = match(self.pattern, rest, self.indices)
        if binding is None:
            return self._among(node)
        return multiply(number(scale), substitute(self.meaning, binding))

    def _masked(self, pattern: Where, node: Expr) -> Expr | None:
        """Of where(c, v, 0) = e: where(c, u, 0)*v and where(c, u*v, 0) are u*e."""
        factors = node.factors if isinstance(node, Multiply) else (node,)
        mask = next((f for f in factors if isinstance(f, Where) and f.otherwise is ZERO), None)
        if mask is None:
            return None
        inner = mask.then.factors if isinstance(mask.then, Multiply) else (mask.then,)
        parts = [*(f for f in factors if f is not mask), *inner]
        count = len(pattern.then.factors) if isinstance(pattern.then, Multiply) else 1
        for chosen in itertools.permutations(range(len(parts)), count) if len(parts) <= _MOST_FACTORS else ():
            masked = Where(mask.condition, multiply(*(parts[k] for k in chosen)), ZERO)
            binding = match(pattern, masked, self.indices)
            if binding is not None:
                rest = [f for k, f in enumerate(parts) if k not in chosen]
                return multiply(substitute(self.meaning, binding), *rest)
        return None

    def _among(self, node: Expr) -> Expr | None:
        """A product with some of its factors replaced."""
        if not isinstance(self.pattern, Multiply) or not isinstance(node, Multiply):
            return None
        count = len(self.pattern.factors)
        if not count < len(node.factors) <= _MOST_FACTORS:
            return None
        for chosen in itertools.permutations(range(len(node.factors)), count):
            binding = match(self.pattern, multiply(*(node.factors[k] for k in chosen)), self.indices)
            if binding is not None:
                others = [f for k, f in enumerate(node.factors) if k not in chosen]
                sums = [f for f in others if isinstance(f, Add | Sum)]  # these stand last
                plain = [f for f in others if f not in sums]
                return multiply(*plain, substitute(self.meaning, binding), *sums)
        return None


def relations_of(program: Program) -> tuple[Relation, ...]:
    """All that the equations of a program say, read from right to left."""
    found: list[Relation] = []
    for equation in program.equations:
        if equation.indices or equation.tensor not in program.outputs:
            found += _folded(equation)
            found += _solved(equation)
            if equation.note.startswith(PART):
                found.append(
                    Relation(equation.left, equation.indices, equation.value, equation.tensor, (equation.tensor,))
                )
    return tuple(found)


def _folded(equation: Equation) -> Iterator[Relation]:
    """Where the right side stands, the left may stand."""
    value, left = equation.value, equation.left
    if set(equation.indices) != free_indices(value) or isinstance(value, Entry | Number | Symbol):
        return
    yield Relation(value, equation.indices, left, equation.tensor, (equation.tensor,))
    if isinstance(value, Power) and isinstance(value.exponent, Number) and not isinstance(value.base, Entry):
        yield Relation(
            value.base, equation.indices, left, equation.tensor, (equation.tensor,), 1 / value.exponent.value
        )


def _solved(equation: Equation) -> Iterator[Relation]:
    """The equation solved for each entry or function value that stands in it once, outside of sums."""
    for target in nodes_once(equation.value):
        if isinstance(target, Entry) and target.tensor.kind != "real":
            continue
        if not isinstance(target, Entry | Apply) or not set(equation.indices) <= free_indices(target):
            continue
        if isinstance(target, Apply) and target is equation.value:
            continue
        meaning = _inverted(equation.value, target, equation.left)
        if meaning is not None:
            yield Relation(target, equation.indices, meaning, equation.tensor, (equation.tensor,))


def _inverted(value: Expr, target: Expr, here: Expr) -> Expr | None:
    """What `target` is if `value` is `here`; None where it stands in more than one place or inside a function.

    None too where the answer would divide by something that may be 0, or would need a sign.
    """
    if value is target:
        return here
    holding = [c for c in children(value) if any(node is target for node in nodes_once(c))]
    if len(holding) != 1 or not isinstance(value, Add | Multiply | Power):
        return None
    (inner,) = holding
    if isinstance(value, Add):
        return _inverted(inner, target, subtract(here, add(*(t for t in value.terms if t is not inner))))
    if isinstance(value, Multiply):
        others = [f for f in value.factors if f is not inner]
        if not all(map(_never_zero, others)):
            return None
        return _inverted(inner, target, multiply(here, *map(_reciprocal, others)))
    if inner is value.base and isinstance(value.exponent, Number) and value.exponent.value:
        root = 1 / value.exponent.value
        return _inverted(inner, target, power(here, number(root))) if root.denominator == 1 else None
    return None


def _reciprocal(factor: Expr) -> Expr:
    """1/factor of a factor that is not 0: of 1/s it is s."""
    if isinstance(factor, Power) and isinstance(factor.exponent, Number):
        return power(factor.base, number(-factor.exponent.value))
    return power(factor, -1)


def _never_zero(factor: Expr) -> bool:
    """True for numbers, sizes, and what the program divides by itself: if that were 0 there would be no value."""
    if isinstance(factor, Symbol):
        return factor.kind != "real"
    return isinstance(factor, Number) or (
        isinstance(factor, Power) and isinstance(factor.exponent, Number) and factor.exponent.value < 0
    )


def _scaled(node: Expr) -> tuple[Fraction, Expr]:
    """A product as its number and the rest."""
    if isinstance(node, Multiply) and isinstance(node.factors[0], Number):
        return node.factors[0].value, multiply(*node.factors[1:])
    return Fraction(1), node


def _count(expr: Expr, target: Expr) -> bool:
    return any(node is target for node in nodes_once(expr))


def match(pattern: Expr, node: Expr, indices: tuple[Index, ...], facts: Facts = NO_FACTS) -> Binding | None:
    """Values of `indices`, each within its axis, at which `pattern` is `node`; None if there are none.

    Example:
        >>> n = Symbol("n", "size")
        >>> x, i, j = Tensor("x", (n,)), Index("i", n), Index("j", n)
        >>> match(power(Entry(x, (i,)), 2), power(Entry(x, (j,)), 2), (i,)) == {i: j}
        True
    """
    binding: Binding = {}
    if not _match(pattern, node, frozenset(indices), binding) or len(binding) != len(indices):
        return None
    return binding if all(_within(binding[i], i.size, facts) for i in indices) else None


def _within(value: Expr, size: Expr, facts: Facts) -> bool:
    if isinstance(value, Index) and value.size is size:
        return True
    return decide("<=", number(0), value, facts) is True and decide("<", value, size, facts) is True


def _match(pattern: Expr, node: Expr, variables: frozenset[Index], binding: Binding) -> bool:
    if isinstance(pattern, Index):
        return binding.setdefault(pattern, node) is node if pattern in variables else pattern is node
    if pattern is node and not free_indices(pattern) & variables:
        return True
    if isinstance(pattern, Entry):
        if not isinstance(node, Entry) or node.tensor is not pattern.tensor:
            return False
        places = zip(pattern.indices, node.indices, strict=True)
        return all(_match_place(p, i, variables, binding) for p, i in places)
    if isinstance(pattern, Sum | Extremum):
        if not isinstance(node, Sum | Extremum) or node.index.size is not pattern.index.size:
            return False
        if getattr(node, "kind", "sum") != getattr(pattern, "kind", "sum"):
            return False
        return _match(substitute(pattern.body, {pattern.index: node.index}), node.body, variables, binding)
    return _alike(pattern, node) and all(
        _match(p, c, variables, binding) for p, c in zip(children(pattern), children(node), strict=True)
    )


def _match_place(pattern: Expr, place: Expr, variables: frozenset[Index], binding: Binding) -> bool:
    """Of j + H and k it follows that j is k - H."""
    unknown = [i for i in free_indices(pattern) if i in variables]
    if isinstance(pattern, Index) or len(unknown) != 1:
        return _match(pattern, place, variables, binding)
    (index,) = unknown
    rest = simplify(subtract(pattern, index))
    if index in free_indices(rest):
        return False
    value = simplify(subtract(place, rest))
    return simplify(subtract(binding.setdefault(index, value), value)) == number(0)


def _alike(pattern: Expr, node: Expr) -> bool:
    """True if two nodes do the same with the same number of parts; leaves and other binders must be the same node."""
    if type(pattern) is not type(node) or len(children(pattern)) != len(children(node)):
        return False
    if isinstance(pattern, Apply) and isinstance(node, Apply):
        return pattern.function == node.function
    if isinstance(pattern, Compare) and isinstance(node, Compare):
        return pattern.relation == node.relation
    return isinstance(pattern, Add | Multiply | Power | Kronecker | Where) or pattern is node


@cache
def by_value(function: Function) -> tuple[Fraction, ...] | None:
    """The coefficients c with f'(z) = c[0] + c[1]*f(z) + c[2]*f(z)**2, for the derivative f' of a function f.

    Found by fitting three points and rounding, so a proposal: tanh' = 1 - tanh**2, sigmoid' = sigmoid - sigmoid**2.

    Example:
        >>> from symbackprop.expression.functions import activation, derivative
        >>> by_value(derivative(activation("tanh")))
        (Fraction(1, 1), Fraction(0, 1), Fraction(-1, 1))
    """
    if function.primitive_of is None or function.arity != 1 or function.kinks:
        return None
    original = function.primitive_of[0]
    if original.definition is None or function.definition is None:
        return None
    points = [sp.Rational(k, 7) for k in (2, 5, 9, -4)]
    values = [sp.N(original.definition.subs(z, p), 30) for p in points]
    slopes = [sp.N(function.definition.subs(z, p), 30) for p in points]
    if len({sp.N(v, 10) for v in values}) < 4 or not all(v.is_real for v in (*values, *slopes)):
        return None
    fitted = sp.Matrix([[1, v, v**2] for v in values[:3]]).LUsolve(sp.Matrix(slopes[:3]))
    found = tuple(Fraction(str(sp.nsimplify(sp.N(c, 20), rational=True))).limit_denominator(1000) for c in fitted)
    worth = sum((sp.Rational(c.numerator, c.denominator) * values[3] ** k for k, c in enumerate(found)), sp.Integer(0))
    return found if abs(worth - slopes[3]) < 1e-15 else None


def slopes_by_value(expr: Expr) -> Expr:
    """`expr` with f'(u) written as a polynomial in f(u), where there is one."""

    def visit(node: Expr) -> Expr | None:
        found = by_value(node.function) if isinstance(node, Apply) else None
        if found is None or not isinstance(node, Apply):
            return None
        assert node.function.primitive_of is not None, "only derivatives have such a polynomial"
        inner = apply(node.function.primitive_of[0], *(slopes_by_value(a) for a in node.arguments))
        return add(*(multiply(number(c), power(inner, k) if k else ONE) for k, c in enumerate(found) if c))

    return rewrite(expr, visit)
