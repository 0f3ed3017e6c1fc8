"""What floating point makes of proved backward passes: found where they fail, and nothing said where they do not."""

import math

import mpmath as mp
import numpy as np
import pytest

import symbackprop as sb

X = {"x": ("N",)}
XY = {"x": ("N",), "y": ("N",)}
ROWS = {"z": ("N", "C")}
LABELLED = {"z": ("N", "C"), "y": ("N", "C")}


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def precision(forward, backward, shapes, **options):
    verdict = sb.check(forward, backward, shapes=shapes, precision=True, **options)
    assert verdict.status == "PROVED", str(verdict)
    return verdict.precision


# Codes that fail, each with what is to blame and a part of the stable line.


def log_cosh(x):
    return np.log(np.cosh(x))


def log_cosh_slope(dout, x):
    return {"x": dout * np.sinh(x) / np.cosh(x)}


def gumbel(x):
    return np.exp(-np.exp(-x))


def gumbel_slope(dout, x):
    e = np.exp(-x)
    return {"x": dout * e * np.exp(-e)}


def excess(x):
    return np.expm1(x) - x


def excess_slope(dout, x):
    return {"x": dout * (np.exp(x) - 1)}


def silu(x):
    return x / (1 + np.exp(-x))


def silu_slope(dout, x):
    e = np.exp(x)
    return {"x": dout * e * (1 + e + x) / (1 + e) ** 2}


def deviation(z):
    return np.sqrt((z**2).mean(axis=1) - z.mean(axis=1) ** 2 + 1e-3)


def deviation_slope(dout, z):
    s = np.sqrt((z**2).mean(axis=1) - z.mean(axis=1) ** 2 + 1e-3)
    return {"z": (dout / s)[:, None] * (z - z.mean(axis=1, keepdims=True)) / z.shape[1]}


def softmax_slope(dout, z):
    p = softmax(z)
    return {"z": p * (dout - (dout * p).sum(axis=1, keepdims=True))}


def fourth(x, y):
    return (x - y) ** 4


def fourth_slope(dout, x, y):
    return {"x": 4 * dout * (x**3 - 3 * x**2 * y + 3 * x * y**2 - y**3)}


def elu(x):
    return np.where(x > 0, x, np.expm1(x))


def elu_slope(dout, x):
    return {"x": dout * ((x > 0) + (x <= 0) * np.exp(x))}


COUNTS = {"z": ("N",), "y": ("N",), "r": ("N",)}
OF_COUNTS = {"assume": {"y": "pos", "r": "pos"}, "ranges": {"y": (0.1, 1e4), "r": (1e-6, 1e3)}}


def negative_binomial(z, y, r):
    return (y + r) * np.logaddexp(0, z) - y * z


def negative_binomial_slope(dout, z, y, r):
    """Lost only where z is large, y large and r small."""
    s = 1 / (1 + np.exp(-z))
    return {"z": dout * ((y + r) * s - y)}


UNSAFE = [
    (negative_binomial, negative_binomial_slope, COUNTS, OF_COUNTS, "(y + r) * s - y", "dz = "),
    (log_cosh, log_cosh_slope, X, {}, "dout * np.sinh(x) / np.cosh(x)", "np.tanh(x)"),
    (gumbel, gumbel_slope, X, {}, "dout * e * np.exp(-e)", "np.exp(-x - e)"),
    (excess, excess_slope, X, {"ranges": {"x": (-1, 1)}}, "np.exp(x) - 1", "np.expm1(x)"),
    (silu, silu_slope, X, {"dtype": "float32"}, "dout * e * (1 + e + x) / (1 + e) ** 2", "1 + np.exp(-x)"),
    (deviation, deviation_slope, ROWS, {}, "(z**2).mean(axis=1) - z.mean(axis=1) ** 2", "(z - z.mean"),
    (softmax, softmax_slope, ROWS, {}, "dout - (dout * p).sum(axis=1, keepdims=True)", "p * (p["),
    (elu, elu_slope, X, {}, "(x <= 0) * np.exp(x)", "np.where(x <= 0, np.exp("),
    (fourth, fourth_slope, XY, {}, "x**3 - 3 * x**2 * y + 3 * x * y**2 - y**3", "(x - y)**3"),
]


