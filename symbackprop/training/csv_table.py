"""Text tables: a .csv file of numbers as one matrix.

Commas, semicolons or tabs separate the cells, whichever the first line has most of; a first line without any number is
a header. Every other cell must be a finite number, and `DataError` names the line and the column of the first that is
not. This module does not know which column is a label.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from symbackprop.errors import DataError
from symbackprop.files import check_readable

Array = NDArray[np.float64]


def read_table(path: str | Path) -> Array:
    """The numbers of the text file `path`, one row a line, without header and blank lines.

    Shapes:
        result: (lines, columns), at least (1, 2).

    Raises:
        DataError: missing, empty or not a text file; words, gaps, NaN or infinity; lines of different lengths.
    """
    path = check_readable(path, "a data set")
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            rows = [_row(cells, line, width, str(path)) for cells, line, width in _cells(stream, str(path))]
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}", where=str(path)) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError("the file is not a text table", where=str(path), evidence=[str(error)]) from None
    if not rows:
        raise DataError("the file has no rows of numbers", where=str(path))
    if len(rows[0]) < 2:
        raise DataError(
            "the table has a single column, but the inputs and the label need at least two",
            where=str(path),
            help="separate the cells by commas, the label last",
        )
    return np.array(rows)


def _cells(stream: Iterable[str], path: str) -> Iterator[tuple[list[str], int, int]]:
    """The cells of each line that holds data, its line number, and the number of cells of the first such line."""
    lines = iter(stream)
    first = next(lines, "")
    reader = csv.reader(itertools.chain([first], lines), delimiter=max(",;\t", key=first.count))
    width = 0
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        is_first, width = width == 0, width or len(cells)
        if is_first and not any(_is_number(cell) for cell in cells):
            continue
        yield cells, reader.line_num, width


def _row(cells: list[str], line: int, width: int, path: str) -> Array:
    """One line as numbers."""
    if len(cells) != width:
        raise DataError(
            f"line {line} has {len(cells)} cells, the lines before it have {width}",
            where=path,
            evidence=[f"line {line}: {_short(','.join(cells))}"],
        )
    try:
        row = np.array(cells, dtype=np.float64)
    except ValueError:
        pass
    else:
        if np.isfinite(row).all():
            return row
    column = next(k for k, cell in enumerate(cells, start=1) if not _is_number(cell) or not math.isfinite(float(cell)))
    cell = cells[column - 1].strip()
    raise DataError(
        f"line {line}, column {column} " + (f"is not a finite number: {_short(cell)}" if cell else "is empty"),
        where=path,
        help="write classes as 0, 1, 2, ... and every other cell as a number; only the first line may be a header",
    )


def _is_number(cell: str) -> bool:
    """Whether Python reads `cell` as a number; NaN and infinity count, so that they are not taken for a header."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _short(text: str) -> str:
    """`text` cut to what fits into a message."""
    return text if len(text) <= 60 else text[:57] + "..."
