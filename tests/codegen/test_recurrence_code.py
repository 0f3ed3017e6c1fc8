"""Code for recurrences: loops over the steps, beside backward passes that were written by hand.

The cases are those of `test_recurrences`: each has a forward pass and a right backward pass in plain NumPy, which knows
nothing of equations.
"""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.errors import DataError


def module(name):
    place = Path(__file__).parent.parent / "checking" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"{name}_cases", place)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


CASES = module("test_recurrences").CASES
TABLES = module("test_loop_families").FAMILIES
TOLERANCE = {"float64": 1e-9, "float32": 2e-3}
STEPS = {"T", "L", "M", "K"}


def size(text, sizes):
    """The value of a size: a name, or a number times a name."""
    number, _, name = text.rpartition("*")
    return int(number or 1) * (sizes[name] if name.isidentifier() else int(name))


def arrays_for(shapes, assume, length, dtype):
    names = sorted({name for shape in shapes.values() for part in shape for name in re.findall(r"[A-Za-z]\w*", part)})
    sizes = {name: length if name in STEPS else 2 + k % 3 for k, name in enumerate(names)}
    random, found = np.random.default_rng(5), {}
    for name, shape in shapes.items():
        kind, _, bound = (assume or {}).get(name, "").partition(":")
        dims = tuple(size(part, sizes) for part in shape)
        if kind == "labels":
            found[name] = random.integers(0, size(bound, sizes), dims)
        else:
            found[name] = random.uniform(0.2, 0.9, dims).astype(dtype)
    return found


def compare_with_hand_written(name, backend, dtype, lengths=(1, 2, 6)):
    build, shapes, _, assume, where = (CASES | TABLES)[name]
    forward, backward = build(False)
    code = sb.compile(sb.trace(forward, shapes, assume, where), backend, dtype)
    assert code.backend == backend
    upstream = any(t.name == "dout" for t in code.program.inputs)
    for length in lengths:
        inputs = arrays_for(shapes, assume, length, dtype)
        out = np.asarray(forward(**inputs))
        dout = np.random.default_rng(1).normal(size=out.shape).astype(dtype) if upstream else np.ones_like(out)
        takes = backward.__code__.co_varnames[: backward.__code__.co_argcount]
        expected = backward(dout, **inputs) if takes[:1] == ("dout",) else backward(**inputs)
        results = code(**inputs, **({"dout": dout} if upstream else {}))
        for given, gradient in expected.items():
            own = results.get(f"{given}_bar", np.zeros_like(inputs[given]))
            np.testing.assert_allclose(own, gradient, TOLERANCE[dtype], TOLERANCE[dtype], err_msg=f"{given}, {length}")
    return code


@pytest.mark.parametrize("name", CASES)
def test_compile_of_a_recurrence_gives_the_hand_written_gradients_at_every_length(name):
    compare_with_hand_written(name, "numpy", "float64")


@pytest.mark.parametrize("name", ["rnn_dict", "iir2", "batch_major_swap", "from_one"])
def test_compile_in_c_gives_the_hand_written_gradients(name):
    compare_with_hand_written(name, "c", "float32")


@pytest.mark.parametrize("name", ["ema", "iir2", "residual_time"])
def test_compile_for_jax_gives_the_hand_written_gradients(name):
    pytest.importorskip("jax")
    compare_with_hand_written(name, "jax", "float64")


@pytest.mark.parametrize(("name", "backend"), [("neighbours_gathered", "c"), ("paths_through_labels", "jax")])
def test_compile_of_a_table_whose_entries_read_their_neighbours(name, backend):
    """For JAX a window of the present step that is guarded was written as a slice that ends too early."""
    if backend == "jax":
        pytest.importorskip("jax")
    compare_with_hand_written(name, backend, "float64", lengths=(3,))


def test_compile_works_along_the_diagonals_of_a_table():
    source = compare_with_hand_written("states_of_a_grid", "numpy", "float64", lengths=(1,)).source
    assert len(re.findall(r"^    for .* in (?:reversed\()?range\(W \+ H - 1\)\)?:$", source, re.MULTILINE)) == 2
    assert "        for " not in source  # each round works on a whole diagonal


