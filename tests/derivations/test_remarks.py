"""What the gallery's remarks say, those written by hand in its claims too: each is true where it is printed.

The oracles know nothing of the engine: SymPy differentiates what the remark is about, NumPy runs it, derivatives are
central differences.
"""

from __future__ import annotations

import re
import runpy

import numpy as np
import pytest
import sympy as sp
from exhibits import NAMES, SOURCE, exhibit_of
from remark_checks import REMARKS, check_of

from symbackprop.expression.build import tensors_in

RNG = np.random.default_rng(4)
LAM, M, W, C = sp.symbols("lambda m w c", positive=True)


def slope(cost, array):
    """Central differences of a cost by each entry."""
    out = np.zeros_like(array, dtype=float)
    for place in np.ndindex(array.shape):
        ends = []
        for step in (1e-5, -1e-5):
            moved = array.astype(float).copy()
            moved[place] += step
            ends.append(cost(moved))
        out[place] = (ends[0] - ends[1]) / 2e-5
    return out


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# 01 and 02: the bias column.


def triple_sum(theta, rows):
    return sum(theta[j, i + 1] ** 2 for i in range(theta.shape[1] - 1) for j in range(rows))


def layer_in_both_forms():
    theta, a = RNG.normal(size=(3, 5)), RNG.normal(size=(2, 4))
    return np.allclose(np.hstack([np.ones((2, 1)), a]) @ theta.T, a @ theta[:, 1:].T + theta[:, 0])


def biases_are_left_out():
    theta = RNG.normal(size=(3, 5))
    found = slope(lambda t: triple_sum(t, 3), theta)
    return np.allclose(found[:, 0], 0) and np.allclose(found[:, 1:], 2 * theta[:, 1:], atol=1e-8)


def rows_are_left_out_or_missing():
    """Up to one more than this layer's width: of a wider next layer rows are left out, of a narrower one asked for."""
    wide, narrow = RNG.normal(size=(6, 4)), RNG.normal(size=(2, 4))
    with pytest.raises(IndexError):
        triple_sum(narrow, narrow.shape[1])
    return triple_sum(wide, wide.shape[1]) < triple_sum(wide, len(wide)) - 1e-6


def bracket_counts():
    h = 0.3
    return abs((np.log(1) - h) - np.log(1 - h)) > 0.01


def one_output_is_the_logistic_function():
    x, w, b = RNG.normal(size=(4, 3)), RNG.normal(size=3), 0.2
    return np.allclose(sigmoid(x @ w[None, :].T + np.array([b]))[:, 0], 1 / (1 + np.exp(-(x @ w + b))))


def every_entry_but_the_biases():
    theta = RNG.normal(size=(3, 5))
    squares = (theta**2).sum() - (theta[:, 0] ** 2).sum()
    return np.isclose(triple_sum(theta, 3), squares) and not np.isclose(squares, (theta**2).sum())


# 03 and 04: constants.


def same_family():
    return sp.simplify((M * LAM) / (2 * M) - LAM / 2) == 0


def differ_by_m():
    return sp.simplify((LAM / 2) / (LAM / (2 * M))) == M


def half_cancels():
    return sp.diff(LAM / 2 * W**2, W) == LAM * W and sp.diff(LAM / 2 * W**2, W) != LAM / 2 * W


def no_bias_in_the_penalty():
    """What the mean cost reads, besides the costs of the examples, is weights alone."""
    program = exhibit_of("04_gradient_of_a_mean").proofs[-1].program
    (cost,) = (e for e in program.equations if e.tensor.name == "J")
    return {t.name for t in tensors_in(cost.value)} == {"E", "W1", "W2"}


# 06: slips, beside central differences of a network of equal widths.


def network():
    x, y = RNG.normal(size=(3, 2)), RNG.normal(size=(3, 2))
    w2, b2, w3, b3 = RNG.normal(size=(2, 2)), RNG.normal(size=2), RNG.normal(size=(2, 2)), RNG.normal(size=2)
    z2 = x @ w2.T + b2

    def cost(z):
        return ((np.tanh(np.tanh(z) @ w3.T + b3) - y) ** 2).sum() / 2

    z3 = np.tanh(z2) @ w3.T + b3
    delta3 = (np.tanh(z3) - y) * (1 - np.tanh(z3) ** 2)
    return z2, w3, b3, z3, delta3, slope(cost, z2)


def each_sender_sends_its_own():
    z2, w3, b3, z3, _, _ = network()
    own = np.einsum("jk,nj->nj", w3, np.tanh(z2)) + b3
    return np.allclose(np.einsum("jk,nk->nj", w3, np.tanh(z2)) + b3, z3) and not np.allclose(own, z3)


def error_terms_by(slipped):
    z2, w3, _, _, delta3, right = network()
    slopes = 1 - np.tanh(z2) ** 2
    true = np.einsum("ji,nj->ni", w3, delta3) * slopes
    return np.allclose(true, right, atol=1e-7) and not np.allclose(slipped(w3, delta3, slopes), right, atol=1e-3)


