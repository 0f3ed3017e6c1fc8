"""One-dimensional convolution of data, a kernel of any length, as an einsum over sliding windows.

backward          PROVED
backward_wrong_1  REFUTED  w     the windows are read backwards
backward_wrong_2  REFUTED  w, b  averaged over the batch
backward_wrong_3  REFUTED  b     the bias is summed over the batch only
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

SHAPES = {"x": ("N", "C", "L"), "w": ("F", "C", "K"), "b": ("F",)}
WHERE = "L >= K"


def forward(x, w, b):
    windows = sliding_window_view(x, w.shape[2], axis=2)
    return np.einsum("nctk,fck->nft", windows, w) + b[:, None]


def backward(dout, x, w, b):
    windows = sliding_window_view(x, w.shape[2], axis=2)
    return {"w": np.einsum("nft,nctk->fck", dout, windows), "b": dout.sum(axis=(0, 2))}


def backward_wrong_1(dout, x, w, b):
    windows = sliding_window_view(x, w.shape[2], axis=2)
    return {"w": np.einsum("nft,nctk->fck", dout, windows[..., ::-1]), "b": dout.sum(axis=(0, 2))}


def backward_wrong_2(dout, x, w, b):
    windows = sliding_window_view(x, w.shape[2], axis=2)
    return {"w": np.einsum("nft,nctk->fck", dout, windows) / len(x), "b": dout.mean(axis=0).sum(axis=1)}


def backward_wrong_3(dout, x, w, b):
    windows = sliding_window_view(x, w.shape[2], axis=2)
    return {"w": np.einsum("nft,nctk->fck", dout, windows), "b": dout.sum(axis=0)[:, -1]}
