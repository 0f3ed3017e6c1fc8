"""Which form runs for which shape: a table for each kind of processor, or what `symbackprop tune` has measured.

- Few numbers: time goes into calls, so the form with the fewest calls runs (`bound`), and below about a hundred
  multiplications plain Python numbers without NumPy (`unrolled`).
- A tall batch and few parameters: blocks of rows, so that a block's activations stay in the cache and its products
  are small enough for the kernels that BLAS has for small matrices; adding up the blocks' gradients costs little.
  With many parameters adding up costs more than it saves.
- A step of gradient descent ends in the parameters themselves (`step`) where a pass over them costs more than the
  slower call of `gemm`.

The table was read from what `benchmarks/choices.py` writes. Main names: `Choices`, `choices`.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

from symbackprop import files
from symbackprop.codegen.processor import cache_folder, kind, vectors

FORMAT = 1  # of the file in which choices are kept
# C: at least so many rows, at most so many parameters, at most so many rows in a block.
C_BLOCKS = ((300, 100_000, 128),)
TALL, MOST_PARAMETERS = 1000, 100_000  # NumPy: at least so many rows, and at most so many parameters, for blocks
LEAST_ROWS = 50  # of a block
# Products in C, by multiplications: plain loops below the first number; inner products where A B^T has so few rows
# that turning B would not pay, up to the third number; in single precision BLAS is slower than tiles up to the fourth.
C_TINY_PRODUCT, C_FEW_ROWS, C_LARGE_DOTTED, C_SINGLE_BY_TILES = 2000, 24, 16_800_000, 240_000
C_FUSED_PENALTY = 100_000  # numbers of a parameter to which its own product adds the penalty
LONG_VECTOR = 4000  # parameters


@dataclass(frozen=True)
class Choices:
    """Where one form takes over from another.

    Attributes:
        few_multiplications: rows times parameters, up to which plain Python numbers are the fastest.
        few_activations: rows times the widest layer but the first, up to which the fewest calls are.
        rows_in_block: of tall batches; 0 where the whole batch at once is faster.
        small_product: multiplications up to which a matrix product in NumPy is faster than its share of a large one.
        c_large_product: multiplications of a product in C from which on BLAS takes over from register tiles.
        c_large_turned: the same for A B^T.
    """

    few_multiplications: int = 100
    few_activations: int = 1500
    rows_in_block: int = 500
    small_product: int = 1_000_000
    c_large_product: int = 16_800_000
    c_large_turned: int = 16_800_000


SHORT_VECTORS = Choices(small_product=100_000_000, c_large_product=30_000, c_large_turned=30_000)
AVX2 = Choices(small_product=100_000_000, c_large_product=34_000_000)
TABLE = {"AVX-512": Choices(), "AVX2": AVX2}  # by the width of vectors


@cache
def choices() -> Choices:
    """Those of this machine: measured, or of the table; what is stored but of no use is ignored, with a warning."""
    path = stored_at()
    if path.exists():
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, TypeError) as error:
            warnings.warn(f"{path} is ignored: {error}; symbackprop tune makes it anew", RuntimeWarning, stacklevel=2)
    return TABLE.get(vectors(), SHORT_VECTORS)


def stored_at() -> Path:
    """The file in which `symbackprop tune` keeps what it measured."""
    return cache_folder() / "choices.json"


def store(found: Choices) -> Path:
    """Keep choices for this kind of processor; the file is written whole or not at all."""
    path = stored_at()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = json.dumps({"format": FORMAT, "processor": kind(), "choices": asdict(found)}, indent=1)
    files.write_file(path, lambda stream: stream.write(text.encode()))
    choices.cache_clear()
    return path


def _read(path: Path) -> Choices:
    said = json.loads(path.read_text())
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise ValueError("it was written by another version")
    if said.get("processor") != kind():
        raise ValueError(f"it was measured on another processor ({said.get('processor')})")
    values = said["choices"]
    if not isinstance(values, dict) or values.keys() != {f.name for f in fields(Choices)}:
        raise ValueError("it lacks choices, or has some that are not known")
    if not all(type(v) is int and 0 <= v <= 10**12 for v in values.values()):
        raise ValueError("a choice is no whole number")
    return Choices(**values)


def block_rows(rows: int, parameters: int, largest: int) -> int | None:
    """The rows of a block, or None for the whole batch at once; `largest` is the size of the largest parameter."""
    now = choices()
    if rows < TALL or parameters > MOST_PARAMETERS or not now.rows_in_block:
        return None
    small = now.small_product // largest
    return now.rows_in_block if small < LEAST_ROWS else min(now.rows_in_block, small)


def bound_form(rows: int, widest: int, parameters: int) -> str:
    """The form for the same arrays again and again: "unrolled", "bound" or "kept"."""
    now = choices()
    if rows * parameters <= now.few_multiplications:
        return "unrolled"
    return "bound" if rows * widest <= now.few_activations else "kept"


def c_block_rows(rows: int, parameters: int) -> int:
    """The rows of a block in C, where adding up costs nothing: the matrix product does it."""
    found = (block for least, most, block in C_BLOCKS if rows >= least and parameters <= most)
    return next(found, None) or rows
