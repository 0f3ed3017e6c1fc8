"""Which form runs for which shape: a small table, chosen with `benchmarks/choices.py`, which writes what it found.

- Few numbers: time goes into calls, so the form with the fewest calls runs (`bound`), and below about a hundred
  multiplications plain Python numbers without NumPy (`unrolled`).
- A tall batch and few parameters: blocks of rows, so that a block's activations stay in the cache and its products
  are small enough for the kernels that BLAS has for small matrices; adding up the blocks' gradients costs little.
  With many parameters adding up costs more than it saves.
- A step of gradient descent ends in the parameters themselves (`step`) where a pass over them costs more than the
  slower call of `gemm`.
"""

from __future__ import annotations

# At least so many rows, at most so many parameters, at most so many rows in a block.
BLOCKS = ((1000, 100_000, 500),)
C_BLOCKS = ((300, 100_000, 128),)
# NumPy: a matrix product of at most so many multiplications is faster, if that leaves blocks of at least so many rows.
SMALL_PRODUCT, LEAST_ROWS = 1_000_000, 50
# Products in C, by multiplications: plain loops below the first number, BLAS above the second, in between register
# tiles, or inner products where A B^T has so few rows that turning B would not pay.
C_TINY_PRODUCT, C_LARGE_PRODUCT, C_LARGE_NARROW, C_FEW_ROWS = 2000, 16_800_000, 2_000_000, 24
C_FUSED_PENALTY = 100_000  # numbers of a parameter to which its own product adds the penalty
FEW_ACTIVATIONS = 1500  # rows times the widest layer but the first
FEW_MULTIPLICATIONS = 100  # rows times parameters
LONG_VECTOR = 4000  # parameters


def block_rows(rows: int, parameters: int, largest: int) -> int | None:
    """The rows of a block, or None for the whole batch at once; `largest` is the size of the largest parameter."""
    block, small = _block(BLOCKS, rows, parameters), SMALL_PRODUCT // largest
    return block if block is None or small < LEAST_ROWS else min(block, small)


def bound_form(rows: int, widest: int, parameters: int) -> str:
    """The form for the same arrays again and again: "unrolled", "bound" or "kept"."""
    if rows * parameters <= FEW_MULTIPLICATIONS:
        return "unrolled"
    return "bound" if rows * widest <= FEW_ACTIVATIONS else "kept"


def c_block_rows(rows: int, parameters: int) -> int:
    """The rows of a block in C, where adding up costs nothing: the matrix product does it."""
    return _block(C_BLOCKS, rows, parameters) or rows


def _block(table: tuple[tuple[int, int, int], ...], rows: int, parameters: int) -> int | None:
    return next((block for least, most, block in table if rows >= least and parameters <= most), None)
