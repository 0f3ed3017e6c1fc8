"""Data sets: examples and targets as arrays, from the bundled digits or from files.

A `DataSet` has inputs X of shape (m, features) and targets Y of shape (m, K). For classification Y is one-hot, or one
column of 0 and 1 when a network with a single output unit decides between two classes; for regression Y is as given.
`load` takes "digits", an .npz or a .csv file, or a folder with X.npy and y.npy, which may be larger than memory: its X
stays on disk. Whatever is wrong with the numbers is said here, once, as a `DataError`
that names row and column; nothing after this module needs to look again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.errors import DataError
from symbackprop.files import map_array, read_arrays
from symbackprop.training.csv_table import PLAIN, TableFormat, read_table

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

BLOCK = 4096
"""Rows that are looked at together, so that checks of a memory-mapped array need little memory."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Examples and their targets.

    Shapes:
        X: (m, features), float64; of any real type if it stays on disk.
        Y: (m, K), float64; one-hot, or a column of 0 and 1, or regression targets.

    Attributes:
        classes: the label of each class, by position; empty for regression.
        name: what messages and pictures call it.
    """

    X: Array
    Y: Array
    classes: tuple[int | str, ...]
    name: str

    @property
    def labels(self) -> Rows:
        """The position of each example's class. Shapes: (m,)."""
        return np.argmax(self.Y, axis=1) if self.Y.shape[1] > 1 else (self.Y[:, 0] > 0.5).astype(np.intp)


def load(
    source: str | Path, *, outputs: int | None = None, regression: bool = False, form: TableFormat = PLAIN
) -> DataSet:
    """The data set that `source` names: "digits", FILE.npz, FILE.csv or a folder with X.npy and y.npy.

    Args:
        source: a name or a path.
        outputs: the number of output units of the network, K; by default one per class.
        regression: targets are numbers, not classes.
        form: how a text table is written.
    """
    if str(source) == "digits":
        return load_digits(outputs=outputs)
    if Path(source).is_dir():
        return load_folder(source, outputs=outputs, regression=regression)
    suffix = Path(source).suffix.lower()
    if suffix == ".npz":
        return load_npz(source, outputs=outputs, regression=regression)
    if suffix in (".csv", ".tsv", ".txt"):
        return load_csv(source, outputs=outputs, regression=regression, form=form)
    raise DataError(
        "unknown kind of data set", where=str(source), help="give digits, a .npz file, a .csv file or a folder"
    )


def load_digits(*, outputs: int | None = None) -> DataSet:
    """The UCI optical digits: 1797 images of 8 x 8 pixels, each pixel in [0, 1], ten classes.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
    """
    with resources.as_file(resources.files("symbackprop.training") / "datasets" / "digits.npz") as path:
        arrays = read_arrays(path, "the bundled data set")
    return classification(arrays["X"] / 16.0, arrays["y"], outputs=outputs, name="digits")


def load_npz(path: str | Path, *, outputs: int | None = None, regression: bool = False) -> DataSet:
    """A data set from the arrays X and y (labels or targets), or X and Y (one-hot rows or targets), of an .npz file."""
    arrays = read_arrays(path, "a data set")
    targets = [name for name in ("y", "Y") if name in arrays]
    if "X" not in arrays or len(targets) != 1:
        present = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise DataError(
            "a data set needs the arrays X and one of y (labels) and Y (one-hot)",
            where=str(path),
            evidence=["the file holds: " + present],
        )
    return _data_set(arrays["X"], arrays[targets[0]], outputs, regression, Path(path).name)


def load_folder(path: str | Path, *, outputs: int | None = None, regression: bool = False) -> DataSet:
    """A data set from the files X.npy and y.npy (or Y.npy) of a folder; X is not read into memory.

    Raises:
        DataError: a file is missing, or holds something else than finite numbers.
    """
    folder = Path(path)
    targets = [name for name in ("y.npy", "Y.npy") if (folder / name).exists()]
    if not (folder / "X.npy").exists() or not targets:
        names = ", ".join(sorted(p.name for p in folder.glob("*.npy"))) or "none"
        raise DataError(
            "a data set in a folder needs X.npy and one of y.npy (labels) and Y.npy (one-hot)",
            where=str(path),
            evidence=[f"its .npy files: {names}"],
        )
    X, Y = map_array(folder / "X.npy"), np.array(map_array(folder / targets[0]))
    return _data_set(X, Y, outputs, regression, folder.name)


def load_csv(
    path: str | Path, *, outputs: int | None = None, regression: bool = False, form: TableFormat = PLAIN
) -> DataSet:
    """A data set from a text table: one example a line, the label in the last column, a header line if you like."""
    table = read_table(path, labels=True, form=form)
    return _data_set(table.numbers, table.labels, outputs, regression, Path(path).name)


