from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.svm
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

from portml.backends import Backend, backend_of, to_numpy
from portml.classical import SVC, LinearSVC
from portml.errors import ArgumentError, ConvergenceWarning

LOADERS = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer}


def data(name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    X, y = LOADERS[name](return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def assert_same(ours: LinearSVC, theirs: Any, X: np.ndarray[Any, Any], backend: Backend) -> None:
    expected = theirs.decision_function(X)
    found = ours.decision_function(backend.asarray(X))
    assert backend_of(found) is backend
    scale = np.abs(expected).max()
    np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-5, atol=1e-5 * scale)
    np.testing.assert_allclose(to_numpy(ours.coef_), theirs.coef_, rtol=1e-4, atol=1e-5 * scale)
    assert (to_numpy(ours.predict(backend.asarray(X))) == theirs.predict(X)).all()


@pytest.mark.parametrize(
    "options",
    [{}, {"C": 10.0, "fit_intercept": False}, {"intercept_scaling": 5.0, "class_weight": "balanced"}],
    ids=str,
)
@pytest.mark.parametrize("name", LOADERS)
def test_it_agrees_with_scikit_learn(backend: Backend, name: str, options: dict[str, Any]) -> None:
    X, y = data(name)
    ours = LinearSVC(**options).fit(backend.asarray(X), backend.asarray(y))
    theirs = sklearn.svm.LinearSVC(tol=1e-9, max_iter=100_000, **options).fit(X, y)
    assert_same(ours, theirs, X, backend)


@pytest.mark.parametrize("options", [{"loss": "hinge"}, {"dual": True}], ids=str)
def test_the_dual_agrees_with_scikit_learn(options: dict[str, Any]) -> None:
    X, y = data("wine")
    weight = np.random.default_rng(0).uniform(0.2, 2, len(y))
    ours = LinearSVC(tol=1e-8, max_iter=20_000, random_state=0, **options).fit(X, y, weight)
    theirs = sklearn.svm.LinearSVC(tol=1e-9, max_iter=200_000, random_state=0, **options).fit(X, y, weight)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=1e-6)


def test_the_dual_runs_on_every_backend_and_repeats_itself(backend: Backend) -> None:
    X, y = data("iris")
    X, y = X[40:60:2], y[40:60:2]
    fits = [LinearSVC(loss="hinge", tol=0.3, max_iter=16, random_state=1).fit(backend.asarray(X), y) for _ in range(2)]
    assert (to_numpy(fits[0].coef_) == to_numpy(fits[1].coef_)).all()
    expected = LinearSVC(loss="hinge", tol=0.3, max_iter=16, random_state=1).fit(X, y)
    np.testing.assert_allclose(to_numpy(fits[0].coef_), expected.coef_, rtol=1e-9)


def test_newton_by_conjugate_gradients_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data("breast cancer")
    expected = LinearSVC().fit(X, y)
    monkeypatch.setattr("portml.classical.linear_svc.FACTORISED_UP_TO", 0)
    found = LinearSVC(tol=1e-8).fit(X, y)
    np.testing.assert_allclose(found.coef_, expected.coef_, atol=1e-5)


def test_the_hinge_is_that_of_svc_where_the_intercept_is_hardly_penalised() -> None:
    X, y = data("breast cancer")
    linear = LinearSVC(loss="hinge", tol=1e-4, intercept_scaling=5.0, max_iter=20_000, random_state=0).fit(X, y)
    kernel = SVC(kernel="linear", tol=1e-8).fit(X, y)
    np.testing.assert_allclose(linear.decision_function(X), kernel.decision_function(X), atol=0.05)


def test_float32_stays_float32(backend: Backend) -> None:
    X, y = data("iris")
    x = backend.asarray(X, dtype=backend.xp.float32)
    model = LinearSVC().fit(x, y)
    assert model.coef_.dtype == model.intercept_.dtype == model.decision_function(x).dtype == backend.xp.float32
    np.testing.assert_allclose(to_numpy(model.coef_), LinearSVC().fit(X, y).coef_, atol=1e-3)


def test_labels_may_be_text() -> None:
    X, y = data("wine")
    names = np.asarray(["a", "b", "c"])[y]
    assert set(LinearSVC().fit(X, names).predict(X)) == {"a", "b", "c"}


def test_what_cannot_be_solved_is_refused() -> None:
    X, y = data("iris")
    with pytest.raises(ArgumentError, match="loss='hinge' is not supported when dual=False"):
        LinearSVC(loss="hinge", dual=False).fit(X, y)
    with pytest.raises(ArgumentError, match="at least 2 classes"):
        LinearSVC().fit(X, np.zeros(len(X), dtype=int))
    with pytest.raises(ArgumentError, match="'intercept_scaling' parameter of LinearSVC"):
        LinearSVC(intercept_scaling=0).fit(X, y)


def test_stopping_early_warns() -> None:
    X, y = data("breast cancer")
    with pytest.warns(ConvergenceWarning, match="failed to converge"):
        LinearSVC(loss="hinge", max_iter=2, random_state=0).fit(X, y)
