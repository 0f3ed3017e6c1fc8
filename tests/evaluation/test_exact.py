"""The evaluator against plain NumPy and closed forms, for every kind of number."""

from fractions import Fraction

import flint
import numpy as np
import pytest

from symbackprop.errors import DataError, UnsupportedError
from symbackprop.evaluation.compile import Compiler, OutOfRangeError, State
from symbackprop.evaluation.exact import evaluate, evaluate_expression
from symbackprop.evaluation.number_types import EXACT, FLOAT, Dual, TooCloseError, ball, dual
from symbackprop.expression.build import (
    Compare,
    Entry,
    Index,
    Multiply,
    Number,
    Position,
    Quotient,
    Remainder,
    Symbol,
    Tensor,
    add,
    apply,
    contraction,
    divide,
    extremum,
    kronecker,
    multiply,
    number,
    power,
    subtract,
    where,
)
from symbackprop.expression.functions import EXP, FUNCTIONS, LOG, arbitrary, derivative
from symbackprop.expression.program import Equation, Program

N, D, M = (Symbol(s, "size") for s in "NDM")
x, w, b = Tensor("x", (N, D)), Tensor("w", (D, M)), Tensor("b", (M,))
labels = Tensor("y", (N,), "integer")
n, d, k = Index("n", N), Index("d", D), Index("k", M)
z = Tensor("z", (N, M))
AFFINE = Equation(
    z, (n, k), add(contraction("j", D, lambda j: multiply(Entry(x, (n, j)), Entry(w, (j, k)))), Entry(b, (k,)))
)
SIZES = {"N": 3, "D": 2, "M": 4}


def arrays(seed: int = 0):
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=(3, 2)), "w": rng.normal(size=(2, 4)), "b": rng.normal(size=4)}


def test_evaluate_affine_is_numpy():
    given = arrays()
    result = evaluate(Program((x, w, b), (AFFINE,), (z,)), SIZES, given)
    np.testing.assert_allclose(result["z"], given["x"] @ given["w"] + given["b"], rtol=1e-14)
    assert result["z"].dtype == np.float64


def test_evaluate_softmax_cross_entropy_with_labels():
    top, loss = Tensor("top", (N,)), Tensor("J")
    row = extremum("max", "k", M, lambda k: Entry(z, (n, k)))
    shifted = lambda i, k: subtract(Entry(z, (i, k)), Entry(top, (i,)))  # noqa: E731
    total = lambda i: contraction("k", M, lambda k: apply(EXP, shifted(i, k)))  # noqa: E731
    picked = lambda i: contraction("k", M, lambda k: multiply(kronecker(k, Entry(labels, (i,))), shifted(i, k)))  # noqa: E731
    cost = divide(contraction("n", N, lambda i: subtract(apply(LOG, total(i)), picked(i))), N)
    program = Program((x, w, b, labels), (AFFINE, Equation(top, (n,), row), Equation(loss, (), cost)), (loss,))
    given = arrays() | {"y": [3, 0, 0]}
    scores = given["x"] @ given["w"] + given["b"]
    expected = np.mean(np.log(np.exp(scores).sum(1)) - scores[np.arange(3), given["y"]])
    for field in (FLOAT, ball(128), ball(300)):
        assert float(evaluate(program, SIZES, given, field=field)["J"].item()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "name", ["sigmoid", "tanh", "relu", "softplus", "gelu", "gelu_tanh", "silu", "elu", "leaky_relu", "abs"]
)
def test_scalar_functions_and_their_derivatives_agree_with_complex_step(name):
    points = np.array([-2.5, -0.75, 0.5, 3.0])
    v = Tensor("v", (N,))
    value = evaluate_expression(apply(FUNCTIONS[name], Entry(v, (n,))), (n,), {"N": 4}, {v: points})
    slope = evaluate_expression(
        apply(derivative(FUNCTIONS[name]), Entry(v, (n,))), (n,), {"N": 4}, {v: points}, field=ball(128)
    )
    exact = evaluate_expression(apply(FUNCTIONS[name], Entry(v, (n,))), (n,), {"N": 4}, {v: points}, field=ball(128))
    np.testing.assert_allclose(value, exact.astype(float), rtol=1e-13)
    h = flint.fmpq(1, 2**40)
    for at, value in zip(points, slope, strict=True):
        pair = [flint.arb(at) + h, flint.arb(at) - h]
        above, below = (
            evaluate_expression(
                apply(FUNCTIONS[name], Entry(v, (n,))), (n,), {"N": 1}, {v: np.array([p], object)}, field=ball(256)
            )
            for p in pair
        )
        assert float(((above[0] - below[0]) / (2 * h)).mid()) == pytest.approx(float(value), rel=1e-9, abs=1e-12)


def test_dual_slopes_are_the_derivatives():
    field = dual(ball(128))
    v = Tensor("v")
    for name in ("sigmoid", "gelu", "softplus", "abs"):
        with field.working():
            at = Dual(flint.arb(0.75), flint.arb_mat(1, 1, [1]))
        moved = evaluate_expression(
            apply(FUNCTIONS[name], Entry(v, ())), (), {}, {v: np.array(at, object)}, field=field
        ).item()
        slope = evaluate_expression(
            apply(derivative(FUNCTIONS[name]), Entry(v, ())), (), {}, {v: 0.75}, field=ball(128)
        ).item()
        assert moved.slope[0, 0].overlaps(slope)


