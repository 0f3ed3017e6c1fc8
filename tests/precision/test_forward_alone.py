"""What floating point makes of a traced forward pass that has no backward pass: `trace(..., precision=True)`."""

import json

import mpmath as mp
import numpy as np
import pytest

import symbackprop as sb
from symbackprop.cli import main

X, ROWS = {"x": ("N",)}, {"z": ("N", "C")}
LABELS = {"assume": {"y": "labels:C"}}


def precision(forward, shapes, **options):
    return sb.trace(forward, shapes, precision=True, **options).precision


def softplus(x):
    return np.log(1 + np.exp(x))


def elu(x):
    return np.where(x > 0, x, np.exp(x) - 1)


def variance(x):
    return (x**2).mean() - x.mean() ** 2


def distances(x, y):
    return (x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1)[None, :]


def root(a, b, c):
    return (-b + np.sqrt(b * b + 4 * a * c)) / (2 * a)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def logistic_cost(z, y):
    s = 1 / (1 + np.exp(-z))
    return -(y * np.log(s) + (1 - y) * np.log(1 - s)).mean()


def cross_entropy(z, y):
    """A cost near 0 is lost where the largest z was subtracted from the logarithm of a sum."""
    m = z.max(axis=1)
    total = m + np.log(np.exp(z - m[:, None]).sum(axis=1))
    return (total - z[np.arange(len(y)), y]).mean()


def cross_entropy_of_softmax(z, y):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(y)), y]).mean()


def log_softmax(z):
    s = z - z.max(axis=1, keepdims=True)
    return s - np.log(np.exp(s).sum(axis=1, keepdims=True))


AT_LABELS = "np.logaddexp.reduce(z - z[np.arange(z.shape[0])[:, None], y[:, None]], axis=-1)"
WITH_LABELS = {**ROWS, "y": ("N",)}
POSITIVE = {"assume": {"a": "pos", "b": "pos", "c": "pos"}}
UNSAFE = [
    (softplus, X, {}, "np.log(1 + np.exp(x))", "return np.logaddexp(0, x)"),
    (elu, X, {}, "np.exp(x) - 1", "np.expm1(x)"),
    (variance, X, {}, "(x**2).mean() - x.mean() ** 2", "(x - x.mean(axis=-1, keepdims=True))**2"),
    (root, {n: ("N",) for n in "abc"}, POSITIVE, "-b + np.sqrt(b * b + 4 * a * c)", "2 * c / (b + np.sqrt("),
    (gelu, X, {}, "1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))", "x / (1 + np.exp(-2"),
    (logistic_cost, {"z": ("N",), "y": ("N",)}, {"assume": {"y": "bern"}}, "np.log(s)", "np.logaddexp(0, -z)"),
    (cross_entropy, WITH_LABELS, LABELS, "np.log(np.exp(z - m[:, None]).sum(axis=1))", AT_LABELS),
    (cross_entropy_of_softmax, WITH_LABELS, LABELS, "np.log(p[np.arange(len(y)), y])", AT_LABELS),
    (log_softmax, ROWS, {}, "np.log(np.exp(s)", "return -np.logaddexp.reduce(s[:, None, :] - s[:, :, None], axis=-1)"),
    (distances, {"x": ("N", "D"), "y": ("M", "D")}, {"dtype": "float32"}, "", "((x[:, None, :] - y)**2).sum(axis=-1)"),
]


@pytest.mark.parametrize(("forward", "shapes", "options", "guilty", "cure"), UNSAFE)
def test_what_fails_is_found_blamed_and_cured(forward, shapes, options, guilty, cure):
    found = precision(forward, shapes, **options)
    assert found.safe is False
    assert found.name == found.output == ""
    assert "dout" not in found.witness
    assert guilty in found.line
    assert cure in (found.stable or "")


def test_digits_are_lost_where_nothing_overflows():
    """Of a forward beside its backward it is asked only whether it is finite; alone, all its digits count."""
    found = precision(softplus, X, ranges={"x": (-50, 50)})
    x = found.witness["x"]
    with mp.workdps(60):
        exact = [mp.log1p(mp.exp(mp.mpf(float(v)))) for v in x]
    assert max(abs(c / e - 1) for c, e in zip(softplus(x), exact, strict=True)) > 1e-8
    assert str(found).startswith("the forward: ")


def lse(z):
    m = z.max(axis=1)
    return m + np.log(np.exp(z - m[:, None]).sum(axis=1))


def normalised(z):
    d = z - z.mean(axis=1, keepdims=True)
    return d / np.sqrt((d**2).mean(axis=1, keepdims=True) + 1e-5)


def side(x, w):
    """It jumps where a sum of products, which has the digits of the inputs, changes its sign."""
    return np.where(x @ w > 0, 1.0, 0.5)


def places(z):
    return z.argmax(axis=1)


def residuals(x, w, y):
    return ((x @ w - y) ** 2).mean()


SAFE = [
    (lse, ROWS, {}),
    (lse, ROWS, {"dtype": "float32"}),
    (normalised, ROWS, {}),
    (side, {"x": ("N", "D"), "w": ("D",)}, {}),
    (places, ROWS, {}),
    (residuals, {"x": ("N", "D"), "w": ("D",), "y": ("N",)}, {}),
    (lambda x: np.logaddexp(0, x), X, {"dtype": "float32"}),
    (softplus, X, {"ranges": {"x": (-5, 100)}}),
]


