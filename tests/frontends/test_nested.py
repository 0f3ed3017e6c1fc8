"""Inputs that are structures of arrays: parameters in dictionaries, lists, tuples and named tuples."""

from typing import Any, NamedTuple

import numpy as np
import pytest

import symbackprop as sb
from symbackprop.errors import MalformedError
from symbackprop.frontends.nested import flattened, structures

NET = {"params": {"enc": {"W": ("D", "H"), "b": ("H",)}, "dec": {"W": ("H", "M")}}, "x": ("N", "D")}


class Affine(NamedTuple):
    w: Any
    b: Any


def net(params, x):
    h = np.tanh(x @ params["enc"]["W"] + params["enc"]["b"])
    return h @ params["dec"]["W"]


def net_backward(dout, params, x, factor=1.0):
    h = np.tanh(x @ params["enc"]["W"] + params["enc"]["b"])
    found = {"enc": {}, "dec": {"W": h.T @ dout}}
    dz = dout @ params["dec"]["W"].T * (1 - h * h)
    found["enc"]["W"] = x.T @ dz
    found["enc"]["b"] = factor * dz.sum(0)
    return {"params": found, "x": dz @ params["enc"]["W"].T}


def stack(layers, x):
    for layer in layers:
        x = np.tanh(x @ layer.w + layer.b)
    return x


def stack_backward(dout, layers, x):
    inputs = [x]
    for layer in layers:
        inputs.append(np.tanh(inputs[-1] @ layer.w + layer.b))
    found = []
    for layer, before, after in zip(layers[::-1], inputs[-2::-1], inputs[:0:-1], strict=True):
        dout = dout * (1 - after**2)
        found.insert(0, Affine(before.T @ dout, dout.sum(0)))
        dout = dout @ layer.w.T
    return found, dout


STACK = {"layers": [Affine(("D", "H"), ("H",)), Affine(("H", "M"), ("M",))], "x": ("N", "D")}


def test_arrays_are_named_by_their_places():
    assert list(flattened(STACK)) == ["layers.0.w", "layers.0.b", "layers.1.w", "layers.1.b", "x"]
    assert structures(STACK) == {"layers": [Affine("layers.0.w", "layers.0.b"), Affine("layers.1.w", "layers.1.b")]}
    assert structures({"x": ("N", "D"), "s": (), "v": ["N"]}) == {}


@pytest.mark.parametrize(("forward", "backward", "shapes"), [(net, net_backward, NET), (stack, stack_backward, STACK)])
def test_gradients_in_structures_are_proved(forward, backward, shapes):
    verdict = sb.check(forward, backward, shapes=shapes)
    assert (verdict.status, verdict.scope) == ("PROVED", "all sizes"), str(verdict)


def test_a_wrong_gradient_is_named_by_its_place():
    verdict = sb.check(net, lambda dout, params, x: net_backward(dout, params, x, 2.0), shapes=NET)
    assert (verdict.status, verdict.wrong) == ("REFUTED", ("params.enc.b",)), str(verdict)
    assert verdict.counterexample.inputs["params.enc.b"].shape


def test_gradients_of_another_structure_are_malformed():
    def of_a_list(dout, params, x):
        return {"params": [x, x], "x": x}

    verdict = sb.check(net, of_a_list, shapes=NET)
    assert verdict.status == "MALFORMED"
    assert "the gradient of params is a list, where params is a dictionary" in verdict.reason

    def of_a_stranger(dout, params, x):
        return {"params": {"enc": {"V": x}}}

    reason = sb.check(net, of_a_stranger, shapes=NET).reason
    assert "the gradient of params.enc has an entry 'V'" in reason


def test_sizes_beside_shapes_are_malformed():
    with pytest.raises(MalformedError, match=r"the shape of p\.1 is 'N', not a tuple"):
        structures({"p": (("N",), "N")})
    verdict = sb.check(net, net_backward, shapes={**NET, "others": {"a": ("N",)}})
    assert "shapes names others, which is no input" in verdict.reason


def test_a_program_has_the_arrays_of_structures_as_inputs():
    program = sb.trace(net, NET)
    assert [t.name for t in program.inputs] == ["params.enc.W", "params.enc.b", "params.dec.W", "x"]
    assert sb.prove(program).status == "PROVED"


@pytest.mark.parametrize("shapes", [None, ["x"], {"params": 3}])
def test_what_is_no_dictionary_of_shapes_is_malformed(shapes):
    assert sb.check(net, net_backward, shapes=shapes).status == "MALFORMED"
