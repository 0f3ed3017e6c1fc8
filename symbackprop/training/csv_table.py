"""Text tables: a .csv file as a matrix of numbers and a column of labels.

Commas, semicolons or tabs separate the cells, whichever the first line has; a first line without numbers is a header.
The last column may hold words where it holds labels; every other cell is a finite number, and `DataError` names the
line and the column of the first that is not, with the option that would read it. NumPy's own reader does the work; what
it refuses is read again slowly, to say where the fault lies.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from symbackprop.errors import DataError, MalformedError
from symbackprop.files import check_readable

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TableFormat:
    """How a text table is written.

    Args:
        delimiter: between cells; None for that of the first line.
        decimal: the point or the comma inside numbers.
        encoding: of the text; a byte-order mark may precede UTF-8.
        missing: what to do with lines that have an empty cell, or one such as NA: "refuse" or "drop".
    """

    delimiter: str | None = None
    decimal: Literal[".", ","] = "."
    encoding: str = "utf-8"
    missing: Literal["refuse", "drop"] = "refuse"

    def __post_init__(self) -> None:
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter == self.decimal):
            raise MalformedError("a delimiter is one character, and not that of the decimals", where=self.delimiter)
        try:
            "".encode(self.encoding)
        except LookupError:
            raise MalformedError(f"unknown encoding {self.encoding!r}", help="for example latin-1 or utf-16") from None


PLAIN = TableFormat()
MISSING = frozenset(["", "na", "n/a", "nan", "null", "none", "?", "-"])


@dataclass(frozen=True, eq=False)
class Table:
    """What a text table holds.

    Shapes:
        numbers: (lines, columns), without the labels.
        labels: (lines,) numbers, or words where one of them is no number; None if none were asked for.
    """

    numbers: Array
    labels: NDArray[np.float64] | NDArray[np.str_] | None
    header: tuple[str, ...] = ()


def read_table(path: str | Path, *, labels: bool = False, form: TableFormat = PLAIN) -> Table:
    """The numbers of the text file `path`, one row a line, without header and blank lines.

    Args:
        labels: whether the last column holds labels, which may be words.
        form: how the file is written.

    Raises:
        DataError: missing, empty or not a text file; words, gaps, NaN or infinity; lines of different lengths.
    """
    path = check_readable(path, "a data set")
    try:
        return _read(path, labels, form)
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}", where=str(path)) from None
    except UnicodeError as error:
        raise _undecoded(path, form, error) from None
    except csv.Error as error:
        raise DataError("the file is not a text table", where=str(path), evidence=[str(error)]) from None


def table_width(path: str | Path, form: TableFormat = PLAIN) -> int:
    """The number of cells of the first line of numbers.

    Raises:
        DataError: missing, empty or not a text file.
    """
    path = check_readable(path, "a data set")
    try:
        with _opened(path, form) as stream:
            return _layout(stream, form, str(path)).width
    except UnicodeError as error:
        raise _undecoded(path, form, error) from None


@dataclass(frozen=True)
class _Layout:
    """What the first lines say: how many there are before the numbers, and of how many cells a line has."""

    delimiter: str
    skip: int
    width: int
    header: tuple[str, ...]


def _opened(path: Path, form: TableFormat) -> TextIO:
    plain = form.encoding.lower().replace("-", "") == "utf8"
    return open(path, newline="", encoding="utf-8-sig" if plain else form.encoding)


def _layout(stream: Iterable[str], form: TableFormat, path: str) -> _Layout:
    """The first line that holds numbers; the line of words before it is the header."""
    header: tuple[str, ...] = ()
    delimiter = form.delimiter
    for skip, line in enumerate(stream):
        delimiter = delimiter or _delimiter(line, form)
        cells = next(csv.reader([line], delimiter=delimiter), [])
        if not any(cell.strip() for cell in cells):
            continue
        if not header and not any(_number(cell, form) is not None for cell in cells):
            header = tuple(cell.strip() for cell in cells)
            continue
        return _Layout(delimiter, skip, len(cells), header)
    raise DataError("the file has no rows of numbers", where=path)


def _delimiter(line: str, form: TableFormat) -> str:
    """What separates the cells of a line: a comma only where nothing else can."""
    return next((mark for mark in (";", "\t") if mark in line), ",") if form.delimiter is None else form.delimiter


def _read(path: Path, labels: bool, form: TableFormat) -> Table:
    with _opened(path, form) as stream:
        layout = _layout(stream, form, str(path))
    if layout.width < 2 and labels:
        raise DataError(
            "the table has a single column, but the inputs and the label need at least two",
            where=str(path),
            help="separate the cells by commas, the label last",
        )
    with _opened(path, form) as stream:
        found = _quick(stream, layout, labels, form)
    if found is None or not np.isfinite(found[0]).all():
        with _opened(path, form) as stream:
            found = _slow(stream, layout, labels, form, str(path))
    numbers, words = found
    return Table(numbers, _as_labels(words) if labels else None, layout.header)


def _quick(stream: Iterable[str], layout: _Layout, labels: bool, form: TableFormat) -> tuple[Array, list[str]] | None:
    """All lines by NumPy's reader; None if there is something in them that it does not read."""
    codes: dict[str, int] = {}
    converters: dict[int | str, Callable[[str], Any]] = {}
    if form.decimal == ",":
        converters = dict.fromkeys(range(layout.width), lambda cell: float(cell.replace(",", ".")))
    if labels:
        converters[layout.width - 1] = lambda cell: codes.setdefault(_label(cell, form), len(codes))
    lines: Iterable[str] = itertools.islice(stream, layout.skip, None)
    if form.missing == "drop":
        lines = (line for line in lines if not any(_is_missing(c) for c in line.split(layout.delimiter)))
    try:
        table = np.loadtxt(
            lines,
            delimiter=layout.delimiter,
            comments=None,
            quotechar='"',
            ndmin=2,
            converters=converters or None,
            encoding=None,
        )
    except UnicodeError:
        raise
    except ValueError:
        return None
    if table.shape[1] != layout.width or not len(table):
        return None
    if not labels:
        return table, []
    names = list(codes)
    return np.ascontiguousarray(table[:, :-1]), [names[int(code)] for code in table[:, -1]]


