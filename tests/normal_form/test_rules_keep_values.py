"""Each rule of the normal form by itself: what it puts in place of a term has the value of the term.

The rules are watched at work, on random expressions and on the tables of right and wrong equalities. A rule that is wrong
where another one happens to mend it, or where nothing but a longer form comes of it, shows here.
"""

import itertools
import random

import pytest
import test_wrong_equalities as equalities
from random_expressions import (
    ASSUMPTIONS,
    EPS,
    FACTS,
    FREE,
    HE,
    N_PLUS_H,
    SIZES,
    A,
    B,
    E,
    G,
    Generator,
    H,
    M,
    N,
    Undefined,
    bernoulli,
    close,
    label,
    onehot,
    point,
    poly_value,
    positive,
    q,
    rewritten,
    shuffled,
    signs,
    simplex,
    u,
    v,
    value,
    w,
    x,
    z,
)

from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Compare,
    Entry,
    Index,
    Quotient,
    Remainder,
    add,
    apply,
    contraction,
    extremum,
    free_indices,
    kronecker,
    matrix_entry,
    multiply,
    number,
    power,
    subtract,
)
from symbackprop.expression.functions import EXP, FUNCTIONS, LOG, arbitrary
from symbackprop.expression.sizes import Facts
from symbackprop.normal_form.data import Mono, Poly
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.normal_form.to_expression import expression

MOST = 2  # terms of one shape that are looked at


class Watched(Canonical):
    """A normal form whose rules are held against values.

    Args:
        points: functions of a seed that give indices, sizes and data, or None where there are none.
    """

    def __init__(self, *arguments, points, **options):
        super().__init__(*arguments, **options)
        self.points, self.seen, self.applied, self.r = points, {}, {}, random.Random(0)
        self.rules = tuple((needed, self.watching(rule)) for needed, rule in Canonical.rules)

    def watching(self, rule):
        def watched(table, factors, bound):
            before = dict(factors)
            new = rule(table, factors, bound)
            if new is not None:
                self.applied[rule.__name__] = self.applied.get(rule.__name__, 0) + 1
                assert factors == before, "a term is not changed in place"
                shape = rule.__name__, tuple(sorted((a.skeleton, e > 0) for a, e in factors.items())), len(bound)
                self.seen[shape] = self.seen.get(shape, 0) + 1
                if self.seen[shape] <= MOST:
                    self.hold([(1, factors, bound)], new, rule.__name__)
            return new

        return watched

    def hold(self, before, after, what):
        free = {t for _, f, b in (*before, *after) for a in f for t in a.free - set(b)}
        own = {t for _, f, b in before for a in f for t in a.free - set(b)}
        assert free <= own, f"{what} frees an index"
        assert not any(free_indices(t.size) for _, _, bound in after for t in bound), (
            f"{what}: a range depends on an index"
        )
        for seed, at in enumerate(self.points):
            indices, sizes, data = at
            try:
                here = {t: indices[t] if t in indices else self.place(t, seed, sizes) for t in own}
                pair = [sum(term_value(t, here, sizes, data) for t in terms) for terms in (before, after)]
            except (Undefined, OverflowError, ZeroDivisionError, KeyError):
                continue
            assert close(*pair), f"{what}: {before} is not {after}"

    def place(self, index, seed, sizes):
        length = int(value(index.size, {}, sizes, {}))
        if length < 1:
            raise Undefined
        return random.Random(f"{index} {seed}").randrange(length)


def term_value(term, indices, sizes, data):
    coefficient, factors, bound = term
    mono = Mono.make(tuple(factors.items()), bound)
    return poly_value(Poly.make({mono: coefficient}), indices, sizes, data) if coefficient else 0


def watch(expressions, normal):
    found = []
    for expr in expressions:
        try:
            found.append(normal.normal(expr))
        except SymbackpropError:
            continue
    return found


# Expressions for each rule.

