"""The backward pass of a layer of one's own, derived, proved, and compiled to NumPy."""

import numpy as np

import symbackprop as sb


def rms_norm(x, gain, eps=1e-6):
    """Rows divided by their root mean square."""
    return gain * x / np.sqrt((x**2).mean(axis=1, keepdims=True) + eps)


program = sb.trace(rms_norm, {"x": ("N", "D"), "gain": ("D",)})
proof = sb.prove(program)
print(proof)
assert proof.status == "PROVED"

f = sb.compile(program)
random = np.random.default_rng(0)
x, gain, dout = random.normal(size=(4, 3)), random.normal(size=3), random.normal(size=(4, 3))
gradients = f(x=x, gain=gain, dout=dout)

# a complex step knows nothing of the derivation
step = random.normal(size=x.shape)
slope = np.imag((rms_norm(x + 1e-30j * step, gain) * dout).sum()) / 1e-30
print("along a direction:", slope, (gradients["x_bar"] * step).sum())
assert np.isclose(slope, (gradients["x_bar"] * step).sum())
