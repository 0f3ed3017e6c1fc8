"""Names for what a derivative adds up."""

import numpy as np

import symbackprop as sb
from symbackprop.calculus.lemmas import Replay, joined
from symbackprop.checking.partial_sums import MANY, with_partial_sums
from symbackprop.expression.build import Entry, Index, Symbol, Tensor, add, multiply
from symbackprop.expression.program import Equation, Program

N = Symbol("N", "size")
PLACE = Index("i", N)
PARTS = tuple(Tensor(f"c{k}", (N,)) for k in range(MANY))
BAR = Tensor("x_bar", (N,))


def program(terms):
    return Program(PARTS, (Equation(BAR, (PLACE,), add(*terms)),), (BAR,), ())


def test_with_partial_sums_names_them_from_the_last_user_on():
    terms = [Entry(t, (PLACE,)) for t in PARTS]
    *sums, whole = with_partial_sums(program(terms), ()).equations
    assert whole.value is add(*terms), "the derived equation stays"
    assert sums[0].value is add(terms[-1], terms[-2])
    assert sums[-1].value is add(Entry(sums[-2].tensor, (PLACE,)), terms[0])


def test_with_partial_sums_leaves_short_ones_and_the_forward_pass():
    terms = [multiply(Entry(t, (PLACE,)), Entry(t, (PLACE,))) for t in PARTS]
    assert len(with_partial_sums(program(terms[1:]), ()).equations) == 1
    assert len(with_partial_sums(program(terms), {BAR}).equations) == 1


def test_lemmas_about_partial_sums_are_replayed_with_what_the_verdict_has():
    depth = 12

    def forward(x, w):
        for _ in range(depth):
            x = np.tanh(x @ w)
        return x

    def backward(dout, x, w):
        values = [x]
        for _ in range(depth):
            values.append(np.tanh(values[-1] @ w))
        dw, d = np.zeros_like(w), dout
        for k in reversed(range(depth)):
            d = d * (1 - values[k + 1] ** 2)
            dw += values[k].T @ d
            d = d @ w.T
        return {"x": d, "w": dw}

    verdict = sb.check(forward, backward, shapes={"x": ("N", "D"), "w": ("D", "D")})
    assert verdict.status == "PROVED" and any("w_bar_sum" in m.text for m in verdict.lemmas)
    assert len(Replay(joined(verdict.program, verdict.claim), verdict.lemmas).lemmas) == len(verdict.lemmas)