def left_index_is_gone():
    """sum_j delta_nj W_jj f'(z_nj) has no index of the unit asked for, so it is the same for every unit."""
    return error_terms_by(lambda w, d, s: np.repeat(np.einsum("nj,jj,nj->n", d, w, s)[:, None], 2, axis=1))


def captured_index():
    return error_terms_by(lambda w, d, s: np.einsum("ji,nj,nj->ni", w, d, s))


def against_the_arrows():
    return error_terms_by(lambda w, d, s: np.einsum("ij,nj->ni", w, d) * s)


# 07: factors and order.

GRID = np.linspace(-2, 2, 401)


def factor_is_carried():
    t, f = sp.Symbol("t"), sp.Function("f")
    return sp.diff(C * f(t), t) == C * sp.diff(f(t), t)


def positive_factor_keeps_the_minimisers():
    costs = (GRID - 0.3) ** 2 + np.cos(3 * GRID)
    return all(np.argmin(c * costs) == np.argmin(costs) for c in (0.5, 0.2, 7.0))


def negative_factor_turns_minimisers_round():
    costs = (GRID - 0.3) ** 2
    better = costs[:, None] < costs
    return np.array_equal(-3 * costs[None, :] < -3 * costs[:, None], better) and np.argmin(costs) == np.argmax(
        -3 * costs
    )


def square_with_a_negative_factor():
    t = GRID
    return np.argmin(t**2) == np.argmax(-(t**2)) and ((1.0 < 4.0) != (-1.0 < -4.0))


# 08: densities.


def moments(density, spread):
    v = np.linspace(-60, 60, 240_001)
    p = density(v)
    h = v[1] - v[0]
    return abs(p.sum() * h - 1) < 1e-6 and abs(np.sqrt((v**2 * p).sum() * h) - spread) < 1e-4


def gaussian_spread_and_minimum():
    s, t, m = 0.7, 1.3, 5
    right = moments(lambda v: np.exp(-(v**2) / (2 * t**2)) / np.sqrt(2 * np.pi * t**2), t)
    x, y = RNG.normal(size=m), RNG.normal(size=m)
    posterior = [((y - w * x) ** 2).sum() / (2 * s**2) + w**2 / (2 * t**2) for w in GRID]
    cost = [((y - w * x) ** 2).sum() / (2 * m) + s**2 / (m * t**2) / 2 * w**2 for w in GRID]
    return right and np.argmin(posterior) == np.argmin(cost) and np.allclose(posterior, m / s**2 * np.array(cost))


def laplace_spread():
    t = 0.9
    return moments(lambda v: np.exp(-np.abs(v) / t) / (2 * t), np.sqrt(2) * t)


# 09: steps.


def slope_along_a_direction():
    theta, g, alpha = RNG.normal(size=3), RNG.normal(size=3), 0.4

    def cost(u):
        return np.sin(u).sum() + (u**2).prod()

    at = slope(cost, theta - alpha * g)
    along = slope(lambda a: cost(theta - a[0] * g), np.array([alpha]))[0]
    gradient = slope(cost, theta)
    first = slope(lambda a: cost(theta - a[0] * gradient), np.zeros(1))[0]
    return np.isclose(along, -(at * g).sum(), atol=1e-6) and np.isclose(first, -(gradient**2).sum(), atol=1e-6)


def second_order_is_left():
    theta = RNG.normal(size=3)

    def cost(u):
        return np.sin(u).sum() + (u**4).sum() / 4

    g = np.cos(theta) + theta**3
    rest = [cost(theta - a * g) - cost(theta) + a * (g**2).sum() for a in (1e-2, 1e-3)]
    return 80 < rest[0] / rest[1] < 125


def derivatives_are_those_of_10():
    """The arrays of 09 are claimed right by 10: the same activation, cost, mean and penalty, for every depth."""
    (proof,) = exhibit_of("10_any_depth").proofs
    net = proof.network
    same = (net.cost_name, net.reduction, str(net.l2)) == ("squared_error", "mean", str(exhibit_09().l2))
    return same and net.depth is not None and second_order_is_left()


def exhibit_09():
    module = runpy.run_path(str(SOURCE / "09_descent" / "claim.py"))
    return module["Network"](["s_1", "s_2", "K"], activation="f", cost="squared_error", l2="lambda/2")


def long_step_overshoots():
    t = 1.0
    return [((t - a * t) ** 2 / 2 < t**2 / 2) for a in (0.1, 1.0, 2.5)] == [True, True, False]


# 13 to 16: layers.


def upstream(name, seed=0):
    module = runpy.run_path(str(next(f for f in (SOURCE / name).glob("*.py") if f.name != "claim.py")))
    rng = np.random.default_rng(seed)
    x, out = rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    vectors = [rng.normal(size=5) for _ in range(2)]
    return module, x, out, vectors


def slope_cancels():
    z, y = sp.symbols("z y", real=True)
    p = 1 / (1 + sp.exp(-z))
    error = sp.diff(-y * sp.log(p) - (1 - y) * sp.log(1 - p), z)
    return all(abs(complex((error - (p - y)).subs({z: a, y: b}).evalf())) < 1e-12 for a in (-2, 0.3) for b in (0, 1))


