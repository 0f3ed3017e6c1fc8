"""Names in generated code: every tensor, size and hyper-parameter gets one Python identifier.

Names come from users, and generated source is executed, so nothing but letters, digits and underscores passes.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable
from itertools import count

from symbackprop.expression.build import Symbol, Tensor

# What printed modules and C files use themselves; a user's tensor of that name gets an underscore.
_PYTHON = """np jnp jax DTYPE ZERO HALF ONE TWO sigmoid tail erf work row_work out rows start stop theta
rate gemm run decay add_multiple
cost cost_and_gradient gradient predict compute run row_products add_at put_at finite_exp MOST LEAST windows
tanh_beside QUARTER"""
_C = """slots slot call on_held held DATA
CUBE largest smallest EXTREME gemm loops small_product block count rest p
main real product epoch blas relu use_blas floor_div floor_mod clip REAL LARGEST BIGGEST SMALL LARGE
LARGE_TURNED LARGE_DOTTED FEW_ROWS
INPUTS UNITS ROWS_SLOT SQUARE ABS EXP LOG SIN COS ERF TANH SQRT POW INFINITY LINE BYTES
LANES WIDE DEPTH BAND AT BLOCK COPIES LEAST_DOTTED
auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
squares exp log sin cos tanh fabs sqrt pow erf expf logf sinf cosf tanhf fabsf sqrtf powf erff memset memcpy ADDS
INDICATOR LANE indicators
NULL NAN HUGE_VAL HUGE_VALF HUGE_VALL FP_NAN FP_INFINITE FP_ZERO FP_SUBNORMAL FP_NORMAL FP_ILOGB0 FP_ILOGBNAN
MATH_ERRNO MATH_ERREXCEPT math_errhandling"""
PYTHON = frozenset([*keyword.kwlist, *dir(builtins)])
RESERVED = frozenset([*_PYTHON.split(), *_C.split(), *PYTHON])


class Names:
    """The identifier of each tensor and symbol.

    Args:
        things: what gets one, those first that keep their own.
        reserved: what nothing may be called.

    Example:
        >>> names = Names([Tensor("x"), Tensor("x.1"), Symbol("lambda")])
        >>> [names[t] for t in (Tensor("x"), Tensor("x.1"), Symbol("lambda"))]
        ['x', 'x_1', 'lambda_']
    """

    def __init__(self, things: Iterable[Tensor | Symbol], reserved: Iterable[str] = RESERVED) -> None:
        self._known: dict[Tensor | Symbol, str] = {}
        self._taken = set(reserved)
        for thing in things:
            if thing not in self._known:
                self._known[thing] = self.fresh(thing.name)

    def __getitem__(self, thing: Tensor | Symbol) -> str:
        return self._known[thing]

    def __contains__(self, thing: Tensor | Symbol) -> bool:
        return thing in self._known

    def alias(self, thing: Tensor, other: Tensor) -> None:
        """Call `thing` by the name of `other`."""
        self._known[thing] = self._known[other]

    def again(self, thing: Tensor) -> None:
        """Call `thing` by a new name."""
        self._known[thing] = self.fresh(self._known[thing])

    def numbered(self, stem: str) -> str:
        """The first of stem1, stem2, ... that nothing else has."""
        name = next(n for k in count(1) if (n := f"{stem}{k}") not in self._taken)
        self._taken.add(name)
        return name

    def fresh(self, wanted: str) -> str:
        """An identifier like `wanted` that nothing else has."""
        name = re.sub(r"[^A-Za-z0-9_]", "_", wanted) or "v"
        if name[0].isdigit() or name.startswith("__") or re.match("_[A-Z]", name):  # C keeps the last two for itself
            name = "v" + name
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name
