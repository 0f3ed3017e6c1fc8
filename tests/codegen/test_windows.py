"""Convolutions in NumPy: loops over a kernel become one product, windows are views, borders are zeros kept ready."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import symbackprop as sb


def by_shifts(x, w, b):
    out = b[None, :, None, None]
    for i in range(2):
        for j in range(3):
            out = out + np.einsum("nchw,fc->nfhw", x[:, :, i : i + 5, j : j + 6], w[:, :, i, j])
    return out


def by_windows(x, w):
    return np.einsum("nchwij,fcij->nfhw", sliding_window_view(x, (3, 2), axis=(2, 3)), w)


def causal(x, w):
    padded = np.concatenate([np.zeros((x.shape[0], 3, x.shape[2])), x], axis=1)
    out = padded[:, 3:] @ w[0]
    for k in range(1, 4):
        out = out + padded[:, 3 - k : 10 - k] @ w[k]
    return out


def with_stride(x, w):
    out = 0.0
    for k in range(3):
        out = out + x[:, k : k + 9 : 2] @ w[k]
    return out


def dilated(x, w):
    return x[:, 0:4] @ w[0] + x[:, 2:6] @ w[1] + x[:, 4:8] @ w[2]


def long_kernel(x, w):
    """The gradient of x would read zeros for the most part, so that it stays written out."""
    out = x[:, 0:2] @ w[0]
    for k in range(1, 5):
        out = out + x[:, k : k + 2] @ w[k]
    return out


def uneven(x, w):
    """No grid of shifts: it stays written out."""
    return x[:, 0:4] @ w[0] + x[:, 1:5] @ w[1] + x[:, 4:8] @ w[2]


def pooled(x):
    return (x[:, :6] + x[:, 1:7] + x[:, 2:8]) / 3


CASES = {  # forward, shapes, sizes, how many products of matrices there are
    "shifts": (by_shifts, {"x": ("N", "C", 6, 8), "w": ("F", "C", 2, 3), "b": ("F",)}, {"N": 2, "C": 3, "F": 4}, 3),
    "windows": (by_windows, {"x": ("N", "C", 7, 6), "w": ("F", "C", 3, 2)}, {"N": 2, "C": 3, "F": 4}, 3),
    "causal": (causal, {"x": ("N", 7, "D"), "w": (4, "D", "E")}, {"N": 3, "D": 2, "E": 5}, 3),
    "stride": (with_stride, {"x": ("N", 11, "D"), "w": (3, "D", "E")}, {"N": 3, "D": 2, "E": 4}, None),
    "dilated": (dilated, {"x": ("N", 8, "D"), "w": (3, "D", "E")}, {"N": 2, "D": 3, "E": 4}, None),
    "long": (long_kernel, {"x": ("N", 6, "D"), "w": (5, "D", "E")}, {"N": 2, "D": 3, "E": 4}, None),
    "uneven": (uneven, {"x": ("N", 8, "D"), "w": (3, "D", "E")}, {"N": 2, "D": 3, "E": 4}, None),
    "pooled": (pooled, {"x": ("N", 8)}, {"N": 3}, 0),
}


@pytest.mark.parametrize("backend", ["numpy", "c"])
@pytest.mark.parametrize("name", CASES)
def test_convolution_is_right_and_few_products(name, backend):
    forward, shapes, sizes, products = CASES[name]
    f = sb.compile(sb.trace(forward, shapes=shapes), backend)
    random = np.random.default_rng(3)
    given = {n: random.normal(size=[sizes.get(s, s) for s in shape]) for n, shape in shapes.items()}
    dout = random.normal(size=forward(**given).shape)
    found = f(**given, dout=dout)
    assert found["J"] == pytest.approx((dout * forward(**given)).sum(), rel=1e-12)
    for n, array in given.items():  # linear in each input: a difference is exact up to rounding
        step = random.normal(size=array.shape)
        change = (dout * (forward(**given | {n: array + step}) - forward(**given))).sum()
        assert (found[f"{n}_bar"] * step).sum() == pytest.approx(change, rel=1e-9, abs=1e-9)
    plain = f.function(*given.values(), dout)
    for one, other in zip(found.values(), plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-12)
    if products is not None and f.backend == "c":
        code = f.source.split("compute_with(")[1]
        assert code.count(" product(") == products
    elif products is not None:
        run = f.source.split("def run")[1]
        assert sum(".dot(" in line and "J = " not in line for line in run.splitlines()) == products
        assert "tensordot" not in run


def test_copies_of_windows_are_of_whole_rows():
    """One number after the other takes ten times as long: the axes along which nothing slides come last in NumPy, and
    in C those along which windows slide, whose rows need no other order of the array."""
    forward, shapes, _, _ = CASES["shifts"]
    program = sb.trace(forward, shapes=shapes)
    run = sb.compile(program).source.split("def compute_for")[1]
    assert "t1 = np.empty((N, 5, 6, 2, 3, C), DTYPE)" in run and "x_rows[...] = x.transpose(0, 2, 3, 1)" in run
    f = sb.compile(program, "c")
    assert f.backend == "numpy" or "* 2 + i" in f.source.split("t1[")[1].split("]")[0]


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_borders_stay_zero_from_call_to_call(backend):
    forward, shapes, _, _ = CASES["causal"]
    f = sb.compile(sb.trace(forward, shapes=shapes), backend)
    random = np.random.default_rng(4)
    w, dout = random.normal(size=(4, 2, 5)), random.normal(size=(3, 7, 5))
    x = random.normal(size=(3, 7, 2))
    first = f(x=x, w=w, dout=dout)
    f(x=np.full_like(x, np.nan), w=w, dout=np.full_like(dout, np.inf))
    again = f(x=x, w=w, dout=dout)
    assert all((again[n] == first[n]).all() for n in first)
    turned = f(x=np.asfortranarray(x), w=w, dout=dout[::-1][::-1])
    assert all(np.allclose(turned[n], first[n], rtol=1e-12) for n in first)
