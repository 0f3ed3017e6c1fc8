"""A two-layer net with relu, softmax cross-entropy and L2 on the weights, gradients in a dictionary.

backward          PROVED
backward_wrong_1  REFUTED  W1, b1       the relu's mask is taken from the upstream gradient
backward_wrong_2  REFUTED  W1, W2       the penalty's gradient lacks the factor 2
backward_wrong_3  REFUTED  b1, b2       the biases are regularised too
backward_wrong_4  REFUTED  W1, b1       the relu's mask is missing
"""

import numpy as np

SHAPES = {"X": ("N", "D"), "y": ("N",), "W1": ("D", "H"), "b1": ("H",), "W2": ("H", "C"), "b2": ("C",)}
ASSUME = {"y": "labels:C"}


def scores_of(X, W1, b1, W2, b2):
    hidden = np.maximum(0, X.dot(W1) + b1)
    return hidden, hidden.dot(W2) + b2


def softmax(s):
    s = np.exp(s - np.max(s, axis=1, keepdims=True))
    s /= np.sum(s, axis=1, keepdims=True)
    return s


def forward(X, y, W1, b1, W2, b2, reg=0.05):
    N = X.shape[0]
    _, scores = scores_of(X, W1, b1, W2, b2)
    loss = -np.sum(np.log(softmax(scores)[range(N), y])) / N
    loss += reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
    return loss


def start(X, y, W1, b1, W2, b2):
    N = X.shape[0]
    hidden, scores = scores_of(X, W1, b1, W2, b2)
    dscores = softmax(scores)
    dscores[range(N), y] -= 1
    return hidden, dscores / N


def backward(X, y, W1, b1, W2, b2, reg=0.05):
    hidden, dscores = start(X, y, W1, b1, W2, b2)
    grads = {"W2": hidden.T.dot(dscores), "b2": np.sum(dscores, axis=0)}
    dhidden = dscores.dot(W2.T)
    dhidden[hidden <= 0] = 0
    grads["W1"] = X.T.dot(dhidden)
    grads["b1"] = np.sum(dhidden, axis=0)
    grads["W1"] += 2 * reg * W1
    grads["W2"] += 2 * reg * W2
    return grads


def backward_wrong_1(X, y, W1, b1, W2, b2, reg=0.05):
    hidden, dscores = start(X, y, W1, b1, W2, b2)
    dhidden = dscores.dot(W2.T)
    dhidden[dhidden <= 0] = 0
    return {
        "W2": hidden.T.dot(dscores) + 2 * reg * W2,
        "b2": dscores.sum(0),
        "W1": X.T.dot(dhidden) + 2 * reg * W1,
        "b1": dhidden.sum(0),
    }


def backward_wrong_2(X, y, W1, b1, W2, b2, reg=0.05):
    grads = backward(X, y, W1, b1, W2, b2, 0)
    grads["W1"] += reg * W1
    grads["W2"] += reg * W2
    return grads


def backward_wrong_3(X, y, W1, b1, W2, b2, reg=0.05):
    grads = backward(X, y, W1, b1, W2, b2, reg)
    grads["b1"] += 2 * reg * b1
    grads["b2"] += 2 * reg * b2
    return grads


def backward_wrong_4(X, y, W1, b1, W2, b2, reg=0.05):
    hidden, dscores = start(X, y, W1, b1, W2, b2)
    dhidden = dscores @ W2.T
    return {
        "W2": hidden.T @ dscores + 2 * reg * W2,
        "b2": dscores.sum(0),
        "W1": X.T @ dhidden + 2 * reg * W1,
        "b1": dhidden.sum(0),
    }
