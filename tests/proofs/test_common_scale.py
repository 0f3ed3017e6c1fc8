"""Exponentials at a common scale: gradients are those of the plain function, and finite where that overflows."""

import numpy as np
import pytest

import symbackprop as sb

Z = np.array([[0.5, -1.0, 2.0], [0.0, 1.5, -0.25]])


def softmax_squared(z):
    e = np.exp(z)
    s = e.sum(axis=1, keepdims=True)
    return e**2 / s**2


def by_the_mean(z):
    e = np.exp(z)
    return e / e.mean(axis=1, keepdims=True)


def all_the_others(z):
    e = np.exp(z)
    s = e.sum(axis=1, keepdims=True)
    return (s - e) / s


def on_average(z):
    e = np.exp(z)
    return (e * z).sum(axis=1) / e.sum(axis=1)


def entropy(z):
    e = np.exp(z)
    p = e / e.sum(axis=1, keepdims=True)
    return -(p * np.log(p)).sum(axis=1)


def ratio_of_sums(z):
    return np.exp(2 * z).sum(axis=1) / np.exp(z).sum(axis=1) ** 2


def unit_rows(z):
    e = np.exp(z)
    return e / np.sqrt((e**2).sum(axis=1, keepdims=True))


def beside_one(z):
    return np.log(1 + np.exp(z).sum(axis=1))


def share_beside_one(z):
    e = np.exp(z)
    return e / (1 + e.sum(axis=1, keepdims=True))


SHIFTED = [softmax_squared, by_the_mean, all_the_others, entropy, ratio_of_sums, unit_rows]  # the same for z + c


def slope(function, z, dout):
    """The gradient of the plain function, by complex steps."""
    found = np.zeros_like(z)
    for place in np.ndindex(z.shape):
        step = z.astype(complex)
        step[place] += 1e-30j
        found[place] = (dout * function(step)).sum().imag / 1e-30
    return found


@pytest.mark.parametrize("function", [*SHIFTED, on_average, beside_one, share_beside_one])
def test_gradients_are_right_and_finite_far_out(function):
    dout = np.arange(1.0, 1 + function(Z).size).reshape(function(Z).shape)
    code = sb.compile(sb.trace(function, {"z": ("N", "C")}))
    expected = slope(function, Z, dout)
    np.testing.assert_allclose(code(z=Z, dout=dout)["z_bar"], expected, rtol=1e-9, atol=1e-12)
    for far in (Z + 1000, Z - 1000, 1000 * Z):
        assert np.isfinite(code(z=far, dout=dout)["z_bar"]).all()
    if function in SHIFTED:
        for far in (Z + 1000, Z - 1000):
            np.testing.assert_allclose(code(z=far, dout=dout)["z_bar"], expected, rtol=1e-9, atol=1e-12)


def test_what_is_finite_is_left_alone():
    def shifted(z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    assert "top" not in sb.compile(sb.trace(shifted, {"z": ("N", "C")})).source


def cross_entropy(z, y):
    s = z - z.max(axis=1, keepdims=True)
    return (np.log(np.exp(s).sum(axis=1)) - s[np.arange(len(y)), y]).mean()


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_nothing_is_lost_at_a_label_that_is_nearly_certain(backend):
    """p - 1 at the label would be 0: what is there is the sum of all others."""
    code = sb.compile(sb.trace(cross_entropy, {"z": ("N", "C"), "y": ("N",)}, {"y": "labels:C"}), backend, "float32")
    found = code(z=np.array([[20, 0, 1], [0, 3, 0]], np.float32), y=np.array([0, 1]))["z_bar"]
    z = np.array([[20.0, 0, 1], [0, 3, 0]])
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    expected = p - np.eye(3)[[0, 1]]
    expected[0, 0] = -p[0, 1:].sum()
    np.testing.assert_allclose(found, expected / 2, rtol=1e-6)


def weighted(z, m):
    e = np.exp(z) * m
    return e / e.sum(axis=1, keepdims=True)


def test_a_weight_of_zero_has_a_gradient():
    """Where m is 0 nothing is added up, and m may still be raised."""
    m = np.array([[1.0, 0, 1], [0, 1, 1]])
    dout = np.arange(1.0, 7).reshape(2, 3)
    expected = slope(lambda m: weighted(Z, m), m, dout)
    code = sb.compile(sb.trace(weighted, {"z": ("N", "C"), "m": ("N", "C")}))
    for far in (Z, Z + 1000):
        np.testing.assert_allclose(code(z=far, m=m, dout=dout)["m_bar"], expected, rtol=1e-9)


def mean_of_bumps(z):
    e = np.exp(-(z**2))
    return (e * z).sum(axis=1) / e.sum(axis=1)


def responsibilities(z):
    d = np.exp(-((z - 2) ** 2) / 3)
    return d / d.sum(axis=1, keepdims=True)


def log_mixture(z):
    e = np.exp(z)
    return np.log((e / e.sum(axis=1, keepdims=True) * np.exp(-((z - 1) ** 2) / 2)).sum(axis=1))


@pytest.mark.parametrize("function", [mean_of_bumps, responsibilities, log_mixture])
def test_all_of_a_sum_may_underflow(function):
    code = sb.compile(sb.trace(function, {"z": ("N", "C")}))
    dout = np.arange(1.0, 1 + function(Z).size).reshape(function(Z).shape)
    np.testing.assert_allclose(code(z=Z, dout=dout)["z_bar"], slope(function, Z, dout), rtol=1e-9, atol=1e-12)
    far = np.array([[40.0, 50, -60], [1000, 1e3 + 1, -1e3]])
    assert all(np.isfinite(a).all() for a in code(z=far, dout=dout).values())


def ignored(z, y):
    losses = -np.log(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))[np.arange(len(y)), y]
    return np.where(y == 1, 0, losses).sum()


def by_column(z, u):
    return (z - np.log(np.exp(z).sum(axis=1, keepdims=True)))[u, np.arange(z.shape[1])].sum()


@pytest.mark.parametrize(
    ("function", "labels"), [(ignored, {"y": ("N", "C", [1, 0])}), (by_column, {"u": ("C", "N", [1, 0, 1])})]
)
def test_rows_that_do_not_count_and_rows_by_label(function, labels):
    ((name, (axis, size, values)),) = labels.items()
    code = sb.compile(sb.trace(function, {"z": ("N", "C"), name: (axis,)}, {name: f"labels:{size}"}))
    given = {name: np.array(values)}
    expected = slope(lambda z: function(z, **given), Z, np.ones(()))
    for far in (Z, Z + 1000, Z - 1000):
        np.testing.assert_allclose(code(z=far, **given)["z_bar"], expected, rtol=1e-9, atol=1e-12)


def test_the_sign_of_a_difference_that_underflows():
    def contrast(z, w):
        return np.abs(np.exp(z) - np.exp(w)) / (np.exp(z) + np.exp(w))

    code = sb.compile(sb.trace(contrast, {"z": ("N",), "w": ("N",)}))
    z = np.array([-1000.0, -900, 900])
    found = code(z=z, w=z + np.array([1.0, -1, 2]), dout=np.ones(3))
    np.testing.assert_allclose(found["J"], np.tanh([0.5, 0.5, 1]).sum(), rtol=1e-12)
