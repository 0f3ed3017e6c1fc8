"""Products with 0 that ask for what their other factor asks for."""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.evaluation.exact import evaluate
from symbackprop.evaluation.number_types import FLOAT, ball
from symbackprop.expression.build import ZERO, Entry, Symbol, Tensor, apply, contraction, number, power, subtract
from symbackprop.expression.functions import EXP, LOG
from symbackprop.expression.program import Equation, Program
from symbackprop.expression.zero_products import divide_as_written, multiply_as_written

N = Symbol("N", "size")
S, X, Y = (Entry(Tensor(name), ()) for name in "sxy")


@pytest.mark.parametrize("partial", [apply(LOG, X), power(X, -1), power(X, number(0.5)), subtract(X, power(Y, -2))])
def test_multiply_as_written_keeps_what_may_have_no_value(partial):
    assert multiply_as_written(ZERO, partial) == subtract(partial, partial)
    assert multiply_as_written(partial, ZERO) == subtract(partial, partial)


@pytest.mark.parametrize("total", [X, apply(EXP, X), power(X, 2), power(N, -1), power(number(3), -1), number(7)])
def test_multiply_as_written_is_0_where_all_have_a_value(total):
    assert multiply_as_written(ZERO, total) is ZERO


def test_divide_as_written_asks_that_the_divisor_is_not_0():
    assert divide_as_written(ZERO, X) == subtract(power(X, -1), power(X, -1))
    assert divide_as_written(ZERO, N) is ZERO


def test_multiply_as_written_looks_into_what_is_computed():
    meanings = {X.tensor: apply(LOG, Y)}
    assert multiply_as_written(ZERO, X, lambda e: meanings.get(e.tensor)) == subtract(X, X)
    assert multiply_as_written(ZERO, Y, lambda e: meanings.get(e.tensor)) is ZERO


@pytest.mark.parametrize("field", [FLOAT, ball()])
def test_evaluate_finds_no_number_in_the_difference_of_what_is_none(field):
    """The same object on both sides was an exact 0, whatever it was: also inside a sum."""
    x, s = Tensor("x", (N,)), Tensor("s")
    value = contraction("i", N, lambda i: subtract(apply(LOG, Entry(x, (i,))), apply(LOG, Entry(x, (i,)))))
    program = Program((x,), (Equation(s, (), value),), (s,))
    assert str(evaluate(program, {"N": 2}, {"x": [-1.0, 2.0]}, field=field)["s"]) in ("nan", "no number")
    assert float(evaluate(program, {"N": 2}, {"x": [1.5, 2.0]}, field=field)["s"]) == 0


NET = sb.Network([3, 5, 4], activation="tanh", cost="squared_error")
RIGHT = "sum(j, W2[j,i]*delta3[n,j])*f_prime(z2[n,i])"


@pytest.mark.parametrize(
    "added", ["0*log(z2[n,i])", "0*sqrt(z2[n,i])", "log(-1)*0", "log(0)*0", "sum(k, 0*log(W2[k,i]))"]
)
def test_verify_does_not_prove_what_has_no_value(added):
    assert sb.verify(NET, "delta2[n,i]", f"{RIGHT} + {added}").status == "REFUTED"


def test_verify_tells_where_a_quotient_of_0_has_no_value():
    verdict = sb.verify(NET, "delta2[n,i]", f"{RIGHT} + 0/z2[n,i]")
    assert verdict.status == "PROVED"
    assert "z2[n,i] != 0" in verdict.conditions


@pytest.mark.parametrize("place", [0.0, 0.3])
def test_check_tells_where_a_quotient_of_0_has_no_value(place):
    with np.errstate(all="ignore"):
        assert np.isnan(0 / (np.array([place]) - place)).all()
    verdict = sb.check(lambda x: x**2, lambda dout, x: {"x": 2 * x * dout + 0 / (x - place)}, shapes={"x": ("N",)})
    assert verdict.status == "PROVED"
    assert verdict.conditions == ("x[n] != 3/10" if place else "x[n] != 0",)
