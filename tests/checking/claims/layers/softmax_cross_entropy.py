"""Softmax cross-entropy with integer labels on top of a linear layer, mean over the batch.

backward          PROVED
backward_wrong_1  REFUTED  x, w, b      the sum over the batch, not its mean
backward_wrong_2  REFUTED  x, w, b      1 is added at the label, not subtracted
backward_wrong_3  REFUTED  x, w, b      divided by the number of classes, not by the batch size
backward_wrong_4  REFUTED  b            bias gradient averaged once more
"""

import numpy as np

SHAPES = {"x": ("N", "D"), "w": ("D", "C"), "b": ("C",), "y": ("N",)}
ASSUME = {"y": "labels:C"}


def softmax(scores):
    shifted = scores - scores.max(axis=1, keepdims=True)
    exp = np.exp(shifted)
    return exp / exp.sum(axis=1, keepdims=True)


def forward(x, w, b, y):
    probs = softmax(x @ w + b)
    return -np.log(probs[np.arange(len(y)), y]).mean()


def backward(x, w, b, y):
    n = x.shape[0]
    dscores = softmax(x @ w + b)
    dscores[np.arange(n), y] -= 1
    dscores /= n
    return {"x": dscores @ w.T, "w": x.T @ dscores, "b": dscores.sum(axis=0)}


def backward_wrong_1(x, w, b, y):
    dscores = softmax(x @ w + b)
    dscores[np.arange(x.shape[0]), y] -= 1
    return {"x": dscores @ w.T, "w": x.T @ dscores, "b": dscores.sum(axis=0)}


def backward_wrong_2(x, w, b, y):
    n = x.shape[0]
    dscores = softmax(x @ w + b)
    dscores[np.arange(n), y] += 1
    dscores /= n
    return {"x": dscores @ w.T, "w": x.T @ dscores, "b": dscores.sum(axis=0)}


def backward_wrong_3(x, w, b, y):
    dscores = softmax(x @ w + b)
    dscores[np.arange(x.shape[0]), y] -= 1
    dscores /= dscores.shape[1]
    return {"x": dscores @ w.T, "w": x.T @ dscores, "b": dscores.sum(axis=0)}


def backward_wrong_4(x, w, b, y):
    n = x.shape[0]
    dscores = softmax(x @ w + b)
    dscores[np.arange(n), y] -= 1
    dscores /= n
    return {"x": dscores @ w.T, "w": x.T @ dscores, "b": dscores.mean(axis=0)}