def classification(X: Any, labels: Any, *, outputs: int | None = None, name: str = "the data") -> DataSet:
    """A data set from inputs and the class number of each.

    Args:
        X: (m, features).
        labels: (m,) whole numbers 0, 1, ..., or words, or (m, K) one-hot rows.
        outputs: output units of the network; 1 for a column of 0 and 1; by default one per class.
        name: what messages call it.

    Raises:
        DataError: anything that is not finite numbers of the right shape, labels out of range, one class only.

    Example:
        >>> classification([[0.0], [1.0]], [1, 0]).Y.tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    words = np.asarray(labels)
    if words.dtype.kind in "US" and words.ndim == 1:
        names, codes = np.unique(words, return_inverse=True)
        return _named(classification(X, codes, outputs=outputs, name=name), tuple(map(str, names)))
    inputs, targets = _pair(X, labels, name)
    numbers = _class_numbers(targets, name)
    units = outputs or (targets.shape[1] if targets.shape[1] > 1 else int(numbers.max()) + 1)
    count = max(2, units)
    _check_classes(numbers, count, name, guessed=outputs is None)
    Y = numbers[:, None].astype(np.float64) if units == 1 else np.zeros((len(numbers), units))
    if units > 1:
        Y[np.arange(len(numbers)), numbers] = 1.0
    return DataSet(inputs, Y, tuple(range(count)), name)


def _named(data: DataSet, names: tuple[str, ...]) -> DataSet:
    """The data set with words for classes, one for each output unit.

    Raises:
        DataError: more output units than words, which a mistyped width gives.
    """
    if len(data.classes) != len(names):
        raise DataError(
            f"the labels are {len(names)} words, but the network has {len(data.classes)} classes",
            where=data.name,
            evidence=["labels: " + ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")],
            help="give the network one output unit for each word",
        )
    return replace(data, classes=names)


def regression(X: Any, targets: Any, *, name: str = "the data") -> DataSet:
    """A data set from inputs (m, features) and targets (m,) or (m, K), any finite numbers.

    Example:
        >>> regression([[0.0], [1.0]], [2.5, 3.5]).Y.tolist()
        [[2.5], [3.5]]
    """
    inputs, outputs = _pair(X, targets, name)
    return DataSet(inputs, outputs, (), name)


def split_three(data: DataSet, holdout: float, test: float, seed: int) -> tuple[Rows, Rows, Rows]:
    """Row numbers for training, for choosing among epochs, and for a score that neither has seen.

    Args:
        holdout, test: shares of all rows; with test = 0 the first two are those of `split`.

    Raises:
        DataError: a share out of range, or too few rows for it.
    """
    if not test:
        return *split(data, holdout, seed), np.empty(0, dtype=np.intp)
    if not 0 < test < 1 - holdout:
        evidence = [f"holdout = {holdout}", f"test = {test}"]
        raise DataError("the shares to hold out and to test leave no rows to train on", evidence=evidence)
    rest, tested = split(data, test, seed + 1)
    remaining = replace(data, X=data.Y[rest], Y=data.Y[rest])  # only the labels count
    kept, held = split(remaining, holdout * len(data.X) / len(rest), seed)
    return rest[kept], rest[held], tested


def split(data: DataSet, holdout: float, seed: int) -> tuple[Rows, Rows]:
    """Row numbers for training and for the hold-out; each class keeps its share in both.

    Args:
        data: the data set; it is not copied.
        holdout: the share that is held out, 0 <= holdout < 1.
        seed: the same seed gives the same rows.

    Returns:
        Two increasing arrays of row numbers.

    Raises:
        DataError: a share out of range, or too few rows for it.

    Example:
        >>> train, held = split(regression(np.zeros((5, 1)), np.zeros(5)), 0.2, seed=0)
        >>> len(train), len(held)
        (4, 1)
    """
    m = len(data.X)
    if not 0 <= holdout < 1:
        raise DataError("the share to hold out is not between 0 and 1", evidence=[f"holdout = {holdout}"])
    wanted = round(holdout * m)
    if holdout > 0 and not 0 < wanted < m:
        raise DataError(
            "too few rows to hold some out",
            where=data.name,
            evidence=[f"rows: {m}", f"holdout = {holdout}"],
            help="set holdout to 0, or give more rows",
        )
    random = np.random.default_rng([seed, 0])
    groups = data.labels if data.classes else np.zeros(m, dtype=np.intp)
    members = [random.permutation(np.flatnonzero(groups == label)) for label in np.unique(groups)]
    exact = np.array([len(rows) * holdout for rows in members])
    counts = np.floor(exact).astype(int)
    # the classes with the largest remainders give the rows that rounding down left over
    for position in np.argsort(counts - exact, kind="stable")[: wanted - counts.sum()]:
        counts[position] += 1
    held = np.concatenate([rows[:count] for rows, count in zip(members, counts, strict=True)])
    kept = np.concatenate([rows[count:] for rows, count in zip(members, counts, strict=True)])
    return np.sort(kept), np.sort(held)


def _data_set(X: Any, Y: Any, outputs: int | None, is_regression: bool, name: str) -> DataSet:
    """The loaders' common end: regression or classification."""
    return regression(X, Y, name=name) if is_regression else classification(X, Y, outputs=outputs, name=name)