i, j, m, h = FREE
f = arbitrary("f")
two, three = number(2), number(3)
DOMAINS = ((), (), (Compare("<=", M, N),), (Compare("<=", two, N),), (Compare("==", N, HE),), (Compare("<", E, M),))
LENGTHS = [
    (1, 1, 1, 1),
    (3, 2, 2, 2),
    (4, 3, 2, 2),
    (5, 2, 2, 3),
    (2, 3, 3, 1),
    (6, 4, 2, 3),
    (3, 3, 3, 1),
    (4, 2, 1, 4),
]


def over(size, body):
    return contraction("s", size, body)


def read(r, t, size):
    """Something that depends on an index of this range: an entry, a function of one, or a number."""
    vectors = {N: (x, u), M: (w,), HE: (z,), N_PLUS_H: (v,)}.get(size, ())
    if not vectors or r.random() < 0.2:
        return r.choice([add(t, ONE), multiply(t, t), power(add(t, two), -1)])
    entry = Entry(r.choice(vectors), (t,))
    return r.choice([entry, entry, power(entry, 2), apply(f, entry), apply(EXP, entry)])


def window(r):
    length, size = r.choice([two, three, M, E]), r.choice([N, M, add(N, ONE), N_PLUS_H])
    if r.random() < 0.2:  # as many as an index says, along an axis of several parts
        length, size = add(r.choice([j, h]), ONE), add(N, M, E)
    if r.random() < 0.2:  # a length that may be nothing or less: nothing is counted then
        length, size = subtract(M, r.choice([two, three])), add(N, M, E)
    c = r.choice([i, j, m, h, add(i, ONE), add(i, m), add(m, length, MINUS_ONE), subtract(i, ONE), Entry(label, (i,))])
    factor = r.choice([ONE, ONE, ONE, two, length, E])

    def body(t):
        gap = subtract(c, multiply(factor, t))
        if r.random() < 0.3:
            gap = subtract(multiply(factor, t), c)
        gates = [Compare("<=", ZERO, gap), Compare("<", gap, length)]
        return multiply(
            *r.sample(gates, r.choice([1, 2, 2, 2])), r.choice([ONE, Entry(u, (j,)), *[read(r, t, size)] * 4])
        )

    return over(size, body)


def merged(r):
    def body(t):
        places = (Quotient(t, E), Remainder(t, E))
        more = [
            read(r, t, HE),
            kronecker(Quotient(t, E), h),
            kronecker(Remainder(t, E), ZERO),
            Compare("<", t, r.choice([E, i, N])),
        ]
        return multiply(Entry(q, places), *r.sample(more, r.choice([0, 1, 1])))

    return over(HE, body)


def digits(r):
    c = r.choice([i, m, j, Entry(label, (i,)), add(i, ONE), multiply(two, m), add(multiply(E, h), m)])
    low = r.choice([E, E, two, M])
    inner = lambda a: over(low, lambda b: body(a, b))  # noqa: E731

    def body(a, b):
        weight = Entry(q, (a, b)) if low is E else multiply(add(a, ONE), add(b, two))
        return multiply(kronecker(add(multiply(low, a), b, *r.choice([(), (), (ONE,)])), c), weight)

    return over(H, inner)


def stride(r):
    k, c = r.choice([two, three, number(-2), two]), r.choice([ZERO, ONE, MINUS_ONE, E])
    size = r.choice([N, M, N])
    target = r.choice([i, m, h, add(i, j), Entry(label, (j,))])
    if r.random() < 0.4:
        return over(
            size,
            lambda t: over(
                two,
                lambda d: multiply(kronecker(add(multiply(k, t), d), add(target, c)), add(d, ONE), read(r, t, size)),
            ),
        )
    return over(size, lambda t: multiply(kronecker(add(multiply(k, t), c), target), read(r, t, size)))


