"""Traced operations mean what NumPy means by them: options, defaults, views and rounding that are easily got wrong."""

import math

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.evaluation.exact import evaluate

SIZES = {"N": 3, "D": 4}
RNG = np.random.default_rng(3)
X, V = RNG.normal(size=(3, 4)), RNG.normal(size=4)
COUNT = np.zeros(1)
KEEP = 1 - 0.9


def with_out(operation):
    def forward(x, v):
        room = np.zeros(x.shape[1])
        operation(x, room)
        return room * x

    return forward


def changed_alias(convert):
    """Is what `convert` returns the same memory?"""

    def forward(x, v):
        base = x * 1.0
        other = convert(base)
        other *= 2.0
        return base + v

    return forward


def changed(array, change):
    """The array after a change in place."""
    change(array)
    return array


def scalar_with_axis(x, v):
    low = x.min()
    row = low[None]
    row *= 2
    return low * v + row


FORWARDS = {
    "truth in an array of booleans": lambda x, v: x * changed(v > 0, lambda a: a.__setitem__(0, 3)),
    "a small exponential is no zero": lambda x, v: np.exp(np.where(x > 0, x, -200.0)) * 1e87,
    "mean out": with_out(lambda x, room: np.mean(x, axis=0, out=room)),
    "max out": with_out(lambda x, room: np.max(x, 0, room)),
    "std out": with_out(lambda x, room: np.std(x, axis=0, out=room)),
    "sum.reduce out": with_out(lambda x, room: np.add.reduce(x, out=room)),
    "dot out": with_out(lambda x, room: np.dot(x[0], x.T @ x, out=room)),
    "matmul out": with_out(lambda x, room: np.matmul(x[0], x.T @ x, out=room)),
    "einsum out": with_out(lambda x, room: np.einsum("ij->j", x, out=room)),
    "cumsum out": with_out(lambda x, room: np.cumsum(x[0], out=room)),
    "average with weights": lambda x, v: np.average(x, 1, v),
    "average with all weights": lambda x, v: np.average(x, weights=np.exp(x)),
    "average without": lambda x, v: np.average(x, axis=0),
    "add.reduce": lambda x, v: np.add.reduce(x),
    "maximum.reduce": lambda x, v: np.maximum.reduce(x),
    "minimum.reduce all": lambda x, v: np.minimum.reduce(x, axis=None),
    "logaddexp.reduce": lambda x, v: np.logaddexp.reduce(x),
    "add.accumulate": lambda x, v: np.add.accumulate(x),
    "multiply.accumulate": lambda x, v: np.multiply.accumulate(x),
    "maximum.accumulate": lambda x, v: np.maximum.accumulate(x, axis=1),
    "minimum.accumulate": lambda x, v: np.minimum.accumulate(x),
    "prod": lambda x, v: np.prod(x, axis=1) + np.prod(v) + x.prod(axis=0, keepdims=True)[:, 0],
    "cumprod": lambda x, v: np.cumprod(x),
    "cumsum": lambda x, v: np.cumsum(x),
    "cumsum of booleans": lambda x, v: x * np.cumsum(x > 0, axis=1),
    "multiply.outer": lambda x, v: np.multiply.outer(x, v),
    "add.outer": lambda x, v: np.add.outer(x, v),
    "subtract.outer": lambda x, v: np.subtract.outer(v, x),
    "outer": lambda x, v: np.outer(x, v),
    "astype same": changed_alias(lambda a: a.astype(float, copy=False)),
    "astype": changed_alias(lambda a: a.astype(float)),
    "array copy=False": changed_alias(lambda a: np.array(a, copy=None)),
    "array": changed_alias(lambda a: np.array(a)),
    "asarray": changed_alias(lambda a: np.asarray(a)),
    "asarray of another type": changed_alias(lambda a: np.asarray(a, dtype=np.float32)),
    "ceil": lambda x, v: (
        x * math.ceil(-0.5) + math.ceil(x.shape[0] / 2) + math.floor(-0.5) + math.floor(-x.shape[1] / 3)
    ),
    "int": lambda x, v: x * int(-x.shape[0] / 2) + int(x.shape[1] / 3) + int(-0.5),
    "isclose": lambda x, v: x * (2.0 if math.isclose(0.5, 0.0) else 3.0),
    "tau": lambda x, v: x * math.tau,
    "type of an array": lambda x, v: x * 2 if type(x) is np.ndarray else x,
    "type of a size": lambda x, v: x * 2 if type(x.shape[0]) is int else x,
    "dtype": lambda x, v: x * 2 if x.dtype == np.float64 else x,
    "dtype of another": lambda x, v: x * 2 if x.dtype == np.float32 else x,
    "a scalar with an axis": scalar_with_axis,
    "ascontiguousarray of a scalar": lambda x, v: np.ascontiguousarray(x.sum()) * v,
    "abs of a size": lambda x, v: x * np.zeros((np.abs(x.shape[0]), 1)) + np.sign(x.shape[1]) * v,
    "places from the end": lambda x, v: x[np.arange(x.shape[0]) - 1] * v,
    "folded decimals": lambda x, v: x * (1 - 0.9) + KEEP,
}


