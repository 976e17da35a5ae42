"""The perceptron: scikit-learn's weights in the order of the samples, and an end wherever classes can be separated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.linear_model
from sklearn import datasets

from portml.backends import Backend, to_numpy
from portml.classical import Perceptron
from portml.errors import ArgumentError, ConvergenceWarning
from tests.classical.test_logistic_regression import table
from tests.tolerances import assert_close


@pytest.mark.parametrize(
    "arguments",
    [{}, {"fit_intercept": False, "class_weight": "balanced"}, {"eta0": 0.3, "class_weight": {1: 2.0}, "tol": 1e-2}],
    ids=str,
)
@pytest.mark.parametrize("name", ["iris", "wine", "cancer"])
def test_weights_in_the_order_of_the_samples_are_scikit_learns(name: str, arguments: dict[str, Any]) -> None:
    X, y = table(name)
    weight = np.random.default_rng(1).random(len(y)) if arguments else None
    peer = sklearn.linear_model.Perceptron(shuffle=False, **arguments).fit(X, y, sample_weight=weight)
    ours = Perceptron(shuffle=False, **arguments).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours.intercept_, peer.intercept_, rtol=1e-9, atol=1e-9)
    assert ours.n_iter_ == peer.n_iter_
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))


def test_a_fit_is_the_same_on_every_backend_and_repeats_itself(backend: Backend, dtype: Any) -> None:
    X, y = datasets.load_iris(return_X_y=True)
    X, y = X[::5], y[::5]
    arguments = {"max_iter": 3, "tol": None, "random_state": 4}
    expected = Perceptron(**arguments).fit(X.astype("float32" if "float32" in str(dtype) else "float64"), y)
    ours = [Perceptron(**arguments).fit(backend.asarray(X, dtype), y) for _ in range(2)]
    assert_close(ours[0].coef_, backend.asarray(expected.coef_), "gradient")
    assert_close(ours[0].coef_, ours[1].coef_, "exact")
    assert ours[0].coef_.dtype == dtype
    assert ours[0].t_ == 3 * 30 + 1


def test_classes_that_a_line_separates_are_separated() -> None:
    X, y = datasets.load_iris(return_X_y=True)
    ours = Perceptron().fit(X, y == 0)
    assert ours.score(X, y == 0) == 1.0
    assert ours.n_iter_ < 50
    assert ours.predict(X).dtype == bool


def test_a_mistake_moves_the_weights_by_the_sample_and_a_hit_by_nothing(backend: Backend) -> None:
    X = backend.asarray([[1.0, 2.0], [-1.0, -1.0]])
    ours = Perceptron(max_iter=1, tol=None, shuffle=False).fit(X, [1, 0])
    np.testing.assert_array_equal(to_numpy(ours.coef_), [[1.0, 2.0]])
    np.testing.assert_array_equal(to_numpy(ours.intercept_), [1.0])


def test_a_warm_start_continues() -> None:
    X, y = table("wine")
    once = Perceptron(max_iter=2, tol=None, shuffle=False).fit(X, y)
    twice = Perceptron(max_iter=1, tol=None, shuffle=False, warm_start=True).fit(X, y).fit(X, y)
    np.testing.assert_allclose(twice.coef_, once.coef_)


def test_too_few_passes_are_told() -> None:
    X, y = table("cancer")
    with pytest.warns(ConvergenceWarning, match="Maximum number of iteration reached before convergence"):
        Perceptron(max_iter=2).fit(X, y)


@pytest.mark.parametrize("arguments", [{"max_iter": 0}, {"eta0": 0.0}, {"class_weight": 3}], ids=str)
def test_what_is_not_understood_is_refused_by_name(arguments: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(arguments))):
        Perceptron(**arguments).fit(*table("iris"))
