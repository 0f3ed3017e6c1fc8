"""Arithmetic of sizes and indices: integer polynomials with floor division, and what can be proved about them.

A size is an expression of `Number`, size `Symbol` (>= 1), `Index` (0 <= i <= size - 1), entries of integer tensors,
`Add`, `Multiply`, `Power`, `Quotient` and `Remainder`. `simplify` makes expressions that are provably equal one node;
`decide` proves or disproves a comparison for all values that the `Facts` allow, or says None. Neither is ever wrong.

Inside, an expression is a polynomial (a dictionary from monomials to coefficients) over atoms. A remainder is written
with the quotient, a % d = a - d * (a // d), so one identity serves both. A known divisibility H % 2 == 0 replaces H by
2 * (H // 2), and a known equality replaces a symbol. This module must not know about programs, rules or proofs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import permutations
from math import inf
from typing import Literal

from symbackprop.expression.build import (
    ONE,
    ZERO,
    Add,
    Compare,
    Entry,
    Expr,
    Index,
    Kronecker,
    Multiply,
    Number,
    Position,
    Power,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    add,
    entries_once,
    free_indices,
    kronecker,
    multiply,
    nodes_once,
    number,
    power,
    rewrite,
)
from symbackprop.expression.size_polynomial import (
    CONSTANT,
    UNIT,
    Coefficient,
    Monomial,
    Polynomial,
    as_atom,
    atom_of,
    constant_of,
    exact_quotient,
    factorings,
    fold,
    long_division,
    minus,
    name_of,
    negative,
    order,
    plus,
    ratio,
    replace,
    shifted,
    tightened,
    times,
    without,
    without_common_factor,
)
from symbackprop.expression.size_trials import trials

Relation = Literal["<", "<=", "=="]
# How many subtractions of known inequalities are tried, and how many terms a goal may have.
SEARCH_LIMIT = 60
SHORT = 4  # subtractions of a proof that is looked for first
LARGEST_GOAL = 40
ALMOST_ONE = Fraction(999, 1000)
MOST_ROWS, MOST_COLUMNS, MOST_PIVOTS = 40, 60, 80  # of a linear program


class Facts:
    """What is known about sizes and integer tensors.

    Args:
        domain: `Compare` nodes between integer expressions that hold: H >= K as Compare("<=", K, H), and
            Compare("==", Remainder(H, number(2)), ZERO).
        ranges: for integer tensors the number C of values that an entry can have: 0 .. C - 1.

    Example:
        >>> n, k = Symbol("N", "size"), Symbol("K", "size")
        >>> decide("<=", number(1), n, Facts())
        True
        >>> decide("<=", k, n, Facts()) is None
        True
        >>> decide("<=", k, n, Facts([Compare("<=", k, n)]))
        True
    """

    def __init__(self, domain: tuple[Expr, ...] | list[Expr] = (), ranges: Mapping[Tensor, Expr] | None = None) -> None:
        self.domain = tuple(domain)
        self.ranges = dict(ranges or {})
        self.replaced: dict[Expr, Polynomial] = {}  # a symbol that a fact expresses by others
        self.folds: list[tuple[Polynomial, Polynomial]] = []  # (c * m, what to show for it): 2 * (H // 2) is H
        self.inequalities: list[Polynomial] = []  # known to be >= 0
        self.trials = trials(self.domain, self.ranges)
        self.memo: dict[object, object] = {}
        self.pending: set[Expr] = set()
        relations = [fact for fact in self.domain if isinstance(fact, Compare)]
        for fact in sorted(relations, key=lambda f: isinstance(f.left, Remainder)):
            if fact.relation == "==":
                self._learn_equality(fact.left, fact.right)
        for fact in relations:
            if fact.relation != "==":
                gap = minus(_polynomial(fact.right, self), _polynomial(fact.left, self))
                self.inequalities.append(minus(gap, UNIT) if fact.relation == "<" else gap)
        self.memo.clear()

    def _learn_equality(self, left: Expr, right: Expr) -> None:
        """Use left == right to express one symbol by other things, where one stands alone with coefficient 1 or -1."""
        if isinstance(left, Remainder) and right is ZERO:
            divisor, total = self._undivided(_polynomial(left.right, self), _polynomial(left.left, self))
            quotient = Quotient(_expression(total, self), _expression(divisor, self))
            product = times(divisor, atom_of(quotient))
            if self._solve(minus(total, product)) and len(product) == 1:
                self.folds.append((product, total))
        else:
            self._solve(minus(_polynomial(left, self), _polynomial(right, self)))

    def _undivided(self, divisor: Polynomial, total: Polynomial) -> tuple[Polynomial, Polynomial]:
        """What must divide what, without the division that an earlier fact is about.

        Where H stands for 2 * (H // 2), 3 divides H // 2 - 1 where 6 divides H - 2; that says of H what was known, too.
        """
        for symbol, stands in self.replaced.items():
            for monomial, factor in stands.items():
                atom, alone = as_atom({monomial: 1}), {m: c for m, c in stands.items() if m != monomial}
                rest = {m: c for m, c in total.items() if m != monomial}
                if (
                    isinstance(atom, Quotient)
                    and factor > 1
                    and abs(total.get(monomial, 0)) == 1
                    and set(alone) <= {CONSTANT}
                    and not any(a is atom for m in rest for a, _ in m)
                ):
                    whole = minus(atom_of(symbol), alone)
                    del self.replaced[symbol]
                    back = times(constant_of(ratio(1, factor)), whole)
                    self.replaced = {s: replace(p, atom, back) for s, p in self.replaced.items()}
                    self.memo.clear()
                    total = plus(times(constant_of(total[monomial]), whole), times(constant_of(factor), rest))
                    return times(constant_of(factor), divisor), total
        return divisor, total

    def _solve(self, zero: Polynomial) -> bool:
        """Solve zero == 0 for a symbol, and remember what it equals; False if no symbol stands alone."""
        for monomial, coefficient in sorted(zero.items(), key=lambda item: order(item[0]), reverse=True):
            if len(monomial) == 1 and monomial[0][1] == 1 and abs(coefficient) == 1:
                symbol = monomial[0][0]
                rest = {m: -c * coefficient for m, c in zero.items() if m != monomial}
                if isinstance(symbol, Symbol) and not any(a is symbol for m in rest for a, _ in m):
                    self.replaced = {s: replace(p, symbol, rest) for s, p in self.replaced.items()}
                    self.replaced[symbol] = rest
                    self.memo.clear()
                    # The symbol was known to be at least 1; what stands for it must be told so.
                    self.inequalities.append(minus(rest, UNIT))
                    return True
        return False


NO_FACTS = Facts()


def simplify(expr: Expr, facts: Facts = NO_FACTS) -> Expr:
    """The canonical form of an integer expression: expressions equal as polynomials become the same node.

    A quotient p // d becomes q if p = d * q + r and 0 <= r < d can be proved.

    Example:
        >>> e, h = Symbol("E", "size"), Symbol("H", "size")
        >>> simplify(Quotient(multiply(number(2), e), number(2))) is e
        True
        >>> i, j = Index("i", h), Index("j", e)
        >>> simplify(Quotient(add(multiply(i, e), j), e)) is i
        True
    """
    if isinstance(expr, (Number, Index)):
        return expr
    key = ("simplify", expr)
    known = facts.memo.get(key)
    if known is None:
        known = facts.memo[key] = _expression(_polynomial(expr, facts), facts)
    assert isinstance(known, Expr)
    return known


def quotient(total: Expr, divisor: Expr, facts: Facts = NO_FACTS) -> Expr | None:
    """total / divisor, where both are positive and that is a polynomial with integers; None else."""
    found = exact_quotient(_polynomial(total, facts), _polynomial(divisor, facts))
    return None if found is None else _expression(found, facts)


def steady_gap(left: Expr, right: Expr, facts: Facts = NO_FACTS) -> Expr | None:
    """left - right, if it is made of sizes and numbers alone; None else, sooner than `simplify` would show it."""
    gap = minus(_polynomial(left, facts), _polynomial(right, facts))
    if any(free_indices(a) or any(True for _ in entries_once(a)) for m in gap for a, _ in m):
        return None
    return _expression(gap, facts)


def decide(relation: Relation, left: Expr, right: Expr, facts: Facts = NO_FACTS) -> bool | None:
    """True or False if `left relation right` is so for all values that the facts allow, None if that is not proved.

    Example:
        >>> n = Symbol("N", "size")
        >>> decide("<", Index("i", n), n)
        True
    """
    key = (relation, left, right)
    if key not in facts.memo:
        facts.memo[key] = _decide(relation, minus(_polynomial(right, facts), _polynomial(left, facts)), facts)
    answer = facts.memo[key]
    assert answer is None or isinstance(answer, bool)
    return answer


def decided(expr: Expr, facts: Facts = NO_FACTS) -> Expr:
    """The expression with what it asks about sizes and indices answered, where the answer is known.

    Example:
        >>> from symbackprop.expression.build import where
        >>> n, x = Symbol("N", "size"), Tensor("x", (Symbol("N", "size"),))
        >>> i = Index("i", n)
        >>> decided(where(Compare("<", i, n), Entry(x, (i,)), ZERO)) is Entry(x, (i,))
        True
    """

    def meaning(node: Expr) -> Expr | None:
        if isinstance(node, Entry) and node.indices:
            return Entry(node.tensor, tuple(simplify(i, facts) for i in node.indices))
        if not isinstance(node, (Compare, Kronecker)) or any(True for _ in entries_once(node)):
            return None
        relation = node.relation if isinstance(node, Compare) else "=="
        left, right = simplify(node.left, facts), simplify(node.right, facts)
        answer = decide(relation, left, right, facts)
        if answer is not None:
            return ONE if answer else ZERO
        return Compare(relation, left, right) if isinstance(node, Compare) else kronecker(left, right)

    return rewrite(expr, meaning)


def _decide(relation: Relation, gap: Polynomial, facts: Facts) -> bool | None:
    """The relation between 0 and `gap`; integers, so x > 0 means x - 1 >= 0."""
    if relation == "<=":
        return (
            True if _at_least_zero(gap, facts) else False if _at_least_zero(minus(negative(gap), UNIT), facts) else None
        )
    if relation == "<":
        return (
            True if _at_least_zero(minus(gap, UNIT), facts) else False if _at_least_zero(negative(gap), facts) else None
        )
    if not gap:
        return True
    above, below = minus(gap, UNIT), minus(negative(gap), UNIT)
    if _at_least_zero(above, facts) or _at_least_zero(below, facts):
        return False
    if _at_least_zero(gap, facts) and _at_least_zero(negative(gap), facts):
        return True
    return None


# --- from expressions to polynomials and back ---------------------------------------------------------------------


def _polynomial(expr: Expr, facts: Facts) -> Polynomial:
    """The polynomial of an integer expression; what is no arithmetic is an atom."""
    key = ("polynomial", expr)
    known = facts.memo.get(key)
    if known is None:
        known = facts.memo[key] = _convert(expr, facts)
    return known  # type: ignore[return-value]


def _convert(expr: Expr, facts: Facts) -> Polynomial:
    match expr:
        case Number(value):
            return {CONSTANT: value} if value else {}
        case Add(terms):
            total: Polynomial = {}
            for term in terms:
                total = plus(total, _polynomial(term, facts))
            return total
        case Multiply(factors):
            product: Polynomial = UNIT
            for factor in factors:
                product = times(product, _polynomial(factor, facts))
            return product
        case Power(base, Number(value)) if value.denominator == 1 and value >= 0:
            return _convert(Multiply((base,) * value.numerator), facts)
        case Quotient(left, right):
            return _divided(_polynomial(left, facts), _polynomial(right, facts), facts)
        case Remainder(left, right):
            total, divisor = _polynomial(left, facts), _polynomial(right, facts)
            return minus(total, times(divisor, _divided(total, divisor, facts)))
        case Symbol() if expr in facts.replaced:
            return facts.replaced[expr]
        case Entry(tensor, indices):
            return atom_of(Entry(tensor, tuple(simplify(i, facts) for i in indices)))
    return atom_of(expr)


def _divided(total: Polynomial, divisor: Polynomial, facts: Facts, below: float = inf) -> Polynomial:
    """total // divisor: the part that divides, and the quotient of the rest if it is not known.

    Two rewritings lead on. To take a common factor out makes the divisor smaller. To open a quotient inside the total
    makes it larger, and where H stands for E * (H // E) the first would undo it; so a quotient is opened only if it is
    smaller than the one that was opened before. (`below`, the divisor) decreases, and the rewriting ends.

    Args:
        below: only quotients with fewer nodes than this are opened.
    """
    if not divisor or not _at_least_zero(minus(divisor, UNIT), facts):
        return atom_of(Quotient(_expression(total, facts), _expression(divisor, facts)))
    quotient, rest = long_division(total, divisor)
    for shift in (0, -1, 1):
        left = minus(rest, times(divisor, constant_of(shift)))
        if _at_least_zero(left, facts) and _at_least_zero(minus(minus(divisor, left), UNIT), facts):
            return plus(quotient, constant_of(shift))
    inner_quotient = as_atom(rest)
    if isinstance(inner_quotient, Quotient) and _nodes(inner_quotient) < below:  # (a // b) // c is a // (b*c)
        inside, by = _polynomial(inner_quotient.left, facts), _polynomial(inner_quotient.right, facts)
        if _at_least_zero(minus(by, UNIT), facts):
            return plus(quotient, _divided(inside, times(by, divisor), facts, _nodes(inner_quotient)))
    rest, divisor = without_common_factor(rest, divisor)
    whole, digits = _without_remainders(rest, facts)
    for unit, cofactor in factorings(divisor, rest):  # (E*q + r) // (E*F) is q // F, if 0 <= r < E
        inner, low = long_division(whole, unit)
        low = plus(low, digits)
        if inner and _at_least_zero(low, facts) and _at_least_zero(minus(minus(unit, low), UNIT), facts):
            return plus(quotient, _divided(inner, cofactor, facts, below))
    turned = _turned(rest, divisor)
    if turned is not None:
        more, rest = turned
        negated = atom_of(Quotient(_expression(rest, facts), _expression(divisor, facts)))
        return minus(plus(quotient, more), negated)
    return plus(quotient, atom_of(Quotient(_expression(rest, facts), _expression(divisor, facts))))


def _turned(rest: Polynomial, divisor: Polynomial) -> tuple[Polynomial, Polynomial] | None:
    """(a, b) where rest // E is a - b // E and b has the smaller coefficients: (3*t + 3) // 4 is t - t // 4."""
    number = divisor.get((), 0) if len(divisor) == 1 else 0
    varying = {m: c for m, c in rest.items() if m}
    whole = all(c.denominator == 1 for c in rest.values())
    plain = all(len(m) == 1 and m[0][1] == 1 and isinstance(m[0][0], (Index, Symbol)) for m in varying)
    if not (varying and whole and plain and all(number < 2 * c < 2 * number for c in varying.values())):
        return None
    more: Polynomial = dict.fromkeys(varying, 1)
    return more, plus(minus(times(more, divisor), rest), constant_of(number - 1))


def _without_remainders(polynomial: Polynomial, facts: Facts) -> tuple[Polynomial, Polynomial]:
    """(the rest, the remainders a - d * (a // d) that stand in it)."""
    digits: Polynomial = {}
    for quotient in sorted({a for m in polynomial for a, _ in m if isinstance(a, Quotient)}, key=name_of):
        total, divisor = _polynomial(quotient.left, facts), _polynomial(quotient.right, facts)
        remainder = minus(total, times(divisor, atom_of(quotient)))
        rest = minus(polynomial, remainder)
        if len(rest) < len(polynomial):
            polynomial, digits = rest, plus(digits, remainder)
    return polynomial, digits


def _nodes(expr: Expr) -> int:
    """How many different nodes there are in an expression: more than in any part of it."""
    return sum(1 for _ in nodes_once(expr))


def _expression(polynomial: Polynomial, facts: Facts) -> Expr:
    """The node of a polynomial, with remainders and replaced symbols written as they were, where they fit."""
    for product, shown in facts.folds:
        polynomial = fold(polynomial, product, shown)
    remainders = []
    for quotient in sorted({a for m in polynomial for a, _ in m if isinstance(a, Quotient)}, key=name_of):
        total, divisor = _polynomial(quotient.left, facts), _polynomial(quotient.right, facts)
        rest = minus(polynomial, minus(total, times(divisor, atom_of(quotient))))
        if len(rest) < len(polynomial):
            polynomial = rest
            remainders.append(Remainder(quotient.left, quotient.right))
    ordered = sorted(polynomial.items(), key=lambda item: order(item[0]), reverse=True)
    return add(*(multiply(number(c), *(power(a, e) for a, e in m)) for m, c in ordered), *remainders)


# --- proofs of p >= 0 ---------------------------------------------------------------------------------------------


def _at_least_zero(polynomial: Polynomial, facts: Facts) -> bool:
    """True if polynomial >= 0 is proved: it is a sum of products of things known to be >= 0, with positive factors.

    Atoms are shifted so that they are >= 0 (a size is 1 + something); then terms with a negative coefficient are
    cancelled against multiples of known inequalities (size - 1 - i >= 0, the domain) until none is left.
    """
    if all(not m for m in polynomial):
        return polynomial.get(CONSTANT, 0) >= 0
    key = ("positive", frozenset(polynomial.items()), frozenset(facts.pending))
    if key not in facts.memo:
        false = any(trial.negative(polynomial) for trial in facts.trials)
        facts.memo[key] = not false and _proved_positive(polynomial, facts)
    return facts.memo[key] is True


def _proved_positive(polynomial: Polynomial, facts: Facts) -> bool:
    """The proof behind `_at_least_zero`: collect what is known about the atoms, shift them, and cancel."""
    inequalities = relevant(polynomial, facts.inequalities)
    free: set[Expr] = set()
    shifts: dict[Expr, Coefficient] = {}
    pending = [a for p in (polynomial, *inequalities) for m in p for a, _ in m]
    while pending:
        atom = pending.pop()
        if atom in shifts or atom in free:
            continue
        low, bounds = _bounds(atom, facts)
        inequalities += bounds
        if low is None:
            free.add(atom)
        else:
            shifts[atom] = low
        pending += [a for p in bounds for m in p for a, _ in m]
    inequalities += _nested({**shifts, **dict.fromkeys(free)}, facts)

    def is_shown(polynomial: Polynomial, inequalities: list[Polynomial]) -> bool:
        goal = shifted(polynomial, shifts)
        known = [tightened(shifted(p, shifts)) for p in inequalities]
        known = [p for p in known if any(c < 0 for c in p.values())]
        if cancels(goal, known, free):
            return True
        whole = all(c.denominator == 1 for c in goal.values())  # what is above -1 is at least 0
        return is_combination(plus(goal, constant_of(ALMOST_ONE)) if whole else goal, known, free)

    if is_shown(polynomial, inequalities):
        return True
    products = any(sum(e for _, e in m) > 1 for m in polynomial)  # of sums of atoms alone all is tried by now
    differences = _differences(relevant(polynomial, facts.inequalities)) if products else []
    if not differences:
        return False
    while differences:
        (symbol, least), *rest = differences
        told = plus(least, atom_of(symbol))  # from here on the symbol stands for what it is more than that
        inequalities = [replace(p, symbol, told) for p in inequalities]
        polynomial = replace(polynomial, symbol, told)
        differences = [(other, replace(p, symbol, told)) for other, p in rest]
        shifts[symbol] = 0
    return is_shown(polynomial, inequalities)


def _differences(known: list[Polynomial]) -> list[tuple[Expr, Polynomial]]:
    """(a size, what it is at least) for sizes that facts compare with others: where H >= K, H is K and something.

    So told, H - K + 1 has no negative term, and may be a factor of what a known inequality is multiplied by.
    """
    found: list[tuple[Expr, Polynomial]] = []
    for p in known:
        for monomial, coefficient in p.items():
            symbol = monomial[0][0] if len(monomial) == 1 and monomial[0][1] == 1 else None
            least = {m: -c for m, c in p.items() if m != monomial}
            if coefficient != 1 or not isinstance(symbol, Symbol) or not any(c > 0 for c in least.values()):
                continue
            told = {a for _, q in found for m in q for a, _ in m} | {s for s, _ in found}
            if not any(a is symbol for m in least for a, _ in m) and symbol not in told:
                found.append((symbol, least))
                break
    return found


def _nested(atoms: Iterable[Expr], facts: Facts) -> list[Polynomial]:
    """Of a // E and a // (E*F), both of which occur, the second is the first divided by F: a remainder is left."""
    found: list[Polynomial] = []
    for fine, coarse in permutations([a for a in atoms if isinstance(a, Quotient)], 2):
        if fine.left is not coarse.left:
            continue
        by = _polynomial(fine.right, facts)
        factor, rest = long_division(_polynomial(coarse.right, facts), by)
        if not rest and all(_at_least_zero(minus(p, UNIT), facts) for p in (by, factor)):
            left = minus(atom_of(fine), times(factor, atom_of(coarse)))
            found += [left, minus(minus(factor, left), UNIT)]
    return found


def _bounds(atom: Expr, facts: Facts) -> tuple[Coefficient | None, list[Polynomial]]:
    """(a number that `atom` is never below, polynomials that are >= 0 because of what the atom is)."""
    match atom:
        case Symbol(_, "size"):
            return 1, []
        case Position(_, Index(_, size, _), _) | Index(_, size, _):
            return 0, [minus(minus(_polynomial(size, facts), atom_of(atom)), UNIT)]
        case Entry(tensor, _) if tensor in facts.ranges:
            return 0, [minus(minus(_polynomial(facts.ranges[tensor], facts), atom_of(atom)), UNIT)]
        case Kronecker() | Compare():
            return 0, [minus(UNIT, atom_of(atom))]
        case Quotient(left, right):
            return _quotient_bounds(atom, _polynomial(left, facts), _polynomial(right, facts), facts)
    return None, []


def _quotient_bounds(
    atom: Quotient, total: Polynomial, divisor: Polynomial, facts: Facts
) -> tuple[Coefficient | None, list[Polynomial]]:
    """0 <= total - divisor * q <= divisor - 1, and q >= 0 or q >= -1 if the total is."""
    if atom in facts.pending:  # its own bound is being proved: assume nothing
        return None, []
    facts.pending.add(atom)
    try:
        if not _at_least_zero(minus(divisor, UNIT), facts):
            return None, []
        product = times(divisor, atom_of(atom))
        for multiple, shown in facts.folds:
            if multiple == product:  # divides by a fact: positive as soon as the total is
                return next((k for k in (1, 0) if _at_least_zero(minus(shown, constant_of(k)), facts)), None), []
        rest = minus(total, product)
        low = next((k for k in (1, 0, -1) if _at_least_zero(minus(total, times(divisor, constant_of(k))), facts)), None)
        high = _divided(_largest(total, facts), divisor, facts)
        bounds = [rest, minus(minus(divisor, rest), UNIT), minus(high, atom_of(atom))]
        return low, bounds
    finally:
        facts.pending.discard(atom)


def _largest(polynomial: Polynomial, facts: Facts) -> Polynomial:
    """An upper bound of `polynomial`: indices and labels at their ends in positive terms, at 0 in others.

    An index stays where it stands if it is multiplied by something that may be negative.
    """
    total: Polynomial = {}
    for monomial, coefficient in polynomial.items():
        sizes = [_range(atom, facts) for atom, _ in monomial]
        if not all(
            n is not None or (isinstance(a, Symbol) and a.kind == "size")
            for n, (a, _) in zip(sizes, monomial, strict=True)
        ):
            total = plus(total, {monomial: coefficient})
            continue
        term = {CONSTANT: coefficient}
        for size, (atom, exponent) in zip(sizes, monomial, strict=True):
            end = atom_of(atom)
            if size is not None:
                end = minus(_polynomial(size, facts), UNIT) if coefficient > 0 else {}
            for _ in range(exponent):
                term = times(term, end)
        total = plus(total, term)
    return total


def _range(atom: Expr, facts: Facts) -> Expr | None:
    """How many values, from 0 on, an atom has that is an index, a place or a label; None for others."""
    match atom:
        case Position(_, Index(_, size, _), _) | Index(_, size, _):
            return size
        case Entry(tensor, _):
            return facts.ranges.get(tensor)
    return None


def relevant(polynomial: Polynomial, inequalities: list[Polynomial]) -> list[Polynomial]:
    """The inequalities that share an atom with `polynomial`, directly or through others."""
    atoms = {a for m in polynomial for a, _ in m}
    waiting, found = list(inequalities), []
    while near := [p for p in waiting if any(a in atoms for m in p for a, _ in m)]:
        found += near
        waiting = [p for p in waiting if not any(p is q for q in near)]
        atoms |= {a for p in near for m in p for a, _ in m}
    return found


def cancels(goal: Polynomial, known: list[Polynomial], free: set[Expr]) -> bool:
    """True if goal >= 0 is proved from known inequalities (each >= 0), for atoms that are >= 0 unless they are free."""
    short = _Search(known, free, SHORT)
    return short.proves(goal) or (short.cut and _Search(known, free, SEARCH_LIMIT).proves(goal))


class _Search:
    """A proof that a polynomial is >= 0: multiples of known inequalities are subtracted until every term is positive.

    Args:
        free: atoms that may be negative.
        depth: how many are subtracted at most; where proofs go round in circles, short ones are looked for first.
    """

    def __init__(self, known: list[Polynomial], free: set[Expr], depth: int) -> None:
        self.known, self.free, self.depth = known, free, depth
        self.cut = False  # some proof was given up for its length
        self._budget = SEARCH_LIMIT
        self._seen: dict[frozenset[object], int] = {}

    def proves(self, goal: Polynomial, steps: int = 0) -> bool:
        """True if goal >= 0."""
        bad = [(m, c) for m, c in goal.items() if c < 0 or any(a in self.free for a, _ in m)]
        if not bad:
            return True
        state = frozenset(goal.items())
        if self._seen.get(state, SEARCH_LIMIT) <= steps or self._budget <= 0 or len(goal) > LARGEST_GOAL:
            return False
        if steps >= self.depth:
            self.cut = True
            return False
        self._seen[state] = steps
        self._budget -= 1
        monomial, coefficient = max(bad, key=lambda item: order(item[0]))
        for inequality in self.known:
            for part, size in inequality.items():
                factor = without(monomial, part)
                # The multiple must be positive: the same sign, times atoms that are >= 0.
                if factor is None or (size < 0) != (coefficient < 0) or any(a in self.free for a, _ in factor):
                    continue
                multiple = times(inequality, {factor: ratio(coefficient, size)})
                if self.proves(minus(goal, multiple), steps + 1):
                    return True
        return False


def is_combination(goal: Polynomial, known: list[Polynomial], free: set[Expr]) -> bool:
    """True if goal is l1*p1 + l2*p2 + ... + something whose coefficients are >= 0, for known p >= 0 and some l >= 0.

    A window that fits once more is told by two halves: 2*((H - K)//2) >= H - K - 1 and H >= K give (H - K)//2 >= 0.
    Which multiples do is a linear program, solved with exact fractions by the simplex method with Bland's rule.

    Args:
        free: atoms that may be negative: their terms must cancel.

    Example:
        >>> from symbackprop.expression.build import Symbol
        >>> from symbackprop.expression.size_polynomial import UNIT, atom_of, minus, plus
        >>> h, k = (atom_of(Symbol(name, "size")) for name in "HK")
        >>> is_combination(minus(h, k), [minus(plus(h, h), plus(k, k))], set())
        True
    """
    monomials: dict[Monomial, None] = dict.fromkeys(m for p in (goal, *known) for m in p)
    if len(monomials) > MOST_ROWS or len(known) > MOST_COLUMNS:
        return False
    rows = []
    for k, monomial in enumerate(monomials):
        slack = [Fraction(int(j == k)) for j in range(len(monomials))]
        if any(a in free for a, _ in monomial):
            slack[k] = Fraction(0)
        row = [*(Fraction(p.get(monomial, 0)) for p in known), *slack, Fraction(goal.get(monomial, 0))]
        rows.append([-c for c in row] if row[-1] < 0 else row)
    return _has_solution(rows)


def _has_solution(rows: list[list[Fraction]]) -> bool:
    """Whether some x >= 0 solves rows[k][:-1] . x = rows[k][-1], where the right sides are >= 0.

    What each row lacks is made up by a variable of its own; their sum is made as small as it gets.
    """
    columns = len(rows[0]) - 1
    basis: list[int] = [columns + k for k in range(len(rows))]
    cost = [
        sum((row[j] for row in rows), Fraction(0)) for j in range(columns + 1)
    ]  # how fast a column lowers what lacks
    for _ in range(MOST_PIVOTS):
        if cost[-1] == 0:
            return True
        entering = next((j for j in range(columns) if cost[j] > 0), None)
        if entering is None:
            return False
        able = [k for k, row in enumerate(rows) if row[entering] > 0]
        if not able:
            return False
        leaving = min(able, key=lambda k: (rows[k][-1] / rows[k][entering], basis[k]))
        pivot = rows[leaving][entering]
        rows[leaving] = [c / pivot for c in rows[leaving]]
        for k, row in enumerate(rows):
            if k != leaving and row[entering]:
                factor = row[entering]
                rows[k] = [a - factor * b for a, b in zip(row, rows[leaving], strict=True)]
        factor = cost[entering]
        cost = [a - factor * b for a, b in zip(cost, rows[leaving], strict=True)]
        basis[leaving] = entering
    return False
