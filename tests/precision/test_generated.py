"""Generated code obeys what is asked of users: every program here is searched in both dtypes, on NumPy."""

import ast
import runpy
import sys
import types
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from thinning import EVERYTHING

import symbackprop as sb
from symbackprop.precision.generated import precision_of_code


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def ratio(x):
    e = np.exp(x)
    return e / (1 + e)


def tanh(x):
    return np.tanh(x)


def softplus(x):
    return np.log(1 + np.exp(x))


def expm1(x):
    return np.expm1(np.minimum(x, 80))


def log1p(x):
    return np.log1p(x**2)


def silu(x):
    return x / (1 + np.exp(-x))


def log_sum_exp(z):
    return np.log(np.exp(z).sum(axis=1))


def softmax(z):
    e = np.exp(z)
    return e / e.sum(axis=1, keepdims=True)


def masked_softmax(z):
    e = np.exp(z) * np.tril(np.ones((len(z), len(z))))
    return e / e.sum(axis=1, keepdims=True)


def weighted_softmax(z, mask):
    e = np.exp(z) * mask
    return e / e.sum(axis=1, keepdims=True)


def log_of_weighted(z, w):
    e = np.exp(z) * w
    return np.log(e.sum(axis=1))


def softmax_of_all(z):
    e = np.exp(z)
    return e / e.sum()


def both_ways(z):
    e = np.exp(z)
    return np.log(e.sum(axis=0)).sum() + np.log(e.sum(axis=1)).sum()


def log_of_others(z, y):
    e = np.exp(z)
    others = np.arange(z.shape[1]) != y[:, None]
    return np.log((e * others).sum(axis=1))


def log_cosh(x):
    return np.log(np.cosh(x))


def cross_entropy(z, y):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return -(y * np.log(e / e.sum(axis=1, keepdims=True))).sum(axis=1)


def binary_cross_entropy(z, y):
    p = 1 / (1 + np.exp(-z))
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum()


def logaddexp(a, b):
    return np.log(np.exp(a) + np.exp(b))


PROGRAMS = [
    (sigmoid, {"x": ("N",)}, {}),
    (ratio, {"x": ("N",)}, {}),
    (tanh, {"x": ("N",)}, {}),
    (softplus, {"x": ("N",)}, {}),
    (expm1, {"x": ("N",)}, {}),
    (log1p, {"x": ("N",)}, {}),
    (silu, {"x": ("N",)}, {}),
    (log_sum_exp, {"z": ("N", "C")}, {}),
    (softmax, {"z": ("N", "C")}, {}),
    (masked_softmax, {"z": ("N", "N")}, {}),
    (log_of_weighted, {"z": ("N", "C"), "w": ("N", "C")}, {"w": "pos"}),
    (softmax_of_all, {"z": ("N", "C")}, {}),
    (both_ways, {"z": ("N", "C")}, {}),
    (log_cosh, {"x": ("N",)}, {}),
    (cross_entropy, {"z": ("N", "C"), "y": ("N", "C")}, {}),
    (binary_cross_entropy, {"z": ("N",), "y": ("N",)}, {"y": "bern"}),
    (logaddexp, {"a": ("N",), "b": ("N",)}, {}),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("function", "shapes", "assume"), PROGRAMS, ids=[f.__name__ for f, _, _ in PROGRAMS])
def test_compiled_gradients_are_safe(function, shapes, assume, dtype):
    beside_largest = function is cross_entropy  # log(p) of a p that is nearly 1, beside those of all others
    found = precision_of_code(sb.trace(function, shapes, assume), dtype, beside_largest=beside_largest)
    if function in (softmax, masked_softmax, softmax_of_all) and found.safe is False:  # docs/precision.md says where
        lost = abs(found.computed - float(found.exact))
        assert lost <= 8 * np.finfo(dtype).eps * abs(found.witness["dout"]).max(), found.text
    else:
        assert found.safe is True, found.text


