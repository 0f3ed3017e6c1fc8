"""Report: which classes a model takes for which, and how well it does on each.

report = class_report(truth, predicted, classes)
report.confusion[i, k]        examples of class i that were taken for class k
print(report)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.intp]
MOST_SHOWN = 20  # classes of a confusion matrix that fits on a screen


@dataclass(frozen=True, eq=False)
class ClassReport:
    """Counts by true class (rows) and predicted class (columns).

    Shapes:
        confusion: (classes, classes).
    """

    confusion: Counts
    classes: tuple[Any, ...]

    @property
    def accuracy(self) -> float:
        """The share of the examples that were taken for what they are."""
        return float(np.trace(self.confusion) / max(1, self.confusion.sum()))

    @property
    def precision(self) -> NDArray[np.float64]:
        """Of what was taken for each class, the share that is of it; NaN where nothing was."""
        return _share(np.diag(self.confusion), self.confusion.sum(axis=0))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Of the examples of each class, the share that was taken for it; NaN where there are none."""
        return _share(np.diag(self.confusion), self.confusion.sum(axis=1))

    def to_dict(self) -> dict[str, Any]:
        """For machines."""
        rows = zip(self.classes, self.precision, self.recall, self.confusion.sum(axis=1), strict=True)
        table = [
            {"class": c, "precision": _or_none(p), "recall": _or_none(r), "examples": int(n)} for c, p, r, n in rows
        ]
        return {"accuracy": self.accuracy, "classes": table, "confusion": self.confusion.tolist()}

    def __str__(self) -> str:
        names = [str(c) for c in self.classes]
        wide = max(5, *map(len, names))
        lines = [f"{'class':<{wide}}  precision  recall  examples"]
        counts = self.confusion.sum(axis=1)
        for name, p, r, n in zip(names, self.precision, self.recall, counts, strict=True):
            lines.append(f"{name:<{wide}}  {_percent(p):>9}  {_percent(r):>6}  {n:>8}")
        if len(names) <= MOST_SHOWN:
            cell = max(len(str(self.confusion.max())), *map(len, names)) + 1
            lines += ["", "true class in rows, predicted in columns:"]
            lines.append(" " * wide + "".join(f"{name:>{cell}}" for name in names))
            lines += [
                f"{name:<{wide}}" + "".join(f"{count:>{cell}}" for count in row)
                for name, row in zip(names, self.confusion, strict=True)
            ]
        return "\n".join(lines)


def class_report(truth: Counts, predicted: Counts, classes: Sequence[Any]) -> ClassReport:
    """The report on predictions, both given as positions in `classes`.

    Example:
        >>> class_report(np.array([0, 0, 1]), np.array([0, 1, 1]), ("no", "yes")).confusion.tolist()
        [[1, 1], [0, 1]]
    """
    count = len(classes)
    cells = np.bincount(np.asarray(truth) * count + np.asarray(predicted), minlength=count * count)
    return ClassReport(cells.reshape(count, count), tuple(classes))


def _share(part: Counts, whole: Counts) -> NDArray[np.float64]:
    share = np.full(len(part), np.nan)
    np.divide(part, whole, out=share, where=whole > 0)
    return share


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{share:.1%}"


def _or_none(share: float) -> float | None:
    return None if np.isnan(share) else float(share)
