"""check on what people hand it by mistake: one clear message each, and never a crash."""

import functools

import numpy as np
import pytest

import symbackprop as sb

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
    "cached": (functools.lru_cache(twice), gradient),
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