def test_arbitrary_function_needs_a_concrete_one():
    v, f = Tensor("v"), arbitrary("f")
    second = derivative(derivative(f))
    with pytest.raises(UnsupportedError, match="f is arbitrary"):
        evaluate_expression(apply(f, Entry(v)), (), {}, {v: 0.5})
    found = evaluate_expression(apply(second, Entry(v)), (), {}, {v: 0.5}, functions={"f": FUNCTIONS["tanh"]})
    t = np.tanh(0.5)
    assert float(found) == pytest.approx(-2 * t * (1 - t * t), rel=1e-12)


def test_where_evaluates_only_the_branch_taken():
    v = Tensor("v", (N,))
    inside = Compare("<", add(n, number(1)), N)
    following = where(inside, Entry(v, (add(n, number(1)),)), number(0))
    np.testing.assert_array_equal(evaluate_expression(following, (n,), {"N": 3}, {v: [1.0, 2.0, 3.0]}), [2, 3, 0])


def test_position_is_the_first_and_integers_stay_integers():
    v = Tensor("v", (N,))
    index = Index("j", N, 10**9)
    first = Position("max", index, Entry(v, (index,)))
    assert evaluate_expression(first, (), {"N": 3}, {v: [1.0, 5.0, 5.0]}).dtype == np.int64
    assert evaluate_expression(first, (), {"N": 3}, {v: [1.0, 5.0, 5.0]}) == 1
    halves = add(multiply(number(10), Quotient(n, number(2))), Remainder(n, number(2)))
    np.testing.assert_array_equal(evaluate_expression(halves, (n,), {"N": 5}, {}), [0, 1, 10, 11, 20])


def test_negative_position_is_an_error_not_the_last_entry():
    v = Tensor("v", (N,))
    with pytest.raises(OutOfRangeError, match="v has no entry at \\(-1,\\)"):
        evaluate_expression(Entry(v, (add(n, number(-1)),)), (n,), {"N": 3}, {v: [1.0, 2.0, 3.0]})


def test_kronecker_in_a_sum_picks_one_term_or_none():
    v = Tensor("v", (N,))
    shifted = contraction("j", N, lambda j: multiply(kronecker(j, add(n, number(1))), Entry(v, (j,))))
    np.testing.assert_array_equal(evaluate_expression(shifted, (n,), {"N": 3}, {v: [1.0, 2.0, 3.0]}), [2, 3, 0])


def test_exact_field_keeps_fractions_and_refuses_roots():
    v = Tensor("v", (N,))
    mean = divide(contraction("j", N, lambda j: Entry(v, (j,))), N)
    given = np.array([1, 2, 4], dtype=object)
    assert evaluate_expression(mean, (), {"N": 3}, {v: given}, field=EXACT).item() == Fraction(7, 3)
    with pytest.raises(UnsupportedError, match="not a rational number"):
        evaluate_expression(power(Entry(v, (n,)), Fraction(1, 2)), (n,), {"N": 3}, {v: given}, field=EXACT)


def test_balls_that_overlap_are_not_compared():
    v = Tensor("v")
    third = divide(Entry(v), number(3))
    difference = subtract(add(third, third, third), Entry(v))
    with pytest.raises(TooCloseError):
        evaluate_expression(Compare("<", number(0), difference), (), {}, {v: 1.0}, field=ball(128))


def test_dual_comparison_at_a_kink_is_refused_but_constants_are_compared():
    field = dual(FLOAT)
    moving = Dual(0.0, np.array([1.0]))
    with pytest.raises(TooCloseError):
        field.compare(moving, 0)
    assert field.compare(0.0, 0) == 0
    assert field.compare(moving, moving) == 0
    assert moving * 0.0 == 0, "an exact zero that nothing moves gives a constant"


def test_ieee_values_instead_of_exceptions():
    v = Tensor("v", (N,))
    points = [-1.0, 0.0]
    with_log = evaluate_expression(apply(LOG, Entry(v, (n,))), (n,), {"N": 2}, {v: points})
    assert np.isnan(with_log[0]) and with_log[1] == -np.inf
    assert np.isnan(evaluate_expression(power(Entry(v, (n,)), Fraction(1, 2)), (n,), {"N": 2}, {v: points})[0])
    assert evaluate_expression(apply(EXP, Entry(v, (n,))), (n,), {"N": 1}, {v: [1e4]})[0] == np.inf


def test_pi_and_parameters():
    pi, lam = Symbol("pi", "positive"), Symbol("lam")
    assert float(evaluate_expression(multiply(pi, lam), (), {}, {}, {"lam": 0.5})) == pytest.approx(np.pi / 2)
    with pytest.raises(DataError, match="no value for lam"):
        evaluate_expression(lam, (), {}, {})


def test_shared_parts_are_computed_once():
    """A doubling chain of 60 shared nodes would take 2**60 steps without a memo."""
    v = Tensor("v")
    node = Entry(v)
    for _ in range(60):
        node = Multiply((Number(Fraction(1, 2)), add(node, power(node, 2))))
    assert np.isfinite(Compiler(FLOAT).compile(node)(State({}, {v: {(): 0.5}})))


def test_wrong_shape_and_missing_input_are_named():
    program = Program((x, w, b), (AFFINE,), (z,))
    with pytest.raises(DataError) as caught:
        evaluate(program, SIZES, arrays() | {"b": np.zeros(3)})
    assert str(caught.value) == "the input b has the wrong shape\n  given:   (3,)\n  needed:  (4,)"
    with pytest.raises(DataError, match="no value for the input w"):
        evaluate(program, SIZES, {"x": np.zeros((3, 2))})
    with pytest.raises(DataError, match="no value for M"):
        evaluate(program, {"N": 3, "D": 2}, arrays())
