"""scikit-learn's own conventions, and what the estimators add to the trainer."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from thinning import thinned

from symbackprop.errors import MalformedError
from symbackprop.training import estimators
from symbackprop.training.data import load_digits

sklearn_checks = pytest.importorskip("sklearn.utils.estimator_checks")


@pytest.mark.parametrize("kind", thinned([estimators.MLPRegressor, estimators.MLPClassifier], 2))
def test_estimator_passes_check_estimator(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sklearn_checks.check_estimator(kind())


def test_classifier_learns_digits_in_a_pipeline_of_strings():
    data = load_digits()
    names = np.array([f"digit {label}" for label in data.labels])
    model = estimators.MLPClassifier((30,), epochs=20, random_state=0).fit(data.X[:1400], names[:1400])
    assert model.score(data.X[1400:], names[1400:]) > 0.9
    assert model.classes_[3] == "digit 3"
    assert np.allclose(model.predict_proba(data.X[1400:]).sum(axis=1), 1)


def test_classifier_with_two_classes_has_one_unit():
    X = np.array([[0.0], [0.2], [0.8], [1.0]])
    model = estimators.MLPClassifier((3,), random_state=0).fit(X, ["no", "no", "yes", "yes"])
    assert model.layers_ == (1, 3, 1)
    assert model.predict(X).tolist() == ["no", "no", "yes", "yes"]


def test_regressor_keeps_the_shape_of_its_targets():
    X = np.linspace(-1, 1, 50)[:, None]
    assert estimators.MLPRegressor(random_state=0, epochs=5).fit(X, X[:, 0]).predict(X).shape == (50,)
    assert estimators.MLPRegressor(random_state=0, epochs=5).fit(X, X).predict(X).shape == (50, 1)


def test_fitted_estimator_survives_pickle_with_the_same_outputs():
    X = np.linspace(-1, 1, 50)[:, None]
    model = estimators.MLPRegressor((4,), random_state=0, epochs=5).fit(X, X[:, 0] ** 2)
    assert (pickle.loads(pickle.dumps(model)).predict(X) == model.predict(X)).all()


def test_estimator_reports_hidden_layer_of_no_units():
    with pytest.raises(MalformedError) as caught:
        estimators.MLPRegressor((0,)).fit([[0.0], [1.0]], [0.0, 1.0])
    assert str(caught.value) == "hidden layer sizes are whole numbers of at least 1\n    (0,)"
