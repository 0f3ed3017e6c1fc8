"""compile_network: all forms and backends agree with the evaluator, the complex step and each other; bad input is named."""

import ast
import os
import shutil
import subprocess
import sys

import codegen_nets as nets
import numpy as np
import pytest

from symbackprop.codegen.c import build as c_build
from symbackprop.codegen.network import compile_network
from symbackprop.errors import DataError, UnsupportedError
from symbackprop.evaluation.exact import evaluate

LAM = 0.7
BACKENDS = ("numpy", "c")


def made(
    widths=(3, 5, 4), rows=7, *, activation="sigmoid", cost="cross_entropy", backend="numpy", dtype="float64", **options
):
    net = compile_network(*nets.network(len(widths), activation, cost, **options), widths, backend=backend, dtype=dtype)
    given = nets.arrays(list(widths), rows)
    params = {name: given[name].astype(dtype) for name in net.layout.names}
    return net, params, given["x"].astype(dtype), given["y"].astype(dtype)


def aliased_epoch(net):
    room = np.zeros(net.layout.length)
    order = np.arange(2)
    return net.epoch(room, room[:6].reshape(2, 3), np.zeros((2, 4)), order=order, batch=1, rate=0.1, lam=1.0)


def flat(params):
    return np.concatenate([v.ravel() for v in params.values()])


@pytest.mark.parametrize("cost", ["cross_entropy", "softmax_cross_entropy"])
@pytest.mark.parametrize(
    "activation", ["sigmoid", "tanh", "relu", "leaky_relu", "softplus", "elu", "gelu", "gelu_tanh", "silu"]
)
def test_network_agrees_with_evaluate(activation, cost):
    adjoint, _ = nets.network(3, activation, cost, "f_prime")
    net, params, X, Y = made(activation=activation, cost=cost, prime="f_prime")
    expected = evaluate(adjoint, nets.numbers([3, 5, 4], 7), {"x": X, "y": Y, **params}, {"lam": LAM})
    J, grads = net(params, X, Y, lam=LAM)
    assert pytest.approx(float(expected["J"]), rel=1e-13) == J
    for name, gradient in grads.items():
        np.testing.assert_allclose(gradient, expected["dJ_d" + name], rtol=1e-12, atol=1e-15)


def test_gradient_agrees_with_complex_step():
    net, params, X, Y = made()
    m = len(X)

    def cost(theta):
        start, a, total = 0, X.astype(complex), 0
        for name in net.layout.names:
            shape = params[name].shape
            part = theta[start : start + params[name].size].reshape(shape)
            start += params[name].size
            if name[0] == "W":
                total, z = total + LAM / (2 * m) * (part**2).sum(), a @ part.T
            else:
                z = z + part
                a = 1 / (1 + np.exp(-z))
        return total - (Y * np.log(a) + (1 - Y) * np.log(1 - a)).sum() / m

    theta = flat(params)
    J, g = net.flat(theta, X, Y, lam=LAM)
    assert pytest.approx(cost(theta.astype(complex)).real, rel=1e-13) == J
    np.testing.assert_allclose(g, nets.complex_step(cost, theta), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cost", ["cross_entropy", "softmax_cross_entropy"])
@pytest.mark.parametrize("rows", [1, 7, 130, 1003])  # one row, few, many, enough for blocks with a short last one
def test_all_entries_agree(backend, cost, rows):
    plain, params, X, Y = made(rows=rows, cost=cost)
    net = made(rows=rows, cost=cost, backend=backend)[0]
    values = plain.functions["cost_and_gradient"](X, Y, *params.values(), LAM)
    theta = flat(params)
    out = np.empty_like(theta)
    J, grads = net(params, X, Y, lam=LAM)
    results = [(J, flat(grads)), net.flat(theta, X, Y, lam=LAM), net.flat(theta, X, Y, lam=LAM, out=out)]
    results += [(net.cost(params, X, Y, lam=LAM), flat(net.gradient(params, X, Y, lam=LAM)))]
    again = np.empty_like(theta)
    results += [(net.bind(theta, X, Y, out=again, lam=LAM)(), again)]
    for cost_value, gradient in results:
        assert cost_value == pytest.approx(float(values[0]), rel=1e-12)
        np.testing.assert_allclose(gradient, flat(dict(enumerate(values[1:]))), rtol=1e-11, atol=1e-14)
    assert results[2][1] is out
    np.testing.assert_allclose(net.predict(params, X), plain.functions["predict"](X, *params.values()), rtol=1e-12)
    assert float(plain.functions["cost"](X, Y, *params.values(), LAM)) == pytest.approx(float(values[0]), rel=1e-12)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "softplus", "gelu"])
