"""check of a layer's class or instance: what is taken for what, where gradients are found, and what is said of the rest."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.checking import layers

DENSE = {"x": ("N", "D"), "W": ("D", "M"), "b": ("M",)}


class Dense:
    factor = 1.0

    def __init__(self, units_in, units_out):
        self.params = {"W": np.random.randn(units_in, units_out), "b": np.zeros(units_out)}
        self.grads = {}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dout):
        self.grads["W"] = self.factor * (self.x.T @ dout)
        self.grads["b"] = dout.sum(axis=0)
        return dout @ self.params["W"].T


class Doubled(Dense):
    factor = 2.0


class Forgetful(Dense):
    def backward(self, dout):
        dx = super().backward(dout)
        del self.grads["b"]
        return dx


class ByArguments:
    def __init__(self, W, b):
        self.params, self.grads = [W, b], [np.zeros_like(W), np.zeros_like(b)]

    def forward(self, x):
        W, b = self.params
        self.x = x
        return np.dot(x, W) + b

    def backward(self, dout):
        self.grads[0][...] = np.dot(self.x.T, dout)
        self.grads[1][...] = np.sum(dout, axis=0)
        return np.dot(dout, self.params[0].T)


class Parameter:
    def __init__(self, data):
        self.data, self.grad = data, None


class Wrapped:
    def __init__(self, D, M):
        self.W, self.b = Parameter(np.zeros((D, M))), Parameter(np.zeros(M))

    def __call__(self, x):
        self.x = x
        return x @ self.W.data + self.b.data

    def backward(self, g):
        self.W.grad, self.b.grad = self.x.T @ g, g.sum(0)
        return g @ self.W.data.T


class Attributes:
    def __init__(self, M, D):
        self.W, self.b = np.zeros((D, M)), np.zeros(M)

    def forward(self, inputs):
        self.inputs = inputs
        return inputs @ self.W + self.b

    def backward(self, grad):
        self.dW, self.db = self.inputs.T @ grad, grad.sum(axis=0)
        self.dinputs = grad @ self.W.T
        return self.dinputs


class Static:
    @staticmethod
    def forward(x, W, b):
        return x @ W + b, (x, W)

    @staticmethod
    def backward(dout, cache):
        x, W = cache
        return dout @ W.T, x.T @ dout, dout.sum(0)


class Entropy:
    def forward(self, z, y):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        self.p, self.y = e / e.sum(axis=1, keepdims=True), y
        return -np.mean(np.log(self.p[np.arange(len(y)), y]))

    def backward(self):
        d = self.p.copy()
        d[np.arange(len(self.y)), self.y] -= 1
        return d / len(self.y)


class Scaled:
    def __init__(self, rate, *, bias):
        self.rate, self.bias = rate, bias

    def run(self, x, training):
        return x * self.rate + self.bias if training else x

    def pull(self, d):
        return d * self.rate


class Picky(Entropy):
    def __init__(self, mode):
        raise ValueError("no")


class Net:
    def __init__(self, D, H, M):
        self.first, self.second = Dense(D, H), Dense(H, M)

    def forward(self, x):
        self.h = np.tanh(self.first.forward(x))
        return self.second.forward(self.h)

    def backward(self, d):
        return self.first.backward(self.second.backward(d) * (1 - self.h**2))


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (Dense, "of W Dense.grads.W, of b Dense.grads.b"),
        (Dense(3, 2), "of x what backward returns"),
        (ByArguments, "of W ByArguments.grads[0], of b ByArguments.grads[1]"),
        (Wrapped, "of W Wrapped.W.grad, of b Wrapped.b.grad"),
        (Attributes, "of W Attributes.dW, of b Attributes.db"),
        (Static, "of W what backward returns at 1, of b what backward returns at 2"),
    ],
    ids=lambda v: getattr(v, "__name__", type(v).__name__),
)
def test_check_of_a_layer_says_what_it_took_for_what(layer, told):
    verdict = sb.check(layer, shapes=DENSE)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), str(verdict)
    assert told in "\n".join(verdict.notes)
    assert "for the forward pass" in verdict.notes[0]


class Scale:
    """Its parameter has the name of what others call a gradient; its gradients lie where they were made."""

    def __init__(self, width):
        self.params, self.grads = {"g": np.ones(width)}, {"g": np.zeros(width)}

    def forward(self, x):
        self.x = x
        return self.params["g"] * x

    def backward(self, dout):
        self.grads["g"] += np.sum(dout * self.x, axis=0)
        return dout * self.params["g"]


class Idle(Scale):
    def backward(self, dout):
        return dout * self.params["g"]


def test_a_parameter_is_not_taken_for_its_gradient():
    verdict = sb.check(Scale, shapes={"x": ("N", "D"), "g": ("D",)})
    assert verdict.status == "PROVED", str(verdict)
    assert "of g Scale.grads.g" in "\n".join(verdict.notes)


def test_a_gradient_that_is_never_written_is_wrong():
    verdict = sb.check(Idle, shapes={"x": ("N", "D"), "g": ("D",)})
    assert (verdict.status, list(verdict.wrong)) == ("REFUTED", ["g"])


def test_check_of_a_layer_refutes_what_is_left_on_it():
    verdict = sb.check(Doubled, shapes=DENSE)
    assert (verdict.status, verdict.wrong) == ("REFUTED", ("W",)) or list(verdict.wrong) == ["W"]


def test_a_gradient_that_is_not_found_is_not_passed_over():
    verdict = sb.check(Forgetful, shapes=DENSE)
    assert any("no gradient of b was found (looked for Forgetful.db" in n for n in verdict.notes)
    with pytest.raises(AssertionError, match="no gradient was returned of b"):
        sb.assert_proved(Forgetful, shapes=DENSE)


def test_check_of_a_loss_takes_its_inputs_by_name():
    assert sb.check(Entropy, shapes={"z": ("N", "C"), "y": ("N",)}, assume={"y": "labels:C"}).status == "PROVED"


def test_check_of_a_network_finds_parameters_of_its_layers():
    shapes = {"x": ("N", "D"), "first.W": ("D", "H"), "first.b": ("H",), "second.W": ("H", "M"), "second.b": ("M",)}
    verdict = sb.check(Net, shapes=shapes)
    assert verdict.status == "PROVED", str(verdict)
    assert "first.W is Net.first.params.W" in "\n".join(verdict.notes)


def test_methods_and_fixed_arguments_can_be_stated():
    given = {"rate": 3.0, "bias": 0.5, "training": True}
    verdict = sb.check(Scaled, shapes={"x": ("N",)}, fixed=given, methods=("run", "pull"))
    assert verdict.status == "PROVED", str(verdict)


def test_a_layer_stays_as_it_is():
    layer = Dense(3, 2)
    weights = layer.params["W"].copy()
    sb.check(layer, shapes=DENSE)
    assert list(vars(layer)) == ["params", "grads"] and not layer.grads
    assert np.array_equal(layer.params["W"], weights)


@pytest.mark.parametrize(
    ("layer", "options", "message"),
    [
        (np.tanh, {"shapes": {"x": ("N",)}}, "neither a second function nor a layer"),
        (Dense, {"shapes": {"x": ("N", "D"), "V": ("D", "M")}}, "V was not found in Dense"),
        (Scaled, {"shapes": {"x": ("N",)}, "methods": ("run", "pull"), "fixed": {"rate": 1.0}}, "run takes training"),
        (
            Picky,
            {"shapes": {"x": ("N",)}},
            "no Picky could be made with parameters of the shapes given: ValueError: no",
        ),
        (Scaled, {"shapes": {"x": ("N",)}, "methods": ("run", "push")}, "Scaled has no method push"),
        (Scaled, {"shapes": {"x": ("N",)}}, "neither a second function nor a layer"),
    ],
    ids=["function", "parameter", "argument", "constructor", "method", "protocol"],
)
def test_check_says_what_of_a_layer_it_did_not_find(layer, options, message):
    verdict = sb.check(layer, **options)
    assert verdict.status == "MALFORMED"
    assert message in verdict.reason, str(verdict)


def test_shapes_that_do_not_fit_may_be_lengths_that_a_constructor_was_given():
    verdict = sb.check(Dense, shapes={"x": ("N", "D"), "W": ("M", "M"), "b": ("M",)})
    assert verdict.status == "UNDECIDED"
    assert "raises ValueError" in str(verdict) and "say what it is by fixed=" in str(verdict)


class LogCosh:
    def loss(self, p, t):
        return np.sum(np.log(np.cosh(p - t)))

    def gradient(self, p, t):
        return np.tanh(p - t)


def test_a_loss_is_a_forward_pass_though_every_class_can_be_called():
    assert sb.check(LogCosh, shapes={"p": ("N",), "t": ("N",)})


def test_a_fixed_value_that_nothing_takes_is_refused():
    verdict = sb.check(Dense, shapes=DENSE, fixed={"unit_out": 3})
    assert verdict.status == "MALFORMED"
    assert "fixed names 'unit_out'" in verdict.reason
    assert "'units_out'" in verdict.reason


class Counted(type):
    def __new__(cls, name, bases, members):
        return super().__new__(cls, name, bases, {**members, "made": 1})


class Made(metaclass=Counted):
    def __init__(self, w):
        self.w = w

    def forward(self, x):
        return x * self.w

    def backward(self, dout):
        return dout * self.w


def test_a_class_of_a_metaclass():
    verdict = sb.check(Made, shapes={"x": ("N", "D"), "w": ("D",)})
    assert verdict.for_all_sizes


class Cell:
    """A recurrent cell: two outputs, and an upstream gradient for each."""

    def forward(self, x, h, c):
        self.cache = x, h, c
        return x * h, np.tanh(c) + x

    def backward(self, dh, dc):
        x, h, c = self.cache
        return dh * h + dc, dh * x, dc * (1 - np.tanh(c) ** 2)


class Masked:
    def forward(self, x, p):
        mask = x > p
        return x * mask, mask

    def backward(self, dout, mask):
        return dout * mask


class Late:
    """The parameters are set by whoever uses the layer."""

    def __init__(self, momentum=0.9):
        self.momentum = momentum

    def forward(self, x):
        self.x = x
        return self.gamma * x

    def backward(self, dout):
        self.dgamma = np.sum(dout * self.x, axis=0)
        return dout * self.gamma


class Grouped:
    """What has a default is another size here, and only some sizes fit."""

    def __init__(self, channels=8, groups=4):
        assert channels % groups == 0
        self.groups, self.gamma = groups, np.ones(channels)

    def forward(self, x):
        self.x = x.reshape(x.shape[0], self.groups, -1)
        return (self.x * self.x).sum(-1) * self.gamma.sum()

    def backward(self, dout):
        self.dgamma = np.sum(dout * (self.x * self.x).sum(-1)) * np.ones(len(self.gamma))
        return (2 * dout[:, :, None] * self.x * self.gamma.sum()).reshape(len(dout), -1)


ONES = ("N",)


@pytest.mark.parametrize(
    ("layer", "shapes", "told"),
    [
        (Cell, {"x": ONES, "h": ONES, "c": ONES}, "Cell.backward(dh, dc) for the backward pass"),
        (Masked, {"x": ONES, "p": ()}, "Masked.backward(dout, mask=what forward returns second) for the backward pass"),
        (Late, {"x": ("N", "D"), "gamma": ("D",)}, "gamma is Late.gamma"),
        (Grouped, {"x": ("N", "C"), "gamma": ("C",)}, "channels=gamma.shape[0]"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_check_finds_out_how_a_layer_is_used(layer, shapes, told):
    verdict = sb.check(layer, shapes=shapes)
    assert verdict.status == "PROVED"
    assert any(told in note for note in verdict.notes)


# --- an instance as its user has it: its own arrays are inputs, with the lengths that they have


class Weights:
    def __init__(self, data):
        self.data, self.grad = data, np.zeros_like(data)


class Affine:
    """Gradients are added to buffers that the parameters bring along."""

    def __init__(self, units_in, units_out):
        draw = np.random.default_rng(units_in)
        self.weight, self.bias = Weights(draw.normal(size=(units_in, units_out))), Weights(np.zeros(units_out))

    def forward(self, x):
        self.x = x
        return x @ self.weight.data + self.bias.data

    def backward(self, dout):
        self.weight.grad += self.x.T @ dout
        self.bias.grad += dout.sum(axis=0)
        return dout @ self.weight.data.T


class Tanh:
    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dout):
        return dout * (1 - self.y * self.y)


class Chain:
    def __init__(self, *widths):
        self.layers = []
        for units_in, units_out in itertools.pairwise(widths):
            self.layers += [Affine(units_in, units_out), Tanh()]

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout):
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout


class Returned:
    """All gradients are returned, in the order of its attributes."""

    def __init__(self):
        self.scale, self.shift, self.fixed = np.full(4, 2.0), np.zeros((1, 4)), np.full(4, 0.5)

    def forward(self, x):
        self.x = x
        return self.fixed * x * self.scale + self.shift

    def backward(self, dout):
        dx = dout * self.fixed * self.scale
        return dx, (dout * self.fixed * self.x).sum(axis=0), dout.sum(axis=0, keepdims=True)


class WrongBias(Affine):
    def backward(self, dout):
        self.bias.grad -= dout.mean(axis=0)
        return super().backward(dout)


def test_parameters_of_an_instance_are_inputs_without_being_named():
    layer = Chain(4, 5, 3)
    before = [w.data.copy() for affine in layer.layers[::2] for w in (affine.weight, affine.bias)]
    verdict = sb.check(layer, shapes={"x": ("N", "D")})
    names = [f"layers.{k}.{p}" for k in (0, 2) for p in ("weight", "bias")]
    assert (verdict.status, set(verdict.claims)) == ("PROVED", {"x", *names})
    assert verdict.scope == "all sizes of N, the others as given"
    assert "took D = 4: this Chain takes no other length" in verdict.notes
    after = [w.data for affine in layer.layers[::2] for w in (affine.weight, affine.bias)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert not any(w.grad.any() for affine in layer.layers[::2] for w in (affine.weight, affine.bias))


def test_buffers_of_gradients_start_at_zero_in_the_shapes_that_are_stated():
    shapes = {"x": ("N", "D"), "layers.0.weight": ("D", "H"), "layers.0.bias": ("H",),
              "layers.2.weight": ("H", "K"), "layers.2.bias": ("K",)}  # fmt: skip
    verdict = sb.check(Chain(4, 5, 3), shapes=shapes)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes")


def test_a_wrong_gradient_of_an_unnamed_parameter_is_not_silent():
    verdict = sb.check(WrongBias(4, 3), shapes={"x": ("N", 4)})
    assert (verdict.status, verdict.wrong) == ("REFUTED", ("bias",))


def test_gradients_that_are_returned_belong_to_attributes_in_their_order():
    verdict = sb.check(Returned(), shapes={"x": ("N", 4)})
    assert (verdict.status, set(verdict.claims)) == ("PROVED", {"x", "scale", "shift"})
    assert "took as they are, and no inputs: Returned.fixed" in verdict.notes


class Step:
    """A recurrent cell: two sizes of its data are lengths of its arrays."""

    def __init__(self, units_in, units):
        draw = np.random.default_rng(0)
        self.Wx, self.Wh = draw.normal(size=(units_in, units)), draw.normal(size=(units, units))

    def forward(self, x, h):
        self.cache = x, h, np.tanh(x @ self.Wx + h @ self.Wh)
        return self.cache[2]

    def backward(self, dout):
        x, h, y = self.cache
        dz = dout * (1 - y * y)
        self.dWx, self.dWh = x.T @ dz, h.T @ dz
        return dz @ self.Wx.T, dz @ self.Wh.T


class Stretched:
    """Data of one column run as well, stretched to all."""

    def __init__(self, width):
        self.scale = np.full(width, 3.0)

    def forward(self, x):
        self.x = x
        return x * self.scale

    def backward(self, dout):
        self.dscale = (dout * self.x).sum(axis=0)
        return dout * self.scale


class Table:
    """Its data are labels, and have no gradient."""

    def __init__(self, rows, width):
        self.weight = np.random.default_rng(0).normal(size=(rows, width))

    def forward(self, ids):
        self.ids = ids
        return self.weight[ids]

    def backward(self, dout):
        self.dweight = np.zeros_like(self.weight)
        np.add.at(self.dweight, self.ids, dout)


@pytest.mark.parametrize(
    ("layer", "shapes", "assume", "told"),
    [
        (Step(3, 2), {"x": ("N", "D"), "h": ("N", "H")}, {}, "took D = 3, H = 2: this Step takes no other length"),
        (Stretched(5), {"x": ("N", "D")}, {}, "took D = 5: this Stretched takes no other length"),
        (Table(7, 3), {"ids": ("N",)}, {"ids": "label:7"}, "took for the gradients: of weight Table.dweight"),
    ],
    ids=["cell", "stretched", "labels"],
)
def test_sizes_of_the_data_are_the_lengths_that_an_instance_takes(layer, shapes, assume, told):
    verdict = sb.check(layer, shapes=shapes, assume=assume)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes of N, the others as given")
    assert told in verdict.notes


def test_an_instance_that_takes_no_data_of_these_shapes_says_what_was_tried():
    verdict = sb.check(Affine(4, 3), shapes={"x": ("N", 7)})
    assert (verdict.status, "tried with several lengths of N" in verdict.reason) == ("MALFORMED", True)


class Attention:
    """Several heads behind an activation: the scores are divided by the root of a length."""

    def __init__(self, width, heads):
        draw = np.random.default_rng(1)
        self.heads, self.params = heads, {n: draw.normal(size=(width, width)) for n in ("Wq", "Wk", "Wv")}
        self.grads = {n: np.zeros_like(w) for n, w in self.params.items()}

    def split(self, a):
        return a.reshape(*a.shape[:2], self.heads, a.shape[2] // self.heads).swapaxes(1, 2)

    def merged(self, a):
        return a.swapaxes(1, 2).reshape(a.shape[0], a.shape[2], -1)

    def forward(self, x):
        y = np.tanh(x)
        q, k, v = (self.split(y @ self.params[n]) for n in ("Wq", "Wk", "Wv"))
        s = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
        e = np.exp(s - s.max(axis=-1, keepdims=True))
        p = e / e.sum(axis=-1, keepdims=True)
        self.kept = y, q, k, v, p
        return self.merged(p @ v)

    def backward(self, dout):
        y, q, k, v, p = self.kept
        dout = self.split(dout)
        dp = dout @ v.swapaxes(-1, -2)
        ds = p * (dp - (dp * p).sum(axis=-1, keepdims=True)) / np.sqrt(q.shape[-1])
        dy = 0
        for name, d in (("Wq", ds @ k), ("Wk", ds.swapaxes(-1, -2) @ q), ("Wv", p.swapaxes(-1, -2) @ dout)):
            d = self.merged(d)
            self.grads[name] += np.einsum("btd,bte->de", y, d)
            dy = dy + d @ self.params[name].T
        return dy * (1 - y * y)


def test_scores_in_units_of_a_root_are_met():
    verdict = sb.check(Attention(4, 2), shapes={"x": ("B", "T", "D")})
    assert (verdict.status, set(verdict.claims)) == ("PROVED", {"x", "Wq", "Wk", "Wv"})


# --- arrays with the name of a gradient that are none


class Gained:
    """`gb` is the gain of the bias; a gradient of b is often called so."""

    power = 1

    def __init__(self):
        self.W, self.b, self.gb = np.full((3, 2), 0.5), np.ones(2), np.array([2.0, 3.0])

    def forward(self, x):
        self.x = x
        return x @ self.W + self.gb * self.b

    def backward(self, dout):
        self.dW, self.db = self.x.T @ dout, self.gb**self.power * dout.sum(axis=0)
        return dout @ self.W.T


class Decayed:
    """`decay` holds an array for each parameter, as dictionaries of gradients do."""

    power = 1

    def __init__(self):
        self.W, self.decay = np.full((3, 2), 0.5), {"W": np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])}

    def forward(self, x):
        self.x = x
        return x @ (self.W * self.decay["W"])

    def backward(self, dout):
        self.dW = self.x.T @ dout * self.decay["W"] ** self.power
        return dout @ (self.W * self.decay["W"]).T


class Fast:
    """The forward pass reads what the backward pass leaves."""

    power = 1

    def __init__(self):
        self.W, self.dW = np.ones((3, 2)), np.full((3, 2), 7.0)

    def forward(self, x):
        self.x = x
        return x @ (self.W + self.dW**2)

    def backward(self, dout):
        dx = dout @ (self.W + self.dW ** (self.power + 1)).T
        self.dW = self.x.T @ dout
        return dx


@pytest.mark.parametrize("kind", [Gained, Decayed, Fast])
def test_gains_and_masks_with_the_name_of_a_gradient_are_not_cleared(kind):
    assert sb.check(kind(), shapes={"x": ("N", 3), "W": (3, 2)}).status == "PROVED"
    wrong = type(kind.__name__, (kind,), {"power": 2})
    assert sb.check(wrong(), shapes={"x": ("N", 3), "W": (3, 2)}).status == "REFUTED"


class InLists:
    def __init__(self):
        self.params, self.grads = [np.ones((4, 3)), np.zeros(3)], [np.zeros((4, 3)), np.zeros(3)]

    def forward(self, x):
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, dout):
        self.grads[0][...] = self.x.T @ dout
        self.grads[1][...] = dout.mean(axis=0)
        return dout @ self.params[0].T


def test_parameters_in_a_list_have_their_gradients_in_another():
    verdict = sb.check(InLists(), shapes={"x": ("N", 4)})
    assert (verdict.status, verdict.wrong) == ("REFUTED", ("params.1",))


class Gated:
    """Normalised, then two halves of one product, one of which opens the other; the lengths are those of its arrays."""

    def __init__(self, n):
        self.g, self.W, self.V = np.ones(n), np.ones((n, 2 * n)), np.ones((n, n))

    def forward(self, x):
        xc = x - x.mean(-1, keepdims=True)
        self.r = 1 / np.sqrt((xc * xc).mean(-1, keepdims=True) + 1e-5)
        self.h = xc * self.r
        self.n = self.g * self.h
        self.a, b = np.split(self.n @ self.W, 2, axis=-1)
        self.s = np.tanh(b)
        return x + (self.a * self.s) @ self.V

    def backward(self, d):
        du = d @ self.V.T
        self.dV = (self.a * self.s).T @ d
        dab = np.concatenate([du * self.s, du * self.a * (1 - self.s**2)], axis=-1)
        self.dW = self.n.T @ dab
        dn = dab @ self.W.T
        self.dg = (dn * self.h).sum(0)
        dh = dn * self.g
        return d + self.r * (dh - dh.mean(-1, keepdims=True) - self.h * (dh * self.h).mean(-1, keepdims=True))


class Stage:
    def __init__(self, n):
        self.inner = Inner(n)


class Inner:
    def __init__(self, n):
        self.gate = Gated(n)


class Nested:
    """A model as one builds it: its arrays are five steps away."""

    def __init__(self, n):
        self.stages = [Stage(n)]

    def forward(self, x):
        return self.stages[0].inner.gate.forward(x)

    def backward(self, d):
        return self.stages[0].inner.gate.backward(d)


def test_lengths_that_are_multiples_of_each_other_stay_so_where_symbols_stand_for_them():
    verdict = sb.check(Nested(8), shapes={"x": ("N", 8)})
    assert verdict.status == "PROVED" and "the sizes given are a case of this" in verdict.notes
    assert verdict.subject.count("stages.0.inner.gate.") == 3, verdict.subject
    long = replace(verdict, notes=("took for its parameters: " + ", ".join(f"W{k} is Model.W{k}" for k in range(99)),))
    assert len(str(long).splitlines()[-1]) < 420 and str(long).endswith("(Verdict.notes has all of it)")


class Pointwise:
    """Layers by name: in a dictionary, or in a namespace; so are the parameters, and the gradients of some."""

    def __init__(self, width, held=dict):
        self.layers = held(first=Shift(width), second=Shift(width))

    def forward(self, x):
        for name in ("first", "second"):
            x = self.named(name).forward(x)
        return x

    def backward(self, dout):
        for name in ("second", "first"):
            dout = self.named(name).backward(dout)
        return dout

    def named(self, name):
        return self.layers[name] if isinstance(self.layers, dict) else getattr(self.layers, name)


class Shift:
    wrong = False

    def __init__(self, width):
        self.p, self.g = SimpleNamespace(w=np.ones(width)), SimpleNamespace()

    def forward(self, x):
        self.x = x
        return x * self.p.w

    def backward(self, dout):
        self.g.w = (dout * (1 if self.wrong else self.x)).sum(0)
        return dout * self.p.w


class WrongShift(Shift):
    wrong = True


BY_NAME = {"x": ("N", "D"), "first.w": ("D",), "second.w": ("D",)}


@pytest.mark.parametrize("held", [dict, OrderedDict, SimpleNamespace])
def test_layers_and_parameters_are_found_in_dictionaries_and_namespaces(held):
    verdict = sb.check(Pointwise, shapes=BY_NAME, fixed={"held": held})
    assert verdict.subject.endswith(": x, first.w, second.w") and verdict.for_all_sizes, verdict
    assert any("first.w is Pointwise.layers.first.p.w" in note for note in verdict.notes)
    assert any("of first.w Pointwise.layers.first.g.w" in note for note in verdict.notes)
    assert sb.check(Pointwise(3, held), shapes={"x": ("N", "D")}).subject == verdict.subject


def test_a_parameter_in_a_namespace_is_no_attribute_that_nobody_reads():
    verdict = sb.check(WrongShift, shapes={"x": ("N", "D"), "w": ("D",)})
    assert verdict.status == "REFUTED" and verdict.wrong == ("w",)


class Optimised:
    """Its velocities stand before its parameters, under the same names, and nothing but a step reads them."""

    wrong = False

    def __init__(self, D, M):
        self.velocity = {"W": np.zeros((D, M))}
        self.shift = np.zeros(M)
        self.params = {"W": np.ones((D, M))}
        self.grads = {}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.shift

    def backward(self, dout):
        self.grads["W"] = np.zeros_like(self.params["W"]) if self.wrong else self.x.T @ dout
        return dout @ self.params["W"].T


class Unmoved(Optimised):
    wrong = True


@pytest.mark.parametrize("made", [lambda kind: kind, lambda kind: kind(3, 2)])
def test_a_parameter_is_what_the_forward_pass_reads_and_not_its_velocity(made):
    shapes = {"x": ("N", "D"), "W": ("D", "M")} if made(Optimised) is Optimised else {"x": ("N", 3), "W": (3, 2)}
    verdict = sb.check(made(Optimised), shapes=shapes)
    assert verdict.status == "PROVED" and verdict.subject.endswith(": x, W"), verdict
    assert any("no inputs:" in note and "Optimised.shift" in note for note in verdict.notes)
    assert sb.check(made(Unmoved), shapes=shapes).wrong == ("W",)


class Pooled:
    """Two names for one array of gradients, to which both add."""

    def __init__(self, M):
        self.params = SimpleNamespace(w=np.ones(M))
        shared = np.zeros(M)
        self.grads = SimpleNamespace(w=shared, b=shared)

    def forward(self, x):
        self.x = x
        return x * self.params.w

    def backward(self, dout):
        self.grads.w += (dout * self.x).sum(0)
        self.grads.b += dout.sum(0)
        return dout * self.params.w


def test_an_array_of_gradients_with_two_names_stays_one():
    verdict = sb.check(Pooled, shapes={"x": ("N", "M"), "w": ("M",)})
    assert verdict.status == "REFUTED" and verdict.wrong == ("w",)


class Bound:
    def __init__(self, D):
        self.W = self.V = np.ones((D, D))

    def forward(self, x):
        self.x = x
        return x @ self.W @ self.V

    def backward(self, dout):
        self.dV = (self.x @ self.W).T @ dout
        self.dW = self.x.T @ dout @ self.V.T
        return dout @ self.V.T @ self.W.T


def test_two_names_of_one_parameter_are_not_two_inputs():
    verdict = sb.check(Bound, shapes={"x": ("N", "D"), "W": ("D", "D"), "V": ("D", "D")})
    assert verdict.status == "UNDECIDED" and "W and V are one array of Bound" in verdict.reason


# --- gradients in records, and in several places ------------------------------------------------------------------


class Named(NamedTuple):
    W: np.ndarray  # in another order than the arguments
    b: np.ndarray
    x: np.ndarray


@dataclass
class Data:
    dx: np.ndarray
    dW: np.ndarray
    db: np.ndarray


class Returns:
    make = staticmethod(lambda x, W, b: Named(W, b, x))
    factor = 1.0

    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        return self.make(dout @ self.W.T, self.factor * (self.x.T @ dout), dout.sum(axis=0))


RECORDS = {
    "a named tuple": lambda x, W, b: Named(W, b, x),
    "a data class": Data,
    "a namespace": lambda x, W, b: SimpleNamespace(grad_x=x, W_grad=W, db=b),
    "a dictionary": lambda x, W, b: {"b": b, "dW": W, "d_x": x},
}


@pytest.mark.parametrize("factor", [1.0, 2.0])
@pytest.mark.parametrize("name", RECORDS)
def test_gradients_may_be_returned_in_records(name, factor):
    kind = type("Layer", (Returns,), {"make": staticmethod(RECORDS[name]), "factor": factor})
    verdict = sb.check(kind, shapes=DENSE)
    assert (verdict.status, verdict.wrong) == (("PROVED", ()) if factor == 1 else ("REFUTED", ("W",)))
    assert not verdict.unjudged


@pytest.mark.parametrize("name", RECORDS)
def test_functions_may_return_gradients_in_records(name):
    make = RECORDS[name]

    def forward(x, W, b):
        return x @ W + b

    def backward(dout, x, W, b):
        return make(dout @ W.T, x.T @ dout, dout.mean(axis=0))

    verdict = sb.check(forward, backward, shapes=DENSE)
    assert (verdict.status, verdict.wrong) == ("REFUTED", ("b",))


def test_two_gradients_of_one_input_are_malformed():
    verdict = sb.check(lambda x: x * x, lambda dout, x: {"x": 2 * x * dout, "dx": x * dout}, shapes={"x": ("N",)})
    assert (verdict.status, verdict.diagnosis) == ("MALFORMED", "the backward returns two gradients of x: x, dx")


class Kept:
    kept = returned = left = 1.0

    def __init__(self, W):
        self.W, self.grads = W, {}

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dout):
        dW = self.x.T @ dout
        self.dW = self.kept * dW
        self.grads["W"] = self.left * dW
        return dout @ self.W.T, self.returned * dW


@pytest.mark.parametrize("wrong", ["kept", "returned", "left", ""])
def test_a_gradient_is_judged_at_every_place_where_it_is_left(wrong):
    kind = type("Kept", (Kept,), {wrong: 3.0} if wrong else {})
    verdict = sb.check(kind, shapes={"x": ("N", "D"), "W": ("D", "M")})
    if not wrong:
        assert verdict.status == "PROVED"
        assert "judged as well, and right: of W Kept.grads.W, beside what backward returns at 1" in verdict.notes
        return
    assert (verdict.status, verdict.wrong) == ("REFUTED", ("W",))
    if wrong != "returned":
        place = {"kept": "Kept.dW", "left": "Kept.grads.W"}[wrong]
        assert f"this is the gradient of W {place}, beside what backward returns at 1" in verdict.notes


def test_what_is_no_place_for_a_gradient_is_not_judged_as_one():
    class Momentum(Dense):
        def __init__(self, units_in, units_out):
            super().__init__(units_in, units_out)
            self.velocity = {"dW": np.zeros((units_in, units_out))}

        def backward(self, dout):
            dx = super().backward(dout)
            self.velocity["dW"] = 0.9 * self.velocity["dW"] + self.grads["W"]
            self.grad_norm = np.sqrt((self.grads["W"] ** 2).sum())
            return dx

    assert sb.check(Momentum, shapes=DENSE).status == "PROVED"


class Counting(type):
    def __call__(cls, *args, **options):
        return super().__call__(*args, **options)


def test_a_metaclass_may_hand_on_what_it_is_given():
    class Layer(Returns, metaclass=Counting):
        pass

    assert sb.check(Layer, shapes=DENSE).status == "PROVED"


def test_what_a_layer_raises_is_told_with_its_line():
    class Unset(Dense):
        def forward(self, x):
            return x @ self.params["W"] * self.scale

        def backward(self, dout):
            self.scale = 2.0
            return dout @ self.params["W"].T

    verdict = sb.check(Unset, shapes={"x": ("N", 3), "W": (3, 4)}, fixed={"units_in": 3, "units_out": 4})
    assert "'Unset' object has no attribute 'scale'\n    line " in verdict.reason
    assert 'return x @ self.params["W"] * self.scale\n' in verdict.reason
    assert verdict.reason.endswith("help: Unset.backward sets it: call that first, on the same object")


def test_what_was_guessed_for_a_constructor_is_told_where_it_does_not_fit():
    given = sb.check(Dense, shapes=DENSE, fixed={"units_in": 3, "units_out": 4})
    assert "Dense.params.W:  of shape (3, 4), where ('D', 'M') was tried as " in given.reason
    verdict = sb.check(Dense, shapes={"x": ("N", "D")})
    assert verdict.status == "UNDECIDED"
    assert "help: units_in, units_out of its constructor was given the length of an axis" in verdict.reason


def test_a_method_that_does_not_end_is_told(monkeypatch):
    monkeypatch.setitem(layers.SHARES, "run of the user's code", layers.SHARES["lemma"]._replace(seconds=0.05))

    class Endless(Dense):
        def forward(self, x):
            while True:
                self.x = x

    verdict = sb.check(Endless, shapes=DENSE)
    assert (verdict.status, "Endless.forward has not ended after 0.05 s" in verdict.reason) == ("UNDECIDED", True)


def test_methods_that_return_nothing_or_values_later_are_told():
    class Nothing(Dense):
        def forward(self, x):
            self.out = super().forward(x)

    class Later(Dense):
        def backward(self, dout):
            yield dout @ self.params["W"].T

    assert sb.check(Nothing, shapes=DENSE).diagnosis == "Nothing.forward returns nothing"
    assert sb.check(Later, shapes=DENSE).diagnosis == "Later.backward yields values"


def test_a_cache_may_have_the_name_of_data():
    class Prepared(Dense):
        def __init__(self, units_in, units_out):
            super().__init__(units_in, units_out)
            self.x = np.zeros((1, units_in))

    assert sb.check(Prepared, shapes=DENSE).status == "PROVED"


def test_a_second_call_that_returns_something_else_is_told():
    class Counted(Dense):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return self.calls * super().forward(x)

    told = "judged the first call of {}.forward: a second one returns something else"
    assert told.format("Counted") in sb.check(Counted, shapes=DENSE).notes
    assert told.format("Dense") not in sb.check(Dense, shapes=DENSE).notes


def test_what_is_returned_and_fits_no_input_is_told():
    class Stops(Dense):
        def backward(self, dout):
            super().backward(dout)
            return dout

    notes = sb.check(Stops, shapes=DENSE).notes
    assert any(n.startswith("what backward returns is no gradient of x: it has the shape") for n in notes)
