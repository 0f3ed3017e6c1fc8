"""What is known of signs and of zeros, held against values: by expressions whose sign is known by how they are made."""

import itertools
import random
from fractions import Fraction

import pytest
from random_expressions import (
    ASSUMPTIONS,
    EPS,
    FACTS,
    FREE,
    A,
    B,
    M,
    N,
    Undefined,
    bernoulli,
    point,
    positive,
    probability,
    signs,
    simplex,
    u,
    value,
    w,
    x,
)

from symbackprop.errors import SymbackpropError
from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    ZERO,
    Compare,
    Entry,
    Kronecker,
    Symbol,
    Tensor,
    add,
    apply,
    close_sum,
    contraction,
    extremum,
    fresh,
    multiply,
    number,
    power,
    subtract,
    where,
)
from symbackprop.expression.functions import EXP, FUNCTIONS, STEP, arbitrary
from symbackprop.normal_form.data import subtract as subtract_poly
from symbackprop.normal_form.normal_form import Canonical

i, j, m, h = FREE
half = Fraction(1, 2)
SEEDS = range(40)


def table():
    return Canonical(FACTS, ASSUMPTIONS, seconds=3.0)


class Signed:
    """Expressions that are above 0 (1), or not below 0 (0), by how they are made."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def real(self, indices):
        of = lambda size: self.r.choice([t for t in indices if t.size is size])  # noqa: E731
        return self.r.choice([
            Entry(x, (of(N),)), Entry(u, (of(N),)), Entry(A, (of(N), of(N))), Entry(B, (of(N), of(M))),
            subtract(Entry(x, (of(N),)), Entry(u, (of(N),))), multiply(Entry(w, (of(M),)), number(half)),
        ])  # fmt: skip

    def above(self, indices, depth):
        r, deeper = self.r, depth - 1
        of = lambda size: r.choice([t for t in indices if t.size is size])  # noqa: E731
        if depth <= 0 or r.random() < 0.2:
            return r.choice([
                N, M, EPS, number(half), number(3), Entry(positive, (of(N), of(M))), Entry(probability, (of(N),)),
                subtract(ONE, Entry(probability, (of(N),))), apply(EXP, self.real(indices)),
                apply(FUNCTIONS["sigmoid"], self.real(indices)),
            ])  # fmt: skip
        match r.randrange(6):
            case 0:
                return multiply(self.above(indices, deeper), self.above(indices, deeper))
            case 1 | 2:
                return add(self.above(indices, deeper), self.least(indices, deeper))
            case 3:
                exponent = r.choice([-1, -2, half, -half])
                return power(self.above(indices, deeper), number(exponent))
            case 4:
                return contraction("s", r.choice([N, M]), lambda s: self.above((*indices, s), deeper))
        return multiply(self.above(indices, deeper), self.above(indices, 0))

    def least(self, indices, depth):
        r, deeper = self.r, depth - 1
        if depth <= 0 or r.random() < 0.3:
            of = lambda size: r.choice([t for t in indices if t.size is size])  # noqa: E731
            return r.choice([
                power(self.real(indices), 2), power(power(self.real(indices), 2), number(half)),
                Compare("<", of(N), of(M)), Kronecker(of(N), of(M)), Compare("<", ZERO, self.real(indices)),
                power(self.real(indices), 4),
            ])  # fmt: skip
        match r.randrange(3):
            case 0:
                return multiply(self.least(indices, deeper), self.above(indices, deeper))
            case 1:
                return contraction("s", subtract(N, ONE), lambda s: self.above((*indices, s), deeper))
        return add(self.least(indices, deeper), self.least(indices, deeper))


def numbers(expr, seed, count=8):
    """Values of an expression at random points of small sizes."""
    found = []
    sizes = [(1, 1, 1, 1), (2, 3, 1, 2), (3, 2, 2, 1), (1, 2, 2, 2)]
    for k in range(count):
        try:
            found.append(value(expr, *point(seed * 100 + k, sizes[k % len(sizes)])))
        except (Undefined, OverflowError):
            continue
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_sign_is_found_where_all_terms_have_it(seed):
    made = Signed(seed)
    above, least = made.above(FREE, 3), made.least(FREE, 3)
    for expr, wanted in ((above, 1), (multiply(MINUS_ONE, above), -1), (add(above, least), 1)):
        try:
            poly = table().normal(expr)
        except SymbackpropError:
            continue
        assert all(v * wanted > 0 for v in numbers(expr, seed)), "the generator is wrong"
        # as a value and as an indicator; a difference like 1 - p beside other terms is not looked into
        if len({c > 0 for _, c in poly.terms}) == 1:
            assert table().sign(poly) == wanted
            assert table().equal(apply(STEP, expr), ONE if wanted > 0 else ZERO)
            assert table().equal(Compare("==", expr, ZERO), ZERO)


@pytest.mark.parametrize("seed", SEEDS)
def test_sign_is_never_wrong(seed):
    """Of what is only not below 0, of differences and of products with reals, where something is said it is so."""
    made = Signed(seed)
    r = made.r
    above, least, real = made.above(FREE, 2), made.least(FREE, 2), made.real(FREE)
    for expr in (
        least,
        subtract(above, least),
        subtract(above, made.above(FREE, 2)),
        multiply(above, real),
        multiply(least, real, MINUS_ONE),
        subtract(number(r.choice([1, 2])), Entry(r.choice([probability, bernoulli, signs]), (i,))),
        subtract(r.choice([N, M, subtract(N, ONE)]), contraction("s", N, lambda s: Compare("<", ZERO, Entry(x, (s,))))),
        add(least, multiply(real, real)),
    ):
        normal = table()
        try:
            poly = normal.normal(expr)
            said = normal.sign(poly)
        except SymbackpropError:
            continue
        if said is not None:
            assert all(v * said > 0 for v in numbers(expr, seed))


@pytest.mark.parametrize("seed", range(30))
def test_indicators_have_the_values_of_what_they_say(seed):
    """[v > 0] and [v = 0] of products and sums of signed things, gates, roots and reals."""
    made = Signed(seed)
    r = made.r
    parts = [
        made.above(FREE, 1), made.least(FREE, 1), made.real(FREE), made.real(FREE), Entry(bernoulli, (i,)),
        Entry(signs, (j,)), Entry(simplex, (i, m)), power(made.real(FREE), 3), power(made.real(FREE), -1),
        subtract(apply(EXP, made.real(FREE)), ONE), subtract(number(2), multiply(number(2), apply(EXP, made.real(FREE)))),
        number(-2), Kronecker(i, j), contraction("s", subtract(N, ONE), lambda s: Entry(x, (s,))),
    ]  # fmt: skip
    chosen = r.sample(parts, 3)
    for inner in (multiply(*chosen), add(multiply(*chosen[:2]), chosen[2]), multiply(chosen[0], chosen[1])):
        for expr in (apply(STEP, inner), Compare("<=", inner, ZERO), Compare("<", inner, ZERO)):
            normal = table()
            try:
                poly = normal.normal(expr)
            except SymbackpropError:
                continue
            held(expr, poly, seed)


def held(expr, poly, seed):
    """The normal form has the value of the expression, wherever that is no border case."""
    from random_expressions import SIZES, close, poly_value

    for k, sizes in enumerate(SIZES):
        here = point(seed + k, sizes)
        try:
            pair = value(expr, *here), poly_value(poly, *here)
        except (Undefined, OverflowError):
            continue
        assert close(*pair)


FREELY = (x, u, A)


def random_polynomial(r, indices=(i, j)):
    """A polynomial of a few entries with small coefficients, as terms that share entries, and functions of such."""

    def entry():
        tensor = r.choice(FREELY)
        places = [
            r.choice([*indices, add(indices[0], ONE)]) if r.random() < 0.15 else r.choice(indices) for _ in tensor.shape
        ]
        return Entry(tensor, tuple(places))

    def term(exponents):
        factors = (power(entry(), r.choice(exponents)) for _ in range(r.randint(1, 2)))
        return multiply(number(r.choice([-2, -1, 1, 1, 2])), *factors)

    def total(exponents=(1, 1, 2, -1)):
        return add(*(term(exponents) for _ in range(r.randint(1, 3))))

    kind = r.randrange(8)
    if kind < 4:
        return total()
    if kind == 4:
        return multiply(entry(), apply(EXP, total((1,))))
    if kind == 5:
        return add(apply(FUNCTIONS[r.choice(["relu", "abs", "tanh", "sigmoid"])], total()), total())
    if kind == 6:
        return subtract(power(add(ONE, power(total(), 2)), number(half)), number(r.choice([1, 2])))
    return contraction("s", r.choice([N, subtract(N, ONE)]), lambda s: multiply(Entry(x, (s,)), entry()))


@pytest.mark.parametrize("block", range(20))
def test_what_is_never_flat_is_zero_nowhere_but_by_chance(block):
    """At random reals the value is not 0, whichever of its indices agree: also where an axis has one entry."""
    found = 0
    for seed in range(block * 20, block * 20 + 20):
        r = random.Random(seed)
        expr, normal = random_polynomial(r), Canonical(FACTS, {}, seconds=2.0)
        try:
            poly = normal.normal(expr)
            if poly.terms and not normal.never_flat(poly):
                continue
        except SymbackpropError:
            continue
        if not poly.terms:
            continue
        found += 1
        for n, places in itertools.product((1, 2, 3), ((0, 0), (0, 1), (1, 0), (2, 1))):
            if max(places) >= n:
                continue
            indices, sizes, data = point(seed + n, (n, 2, 1, 1))
            try:
                assert abs(value(expr, {**indices, i: places[0], j: places[1]}, sizes, data)) > 1e-12
            except Undefined:
                continue
    assert found >= 5


NEVER_FLAT = {
    "an entry": Entry(x, (i,)),
    "a power": power(Entry(x, (i,)), 3),
    "one over it": power(Entry(x, (i,)), -1),
    "beside a number": add(Entry(x, (i,)), number(2)),
    "beside another tensor": subtract(Entry(x, (i,)), Entry(u, (i,))),
    "squares": add(power(Entry(x, (i,)), 2), power(Entry(x, (j,)), 2)),
    "of one sign in its highest degree": add(power(Entry(x, (i,)), 2), power(Entry(x, (j,)), 2), multiply(number(-3), Entry(x, (i,)))),
    "of one sign in its lowest degree": subtract(add(Entry(x, (i,)), Entry(x, (j,))), power(Entry(x, (i,)), 2)),
    "neighbours": subtract(Entry(x, (i,)), Entry(x, (add(i, ONE),))),
    "a logarithm": add(apply(FUNCTIONS["log"], Entry(x, (i,))), MINUS_ONE) if "log" in FUNCTIONS else Entry(x, (i,)),
    "an exponential": subtract(apply(EXP, Entry(x, (i,))), number(3)),
    "an entry times an exponential of another": multiply(Entry(x, (i,)), apply(EXP, Entry(u, (j,)))),
    "a sum": contraction("s", N, lambda s: multiply(Entry(x, (s,)), Entry(u, (s,)))),
    "a root of a sum of squares": subtract(power(contraction("s", N, lambda s: power(Entry(x, (s,)), 2)), number(half)), ONE),
}  # fmt: skip
FLAT = {
    "an entry and another": subtract(Entry(x, (i,)), Entry(x, (j,))),
    "a quotient of one tensor": subtract(multiply(Entry(x, (i,)), power(Entry(x, (j,)), -1)), ONE),
    "a product of differences": multiply(Entry(x, (i,)), subtract(Entry(u, (i,)), Entry(u, (j,)))),
    "an empty sum": contraction("s", subtract(N, ONE), lambda s: Entry(x, (s,))),
    "a rectified entry": apply(FUNCTIONS["relu"], Entry(x, (i,))),
    "mixed in both ends": subtract(multiply(Entry(x, (i,)), Entry(u, (j,))), multiply(Entry(x, (j,)), Entry(u, (i,)))),
    "0/1 data": subtract(Entry(bernoulli, (i,)), ONE),
    "a gate before an entry": multiply(Kronecker(i, j), Entry(x, (i,))),
}


@pytest.mark.parametrize("name", NEVER_FLAT)
def test_never_flat_knows_what_varies(name):
    normal = table()
    assert normal.never_flat(normal.normal(NEVER_FLAT[name]))


@pytest.mark.parametrize("name", FLAT)
def test_never_flat_leaves_what_may_be_flat(name):
    normal = table()
    assert not normal.never_flat(normal.normal(FLAT[name]))


def test_indicators_are_complements():
    """[v > 0] and [v <= 0], [v > 0] and [-v > 0]: one is 1 where the other is 0, whichever was asked for first."""
    for seed in range(20):
        made = Signed(seed)
        v = add(made.real(FREE), multiply(made.real(FREE), made.above(FREE, 1)))
        normal = table()
        try:
            up, down = normal.normal(Compare("<", ZERO, v)), normal.normal(Compare("<=", v, ZERO))
        except SymbackpropError:
            continue
        assert normal.equal(add(Compare("<", ZERO, v), Compare("<=", v, ZERO)), ONE)
        assert not subtract_poly(subtract_poly(normal.normal(ONE), up), down).terms


def test_a_count_is_at_most_its_range():
    """N - (how many of N hold) is not below 0; beside a smaller number nothing is said."""
    count = lambda size: contraction("s", size, lambda s: Compare("<", ZERO, Entry(x, (s,))))  # noqa: E731
    cases = {
        (add(N, ONE), N): 1, (N, N): None, (add(N, EPS), N): 1, (M, N): None, (subtract(N, ONE), N): None,
        (N, subtract(N, ONE)): None,
    }  # fmt: skip
    for (whole, size), wanted in cases.items():
        normal = table()
        gap = subtract(whole, count(size))
        assert normal.sign(normal.normal(gap)) == wanted
        assert normal.sign(normal.normal(multiply(MINUS_ONE, gap))) == (None if wanted is None else -wanted)
    pairs = contraction("s", N, lambda s: contraction("r", N, lambda q: Compare("<", Entry(x, (s,)), Entry(u, (q,)))))
    normal = table()
    assert normal.sign(normal.normal(subtract(add(multiply(N, N), ONE), pairs))) == 1
    assert normal.sign(normal.normal(subtract(add(N, ONE), pairs))) is None
    doubled = subtract(add(N, ONE), multiply(number(2), count(N)))
    assert normal.sign(normal.normal(doubled)) is None


FACTORS = {  # each with whether it is known not to be 0
    "an exponential": (apply(EXP, Entry(u, (j,))), True),
    "a positive entry": (Entry(positive, (j, m)), True),
    "a probability": (Entry(probability, (j,)), True),
    "a size": (N, True),
    "a number": (number(-3), True),
    "an arbitrary function": (apply(arbitrary("g"), Entry(u, (j,))), False),
    "a square": (power(apply(arbitrary("g"), Entry(u, (j,))), 2), False),
    "an indicator": (Compare("<", i, j), False),
    "0/1 data": (Entry(bernoulli, (j,)), False),
    "an empty sum": (contraction("s", subtract(N, ONE), lambda s: apply(EXP, Entry(x, (s,)))), False),
}


@pytest.mark.parametrize("name", FACTORS)
def test_a_product_is_zero_where_the_rest_is_only_if_the_factor_is_never(name):
    """[p * (f(x_i) + f(x_j)) = 0] is [f(x_i) + f(x_j) = 0] for a p that is never 0, and for no other."""
    factor, never = FACTORS[name]
    f = arbitrary("f")
    rest = add(apply(f, Entry(x, (i,))), apply(f, Entry(x, (j,))))
    assert table().equal(Kronecker(multiply(factor, rest), ZERO), Kronecker(rest, ZERO)) is never
    above, up = Compare("<", ZERO, multiply(factor, rest)), Compare("<", ZERO, rest)
    assert table().equal(above, up) is (never and name != "a number")


def largest(tensor, size):
    return extremum("max", "k", size, lambda k: Entry(tensor, (k,)))


@pytest.mark.parametrize(
    "parts",
    [[(x, i)], [(x, i), (u, j)], [(x, i), (u, j), (w, m)], [(u, i), (w, m)]],
    ids=["one", "two", "three", "of two sizes"],
)
def test_a_sum_of_maxima_is_attained(parts):
    value = add(*(subtract(Entry(t, (k,)), largest(t, k.size)) for t, k in parts))
    assert not table().is_zero(where(Compare("==", value, ZERO), ONE, ZERO))


NOT_NEGATIVE = {
    "an entry that is positive": Entry(positive, (i, m)),
    "a probability": Entry(probability, (i,)),
    "a product of these": multiply(Entry(positive, (i, m)), Entry(probability, (j,)), N),
    "an exponential": apply(EXP, add(Entry(x, (i,)), Entry(u, (j,)))),
    "a rectified number": apply(FUNCTIONS["relu"], Entry(x, (i,))),
    "a magnitude": apply(FUNCTIONS["abs"], subtract(Entry(x, (i,)), ONE)),
    "a choice of two": where(Compare("<", Entry(x, (i,)), ZERO), Entry(probability, (i,)), apply(EXP, Entry(u, (i,)))),
    "a number": number(Fraction(1, 3)),
    "nothing": ZERO,
}
MAY_BE_NEGATIVE = {
    "an entry": Entry(x, (i,)),
    "minus what is positive": multiply(MINUS_ONE, Entry(positive, (i, m))),
    "a product with an entry": multiply(Entry(positive, (i, m)), Entry(x, (i,))),
    "a difference": subtract(Entry(positive, (i, m)), Entry(probability, (j,))),
    "one way of two": where(Compare("<", Entry(x, (i,)), ZERO), Entry(probability, (i,)), Entry(u, (i,))),
    "a number": number(-1),
    "less than a rectified number": subtract(apply(FUNCTIONS["relu"], Entry(x, (i,))), number(Fraction(1, 8))),
    "a square root's rest": subtract(power(Entry(positive, (i, m)), Fraction(1, 2)), ONE),
}


@pytest.mark.parametrize("name", NOT_NEGATIVE)
def test_what_is_nowhere_negative_is_known(name):
    table = Canonical(FACTS, ASSUMPTIONS)
    assert table.nonnegative(table.normal(NOT_NEGATIVE[name]))


@pytest.mark.parametrize("name", MAY_BE_NEGATIVE)
def test_what_may_be_negative_is_not_said_not_to_be(name):
    table = Canonical(FACTS, ASSUMPTIONS)
    assert not table.nonnegative(table.normal(MAY_BE_NEGATIVE[name]))


@pytest.mark.parametrize(("kind", "function", "equal"), [
    ("max", "abs", True), ("min", "abs", True), ("max", "relu", False), ("max", "", False), ("min", "", False)
])  # fmt: skip
def test_an_extremum_of_absolute_values_comes_out_of_a_root(kind, function, equal):
    size = Symbol("D", "size")
    i, x = fresh("i", size), Tensor("x", (size,))

    def part(k):
        return apply(FUNCTIONS[function], Entry(x, (k,))) if function else Entry(x, (k,))

    top = extremum(kind, "k", size, part)
    half = number(Fraction(1, 2))
    plain = power(close_sum(i, power(Entry(x, (i,)), 2)), half)
    scaled = multiply(top, power(close_sum(i, power(multiply(Entry(x, (i,)), power(top, -1)), 2)), half))
    assert Canonical().equal(plain, scaled) is equal


def test_what_stands_in_an_atom_is_looked_at_once_however_often_it_stands_there():
    """Each of 60 roots holds the one below twice: a walk to every occurrence would never end."""
    deep = Entry(Tensor("x", ()), ())
    for _ in range(60):
        deep = power(add(power(deep, 2), deep, number(1)), Fraction(1, 2))
    normal = Canonical()
    assert not normal.never_flat(normal.normal(deep))
