"""Layer normalisation with gain and bias, as a layer object whose forward returns (out, cache).

backward          PROVED
backward_wrong_1  REFUTED  x            the mean of dxhat is not subtracted
backward_wrong_2  REFUTED  x            means over the batch, not over the features
backward_wrong_3  REFUTED  gain, bias   summed over the features of one row only: the batch sum stops at the first row
backward_wrong_4  REFUTED  x            the gain is applied after the projection, not before
"""

import numpy as np

SHAPES = {"x": ("N", "D"), "gain": ("D",), "bias": ("D",)}


def forward(x, gain, bias, eps=1e-6):
    mean = x.mean(axis=-1, keepdims=True)
    centred = x - mean
    rstd = 1 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    xhat = centred * rstd
    return xhat * gain + bias, {"xhat": xhat, "rstd": rstd, "gain": gain}


def backward(dout, cache):
    xhat, rstd, gain = cache["xhat"], cache["rstd"], cache["gain"]
    dxhat = dout * gain
    dx = dxhat - dxhat.mean(axis=-1, keepdims=True)
    dx -= xhat * (dxhat * xhat).mean(axis=-1, keepdims=True)
    dx *= rstd
    return {"x": dx, "gain": (dout * xhat).sum(axis=0), "bias": dout.sum(axis=0)}


def backward_wrong_1(dout, cache):
    xhat, rstd, gain = cache["xhat"], cache["rstd"], cache["gain"]
    dxhat = dout * gain
    dx = rstd * (dxhat - xhat * (dxhat * xhat).mean(axis=-1, keepdims=True))
    return {"x": dx, "gain": (dout * xhat).sum(axis=0), "bias": dout.sum(axis=0)}


def backward_wrong_2(dout, cache):
    xhat, rstd, gain = cache["xhat"], cache["rstd"], cache["gain"]
    dxhat = dout * gain
    dx = dxhat - dxhat.mean(axis=0, keepdims=True)
    dx -= xhat * (dxhat * xhat).mean(axis=0, keepdims=True)
    dx *= rstd
    return {"x": dx, "gain": (dout * xhat).sum(axis=0), "bias": dout.sum(axis=0)}


def backward_wrong_3(dout, cache):
    grads = backward(dout, cache)
    grads["gain"] = (dout * cache["xhat"])[0]
    grads["bias"] = dout[0]
    return grads


def backward_wrong_4(dout, cache):
    xhat, rstd, gain = cache["xhat"], cache["rstd"], cache["gain"]
    dx = dout - dout.mean(axis=-1, keepdims=True) - xhat * (dout * xhat).mean(axis=-1, keepdims=True)
    return {"x": gain * rstd * dx, "gain": (dout * xhat).sum(axis=0), "bias": dout.sum(axis=0)}
