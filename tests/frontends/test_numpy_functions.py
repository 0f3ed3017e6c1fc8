"""NumPy's public functions: what is put together of others gives what NumPy gives; all else is refused by its name."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from symbackprop.errors import TraceError
from symbackprop.evaluation.exact import evaluate
from symbackprop.frontends.numpy.errors import NeedsConcreteSizes
from symbackprop.frontends.numpy.traced import trace

ROOT = Path(__file__).parents[2]
TABLE = runpy.run_path(str(ROOT / "docs" / "numpy_table.py"))
SHAPES = {"x": ("N", "D"), "y": ("N", "D"), "b": ("D",), "k": ("N",), "q": ("N", "2", "D"), "m": (3, 3), "v": ("N", 3),
          "u": ("N", 3), "s": ("H", "H"), "f": ("N", 4), "a": ()}  # fmt: skip
SHAPES["q"] = ("N", 2, "D")
SIZES = ({"N": 4, "D": 3, "H": 4}, {"N": 2, "D": 5, "H": 2})


def filled(s):
    out = s + 0
    np.fill_diagonal(out, 2.0)
    return out


def filled_by_entries(x, a):
    out = x * a
    np.fill_diagonal(out[:2, :2], np.array([1.5, 2.5]))
    return out


def filled_wide(m, b):
    wide = np.zeros((3, 4)) + m[0, 0]
    np.fill_diagonal(wide, b[0])
    tall = np.zeros((4, 3)) + m[0, 0]
    np.fill_diagonal(tall, b[0])
    return wide @ tall


def copied(x, y):
    out = np.zeros_like(x)
    np.copyto(out, y, where=x > 0)
    np.putmask(out, y > 1, 3.0)
    return out


def softmax(row):
    e = np.exp(row - row.max())
    return e / e.sum()


def larger(v, w):
    return max(v, w)


def squared_if_positive(v):
    return v * v if v > 0 else 0.0


def repeated_assignment(x):
    out = np.zeros(3)
    out[np.array([[0, 1], [1, 0]])] = x[:2, :2]
    return out


EXACT = {
    "fill_diagonal": filled, "fill_diagonal of a view": filled_by_entries, "fill_diagonal of others": filled_wide,
    "flipud": lambda x: np.flipud(x) * 1, "fliplr": lambda x: np.fliplr(x) + 0, "rot90": lambda x: np.rot90(x) + 0,
    "rot90 thrice": lambda x: np.rot90(x, 3) + 0, "rot90 twice": lambda x: np.rot90(x, 2) + 0,
    "dstack": lambda x, y: np.dstack([x, y]), "atleast_3d": lambda b: np.atleast_3d(b) + 0,
    "atleast_2d of several": lambda b, k: np.atleast_2d(b, k)[1] * 1,
    "atleast_1d of several": lambda a, k: np.atleast_1d(a, k)[0] * 1, "rollaxis": lambda q: np.rollaxis(q, 2) + 0,
    "triu_indices_from": lambda s: s[np.triu_indices_from(s, 1)].sum(), "cross": lambda v, u: np.cross(v, u),
    "trapezoid": lambda x: np.trapezoid(x), "cumprod": lambda f: np.cumprod(f, axis=1), "cov": lambda f: np.cov(f.T),
    "det": lambda m: np.linalg.det(m), "inv": lambda m: np.linalg.inv(m), "solve": lambda m: np.linalg.solve(m, m[0]),
    "slogdet": lambda m: np.linalg.slogdet(m)[1], "cholesky": lambda m: np.linalg.cholesky(m @ m.T), "copyto": copied,
    "select": lambda x: np.select([x > 1, x > 0], [x * x, x], -1.0), "deg2rad": lambda x: np.deg2rad(x),
    "degrees": lambda x: np.degrees(x), "arcsinh": lambda x: np.arcsinh(x), "arctanh": lambda x: np.arctanh(np.tanh(x)),
    "arccosh": lambda x: np.arccosh(1 + x * x), "vecdot": lambda v, u: np.vecdot(v, u),
    "matvec": lambda m, v: np.matvec(m, v), "vecmat": lambda m, v: np.vecmat(v, m),
    "polyval": lambda x: np.polyval([1.0, 2.0, 3.0], x), "matrix_power": lambda m: np.linalg.matrix_power(m, 3),
    "vector_norm": lambda x: np.linalg.vector_norm(x), "logaddexp2": lambda x, y: np.logaddexp2(x, y),
    "extract": lambda x: np.extract(x > 0, x).sum(), "compressed mean": lambda x: x[x > 0].sum() + (x[x < 0] ** 2).sum(),
    "apply_along_axis": lambda x: np.apply_along_axis(softmax, 1, x),
    "apply_along_axis 0": lambda x: np.apply_along_axis(np.sum, 0, x),
    "apply_along_axis of three": lambda q: np.apply_along_axis(softmax, 1, q),
    "vectorize": lambda x: np.vectorize(squared_if_positive, otypes=[float])(x),
    "vectorize of two": lambda x, y: np.vectorize(larger, otypes=[float])(x, y),
    "meshgrid": lambda b, k: np.meshgrid(b, k)[0] * np.meshgrid(b, k)[1],
    "meshgrid ij": lambda b, k: np.meshgrid(b, k, indexing="ij")[1] + 0, "indices": lambda x: np.indices(x.shape)[1] * x,
    "fromfunction": lambda x: np.fromfunction(lambda i, j: i - j, x.shape) * x,
    "ix_": lambda s: s[np.ix_([0, 1], [1, 0])] + 0, "repeated places": repeated_assignment,
    "unstack": lambda v: np.unstack(v, axis=1)[2] * 1, "real": lambda x: np.real(x) * np.conj(x),
    "divmod": lambda x: x * np.divmod(x.shape[0] * 7, 3)[0], "diag_indices_from": lambda s: s[np.diag_indices_from(s)] * 1,
    "flatnonzero": lambda b: b[np.flatnonzero(b > 0)].sum(), "cumulative_sum": lambda b: np.cumulative_sum(b),
    "correlate": lambda k, m: np.correlate(k, m[0, :2]), "correlate turned": lambda k, m: np.correlate(m[0, :2], k, "full"),
    "correlate same": lambda k, m: np.correlate(k, m[0, :2], "same") + np.correlate(m[0, :1], k, "same"),
    "convolve": lambda k, m: np.convolve(k, m[0, :2]), "convolve turned": lambda k, m: np.convolve(m[0, :2], k, "valid"),
    "convolve same": lambda k, m: np.convolve(k, m[0, :2], mode="same") + np.convolve(m[0, :1], k, "same"),
    "convolve with a number": lambda k: np.convolve(k, 2.0), "cbrt": lambda x: np.cbrt(x),
    "sinc": lambda x: np.sinc(x) + np.sinc(x * 0), "vander": lambda k: np.vander(k, 3) * np.vander(k, N=3, increasing=True),
    "ediff1d": lambda x, a: np.ediff1d(x, to_end=a),
    "c_": lambda k, v: np.c_[np.ones(len(k)), k, v, v[:, 0:1]], "c_ of one axis": lambda b: np.c_[b] * 1,
    "r_": lambda b, k, a: np.r_[b, 1, a, 2 * k], "r_ of rows": lambda v, m: np.r_[v, m],
    "s_": lambda q: q[np.s_[:, 1, ::-1]] + 0, "index_exp": lambda x: x[np.index_exp[0]] * 1,
    "logaddexp.accumulate": lambda x: np.logaddexp.accumulate(x, axis=1) + np.logaddexp.accumulate(x),
    "linalg.trace": lambda s: np.linalg.trace(s) + np.linalg.diagonal(s).sum(),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_trace_gives_what_the_function_gives(name):
    function = EXACT[name]
    names = list(function.__code__.co_varnames[: function.__code__.co_argcount])
    for seed, sizes in enumerate(SIZES):
        rng = np.random.default_rng(seed)
        inputs = {n: rng.standard_normal(tuple(sizes.get(k, k) for k in SHAPES[n])) for n in names}
        shapes = {n: SHAPES[n] for n in names}
        symbols = dict.fromkeys(k for shape in shapes.values() for k in shape if isinstance(k, str))
        program = trace(function, shapes, where=", ".join(f"{k} >= 2" for k in symbols))
        used = {n.name for n in program.sizes}
        found = evaluate(program, {n: v for n, v in sizes.items() if n in used}, inputs)
        expected = function(**{n: v.copy()[()] for n, v in inputs.items()})
        got = np.asarray(found[program.outputs[0].name], float)
        assert got.shape == np.shape(expected)
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: np.fill_diagonal(x.sum(0), 1), "at least 2-d"),
        (lambda s: np.fill_diagonal(s, 1, wrap=True), "np.fill_diagonal with wrap="),
        (lambda x: np.vectorize(squared_if_positive)(x), "np.vectorize without otypes=[float]"),
        (lambda x: np.prod(x), "np.prod over an axis of symbolic size"),
        (lambda q: np.linalg.solve(q, q), "np.linalg.solve of several systems"),
        (lambda x: np.cross(x, x), "np.cross of vectors with other than three entries"),
        (lambda m: np.linalg.matrix_power(m, -1), "np.linalg.matrix_power with the exponent -1"),
        (lambda m: np.linalg.det(m[:2]), "not square"),
        (lambda q: q[np.diag_indices_from(q)], "np.diag_indices_from of an array whose axes differ"),
    ],
)
def test_arguments_that_no_formula_takes_are_refused(function, message):
    names = list(function.__code__.co_varnames[: function.__code__.co_argcount])
    with pytest.raises((TraceError, NeedsConcreteSizes)) as caught:
        result = trace(lambda **given: function(**given), {n: SHAPES[n] for n in names})
        assert result is None
    assert message in str(caught.value)


def test_table_in_the_docs_is_true():
    written = (ROOT / "docs" / "numpy.md").read_text(encoding="utf-8")
    if TABLE["asked_of"]() not in written:
        pytest.skip("the page speaks of another version of NumPy")
    assert TABLE["page"]() == written, "run python docs/numpy_table.py"


@pytest.mark.parametrize("module", ["numpy", "linalg"])
def test_every_public_function_is_exact_or_refused_by_name(module):
    real = np if module == "numpy" else np.linalg
    namespace = TABLE["MODULES"]["numpy"] if module == "numpy" else TABLE["MODULES"]["numpy"].linalg
    found = TABLE["table"](real, namespace)
    shown = "np." if module == "numpy" else "linalg."
    for name in found["refused"]:

        def calls(x, name=name):
            return getattr(real, name)(x)

        with pytest.raises(TraceError) as caught:
            trace(calls, {"x": ("N", "D")})
        assert f"{shown}{name} cannot be traced" in str(caught.value), name