def _slow(
    stream: Iterable[str], layout: _Layout, labels: bool, form: TableFormat, path: str
) -> tuple[Array, list[str]]:
    """All lines cell by cell; the first that cannot be read is an error that says which.

    Raises:
        DataError: a cell that is no number, or a line of another length.
    """
    rows: list[list[float]] = []
    words: list[str] = []
    reader = csv.reader(itertools.islice(stream, layout.skip, None), delimiter=layout.delimiter)
    for cells in reader:
        line = reader.line_num + layout.skip
        if not any(cell.strip() for cell in cells):
            continue
        if form.missing == "drop" and any(map(_is_missing, cells)):
            continue
        if len(cells) != layout.width:
            raise DataError(
                f"line {line} has {len(cells)} cells, the lines before it have {layout.width}",
                where=path,
                evidence=[f"line {line}: {_short(layout.delimiter.join(cells))}"],
            )
        count = layout.width - labels
        rows.append([_finite(cell, line, k, form, path) for k, cell in enumerate(cells[:count], start=1)])
        if labels:
            try:
                words.append(_label(cells[-1], form))
            except ValueError:
                raise _bad_cell(cells[-1].strip(), line, layout.width, form, path) from None
    if not rows:
        raise DataError("every line has an empty cell, so none is left", where=path)
    return np.array(rows), words


def _finite(cell: str, line: int, column: int, form: TableFormat, path: str) -> float:
    number = _number(cell, form)
    if number is None or not math.isfinite(number):
        raise _bad_cell(cell.strip(), line, column, form, path)
    return number


def _bad_cell(cell: str, line: int, column: int, form: TableFormat, path: str) -> DataError:
    """Which cell cannot be read, and the option that would read it, if one would."""
    help = "write every cell but the label, which is last, as a number; only the first line may be a header"
    if _is_missing(cell) and form.missing == "refuse":
        help = "--missing drop leaves out lines with such a cell"
    elif form.decimal == "." and _number(cell, replace(form, decimal=",", delimiter=";")) is not None:
        help = "--decimal , reads a decimal comma"
    elif form.delimiter is not None:
        help = f"--delimiter says what separates cells, here {form.delimiter!r}"
    what = f"is not a finite number: {_short(cell)}" if cell else "is empty"
    return DataError(f"line {line}, column {column} {what}", where=path, help=help)


def _label(cell: str, form: TableFormat) -> str:
    """A label as it is written, without the space around it.

    Raises:
        ValueError: there is none, or it is infinite.
    """
    label = cell.strip()
    number = _number(label, form)
    if _is_missing(label) or (number is not None and not math.isfinite(number)):
        raise ValueError("no label")
    return label.replace(",", ".") if number is not None else label


def _as_labels(words: list[str]) -> NDArray[np.float64] | NDArray[np.str_]:
    """Labels as numbers if all of them are."""
    values = {word: _number(word, PLAIN) for word in dict.fromkeys(words)}
    if None in values.values():
        return np.array(words)
    return np.array([values[word] for word in words], dtype=np.float64)


def _is_missing(cell: str) -> bool:
    return cell.strip().strip('"').lower() in MISSING


def _number(cell: str, form: TableFormat) -> float | None:
    """The number that `cell` holds, NaN and infinity included, so that they are not taken for a header."""
    try:
        return float(cell.replace(",", ".") if form.decimal == "," else cell)
    except ValueError:
        return None


def _undecoded(path: Path, form: TableFormat, error: UnicodeError) -> DataError:
    """The message for bytes that the encoding does not have."""
    evidence = [f"encoding:  {form.encoding}"]
    if isinstance(error, UnicodeDecodeError):
        data = path.read_bytes()
        beginning = data[: data.find(error.object[error.start : error.end])] if error.object else b""
        evidence.append(f"line {beginning.count(bytes([10])) + 1}: byte {error.object[error.start]:#x}")
    other = "utf-16" if path.read_bytes()[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
    help = f"--encoding {other}" if form.encoding != other else None
    return DataError("the file is not a text table in this encoding", where=str(path), evidence=evidence, help=help)


def _short(text: str) -> str:
    """`text` cut to what fits into a message."""
    return text if len(text) <= 60 else text[:57] + "..."
