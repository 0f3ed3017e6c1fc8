"""The table of stable forms, each row beside what it replaces; lines of code in the user's names."""

import numpy as np
import pytest

from symbackprop.expression.build import (
    MINUS_ONE,
    ONE,
    Entry,
    Index,
    Power,
    Symbol,
    Tensor,
    add,
    apply,
    close_sum,
    fresh,
    multiply,
    negate,
    number,
    power,
    subtract,
)
from symbackprop.expression.functions import EXP, FUNCTIONS, LOG
from symbackprop.expression.program import Assumption, Equation
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.precision.line_code import line_of
from symbackprop.proofs.stable_forms import Context, stable
from symbackprop.rendering.text import to_text

N, C = Symbol("N", "size"), Symbol("C", "size")
n, c = Index("n", N), Index("c", C)
X, Y, P, S, Z = Tensor("x", (N,)), Tensor("y", (N, C)), Tensor("p", (N, C)), Tensor("s", (N,)), Tensor("z", (N, C))
x, y, p, s, z = Entry(X, (n,)), Entry(Y, (n, c)), Entry(P, (n, c)), Entry(S, (n,)), Entry(Z, (n, c))
SIGMOID = power(add(ONE, apply(EXP, negate(x))), MINUS_ONE)
KNOWN = Context({S: Equation(S, (n,), SIGMOID)}, {Y: Assumption("onehot", Y)})
PLAIN = Context({})
E = apply(EXP, x)

ROWS = [
    (subtract(ONE, SIGMOID), "1/(exp(x[n]) + 1)"),
    (subtract(SIGMOID, Entry(S, (n,))), "(1 - s[n])/(exp(-x[n]) + 1) - s[n]/(exp(x[n]) + 1)"),
    (multiply(E, power(add(ONE, E), -2)), "1/((exp(-x[n]) + 1)*(exp(x[n]) + 1))"),
    (subtract(E, ONE), "expm1(x[n])"),
    (apply(LOG, add(ONE, x)), "log1p(x[n])"),
    (apply(LOG, add(ONE, E)), "softplus(x[n])"),
    (subtract(ONE, power(x, 2)), "(1 - x[n])*(x[n] + 1)"),
    (multiply(E, apply(EXP, s)), "exp(x[n] + s[n])"),
    (multiply(E, power(apply(EXP, s), MINUS_ONE)), "exp(x[n] - s[n])"),
    (
        multiply(E, apply(EXP, s), power(add(E, apply(EXP, s)), number(-2))),
        "1/((exp(-(x[n] - s[n])) + 1)*(exp(-(s[n] - x[n])) + 1))",
    ),
    (subtract(power(x, 2), ONE), "(x[n] - 1)*(x[n] + 1)"),
    (multiply(power(x, 2), power(add(x, ONE), number(-2))), "(x[n]/(x[n] + 1))**2"),
]


@pytest.mark.parametrize(("before", "after"), ROWS)
def test_a_row_is_an_identity(before, after):
    found = stable(before, PLAIN)
    assert to_text(found) == after
    assert Canonical().equal(before, found)


def test_a_row_sees_through_a_tensor():
    assert to_text(stable(multiply(s, subtract(ONE, s)), KNOWN)) == "s[n]/(exp(x[n]) + 1)"
    assert stable(subtract(ONE, x), KNOWN) is subtract(ONE, x)


def test_the_label_is_not_subtracted():
    found = stable(subtract(p, y), KNOWN)
    equation = Equation(Tensor("d", (N, C)), (n, c), found)
    assert line_of(equation, {}) == "d = (1 - y) * p - y * ((1 - y) * p).sum(axis=-1, keepdims=True)"
    rng = np.random.default_rng(1)
    weights = rng.random((4, 3))
    values = {"p": weights / weights.sum(axis=1, keepdims=True), "y": np.eye(3)[[0, 2, 1, 1]]}
    code = line_of(equation, {}).removeprefix("d = ")
    assert np.allclose(eval(code, values), values["p"] - values["y"])


def lines():
    d = fresh("d", C)
    zd = Entry(Z, (n, d))
    mean = multiply(close_sum(d, zd), power(C, MINUS_ONE))
    yield (n,), close_sum(d, zd), "(z).sum(axis=-1)".replace("(z)", "z")
    yield (n, c), subtract(z, mean), "z - z.mean(axis=-1, keepdims=True)"
    yield (n, c), multiply(x, z), "x[:, None] * z"
    yield (n, c), multiply(negate(x), Power(z, MINUS_ONE)), "-x[:, None] / z"
    yield (n,), power(x, number(3)), "x**3"
    yield (n,), apply(FUNCTIONS["softplus"], x), "np.logaddexp(0, x)"


@pytest.mark.parametrize(("indices", "value", "code"), list(lines()))
def test_a_line_of_numpy(indices, value, code):
    t = Tensor("t", tuple(i.size for i in indices))
    assert line_of(Equation(t, indices, value), {}) == f"t = {code}"


def test_a_line_that_cannot_be_written():
    t = Tensor("t", (N,))
    assert line_of(Equation(t, (n,), Entry(Z, (n, number(0)))), {}) == ""
    assert line_of(Equation(t, (n,), x), {"x": "x.T"}) == ""