@pytest.mark.parametrize(("forward", "backward", "shapes", "options", "guilty", "cure"), UNSAFE)
def test_what_fails_is_found_blamed_and_cured(forward, backward, shapes, options, guilty, cure):
    found = precision(forward, backward, shapes, **options)
    assert found.safe is False
    assert found.line == guilty
    assert cure in (found.stable or "")
    assert bool(cure) == (found.stable is not None)
    assert found.worst > 1e-8


def test_the_witness_fails_when_anybody_runs_it():
    def forward(x):
        return 1 / (1 + np.exp(-x))

    def backward(dout, x):
        s = 1 / (1 + np.exp(-x))
        return {"x": dout * s * (1 - s)}

    found = precision(forward, backward, X)
    x = found.witness["x"]
    computed = backward(found.witness["dout"], x)["x"]
    with mp.workdps(60):
        exact = [1 / (2 + mp.exp(v) + mp.exp(-v)) for v in map(mp.mpf, x)]
    assert max(abs(c / e - 1) for c, e in zip(computed, exact, strict=True)) > 0.9
    assert "dx = dout * s / (1 + np.exp(x))" in found.stable
    assert found.dtype == "float64"
    assert x.dtype == np.float64


def sigmoid_pair(x):
    return 1 / (1 + np.exp(-x))


def sigmoid_pair_slope(dout, x):
    return {"x": dout / (1 + np.exp(-x)) / (1 + np.exp(x))}


def elu_guarded_slope(dout, x):
    return {"x": dout * np.where(x > 0, 1.0, np.exp(np.minimum(x, 0)))}


def log_softmax(z):
    s = z - z.max(axis=1, keepdims=True)
    return s - np.log(np.exp(s).sum(axis=1, keepdims=True))


def log_softmax_slope(dout, z):
    return {"z": dout - softmax(z) * dout.sum(axis=1, keepdims=True)}


def norm(z):
    c = z - z.mean(axis=1, keepdims=True)
    return c / np.sqrt((c**2).mean(axis=1, keepdims=True) + 1e-5)


def norm_slope(dout, z):
    c = z - z.mean(axis=1, keepdims=True)
    root = np.sqrt((c**2).mean(axis=1, keepdims=True) + 1e-5)
    h = c / root
    g = dout - dout.mean(axis=1, keepdims=True)
    return {"z": (g - h * (dout * h).mean(axis=1, keepdims=True)) / root}


def scaled_length(z):
    m = np.abs(z).max(axis=1)
    return m * np.sqrt(((z / m[:, None]) ** 2).sum(axis=1))


def scaled_length_slope(dout, z):
    u = z / np.abs(z).max(axis=1, keepdims=True)
    return {"z": dout[:, None] * u / np.sqrt((u**2).sum(axis=1, keepdims=True))}


def columns(z, g):
    c = z - z.mean(axis=0)
    return g * c / np.sqrt((c * c).mean(axis=0) + 1e-5)


def columns_slope(dout, z, g):
    """0 for two rows and equal upstream gradients, whatever z is: no change of z explains a rounding error."""
    c = z - z.mean(axis=0)
    h = c / np.sqrt((c * c).mean(axis=0) + 1e-5)
    return {"g": (dout * h).sum(axis=0)}


def correlation(z, w):
    a, b = z - z.mean(axis=1, keepdims=True), w - w.mean(axis=1, keepdims=True)
    return (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1)) / np.sqrt((b * b).sum(axis=1))


def correlation_slope(dout, z, w):
    """0 for rows of two numbers, and in some places for rows in which two are equal."""
    a, b = z - z.mean(axis=1, keepdims=True), w - w.mean(axis=1, keepdims=True)
    s, t = np.sqrt((a * a).sum(axis=1, keepdims=True)), np.sqrt((b * b).sum(axis=1, keepdims=True))
    r = (a * b).sum(axis=1, keepdims=True) / (s * t)
    return {"z": dout[:, None] * (b / t - r * a / s) / s}


