"""A user's NumPy function as a program: it is run on symbolic arrays of symbolic sizes, and every line that assigns
becomes an equation in index notation.

Main names: `trace` (one function), `trace_pair` (a forward and its backward), `Tracer` (a session),
`NeedsConcreteSizes`.
"""

from symbackprop.trace.pair import Traced, trace, trace_pair
from symbackprop.trace.stops import NeedsConcreteSizes, ShapesDoNotFit
from symbackprop.trace.tracer import Tracer

__all__ = ["NeedsConcreteSizes", "ShapesDoNotFit", "Traced", "Tracer", "trace", "trace_pair"]
