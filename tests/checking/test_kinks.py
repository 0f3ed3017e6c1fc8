"""Slopes at kinks, where layers without a bias stay at 0 on an open set; other ways to write masks."""

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking.kinks import conventions, conventions_elsewhere, oriented
from symbackprop.expression.build import ONE, ZERO, Compare, Entry, Index, Symbol, Tensor, multiply, negate, where
from symbackprop.expression.program import Equation, Program
from symbackprop.rendering.text import to_text

N = Symbol("N", "size")
Z, H, M = (Tensor(name, (N,)) for name in "zhm")
PLACE = Index("i", N)
VALUE = Entry(Z, (PLACE,))


def program(value):
    return Program((Z, M), (Equation(H, (PLACE,), value),), (H,), ())


def stack(act, mask, depth=3, bias=False):
    """A net whose layers have no bias: where a layer is dead, everything behind it is 0."""

    def run(x, p):
        zs, values = [], [x]
        for k in range(depth):
            zs.append(values[-1] @ p[f"W{k}"] + (p[f"b{k}"] if bias else 0))
            values.append(act(zs[-1]))
        return zs, values

    def forward(x, **p):
        return run(x, p)[1][-1]

    def backward(dout, x, **p):
        zs, values = run(x, p)
        g, d = {}, dout
        for k in reversed(range(depth)):
            d = mask(zs[k], values[k + 1], d)
            g[f"W{k}"] = values[k].T @ d
            if bias:
                g[f"b{k}"] = d.sum(axis=0)
            d = d @ p[f"W{k}"].T
        g["x"] = d
        return g

    shapes = {"x": ("N", "D"), **{f"W{k}": ("D", "D") for k in range(depth)}}
    return forward, backward, shapes | ({f"b{k}": ("D",) for k in range(depth)} if bias else {})


def relu(z):
    return np.maximum(z, 0)


WITHOUT_BIAS = {
    "output": (relu, lambda z, a, d: d * (a > 0)),
    "input": (relu, lambda z, a, d: d * (z > 0)),
    "closed": (relu, lambda z, a, d: d * (z >= 0)),
    "leaky": (lambda z: np.where(z > 0, z, 0.1 * z), lambda z, a, d: d * np.where(z >= 0, 1, 0.1)),
    "abs": (np.abs, lambda z, a, d: d * np.sign(z)),
    "one side": (np.abs, lambda z, a, d: d * np.where(z > 0, 1, -1)),
}
WITH_BIAS = {
    "ceil": (relu, lambda z, a, d: d * np.ceil(np.minimum(a, 1))),
    "clipped": (relu, lambda z, a, d: d * np.ceil(np.clip(a, 0, 1))),
    "root": (relu, lambda z, a, d: d * (np.sqrt(a * a) > 0)),
    "ratio": (relu, lambda z, a, d: d * (a / np.where(a > 0, a, 1))),
}


@pytest.mark.parametrize("act, mask", WITHOUT_BIAS.values(), ids=list(WITHOUT_BIAS))
def test_net_without_biases_is_proved(act, mask):
    forward, backward, shapes = stack(act, mask)
    assert sb.check(forward, backward, shapes=shapes).status == "PROVED"


def test_slope_of_the_claim_is_a_condition():
    forward, backward, shapes = stack(*WITHOUT_BIAS["output"])
    assert "no argument of a branch is exactly at its kink" in sb.check(forward, backward, shapes=shapes).conditions


@pytest.mark.parametrize("act, mask", WITH_BIAS.values(), ids=list(WITH_BIAS))
def test_masks_of_other_forms_are_proved(act, mask):
    forward, backward, shapes = stack(act, mask, bias=True)
    assert sb.check(forward, backward, shapes=shapes).status == "PROVED"


@pytest.mark.parametrize(
    "mask",
    [lambda z, a, d: d * np.ceil(np.minimum(a, 2) / 2 + 0.5), lambda z, a, d: d * np.floor(np.minimum(a, 1))],
    ids=["half too high", "floor"],
)
@pytest.mark.usefixtures("no_diagnosis")
def test_wrong_mask_is_refuted(mask):
    forward, backward, shapes = stack(relu, mask, bias=True)
    assert sb.check(forward, backward, shapes=shapes).status == "REFUTED"


@pytest.mark.parametrize(
    "mask, side",
    [
        (Compare("<", ZERO, VALUE), "below"),
        (Compare("<=", ZERO, VALUE), "above"),
        (Compare("<", VALUE, ZERO), "above"),
        (Compare("<=", VALUE, ZERO), "below"),
        (where(Compare("<", ZERO, VALUE), ONE, where(Compare("<", VALUE, ZERO), negate(ONE), ZERO)), "mean"),
    ],
)
def test_conventions_tells_the_side_of_a_mask(mask, side):
    assert conventions(program(mask)) == (side,)


def test_conventions_says_nothing_of_branches_that_meet():
    assert conventions(program(where(Compare("<", VALUE, ZERO), ZERO, VALUE))) == ()