@pytest.mark.parametrize("name", FORWARDS)
def test_operation(name):
    forward = FORWARDS[name]
    program = sb.trace(forward, {"x": ("N", "D"), "v": ("D",)}, where="N >= 2")
    found = evaluate(program, SIZES, {"x": X, "v": V})[program.outputs[0].name]
    assert np.allclose(found, forward(X.copy(), V.copy()), rtol=1e-6, atol=1e-6)
    assert np.shape(found) == np.shape(forward(X.copy(), V.copy()))


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda x: np.linalg.norm(x, 2, axis=(0, 1)), "norm other than Frobenius"),
        (lambda x: np.linalg.norm(x, ord=1, axis=(0, 1)), "norm other than Frobenius"),
        (lambda x: x * np.full((1,), 2.5, dtype=int), "assigned to an array of type int64"),
        (
            lambda x: x * changed(np.zeros(1, int), lambda a: a.__setitem__(0, x[0, 0])),
            "assigned to an array of type int",
        ),
        (
            lambda x: x * changed(np.zeros(2, int), lambda a: a.__setitem__([0, 1], 0.5)),
            "assigned to an array of type int",
        ),
        (
            lambda x: x * changed(np.zeros(1, int), lambda a: np.add.at(a, [0], x[0, 0])),
            "assigned to an array of type int",
        ),
        (lambda x: np.mean(x, dtype=int), "rounded"),
        (lambda x: np.multiply(x, 2, dtype=int, casting="unsafe"), "rounded to the type int64"),
        (lambda x: np.add(x, 1, out=np.zeros(x.shape, int), casting="unsafe"), "put into an array of type int64"),
        (lambda x: x * np.arange(x.shape[0] - 5).size, "length of np.arange"),
        (lambda x: x * int(x.shape[0] / 2 - 3), "may be negative"),
    ],
)
def test_what_would_be_misread_is_refused(forward, message):
    with pytest.raises(sb.errors.TraceError, match=message):
        sb.trace(forward, {"x": ("N", "D")})


def test_a_read_only_view_is_not_used_after_its_base_has_changed():
    def forward(x):
        square = x * 1.0
        diagonal = np.diagonal(square)
        square *= 2.0
        return diagonal

    with pytest.raises(sb.errors.TraceError, match="view"):
        sb.trace(forward, {"x": ("N", "N")})


def test_a_reshape_of_reversed_rows_is_a_copy():
    def forward(x):
        rows = x * 1.0
        flat = rows[::-1].reshape(-1)
        rows *= 2.0
        return flat

    with pytest.raises(sb.errors.TraceError, match="view"):
        sb.trace(forward, {"x": ("N", "D")})


def test_a_global_array_that_is_changed_is_noticed_and_stays_as_it_was():
    def forward(x):
        count = COUNT
        count += 1
        return x * count[0]

    with pytest.raises(sb.errors.TraceError, match="COUNT"):
        sb.trace(forward, {"x": ("N", "D")})
    assert COUNT[0] == 0


def test_a_size_that_only_labels_mention():
    verdict = sb.check(
        lambda x, y: x * (y > 0), lambda dout, x, y: {"x": dout * (y > 0)},
        shapes={"x": ("N",), "y": ("N",)}, assume={"y": "labels:C"},
    )  # fmt: skip
    assert verdict.status == "PROVED", str(verdict)


def relu(x):
    return np.maximum(x, 0)


def partly_written(dout, x):
    dx = np.empty_like(x)
    dx[x > 0] = dout[x > 0]
    return {"x": dx}


def written(dout, x):
    dx = np.empty(x.shape)
    dx[x > 0] = dout[x > 0]
    dx[x <= 0] = 0
    return {"x": dx}


def test_an_empty_array_must_be_written_before_it_is_read():
    verdict = sb.check(relu, partly_written, shapes={"x": ("N", "D")})
    assert verdict.status == "MALFORMED" and "np.empty" in verdict.reason
    verdict = sb.check(relu, written, shapes={"x": ("N", "D")})
    assert verdict.status == "PROVED", str(verdict)
    assert any("np.empty" in c for c in verdict.conditions)


def test_time_is_up_for_a_loop_that_catches_everything():
    def forward(x):
        while True:
            try:
                _ = x + 1
            except:  # noqa: E722
                _ = x + 2

    verdict = sb.check(forward, lambda dout, x: {"x": dout}, shapes={"x": ("N",)}, seconds=1)
    assert verdict.status == "UNDECIDED"
