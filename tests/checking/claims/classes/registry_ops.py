"""Operations in a registry filled by __init_subclass__, abstract methods; the slip takes the wrong operand."""

import numpy as np
from abc import ABC, abstractmethod

SHAPES = {"a": ("N", "D"), "b": ("D",)}


class Op(ABC):
    registry = {}

    def __init_subclass__(cls, **kw):
        super().__init_subclass__(**kw)
        Op.registry[cls.__name__.lower()] = cls

    @classmethod
    def make(cls, name):
        return cls.registry[name]()

    @abstractmethod
    def f(self, *a): ...
    @staticmethod
    def unbroadcast(g, like):
        while g.ndim > like.ndim:
            g = g.sum(axis=0)
        return g


class Mul(Op):
    def f(self, a, b):
        self.a, self.b = a, b
        return a * b

    def b_(self, g):
        return g * self.b, self.unbroadcast(g * self.a, self.b)


class Exp(Op):
    def f(self, a):
        self.out = np.exp(a)
        return self.out

    def b_(self, g):
        return (g * self.out,)


def run(a, b):
    mul, exp = Op.make("mul"), Op.make("exp")
    return exp.f(mul.f(a, b)), (mul, exp)


def forward(a, b):
    return run(a, b)[0]


def backward(dout, a, b):
    _, (mul, exp) = run(a, b)
    (g,) = exp.b_(dout)
    da, db = mul.b_(g)
    return {"a": da, "b": db}


OLD = "return g * self.b, self.unbroadcast(g * self.a, self.b)"
NEW = "return g * self.b, self.unbroadcast(g * self.b, self.b)"
WRONG = ["b"]
