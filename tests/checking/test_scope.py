"""What a PROVED says it is about: the sizes, and the gradients that were returned."""

from __future__ import annotations

import numpy as np
import pytest

import symbackprop as sb

OPEN = {"x": ("N", "D"), "w": ("D", "M"), "b": ("M",)}


def forward(x, w, b):
    return x @ w + b


def backward(dout, x, w, b):
    return {"x": dout @ w.T, "w": x.T @ dout, "b": dout.sum(axis=0)}


def without_bias(dout, x, w, b):
    return {"x": dout @ w.T, "w": x.T @ dout}


@pytest.mark.parametrize(
    "shapes, scope",
    [
        (OPEN, "all sizes"),
        ({"x": (2, 3), "w": (3, 4), "b": (4,)}, "the sizes given"),
        ({"x": ("N", 3), "w": (3, "M"), "b": ("M",)}, "all sizes of N, M, the others as given"),
    ],
)
def test_scope_says_which_sizes(shapes, scope):
    verdict = sb.check(forward, backward, shapes=shapes)
    assert (verdict.status, verdict.scope, verdict.for_all_sizes) == ("PROVED", scope, True)
    sb.assert_proved(forward, backward, shapes=shapes)


def test_a_gradient_that_was_not_returned_stands_in_the_second_line():
    verdict = sb.check(forward, without_bias, shapes=OPEN)
    assert str(verdict).splitlines() == [
        "PROVED  gradients of forward: x, w   (all sizes)",
        "  unjudged   no gradient was returned of b",
    ]
    assert verdict.to_dict()["unjudged"] == ["b"]


def test_complete_refuses_a_gradient_that_was_not_returned():
    verdict = sb.check(forward, without_bias, shapes=OPEN, complete=True)
    assert (verdict.status, verdict.unjudged) == ("MALFORMED", ("b",))
    assert verdict.reason == "no gradient was returned of b; what was returned is proved"
    with pytest.raises(AssertionError, match=r"no gradient was returned of b(.|\n)*complete=False"):
        sb.assert_proved(forward, without_bias, shapes=OPEN)
    sb.assert_proved(forward, without_bias, shapes=OPEN, complete=False)


def test_complete_does_not_ask_for_the_gradient_of_data():
    def cost(x, y):
        return ((x - y) ** 2).sum() / 2

    def gradient(x, y):
        return {"x": x - y}

    sb.assert_proved(cost, gradient, shapes={"x": ("N", "K"), "y": ("N", "K")}, assume={"y": "onehot"})


def test_complete_leaves_a_refuted_verdict_alone():
    verdict = sb.check(forward, lambda dout, x, w, b: {"w": 2 * x.T @ dout}, shapes=OPEN, complete=True)
    assert verdict.status == "REFUTED"


def like(gradient, shape):
    """As autograd engines sum over what was broadcast."""
    while gradient.ndim > len(shape):
        gradient = gradient.sum(axis=0)
    for axis, size in enumerate(shape):
        if size == 1:
            gradient = gradient.sum(axis=axis, keepdims=True)
    return gradient


def shifted(x, b):
    return np.tanh(x + b)


def pulled(factor):
    def backward(dout, x, b):
        slope = dout * (1 - np.tanh(x + b) ** 2)
        return {"x": like(slope, x.shape) * (factor if x.shape[0] == 1 else 1), "b": like(slope, b.shape)}

    return backward


def test_code_that_asks_whether_a_size_is_one_is_proved_for_all_sizes():
    verdict = sb.check(shifted, pulled(1), shapes={"x": ("N", "D"), "b": ("D",)})
    assert verdict.for_all_sizes
    assert "N = 1, of which the code asks, has a proof of its own" in verdict.notes


def test_what_is_wrong_where_a_size_is_one_is_refuted():
    verdict = sb.check(shifted, pulled(2), shapes={"x": ("N", "D"), "b": ("D",)})
    assert (verdict.status, tuple(verdict.wrong)) == ("REFUTED", ("x",))
    assert verdict.counterexample.inputs["x"].shape[0] == 1


def test_sizes_that_the_forward_asserts_to_be_divisible_are_the_domain():
    def forward(x, groups=3):
        assert x.shape[1] % groups == 0
        return (x.reshape(len(x), groups, -1) ** 2).sum(-1)

    def backward(dout, x, groups=3):
        return {"x": (2 * dout[:, :, None] * x.reshape(len(x), groups, -1)).reshape(x.shape)}

    verdict = sb.check(forward, backward, shapes={"x": ("N", "D")})
    assert verdict.for_all_sizes
    assert "of sizes with D%3 == 0: at others the forward raises AssertionError" in verdict.notes


def picked(places):
    def forward(x, y):
        rows, columns = places(x.shape[0], y)
        return -np.sum(x[rows, columns])

    def backward(x, y):
        rows, columns = places(x.shape[0], y)
        dx = np.zeros_like(x)
        dx[rows, columns] -= 1
        return {"x": dx}

    return forward, backward


def of_lists(n, y):
    return list(range(n)), list(y)


def of_comprehensions(n, y):
    return [k for k in range(n)], y.tolist()


def changed_later(n, y):
    columns = list(y)
    y = 0 * y
    return range(n), columns


