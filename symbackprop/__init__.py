"""Derives a neural network's gradients symbolically, proves them for every size, checks yours, and runs them fast.

    import symbackprop as sb

    net = sb.Network([3, 5, 4], activation="sigmoid", cost="cross_entropy", l2="lambda/(2*m)")
    sb.prove(net)                                        # theorems, replayed by a kernel
    sb.verify(net, "delta3[n,k]", "(a3[n,k] - y[n,k])/m")   # your formula: PROVED, REFUTED or UNDECIDED
    f = sb.compile(net)                                  # the same equations as NumPy

What describes and verifies is loaded with the package; tracing, documents, code generation and training when they are
first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from symbackprop.checking.verdict import Verdict
from symbackprop.checking.verify import verify
from symbackprop.errors import SymbackpropError
from symbackprop.expression.program import Program
from symbackprop.frontends.network import Network
from symbackprop.proofs.theorem import Proof

if TYPE_CHECKING:
    from symbackprop.api import prove
    from symbackprop.checking.check import assert_proved, check
    from symbackprop.codegen.compile import compile
    from symbackprop.frontends.numpy.traced import trace
    from symbackprop.training.estimators import MLPClassifier, MLPRegressor

__version__ = "0.1.0"

_LATER = {
    "MLPClassifier": "training.estimators",
    "MLPRegressor": "training.estimators",
    "assert_proved": "checking.check",
    "check": "checking.check",
    "compile": "codegen.compile",
    "prove": "api",
    "trace": "frontends.numpy.traced",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'symbackprop' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"symbackprop.{_LATER[name]}"), name)
    globals()[name] = value
    return value


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
    "prove",
    "trace",
    "verify",
]
