"""A user's NumPy function as a program: it is run on symbolic arrays of symbolic sizes, and every line that assigns
becomes an equation in index notation.

Main names: `trace` (one function), `trace_pair` (a forward and its backward), `Tracer` (a session),
`NeedsConcreteSizes`.
"""

import sys
import types
from typing import Any

from symbackprop.trace.pair import Traced, backward_roles, trace, trace_pair, unwritten
from symbackprop.trace.stops import CodeRaisesError, NeedsConcreteSizes, ShapesDoNotFit
from symbackprop.trace.tracer import Tracer, name_of

__all__ = [
    "CodeRaisesError",
    "NeedsConcreteSizes",
    "ShapesDoNotFit",
    "Traced",
    "Tracer",
    "backward_roles",
    "name_of",
    "trace",
    "trace_pair",
    "unwritten",
]


class _Callable(types.ModuleType):
    """This package, which can be called: loading it sets the name `symbackprop.trace`, which is the function's too."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The function of the same name."""
        return trace(*args, **options)


sys.modules[__name__].__class__ = _Callable
