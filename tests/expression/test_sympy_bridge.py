"""Expressions to SymPy and back, and the traps of SymPy that are kept out."""

from fractions import Fraction

import pytest
import sympy as sp

from symbackprop.calculus.rules import partial
from symbackprop.errors import FormulaError
from symbackprop.expression.build import (
    ONE,
    ZERO,
    Apply,
    Entry,
    Index,
    Symbol,
    Tensor,
    add,
    apply,
    close_sum,
    contraction,
    fresh,
    multiply,
    number,
    power,
    subtract,
)
from symbackprop.expression.functions import EXP, FUNCTIONS, STEP, arbitrary, derivative
from symbackprop.expression.sympy_bridge import from_sympy, slope, to_sympy
from symbackprop.normal_form.normal_form import Canonical

N = Symbol("n", "size")
W, x = Tensor("W", (N, N)), Tensor("x", (N,))
i, j, p = Index("i", N), Index("j", N), Index("p", N)
t = sp.Symbol("t", real=True)
T = Symbol("t")


def read(e):
    return from_sympy(e, {t: T})


def same(a, b):
    return Canonical().equal(a, b)


@pytest.mark.parametrize(
    "e",
    [
        t**2 / 2 + 3,
        sp.sqrt(1 + t**2),
        sp.exp(-t) / (1 + sp.exp(-t)),
        sp.log(1 + t**2),
        sp.sin(t) * sp.cos(2 * t),
        sp.erf(t / sp.sqrt(2)),
        sp.Piecewise((t, t > 0), (t / 100, True)),
        sp.pi * t,
        sp.E * t,
        sp.Rational(1, 3) * t,
        sp.cosh(t),
    ],
    ids=str,
)
def test_scalar_expressions_come_back_as_they_were(e):
    back = to_sympy(read(e))
    for point in (sp.Rational(-3, 2), sp.Rational(2, 3)):
        assert sp.N(back.subs(sp.Symbol("t", real=True), point) - e.subs(t, point), 30) == pytest.approx(0, abs=1e-20)


def test_floats_are_the_decimals_that_were_written():
    assert read(sp.Float("0.1")) is number(Fraction(1, 10))


def test_maximum_takes_the_slope_of_relu_at_its_kink():
    """SymPy's Max(0, t).diff is 1/2 at 0 and the Piecewise form gives 0: here both are the step, 0 at 0."""
    assert same(apply(FUNCTIONS["relu"], T), read(sp.Max(0, t)))
    assert same(read(sp.diff(sp.Max(0, t), t)), apply(STEP, T))


def test_absolute_value_has_a_real_slope():
    """diff(Abs(x), x) of a complex symbol gives re/im terms; ours is 2*step - 1."""
    assert same(slope(FUNCTIONS["abs"], 0, (T,)), subtract(multiply(number(2), apply(STEP, T)), ONE))
    assert same(read(sp.sign(t)), subtract(multiply(number(2), apply(STEP, T)), ONE))


def test_undefined_functions_are_arbitrary_ones():
    assert read(sp.Function("g")(t)) is Apply(arbitrary("g"), (T,))


@pytest.mark.parametrize("e", [sp.zeta(t), sp.I * t, sp.gamma(t), sp.Sum(t, (sp.Symbol("k"), 1, 3))], ids=str)
def test_what_has_no_counterpart_is_refused(e):
    with pytest.raises(FormulaError):
        read(e)


def test_sums_are_over_dummies_from_1():
    total = to_sympy(contraction("j", N, lambda k: multiply(Entry(W, (i, k)), Entry(x, (k,)))))
    assert isinstance(total, sp.Sum) and isinstance(total.variables[0], sp.Dummy)
    n = sp.Symbol("n", integer=True, positive=True)
    assert total.limits[0][1:] == (1, n)


def test_a_dummy_cannot_be_captured_by_substitution_or_differentiation():
    """Sum(W[i,j]*x[j], (j, ...)).subs(i, j) captures with a user-named j, as does diff by x[j]; with a Dummy both are right."""
    total = to_sympy(contraction("j", N, lambda k: multiply(Entry(W, (i, k)), Entry(x, (k,)))))
    user_j = sp.Symbol("j", integer=True)
    moved = total.subs(sp.Symbol("i", integer=True), user_j)
    assert moved.function.atoms(sp.Indexed) != {sp.IndexedBase("W")[user_j, user_j], sp.IndexedBase("x")[user_j]}
    numbers = moved.subs(sp.Symbol("n", integer=True, positive=True), 2).doit()
    assert numbers == sum(sp.IndexedBase("W")[user_j, k] * sp.IndexedBase("x")[k] for k in (1, 2))


def test_a_binder_inside_one_of_the_same_index_keeps_its_value():
    index = fresh("j", N)
    both = close_sum(index, multiply(Entry(x, (index,)), close_sum(index, Entry(x, (index,)))))
    written = to_sympy(both, {N: sp.Integer(2)}).doit()
    first, second = (sp.IndexedBase("x")[k] for k in (1, 2))
    assert sp.expand(written - (first + second) ** 2) == 0


# What SymPy's own routes get silently wrong, on ours.


def test_the_gradient_of_a_ridge_loss_is_not_0():
    """MatrixSymbol.diff of a ridge loss is 0; here it is 2 W."""
    ridge = contraction("a", N, lambda a: contraction("b", N, lambda b: power(Entry(W, (a, b)), 2)))
    assert same(partial(ridge, Entry(W, (i, j))), multiply(number(2), Entry(W, (i, j))))


def test_the_derivative_of_a_sum_by_an_entry_named_like_its_index_is_not_captured():
    total = contraction("j", N, lambda k: multiply(Entry(W, (i, k)), Entry(x, (k,))))
    assert same(partial(total, Entry(x, (j,))), Entry(W, (i, j)))


def test_functions_of_an_index_are_tensors():
    """Sum(h(i)**2, (i, 1, m)).diff(h(k)) is 0 in SymPy; with an entry it is 2 h[k]."""
    squares = contraction("i", N, lambda k: power(Entry(x, (k,)), 2))
    assert same(partial(squares, Entry(x, (p,))), multiply(number(2), Entry(x, (p,))))
    assert not same(partial(squares, Entry(x, (p,))), ZERO)


def test_slopes_of_basic_functions_are_written_out():
    assert same(slope(FUNCTIONS["log"], 0, (T,)), power(T, -1))
    assert same(slope(EXP, 0, (T,)), apply(EXP, T))
    f = arbitrary("f")
    assert slope(f, 0, (T,)) is apply(derivative(f), T)


def test_sigmoid_and_tanh_are_related_without_rewriting_by_hand():
    """simplify(2 sigma(2x) - 1 - tanh x) is not 0 unless .rewrite(exp) comes first."""
    sigmoid = apply(FUNCTIONS["sigmoid"], multiply(number(2), T))
    assert same(add(multiply(number(2), sigmoid), number(-1)), read(sp.tanh(t)))


def test_a_function_of_a_power_keeps_its_argument():
    """rewrite(exp) would turn z**2 into exp(2*log(z)), which is true for positive z alone, again and again."""
    z = sp.Symbol("z", real=True)
    for formula in (1 / (1 + sp.exp(-2 * z**2)), sp.sinh(z**2)):
        assert "log" not in str(from_sympy(formula, {}))
