"""Models from their files: predictions for new rows.

    model = sb.load("model.npz")
    model.predict(X), model.predict_proba(X), model.score(X, y)

The file says which network its parameters belong to, what its classes are called and how its inputs were scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from symbackprop.api import compile
from symbackprop.codegen.network import CompiledNetwork
from symbackprop.errors import DataError, MalformedError, SymbackpropError
from symbackprop.frontends.network import Network
from symbackprop.frontends.network_options import split_activations
from symbackprop.training.data import classification, regression
from symbackprop.training.parameters import Params
from symbackprop.training.run import r_squared
from symbackprop.training.storage import load_model

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Inputs of mean 0 and standard deviation 1, as they were on the training rows; a constant input stays 0."""

    mean: Array
    deviation: Array

    def __call__(self, X: Array) -> Array:
        """X scaled. Shapes: (m, features)."""
        return (X - self.mean) / self.deviation

    def to_dict(self) -> dict[str, list[float]]:
        """For the description in a model's file."""
        return {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}


def scaling_of(X: Array) -> Scaling:
    """The scaling that gives these rows mean 0 and standard deviation 1.

    Example:
        >>> scaling_of(np.array([[1.0, 7.0], [3.0, 7.0]]))(np.array([[5.0, 7.0]])).tolist()
        [[3.0, 0.0]]
    """
    deviation = X.std(axis=0)
    return Scaling(X.mean(axis=0), np.where(deviation > 0, deviation, 1.0))


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network.

    Attributes:
        network: what was trained.
        params: its parameters.
        classes: the label of each class; empty for regression.
        scaling: of the inputs, or None.
        description: all that the file says about it.
    """

    network: Network
    params: Params
    classes: tuple[Any, ...]
    scaling: Scaling | None
    description: dict[str, Any]
    code: CompiledNetwork

    def __repr__(self) -> str:
        widths = "-".join(map(str, self.network.widths))
        return f"Model({widths}, {f'{len(self.classes)} classes' if self.classes else 'regression'})"

    def outputs(self, X: Any) -> Array:
        """The activations of the last layer. Shapes: X (m, features), result (m, K)."""
        rows = regression(X, np.zeros(len(X)), name="X").X
        if rows.shape[1] != self.network.widths[0]:
            raise DataError(
                "the inputs do not fit the model",
                evidence=[f"X: {rows.shape[1]} columns", f"the model's inputs: {self.network.widths[0]}"],
            )
        rows = rows if self.scaling is None else self.scaling(rows)
        return np.array(self.code.predict(self.params, rows.astype(self.params["W1"].dtype)), dtype=np.float64)

    def predict_proba(self, X: Any) -> Array:
        """The output for each class, probabilities if the cost is a cross-entropy. Shapes: (m, classes).

        Raises:
            MalformedError: the model predicts numbers, not classes.
        """
        if not self.classes:
            raise MalformedError("this model predicts numbers, not classes", help="model.predict(X)")
        outputs = self.outputs(X)
        return np.hstack([1.0 - outputs, outputs]) if outputs.shape[1] == 1 else outputs

    def positions(self, X: Any) -> NDArray[np.intp]:
        """The position of each row's most probable class. Shapes: (m,)."""
        found: NDArray[np.intp] = np.argmax(self.predict_proba(X), axis=1)
        return found

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row, or the numbers. Shapes: (m,), or (m, K) for several numbers."""
        if self.classes:
            return np.array(self.classes)[self.positions(X)]
        outputs = self.outputs(X)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def label_positions(self, y: Any) -> NDArray[np.intp]:
        """The position of each label among the classes.

        Raises:
            DataError: a label that the model has not seen.
        """
        places = {label: k for k, label in enumerate(self.classes)}
        given = np.asarray(y)
        if given.ndim == 2 and given.shape[1] > 1:
            return classification(given, given, outputs=given.shape[1]).labels
        found = [places.get(label) for label in given.ravel().tolist()]
        if None in found:
            row = found.index(None)
            raise DataError(
                f"the label in row {row + 1} is none of the model's classes",
                evidence=[f"label:   {given.ravel()[row]}", f"classes: {', '.join(map(str, self.classes[:12]))}"],
            )
        return np.array(found, dtype=np.intp)

    def score(self, X: Any, y: Any) -> float:
        """Accuracy, or R2 for regression.

        Raises:
            DataError: X and y do not fit each other or the model.
        """
        if len(X) != len(y):
            raise DataError("X and y have different numbers of rows", evidence=[f"X: {len(X)}", f"y: {len(y)}"])
        if self.classes:
            return float(np.mean(self.positions(X) == self.label_positions(y)))
        return r_squared(self.outputs(X), regression(X, y).Y)


def load(path: str | Path) -> Model:
    """The model that `symbackprop train --save` wrote.

    Raises:
        DataError: missing, damaged, or a file of something else.

    Example::

        load("model.npz").predict(X)
    """
    params, facts = load_model(path)
    try:
        layers = facts["layers"]
        given = {name: facts.get(name) for name in ("l2", "l1") if facts.get(name) is not None}
        network = Network(
            layers,
            activation=split_activations(facts.get("activation", "sigmoid"), len(layers) - 1),
            cost=facts.get("cost", "cross_entropy"),
            reduction=facts.get("reduction", "mean"),
            **given,
        )
        count = 0 if facts.get("classes") == [] else max(2, int(layers[-1]))
        classes = tuple(facts.get("classes", range(count)))
        scaling = facts.get("scaling")
        scaled = Scaling(np.array(scaling["mean"]), np.array(scaling["deviation"])) if scaling else None
        return Model(network, params, classes, scaled, facts, compile(network, dtype=params["W1"].dtype.name))
    except (KeyError, TypeError, ValueError, SymbackpropError) as error:
        why = getattr(error, "what", None) or f"{type(error).__name__}: {error}"
        message = "the file does not say which network its parameters belong to"
        raise DataError(message, where=str(path), evidence=[why]) from None
