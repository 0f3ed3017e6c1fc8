"""Large sizes that are numbers, with symbols in their place: what holds for all sizes holds for those.

Exact numbers at arrays of a million entries take minutes, and a proof does not depend on how long an axis is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence

LARGE = 10_000  # entries of all inputs together: from there on symbols are tried first
LONG = 12  # axes that get a symbol; shorter ones may be meant as they are, such as the 3 of a kernel
MULTIPLE = 4  # times another length: queries, keys and values in one; gates; the inner axis of a block
Shapes = Mapping[str, Sequence[str | int]]


def freed(
    shapes: Shapes, assume: Mapping[str, str], large: int = LARGE, long: int = LONG, kept: Collection[int] = ()
) -> tuple[dict[str, tuple[str | int, ...]], dict[str, str]] | None:
    """Shapes and assumptions with a symbol for each long axis, equal for equal numbers; None where arrays are small.

    Args:
        large: entries that are enough.
        long: the length from which on an axis gets a symbol.
        kept: lengths that stay numbers.

    Example:
        >>> freed({"x": (1000, 64), "y": (1000,)}, {"y": "labels:64"})
        ({'x': ('n1000', 'n64'), 'y': ('n1000',)}, {'y': 'labels:n64'})
        >>> freed({"x": (1000, 64), "W": (64, 192)}, {})
        ({'x': ('n1000', 'n64'), 'W': ('n64', '3*n64')}, {})
        >>> freed({"x": ("N", 64)}, {}) is None
        True
    """
    if not isinstance(shapes, Mapping) or not all(isinstance(shape, (tuple, list)) for shape in shapes.values()):
        return None  # what is wrong with them is said where they are read
    numbers = [[n for n in shape if isinstance(n, int) and not isinstance(n, bool)] for shape in shapes.values()]
    if sum(math.prod(ns) for ns in numbers if ns) < large:
        return None
    names = _names({n for ns in numbers for n in ns if n >= long and n not in kept}, " ".join(assume.values()))
    text = " ".join(str(n) for shape in shapes.values() for n in shape)
    if not names or any(re.search(rf"\bn{n}\b", text) for n in names):
        return None
    symbolic = {k: tuple(names.get(n, n) if isinstance(n, int) else n for n in v) for k, v in shapes.items()}
    kinds = {k: re.sub(r"\d+$", lambda m: names.get(int(m[0]), m[0]), v) for k, v in assume.items()}
    return symbolic, kinds


def _names(lengths: Collection[int], assumed: str) -> dict[int, str]:
    """A symbol for each length; a small multiple of another is one, as what a layer cuts into equal parts."""
    names: dict[int, str] = {}
    for n in sorted(lengths):
        part = next((d for d in names if n % d == 0 and n // d <= MULTIPLE and names[d] == f"n{d}"), None)
        if part is None or re.search(rf"\b{n}\b", assumed):
            names[n] = f"n{n}"
        else:
            names[n] = f"{n // part}*n{part}"
    return names
