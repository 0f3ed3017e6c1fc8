"""What runs again and again: forms with buffers of their own, tidied statements, and which form runs."""

import json
import math
import os
import subprocess
import sys
import threading
import warnings

import mpmath
import numpy as np
import pytest

import symbackprop as sb
from symbackprop.cli import main
from symbackprop.codegen import choice
from symbackprop.codegen.c.build import compiler
from symbackprop.codegen.choice import Choices, choices, store, stored_at
from symbackprop.codegen.tune import limit
from symbackprop.errors import DataError, UnsupportedError


def has_compiler():
    try:
        return bool(compiler())
    except UnsupportedError:
        return False


BACKENDS = ["numpy", pytest.param("c", marks=pytest.mark.skipif(not has_compiler(), reason="no C compiler"))]


def layer_norm(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=-1, keepdims=True)
    var = ((x - mu) ** 2).mean(axis=-1, keepdims=True)
    return gamma * (x - mu) / np.sqrt(var + eps) + beta


def cross_entropy(z, y):
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -log_p[np.arange(len(y)), y].mean()


def swiglu(x, a, b):
    g = x @ a
    return g / (1 + np.exp(-g)) * (x @ b)


@pytest.fixture(scope="module")
def compiled():
    known = {}

    def get(forward, shapes, backend, dtype="float64", assume=None):
        key = forward.__name__, backend, dtype
        if key not in known:
            known[key] = sb.compile(sb.trace(forward, shapes=shapes, assume=assume), backend, dtype)
        return known[key]

    return get


NORM = {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}
LOGITS = {"z": ("N", "C"), "y": ("N",)}


def norm_inputs(n, d, seed=0, dtype="float64"):
    random = np.random.default_rng(seed)
    shapes = {"x": (n, d), "gamma": (d,), "beta": (d,), "dout": (n, d)}
    return {k: random.normal(size=s).astype(dtype) for k, s in shapes.items()}


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_layout_gives_the_same_numbers_in_fresh_arrays(compiled, backend):
    f, given = compiled(layer_norm, NORM, backend), norm_inputs(5, 7)
    first = f(**given)
    kept = {name: array.copy() for name, array in first.items()}
    room = np.zeros(5 * 7 * 8 + 1, np.uint8)
    unaligned = room[1:].view(np.float64).reshape(5, 7)
    unaligned[:] = given["x"]
    read_only = given["dout"].copy()
    read_only.flags.writeable = False
    others = [
        given | {"x": np.asfortranarray(given["x"])}, given | {"x": unaligned}, given | {"dout": read_only},
        given | {"x": np.repeat(given["x"], 2, axis=1)[:, ::2]}, given | {"gamma": given["gamma"].tolist()},
    ]  # fmt: skip
    for other in others:
        again = f(**other)
        for name, array in again.items():
            np.testing.assert_array_equal(array, kept[name])
            assert not np.shares_memory(array, first[name])
    f(**norm_inputs(5, 7, seed=1))
    assert all(np.array_equal(first[name], kept[name]) for name in kept)  # no later call writes into them
    with pytest.raises(DataError, match="x is empty"):
        f(**norm_inputs(0, 7))
    with pytest.raises(DataError, match="gamma has size 6"):
        f(**given | {"gamma": np.ones(6)})


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_types_and_what_was_broadcast_are_converted_and_nothing_is_broadcast(compiled, backend):
    f, given = compiled(layer_norm, NORM, backend), norm_inputs(5, 7)
    mixed = {"x": given["x"].astype("float32"), "dout": np.arange(35).reshape(5, 7), "beta": np.zeros(7, bool),
             "gamma": np.broadcast_to(2.0, 7)}  # fmt: skip
    expected = f(**{name: np.array(array, "float64") for name, array in mixed.items()})
    for name, array in f(**mixed).items():
        assert array.dtype == np.float64
        np.testing.assert_array_equal(array, expected[name])
    for bad in (np.ones(1), np.ones((1, 7)), 1.0):
        with pytest.raises(DataError, match=r"gamma has (size 1|2 axes|0 axes)"):
            f(**given | {"gamma": bad})