def maximum_sends_nothing_back():
    z, labels = RNG.normal(size=(3, 4)), np.array([0, 2, 1])

    def cost(shift):
        s = z - shift[:, None]
        return (np.log(np.exp(s).sum(axis=1)) - s[np.arange(3), labels]).mean()

    return np.allclose(slope(cost, z.max(axis=1)), 0, atol=1e-9)


def variance_sends_nothing_to_the_mean():
    """var as a function of mu alone, x held fixed: flat at the mean."""
    x = RNG.normal(size=6)
    return np.allclose(slope(lambda mu: ((x - mu[0]) ** 2).mean(), np.array([x.mean()])), 0, atol=1e-9)


def shifts_and_scales_go():
    module, x, out, (gain, bias) = upstream("15_layernorm")
    dx = slope(lambda v: (module["forward"](v, gain, bias) * out).sum(), x)
    stretch = (dx * (x - x.mean(axis=1, keepdims=True))).sum(axis=1)
    return np.allclose(dx.sum(axis=1), 0, atol=1e-8) and np.allclose(stretch, 0, atol=1e-3) and np.abs(dx).max() > 0.05


def short_form_is_right():
    module, x, out, (gamma, beta) = upstream("16_batchnorm")
    dx = slope(lambda v: (module["forward"](v, gamma, beta) * out).sum(), x)
    return np.allclose(module["backward"](out, x, gamma, beta)["x"], dx, atol=1e-7)


HAND = {
    "01": (
        (r"This is all that changes from one form to the other", layer_in_both_forms),
        (r"The column read is one more than the summed index, so column 0 stays out", biases_are_left_out),
        (r"The limit is the width of the next layer", rows_are_left_out_or_missing),
        (r"As printed the brackets do not balance", bracket_counts),
    ),
    "02": (
        (r"Two layers and one output unit", one_output_is_the_logistic_function),
        (r"Every entry of every matrix once", every_entry_but_the_biases),
        (r"True of the weights, not of the biases", every_entry_but_the_biases),
    ),
    "03": ((r"\$\\lambda/2\$ is", same_family), (r"With the same \$\\lambda\$ the penalties differ", differ_by_m)),
    "04": (
        (r"The derivative of a square brings a 2", half_cancels),
        (r"No bias stands in the penalty", no_bias_in_the_penalty),
    ),
    "06": (
        (r"The summed index must stand at the activation too", each_sender_sends_its_own),
        (r"With the derivative by unit j instead of unit i", left_index_is_gone),
        (r"A captured index", captured_index),
        (r"Error terms travel against the arrows", against_the_arrows),
    ),
    "07": (
        (r"\$f\$ is any differentiable function", factor_is_carried),
        (r"The point \$a\$ is a minimiser if no \$b\$ is better", positive_factor_keeps_the_minimisers),
        (r"With a negative factor \$b\$ is the better one", negative_factor_turns_minimisers_round),
        (r"Here \$p\$ is 1 where", square_with_a_negative_factor),
    ),
    "08": (
        (r"Here \$s > 0\$ and \$t > 0\$ are the standard deviations", gaussian_spread_and_minimum),
        (r"The same with the sum of absolute values: the L1 penalty", laplace_spread),
        (r"\$L - C\$ and \$J\$ differ by the factor", gaussian_spread_and_minimum),
    ),
    "09": (
        (r"This holds for every size of the step", slope_along_a_direction),
        (r"That the arrays subtracted are the derivatives of the cost is proved in 10", derivatives_are_those_of_10),
        (r"Here the cost is \$t\^2/2\$", long_step_overshoots),
    ),
    "13": ((r"The slope of the sigmoid, \$p \(1 - p\)\$, has cancelled", slope_cancels),),
    "14": ((r"Nothing is left of the path through the maximum", maximum_sends_nothing_back),),
    "15": (
        (r"Deviations from a mean add up to zero", variance_sends_nothing_to_the_mean),
        (r"What arrives, less its mean over the row", shifts_and_scales_go),
    ),
    "16": ((r"This is the short form that is usually programmed", short_form_is_right),),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_remark_of_the_gallery_has_a_check_and_is_true(name):
    by_hand, said = HAND.get(name[:2], ()), list[str]()
    for theorem in (t for p in exhibit_of(name).proofs for t in p.theorems if t.remark):
        if any(re.match(pattern, theorem.remark) for pattern, _ in REMARKS):
            assert check_of(theorem.remark)(theorem), theorem.remark
        else:
            said.append(theorem.remark)
    said += [r.remark for r in exhibit_of(name).refutations if r.remark]
    for remark in said:
        (check,) = (c for pattern, c in by_hand if re.match(pattern, remark))
        assert check(), remark
    assert len(said) >= len(by_hand)  # no check is left of a sentence that has gone


def test_a_remark_that_nobody_checks_is_found():
    with pytest.raises(ValueError, match="not enough values"):
        check_of("Deeper networks always learn faster.")
