"""Sub-command export: the gradient as code that needs nothing of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from symbackprop.cli import options
from symbackprop.cli.lazy import files
from symbackprop.cli.show import check_writable
from symbackprop.errors import UnsupportedError


def export(
    layers: options.NumericLayers,
    activation: options.Activation = "sigmoid",
    cost: options.Cost = "cross-entropy",
    l2: options.L2 = None,
    l1: options.L1 = None,
    reduction: options.Reduction = "mean",
    backend: Annotated[str, typer.Option(help="numpy, c, jax or torch.")] = "numpy",
    dtype: Annotated[Literal["float64", "float32"], typer.Option(help="Of all arrays.")] = "float64",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it; by default it is printed.", metavar="FILE")
    ] = None,
) -> None:
    """Write the proved gradient as a module that imports NumPy alone (or JAX or PyTorch, or is C).

    Examples:
      symbackprop export --layers 64,30,10 -o gradient.py
      symbackprop export --layers 64,30,10 --backend c -o gradient.c
    """
    check_writable(output)
    network = options.describe(layers, activation, cost, l2, l1, reduction)
    compiled, notes = options.compiled(network, backend, dtype)
    if compiled.backend != backend:
        raise UnsupportedError(f"there is no {backend} source to write", evidence=notes)
    source = compiled.source
    if output is None:
        typer.echo(source, nl=not source.endswith("\n"))
        return
    files.write_file(output, lambda stream: stream.write(source.encode()))
    typer.echo(f"wrote {output}: {source.count(chr(10))} lines")
