"""Focal loss on logits with integer labels, mean over the batch.

backward          PROVED
backward_wrong_1  REFUTED  logits       the factor (1-p)**gamma is taken to be constant
backward_wrong_2  REFUTED  logits       the sign of gamma*p*log(p) is wrong
backward_wrong_3  REFUTED  logits       the coefficient is used for every class, without the one-hot row
"""

import numpy as np

SHAPES = {"logits": ("N", "C"), "y": ("N",)}
ASSUME = {"y": "labels:C"}


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def forward(logits, y, gamma=2.0):
    p = softmax(logits)[np.arange(y.shape[0]), y]
    return np.mean(-((1 - p) ** gamma) * np.log(p))


def parts(logits, y):
    probs = softmax(logits)
    rows = np.arange(logits.shape[0])
    onehot = np.zeros(logits.shape)
    onehot[rows, y] = 1
    return probs, probs[rows, y].reshape(-1, 1), onehot


def backward(logits, y, gamma=2.0):
    probs, p, onehot = parts(logits, y)
    coefficient = gamma * (1 - p) ** (gamma - 1) * p * np.log(p) - (1 - p) ** gamma
    return {"logits": coefficient * (onehot - probs) / len(logits)}


def backward_wrong_1(logits, y, gamma=2.0):
    probs, p, onehot = parts(logits, y)
    return {"logits": -((1 - p) ** gamma) * (onehot - probs) / len(logits)}


def backward_wrong_2(logits, y, gamma=2.0):
    probs, p, onehot = parts(logits, y)
    coefficient = -gamma * (1 - p) ** (gamma - 1) * p * np.log(p) - (1 - p) ** gamma
    return {"logits": coefficient * (onehot - probs) / len(logits)}


def backward_wrong_3(logits, y, gamma=2.0):
    probs, p, onehot = parts(logits, y)
    coefficient = gamma * (1 - p) ** (gamma - 1) * p * np.log(p) - (1 - p) ** gamma
    return {"logits": coefficient * -probs / len(logits)}
