"""Huber's loss by smaller of the two parts, its slope by clip.

backward          PROVED
backward_wrong_1  REFUTED  x, y  the slope is clipped at 1, not at delta
backward_wrong_2  REFUTED  x, y  the sign of the difference is lost
backward_wrong_3  REFUTED  y     the sign of the second gradient
"""

import numpy as np

SHAPES = {"x": ("N", "D"), "y": ("N", "D")}


def forward(x, y, delta=1.5):
    far = np.abs(x - y)
    near = np.minimum(far, delta)
    return (0.5 * near**2 + delta * (far - near)).mean()


def backward(x, y, delta=1.5):
    slope = np.clip(x - y, -delta, delta) / x.size
    return {"x": slope, "y": -slope}


def backward_wrong_1(x, y, delta=1.5):
    slope = np.clip(x - y, -1, 1) / x.size
    return {"x": slope, "y": -slope}


def backward_wrong_2(x, y, delta=1.5):
    slope = np.minimum(np.abs(x - y), delta) / x.size
    return {"x": slope, "y": -slope}


def backward_wrong_3(x, y, delta=1.5):
    slope = np.clip(x - y, -delta, delta) / x.size
    return {"x": slope, "y": slope}
