"""Comparisons of sizes that are not always so: at some sizes they fail, so `decide` may not say that they hold.

Each row is first shown to be undecided by trying small sizes, which knows nothing of the proofs. What the search for a
proof does depends on the order of names, so every row is asked under many names.
"""

import itertools

import pytest
from test_sizes import value

from symbackprop.expression.build import (
    ONE,
    ZERO,
    Compare,
    Entry,
    Index,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    add,
    multiply,
    number,
    subtract,
)
from symbackprop.expression.size_polynomial import CONSTANT, UNIT, atom_of, minus, times
from symbackprop.expression.size_trials import trials
from symbackprop.expression.sizes import Facts, cancels, decide, simplify

NAMES = [*itertools.permutations("AEHNZ", 2), ("L", "K"), ("K", "L"), ("Q", "D"), ("D", "Q")]
two, three = number(2), number(3)


class Here:
    """Two sizes, an index below each, an integer of any sign and a label below the first, under some names."""

    def __init__(self, first, second):
        self.A, self.B = Symbol(first, "size"), Symbol(second, "size")
        self.a, self.b = Index("a", self.A), Index("b", self.B)
        self.any = Entry(Tensor("any", (), "integer"))
        self.label = Entry(Tensor("label", (), "integer"))
        self.ranges = {self.label.tensor: self.A}

    def points(self, domain):
        """Small values of everything at which the domain holds."""
        for A, B, w in itertools.product(range(1, 10), range(1, 10), (-2, 0, 1)):
            for a, b in itertools.product({0, A // 2, A - 1}, {0, B // 2, B - 1}):
                at = {self.A: A, self.B: B, self.a: a, self.b: b, self.any: w, self.label: A - 1 - a}
                if all(value(d, at) for d in domain):
                    yield at


# Each: what is known, and a comparison that holds at some of the sizes that it leaves, and fails at others.
UNDECIDED = {
    "at most is not below": lambda s: ([Compare("<=", s.A, s.B)], "<", s.A, s.B),
    "at most is not equal": lambda s: ([Compare("<=", s.A, s.B)], "==", s.A, s.B),
    "below is not below by two": lambda s: ([Compare("<", s.A, s.B)], "<", add(s.A, ONE), s.B),
    "half of at most is not below": lambda s: (
        [Compare("<=", multiply(two, s.A), add(multiply(two, s.B), ONE))],
        "<",
        s.A,
        s.B,
    ),
    "rounded down": lambda s: ([Compare("<=", subtract(multiply(two, s.A), ONE), multiply(two, s.B))], "<", s.A, s.B),
    "a multiple by any integer": lambda s: (
        [Compare("<=", s.A, s.B)],
        "<=",
        multiply(s.any, s.A),
        multiply(s.any, s.B),
    ),
    "a quotient of a negative": lambda s: ([], "<=", ZERO, Quotient(subtract(s.A, multiply(number(9), s.B)), s.B)),
    "a quotient that is -1 or more": lambda s: ([], "<=", ZERO, Quotient(subtract(s.a, s.b), s.B)),
    "a quotient by what may be negative": lambda s: (
        [],
        "==",
        Quotient(add(multiply(two, s.b), ONE), multiply(two, subtract(s.A, s.B))),
        Quotient(s.b, subtract(s.A, s.B)),
    ),
    "quotients by two divisors": lambda s: ([], "<=", multiply(two, Quotient(s.b, number(4))), Quotient(s.a, two)),
    "a quotient of a square": lambda s: (
        [],
        "==",
        Quotient(multiply(Quotient(s.a, two), Quotient(s.a, two)), three),
        Quotient(s.a, number(6)),
    ),
    "a remainder by another divisor": lambda s: ([Compare("<=", s.B, s.A)], "<", Remainder(s.a, s.A), s.B),
    "a remainder by a size": lambda s: ([], "==", Remainder(s.a, s.B), s.a),
    "a product is not its factor": lambda s: ([], "<", s.A, multiply(s.A, s.B)),
    "an index may be the last": lambda s: ([], "<", s.a, subtract(s.A, ONE)),
    "an index may be the first": lambda s: ([], "<", ZERO, s.a),
    "a size may be 1": lambda s: ([], "<", ONE, s.A),
    "an index of another axis": lambda s: ([Compare("<=", s.A, add(s.B, ONE))], "<", s.a, s.B),
    "a label of another range": lambda s: ([Compare("<=", s.A, add(s.B, ONE))], "<", s.label, s.B),
    "the largest of a falling term": lambda s: (
        [],
        "<=",
        Quotient(subtract(ZERO, multiply(Quotient(subtract(s.A, s.B), two), s.b)), s.B),
        Quotient(subtract(s.A, s.B), two),
    ),
    "an index times a quotient that may be negative": lambda s: (
        [],
        "<=",
        Quotient(multiply(Quotient(subtract(s.A, s.B), two), s.b), three),
        Quotient(multiply(Quotient(subtract(s.A, s.B), two), subtract(s.B, ONE)), three),
    ),
    "a quotient of any integer": lambda s: ([], "<=", ZERO, Quotient(s.any, s.A)),
    "an index times any quotient": lambda s: (
        [],
        "<=",
        Quotient(multiply(Quotient(s.any, two), s.b), three),
        Quotient(multiply(Quotient(s.any, two), subtract(s.B, ONE)), three),
    ),
    "an index times a quotient that may be negative, by its size": lambda s: (
        [],
        "<=",
        Quotient(multiply(Quotient(subtract(s.A, s.B), two), s.b), s.A),
        Quotient(multiply(Quotient(subtract(s.A, s.B), two), subtract(s.B, ONE)), s.A),
    ),
    "a divisor is at most what it divides": lambda s: (
        [Compare("==", Remainder(s.A, s.B), ZERO)],
        "<",
        s.B,
        s.A,
    ),
    "halves of neighbours": lambda s: ([], "==", Quotient(s.a, two), Quotient(add(s.a, ONE), two)),
    "thirds of what is odd": lambda s: (
        [Compare("==", Remainder(s.A, two), ONE)],
        "==",
        multiply(three, Quotient(s.A, three)),
        s.A,
    ),
    "even by another size": lambda s: (
        [Compare("==", Remainder(s.A, two), ZERO)],
        "==",
        multiply(two, Quotient(s.B, two)),
        s.B,
    ),
    "equal up to one": lambda s: ([Compare("<=", s.A, s.B), Compare("<=", s.B, add(s.A, ONE))], "==", s.A, s.B),
}


@pytest.mark.slow
@pytest.mark.parametrize("row", UNDECIDED.values(), ids=UNDECIDED.keys())
def test_decide_leaves_open_what_depends_on_the_sizes(row):
    for names in NAMES:
        here = Here(*names)
        domain, relation, left, right = row(here)
        claim = Compare(relation, left, right)
        if names is NAMES[0]:
            assert {defined(claim, at) for at in here.points(domain)} - {None} == {0, 1}, "the row is decided"
        assert decide(relation, left, right, Facts(domain, here.ranges)) is None, names


def defined(expr, at):
    """The value, None where it divides by zero."""
    try:
        return value(expr, at)
    except ZeroDivisionError:
        return None


# Each: what is known, and a comparison that then always holds.
CERTAIN = {
    "a label is below its range": lambda s: ([], "<", s.label, s.A),
    "a label is not negative": lambda s: ([], "<=", ZERO, s.label),
    "an index is below its size": lambda s: ([], "<", s.a, s.A),
    "an index is not negative": lambda s: ([], "<=", ZERO, s.a),
    "a size is positive": lambda s: ([], "<", ZERO, s.A),
    "strict": lambda s: ([Compare("<", s.A, s.B)], "<=", add(s.A, ONE), s.B),
    "not strict": lambda s: ([Compare("<=", s.A, s.B)], "<=", s.A, s.B),
    "multiples": lambda s: ([Compare("<=", s.A, s.B)], "<=", multiply(s.a, s.A), multiply(s.a, s.B)),
    "rounded up": lambda s: ([Compare("<", multiply(two, s.A), multiply(two, s.B))], "<=", add(s.A, ONE), s.B),
    "a remainder is below its divisor": lambda s: ([], "<", Remainder(s.a, s.B), s.B),
    "a quotient is below its share": lambda s: ([], "<=", multiply(s.B, Quotient(s.a, s.B)), s.a),
    "a quotient of a quotient": lambda s: ([], "==", Quotient(Quotient(s.a, two), three), Quotient(s.a, number(6))),
    "a quotient within a merged axis": lambda s: (
        [],
        "<",
        Quotient(Index("q", multiply(s.A, s.B)), s.B),
        s.A,
    ),
    "equal both ways": lambda s: ([Compare("<=", s.A, s.B), Compare("<=", s.B, s.A)], "==", s.A, s.B),
    "unequal": lambda s: ([Compare("<", s.A, s.B)], "<=", ONE, subtract(s.B, s.A)),
}


@pytest.mark.parametrize("row", CERTAIN.values(), ids=CERTAIN.keys())
def test_decide_says_what_is_always_so_and_denies_the_opposite(row):
    opposite = {"<": lambda a, b: ("<=", b, a), "<=": lambda a, b: ("<", b, a)}
    for names in NAMES:
        here = Here(*names)
        domain, relation, left, right = row(here)
        facts = Facts(domain, here.ranges)
        assert decide(relation, left, right, facts) is True, names
        if relation in opposite:
            other, a, b = opposite[relation](left, right)
            assert decide(other, a, b, facts) is False, names
            assert decide("==", left, add(right, ONE), facts) is False


def test_decide_tells_at_most_from_below_on_the_border():
    here = Here("C", "N")
    facts = Facts((), here.ranges)
    assert decide("<=", here.A, here.label, facts) is False
    assert decide("<", here.label, here.A, facts) is True
    assert decide("<", subtract(here.A, ONE), here.label, facts) is False
    assert decide("<=", subtract(here.A, ONE), here.label, facts) is None


# The parts by themselves.


def test_cancels_multiplies_an_inequality_by_what_is_not_negative_alone():
    a, b, w = (Symbol(s, "size") for s in "abw")
    goal = minus(times(atom_of(w), atom_of(b)), times(atom_of(w), atom_of(a)))
    known = [minus(atom_of(b), atom_of(a))]  # a <= b
    assert cancels(goal, known, set())
    assert not cancels(goal, known, {w})
    assert not cancels(minus({}, goal), known, set())
    assert not cancels(minus(goal, UNIT), known, set())
    assert cancels({CONSTANT: UNIT[CONSTANT]}, [], set())
    assert not cancels(atom_of(w), [], {w})


def test_trials_hold_all_that_is_known_and_prove_nothing():
    here = Here("A", "B")
    domain = [Compare("<", here.A, here.B), Compare("==", Remainder(here.B, two), ZERO)]
    found = trials(domain, here.ranges)
    assert found
    for trial in found:
        A, B, a, label = (trial.value(e) for e in (here.A, here.B, here.a, here.label))
        assert 1 <= A < B and B % 2 == 0 and 0 <= a < A and 0 <= label < A
        assert trial.value(Quotient(here.any, two)) is None
        assert trial.value(Quotient(here.A, subtract(here.A, here.A))) is None
        assert trial.value(Remainder(subtract(here.A, here.B), three)) == (A - B) % 3
        assert not trial.holds(Compare("<", here.any, here.A))
        assert not trial.negative(atom_of(here.any))
        assert not trial.negative({})
        assert trial.negative(minus(atom_of(here.A), atom_of(here.B)))
        assert not trial.negative(minus(atom_of(here.B), atom_of(here.A)))
    ends = {(t.value(here.a) == 0, t.value(here.a) == t.value(here.A) - 1) for t in trials([], {})}
    assert len(ends) > 1  # first, last and middle ones


def test_trials_of_an_empty_axis_and_of_what_is_no_relation_have_no_value():
    here = Here("A", "B")
    for trial in trials([], here.ranges):
        assert trial.value(Index("none", subtract(here.A, here.A))) is None
        assert not trial.holds(here.A)
        assert trial.holds(Compare("<=", here.A, here.A)) and not trial.holds(Compare("<", here.A, here.A))
        assert trial.holds(Compare("==", here.A, here.A))


def test_facts_that_are_no_relations_say_nothing():
    here = Here("A", "B")
    assert decide("<", here.A, here.B, Facts([here.A])) is None


@pytest.mark.parametrize("names", NAMES)
def test_simplify_keeps_quotients_by_what_may_be_zero(names):
    here = Here(*names)
    gap = subtract(here.A, here.B)
    for whole, other in (
        (Quotient(multiply(gap, here.b), gap), here.b),
        (Quotient(Quotient(here.b, gap), two), Quotient(here.b, multiply(two, gap))),
        (Remainder(multiply(two, gap), gap), ZERO),
    ):
        assert simplify(whole) is not simplify(other)
