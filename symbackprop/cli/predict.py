"""Sub-command predict: what a saved model says of new rows."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from symbackprop.cli import options
from symbackprop.cli.lazy import csv_table, files
from symbackprop.cli.lazy import data as data_sets
from symbackprop.cli.lazy import model as models
from symbackprop.cli.lazy import report as reports
from symbackprop.cli.show import check_writable
from symbackprop.errors import DataError, MalformedError

if TYPE_CHECKING:
    from symbackprop.training.csv_table import TableFormat
    from symbackprop.training.model import Model

Rows = tuple[Any, Any]
"""Inputs, and labels or targets or None."""


def predict(
    model: Annotated[Path, typer.Argument(help="What train --save wrote.", metavar="MODEL.npz")],
    data: Annotated[
        str,
        typer.Argument(
            help="digits, a .csv file, an .npz file with X, or an .npy file; labels are compared where there are any.",
            metavar="DATA",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write a .csv file; by default it is printed.", metavar="FILE"),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Print how well each class does, and which it is taken for.")
    ] = False,
    delimiter: options.Delimiter = None,
    decimal: options.Decimal = ".",
    encoding: options.Encoding = "utf-8",
    missing: options.Missing = "refuse",
) -> None:
    """Predict classes, with a number for each, or targets, with a saved model.

    Examples:
      symbackprop predict model.npz digits -o predictions.csv
      symbackprop predict model.npz digits -o predictions.csv --report
    """
    check_writable(output, read=[model, Path(data)])
    trained = models.load(model)
    X, y = read_rows(data, trained, options.table_format(delimiter, decimal, encoding, missing))
    if report and (y is None or not trained.classes):
        raise MalformedError("--report needs a model of classes, and data with labels")
    text = as_csv(trained, X)
    if output is None:
        typer.echo(text, nl=False)
    else:
        files.write_file(output, lambda stream: stream.write(text.encode()))
        typer.echo(f"wrote {output}: {len(X)} predictions")
    if y is not None:
        score = trained.score(X, y)
        number = f"accuracy {score:.1%}" if trained.classes else f"R2 {score:.4f}"
        typer.echo(f"{number} on {len(X)} rows with labels", err=output is None)
    if report:
        told = reports.class_report(trained.label_positions(y), trained.positions(X), trained.classes)
        typer.echo(f"\n{told}", err=output is None)


def read_rows(source: str, model: Model, form: TableFormat) -> Rows:
    """The rows to predict, and their labels if there are any.

    Raises:
        DataError: no data, or of another number of columns than the model has inputs.
    """
    inputs = int(model.network.widths[0])
    suffix = Path(source).suffix.lower()
    if source == "digits":
        digits = data_sets.load_digits()
        return digits.X, digits.labels
    if suffix == ".npy":
        return files.map_array(source), None
    if suffix == ".npz":
        arrays = files.read_arrays(source, "a data set")
        if "X" not in arrays:
            raise DataError("the file has no array X", where=source, evidence=[f"it holds: {', '.join(arrays)}"])
        return arrays["X"], next((arrays[name] for name in ("y", "Y") if name in arrays), None)
    width = csv_table.table_width(source, form)
    if width not in (inputs, inputs + 1):
        raise DataError(
            f"the table has {width} columns, but the model has {inputs} inputs",
            where=source,
            help=f"give {inputs} columns, or {inputs + 1} with the label last",
        )
    table = csv_table.read_table(source, labels=width == inputs + 1, form=form)
    return table.numbers, table.labels


def as_csv(model: Model, X: Any) -> str:
    """A line for each row: the class and the output for each class, or the numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if model.classes:
        probabilities = model.predict_proba(X)
        what = "p" if model.network.softmax or model.network.widths[-1] == 1 else "output"  # which add up to 1, or not
        writer.writerow(["prediction", *(f"{what}({c})" for c in model.classes)])
        names = np.array(model.classes)[np.argmax(probabilities, axis=1)]
        writer.writerows([name, *(f"{p:.6g}" for p in row)] for name, row in zip(names, probabilities, strict=True))
    else:
        outputs = model.outputs(X)
        names = ["prediction"] if outputs.shape[1] == 1 else [f"prediction {k + 1}" for k in range(outputs.shape[1])]
        writer.writerow(names)
        writer.writerows(outputs.tolist())
    return text.getvalue()
