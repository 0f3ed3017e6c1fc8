"""Stable lines that the rows and the quotients find, each proved and searched; those that are no form of the same."""

import numpy as np
import pytest
from thinning import EVERYTHING

import symbackprop as sb
from symbackprop.expression.build import Symbol, add, apply, multiply, number, power
from symbackprop.expression.functions import EXP
from symbackprop.normal_form.normal_form import Canonical
from symbackprop.precision.line_code import line_of
from symbackprop.proofs.stable_quotients import quotients
from symbackprop.rendering.text import to_text

X, AB = {"x": ("N",)}, {"a": ("N",), "b": ("N",)}
ROWS = {"z": ("N", "C")}
a, b = Symbol("a"), Symbol("b")
E = apply(EXP, a)


def asinh(x):
    return np.arcsinh(x)


def asinh_slope(dout, x):
    r = np.sqrt(x**2 + 1)
    return {"x": dout * (1 + x / r) / (x + r)}


def mish(x):
    return x * np.tanh(np.logaddexp(0, x))


def mish_slope(dout, x):
    e = np.exp(x)
    w = 4 * (x + 1) + 4 * e * e + e * e * e + e * (4 * x + 6)
    d = 2 * e + e * e + 2
    return {"x": dout * e * w / (d * d)}


def elu(x):
    return np.where(x > 0, x, 1.5 * np.expm1(np.minimum(x, 0)))


def elu_slope(dout, x):
    out = np.where(x > 0, x, 1.5 * (np.exp(x) - 1))
    return {"x": dout * np.where(x > 0, 1.0, out + 1.5)}


def logaddexp(a, b):
    return np.logaddexp(a, b)


def logaddexp_slopes(dout, a, b):
    ea, eb = np.exp(a), np.exp(b)
    return {"a": dout * ea / (ea + eb), "b": dout * eb / (ea + eb)}


def angle(x, y):
    return np.arctan(y / x)


def angle_slope(dout, x, y):
    t = y / x
    g = dout / (1 + t**2)
    return {"x": -g * y / x**2}


def hypot(a, b):
    return np.hypot(a, b)


def hypot_slopes(dout, a, b):
    r = np.sqrt(a**2 + b**2)
    return {"a": dout * a / r, "b": dout * b / r}


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def log_softmax(z):
    s = z - z.max(axis=1, keepdims=True)
    return s - np.log(np.exp(s).sum(axis=1, keepdims=True))


def log_softmax_slope(dout, z):
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return {"z": dout - p * dout.sum(axis=1, keepdims=True)}


def entropy(z):
    s = log_softmax(z)
    return -(np.exp(s) * s).sum(axis=1)


def entropy_slope(dout, z):
    p = softmax(z)
    h = -(p * np.log(p)).sum(axis=1, keepdims=True)
    return {"z": -dout[:, None] * p * (np.log(p) + h)}


def norms(z):
    return np.sqrt((z**2).sum(axis=1))


def norms_slope(dout, z):
    n = np.sqrt((z**2).sum(axis=1))
    return {"z": dout[:, None] * z / n[:, None]}


