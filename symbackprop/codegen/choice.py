"""Which form runs for which shape: a small table, chosen with `benchmarks/gradient_speed.py`.

A batch is worked on in blocks of rows where it is tall and the parameters are few: then a block's activations stay
in the cache, and adding up the blocks' gradients costs little. With many parameters adding up costs more than it
saves.
"""

from __future__ import annotations

# At least so many rows, at most so many parameters, rows in a block.
BLOCKS = ((1000, 100_000, 500),)
C_BLOCKS = ((500, 100_000, 250),)


def block_rows(rows: int, parameters: int) -> int | None:
    """The rows of a block, or None for the whole batch at once."""
    for least, most, block in BLOCKS:
        if rows >= least and parameters <= most:
            return block
    return None


def c_block_rows(rows: int, parameters: int) -> int:
    """The rows of a block in C, where adding up costs nothing: the matrix product does it."""
    for least, most, block in C_BLOCKS:
        if rows >= least and parameters <= most:
            return block
    return rows