def turned(r):
    """Places that go round the end of an axis, forwards and backwards."""
    size = r.choice([N, N, M, E, three])
    by = r.choice([size, size, size, M, two])
    shift = r.choice([ONE, MINUS_ONE, two, number(-3), j, m, E, subtract(multiply(two, j), m), Entry(label, (i,))])
    target = r.choice([i, j, m, add(i, ONE), subtract(j, i), number(-1), Remainder(add(i, two), size)])

    def body(t):
        place = Remainder(add(multiply(r.choice([ONE, ONE, MINUS_ONE]), t), shift), by)
        again = Remainder(add(t, r.choice([shift, ONE, i])), size)
        return multiply(kronecker(target, place), read(r, t, size), add(again, ONE), r.choice([ONE, add(place, two)]))

    return over(size, body)


def backwards(r):
    def body(t):
        back = subtract(subtract(N, ONE), t)
        gate = r.choice(
            [ONE, Compare("<=", t, i), Compare("<=", i, back), kronecker(back, i), Compare("<", add(i, t), N)]
        )
        return multiply(Entry(x, (back,)), gate, r.choice([ONE, Entry(A, (i, t)), Entry(A, (back, i)), Entry(u, (t,))]))

    return over(N, body)


def equal_labels(r):
    """What is summed over all that have the label of one."""

    def body(t):
        here, there = Entry(label, (i,)), Entry(label, (t,))
        more = [Entry(w, (there,)), apply(f, Entry(w, (there,))), kronecker(there, m), Entry(w, (here,)), read(r, t, N)]
        return multiply(kronecker(here, there), power(Entry(w, (there,)), 2), *r.sample(more, r.choice([1, 2, 2])))

    return over(N, body)


def places(r):
    """Deltas and inequalities between axes of different lengths."""
    choices = [i, j, m, h]

    def gate():
        a, b = r.sample(choices, 2)
        a = r.choice([a, add(a, ONE), subtract(a, ONE), multiply(two, a), Remainder(a, two), Quotient(a, two)])
        return r.choice(
            [
                kronecker(a, b),
                kronecker(a, b),
                Compare("<=", a, b),
                Compare("<", r.choice([N, M, H]), b),
                kronecker(Remainder(b, two), r.choice([ZERO, ONE])),
            ]
        )

    return multiply(
        *(gate() for _ in range(r.choice([2, 3]))), read(r, i, N), r.choice([ONE, Entry(w, (m,)), Entry(B, (j, m))])
    )


def longer(r):
    size = r.choice([add(N, ONE), add(M, ONE), add(M, N), add(N, two), two, subtract(N, ONE)])
    return over(
        size,
        lambda t: multiply(
            r.choice([ONE, Compare("<", t, M), kronecker(t, i), Compare("<=", i, t)]),
            read(r, t, size),
            r.choice([ONE, subtract(t, i)]),
        ),
    )


def extremes(r):
    kind, other = r.choice(["max", "min"]), r.choice(["max", "max", "min"])
    same = lambda a, b: r.choice([Compare("==", a, b), Compare("==", b, a), kronecker(a, b)])  # noqa: E731
    of_row = lambda a: extremum(kind, "e", M, lambda e: Entry(B, (a, e)))  # noqa: E731
    whole = extremum(r.choice([kind, other]), "r", r.choice([N, N, subtract(N, ONE)]), of_row)
    row = r.choice([i, i, j])
    cell = Entry(B, (row, m))
    choices = [
        lambda: multiply(same(cell, of_row(i)), same(of_row(r.choice([i, j])), whole)),
        lambda: over(M, lambda t: multiply(same(Entry(B, (i, t)), of_row(i)), r.choice([ONE, Entry(w, (t,)), add(t, ONE)]))),
        lambda: over(N, lambda s: over(M, lambda t: multiply(same(Entry(B, (s, t)), whole), r.choice([ONE, Entry(x, (s,))])))),
        lambda: over(N, lambda s: multiply(same(Entry(x, (s,)), extremum(kind, "e", N, lambda e: Entry(x, (e,)))), r.choice([ONE, Entry(A, (s, i))]))),
        lambda: over(N, lambda s: same(Entry(x, (s,)), extremum(kind, "e", r.choice([M, subtract(N, ONE)]), lambda e: Entry(x, (e,))))),
        lambda: over(N, lambda s: same(Entry(A, (s, s)), extremum(kind, "e", N, lambda e: Entry(A, (e, r.choice([e, i])))))),
        lambda: over(N, lambda s: same(multiply(r.choice([MINUS_ONE, two]), Entry(x, (s,))), extremum(kind, "e", N, lambda e: multiply(r.choice([MINUS_ONE, two]), Entry(x, (e,)))))),
    ]  # fmt: skip
    return r.choice(choices)()