def elman(x, h0, Wx, Wh):
    h, hs = h0, []
    for t in range(x.shape[0]):
        h = np.tanh(x[t] @ Wx + h @ Wh)
        hs.append(h)
    return np.stack(hs)


ELMAN = {"x": ("T", "N", "D"), "h0": ("N", "H"), "Wx": ("D", "H"), "Wh": ("H", "H")}


def test_compile_computes_outside_of_the_loop_what_does_not_depend_on_it():
    lines = sb.compile(sb.trace(elman, ELMAN)).source.split("\n")
    loops = [k for k, line in enumerate(lines) if line.startswith("    for ")]
    inside = [line for k in loops for line in lines[k + 1 : k + 8] if line.startswith("        ")]
    assert len(loops) == 2
    assert lines[loops[0]] == "    for t in range(T):"
    assert lines[loops[1]] == "    for t in reversed(range(T)):"
    assert not [line for line in inside if re.search(r"\bx\b|\bWx\b", line) and not line.lstrip().startswith("#")]
    (product,) = [line for line in lines if "Wh_bar = " in line]  # one product over steps and examples
    assert re.fullmatch(r"    Wh_bar = np\.tensordot\(\w+, u_bar, axes=\(\[0, 1\], \[0, 1\]\)\)", product)


def test_compile_for_jax_is_a_scan_that_jax_differentiates():
    jax = pytest.importorskip("jax")
    code = sb.compile(sb.trace(elman, ELMAN), "jax", "float32")
    assert code.source.count("jax.lax.scan(") == 2
    inputs = arrays_for(ELMAN, None, 4, "float32")
    dout = np.ones((4, *inputs["h0"].shape), "float32")

    def cost(Wh):
        return code.function(inputs["x"], inputs["h0"], inputs["Wx"], Wh).sum()

    slope = jax.grad(cost)(inputs["Wh"])
    np.testing.assert_allclose(slope, code(**inputs, dout=dout)["Wh_bar"], 1e-4, 1e-5)


def forward_in_logs(A, x):
    T, K = x.shape
    alpha = np.zeros((T, K))
    alpha[0] = x[0]
    for t in range(1, T):
        alpha[t] = np.log(np.exp(alpha[t - 1][:, None] + A).sum(axis=0)) + x[t]
    return np.log(np.exp(alpha[T - 1]).sum())


def backward_in_logs(A, x):
    T, K = x.shape
    beta = np.zeros((T, K))
    for t in range(T - 2, -1, -1):
        beta[t] = np.log(np.exp(A + x[t + 1] + beta[t + 1]).sum(axis=1))
    return np.log(np.exp(x[0] + beta[0]).sum())


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("function", [forward_in_logs, backward_in_logs])
def test_sums_of_exponentials_along_steps_where_there_is_one_step_and_where_there_are_more(function, backend):
    """Arrays are looked up that have no place where there is one step; of two arrays one name was given to both."""
    if backend == "jax":
        pytest.importorskip("jax")
    code = sb.compile(sb.trace(function, {"A": ("K", "K"), "x": ("T", "K")}), backend)
    for length in (1, 2, 5):
        rng = np.random.default_rng(length)
        A, x, dA, dx = (rng.normal(size=size) for size in ((3, 3), (length, 3)) * 2)
        value, *slopes = code(A=A, x=x).values()
        up, down = (function(A + h * dA, x + h * dx) for h in (1e-6, -1e-6))
        assert value == pytest.approx(function(A, x), rel=1e-6)
        along = sum(np.sum(np.asarray(s) * d) for s, d in zip(slopes, (dA, dx), strict=True))
        assert along == pytest.approx((up - down) / 2e-6, rel=1e-4)


def test_compile_refuses_no_steps_by_name():
    code = sb.compile(sb.trace(elman, ELMAN))
    inputs = arrays_for(ELMAN, None, 0, "float64")
    with pytest.raises(DataError, match="x is empty: axis T has size 0"):
        code(**inputs, dout=np.zeros((0, *inputs["h0"].shape)))


