"""Derives a neural network's gradients symbolically, proves them for every size, checks yours, and runs them fast.

    import symbackprop as sb

    net = sb.Network([3, 5, 4], activation="sigmoid", cost="cross_entropy", l2="lambda/(2*m)")
    sb.prove(net)                                        # theorems, replayed by a kernel
    sb.verify(net, "delta3[n,k]", "(a3[n,k] - y[n,k])/m")   # your formula: PROVED, REFUTED or UNDECIDED
    f = sb.compile(net)                                  # the same equations as NumPy

Each name is loaded when it is first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from symbackprop.api import assert_proved, check, compile, prove, trace, verify
    from symbackprop.checking.marked import gradient_of
    from symbackprop.checking.verdict import Verdict
    from symbackprop.errors import SymbackpropError
    from symbackprop.expression.program import Program
    from symbackprop.frontends.network import Network
    from symbackprop.proofs.theorem import Proof
    from symbackprop.training.estimators import MLPClassifier, MLPRegressor
    from symbackprop.training.model import load

__version__ = "0.1.0"

_LATER = {
    "MLPClassifier": "training.estimators",
    "MLPRegressor": "training.estimators",
    "Network": "frontends.network",
    "Program": "expression.program",
    "Proof": "proofs.theorem",
    "SymbackpropError": "errors",
    "Verdict": "checking.verdict",
    "assert_proved": "api",
    "check": "api",
    "compile": "api",
    "gradient_of": "checking.marked",
    "load": "training.model",
    "prove": "api",
    "trace": "api",
    "verify": "api",
}


# Pickles name the modules of their classes; those that are older than the rooms are still read.
_FORMERLY = {
    "counterexample": "checking.counterexample",
    "data": "training.data",
    "derivation": "calculus.derivation",
    "estimators": "training.estimators",
    "network": "frontends.network",
    "nodes": "expression.nodes",
    "primitives": "expression.functions",
    "program": "expression.program",
    "proof": "proofs.theorem",
    "run": "training.run",
    "train": "training.loop",
    "verdict": "checking.verdict",
}


class _Former(ModuleType):
    """Stands under the former name of a module, which is loaded when something in it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # a tool that looks the object over does not use it
            raise AttributeError(name)
        former = self.__name__.removeprefix("symbackprop.")
        return getattr(importlib.import_module(f"symbackprop.{_FORMERLY[former]}"), name)


sys.modules.update({name: _Former(name) for name in (f"symbackprop.{former}" for former in _FORMERLY)})


def _load(name: str) -> Any:
    """What is loaded when it is first used."""
    if name not in _LATER:
        raise AttributeError(f"module 'symbackprop' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"symbackprop.{_LATER[name]}"), name)
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # a type checker refuses names that there are not
    __getattr__ = _load


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "MLPClassifier",
    "MLPRegressor",
    "Network",
    "Program",
    "Proof",
    "SymbackpropError",
    "Verdict",
    "__version__",
    "assert_proved",
    "check",
    "compile",
    "gradient_of",
    "load",
    "prove",
    "trace",
    "verify",
]