def shares(r):
    """Parts of sums, over the sums."""
    part = lambda t: r.choice([apply(EXP, Entry(x, (t,))), Entry(positive, (t, m)), power(Entry(x, (t,)), 2)])  # noqa: E731
    state, rest = r.getstate(), r.choice([ZERO, ONE, EPS, Entry(u, (i,)), number(-2)])

    def same_part(t):
        now = r.getstate()
        r.setstate(state)
        found = part(t)
        r.setstate(now)
        return found

    total = add(multiply(r.choice([ONE, two]), over(N, same_part)), rest)
    top = r.choice(
        [
            over(N, same_part),
            same_part(i),
            over(N, lambda t: multiply(same_part(t), Entry(u, (t,)))),
            multiply(over(N, same_part), over(N, same_part)),
        ]
    )
    return multiply(top, power(total, r.choice([-1, -2])), r.choice([ONE, Entry(x, (j,))]))


def fractions(r):
    """One entry over another that holds it."""
    a, b = r.choice(
        [
            (Entry(x, (i,)), Entry(u, (j,))),
            (apply(EXP, Entry(x, (i,))), ONE),
            (multiply(Entry(x, (i,)), Entry(u, (j,))), two),
        ]
    )
    below = add(multiply(r.choice([ONE, two, number(-3)]), a), b)
    return multiply(
        power(a, r.choice([-2, -1, 1, 2])), power(below, r.choice([-2, -1])), r.choice([ONE, Entry(w, (m,))])
    )


def thresholds(r):
    of = r.choice(
        [Entry(x, (i,)), subtract(Entry(x, (i,)), Entry(u, (j,))), add(Entry(signs, (i,)), Entry(bernoulli, (j,)))]
    )

    def gate():
        side = add(
            multiply(number(r.choice([1, 2, -1, -3])), of),
            r.choice([ZERO, ONE, number(-1), two, EPS, multiply(MINUS_ONE, EPS)]),
        )
        return r.choice(
            [
                Compare("<", ZERO, side),
                Compare("<", side, ZERO),
                Compare("==", side, r.choice([ZERO, ONE])),
                apply(FUNCTIONS["relu"], side),
            ]
        )

    return multiply(gate(), gate(), r.choice([ONE, Entry(x, (j,))]))


def tables(r):
    """Rows that add up to 1, 0/1 and -1/1 data, and their powers and functions."""
    row, g, s = r.choice([onehot, onehot, simplex]), Entry(bernoulli, (i,)), Entry(signs, (j,))
    choices = [
        lambda: over(r.choice([M, two]), lambda t: Entry(row, (i, t))),
        lambda: over(N, lambda t: Entry(row, (t, m))),
        lambda: over(M, lambda t: multiply(Entry(row, (i, t)), Entry(w, (t,)), Entry(row, (r.choice([i, j]), m)))),
        lambda: multiply(power(Entry(row, (i, m)), r.choice([2, 3])), power(g, r.choice([1, 2])), power(s, r.choice([-1, 2, 3]))),
        lambda: apply(r.choice([EXP, f, FUNCTIONS["sigmoid"]]), multiply(g, Entry(x, (j,)))),
        lambda: apply(r.choice([EXP, f]), over(M, lambda t: multiply(Entry(row, (i, t)), Entry(B, (i, t))))),
        lambda: power(add(Entry(x, (i,)), multiply(g, Entry(u, (i,)))), r.choice([-1, -2, 2])),
    ]  # fmt: skip
    return r.choice(choices)()


