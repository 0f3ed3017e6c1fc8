"""check on what people hand it by mistake: one clear message each, and never a crash."""

import functools
import importlib.util
import time

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.errors import SymbackpropError

ROW = {"x": ("N",)}


def twice(x):
    return 2 * x


def gradient(dout, x):
    return {"x": 2 * dout}


class Layer:
    """A layer whose methods and whose call are forward passes."""

    factor = 2

    def forward(self, x):
        self.kept = x
        return self.factor * x

    def backward(self, dout):
        return {"x": self.factor * dout}

    def __call__(self, x):
        return self.factor * x

    @staticmethod
    def plain(x):
        return 2 * x


def bare(function):
    def wrapper(*args, **options):
        return function(*args, **options)

    return wrapper


async def waits(x):
    return 2 * x


class Several(dict):
    pass


ACCEPTED = {
    "partial": (functools.partial(lambda k, x: k * x, 2), gradient),
    "object": (Layer(), gradient),
    "method": (Layer().forward, Layer().backward),
    "static": (Layer.plain, gradient),
    "decorated": (bare(twice), gradient),
    "list of gradients": (twice, lambda dout, x: [2 * dout]),
    "one gradient": (twice, lambda dout, x: 2 * dout),
    "subclass of dict": (twice, lambda dout, x: Several(x=2 * dout)),
    "numpy's own": (np.tanh, lambda dout, x: {"x": dout * (1 - np.tanh(x) ** 2)}),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_ways_to_write_a_function(name):
    forward, backward = ACCEPTED[name]
    verdict = sb.check(forward, backward, shapes=ROW)
    assert verdict.status == "PROVED", str(verdict)


BY_PLACE = eval("lambda x, /: 2 * x")
SELF = (eval("lambda self: 2 * self"), eval("lambda dout, self: {'self': 2 * dout}"))
REFUSED = {
    "async": ((waits, gradient, ROW, {}), "async"),
    "by place": ((BY_PLACE, gradient, ROW, {}), "by place"),
    "any number": ((lambda *arrays: 2 * arrays[0], gradient, ROW, {}), "by place"),
    "no function": ((None, gradient, ROW, {}), "cannot be read"),
    "shapes None": ((twice, gradient, None, {}), "shapes is nothing"),
    "shapes list": ((twice, gradient, [("N",)], {}), "not a dictionary"),
    "where 3": ((twice, gradient, ROW, {"where": 3}), "not text"),
    "where power": ((twice, gradient, ROW, {"where": "N ** 9999999 > 1"}), "not an expression of sizes"),
    "where deep": ((twice, gradient, ROW, {"where": "(" * 100000 + "N"}), "where takes comparisons"),
    "assume list": ((twice, gradient, ROW, {"assume": ["pos"]}), "assume is no dictionary"),
    "assume 3": ((twice, gradient, ROW, {"assume": {"x": 3}}), "not text"),
    "onehot scalar": ((twice, gradient, {"x": ()}, {"assume": {"x": "onehot"}}), "one-hot"),
    "axis pi": ((twice, gradient, {"x": ("pi",)}, {}), "axis is called pi"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_malformed(name):
    (forward, backward, shapes, options), message = REFUSED[name]
    verdict = sb.check(forward, backward, shapes=shapes, **options)
    assert verdict.status == "MALFORMED" and message in verdict.reason, str(verdict)


@pytest.mark.parametrize(
    ("forward", "shapes"),
    [
        (lambda x: 1e308 * x * 1e308, ROW),
        (lambda x: x * 10**400, ROW),
        (twice, {"x": tuple(f"S{k}" for k in range(20))}),
        (twice, {"x": (10**6, 10**6)}),
    ],
)
def test_what_is_too_large_is_undecided(forward, shapes):
    assert sb.check(forward, lambda dout, x: {"x": 3 * dout}, shapes=shapes).status in ("UNDECIDED", "REFUTED")


def test_an_input_called_self():
    assert sb.check(*SELF, shapes={"self": ("N",)}).status == "PROVED"
    compiled = sb.compile(sb.trace(SELF[0], {"self": ("N",)}))
    assert set(compiled(self=np.ones(2), dout=np.ones(2))) >= {"self_bar"}


@pytest.mark.parametrize("seconds", [0, -1, None, "3", float("nan"), True])
def test_seconds_that_are_no_budget(seconds):
    verdict = sb.check(twice, gradient, shapes=ROW, seconds=seconds)
    assert verdict.status == "MALFORMED" and "not a positive number" in verdict.reason


def test_code_that_sleeps_is_left_behind():
    def sleeps(x):
        time.sleep(3600)
        return 2 * x

    verdict = sb.check(sleeps, gradient, shapes=ROW, seconds=1)
    assert verdict.status == "UNDECIDED" and "no answer within 1 s" in verdict.reason


@pytest.mark.parametrize("error", [BaseException, GeneratorExit, StopIteration, Warning, KeyError, MemoryError])
def test_code_that_raises_anything(error):
    def raises(x):
        raise error("no")

    assert sb.check(raises, gradient, shapes=ROW).status in ("MALFORMED", "UNDECIDED")
    assert sb.check(twice, lambda dout, x: raises(x), shapes=ROW).status in ("MALFORMED", "UNDECIDED")


def test_code_that_raises_at_odd_sizes_is_proved_for_even_ones():
    def even(x):
        if x.shape[0] % 2:
            raise ValueError("odd")
        return 2 * x

    verdict = sb.check(even, gradient, shapes=ROW)
    assert verdict.for_all_sizes
    assert any("at others the forward raises ValueError" in note for note in verdict.notes)


def test_two_lengths_under_one_name():
    shapes = {"x": ("N",), "y": ("N + 1",)}
    verdict = sb.check(lambda x, y: x + y, lambda dout, x, y: {"x": dout}, shapes=shapes)
    assert verdict.status == "MALFORMED" and "arrays of shapes (N,) and (N + 1,)" in verdict.reason


@pytest.mark.parametrize("dtype", [object, complex, "U3", "datetime64[D]", [("a", float)], np.float16])
def test_arrays_of_other_types_are_refused_by_name(dtype):
    verdict = sb.check(lambda x: x + np.zeros(3, dtype=dtype), gradient, shapes={"x": (3,)})
    assert verdict.status == "UNDECIDED" and "type" in verdict.reason


@pytest.mark.parametrize("size", ["N//0", "N%2", "1//N", "N - 5", "N**8", 10**30])
def test_odd_sizes_are_no_crash(size):
    assert sb.check(twice, lambda dout, x: {"x": 3 * dout}, shapes={"x": (size,)}).status != "PROVED"


@pytest.mark.parametrize("function", [len, print, np.add.reduce, dict.get, int, object])
def test_functions_in_c_are_no_crash(function):
    assert sb.check(function, gradient, shapes=ROW).status in ("MALFORMED", "UNDECIDED")


SOURCE = """
import numpy as np


def forward(x):
    y = np.tanh(x)
    return y


def backward(dout, x):
    t = np.tanh(x)
    return {"x": dout * (1 - t)}
"""


def test_code_without_a_source():
    cell = {}
    exec(SOURCE, cell)
    verdict = sb.check(cell["forward"], cell["backward"], shapes=ROW)
    assert verdict.status == "REFUTED" and str(verdict)


def test_code_whose_file_is_gone(tmp_path):
    file = tmp_path / "gone.py"
    file.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("gone", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    file.unlink()
    verdict = sb.check(module.forward, module.backward, shapes=ROW)
    assert verdict.status == "REFUTED"
    verdict.save(tmp_path / "verdict.html")


@pytest.mark.parametrize(
    "value", [lambda x: np.ones(3), lambda x: np.float64(2.0), lambda x: 2.0, lambda x: x.shape[0]]
)
def test_programs_that_use_no_input(value):
    program = sb.trace(value, ROW)
    assert all(t.status == "PROVED" for t in sb.prove(program).theorems)  # there may be none
    sb.compile(program)


@pytest.mark.parametrize("call", [lambda: sb.prove(3), lambda: sb.trace(3, {}), lambda: sb.trace(twice, None)])
def test_what_is_no_program_is_malformed(call):
    with pytest.raises(sb.SymbackpropError):
        call()


def test_a_wrong_gradient_over_many_sizes():
    names = [f"x{k}" for k in range(12)]
    shapes = {n: (f"S{k}",) for k, n in enumerate(names)}
    verdict = sb.check(lambda **k: sum(v.sum() for v in k.values()), lambda **k: {n: 0 * v for n, v in k.items()},
                       shapes=shapes)  # fmt: skip
    assert verdict.status == "REFUTED"


@pytest.mark.parametrize("seconds", [float("nan"), -1, 0, "20", None, True])
def test_seconds_that_are_no_time_are_malformed(seconds):
    square = {"shapes": {"x": ("N",)}, "seconds": seconds}
    assert sb.check(lambda x: x**2, lambda dout, x: {"x": 2 * x * dout}, **square).status == "MALFORMED"
    net = sb.Network([3, 5, 4], activation="tanh", cost="squared_error")
    assert sb.verify(net, "delta3[n,k]", "0", seconds=seconds).status == "MALFORMED"
    with pytest.raises(sb.SymbackpropError, match="not a positive number"):
        sb.trace(lambda x: x**2, **square)


def test_trace_leaves_code_that_sleeps_behind():
    def sleeps(x):
        time.sleep(3600)
        return x

    with pytest.raises(SymbackpropError, match=r"ran for more than 0\.2 s"):
        sb.trace(sleeps, ROW, seconds=0.2)