def _pair(X: Any, Y: Any, name: str) -> tuple[Array, Array]:
    """X and Y as two matrices of finite numbers with the same rows."""
    inputs, targets = _matrix(X, "X", name), _matrix(Y, "Y", name)
    if len(inputs) != len(targets):
        raise DataError(
            "X and Y have different numbers of rows",
            where=name,
            evidence=[f"X: {len(inputs)} rows", f"Y: {len(targets)} rows"],
        )
    return inputs, targets


def _matrix(values: Any, what: str, name: str) -> Array:
    """`values` as a float64 matrix, provided they are finite real numbers; a vector of targets becomes a column."""
    try:
        array = np.asarray(values)
    except ValueError:
        raise DataError(f"the rows of {what} have different lengths", where=name) from None
    if array.dtype.kind not in "buif":
        raise DataError(f"{what} does not hold real numbers", where=name, evidence=[f"type: {array.dtype}"])
    if what == "Y" and array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        advice = "flatten each example: X.reshape(len(X), -1)" if array.ndim > 2 else None
        raise DataError(f"{what} is not a matrix", where=name, evidence=[f"shape: {array.shape}"], help=advice)
    if 0 in array.shape:
        raise DataError(f"{what} is empty", where=name, evidence=[f"shape: {array.shape}"])
    # what is mapped stays on disk, as it is: a minibatch is converted when it is gathered
    array = array if isinstance(values, np.memmap) else array.astype(np.float64, copy=False)
    for start in range(0, len(array), BLOCK):
        bad = np.argwhere(~np.isfinite(array[start : start + BLOCK]))
        if len(bad):
            row, column = start + int(bad[0][0]), int(bad[0][1])
            number = "NaN (no number)" if np.isnan(array[row, column]) else "infinity"
            raise DataError(
                f"{what} holds {number} in row {row + 1}, column {column + 1}",
                where=name,
                help="remove the row or fill in the value",
            )
    return array


def _class_numbers(targets: Array, name: str) -> Rows:
    """The class number of each row of labels (one column) or one-hot rows."""
    if targets.shape[1] > 1:
        wrong = np.flatnonzero(((targets != 0) & (targets != 1)).any(axis=1) | (targets.sum(axis=1) != 1))
        if wrong.size:
            row = int(wrong[0])
            raise DataError(
                f"row {row + 1} of Y is not one-hot",
                where=name,
                evidence=[f"row {row + 1}: {targets[row].tolist()}"],
                help="give labels 0, 1, 2, ... as y, or ask for regression",
            )
        position: Rows = np.argmax(targets, axis=1)
        return position
    column = targets[:, 0]
    fractional = np.flatnonzero(column != np.rint(column))
    if fractional.size:
        row = int(fractional[0])
        raise DataError(
            f"the label in row {row + 1} is not a whole number",
            where=name,
            evidence=[f"label: {column[row]:g}"],
            help="number the classes 0, 1, 2, ..., or ask for regression",
        )
    # beyond 2^53 a float64 cannot count, and astype would wrap around silently
    numbers: Rows = np.clip(column, -(2.0**53), 2.0**53).astype(np.intp)
    return numbers


def _check_classes(numbers: Rows, count: int, name: str, *, guessed: bool) -> None:
    """Class numbers from 0 to count - 1, at least two of them; `guessed` if only the labels themselves say how many."""
    outside = np.flatnonzero((numbers < 0) | (numbers >= count))
    if outside.size:
        row = int(outside[0])
        raise DataError(
            f"label out of range in row {row + 1}",
            where=name,
            evidence=[f"label:   {numbers[row]}", f"classes: 0 to {count - 1}"],
            help="number the classes 0, 1, 2, ... and give the network one output unit for each",
        )
    if count > max(len(numbers), 2) and guessed:
        raise DataError(
            "the labels do not look like class numbers",
            where=name,
            evidence=[f"largest label: {numbers.max()}", f"rows: {len(numbers)}"],
            help="number the classes 0, 1, 2, ..., or ask for regression if these are measured values",
        )
    if (numbers == numbers[0]).all():
        raise DataError(
            "the labels hold one class only, so there is nothing to learn",
            where=name,
            evidence=[f"label {numbers[0]} in each of {len(numbers)} rows"],
        )