def labels(r):
    """Digits of a label."""
    place, k = Entry(label, (i,)), r.choice([two, two, three, E])
    high = kronecker(Quotient(place, k), r.choice([h, h, j, ZERO, ONE, add(h, ONE), subtract(h, ONE)]))
    low = kronecker(Remainder(place, k), r.choice([ZERO, ONE, ONE, two, h]))
    return multiply(high, low, r.choice([ONE, Entry(B, (j, place)), Entry(w, (place,))]))


def of_matrix(kind, entry):
    return lambda a, b: matrix_entry(kind, N, entry, (a, b))


def matrices(r):
    """Inverses and Cholesky factors, and their products with what they are made of."""
    weight, multiple = r.choice([ONE, Entry(positive, (j, m))]), r.choice([ONE, two, number(-3)])

    def definite(a, b):
        return add(over(M, lambda t: multiply(weight, Entry(B, (a, t)), Entry(B, (b, t)))), kronecker(a, b))

    def shifted(a, b):
        return add(multiply(multiple, Entry(A, (a, b))), multiply(EPS, kronecker(a, b)))

    def turned(entry):
        return r.choice([entry, lambda a, b: entry(b, a)])

    def gate(a, b):
        return r.choice([Compare("<=", a, b), Compare("<", a, b), Compare("<=", a, add(b, ONE)), Compare("<=", b, a)])

    def more(a, b):
        return r.choice([ONE, ONE, Entry(x, (a,)), Entry(u, (b,)), kronecker(a, j), multiply(Entry(A, (a, b)), two)])

    made_of = [lambda a, b: Entry(A, (a, b)), lambda a, b: Entry(G, (i, a, b)), shifted, definite]
    entry = r.choice(made_of)
    inverse, factor, of_definite = (
        of_matrix("inverse", entry),
        of_matrix("cholesky", definite),
        of_matrix("inverse", definite),
    )
    solved = of_matrix("inverse", factor)
    pairs = [
        (inverse, entry), (factor, lambda a, b: factor(b, a)), (lambda a, b: solved(b, a), solved), (solved, factor),
        (of_definite, factor), (solved, of_definite),
    ]  # fmt: skip
    one, other = r.choice(pairs)
    if r.random() < 0.4:
        one, other = turned(one), turned(other)
    lower = r.choice([factor, solved])
    choices = [
        lambda: over(N, lambda s: multiply(one(i, s), other(s, j), r.choice([ONE, ONE, ONE, Entry(x, (s,))]))),
        lambda: over(N, lambda s: over(N, lambda t: multiply(one(i, s), other(s, t), more(t, j)))),
        lambda: multiply(gate(i, j), factor(i, j), r.choice([ONE, gate(i, j)])),
        lambda: over(N, lambda s: multiply(gate(s, i), gate(j, s), lower(i, j), Entry(x, (s,)))),
        lambda: over(N, lambda s: multiply(gate(s, i), gate(s, j), lower(i, j), Entry(x, (s,)))),
        lambda: r.choice([factor(ZERO, r.choice([ZERO, ONE])), multiply(gate(i, add(j, ONE)), factor(i, add(j, ONE)))]),
        lambda: over(N, lambda s: multiply(apply(LOG, multiply(r.choice([ONE, two]), factor(s, s))), more(s, j))),
        lambda: over(N, lambda s: over(N, lambda t: multiply(
            gate(s, t), turned(r.choice([of_definite, inverse]))(s, t),
            r.choice([ONE, multiply(Entry(x, (s,)), Entry(x, (t,))), Entry(x, (s,))])))),
        lambda: over(N, lambda s: over(N, lambda t: multiply(gate(s, t), gate(t, s), Entry(A, (s, t))))),
        lambda: multiply(matrix_entry(r.choice(["determinant", "logdet"]), N, turned(definite)),
                         power(matrix_entry("determinant", N, definite), r.choice([-1, 1]))),
    ]  # fmt: skip
    return r.choice(choices)()


