"""A hand-derived gradient that is wrong, what the verdict says, and the proof of the mended one."""

import numpy as np

import symbackprop as sb

SHAPES = {"x": ("N", "D"), "w": ("D", "M"), "b": ("M",)}


def forward(x, w, b):
    """A dense layer of sigmoid units."""
    return 1 / (1 + np.exp(-(x @ w + b)))


def backward(dout, x, w, b):
    """Wrong: sigma' = sigma*(1 - sigma) was taken at sigma, not at z."""
    a = 1 / (1 + np.exp(-(x @ w + b)))
    slope = 1 / (1 + np.exp(-a))
    dz = dout * slope * (1 - slope)
    return {"x": dz @ w.T, "w": x.T @ dz, "b": dz.sum(axis=0)}


def mended(dout, x, w, b):
    """Right."""
    a = 1 / (1 + np.exp(-(x @ w + b)))
    dz = dout * a * (1 - a)
    return {"x": dz @ w.T, "w": x.T @ dz, "b": dz.sum(axis=0)}


verdict = sb.check(forward, backward, shapes=SHAPES)
print(verdict)
assert verdict.status == "REFUTED"
point = verdict.counterexample
print("at", {name: value.tolist() for name, value in point.inputs.items()})

verdict = sb.check(forward, mended, shapes=SHAPES)
print(verdict)
assert verdict and verdict.for_all_sizes
