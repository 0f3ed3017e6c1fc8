"""An embedding that leaves a padding index out of its means; the slip lets it in again."""

import numpy as np

SHAPES = {"table": ("V", "E"), "tokens": ("N", "T")}
ASSUME = {"tokens": "labels:V"}


class Embedding:
    def __init__(self, table, pad=0):
        self.table, self.pad = table, pad

    def forward(self, tokens):
        self.tokens = tokens
        self.keep = (tokens != self.pad).astype(float)
        self.count = np.maximum(self.keep.sum(axis=1, keepdims=True), 1)
        return (self.table[tokens] * self.keep[:, :, None]).sum(axis=1) / self.count

    def backward(self, g):
        self.grad = np.zeros_like(self.table)
        spread = (g / self.count)[:, None, :] * self.keep[:, :, None]
        np.add.at(self.grad, self.tokens, spread)


def forward(table, tokens):
    return Embedding(table).forward(tokens)


def backward(dout, table, tokens):
    e = Embedding(table)
    e.forward(tokens)
    e.backward(dout)
    return {"table": e.grad}


OLD = "spread = (g / self.count)[:, None, :] * self.keep[:, :, None]"
NEW = "spread = (g / self.count)[:, None, :] * np.ones_like(self.keep)[:, :, None]"
WRONG = ["table"]