def tiles(r):
    """Parts of an axis, each with its number."""
    size = r.choice([two, two, three])
    number_of = r.choice([h, j, i])

    def body(t):
        block = Quotient(t, size)
        gates = [
            kronecker(block, number_of),
            kronecker(block, number_of),
            Compare("<=", block, number_of),
            Compare("<", number_of, block),
            Compare("<=", block, ZERO),
        ]
        reads = [Entry(A, (t, block)), Entry(x, (block,)), apply(EXP, Entry(x, (block,))), read(r, t, N)]
        return multiply(
            *r.sample(gates, r.choice([1, 2])), *r.sample(reads, 2), r.choice([ONE, Entry(u, (number_of,))])
        )

    return over(N, body)


def laid_back(r):
    """Windows that are read by a number for two axes, which inequalities tell apart."""
    size = r.choice([E, two, M])

    def within(gap):
        place = add(Quotient(gap, size), r.choice([ZERO, j]))
        gates = [Compare("<=", ZERO, gap), Compare("<", gap, r.choice([size, size, subtract(size, ONE)]))]
        return multiply(*gates, r.choice([Entry(x, (place,)), Entry(A, (place, i)), apply(EXP, Entry(u, (place,)))]))

    return r.choice(
        [
            lambda: within(subtract(i, j)),
            lambda: over(N, lambda t: multiply(within(subtract(i, t)), read(r, t, N))),
            lambda: over(M, lambda t: multiply(within(subtract(m, t)), read(r, t, M))),
        ]
    )()


def told_sizes(r):
    """Places and comparisons beside a delta that tells a size."""
    size, count = r.choice([(N, ONE), (N, M), (M, ONE), (M, two), (N, add(M, ONE))])
    last = subtract(size, ONE)
    place, beside = r.choice([last, subtract(last, i), subtract(size, count), add(i, subtract(size, count))]), i
    gates = [kronecker(place, ZERO), kronecker(last, beside), Compare("<=", place, m), Compare("<", beside, last)]
    vector = x if size is N else w
    reads = [Entry(vector, (last,)), Entry(vector, (place,)), apply(EXP, Entry(vector, (last,)))]
    return multiply(kronecker(size, count), *r.sample(gates, r.choice([0, 1, 2])), r.choice(reads), Entry(u, (j,)))


FAMILIES = {  # each with the rules that it must show at work: without them it would test nothing
    window: {"narrow_range", "slide_window", "name_block"},
    merged: {"split_merged_index"},
    digits: {"contract_delta", "use_delta"},
    stride: {"contract_delta", "use_delta", "narrow_range"},
    turned: {"contract_delta"},
    backwards: {"reflect"},
    places: {"use_delta", "decide_by_delta"},
    longer: {"first_value", "write_out", "unused_index"},
    extremes: {"sum_of_extremum", "chain_of_extrema"},
    shares: {"fold"},
    fractions: {"fold", "tidy"},
    thresholds: {"one_threshold", "tidy"},
    tables: {"sum_of_onehot", "one_of_a_row", "tidy"},
    labels: {"join_digits"},
    matrices: {  # and their sides held against each other in test_matrices.py
        "contract_inverse",
        "keep_triangle",
        "log_of_triangle",
        "order_gates",
        "solve_triangle",
        "square_triangle",
    },
    tiles: {"use_delta"},
    laid_back: {"in_first_block"},
    equal_labels: {"one_of_equal_labels"},
    told_sizes: {"use_delta_of_sizes"},
}


