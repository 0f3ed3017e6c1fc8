"""Storage: trained models and checkpoints as .npz files.

Both are plain arrays and a JSON text, never pickled objects, written whole or not at all. A model is parameters and a
description of their network; a checkpoint is everything that a run needs to go on to the very same numbers.
This module stores what it is given; what a run is, `train` knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.errors import DataError
from symbackprop.files import Arrays, read_arrays, write_arrays
from symbackprop.training.parameters import Array, Params, Shapes, shapes_of, widths

MODEL, CHECKPOINT = "symbackprop model 1", "symbackprop checkpoint 1"
"""The first word on each kind of file, with the version of its layout."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run after an epoch.

    Attributes:
        settings: what the run was asked to do; a run that goes on must have been asked the same.
        shapes: of the parameters.
        epoch: epochs done.
        random: the state of the random numbers, as the generator gives it.
        steps: steps done by the update rule.
        theta, best: the parameters now and the best so far, flat.
        slots: the vectors of the update rule.
        history: (epochs, columns) the figures of each epoch; NaN where there was none.
    """

    settings: dict[str, Any]
    shapes: Shapes
    epoch: int
    random: dict[str, Any]
    steps: int
    theta: Array
    best: Array
    slots: Array
    history: Array


def save_model(path: str | Path, params: Mapping[str, Array], description: Mapping[str, Any]) -> None:
    """Write parameters and the description of their network to `path`, whole or not at all.

    Args:
        path: an .npz file; one that exists is replaced.
        params: W1, b1, W2, b2, ...
        description: anything JSON can hold, such as the layers, activation and cost.

    Raises:
        DataError: these are not a network's parameters, or the file cannot be written.
    """
    arrays = {name: np.asarray(params[name]) for name in shapes_of(params)}
    write_arrays(path, arrays | {"format": np.array(MODEL), "description": np.array(json.dumps(dict(description)))})


def load_model(path: str | Path, *, layers: list[int] | None = None) -> tuple[Params, dict[str, Any]]:
    """The parameters and the description that `save_model` wrote.

    Args:
        path: a model file.
        layers: the widths that the model must have; by default any.

    Raises:
        DataError: not a model, damaged, or a network of other widths.
    """
    arrays = _read(path, "a model", MODEL)
    description = _json(arrays.pop("description", None), path)
    params = _finite(arrays, path)
    found = widths(_shapes(params, path))
    if layers is not None and found != list(layers):
        raise _other_network(path, found, list(layers))
    return {name: params[name] for name in shapes_of(params)}, description


def save_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `path`, whole or not at all."""
    facts = {
        "settings": checkpoint.settings,
        "shapes": checkpoint.shapes,
        "epoch": checkpoint.epoch,
        "random": checkpoint.random,
        "steps": checkpoint.steps,
    }
    vectors = {name: getattr(checkpoint, name) for name in ("theta", "best", "slots", "history")}
    write_arrays(path, vectors | {"format": np.array(CHECKPOINT), "description": np.array(json.dumps(facts))})


def load_checkpoint(path: str | Path, *, shapes: Shapes, settings: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint in `path`, provided that it belongs to this network and this run.

    Args:
        path: a file that `save_checkpoint` wrote.
        shapes: of the network's parameters.
        settings: what the run is asked to do now.

    Raises:
        DataError: not a checkpoint, damaged, of another network, or of a run with other settings.
    """
    arrays = _read(path, "a checkpoint", CHECKPOINT)
    facts = _json(arrays.pop("description", None), path)
    vectors: dict[str, Any] = {**_finite(arrays, path, except_for="history")}
    try:
        stored = {name: tuple(shape) for name, shape in facts.pop("shapes").items()}
        checkpoint = Checkpoint(shapes=stored, **facts, **vectors)
    except (TypeError, KeyError, AttributeError):
        raise DataError("the checkpoint is incomplete", where=str(path)) from None
    if stored != shapes:
        raise _other_network(path, widths(stored), widths(shapes))
    changed = [name for name in settings if checkpoint.settings.get(name) != settings[name]]
    if changed:
        raise DataError(
            "the checkpoint is of a run with other settings, so it cannot go on to the same numbers",
            where=str(path),
            evidence=[f"{name}: {checkpoint.settings.get(name)} then, {settings[name]} now" for name in changed],
            help="repeat the settings, network, backend and precision too, or start afresh without resume",
        )
    size = sum(int(np.prod(shape)) for shape in shapes.values())
    if {checkpoint.theta.shape, checkpoint.best.shape} != {(size,)} or checkpoint.slots.shape[1:] != (size,):
        raise DataError("the checkpoint is inconsistent", where=str(path), evidence=[f"parameters: {size}"])
    return checkpoint


def _read(path: str | Path, kind: str, mark: str) -> Arrays:
    """The arrays of a file that must carry `mark`."""
    arrays = read_arrays(path, kind)
    arrays.pop("allow_pickle", None)  # is in files that were written by way of NumPy 1.26
    found = arrays.pop("format", None)
    if found is None or found.dtype.kind != "U" or str(found) != mark:
        names = ", ".join(arrays) or "nothing"
        raise DataError(f"the file is not {kind} of this version", where=str(path), evidence=[f"it holds: {names}"])
    return arrays


def _json(text: NDArray[Any] | None, path: str | Path) -> dict[str, Any]:
    """The facts beside the arrays."""
    try:
        facts = json.loads(str(text))
    except json.JSONDecodeError:
        facts = None
    if not isinstance(facts, dict):
        raise DataError("the description in the file cannot be read", where=str(path))
    return facts


def _finite(arrays: Arrays, path: str | Path, except_for: str = "") -> Params:
    """The arrays, provided they hold finite real numbers."""
    for name, array in arrays.items():
        if array.dtype.kind != "f" or (name != except_for and not np.isfinite(array).all()):
            raise DataError(f"array {name} does not hold finite numbers", where=str(path))
    return arrays


def _shapes(params: Params, path: str | Path) -> Shapes:
    """`shapes_of`, with the file in the message."""
    try:
        return shapes_of(params)
    except DataError as error:
        raise DataError(error.what, where=str(path), evidence=error.evidence) from None


def _other_network(path: str | Path, found: list[int], wanted: list[int]) -> DataError:
    """The message for a file of a network with other widths."""
    evidence = [f"in the file:  {'-'.join(map(str, found))}", f"this network: {'-'.join(map(str, wanted))}"]
    return DataError("the file is of another network", where=str(path), evidence=evidence)
