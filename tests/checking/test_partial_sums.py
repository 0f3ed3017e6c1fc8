"""Names for what a derivative adds up."""

import numpy as np

import symbackprop as sb
from symbackprop.calculus.lemmas import Replay, joined
from symbackprop.checking.partial_sums import MANY, with_inner_sums, with_partial_sums
from symbackprop.expression.build import (
    Compare,
    Entry,
    Index,
    Symbol,
    Tensor,
    add,
    contraction,
    multiply,
    number,
    where,
)
from symbackprop.expression.program import Equation, Program
from symbackprop.normal_form.cut_points import CutPoints
from symbackprop.normal_form.normal_form import Canonical

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


def test_a_difference_with_a_partial_sum_by_itself_is_not_looked_at(monkeypatch):
    looked = []

    def vanishes_everywhere(cuts, gap):
        looked.append(gap)
        return whole(cuts, gap)

    whole = CutPoints.vanishes_everywhere
    monkeypatch.setattr(CutPoints, "vanishes_everywhere", vanishes_everywhere)
    depth = 20

    def forward(x, w):
        return sum(np.tanh(k * x * w) for k in range(depth))

    def backward(dout, x, w):
        dw = np.zeros_like(w)
        for k in reversed(range(depth)):
            dw += k * (dout * x * (1 - np.tanh(k * x * w) ** 2)).sum(axis=0)
        return {"w": dw}

    verdict = sb.check(forward, backward, shapes={"x": ("N", "D"), "w": ("D",)})
    longest = max(len(m.opened) for m in verdict.lemmas)
    assert verdict.status == "PROVED" and longest > depth // 2
    assert len(looked) < 2 * longest, "and not once more for each sum, in each of two lemmas"


def test_with_inner_sums_names_what_a_mask_or_a_slope_is_put_on():
    matrix, d, z = Tensor("W", (N, N)), Tensor("d", (N,)), Tensor("z", (N,))
    mask = Compare("<", number(0), Entry(z, (PLACE,)))
    product = lambda j: multiply(Entry(matrix, (PLACE, j)), Entry(d, (j,)))  # noqa: E731
    plain = contraction("j", N, product)
    masked = contraction("j", N, lambda j: where(mask, product(j), number(0)))
    for value in (masked, where(mask, plain, number(0)), multiply(Entry(z, (PLACE,)), plain)):
        inputs = (matrix, d, z)
        inner, whole = with_inner_sums(Program(inputs, (Equation(BAR, (PLACE,), value),), (BAR,), ()), ()).equations
        assert whole.value is value and Canonical().equal(inner.value, plain)
    inside = contraction("j", N, lambda j: where(Compare("<", number(0), Entry(z, (j,))), product(j), number(0)))
    for value in (plain, inside, Entry(z, (PLACE,))):
        assert len(with_inner_sums(Program(inputs, (Equation(BAR, (PLACE,), value),), (BAR,), ()), ()).equations) == 1


def test_error_terms_first_and_activations_without_names():
    """All error terms, not yet divided by the batch, then the gradients: the masks stand inside of other lines."""
    depth = 6

    def run(x, p):
        z, a = [], [x]
        for k in range(depth):
            z.append(a[-1] @ p[f"W{k}"])
            a.append(np.maximum(z[-1], 0) if k < depth - 1 else z[-1])
        return z, a

    def forward(x, y, **p):
        return 0.5 * ((run(x, p)[1][-1] - y) ** 2).sum(axis=1).mean()

    def backward(x, y, **p):
        z, a = run(x, p)
        delta = {depth - 1: a[-1] - y}
        for k in range(depth - 2, -1, -1):
            delta[k] = (delta[k + 1] @ p[f"W{k + 1}"].T) * (z[k] > 0)
        g = {f"W{k}": a[k].T @ delta[k] / len(x) for k in range(depth)}
        return {**g, "x": delta[0] @ p["W0"].T / len(x), "y": -delta[depth - 1] / len(x)}

    shapes = {"x": ("N", "D"), "y": ("N", "D"), **{f"W{k}": ("D", "D") for k in range(depth)}}
    verdict = sb.check(forward, backward, shapes=shapes, seconds=300)
    assert verdict.status == "PROVED" and verdict.scope == "all sizes", str(verdict)


def test_what_a_condition_guards_is_no_sum_by_itself():
    longer, count = Symbol("M", "size"), Symbol("B", "size")
    short, place = Tensor("d", (count, N)), Index("m", longer)
    read = contraction("b", count, lambda b: where(Compare("<", place, N), Entry(short, (b, place)), number(0)))
    line = Equation(Tensor("w_bar", (longer,)), (place,), read)
    derived = Program((short,), (line,), (line.tensor,), ())
    assert with_inner_sums(derived, ()).equations == (line,), "beyond N there is no d"