def test_oriented_turns_branches_that_meet():
    relu_of_z = where(Compare("<", VALUE, ZERO), ZERO, VALUE)
    turned = oriented(program(relu_of_z), "below").equations[0].value
    assert to_text(turned) == "where(0 < z[i], z[i], 0)"
    assert oriented(program(relu_of_z), "above").equations[0].value is relu_of_z


@pytest.mark.parametrize("then", [ONE, Entry(M, (PLACE,))], ids=["a step", "another tensor"])
def test_oriented_leaves_branches_that_do_not_meet(then):
    value = where(Compare("<", VALUE, ZERO), then, VALUE)
    assert oriented(program(value), "below").equations[0].value is value


SMOOTH = {
    "both sides": (
        lambda x: np.maximum(x, 0) - np.maximum(-x, 0),
        lambda d, x: d * ((x > 0) * 1.0 + (x < 0)),
        lambda d, x: d * ((x >= 0) * 1.0 + (x < 0)),
    ),
    "square": (
        lambda x: np.maximum(x, 0) ** 2,
        lambda d, x: 2 * d * np.maximum(x, 0) + d * (x == 0),
        lambda d, x: 2 * d * x * (x >= 0),
    ),
    "times itself": (
        lambda x: x * np.abs(x),
        lambda d, x: 2 * d * np.abs(x) + d * (x == 0),
        lambda d, x: 2 * d * x * np.sign(x),
    ),
}


@pytest.mark.parametrize("forward, wrong, right", SMOOTH.values(), ids=list(SMOOTH))
def test_check_refutes_at_a_kink_where_the_forward_is_smooth(forward, wrong, right):
    statuses = [
        sb.check(forward, lambda dout, x, f=f: {"x": f(dout, x)}, shapes={"x": ("N",)}).status for f in (wrong, right)
    ]
    assert statuses == ["REFUTED", "PROVED"]


def test_slope_at_a_kink_stays_a_convention():
    verdict = sb.check(
        lambda x: np.clip(x, 0, 1), lambda dout, x: {"x": dout * ((x > 0) & (x < 1))}, shapes={"x": ("N",)}
    )
    assert verdict.status == "PROVED"


def test_jump_is_no_slope():
    verdict = sb.check(
        lambda x: np.where(x == 0.5, 0.0, x), lambda dout, x: {"x": dout * (x != 0.5)}, shapes={"x": ("N",)}
    )
    assert verdict.status == "PROVED"


def test_entries_that_are_always_equal_are_one_largest():
    """x*x.T is symmetric: off the diagonal its largest entry stands at two places, and is counted once."""

    def forward(x):
        return (x * x.T).max()

    def twice(dout, x):
        s = x * x.T
        return {"x": 2 * dout * (s == s.max()) * x.T}

    def once(dout, x):
        s = x * x.T
        return {"x": 2 * dout * (s == s.max()) * x.T / (s == s.max()).sum()}

    assert sb.check(forward, twice, shapes={"x": ("N", "N")}).status == "REFUTED"
    assert sb.check(forward, once, shapes={"x": ("N", "N")}).status == "PROVED"


def test_what_counts_as_a_constant_is_compared_with_no_slope():
    torch = pytest.importorskip("torch")

    def forward(x, y):
        return y.detach() * y + torch.relu(x) - torch.relu(-x)

    verdict = sb.check(forward, lambda dout, x, y: (dout, dout * y), shapes={"x": ("N",), "y": ("N",)})
    assert verdict.for_all_sizes


def test_a_mask_at_the_margin_of_a_hinge_has_its_own_convention():
    def forward(a, b):
        gap = ((np.tanh(a) - np.tanh(b)) ** 2).sum(1)
        return np.maximum(1 - gap, 0).sum()

    def backward(a, b):
        p, q = np.tanh(a), np.tanh(b)
        inside = ((p - q) ** 2).sum(1) < 1
        d = -2 * inside[:, None] * (p - q)
        return {"a": d * (1 - p * p), "b": -d * (1 - q * q)}

    assert sb.check(forward, backward, shapes={"a": ("N", "D"), "b": ("N", "D")}).status == "PROVED"


def test_conventions_elsewhere_says_which_side_counts_at_each_threshold():
    masks = multiply(where(Compare("<", VALUE, ONE), ONE, ZERO), where(Compare("<=", negate(ONE), VALUE), ONE, ZERO))
    assert conventions_elsewhere(program(masks)) == {1: "above", -1: "above"}


@pytest.mark.parametrize(("factor", "status"), [(1, "PROVED"), (4, "REFUTED")])
def test_an_axis_of_a_known_length_that_nothing_depends_on_has_one_largest_entry(factor, status):
    def forward(x):
        return np.max(np.ones((x.shape[0], 4)) * x[:, None], axis=1)

    assert sb.check(forward, lambda dout, x: {"x": factor * dout}, shapes={"x": ("N",)}).status == status
