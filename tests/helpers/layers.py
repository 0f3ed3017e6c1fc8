"""Forward passes of well-known layers, written as one writes them in NumPy: what documents and closed forms are tested on.

`LAYERS` has for each the function, the shapes of its arguments and what is assumed about them.
"""

import numpy as np


def layernorm(x, gamma, beta, eps=1e-5):
    """Layer normalisation with gain and shift."""
    mu = x.mean(axis=1, keepdims=True)
    xc = x - mu
    var = (xc**2).mean(axis=1, keepdims=True)
    std = np.sqrt(var + eps)
    xhat = xc / std
    out = gamma * xhat + beta
    return out


def batchnorm(x, gamma, beta, eps=1e-5):
    """Batch normalisation; `var` computes a mean of its own."""
    mu = x.mean(axis=0)
    var = x.var(axis=0)
    xhat = (x - mu) / np.sqrt(var + eps)
    return gamma * xhat + beta


def rmsnorm(x, g, eps=1e-6):
    """Scaling by the root of the mean square."""
    ms = (x**2).mean(axis=-1, keepdims=True)
    rms = np.sqrt(ms + eps)
    return g * x / rms


def attention(Q, K, V):
    """Scaled dot-product attention of one head."""
    S = Q @ K.T / np.sqrt(Q.shape[1])
    E = np.exp(S - S.max(axis=1, keepdims=True))
    P = E / E.sum(axis=1, keepdims=True)
    out = P @ V
    return out


def masked_attention(q, k, v):
    """Attention in which each place looks at itself and at earlier ones only."""
    s = q @ k.T / np.sqrt(q.shape[1])
    e = np.exp(s) * np.tril(np.ones((len(q), len(q))))
    p = e / e.sum(axis=1, keepdims=True)
    return p @ v


def softmax_cross_entropy(z, y):
    """Softmax cross-entropy with labels."""
    N = z.shape[0]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(N), y]).mean()
    return loss


def gelu_mlp(x, W1, b1, W2, b2):
    """Two layers with the tanh form of GELU between them."""
    h = x @ W1 + b1
    u = 0.7978845608 * (h + 0.044715 * h**3)
    t = np.tanh(u)
    a = 0.5 * h * (1 + t)
    out = a @ W2 + b2
    return out


def lstm_cell(x, h, c, Wx, Wh, b):
    """One step of an LSTM, its four gates side by side in one array."""
    H = h.shape[1]
    z = x @ Wx + h @ Wh + b
    i = 1 / (1 + np.exp(-z[:, :H]))
    f = 1 / (1 + np.exp(-z[:, H : 2 * H]))
    o = 1 / (1 + np.exp(-z[:, 2 * H : 3 * H]))
    g = np.tanh(z[:, 3 * H :])
    c_next = f * c + i * g
    h_next = o * np.tanh(c_next)
    return h_next, c_next


_ROWS = {"x": ("N", "D"), "gamma": ("D",), "beta": ("D",)}
LAYERS = {
    "layernorm": (layernorm, _ROWS, {}),
    "batchnorm": (batchnorm, _ROWS, {}),
    "rmsnorm": (rmsnorm, {"x": ("N", "D"), "g": ("D",)}, {}),
    "attention": (attention, {"Q": ("N", "D"), "K": ("M", "D"), "V": ("M", "E")}, {}),
    "masked_attention": (masked_attention, {"q": ("T", "D"), "k": ("T", "D"), "v": ("T", "E")}, {}),
    "softmax_cross_entropy": (softmax_cross_entropy, {"z": ("N", "C"), "y": ("N",)}, {"y": "labels:C"}),
    "gelu_mlp": (gelu_mlp, {"x": ("N", "D"), "W1": ("D", "H"), "b1": ("H",), "W2": ("H", "M"), "b2": ("M",)}, {}),
    "lstm_cell": (
        lstm_cell,
        {"x": ("N", "D"), "h": ("N", "H"), "c": ("N", "H"), "Wx": ("D", "4*H"), "Wh": ("H", "4*H"), "b": ("4*H",)},
        {},
    ),
}