def shares(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def shares_in_place(dout, z):
    p = np.exp(z)
    p /= p.sum(axis=1, keepdims=True)
    g = dout - (dout * p).sum(axis=1, keepdims=True)
    g *= p
    return {"z": g}


def harmonic(a, b):
    return 2 * a * b / (a + b)


def harmonic_slope(dout, a, b):
    return {"a": 2 * dout * b**2 / (a + b) ** 2}


def bin_of_logistic(x):
    return np.logaddexp(0, x + 0.5) - np.logaddexp(0, x - 0.5)


def bin_slope(dout, x):
    return {"x": dout * (1 / (1 + np.exp(-x - 0.5)) - 1 / (1 + np.exp(0.5 - x)))}


def log_total(z):
    return np.log(np.exp(z).sum(axis=1))


def log_total_slope(dout, z):
    return {"z": dout[:, None] * softmax(z)}


def spread(z):
    m = z.mean(axis=1, keepdims=True)
    return np.log(((z - m) ** 2).sum(axis=1) + 1e-3)


def spread_slope(dout, z):
    m = z.mean(axis=1)
    v = (z**2).sum(axis=1) - z.shape[1] * m**2 + 1e-3
    return {"z": (2 * dout / v)[:, None] * (z - m[:, None])}


def causal(s):
    e = np.exp(s) * np.tril(np.ones((len(s), len(s))))
    return e / e.sum(axis=1, keepdims=True)


def causal_slope(dout, s):
    e = np.exp(s) * np.tril(np.ones((len(s), len(s))))
    p = e / e.sum(axis=1, keepdims=True)
    ds = p * (dout - (dout * p).sum(axis=1, keepdims=True))
    return {"s": ds}


def padded(x, mask):
    e = np.where(mask > 0, np.exp(x), 0.0)
    return e / e.sum(axis=1, keepdims=True)


def padded_slope(dout, x, mask):
    e = np.where(mask > 0, np.exp(x), 0.0)
    p = e / e.sum(axis=1, keepdims=True)
    dx = p * (dout - (dout * p).sum(axis=1, keepdims=True))
    return {"x": dx}


def cost_of_labels(z, labels):
    e = np.exp(z)
    p = e / e.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(z)), labels]).mean()


def slope_of_labels(z, labels):
    e = np.exp(z)
    p = e / e.sum(axis=1, keepdims=True)
    p[np.arange(len(z)), labels] -= 1
    return {"z": p / len(z)}


def cost_of_scores(z, y):
    e = np.exp(z)
    return np.log(e.sum(axis=1)).sum() - z[np.arange(len(z)), y].sum()


def slope_of_scores(z, y):
    e = np.exp(z)
    p = e / e.sum(axis=1, keepdims=True)
    p[np.arange(len(z)), y] -= 1
    return {"z": p}


def contrast(s):
    e = np.exp(s)
    return -np.log(np.diagonal(e) / e.sum(axis=1)).sum()


def contrast_slope(s):
    e = np.exp(s)
    p = e / e.sum(axis=1, keepdims=True)
    return {"s": p - np.eye(len(s))}


def log_of_all(z):
    return np.log(np.exp(z).sum())


def slope_of_all(z):
    e = np.exp(z)
    return {"z": e / e.sum()}


def preference(a, b):
    return -np.sum(np.log(np.exp(a) / (np.exp(a) + np.exp(b))))


def preference_slopes(a, b):
    p = np.exp(a) / (np.exp(a) + np.exp(b))
    return p - 1, 1 - p


def cosine(a, b):
    return np.sum(a / np.sqrt(a**2 + b**2))


def cosine_slopes(a, b):
    n = np.sqrt(a**2 + b**2)
    return b**2 / n**3, -a * b / n**3


POS = {"assume": {"a": "pos", "b": "pos"}}


def student(x):
    return 2.5 * np.log(1 + x**2 / 4)


def student_slope(dout, x):
    return {"x": dout * 5 * x / (4 + x**2)}


def charbonnier(x):
    return np.sqrt(x * x + 1)


def charbonnier_slope(dout, x):
    return {"x": dout * x / np.sqrt(x * x + 1)}


def bearing(x, y):
    return np.arctan(y / x)


def bearing_slopes(dout, x, y):
    r = x**2 + y**2
    return {"x": -dout * y / r, "y": dout * x / r}


