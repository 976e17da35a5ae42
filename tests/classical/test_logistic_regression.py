"""Logistic regression: against scikit-learn, on every backend, with margins of any size and classes of any kind."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.linear_model
from sklearn import datasets

from portml.backends import Backend, to_numpy
from portml.classical import LogisticRegression
from portml.classical.logistic_regression import binary_loss, multinomial_loss
from portml.errors import ArgumentError, ConvergenceWarning
from tests.tolerances import assert_close

LOADERS = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}
SOLVERS = ("lbfgs", "newton-cholesky")
EXACT = {"tol": 1e-9, "max_iter": 5000}


def table(name: str) -> tuple[Any, Any]:
    X, y = LOADERS[name](return_X_y=True)
    return (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0), y


def small(classes: int) -> tuple[Any, Any]:
    X, y = datasets.load_iris(return_X_y=True)
    keep = y >= 3 - classes
    return X[keep], y[keep]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"C": 0.1, "class_weight": "balanced"}, {"C": 10.0, "fit_intercept": False, "class_weight": {0: 2.0}}],
    ids=str,
)
@pytest.mark.parametrize("name", LOADERS)
def test_weights_scores_and_probabilities_are_scikit_learns(name: str, arguments: dict[str, Any]) -> None:
    X, y = table(name)
    weight = np.random.default_rng(1).random(len(y)) if arguments else None
    peer = sklearn.linear_model.LogisticRegression(**arguments, **EXACT).fit(X, y, weight)
    for solver in SOLVERS if name != "digits" else ("lbfgs",):
        ours = LogisticRegression(solver=solver, **arguments, **EXACT).fit(X, y, weight)
        largest = np.abs(peer.coef_).max()
        np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-5, atol=1e-5 * largest)
        np.testing.assert_allclose(ours.intercept_, peer.intercept_, rtol=1e-5, atol=1e-5 * largest)
        scores = peer.decision_function(X)
        np.testing.assert_allclose(ours.decision_function(X), scores, rtol=1e-5, atol=1e-5 * np.abs(scores).max())
        np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-5)
        np.testing.assert_array_equal(ours.predict(X), peer.predict(X))


@pytest.mark.parametrize("name", LOADERS)
def test_raw_features_are_fitted_no_worse_than_by_scikit_learn(name: str) -> None:
    X, y = LOADERS[name](return_X_y=True)

    def objective(model: Any) -> float:
        logarithms = model.predict_log_proba(X)[np.arange(len(y)), y]
        return float(0.5 * np.sum(np.square(model.coef_)) - np.sum(logarithms))

    peer = sklearn.linear_model.LogisticRegression()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it stops at 100 iterations
        peer.fit(X, y)
    ours = LogisticRegression().fit(X, y)
    assert objective(ours) <= objective(peer) * (1 + 1e-5)
    assert ours.n_iter_[0] <= peer.n_iter_[0]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_fit_is_the_same_on_every_backend(backend: Backend, dtype: Any, solver: str, classes: int) -> None:
    X, y = small(classes)
    weight = np.linspace(0.5, 2.0, len(y))
    expected = LogisticRegression(tol=1e-8, solver="newton-cholesky").fit(X, y, weight)
    tolerance = 1e-5 if "float32" in str(dtype) else 1e-8
    X = backend.asarray(X, dtype)
    ours = LogisticRegression(solver=solver, tol=tolerance).fit(X, y, weight)
    near = 0.02 if "float32" in str(dtype) else 1e-4
    np.testing.assert_allclose(to_numpy(ours.coef_), expected.coef_, atol=near)
    assert_close(ours.classes_, backend.asarray(expected.classes_), "exact")
    probabilities = ours.predict_proba(X)
    assert probabilities.dtype == ours.coef_.dtype == ours.intercept_.dtype == dtype
    assert_close(backend.xp.sum(probabilities, axis=1), backend.xp.ones_like(probabilities[:, 0]), "reduction")
    assert_close(backend.xp.exp(ours.predict_log_proba(X)), probabilities, "gradient")
    right = to_numpy(ours.predict(X)) == expected.predict(to_numpy(X))
    assert right.mean() > 0.99


@pytest.mark.parametrize("loss", [binary_loss, multinomial_loss])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_gradient_is_that_of_the_loss(loss: Any, fit_intercept: bool) -> None:
    draw = np.random.default_rng(0)
    classes = 2 if loss is binary_loss else 4
    X, y, share = draw.standard_normal((9, 3)), draw.integers(0, classes, 9), draw.random(9)
    function = loss(X, y, share, 0.3, fit_intercept, classes)
    theta = draw.standard_normal((1 if loss is binary_loss else classes, 4))
    gradient, step = function(theta)[1], 1e-6
    for place in np.ndindex(theta.shape):
        if place[1] == 3 and not fit_intercept:
            assert gradient[place] == 0
            continue
        moved = np.zeros_like(theta)
        moved[place] = step
        slope = (function(theta + moved)[0] - function(theta - moved)[0]) / (2 * step)
        assert gradient[place] == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_in_the_thousands_give_probabilities_and_finite_logarithms(
    backend: Backend, dtype: Any, classes: int
) -> None:
    X, y = small(classes)
    model = LogisticRegression().fit(backend.asarray(X, dtype), y)
    far = backend.asarray([[1e5] * 4, [-1e5] * 4], dtype)
    assert float(np.abs(to_numpy(model.decision_function(far))).min()) > 1000
    probabilities, logarithms = to_numpy(model.predict_proba(far)), to_numpy(model.predict_log_proba(far))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert np.all(np.isfinite(logarithms))
    assert logarithms.min() < -1000


def test_separable_classes_end_at_finite_weights_under_a_penalty_and_in_a_warning_without() -> None:
    X, y = np.asarray([[-1.0], [1.0]]), np.asarray([0, 1])
    ours = LogisticRegression(**EXACT).fit(X, y)
    np.testing.assert_allclose(ours.coef_, sklearn.linear_model.LogisticRegression(**EXACT).fit(X, y).coef_, rtol=1e-6)
    with pytest.warns(ConvergenceWarning, match=r"max_iter=5\b"):
        free = LogisticRegression(C=np.inf, tol=1e-12, max_iter=5).fit(X, y)
    assert np.all(np.isfinite(free.coef_))
    assert free.score(X, y) == 1.0


def test_a_threshold_moves_the_border() -> None:
    X, y = table("cancer")
    model = LogisticRegression().fit(X, y)
    second = model.predict_proba(X)[:, 1]
    for threshold in (0.1, 0.5, 0.9):
        np.testing.assert_array_equal(model.predict(X, threshold=threshold) == 1, second > threshold)
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        model.predict(X, threshold=1.0)
    with pytest.raises(ArgumentError, match="more than two classes"):
        LogisticRegression().fit(*small(3)).predict(small(3)[0], threshold=0.3)


@pytest.mark.parametrize("classes", [2, 3])
def test_labels_may_be_words(backend: Backend, classes: int) -> None:
    X, y = small(classes)
    words = np.asarray(["setosa", "versicolor", "virginica"])[y]
    model = LogisticRegression(class_weight={"virginica": 2.0}).fit(backend.asarray(X), words)
    predicted = model.predict(backend.asarray(X))
    assert isinstance(predicted, np.ndarray)
    assert set(predicted) == set(words)
    assert model.score(backend.asarray(X), words) > 0.9


def test_a_warm_start_continues_and_ignores_weights_that_do_not_fit() -> None:
    X, y = small(2)
    model = LogisticRegression(warm_start=True, tol=1e-8).fit(X, y)
    assert model.fit(X, y).n_iter_[0] == 0
    assert model.fit(X[:, :2], y).coef_.shape == (1, 2)


def test_weights_of_classes_are_weights_of_their_samples(backend: Backend) -> None:
    X, y = small(3)
    X = backend.asarray(X)
    by_class = LogisticRegression(class_weight={1: 3.0}).fit(X, y)
    by_sample = LogisticRegression().fit(X, y, np.where(y == 1, 3.0, 1.0))
    assert_close(by_class.coef_, by_sample.coef_, "steps")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"solver": "saga"}, "solver"),
        ({"C": 0.0}, "'C' parameter"),
        ({"tol": 0.0}, "tol"),
        ({"class_weight": "even"}, "class_weight"),
        ({"class_weight": {7: 1.0}}, "are not in class_weight"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        LogisticRegression(**arguments).fit(*small(3))


def test_one_class_is_refused() -> None:
    with pytest.raises(ArgumentError, match="only one class: 'a'"):
        LogisticRegression().fit([[1.0], [2.0]], ["a", "a"])