def test_what_a_weight_of_zero_hides_may_be_large():
    z, mask = np.array([[1000.0, 999.0, 5000.0], [-1000.0, 0.0, -1001.0]]), np.array([[1.0, 1, 0], [1, 0, 1]])
    dout, p = np.array([[1.0, 2, 3], [4, 5, 7]]), 1 / (1 + np.exp([-1.0, 1.0]))
    shapes = {"z": ("N", "C"), "mask": ("N", "C")}
    found = sb.compile(sb.trace(weighted_softmax, shapes, {"mask": "bern"}))(z=z, mask=mask, dout=dout)["z_bar"]
    slope = p[0] * p[1]
    np.testing.assert_allclose(found, [[-slope, slope, 0], [-3 * slope, 0, 3 * slope]], rtol=1e-12)
    z, y = np.array([[1000.0, 999.0, 5000.0]]), np.array([2])
    code = sb.compile(sb.trace(log_of_others, {"z": ("N", "C"), "y": ("N",)}, {"y": "labels:C"}))
    np.testing.assert_allclose(code(z=z, y=y, dout=np.ones(1))["z_bar"], [[*p, 0]], rtol=1e-12)


# What the gallery derives and the benchmarks measure. Units that are saturated beyond exp(-709), in float32 exp(-88),
# count as that; hence the ranges.
ROOT = Path(__file__).resolve().parents[2]
GALLERY = sorted(p for p in ROOT.glob("derivations/*/*.py") if p.name != "claim.py" and p.parent.name != "build")
LAYERS = ("LayerNorm", "RMSNorm", "BatchNorm", "GELU", "SwiGLU", "softmax cross-entropy", "attention", "GRU cell")
SAMPLE = {"15_layernorm", "13_logistic_regression", "14_softmax_cross_entropy", "GELU"}
RANGE, WEIGHTS = (-9.0, 9.0), (-2.0, 2.0)


def subjects():
    """(a name, the function that traces it) of every function."""
    for path in GALLERY:
        file = runpy.run_path(str(path))
        options = {n: file.get(n.upper()) for n in ("shapes", "assume", "where")}
        yield path.parent.name, partial(sb.trace, file["forward"], **options)
    layers = load_layers()
    for name in LAYERS:
        layer = layers[name]
        yield name, partial(layer.traced, layer.sizes[0])


def load_layers():
    """The layers of benchmarks/layers.py, without what it needs to measure them."""
    source = (ROOT / "benchmarks" / "layers.py").read_text()
    tree = ast.parse(source)
    kept = [
        n
        for n in tree.body
        if not (
            isinstance(n, ast.Import | ast.ImportFrom)
            and "symbackprop" not in ast.dump(n)
            and any(m in ast.dump(n) for m in ("cases", "hand_written", "layer_peers", "measure", "processor"))
        )
    ]
    module = types.ModuleType("layers_of_the_benchmarks")
    module.__file__ = str(ROOT / "benchmarks" / "layers.py")
    sys.modules[module.__name__] = module
    exec(compile(ast.Module(kept, []), module.__file__, "exec"), vars(module))
    return module.LAYERS


def cases():
    for name, make in subjects():
        for dtype in ("float64", "float32"):
            marks = []
            if name not in SAMPLE and not EVERYTHING:
                marks.append(pytest.mark.skip(reason="runs with SYMBACKPROP_EVERYTHING=1"))
            yield pytest.param(make, dtype, id=f"{name}-{dtype}", marks=marks)


@pytest.mark.parametrize(("make", "dtype"), list(cases()))
def test_the_code_of_the_gallery_and_of_the_benchmarks_is_safe(make, dtype):
    program = make()
    ranges = {t.name: WEIGHTS if t.name[0] in "WU" else RANGE for t in program.inputs if t.kind == "real"}
    assumed = {a.tensor.name for a in program.assumptions}
    found = precision_of_code(program, dtype, {n: r for n, r in ranges.items() if n not in assumed})
    assert found.safe is True, found.text
