"""Trials: small values of sizes, indices and integer entries at which all that is known holds.

What is negative at one of them is not >= 0, and no proof of it need be sought. A trial never proves anything.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from fractions import Fraction

from symbackprop.expression.build import (
    Add,
    Compare,
    Entry,
    Expr,
    Index,
    Multiply,
    Number,
    Power,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
)
from symbackprop.expression.size_polynomial import Polynomial

TRIALS = 8
ATTEMPTS = 400  # at values for the sizes that satisfy the domain
LARGEST = 9


class Trial:
    """One choice of values, made as they are asked for.

    Args:
        ranges: for integer tensors the number C of values that an entry can have: 0 .. C - 1.
        seed: another seed makes other choices.
    """

    def __init__(self, ranges: Mapping[Tensor, Expr], seed: int) -> None:
        self.ranges, self.seed = ranges, seed
        self._values: dict[Expr, int | None] = {}

    def value(self, expr: Expr) -> int | None:
        """The value of an integer expression; None where it has none, or none that is known."""
        if expr not in self._values:
            self._values[expr] = self._evaluated(expr)
        return self._values[expr]

    def _evaluated(self, expr: Expr) -> int | None:
        match expr:
            case Number(value):
                return int(value) if value.denominator == 1 else None
            case Symbol(name, "size"):
                return random.Random(f"{self.seed} {name}").randint(1, LARGEST)
            case Index(name, size, uid):
                return self._below(size, f"{name} {uid}")
            case Entry(tensor, indices) if tensor in self.ranges:
                return self._below(self.ranges[tensor], f"{tensor.name} {[self.value(i) for i in indices]}")
            case Add(parts) | Multiply(parts):
                values = [self.value(p) for p in parts]
                return None if None in values else _folded(isinstance(expr, Add), [v for v in values if v is not None])
            case Power(base, Number(exponent)) if exponent.denominator == 1 and exponent >= 0:
                inner = self.value(base)
                return None if inner is None else inner ** int(exponent)
            case Quotient(left, right) | Remainder(left, right):
                a, b = self.value(left), self.value(right)
                if a is None or b is None or b <= 0:
                    return None
                return a // b if isinstance(expr, Quotient) else a % b
        return None

    def _below(self, size: Expr, key: str) -> int | None:
        """A value 0 .. size - 1, its ends more often than not."""
        length = self.value(size)
        if length is None or length <= 0:
            return None
        chance = random.Random(f"{self.seed} {key}")
        return chance.choice((0, length - 1, chance.randrange(length)))

    def holds(self, relation: Expr) -> bool:
        """True if a relation between sizes is known to hold here."""
        if not isinstance(relation, Compare):
            return False
        left, right = self.value(relation.left), self.value(relation.right)
        if left is None or right is None:
            return False
        return {"<": left < right, "<=": left <= right, "==": left == right}[relation.relation]

    def negative(self, polynomial: Polynomial) -> bool:
        """True if the polynomial has a value here, and it is below 0."""
        total = Fraction(0)
        for monomial, coefficient in polynomial.items():
            term = coefficient
            for atom, exponent in monomial:
                value = self.value(atom)
                if value is None:
                    return False
                term *= value**exponent
            total += term
        return total < 0


def _folded(summed: bool, values: Iterable[int]) -> int:
    total = 0 if summed else 1
    for value in values:
        total = total + value if summed else total * value
    return total


def trials(domain: Iterable[Expr], ranges: Mapping[Tensor, Expr]) -> list[Trial]:
    """Choices of values at which the domain holds; none if none was found."""
    relations, found = list(domain), []
    for seed in range(ATTEMPTS):
        trial = Trial(ranges, seed)
        if all(trial.holds(r) for r in relations):
            found.append(trial)
            if len(found) == TRIALS:
                break
    return found
