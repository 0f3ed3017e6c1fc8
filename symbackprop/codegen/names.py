"""Names in generated code: every tensor, size and hyper-parameter gets one Python identifier.

Names come from users, and generated source is executed, so nothing but letters, digits and underscores passes. This
module must not know about statements.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable
from itertools import count

from symbackprop.expression import Symbol, Tensor

# What printed modules and C files use themselves.
RESERVED = frozenset(
    set("np jnp jax DTYPE ZERO HALF ONE TWO sigmoid tail erf work row_work out rows start stop".split())
    | set(keyword.kwlist)
    | set(dir(builtins))
    | set("slots slot gemm block count rest p main real product epoch blas relu use_blas floor_div floor_mod".split())
    | set("REAL LARGEST BIGGEST SMALL INPUTS UNITS ROWS_SLOT EPOCH SQUARE ABS X Y M N K A B C".split())
    | set("auto break case char const continue default do double else enum extern float for goto if inline int".split())
    | set("long register restrict return short signed sizeof static struct switch typedef union unsigned void".split())
    | set(
        "volatile while exp log sin cos tanh fabs fmax fmin sqrt pow log1p expm1 floor j0 j1 jn y0 y1 yn gamma".split()
    )
    | set("cost cost_and_gradient gradient predict compute".split())
)


class Names:
    """The identifier of each tensor and symbol.

    Example:
        >>> names = Names([Tensor("x"), Tensor("x.1"), Symbol("lambda")])
        >>> [names[t] for t in (Tensor("x"), Tensor("x.1"), Symbol("lambda"))]
        ['x', 'x_1', 'lambda_']
    """

    def __init__(self, things: Iterable[Tensor | Symbol]) -> None:
        self._known: dict[Tensor | Symbol, str] = {}
        self._taken = set(RESERVED)
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

    def numbered(self, stem: str) -> str:
        """The first of stem1, stem2, ... that nothing else has."""
        name = next(n for k in count(1) if (n := f"{stem}{k}") not in self._taken)
        self._taken.add(name)
        return name

    def fresh(self, wanted: str) -> str:
        """An identifier like `wanted` that nothing else has."""
        name = re.sub(r"[^A-Za-z0-9_]", "_", wanted) or "v"
        if name[0].isdigit() or name.startswith("__"):
            name = "v" + name
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name
