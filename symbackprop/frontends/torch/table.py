"""The table of torch's functions, filled by the modules that write them."""

from __future__ import annotations

from symbackprop.frontends.torch import arithmetic, derivatives, layout, matrices, neural, reductions, windows
from symbackprop.frontends.torch.tensor import FUNCTIONS

WRITTEN_IN = (arithmetic, derivatives, layout, matrices, reductions, neural, windows)

__all__ = ["FUNCTIONS", "WRITTEN_IN"]