FORKED = """
import os, sys
import numpy as np
import symbackprop as sb
program = sb.trace(lambda x, w: np.tanh(x @ w), shapes={"x": ("N", "D"), "w": ("D", "M")})
random = np.random.default_rng(0)
given = {"x": random.normal(size=(90, 80)), "w": random.normal(size=(80, 70)), "dout": random.normal(size=(90, 70))}
for backend in ("numpy", "c"):
    f = sb.compile(program, backend)
    before = f(**given)
    child = os.fork()
    after = f(**given)
    same = all(np.array_equal(before[name], after[name]) for name in before)
    if not child:
        os._exit(0 if same else 1)
    assert same and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, backend
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_both_sides_of_a_fork_compute_the_same():
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=120, env=environment)


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_do_not_share_buffers(compiled, backend):
    f = compiled(layer_norm, NORM, backend)
    cases = [norm_inputs(40, 30, seed) for seed in range(4)]
    expected, wrong = [f(**given)["x_bar"] for given in cases], []

    def work(k):
        for _ in range(30):
            if not np.array_equal(f(**cases[k])["x_bar"], expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.filterwarnings("error")
def test_labels_are_places_and_those_out_of_range_are_named(compiled, backend):
    f = compiled(cross_entropy, LOGITS, backend, assume={"y": "labels:C"})
    random = np.random.default_rng(0)
    z, y = random.normal(size=(6, 40)), random.integers(0, 40, 6)
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    found = f(z=z, y=y)
    np.testing.assert_allclose(found["z_bar"], (p - np.eye(40)[y]) / 6, rtol=0, atol=1e-15)
    assert float(next(iter(found.values()))) == pytest.approx(-np.log(p[np.arange(6), y]).mean(), rel=1e-13)
    for bad in (-1, 40):
        with pytest.raises(DataError, match=f"y holds the label {bad}, but labels run from 0 to 39"):
            f(z=z, y=np.where(np.arange(6) == 3, bad, y))
    z[2, 17] = np.nan
    found = f(z=z, y=y)
    assert np.isnan(found["z_bar"][2]).all() and np.isfinite(np.delete(found["z_bar"], 2, axis=0)).all()
    assert np.isnan(float(next(iter(found.values()))))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.filterwarnings("error")
def test_an_exponential_that_overflows_leaves_a_gradient(compiled, backend, dtype):
    """exp(-g)/(1 + exp(-g))^2 is computed as s(1 - s)."""
    f = compiled(swiglu, {"x": ("N", "D"), "a": ("D", "H"), "b": ("D", "H")}, backend, dtype)
    x = np.array([[1.0], [-1.0]], dtype)
    found = f(x=x, a=np.full((1, 1), 2000, dtype), b=np.ones((1, 1), dtype), dout=np.ones((2, 1), dtype))
    assert all(np.isfinite(a).all() for a in found.values())


def root_of_positive(x):
    return np.where(x > 0, np.sqrt(x), 0.0)


def logarithm_or_line(x):
    return np.where(x > 0, np.log(x), x)


def elu(x):
    e = np.exp(x)
    return np.where(x < 0, e - 1, x)


@pytest.mark.parametrize("backend", [*BACKENDS, "jax"])
@pytest.mark.parametrize(
    ("forward", "slopes"),
    [
        (root_of_positive, [0.25, 0, 0, 1]),
        (logarithm_or_line, [0.25, 1, 1, 4]),
        (elu, [1, np.exp(-1), 1, 1]),
    ],
)
def test_the_slope_of_a_branch_that_is_not_taken_counts_for_nothing(forward, slopes, backend):
    if backend == "jax":
        pytest.importorskip("jax")
    f = sb.compile(sb.trace(forward, shapes={"x": ("N",)}), backend)
    x = np.array([4.0, -1.0, 0.0 if forward is not elu else 1000.0, 0.25])
    found = f(x=x, dout=np.ones(4))["x_bar"]
    np.testing.assert_allclose(found, slopes, rtol=1e-12)


def test_the_kept_form_computes_less_than_the_plain_one(compiled):
    source = compiled(swiglu, {"x": ("N", "D"), "a": ("D", "H"), "b": ("D", "H")}, "numpy").source
    kept = source[source.index("def compute_for(") :]
    assert "/ (" not in kept and kept.count("np.divide") == 1  # one reciprocal serves forward and backward
    norm = compiled(layer_norm, NORM, "numpy").source
    run = norm[norm.index("    def run(") :]
    assert ".ravel()" not in run  # J is a sum over what the gradients of gamma and beta are, not over the output


def centred(x, w):
    c = x - x.mean(axis=0)
    return c * w / np.sqrt((c * c).mean(axis=0) + 1e-5)


def test_what_is_read_again_is_made_once_and_outputs_are_made_in_place(compiled):
    norm = compiled(centred, {"x": ("N", "D"), "w": ("D",)}, "numpy").source
    run = norm[norm.index("    def run(") :]
    assert run.count("(x, ") == 3  # run(x, ...), its sum over the rows, and c, once
    wide = [line for line in norm.splitlines() if line.endswith("= np.empty((N, D), DTYPE)")]
    assert len(wide) == 1  # beside x_bar, in which c lives


@pytest.mark.parametrize("backend", BACKENDS)
def test_equal_outputs_are_computed_once_each_in_an_array_of_its_own(compiled, backend):
    def forward(x, a, b):
        return x + a + b

    f = compiled(forward, {"x": ("N", "D"), "a": ("D",), "b": ("D",)}, backend)
    random = np.random.default_rng(0)
    given = {"x": random.normal(size=(6, 4)), "a": random.normal(size=4), "b": random.normal(size=4)}
    dout = random.normal(size=(6, 4))
    found = f(**given, dout=dout)
    for name in "ab":
        np.testing.assert_allclose(found[f"{name}_bar"], dout.sum(axis=0), rtol=0, atol=1e-14)
    assert not np.shares_memory(found["a_bar"], found["b_bar"])
    if backend == "numpy":
        run = f.source[f.source.index("    def run(") :]
        assert run.count(".dot(dout, ") == 1


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    choices.cache_clear()
    yield tmp_path
    choices.cache_clear()


def test_stored_choices_are_used(own_cache):
    assert choices() == choice.TABLE.get(choice.vectors(), choice.SHORT_VECTORS)
    store(Choices(few_multiplications=7, rows_in_block=0))
    assert choices().few_multiplications == 7 and choice.block_rows(5000, 1000, 1000) is None
    assert choice.bound_form(2, 3, 4) == "bound"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text[:40], "is ignored"),
        (lambda text: text.replace('"format": 1', '"format": 0'), "another version"),
        (lambda text: text.replace('"processor": "', '"processor": "other '), "another processor"),
        (lambda text: text.replace('"few_activations"', '"few"'), "lacks choices"),
        (lambda text: text.replace("1500", '"1500"'), "no whole number"),
        (lambda text: json.dumps([1]), "another version"),
    ],
)
def test_damaged_choices_are_ignored_with_a_reason(own_cache, change, reason):
    path = store(Choices())
    path.write_text(change(path.read_text()))
    with pytest.warns(RuntimeWarning, match=reason):
        assert choices() in choice.TABLE.values() or choices() == choice.SHORT_VECTORS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        choices()  # once
    assert stored_at() == path


def test_a_limit_makes_all_sizes_together_fastest():
    times = {4: {"new": 1.0, "old": 1.2}, 8: {"new": 1.1, "old": 1.0}, 16: {"new": 1.0, "old": 2.0}}
    assert limit(times) == 16
    assert limit({4: {"new": 2.0, "old": 1.0}}) == 0


def weighted(x, a, b, s):
    return ((x + a) * b * s).sum()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_term_without_an_index_counts_once_for_each_of_its_values(compiled, backend):
    f = compiled(weighted, {"x": ("N", "D"), "a": ("D",), "b": ("D",), "s": ()}, backend)
    random = np.random.default_rng(0)
    given = {"x": random.normal(size=(5, 3)), "a": np.ones(3), "b": np.arange(3.0), "s": np.array(2.0)}
    found = f(**given)
    assert float(next(iter(found.values()))) == pytest.approx(weighted(**given), rel=1e-13)
    np.testing.assert_allclose(found["a_bar"], 5 * 2 * given["b"], rtol=1e-13)


def test_tune_stores_what_it_finds_and_forgets_it(own_cache, monkeypatch, capsys):
    monkeypatch.setattr("symbackprop.codegen.tune.tuned", lambda observer: Choices(few_activations=9))
    for words, said in ((["tune"], "few_activations"), (["tune", "--forget"], "removed")):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 0 and said in capsys.readouterr().out
        choices.cache_clear()
        assert (choices().few_activations == 9) == (words == ["tune"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_outputs_are_written_where_they_are_wanted(compiled, backend):
    f = compiled(layer_norm, NORM, backend)
    random = np.random.default_rng(5)
    given = {n: random.normal(size=s) for n, s in {"x": (4, 3), "gamma": 3, "beta": 3, "dout": (4, 3)}.items()}
    fresh = f(**given)
    out = {"x_bar": np.full((4, 3), np.nan), "J": np.full((), np.nan), "beta_bar": np.empty(3)}
    found = f(**given, out=out)
    assert list(found) == list(fresh) and all((found[n] == fresh[n]).all() for n in fresh)
    assert all(found[n] is a for n, a in out.items()) and f(**given)["x_bar"] is not out["x_bar"]
    frozen = np.empty((4, 3))
    frozen.flags.writeable = False
    for bad, message in (
        ({"x_bar": np.empty((3, 4))}, r"writable contiguous float64 array of shape \(4, 3\)"),
        ({"x_bar": np.empty((4, 3), np.float32)}, "writable contiguous float64"),
        ({"x_bar": np.empty((3, 4)).T}, "writable contiguous float64"),
        ({"x_bar": frozen}, "writable contiguous float64"),
        ({"x_bar": [[0.0] * 3] * 4}, "writable contiguous float64"),
        ({"x_bar": given["dout"]}, "shares memory with dout"),
        ({"gamma_bar": out["beta_bar"], "beta_bar": out["beta_bar"]}, "shares memory with gamma_bar"),
        ({"x_bra": out["x_bar"]}, "out names 'x_bra', which is no output"),
        ([out["x_bar"]], "out is a dictionary of arrays"),
    ):
        with pytest.raises(DataError, match=message):
            f(**given, out=bad)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_input_may_be_called_out(compiled, backend):
    def doubled(out):
        return (2 * out).sum()

    found = compiled(doubled, {"out": ("N",)}, backend)(out=np.ones(3))
    assert found["out_bar"].tolist() == [2.0, 2.0, 2.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_arguments_are_looked_at_after_a_good_call(compiled, backend):
    """A second call looks at them in another way, which must refuse and convert the same."""
    f, random = compiled(cross_entropy, LOGITS, backend, assume={"y": "labels:C"}), np.random.default_rng(3)
    z, y = random.normal(size=(6, 5)), np.array([0, 4, 2, 2, 1, 3])
    good = f(z=z, y=y)
    bad = [
        ({"z": z}, "missing array y"), ({"z": z, "x": y}, "missing array y"), ({"z": z, "y": y, "k": 1.0}, "unknown"),
        ({"z": z, "y": y[:5]}, "y has size 5 along axis 0"), ({"z": z[0], "y": y}, "z has 1 axes"),
        ({"z": z + 0j, "y": y}, "complex128"), ({"z": z, "y": y * 1.0}, "its entries are integers"),
        ({"z": z, "y": y == 1}, "if they stand for 0 and 1"),
        ({"z": z, "y": y + 1}, "the label 5"), ({"z": z, "y": y - 1}, "the label -1"),
        ({"z": z[:, :4].copy(), "y": y}, "the label 4, but labels run from 0 to 3"), ({"z": z[:0], "y": y[:0]}, "empty"),
        ({"z": z, "y": y, "out": {"z_bar": z}}, "shares memory"),
    ]  # fmt: skip
    for given, message in bad:
        with pytest.raises(DataError, match=message):
            f(**given)
    apart, fixed = np.repeat(z, 2, axis=1)[:, ::2], z.copy()
    fixed.flags.writeable = False
    wide = np.concatenate([z, z]), np.concatenate([y, y])
    for other in (apart, fixed, np.asfortranarray(z), z.tolist(), z.astype(">f8"), z):
        for labels in (y, y.astype(np.int8), np.repeat(y, 3)[::3]):
            found = f(z=other, y=labels)
            assert f(z=wide[0], y=wide[1])["z_bar"].shape == (12, 5)
            for name in good:
                np.testing.assert_allclose(found[name], good[name], rtol=1e-13, atol=1e-16)
    assert np.isnan(f(z=np.full_like(z, np.nan), y=y)["z_bar"]).all()
    assert not np.shares_memory(f(z=z, y=y)["z_bar"], f(z=z, y=y)["z_bar"])


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gated(x, a, b):
    gate = 1 / (1 + np.exp(-x))
    return gate * a + (1 - gate) * b


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("forward", "names"), [(gelu, "x"), (gated, "xab")])
def test_one_exponential_serves_both_logistic_functions(compiled, forward, names, backend, dtype):
    """The slope of a saturated unit keeps its digits on both sides, also where the exponential alone would overflow."""
    f = compiled(forward, {n: ("N",) for n in names}, backend, dtype)
    run = f.source.split("def run")[-1] if backend == "numpy" else f.source.split("compute_with")[1]
    code = "".join(line for line in run.lower().splitlines() if line.strip()[:1] not in ("#", "/"))
    assert code.count("exp(") == 1 and "tanh(" not in code
    x = np.array([-2000.0, -40.0, -5.0, -1e-3, 0.0, 2.5, 30.0, 50.0, 2000.0]).astype(dtype)
    given = {n: x if n == "x" else np.linspace(1, 2, 9).astype(dtype) ** (k + 1) for k, n in enumerate(names)}
    found = f(**given, dout=np.ones(9, dtype))
    exact = slopes(forward, given)
    relative, least = (1e-12, 1e-300) if dtype == "float64" else (1e-5, 1e-33)
    np.testing.assert_allclose(found["x_bar"], exact, rtol=relative, atol=least)


def mixed(x, a, b):
    gate = 1 / (1 + np.exp(-(x @ a + b)))
    return gate * b + (1 - gate) * b * b


@pytest.mark.parametrize(("backend", "dtype"), [("numpy", "float64"), ("numpy", "float32"), ("c", "float32")])
def test_no_pass_turns_signs_for_an_exponential(compiled, backend, dtype):
    """The two logistic functions change places instead; each keeps its digits where it is small."""
    f = compiled(mixed, {"x": ("N", "D"), "a": ("D", "H"), "b": ("H",)}, backend, dtype)
    if backend == "numpy":
        assert "np.negative(" not in f.source.split("def run")[-1]
    x = np.array([-2000.0, -40.0, -5.0, -1e-3, 0.0, 2.5, 30.0, 50.0, 2000.0]).astype(dtype)[:, None]
    found = f(x=x, a=np.ones((1, 1), dtype), b=np.full(1, 0.5, dtype), dout=np.ones_like(x))
    with mpmath.workdps(50):
        slope = [mpmath.sech((mpmath.mpf(float(v)) + 0.5) / 2) ** 2 / 16 for v in x[:, 0]]
    relative, least = (1e-12, 1e-300) if dtype == "float64" else (1e-5, 1e-33)
    np.testing.assert_allclose(found["x_bar"][:, 0], np.array([float(s) for s in slope]), rtol=relative, atol=least)


def squashed(x, a):
    return np.tanh(x) * a


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("count", [1, 400], ids=["few", "many"])
def test_tanh_beside_its_slope_keeps_its_digits(compiled, backend, dtype, count):
    """By what its slope is made of, where that costs less; by itself near 0."""
    f = compiled(squashed, {"x": ("N",), "a": ("N",)}, backend, dtype)
    assert "tanh_beside(" in f.source.split("def run" if backend == "numpy" else "void compute_with")[1]
    some = [-2000, -40, -9, -1, -0.2500001, 0.25, 0.26, 0.6, 3, 19, 2000, np.inf, np.nan, -0.2499999, 1e-20, 0.0]
    x = np.tile(np.array(some, dtype), count)
    out = f(x=x, a=np.ones_like(x), dout=np.ones_like(x))
    with mpmath.workdps(30):
        tanh = np.array([float(mpmath.tanh(mpmath.mpf(float(v)))) for v in x[: len(some)]])
        sech = np.array([float(mpmath.sech(min(abs(mpmath.mpf(float(v))), 90)) ** 2) for v in x[: len(some)]])
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(out["a_bar"], np.tile(tanh, count), rtol=5 * eps)
    usual = np.abs(x) < 20
    np.testing.assert_allclose(out["x_bar"][usual], np.tile(sech, count)[usual], rtol=20 * eps)
    assert np.isnan(out["x_bar"][12]) and (out["x_bar"][np.abs(x) > 1000] < 1e-30).all()


def test_tanh_beside_its_slope_has_all_digits_in_single_precision(compiled):
    """NumPy's own costs no more there than what it is made of in double precision."""
    f = compiled(squashed, {"x": ("N",), "a": ("N",)}, "numpy", "float32")
    x = np.linspace(-2, 2, 8000, dtype=np.float32)
    out = f(x=x, a=np.ones_like(x), dout=np.ones_like(x))
    np.testing.assert_allclose(out["a_bar"], np.tanh(x.astype(float)), rtol=1.5 * np.finfo(np.float32).eps)


def slopes(forward, given):
    """Of out by x, to 50 digits."""
    with mpmath.workdps(50):
        points = zip(*([mpmath.mpf(float(v)) for v in given[n]] for n in given), strict=True)
        return np.array([float(mpmath.diff(MPMATH[forward], p, (1, *[0] * (len(p) - 1)))) for p in points])


MPMATH = {
    gelu: lambda x: x / (1 + mpmath.exp(-2 * mpmath.mpf(math.sqrt(2 / math.pi)) * (x + mpmath.mpf(0.044715) * x**3))),
    gated: lambda x, a, b: b + (a - b) / (1 + mpmath.exp(-x)),
}