@pytest.mark.parametrize(("forward", "shapes", "options"), SAFE)
def test_no_false_alarm(forward, shapes, options):
    found = precision(forward, shapes, **options)
    assert found.safe is True, str(found)
    assert found.points > 20


def test_a_branch_that_rounded_inputs_would_not_take_is_no_fault():
    """a b + c is 2^-54 there, and 0 in float64, as for an a that is smaller by a rounding error."""

    def branch(a, b, c):
        return np.where(a * b + c > 0, 1.0, 0.5)

    near, product = 1 + 2.0**-27, 1 + 2.0**-26
    ranges = {"a": (near, near), "b": (near, near), "c": (-product, -product)}
    assert branch(near, near, -product) == 0.5
    assert precision(branch, dict.fromkeys("abc", ("N",)), ranges=ranges).safe is True


def test_of_several_outputs_the_lost_one_is_named():
    def both(x):
        s = 1 / (1 + np.exp(-x))
        return s, np.log(1 - s)

    def by_name(x, y):
        return {"total": x + y, "slope": np.expm1(x) / (np.exp(x) - 1) * y}

    found = precision(both, X)
    assert (found.output, found.entry) == ("out_2", "out_2[0]")
    assert found.stable == "return s, -np.logaddexp(0, x)"
    assert found.to_dict()["output"] == "out_2"
    found = precision(by_name, {"x": ("N",), "y": ("N",)}, ranges={"x": (1e-9, 1)})
    assert (found.safe, found.output) == (False, "slope")


def test_the_same_output_twice_and_an_input():
    assert precision(lambda x: (np.tanh(x), x, x), X).safe is True


def test_labels_and_a_cost():
    def cost(z, y):
        e = np.exp(z)
        p = e / e.sum(axis=1, keepdims=True)
        return -np.log(p[np.arange(len(y)), y]).mean()

    found = precision(cost, {**ROWS, "y": ("N",)}, **LABELS)
    assert found.safe is False
    assert found.line == "e / e.sum(axis=1, keepdims=True)"


def test_a_recurrence_and_fixed_sizes():
    def running(x):
        out, h = np.zeros_like(x), 0.0
        for t in range(len(x)):
            h = 0.5 * h + np.log(1 + np.exp(x[t]))
            out[t] = h
        return out

    def unrolled(x):
        h = 0.0 * x[0]
        for t in range(x.shape[0]):
            h = np.tanh(h + x[t]) if t else np.log(1 + np.exp(x[t]))
        return h

    assert precision(running, {"x": ("T",)}).line == "np.log(1 + np.exp(x[t]))"
    assert precision(lambda x: np.cumsum(np.tanh(x)), {"x": ("T",)}).safe is True
    assert precision(unrolled, {"x": ("T", "N")}, sizes={"T": 1}).safe is False


def test_a_limit_counts():
    def entropy(p):
        return p * np.log(p)

    found = precision(entropy, {"p": ("N",)}, ranges={"p": (0, 1)}, assume={"p": "pos"})
    assert (found.safe, found.worst, found.exact) == (False, np.inf, 0.0)


def test_inputs_that_have_no_range():
    found = precision(lambda p: -(p * np.log(p)).sum(axis=1), {"p": ("N", "C")}, assume={"p": "simplex:C"})
    assert found.safe is True, str(found)


def test_it_is_shown_with_the_program_and_only_if_asked():
    assert sb.trace(softplus, X).precision is None
    program = sb.trace(softplus, X, precision=True)
    assert "  precision  the forward: no finite number in float64 at x=[800]" in str(program)
    assert "In floating point: the forward: no finite" in program._repr_html_()
    assert sb.prove(program).status == "PROVED"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranges": {"x": (1, -1)}}, "the range of x is empty: 1 is above -1"),
        ({"ranges": {"w": (0, 1)}}, "ranges speaks of w, which is no input"),
        ({"ranges": {"x": (0, 1e39)}, "dtype": "float32"}, "goes beyond float32"),
        ({"ranges": 3}, "ranges is a int, not a dictionary"),
        ({"dtype": "float16"}, "precision is not searched in float16"),
        ({"dtype": "int64"}, "dtype is int64"),
    ],
)
def test_what_cannot_be_asked(options, message):
    with pytest.raises(sb.SymbackpropError, match=message):
        sb.trace(softplus, X, precision=True, **options)


def test_on_the_command_line(tmp_path, capsys):
    file = tmp_path / "softplus.py"
    file.write_text('import numpy as np\nSHAPES = {"x": ("N",)}\ndef forward(x):\n    return np.log(1 + np.exp(x))\n')
    with pytest.raises(SystemExit) as end:
        main(["check", str(file), "--precision"])
    assert end.value.code == 1
    said = capsys.readouterr().out
    assert said.startswith("forward: x -> out   (no backward)\n  precision  the forward: no finite number")
    assert "proved, " not in said  # there is no verdict to count
    with pytest.raises(SystemExit) as end:
        main(["check", str(file), "--range", "x=0,100", "--json"])
    assert end.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["status"], told["verdicts"], told["forwards"][0]["precision"]["safe"]) == (None, [], True)
    with pytest.raises(SystemExit):
        main(["check", str(file)])
    assert "does not define backward" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["check", str(file), "--precision", "-o", str(tmp_path / "verdict.html")])
    assert "the file has no backward" in capsys.readouterr().err