FAR = {"ranges": {"x": (-1e200, 1e200)}}
CURED = [
    (student, student_slope, X, FAR, "x / np.hypot(x, 2) / np.hypot(x, 2)"),
    (charbonnier, charbonnier_slope, X, FAR, "x / np.hypot(x, 1)"),
    (
        bearing,
        bearing_slopes,
        {"x": ("N",), "y": ("N",)},
        {"assume": {"x": "pos"}, "ranges": {"x": (1e-200, 1e4)}},
        "np.hypot(x, y) / np.hypot(x, y)",
    ),
    (norms, norms_slope, ROWS, {}, "n = np.abs(z).max(axis=-1) * np.sqrt("),
    (shares, shares_in_place, ROWS, {}, "g = p * (p[:, None, :] *"),
    (harmonic, harmonic_slope, AB, POS, "(b / (a + b))**2"),
    (bin_of_logistic, bin_slope, X, {}, "np.expm1(-1)"),
    (log_total, log_total_slope, ROWS, {}, "return np.logaddexp.reduce(z, axis=-1)"),
    (spread, spread_slope, ROWS, {}, "((z - m[:, None])**2).sum(axis=-1)"),
    (asinh, asinh_slope, X, {}, "dx = dout / r"),
    (elu, elu_slope, X, {}, "dx = dout * np.where(x > 0, 1, 1.5 * np.exp(x))"),
    (logaddexp, logaddexp_slopes, AB, {}, "da = dout / (1 + np.exp(-(a - b)))\ndb = dout / (1 + np.exp(-(b - a)))"),
    (mish, mish_slope, X, {}, "np.where(x > 0, "),
    (angle, angle_slope, {"x": ("N",), "y": ("N",)}, {"ranges": {"x": (1e-200, 1e4), "y": (1, 1e4)}}, "y**2 + x**2"),
    (hypot, hypot_slopes, AB, {}, "r = np.hypot(a, b)"),
    (preference, preference_slopes, AB, {}, "1 / (1 + np.exp("),  # of p, or of both values that are returned
    (cosine, cosine_slopes, AB, {}, "return b**2 / n / n / n, -a * b / n / n / n"),
    (log_softmax, log_softmax_slope, ROWS, {}, "np.exp(z - z.max(axis=-1, keepdims=True))"),
    (entropy, entropy_slope, ROWS, {}, "p[:, None, :]"),
    (causal, causal_slope, {"s": ("T", "T")}, {}, "s.min(axis=-1, keepdims=True)).max(axis=-1, keepdims=True)"),
    (
        padded,
        padded_slope,
        {"x": ("N", "C"), "mask": ("N", "C")},
        {"assume": {"mask": "bern"}},
        "np.where(mask > 0, x, ",
    ),
    (
        cost_of_labels,
        slope_of_labels,
        {"z": ("N", "C"), "labels": ("N",)},
        {"assume": {"labels": "labels:C"}},
        "p = np.where(np.arange(p.shape[1]) == labels[:, None], -np.where(",
    ),
    (
        cost_of_scores,
        slope_of_scores,
        {"z": ("N", "C"), "y": ("N",)},
        {"assume": {"y": "labels:C"}},
        "p = np.where(np.arange(p.shape[1]) == y[:, None], -np.where(",
    ),
    (contrast, contrast_slope, {"s": ("T", "T")}, {}, "0, p).sum(axis=-1, keepdims=True), p)"),
    (log_of_all, slope_of_all, ROWS, {}, "e = np.exp(z - z.max(axis=-1, keepdims=True).max(axis=-2, keepdims=True))"),
]
SAMPLE = (student, cosine, asinh, norms, harmonic, log_total, cost_of_scores, contrast)


@pytest.mark.parametrize(("forward", "backward", "shapes", "options", "line"), [
    pytest.param(*case, id=case[0].__name__, marks=[] if case[0] in SAMPLE or EVERYTHING else pytest.mark.skip(
        reason="runs with SYMBACKPROP_EVERYTHING=1"))
    for case in CURED
])  # fmt: skip
def test_a_stable_line_is_found(forward, backward, shapes, options, line):
    found = sb.check(forward, backward, shapes=shapes, precision=True, **options).precision
    assert found.safe is False
    assert line in (found.stable or ""), found.text