def test_compile_joins_the_parts_of_an_axis():
    def gates(z):
        half = z.shape[1] // 2
        return np.tanh(z[:, :half]) * z[:, half:]

    code = sb.compile(sb.trace(gates, {"z": ("N", "2*H")}))
    assert "np.concatenate(" in code.source
    assert "np.clip(" not in code.source
    z, dout = np.random.default_rng(0).normal(size=(3, 4)), np.ones((3, 2))
    a, b = z[:, :2], z[:, 2:]
    expected = np.concatenate([b * (1 - np.tanh(a) ** 2), np.tanh(a)], axis=1)
    np.testing.assert_allclose(code(z=z, dout=dout)["z_bar"], expected, 1e-12)


def scores_backward(x, A):
    later = np.zeros(x.shape[1])
    for t in range(x.shape[0] - 2, -1, -1):
        scores = A + x[t + 1] + later
        top = scores.max(axis=1)
        later = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
    last = x[0] + later
    return last.max() + np.log(np.exp(last - last.max()).sum())


def test_compile_in_c_lets_two_axes_of_one_size_change_places_where_loops_are_joined():
    """The steps are looked up in another order than they were made, in the loops of a sum over the other axis."""
    code = sb.compile(sb.trace(scores_backward, {"x": ("T", "K"), "A": ("K", "K")}), backend="c")
    assert code.backend == "c"
    random = np.random.default_rng(3)
    x, A = random.normal(size=(4, 3)), random.normal(size=(3, 3))
    found, h = code(x=x, A=A), 1e-6
    for t, k in np.ndindex(x.shape):
        change = np.zeros_like(x)
        change[t, k] = h
        slope = (scores_backward(x + change, A) - scores_backward(x - change, A)) / (2 * h)
        assert abs(found["x_bar"][t, k] - slope) < 1e-7


def test_compile_of_a_loop_that_reads_the_steps_of_an_earlier_one_in_reverse():
    """The cotangent of the state before the first loop was written with itself."""

    def forward_and_back(x):
        h, first = np.zeros(x.shape[1]), np.zeros(x.shape)
        for t in range(x.shape[0]):
            h = np.tanh(h + x[t])
            first[t] = h
        g, second = np.zeros(x.shape[1]), np.zeros(x.shape)
        for t in range(x.shape[0] - 1, -1, -1):
            g = np.tanh(g + first[t])
            second[t] = g
        return second + first

    code = sb.compile(sb.trace(forward_and_back, {"x": ("T", "N")}))
    x, dout = np.array([[0.5], [-0.25], [0.75]]), np.array([[1.0], [2.0], [-1.0]])
    complex_step = [(dout * forward_and_back_complex(x, k)).sum() for k in range(3)]
    np.testing.assert_allclose(code(x=x, dout=dout)["x_bar"].ravel(), complex_step, 1e-12)


def forward_and_back_complex(x, k):
    """The change of what the two loops give with the entry k of one column."""
    x = x + 1e-30j * (np.arange(len(x)) == k)[:, None]
    h, first = np.zeros(1, complex), []
    for row in x:
        h = np.tanh(h + row)
        first.append(h)
    g, second = np.zeros(1, complex), []
    for row in reversed(first):
        g = np.tanh(g + row)
        second.append(g)
    return (np.array(second[::-1]) + np.array(first)).imag / 1e-30


def test_compile_for_jax_keeps_an_input_called_underscore():
    pytest.importorskip("jax")

    def sums(_, a):
        h, out = np.zeros(_.shape[1]), []
        for t in range(_.shape[0]):
            h = a * h + _[t]
            out.append(h * _[t])
        return np.stack(out)

    code = sb.compile(sb.trace(sums, {"_": ("T", "N"), "a": ("N",)}), backend="jax")
    found = code.outcome({"_": np.array([[1.0], [2.0]]), "a": np.array([3.0]), "dout": np.ones((2, 1))})
    assert found["__bar"].ravel().tolist() == [8.0, 7.0]


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_last_state_of_a_loop_is_read_in_parts(backend):
    def wrapped(x):
        y = x.copy()
        for t in range(x.shape[0]):
            y[t - 1] = y[t] + x[t - 1]
        return y

    code = sb.compile(sb.trace(wrapped, {"x": ("T",)}), backend)
    for length in (1, 2, 5):
        found = code(x=np.zeros(length), dout=np.arange(1.0, length + 1))["x_bar"]
        slopes = np.array([wrapped(row) for row in np.eye(length)])  # the forward pass is linear
        np.testing.assert_allclose(found, slopes @ np.arange(1.0, length + 1), 1e-12)
