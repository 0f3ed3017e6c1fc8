"""The cure of a hand-written backward pass as a line of code: put into the user's function it makes the claim right."""

import inspect
import re

import numpy as np
import pytest

import symbackprop as sb


def layernorm(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=1, keepdims=True)
    std = np.sqrt(((x - mu) ** 2).mean(axis=1, keepdims=True) + eps)
    xhat = (x - mu) / std
    return gamma * xhat + beta, (xhat, std, gamma)


def layernorm_with_a_sum_for_a_mean(dout, cache):
    xhat, std, gamma = cache
    dbeta = dout.sum(axis=0)
    dgamma = (dout * xhat).sum(axis=0)
    dxhat = dout * gamma
    dx = (dxhat - dxhat.mean(axis=1, keepdims=True) - xhat * (dxhat * xhat).sum(axis=1, keepdims=True)) / std
    return dx, dgamma, dbeta


def linear(x, w, b):
    return x @ w + b


def linear_with_a_mean_for_a_sum(dout, x, w, b):
    dx = dout @ w.T
    dw = x.T @ dout
    db = dout.mean(axis=0)
    return dx, dw, db


def linear_with_the_factors_swapped(dout, x, w, b):
    dx = dout @ w.T
    dw = -(x.T @ dout)
    db = dout.sum(axis=0)
    return dx, dw, db


def product(x, w):
    return np.tanh(x @ w)


def product_with_a_factor_at_the_second_place(dout, x, w):
    y = np.tanh(x @ w)
    g = dout * (1 - y * y)
    return g @ w.T, 2 * x.T @ g


ROWS = {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}
LINEAR = {"x": ("N", "D"), "w": ("D", "M"), "b": ("M",)}
CASES = {
    "a part of a line": (layernorm, layernorm_with_a_sum_for_a_mean, ROWS),
    "a factor": (linear, linear_with_a_mean_for_a_sum, LINEAR),
    "a value of a returned tuple": (
        product,
        product_with_a_factor_at_the_second_place,
        {"x": ("N", "D"), "w": ("D", "M")},
    ),
    "a sign": (linear, linear_with_the_factors_swapped, LINEAR),
}


@pytest.mark.parametrize("name", CASES)
def test_cured_code_makes_the_backward_pass_right(name) -> None:
    forward, backward, shapes = CASES[name]
    verdict = sb.check(forward, backward, shapes=shapes)
    assert verdict.status == "REFUTED"
    (line,) = verdict.cured
    assert line.code
    assert line.code in str(verdict)
    source, start = inspect.getsourcelines(backward)
    told = re.match(r"(.*?)(?:  # (.*))?$", line.code)
    sizes = [f"    {size}\n" for size in (told[2] or "").split(", ") if size]
    source[line.number - start] = "".join([*sizes, f"    {told[1]}\n"])
    names = {"np": np}
    exec(compile("".join(source), "cured", "exec"), names)
    rng = np.random.default_rng(0)
    numbers = {"N": 4, "D": 3, "M": 2}
    given = {k: rng.normal(size=[numbers[n] for n in shape]) for k, shape in shapes.items()}
    out = forward(**given)
    value = out[0] if isinstance(out, tuple) else out
    dout = rng.normal(size=value.shape)
    rest = {"cache": out[1]} if isinstance(out, tuple) else given
    gradients = names[backward.__name__](dout, **rest)
    direction = {k: rng.normal(size=v.shape) for k, v in given.items()}
    step = 1e-6
    ends = []
    for sign in (1, -1):
        moved = forward(**{k: v + sign * step * direction[k] for k, v in given.items()})
        ends.append(np.sum(dout * (moved[0] if isinstance(moved, tuple) else moved)))
    slope = sum(np.sum(g * direction[k]) for k, g in zip(shapes, gradients, strict=True))
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-6)


def test_cure_of_a_part_of_a_line_is_told_as_the_whole_line() -> None:
    verdict = sb.check(layernorm, layernorm_with_a_sum_for_a_mean, shapes=ROWS)
    assert verdict.cure == (
        "dx[n,d] = (dxhat[n,d] - sum(d_1, dxhat[n,d_1])/D - xhat[n,d]*sum(d_1, dxhat[n,d_1]*xhat[n,d_1])/D)/std[n]"
    )
    assert verdict.cured[0].code.startswith("dx = (dxhat - ")


def test_what_is_returned_behind_a_condition_on_one_line_is_told_as_a_return() -> None:
    def backward(dout, x, w):  # type: ignore[no-untyped-def]
        if dout.shape[0] > 0: return -dout @ w.T, x.T @ dout  # fmt: skip  # noqa: E701
        return dout @ w.T, x.T @ dout

    verdict = sb.check(lambda x, w: x @ w, backward, shapes={"x": ("N", "D"), "w": ("D", "M")})
    assert verdict.cured[0].code == "return dout @ w.T, x.T @ dout"