SMALL = {matrices: [(1, 1, 1, 1), (3, 2, 1, 1), (2, 2, 1, 1)]}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_rules_keep_values_of_their_own_expressions(family):
    applied = {}
    for block in range(4):
        r = random.Random(f"{family.__name__} {block}")
        domain = DOMAINS[r.randrange(len(DOMAINS))]
        points = [point(seed + block, sizes) for seed, sizes in enumerate(SMALL.get(family, LENGTHS))]
        points = [p for p in points if all(value(d, {}, p[1], {}) for d in domain)]
        options = {"expanded": 4 if family is not matrices else 2} if block == 3 else {}
        normal = Watched(Facts(domain, {label: M}), ASSUMPTIONS, seconds=5.0, points=points, **options)
        for _ in range({digits: 3, stride: 3, window: 14, longer: 12, matrices: 32}.get(family, 7)):
            expr = family(r)
            for poly in watch([expr], normal):
                held(expr, poly, points)
        applied |= normal.applied
    assert applied.keys() >= FAMILIES[family]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_copies_have_one_normal_form(family):
    """Of what a rule is there for: with other names and another order, written in another way, written out again, and
    brought to normal form once more."""
    r = random.Random(f"copies of {family.__name__}")
    table = Canonical(Facts((), {label: M}), ASSUMPTIONS)
    for _ in range(12):
        expr = family(r)
        copy = expr if family in (labels, places) else shuffled(expr, r)  # of two equal digits either may be kept
        normal = table.normal(expr)
        assert table.normal(rewritten(copy, r)) is normal, expr
        assert table.normal(expression(table, normal, {})) is normal, expr
        assert table.collect([(c, dict(f), b) for t, c in normal.terms for f, b in [table.open_mono(t)]]) is normal, (
            expr
        )


def held(expr, poly, points):
    for at in points:
        try:
            pair = value(expr, *at), poly_value(poly, *at)
        except (Undefined, OverflowError, ZeroDivisionError):
            continue
        assert close(*pair), expr


def test_rules_keep_values_of_digits_that_are_summed_at_once():
    """sum_ab [E*a + b = c] f(a, b) with both indices bound, as it comes of opened definitions."""
    points = [point(seed, sizes) for seed, sizes in enumerate(LENGTHS)]
    normal = Watched(Facts((), {label: M}), ASSUMPTIONS, seconds=5.0, points=points)
    for low, c in itertools.product((E, two), (i, m, add(i, ONE), multiply(two, m), Entry(label, (i,)))):
        a, b = Index("a", H, 77), Index("b", low, 78)
        for sign, factor in ((1, low), (-1, low), (1, E)):
            gap = multiply(number(sign), subtract(add(multiply(factor, a), b), c))
            value_of = add(multiply(a, a), multiply(three, b), ONE)
            ((delta, _),) = normal.normal(kronecker(gap, ZERO)).terms
            for mono, coefficient in normal.normal(value_of).terms:
                term = (coefficient, dict((*mono.factors, *delta.factors)), (a, b))
                result = normal.collect([term])
                normal.hold(
                    [term], [(k, dict(f), bound) for t, k in result.terms for f, bound in [normal.open_mono(t)]], "all"
                )
    assert "solve_mixed_radix" in normal.applied


def test_every_rule_is_seen_at_work():
    seen = set().union(*FAMILIES.values(), {"solve_mixed_radix", "expand_base"})
    assert seen == {rule.__name__ for _, rule in Canonical.rules}


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("block", range(2))
def test_rules_keep_values_of_random_expressions(block, known):
    points = [point(seed + block, sizes) for seed, sizes in enumerate(SIZES)]
    normal = Watched(FACTS, ASSUMPTIONS if known else {}, seconds=5.0, points=points)
    watch((Generator(seed).make(FREE, 3) for seed in range(1000 + 30 * block, 1030 + 30 * block)), normal)


@pytest.mark.parametrize("name", [*equalities.ROWS, *equalities.RIGHT])
def test_rules_keep_values_of_equalities(name):
    *sides, given = [*equalities.ROWS.get(name, ()), *equalities.RIGHT.get(name, ())][:3]
    kinds, domain = given.get("kinds", {}), given.get("domain", ())
    found = (equalities.point(seed, kinds, domain) for seed in range(60))
    points = list(itertools.islice((p for p in found if p), 6))
    known = equalities.table(kinds, domain)
    watch(sides, Watched(known.facts, kinds, points=points))