SAFE = [
    (columns, columns_slope, {"z": ("N", "C"), "g": ("C",)}, {"ranges": {"z": (-100, 100)}}),
    (correlation, correlation_slope, {"z": ("N", "C"), "w": ("N", "C")}, {"ranges": {"z": (1, 100), "w": (1, 100)}}),
    (sigmoid_pair, sigmoid_pair_slope, X, {}),
    (sigmoid_pair, sigmoid_pair_slope, X, {"dtype": "float32"}),
    (elu, elu_guarded_slope, X, {}),
    (log_softmax, log_softmax_slope, ROWS, {}),
    (norm, norm_slope, ROWS, {"ranges": {"z": (-10, 10)}, "where": "C >= 3"}),
    (scaled_length, scaled_length_slope, ROWS, {"ranges": {"z": (1e-30, 1e4)}, "dtype": "float32"}),
]


@pytest.mark.parametrize(("forward", "backward", "shapes", "options"), SAFE)
def test_no_false_alarm(forward, backward, shapes, options):
    found = precision(forward, backward, shapes, **options)
    assert found.safe is True, found.text
    assert "no proof of safety" in found.text
    assert found.points > 20


def test_a_running_product_is_searched():
    """Its equations read each other: no line is written with them put in."""

    def forward(x):
        return x.prod(axis=1)

    def backward(dout, x):
        return {"x": dout[:, None] * x.prod(axis=1, keepdims=True) / x}

    found = precision(forward, backward, {"x": ("N", "D")}, assume={"x": "pos"}, where="D >= 1")
    assert found.safe is False, found.text
    assert not found.reason


def test_digits_that_the_inputs_do_not_have_are_no_fault():
    """A residual near 0 is the difference of rounded numbers, whatever the code."""

    def forward(x, w, y):
        return ((x @ w - y) ** 2).sum()

    def backward(x, w, y):
        return {"w": 2 * x.T @ (x @ w - y)}

    assert precision(forward, backward, {"x": ("N", "D"), "w": ("D",), "y": ("N",)}).safe is True


def test_what_cancels_in_a_sum_over_examples_is_no_fault():
    """Slopes of 1 and -1 leave what single precision has no digits for, in whatever order they are added."""

    def forward(b, x):
        return np.tanh(x + b).sum() - np.sqrt(1 + (x - b) ** 2).sum()

    def backward(b, x):
        u = x - b
        return {"b": (4 / (np.exp(x + b) + np.exp(-x - b)) ** 2 + u / np.sqrt(1 + u**2)).sum()}

    found = precision(forward, backward, {"b": (), "x": ("N",)}, ranges={"b": (-1, 1), "x": (-40, 40)}, dtype="float32")
    assert found.safe is True, found.text


def test_what_cancels_in_the_terms_of_a_sum_is_a_fault():
    def forward(b, x):
        return np.tanh(x + b).sum()

    def backward(b, x):
        return {"b": (1 - np.tanh(x + b) ** 2).sum()}

    assert precision(forward, backward, {"b": (), "x": ("N",)}).safe is False


def test_a_removable_singularity_counts_by_its_limit():
    def forward(x, p):
        return x**p

    def backward(dout, x, p):
        return {"x": dout * p * x ** (p - 1), "p": dout * x**p * np.log(x)}

    shapes, assume = {"x": ("N",), "p": ("N",)}, {"x": "pos"}
    closed = precision(forward, backward, shapes, assume=assume, ranges={"x": (0, 10), "p": (2, 4)})
    assert math.isinf(closed.worst)
    assert closed.exact == 0
    assert closed.line == "dout * x**p * np.log(x)"
    # "pos" alone excludes the 0
    assert precision(forward, backward, shapes, assume=assume, ranges={"x": (1e-3, 10), "p": (2, 4)}).safe is True


def test_where_the_gradient_does_not_exist_nothing_is_found():
    def forward(x):
        return np.sqrt(x)

    def backward(dout, x):
        return {"x": dout / (2 * np.sqrt(x))}

    assert precision(forward, backward, X, assume={"x": "pos"}, ranges={"x": (0, 10)}).safe is True


