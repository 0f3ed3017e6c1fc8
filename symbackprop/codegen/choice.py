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
C_BLOCKS = ((500, 100_000, 250),)
# A matrix product of at most so many multiplications is faster in BLAS, if that leaves blocks of at least so many rows.
SMALL_PRODUCT, LEAST_ROWS = 1_000_000, 50
FEW_ACTIVATIONS = 1500  # rows times the widest layer but the first
FEW_MULTIPLICATIONS = 100  # rows times parameters
LONG_VECTOR = 4000  # parameters


def block_rows(rows: int, parameters: int, largest: int, single: bool = False) -> int | None:
    """The rows of a block, or None for the whole batch at once; `largest` is the size of the largest parameter.

    In single precision the products are twice as fast and the calls are not, so blocks stay long.
    """
    return _block(BLOCKS, rows, parameters, 0 if single else largest)


def bound_form(rows: int, widest: int, parameters: int) -> str:
    """The form for the same arrays again and again: "unrolled", "bound" or "into"."""
    if rows * parameters <= FEW_MULTIPLICATIONS:
        return "unrolled"
    return "bound" if rows * widest <= FEW_ACTIVATIONS else "into"


def c_block_rows(rows: int, parameters: int, largest: int) -> int:
    """The rows of a block in C, where adding up costs nothing: the matrix product does it."""
    return _block(C_BLOCKS, rows, parameters, largest) or rows


def _block(table: tuple[tuple[int, int, int], ...], rows: int, parameters: int, largest: int) -> int | None:
    for least, most, block in table:
        if rows >= least and parameters <= most:
            small = SMALL_PRODUCT // largest if largest else 0
            return min(block, small) if small >= LEAST_ROWS else block
    return None