@pytest.mark.parametrize("places", [of_lists, of_comprehensions, changed_later])
def test_lists_as_long_as_an_axis_are_subscripts(places):
    verdict = sb.check(*picked(places), shapes={"x": ("N", "C"), "y": ("N",)}, assume={"y": "labels:C"})
    assert verdict.for_all_sizes, str(verdict)


def test_a_list_of_rows_sees_what_is_written_into_them_later():
    def forward(x):
        held = 1.0 * x
        rows = list(held)
        held *= 3.0
        return rows[0] + x[0]

    right = sb.check(
        forward, lambda dout, x: {"x": np.concatenate([4 * dout[None], 0 * x[1:]])}, shapes={"x": ("N", "D")}
    )
    assert right.status == "PROVED", str(right)


def leaves_one_out(x):
    items = []
    for k in range(len(x)):
        if k != 40:
            items.append(x[k] ** 2)
    return np.array(items).sum()


def keeps_the_first(x):
    items = {}
    for k in range(len(x)):
        if k >= 40:
            continue
        items[k] = x[k] ** 2
    return items[0] + items[1]


@pytest.mark.parametrize("forward", [leaves_one_out, keeps_the_first])
def test_lists_that_get_items_in_some_rounds_are_no_proof_for_all_sizes(forward):
    """Below the 40th round each of them gets one item a round."""
    verdict = sb.check(forward, lambda x: {"x": 2 * x}, shapes={"x": ("N",)})
    assert not verdict.for_all_sizes


# --- sizes that must divide: heads, groups and halves


def in_heads(x, w):
    return np.tanh(x.reshape(len(x), 2, x.shape[1] // 2)) * w


def pull_heads(dout, x, w):
    h = np.tanh(x.reshape(len(x), 2, x.shape[1] // 2))
    return {"x": (dout * w * (1 - h * h)).reshape(x.shape), "w": (dout * h).sum(axis=(0, 2))[:, None]}


def gated(x):
    a, b = np.split(x, 2, axis=-1)
    return a * np.tanh(b)


def pull_gated(dout, x):
    a, b = np.split(x, 2, axis=-1)
    t = np.tanh(b)
    return {"x": np.concatenate([dout * t, dout * a * (1 - t * t)], axis=-1)}


def rotated(x):
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([0.6 * a - 0.8 * b, 0.8 * a + 0.6 * b], -1)


def pull_rotated(dout, x):
    half = x.shape[-1] // 2
    a, b = dout[..., :half], dout[..., half:]
    return {"x": np.concatenate([0.6 * a + 0.8 * b, -0.8 * a + 0.6 * b], -1)}


def pull_rotated_wrongly(dout, x):
    half = x.shape[-1] // 2
    a, b = dout[..., :half], dout[..., half:]
    return {"x": np.concatenate([0.6 * a - 0.8 * b, 0.8 * a + 0.6 * b], -1)}


@pytest.mark.parametrize("pair", [(in_heads, pull_heads), (gated, pull_gated)], ids=["reshape", "split"])
def test_sizes_that_numpy_refuses_are_no_part_of_the_claim(pair):
    shapes = {"x": ("N", "D"), **({"w": (2, 1)} if pair[0] is in_heads else {})}
    verdict = sb.check(*pair, shapes=shapes)
    assert (verdict.status, verdict.for_all_sizes, verdict.conditions) == ("PROVED", True, ())
    assert "of sizes with D%2 == 0: at others the forward raises ValueError" in verdict.notes


def test_sizes_at_which_shapes_may_fit_by_accident_are_a_condition():
    verdict = sb.check(rotated, pull_rotated, shapes={"x": ("N", "D")})
    assert (verdict.status, verdict.conditions) == ("PROVED", ("D%2 == 0",))
    wrong = sb.check(rotated, pull_rotated_wrongly, shapes={"x": ("N", "D")})
    assert (wrong.status, wrong.counterexample.sizes["D"] % 2) == ("REFUTED", 0)


def groups_normalised(x):
    g = x.reshape(len(x), 3, x.shape[1] // 3)
    return ((g - g.mean(2, keepdims=True)) / np.sqrt(g.var(2, keepdims=True) + 1e-5)).reshape(x.shape)


def pull_groups(dout, x):
    g = x.reshape(len(x), 3, x.shape[1] // 3)
    std = np.sqrt(g.var(2, keepdims=True) + 1e-5)
    xhat, d = (g - g.mean(2, keepdims=True)) / std, dout.reshape(g.shape)
    return {"x": ((d - d.mean(2, keepdims=True) - xhat * (d * xhat).mean(2, keepdims=True)) / std).reshape(x.shape)}


@pytest.mark.parametrize("channels", ["3*C", "C"])
def test_a_variance_in_groups_is_known_not_to_be_negative(channels):
    verdict = sb.check(groups_normalised, pull_groups, shapes={"x": ("N", channels)})
    assert (verdict.status, verdict.for_all_sizes, verdict.conditions) == ("PROVED", True, ())


def masked_softmax(x):
    scores = np.where(np.triu(np.ones((len(x), len(x)), dtype=bool), k=1), -np.inf, x)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def pull_masked_softmax(dout, x):
    p = masked_softmax(x)
    return {"x": p * (dout - (dout * p).sum(-1, keepdims=True))}


@pytest.mark.parametrize("shape", [(1, 1), ("T", "T")])
def test_a_mask_that_hides_nothing_is_no_infinity(shape):
    assert sb.check(masked_softmax, pull_masked_softmax, shapes={"x": shape}).status == "PROVED"