def test_a_line_that_fails_elsewhere_is_no_cure():
    """Rows of y that are tiny are no trouble for norms by the largest entry; rows of x would still be for x**2."""

    def forward(x, y):
        a, b = np.sqrt((x**2).sum(axis=1)), np.sqrt((y**2).sum(axis=1))
        return (x * y).sum(axis=1) / (a * b)

    def backward(dout, x, y):
        a, b = np.sqrt((x**2).sum(axis=1)), np.sqrt((y**2).sum(axis=1))
        c = (x * y).sum(axis=1) / (a * b)
        return {"x": dout[:, None] * (y / (a * b)[:, None] - c[:, None] * x / (a**2)[:, None])}

    found = sb.check(forward, backward, shapes={"x": ("N", "D"), "y": ("N", "D")}, precision=True).precision
    assert found.safe is False
    assert "(x**2).sum" not in (found.stable or "")


FORMULAS = [
    (add(power(a, 2), multiply(number(-2), a, b), power(b, 2)), "(a - b)**2"),
    (multiply(add(number(1), multiply(a, power(b, -1))), power(add(a, b), -1)), "1/b"),
    (multiply(E, power(add(E, number(2)), -2)), "where(0 < a, exp(-a)/(2*exp(-a) + 1)**2, exp(a)/(exp(a) + 2)**2)"),
]


@pytest.mark.parametrize(("before", "after"), FORMULAS)
def test_a_quotient_is_the_same_function(before, after):
    found = list(quotients(before))
    assert after in map(to_text, found)
    assert all(Canonical().equal(before, q) for q in found if "where" not in to_text(q))


def test_a_length_is_that_of_an_array_that_is_there():
    from symbackprop.expression.build import Entry, Index, Tensor, close_sum, fresh
    from symbackprop.expression.program import Equation

    size = Symbol("N", "size")
    n, i, x = Index("n", size), fresh("i", size), Tensor("x", (size,))
    value = add(Entry(x, (n,)), multiply(number(-1), close_sum(i, Entry(x, (i,))), power(size, -2)))
    assert line_of(Equation(Tensor("c", (size,)), (n,), value), {}) == (
        "c = x - x.sum(axis=-1, keepdims=True) / x.shape[0]**2"
    )


def test_a_smaller_witness_is_still_what_is_assumed():
    """Where an axis of classes is made shorter, the class of a label must be left."""

    def forward(z, y):
        return -(y * np.log(softmax(z))).sum(axis=1)

    def backward(dout, z, y):
        p = softmax(z)
        dp = -dout[:, None] * y / p
        return {"z": p * (dp - (dp * p).sum(axis=1, keepdims=True))}

    shapes, assume = {"z": ("N", "C"), "y": ("N", "C")}, {"y": "onehot"}
    found = sb.check(forward, backward, shapes=shapes, assume=assume, precision=True).precision
    assert found.safe is False
    assert (found.witness["y"].sum(axis=1) == 1).all()


def test_what_hides_a_nan():
    def forward(x):
        return 1 / (1 + np.exp(-x))

    def hidden(dout, x):
        e = np.exp(x)
        return {"x": dout * np.nan_to_num(e / (1 + e) ** 2)}

    def clipped(dout, x):
        e = np.exp(np.clip(x, -500, 500))
        return {"x": dout * e / (1 + e) ** 2}

    def root(x):
        return np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), 0.0)

    verdict = sb.check(forward, hidden, shapes=X, precision=True)
    assert (verdict.status, verdict.precision.safe) == ("UNDECIDED", None)
    assert "np.nan_to_num" in verdict.reason
    assert sb.check(forward, clipped, shapes=X, precision=True).status == "REFUTED"
    chosen = sb.check(root, lambda dout, x: {"x": np.where(x > 0, dout * 0.5 / np.sqrt(x), 0.0)}, shapes=X,
                      precision=True)  # fmt: skip
    assert chosen.precision.safe is True
