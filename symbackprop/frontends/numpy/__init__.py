"""A user's NumPy function as a program: it is run on symbolic arrays of symbolic sizes, and every line that assigns
becomes an equation in index notation.

Main names: `trace` (one function), `trace_pair` (a forward and its backward), `Tracer` (a session),
`NeedsConcreteSizes`.
"""

from symbackprop.frontends.numpy.errors import CodeRaisesError, NeedsConcreteSizes, ShapesDoNotFit
from symbackprop.frontends.numpy.traced import Traced, backward_roles, trace, trace_pair, unwritten
from symbackprop.frontends.numpy.tracer import Tracer, name_of

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