@pytest.mark.parametrize("cost", ["cross_entropy", "softmax_cross_entropy"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("form", ["bound", "unrolled"])
def test_forms_for_few_numbers_agree_with_the_plain_one(activation, cost, dtype, form):
    net, params, X, Y = made((3, 4, 4, 2), 5, activation=activation, cost=cost, prime="f_prime", dtype=dtype)
    make = net.functions.get(f"cost_and_gradient_{form}")
    if form == "unrolled" and (cost == "softmax_cross_entropy" or activation == "gelu"):
        assert make is None  # exp raises an error of Python's where it overflows
        return
    expected = net.functions["cost_and_gradient"](X, Y, *params.values(), LAM)
    theta, gradient = flat(params), np.full(net.layout.length, np.nan, dtype)
    run = make(X, Y, *net.layout.views(theta), LAM, net.layout.views(gradient), theta, gradient)
    for _ in range(2):  # nothing is left over from the first call
        assert run() == pytest.approx(float(expected[0]), rel=1e-13 if dtype == "float64" else 1e-5)
        tolerance = {"rtol": 1e-11, "atol": 1e-14} if dtype == "float64" else {"rtol": 1e-3, "atol": 1e-6}
        np.testing.assert_allclose(gradient, flat(dict(enumerate(expected[1:]))), **tolerance)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_step_inside_the_matrix_products_is_gradient_descent(dtype):
    blas = pytest.importorskip("scipy.linalg")
    net, params, X, Y = made((5, 4, 3), 6, dtype=dtype)
    theta = flat(params)
    J, g = net.flat(theta, X, Y, lam=LAM)
    expected, parts = theta - 0.25 * g, net.layout.views(np.empty_like(theta))
    gemm = blas.get_blas_funcs("gemm", dtype=theta.dtype)
    step = net.functions["cost_and_step"](X, Y, *net.layout.views(theta), LAM, parts, 0.25, gemm)
    assert step() == pytest.approx(J, rel=1e-12 if dtype == "float64" else 1e-5)
    np.testing.assert_allclose(
        theta, expected, rtol=1e-11 if dtype == "float64" else 1e-4, atol=1e-6 * (dtype == "float32")
    )


def test_unrolled_form_takes_any_number_without_an_error():
    net, params, X, Y = made((2, 2, 1), 4)
    theta, gradient = 1e200 * flat(params), np.empty(net.layout.length)
    theta[0] = np.nan
    make = net.functions["cost_and_gradient_unrolled"]
    run = make(X, Y, *net.layout.views(theta), LAM, net.layout.views(gradient), theta, gradient)
    assert np.isnan(run())


def test_blocks_and_whole_batch_agree():
    net, params, X, Y = made(rows=100)
    functions, results = net.functions, []
    for rows in (None, 1, 7, 100, 1000):
        out = [np.empty_like(p) for p in params.values()]
        arrays = [X, Y, *params.values()]
        if rows is None:
            J = functions["cost_and_gradient_for"](*arrays)(*arrays, LAM, *out)
        else:
            work = functions["cost_and_gradient_blocks_work"](*arrays, rows)
            J = functions["cost_and_gradient_blocks"](*arrays, LAM, out, work)
        results.append(np.concatenate([[J], *(o.ravel() for o in out)]))
    for other in results[1:]:
        np.testing.assert_allclose(other, results[0], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cost", ["cross_entropy", "softmax_cross_entropy"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.filterwarnings("error")
def test_saturated_units_give_finite_numbers(backend, cost, dtype):
    net, params, X, Y = made(cost=cost, backend=backend, dtype=dtype)
    loud = {name: np.asarray(3e3 * p, dtype) for name, p in params.items()}
    J, grads = net(loud, X, Y, lam=0.0)
    assert np.isfinite(J) and all(np.isfinite(g).all() for g in grads.values())
    J64 = made(cost=cost)[0]({k: v.astype(float) for k, v in loud.items()}, X, Y, lam=0.0)[0]
    assert pytest.approx(J64, rel=1e-4) == J


@pytest.mark.parametrize("backend", BACKENDS)
def test_single_precision_is_close_to_double(backend):
    net, params, X, Y = made((20, 30, 10), 50, backend=backend, dtype="float32")
    exact = made((20, 30, 10), 50)[0].flat(flat(params).astype(float), X, Y, lam=LAM)[1]
    g = net.flat(flat(params), X, Y, lam=LAM)[1]
    assert g.dtype == np.float32
    assert np.abs(g - exact).max() <= 1e-5 * np.abs(exact).max()


@pytest.mark.parametrize("backend", BACKENDS)
def test_epoch_is_gradient_descent(backend):
    net, params, X, Y = made(rows=10, backend=backend)
    theta, expected = flat(params), flat(params)
    order = np.random.default_rng(0).permutation(10)
    costs = []
    for start in range(0, 10, 4):
        some = order[start : start + 4]
        J, g = made()[0].flat(expected, X[some], Y[some], lam=LAM)
        costs.append(J)
        expected = expected - 0.5 * g
    mean = net.epoch(theta, X, Y, order=order, batch=4, rate=0.5, lam=LAM)
    assert mean == pytest.approx(np.average(costs, weights=[4, 4, 2]), rel=1e-12)
    np.testing.assert_allclose(theta, expected, rtol=1e-11)


def test_jax_agrees():
    jax = pytest.importorskip("jax")
    net, params, X, Y = made(backend="jax", activation="gelu", prime="f_prime")
    reference = made(activation="gelu", prime="f_prime")[0]
    J, g = net.flat(flat(params), X, Y, lam=LAM)
    J0, g0 = reference.flat(flat(params), X, Y, lam=LAM)
    assert pytest.approx(J0, rel=1e-13) == J
    np.testing.assert_allclose(g, g0, rtol=1e-11, atol=1e-15)
    with jax.enable_x64(True):
        # Two shards of different rows: the mean of the data's parts, plus the penalty of the whole batch once.
        halves = [
            net.functions["data_cost_and_gradient"](X[a:b], Y[a:b], *params.values()) for a, b in ((0, 3), (3, 6))
        ]
        penalty = net.functions["penalty_and_gradient"](*params.values(), LAM, 6)
        total = [float(((a + b) / 2 + p).sum()) for a, b, p in zip(*halves, penalty, strict=True)]
        whole = net.functions["cost_and_gradient"](X[:6], Y[:6], *params.values(), LAM)
        np.testing.assert_allclose(total, [float(v.sum()) for v in whole], rtol=1e-12)


@pytest.mark.parametrize(
    "change", [np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2], lambda a: a.astype(np.float32)]
)
def test_any_layout_and_type_is_converted(change):
    net, params, X, Y = made()
    X = X.astype(np.float32).astype(float)
    X.flags.writeable = False
    assert net(params, change(X), Y, lam=LAM)[0] == net(params, X, Y, lam=LAM)[0]
    assert net(params, np.round(X).astype(int), Y > 0, lam=LAM)[0] == net(params, np.round(X), Y, lam=LAM)[0]
    assert (
        net(params, X.astype(np.float16), Y, lam=LAM)[0]
        == net(params, X.astype(np.float16).astype(float), Y, lam=LAM)[0]
    )


def test_results_are_not_overwritten_by_the_next_call():
    net, params, X, Y = made()
    _, first = net(params, X, Y, lam=LAM)
    kept = {k: v.copy() for k, v in first.items()}
    net(params, 2 * X, Y, lam=LAM)
    assert all((first[k] == kept[k]).all() for k in kept)


def test_a_plain_call_like_the_one_before_enters_few_functions():
    """For few numbers each function that Python enters costs as much as an addition of arrays."""
    net, params, X, Y = made()
    first = net(params, X, Y, lam=LAM)
    entered = []
    sys.setprofile(lambda frame, event, _: entered.append(frame.f_code.co_name) if event == "call" else None)
    try:
        found = net(params, X, Y, lam=LAM)
    finally:
        sys.setprofile(None)
    assert entered == ["__call__", "quick", "run"]
    assert found[0] == first[0] and list(found[1]) == net.layout.names
    for name, gradient in found[1].items():
        np.testing.assert_array_equal(gradient, first[1][name])
        assert gradient.flags.owndata and gradient.flags.writeable and gradient.flags.c_contiguous


def test_a_call_with_one_vector_like_the_one_before_enters_few_functions():
    net, params, X, Y = made()
    theta = flat(params)
    first = net.flat(theta, X, Y, lam=LAM)
    entered = []
    sys.setprofile(lambda frame, event, _: entered.append(frame.f_code.co_name) if event == "call" else None)
    try:
        found = net.flat(theta, X, Y, lam=LAM)
    finally:
        sys.setprofile(None)
    assert entered == ["flat", "quick", "run"]
    assert found[0] == first[0] and found[1].flags.owndata
    np.testing.assert_array_equal(found[1], first[1])
    for bad in ((theta[1:], X, Y), (theta, X[:, 1:], Y), (theta, X, None), (theta + 0j, X, Y)):
        with pytest.raises(DataError):
            net.flat(*bad, lam=LAM)
    for numbers in ({"lam": True}, {"lam": None}, {"mu": LAM}, {}):
        with pytest.raises(DataError):
            net.flat(theta, X, Y, **numbers)


@pytest.mark.parametrize(("widths", "rows"), [((2, 2, 1), 4), ((3, 5, 4), 7)], ids=["unrolled", "bound"])
def test_bound_functions_take_other_data_by_name_only(widths, rows):
    """So a plain call needs no copy of the data, whatever its layout, and nothing is taken for it by mistake."""
    net, params, X, Y = made(widths, rows)
    theta = flat(params)
    run = net.bind(theta, X, Y, out=np.empty_like(theta), lam=LAM)
    other = np.asfortranarray(2 * X)
    expected = net.bind(theta, 2 * X, Y, out=np.empty_like(theta), lam=LAM)()
    for _ in range(2):
        assert run(x=other, y=Y) == pytest.approx(expected, rel=1e-14)
        assert net(params, other, Y, lam=LAM)[0] == pytest.approx(expected, rel=1e-14)
        assert net(params, X, Y, lam=LAM)[0] == run()
    with pytest.raises(TypeError):
        run(theta)


BAD = {
    "columns": (
        lambda P, X, Y: (P, X[:, :2], Y),
        r"X has 2 columns, the network's first layer has 3 units \(axis s_1\)",
    ),
    "classes": (
        lambda P, X, Y: (P, X, Y[:, :3]),
        r"Y has 3 columns, the network's last layer has 4 units \(axis s_3\)",
    ),
    "rows": (lambda P, X, Y: (P, X, Y[:1]), r"X has 7 rows, Y has 1 \(axis m, the examples\)"),
    "empty": (lambda P, X, Y: (P, X[:0], Y[:0]), r"X has no rows \(axis m"),
    "vector": (lambda P, X, Y: (P, X, Y[:, 0]), r"Y has the shape \(7,\), but \(m, s_3\) is needed"),
    "weights": (
        lambda P, X, Y: (P | {"W1": P["W1"].T}, X, Y),
        r"W1 has the shape \(3, 5\), but \(s_2, s_1\) = \(5, 3\) is needed",
    ),
    "bias row": (lambda P, X, Y: (P | {"b1": P["b1"][None]}, X, Y), r"b1 has the shape \(1, 5\)"),
    "missing": (lambda P, X, Y: ({k: v for k, v in P.items() if k != "b2"}, X, Y), "missing parameter b2"),
    "unknown": (lambda P, X, Y: (P | {"W3": X}, X, Y), "unknown parameter W3"),
    "complex": (lambda P, X, Y: (P, X + 0j, Y), "X has type complex128"),
    "words": (lambda P, X, Y: (P, X.astype(str), Y), "X has type <U"),
    "ragged": (lambda P, X, Y: (P, [[1, 2, 3], [1, 2]], Y), "X is not an array: its rows have different lengths"),
    "masked": (lambda P, X, Y: (P, np.ma.masked_array(X, X > 0), Y), "X is a masked array"),
    "nothing": (lambda P, X, Y: (P, None, Y), "X is NoneType, but its entries are real numbers"),
    "labels": (lambda P, X, Y: (P, X, np.arange(7) % 4), r"Y has the shape \(7,\)(.|\n)*np\.eye\(4\)\[Y\]"),
    "list": (lambda P, X, Y: (list(P.values()), X, Y), "a dictionary of parameters is needed, not list"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arrays_are_named(name):
    change, message = BAD[name]
    net, *arguments = made()
    with pytest.raises(DataError, match=message):
        net(*change(*arguments), lam=LAM)


@pytest.mark.parametrize("backend", BACKENDS)
def test_arrays_are_looked_at_after_a_good_call(backend):
    """A second call looks at its arrays in another way, which must refuse and convert the same."""
    net, params, X, Y = made(backend=backend)
    good = net(params, X, Y, lam=LAM)
    for change, message in BAD.values():
        with pytest.raises(DataError, match=message):
            net(*change(params, X, Y), lam=LAM)
    for numbers in ({}, {"lam": "1"}, {"lam": True}, {"mu": 1.0}):
        with pytest.raises(DataError, match="hyper-parameter"):
            net(params, X, Y, **numbers)
    turned = {k: np.asfortranarray(p) for k, p in params.items()}
    apart = np.repeat(X, 2, axis=1)[:, ::2]
    odd = np.empty(X.nbytes + 1, np.uint8)[1:].view(X.dtype).reshape(X.shape)
    odd[...] = X
    other = (params, np.concatenate([X, X]), np.concatenate([Y, Y]))
    for arguments in (
        (params, X, Y), (turned, X, Y), (params, apart, Y), (params, odd, Y), (params, X.tolist(), Y),
        (params, X.astype(">f8"), Y), other, (dict(reversed(params.items())), X, Y), (params, X, Y),
    ):  # fmt: skip
        J, gradients = net(*arguments, lam=LAM)
        assert list(gradients) == list(params) and np.isfinite(J)
        if arguments is not other:
            assert pytest.approx(good[0], rel=1e-14) == J
            for name, gradient in gradients.items():
                np.testing.assert_allclose(gradient, good[1][name], rtol=1e-12, atol=1e-15)
    assert net(params, X, Y, lam=2.0)[0] > good[0]
    assert np.isnan(net(params, np.full_like(X, np.nan), Y, lam=LAM)[0])
    assert net(params, X, Y, lam=LAM)[0] == good[0]


def test_bad_numbers_and_vectors_are_named():
    net, params, X, Y = made()
    theta = flat(params)
    for call, message in (
        (lambda: net(params, X, Y), "missing hyper-parameter lam"),
        (lambda: net(params, X, Y, lam=1.0, mu=2.0), "unknown hyper-parameter mu"),
        (lambda: net(params, X, Y, lam="1"), "hyper-parameter lam must be a number, not str"),
        (lambda: net.flat(theta[:-1], X, Y, lam=1.0), r"theta has the shape \(43,\), but \(44,\) is needed"),
        (lambda: net.flat(theta, X, Y, lam=1.0, out=theta), "out shares memory with an input"),
        (lambda: aliased_epoch(net), "theta shares memory with X or Y"),
        (lambda: net.flat(theta, X, Y, lam=1.0, out=np.empty(3)), "out must be a writable contiguous float64 array"),
        (
            lambda: net.bind(theta.astype(np.float32), X, Y, out=theta.copy(), lam=1.0),
            "theta must be a contiguous float64",
        ),
        (lambda: net.epoch(theta, X, Y, order=[7], batch=2, rate=0.1, lam=1.0), "order names row 7, but X has 7 rows"),
        (lambda: net.epoch(theta, X, Y, order=[0], batch=2, rate="x", lam=1.0), "rate must be a number, not str"),
        (lambda: net.epoch(theta, X, Y, order=[0], batch=0, rate=0.1, lam=1.0), "batch must be a whole number"),
        (lambda: net.epoch(theta, X, Y, order=[0], batch=2.5, rate=0.1, lam=1.0), "batch must be a whole number"),
    ):
        with pytest.raises(DataError, match=message):
            call()
    with pytest.raises(UnsupportedError, match="unknown backend 'nunpy'"):
        made(backend="nunpy")
    with pytest.raises(UnsupportedError, match="no code for dtype 'float16'"):
        made(dtype="float16")


def test_open_widths_are_read_from_the_parameters():
    net = compile_network(*nets.network(3), ("s_1", "s_2", "s_3"))
    fixed, params, X, Y = made()
    assert net(params, X, Y, lam=LAM)[0] == pytest.approx(fixed(params, X, Y, lam=LAM)[0], rel=1e-14)
    with pytest.raises(DataError, match="b1 has size 4 along axis s_2, but W1 has 5"):
        net(params | {"b1": np.ones(4)}, X, Y, lam=LAM)
    with pytest.raises(UnsupportedError, match="a flat vector needs the width of every layer"):
        net.flat(flat(params), X, Y, lam=LAM)


@pytest.mark.parametrize("backend", [*BACKENDS, "jax"])
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("where", ["X", "Y", "W1"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_nan_passes_through(backend, activation, where, dtype):
    if backend == "jax":
        pytest.importorskip("jax")
    net, params, X, Y = made(backend=backend, activation=activation, prime="f_prime", dtype=dtype)
    given = {"X": X.copy(), "Y": Y.copy(), "W1": params["W1"].copy()}
    given[where][0, 0] = np.nan
    J, grads = net({**params, "W1": given["W1"]}, given["X"], given["Y"], lam=LAM)
    assert np.isnan(J)
    assert any(np.isnan(g).any() for g in grads.values())
    assert np.isnan(net.cost({**params, "W1": given["W1"]}, given["X"], given["Y"], lam=LAM))


def test_source_is_readable_numpy(tmp_path):
    source = made()[0].source
    imported = [
        a.name for s in ast.walk(ast.parse(source)) if isinstance(s, ast.Import | ast.ImportFrom) for a in s.names
    ]
    assert imported == ["math", "numpy"]  # math for the form in plain numbers, which wide nets do not have
    path = tmp_path / "generated.py"
    path.write_text(source)
    subprocess.run([sys.executable, "-m", "ruff", "check", "--isolated", "-q", str(path)], check=True)


def test_importing_codegen_loads_no_backend():
    code = "import sys, symbackprop.codegen; print({'jax', 'ctypes.util', 'scipy.linalg', 'subprocess'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "jax" not in result.stdout and "scipy" not in result.stdout


def test_numpy_takes_over_without_a_compiler(monkeypatch):
    def none():
        raise c_build.CompilerError("no C compiler found")

    monkeypatch.setattr(c_build, "compiler", none)
    c_build.build.cache_clear()
    with pytest.warns(RuntimeWarning, match="NumPy takes over: no C compiler found"):
        net, params, X, Y = made((3, 6, 4), backend="c")
    assert net.backend == "numpy" and np.isfinite(net(params, X, Y, lam=LAM)[0])


def test_failing_compiler_keeps_its_message(monkeypatch, tmp_path):
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'kernel.c:1: no such luck' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setattr(c_build, "compiler", lambda: str(compiler))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    c_build.build.cache_clear()
    with pytest.raises(c_build.CompilerError, match="no such luck"):
        c_build.build("int x;")


def test_cache_that_cannot_be_written_is_passed_over(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    c_build.build.cache_clear()
    net, params, X, Y = made((3, 7, 4), backend="c")
    assert net.backend == "c" and np.isfinite(net(params, X, Y, lam=LAM)[0])


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_two_processes_may_build_the_same_kernel_at_once(tmp_path):
    code = "from symbackprop.codegen.c.build import build; print(build('int seven(void) { return 7; }').seven())"
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    first, second = (process.communicate(timeout=60)[0] for process in running)
    assert first.strip() == second.strip() == "7"
    assert len(list((tmp_path / "symbackprop").iterdir())) == 1  # one library, no half-built rests


@pytest.mark.parametrize(("widths", "rows"), [((300, 250, 3), 7), ((90_000, 2), 3), ((400, 25, 10), 1030)])
def test_large_matrices_get_their_penalty_some_rows_at_a_time(widths, rows):
    """Weights of more numbers than one part of `add_multiple`, and a last part that is shorter."""
    net, params, X, Y = made(widths, rows)
    J, grads = net(params, X, Y, lam=LAM)
    plain = net.functions["cost_and_gradient"](X, Y, *params.values(), LAM)
    assert pytest.approx(plain[0], rel=1e-12) == J
    for found, expected in zip(grads.values(), plain[1:], strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


def test_each_gradient_comes_as_soon_as_its_error_term_is_there():
    net, *_ = made((3, 6, 5, 4))
    text = net.source[net.source.index("def cost_and_gradient_for(") :]
    places = [text.index(f"# {name}[") for name in ("delta4", "dJ_dW3", "delta3", "dJ_dW2", "delta2", "dJ_dW1")]
    assert places == sorted(places)
    step = net.source[net.source.index("def cost_and_step(") :]  # W3 changes there, so delta3 must come first
    assert step.index("# delta3[") < step.index("# dJ_dW3[")
