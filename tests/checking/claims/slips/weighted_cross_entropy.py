"""Cross-entropy over classes with weights: the mean is over the weights of the labels, which have no name of their own."""

import numpy as np

SHAPES = {"logits": ("N", "C"), "y": ("N",), "w": ("C",)}
ASSUME = {"y": "labels:C", "w": "pos"}


SLIPS = {
    "mean over the examples": (
        'return {"logits": g / of_label.sum()}',
        'return {"logits": g / len(y)}',
        "line {line}: a factor 1/of_label.sum() belongs where the factor 1/N stands",
    ),
}


def forward(logits, y, w):
    z = logits - logits.max(1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    of_label = w[y]
    return (-log_p[np.arange(len(y)), y] * of_label).sum() / of_label.sum()


def backward(logits, y, w):
    e = np.exp(logits - logits.max(1, keepdims=True))
    of_label = w[y]
    g = e / e.sum(1, keepdims=True) * of_label[:, None]
    g[np.arange(len(y)), y] -= of_label
    return {"logits": g / of_label.sum()}
