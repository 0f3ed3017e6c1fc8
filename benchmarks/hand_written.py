"""The layers by hand, as a careful engineer writes them in NumPy: forward, J = sum(dout * out) and the gradients.

Saved values are used again, closed forms are used where textbooks have them, and arrays that are no longer needed are
overwritten where that keeps the line readable.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def layer_norm(x, gamma, beta, dout, eps=1e-5):
    D = x.shape[1]
    xc = x - x.mean(axis=1, keepdims=True)
    rstd = 1 / np.sqrt((xc * xc).mean(axis=1, keepdims=True) + eps)
    xhat = xc * rstd
    out = xhat * gamma + beta
    dgamma = (dout * xhat).sum(axis=0)
    dbeta = dout.sum(axis=0)
    dxhat = dout * gamma
    dx = rstd / D * (D * dxhat - dxhat.sum(axis=1, keepdims=True) - xhat * (dxhat * xhat).sum(axis=1, keepdims=True))
    return {"J": np.vdot(dout, out), "x": dx, "gamma": dgamma, "beta": dbeta}


def rms_norm(x, gamma, dout, eps=1e-6):
    r = 1 / np.sqrt((x * x).mean(axis=1, keepdims=True) + eps)
    xhat = x * r
    out = gamma * xhat
    dgamma = (dout * xhat).sum(axis=0)
    dxhat = dout * gamma
    dx = r * (dxhat - xhat * (dxhat * xhat).mean(axis=1, keepdims=True))
    return {"J": np.vdot(dout, out), "x": dx, "gamma": dgamma}


def batch_norm(x, gamma, beta, dout, eps=1e-5):
    N = x.shape[0]
    xc = x - x.mean(axis=0)
    rstd = 1 / np.sqrt((xc * xc).mean(axis=0) + eps)
    xhat = xc * rstd
    out = xhat * gamma + beta
    dgamma = (dout * xhat).sum(axis=0)
    dbeta = dout.sum(axis=0)
    dx = (gamma * rstd / N) * (N * dout - dbeta - xhat * dgamma)
    return {"J": np.vdot(dout, out), "x": dx, "gamma": dgamma, "beta": dbeta}


def gelu(x, dout):
    c = np.sqrt(2 / np.pi)
    square = x * x
    t = np.tanh(c * x * (1 + 0.044715 * square))
    half = 0.5 * (1 + t)
    out = x * half
    dx = dout * (half + 0.5 * x * (1 - t * t) * (c * (1 + 3 * 0.044715 * square)))
    return {"J": np.vdot(dout, out), "x": dx}


def swiglu(x, Wg, Wu, Wd, dout):
    g, u = x @ Wg, x @ Wu
    s = 1 / (1 + np.exp(-g))
    silu = g * s
    hidden = silu * u
    out = hidden @ Wd
    dhidden = dout @ Wd.T
    du = dhidden * silu
    dg = dhidden * u * (s + silu * (1 - s))
    return {
        "J": np.vdot(dout, out), "x": dg @ Wg.T + du @ Wu.T, "Wg": x.T @ dg, "Wu": x.T @ du, "Wd": hidden.T @ dout,
    }  # fmt: skip


def softmax_cross_entropy(z, y):
    rows = np.arange(len(y))
    z = z - z.max(axis=1, keepdims=True)
    e = np.exp(z)
    total = e.sum(axis=1, keepdims=True)
    J = (np.log(total[:, 0]) - z[rows, y]).mean()
    e /= total
    e[rows, y] -= 1
    e /= len(y)
    return {"J": J, "z": e}


def attention(q, k, v, dout):
    scale = 1 / np.sqrt(q.shape[1])
    s = q @ k.T * scale
    s -= s.max(axis=1, keepdims=True)
    p = np.exp(s, out=s)
    p /= p.sum(axis=1, keepdims=True)
    out = p @ v
    dv = p.T @ dout
    dp = dout @ v.T
    dp -= (dout * out).sum(axis=1, keepdims=True)
    dp *= p
    dp *= scale
    return {"J": np.vdot(dout, out), "q": dp @ k, "k": dp.T @ q, "v": dv}


def gru_cell(x, h, Wz, Uz, bz, Wr, Ur, br, Wh, Uh, bh, dout):
    z = 1 / (1 + np.exp(-(x @ Wz + h @ Uz + bz)))
    r = 1 / (1 + np.exp(-(x @ Wr + h @ Ur + br)))
    hU = h @ Uh
    n = np.tanh(x @ Wh + r * hU + bh)
    out = n + z * (h - n)
    dn = dout * (1 - z) * (1 - n * n)
    dz = dout * (h - n) * z * (1 - z)
    dnr = dn * r
    dr = dn * hU * r * (1 - r)
    return {
        "J": np.vdot(dout, out),
        "x": dz @ Wz.T + dr @ Wr.T + dn @ Wh.T,
        "h": dout * z + dz @ Uz.T + dr @ Ur.T + dnr @ Uh.T,
        "Wz": x.T @ dz, "Uz": h.T @ dz, "bz": dz.sum(axis=0),
        "Wr": x.T @ dr, "Ur": h.T @ dr, "br": dr.sum(axis=0),
        "Wh": x.T @ dn, "Uh": h.T @ dnr, "bh": dn.sum(axis=0),
    }  # fmt: skip


def conv3x3(x, w, b, dout):
    """By windows as rows of a matrix (im2col)."""
    N, C, H, W = x.shape
    F = len(w)
    h, v = H - 2, W - 2
    columns = sliding_window_view(x, (3, 3), axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5).reshape(N * h * v, C * 9)
    flat = w.reshape(F, C * 9)
    rows = dout.transpose(0, 2, 3, 1).reshape(N * h * v, F)
    out = columns @ flat.T + b
    dw = (rows.T @ columns).reshape(w.shape)
    windows = (rows @ flat).reshape(N, h, v, C, 3, 3)
    dx = np.zeros_like(x)
    for i in range(3):
        for j in range(3):
            dx[:, :, i : i + h, j : j + v] += windows[:, :, :, :, i, j].transpose(0, 3, 1, 2)
    return {"J": np.vdot(rows, out), "x": dx, "w": dw, "b": rows.sum(axis=0)}


HAND_WRITTEN = {
    "LayerNorm": layer_norm,
    "RMSNorm": rms_norm,
    "BatchNorm": batch_norm,
    "GELU": gelu,
    "SwiGLU": swiglu,
    "softmax cross-entropy": softmax_cross_entropy,
    "attention": attention,
    "GRU cell": gru_cell,
    "conv 3x3": conv3x3,
}