def test_a_forward_that_fails_alone():
    def forward(x):
        return np.log(1 + np.exp(x))

    found = precision(forward, lambda dout, x: {"x": dout / (1 + np.exp(-x))}, X)
    assert (found.safe, found.name, found.line) == (False, "", "np.log(1 + np.exp(x))")
    assert found.text.startswith("the forward: no finite number in float64 at x=[800]")


def test_constants_beyond_the_dtype():
    found = precision(lambda x: x * 1e39, lambda dout, x: {"x": dout * 1e39}, X, dtype="float32")
    assert found.safe is None
    assert "beyond float32" in found.text


def test_a_helper_and_a_cache_and_labels():
    def forward(z, y):
        p = softmax(z)
        return -np.log(p[np.arange(len(y)), y]).mean(), (p, y)

    def backward(cache):
        p, y = cache
        d = p.copy()
        d[np.arange(len(y)), y] -= 1
        return {"z": d / len(y)}

    found = precision(forward, backward, {"z": ("N", "C"), "y": ("N",)}, assume={"y": "labels:C"})
    assert found.line == "d[np.arange(len(y)), y] -= 1"
    assert set(found.witness) == {"z", "y"}


def test_only_a_proof_is_searched():
    verdict = sb.check(lambda x: x**2, lambda dout, x: {"x": dout * x}, shapes=X, precision=True)
    assert verdict.status == "REFUTED"
    assert verdict.precision.safe is None
    assert sb.check(lambda x: x**2, lambda dout, x: {"x": 2 * dout * x}, shapes=X).precision is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranges": {"x": (1, -1)}}, "empty"),
        ({"ranges": {"x": ()}}, "not two numbers"),
        ({"ranges": {"x": ("a", 1)}}, "not two numbers"),
        ({"ranges": {"x": (float("nan"), 1)}}, "finite"),
        ({"ranges": {"w": (0, 1)}}, "no input"),
        ({"ranges": [(0, 1)]}, "not a dictionary"),
        ({"ranges": {"x": (0, 1e300)}, "dtype": "float32"}, "beyond float32"),
        ({"ranges": {"x": (-1, 1)}, "assume": {"x": "pos"}}, "not within what is assumed"),
        ({"ranges": {"x": (0, 1)}, "assume": {"x": "bern"}}, "has no range"),
        ({"dtype": "int32"}, "floating-point"),
        ({"dtype": "half a dozen"}, "dtype"),
        ({"dtype": "float16"}, "float16"),
    ],
)
def test_what_cannot_be_asked(options, message):
    verdict = sb.check(lambda x: x**2, lambda dout, x: {"x": 2 * dout * x}, shapes=X, precision=True, **options)
    assert verdict.status in ("MALFORMED", "UNDECIDED")
    assert message in verdict.reason


def test_to_dict_is_json():
    import json

    verdict = sb.check(log_cosh, log_cosh_slope, shapes=X, precision=True)
    told = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))["precision"]
    assert (told["safe"], told["worst"], told["computed"]) == (False, "inf", "nan")


def test_a_document_shows_it_with_the_error_on_the_way_there(tmp_path):
    verdict = sb.check(excess, excess_slope, shapes=X, precision=True, ranges={"x": (-1, 1)})
    page = verdict.save(tmp_path / "verdict.html").read_text(encoding="utf-8")
    assert "In floating point" in page
    assert "np.expm1(x)" in page
    assert "Relative error along the way to the input" in page
    assert max(error for _, error in verdict.precision.curve) > 0.9


def test_on_the_command_line(tmp_path, capsys):
    from symbackprop.cli import main

    file = tmp_path / "excess.py"
    file.write_text(
        "import numpy as np\n"
        'SHAPES = {"x": ("N",)}\n'
        "def forward(x):\n    return np.expm1(x) - x\n"
        'def backward(dout, x):\n    return {"x": dout * (np.exp(x) - 1)}\n'
    )
    with pytest.raises(SystemExit) as end:
        main(["check", str(file), "--precision", "--range", "x=-1,1", "--dtype", "float32"])
    assert end.value.code == 0
    assert "line 6: np.exp(x) - 1" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["check", str(file), "--range", "x=1"])
    assert "is not a name and two numbers" in capsys.readouterr().err
