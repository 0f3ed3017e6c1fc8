"""Estimators: networks for scikit-learn's pipelines and grid searches.

`MLPClassifier` and `MLPRegressor` follow scikit-learn's conventions (its own `check_estimator` is a test) and are thin:
the mathematics is the derived and proved one of `network`, compiled; the numbers are found by `train`. A fitted
estimator holds arrays only, so it can be pickled. Needs the extra `[sklearn]`.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from symbackprop.api import compile
from symbackprop.errors import DataError, MalformedError, UnsupportedError
from symbackprop.frontends.network import Network
from symbackprop.training.data import DataSet, classification, regression
from symbackprop.training.loop import CompiledGradient, TrainingResult, train
from symbackprop.training.parameters import Params

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise UnsupportedError("estimators need scikit-learn", help="pip install 'symbackprop[sklearn]'") from None

Array = NDArray[np.float64]
Compiled = tuple[Callable[[int], Params], CompiledGradient]
"""Fresh parameters from a seed, and the compiled gradient."""


class EstimatorError(DataError, ValueError):
    """A `DataError` that scikit-learn's own code catches too, as it expects a ValueError."""


@lru_cache(maxsize=32)
def _compiled_network(layers: tuple[int, ...], activation: tuple[str, ...], cost: str, l2: str) -> Compiled:
    """The network's initial parameters and compiled gradient; kept, so that predicting does not compile again."""
    network = Network(layers, activation=activation, cost=cost, l2=l2)
    return network.init, cast(CompiledGradient, compile(network))


class _Perceptron(BaseEstimator, metaclass=ABCMeta):  # type: ignore[misc]
    """What both estimators share: the settings, and fitting them to a data set."""

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (30,),
        *,
        activation: str = "tanh",
        alpha: float = 1e-4,
        optimizer: str = "adam",
        learning_rate: float | None = None,
        epochs: int = 200,
        batch_size: int = 32,
        schedule: str = "cosine",
        holdout: float = 0.0,
        patience: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.alpha = alpha
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.schedule = schedule
        self.holdout = holdout
        self.patience = patience
        self.random_state = random_state

    @abstractmethod
    def _head(self) -> tuple[str, str]:
        """The activation of the last layer and the cost."""

    def _network(self) -> Compiled:
        """The compiled network of the fitted widths."""
        activation, cost = self._head()
        hidden = len(self.layers_) - 2
        # lambda/2 without 1/m: the regulariser of a minibatch is then that of the whole set
        return _compiled_network(self.layers_, (self.activation,) * hidden + (activation,), cost, "lambda/2")

    def _hidden(self) -> list[int]:
        """The widths of the hidden layers; a single number is one layer."""
        sizes = self.hidden_layer_sizes
        widths: list[Any] = list(np.atleast_1d(sizes).tolist())
        if not all(isinstance(width, int) and width >= 1 for width in widths):
            raise MalformedError("hidden layer sizes are whole numbers of at least 1", where=str(sizes))
        return widths

    def _fit(self, data: DataSet) -> None:
        """Train, and keep the parameters (`params_`) and the story of the run (`training_`)."""
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.layers_ = (data.X.shape[1], *self._hidden(), data.Y.shape[1])
        init, model = self._network()
        self.training_: TrainingResult = train(
            model,
            data,
            initial=init(seed),
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            batch_size=self.batch_size,
            seed=seed,
            holdout=self.holdout,
            schedule=self.schedule,
            patience=self.patience,
            hyper={"lam": self.alpha},
        )
        self.params_ = self.training_.params
        self.n_iter_ = len(self.training_.history)

    def _outputs(self, X: Any) -> Array:
        """The activations of the last layer. Shapes: (m, K)."""
        check_is_fitted(self)
        checked = validate_data(self, X, dtype=np.float64, reset=False)
        # a compiled function may reuse its output
        return np.array(self._network()[1].predict(self.params_, checked))


class MLPClassifier(ClassifierMixin, _Perceptron):  # type: ignore[misc]
    """A classifier: one sigmoid unit for two classes, softmax for more, trained on the cross-entropy.

    Args:
        hidden_layer_sizes: the widths of the hidden layers.
        activation: of the hidden layers.
        alpha: the cost has alpha/2 times the sum of the squared weights added.
        optimizer, learning_rate, epochs, batch_size, schedule, holdout, patience: as `train` has them.
        random_state: a number gives the same parameters each time.

    Scale:
        the cost is the mean over the examples.

    Example::

        make_pipeline(StandardScaler(), MLPClassifier((30,), random_state=0)).fit(X, y).score(X_new, y_new)
    """

    def fit(self, X: Any, y: Any) -> MLPClassifier:
        """Train on examples X (m, features) with labels y (m,)."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise EstimatorError("the labels hold one class only, so there is nothing to learn")
        outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        self._fit(classification(X, numbers, outputs=outputs))
        return self

    def predict_proba(self, X: Any) -> Array:
        """The probability of each class. Shapes: (m, classes)."""
        outputs = self._outputs(X)
        return np.hstack([1.0 - outputs, outputs]) if outputs.shape[1] == 1 else outputs

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each example. Shapes: (m,)."""
        probabilities = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[np.argmax(probabilities, axis=1)]
        return labels

    def _head(self) -> tuple[str, str]:
        return ("sigmoid", "cross_entropy") if self.layers_[-1] == 1 else ("softmax", "softmax_cross_entropy")


class MLPRegressor(RegressorMixin, _Perceptron):  # type: ignore[misc]
    """A regressor: linear output units, trained on half the squared error.

    Args:
        hidden_layer_sizes: the widths of the hidden layers.
        activation: of the hidden layers.
        alpha: the cost has alpha/2 times the sum of the squared weights added.
        optimizer, learning_rate, epochs, batch_size, schedule, holdout, patience: as `train` has them.
        random_state: a number gives the same parameters each time.

    Scale:
        the cost is the mean over the examples; inputs and targets of about unit size are learnt best.
    """

    def fit(self, X: Any, y: Any) -> MLPRegressor:
        """Train on examples X (m, features) with targets y, (m,) or (m, K)."""
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        self._is_vector = y.ndim == 1
        self._fit(regression(X, y))
        return self

    def predict(self, X: Any) -> Array:
        """The outputs. Shapes: (m,) if the targets were a vector, else (m, K)."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._is_vector else outputs

    def _head(self) -> tuple[str, str]:
        return "identity", "squared_error"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
