"""Least squares: against scikit-learn on its data sets, on every backend, and where columns depend on one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.linear_model
from sklearn import datasets

from portml.backends import Backend, to_numpy
from portml.classical import LinearRegression
from portml.errors import ArgumentError
from tests.tolerances import assert_close

LOADERS = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "cancer": datasets.load_breast_cancer,
    "diabetes": datasets.load_diabetes,
    "digits": datasets.load_digits,
}
SOLVERS = ("auto", "cholesky", "qr", "svd")


def table(name: str) -> tuple[Any, Any]:
    X, y = LOADERS[name](return_X_y=True)
    return X, y.astype(float)


def drawn(n: int = 40, p: int = 4, outputs: int = 0) -> tuple[Any, Any]:
    draw = np.random.default_rng(0)
    X = draw.standard_normal((n, p)) + 2
    weights = draw.standard_normal((p, outputs)) if outputs else draw.standard_normal(p)
    return X, X @ weights + 0.3 * draw.standard_normal((n, outputs) if outputs else n) + 5


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("name", LOADERS)
def test_weights_and_predictions_are_scikit_learns(name: str, fit_intercept: bool, weighted: bool) -> None:
    X, y = table(name)
    weight = np.random.default_rng(1).random(len(y)) if weighted else None
    peer = sklearn.linear_model.LinearRegression(fit_intercept=fit_intercept).fit(X, y, weight)
    for solver in SOLVERS:
        ours = LinearRegression(fit_intercept=fit_intercept, solver=solver).fit(X, y, weight)
        np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-5, atol=1e-5 * np.abs(peer.coef_).max())
        np.testing.assert_allclose(ours.intercept_, peer.intercept_, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(ours.predict(X), peer.predict(X), rtol=1e-5, atol=1e-5)
        assert ours.rank_ == peer.rank_


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_fit_is_the_same_on_every_backend(backend: Backend, dtype: Any, solver: str) -> None:
    X, y = drawn(outputs=2)
    weight = np.linspace(0.5, 2, len(X))
    expected = sklearn.linear_model.LinearRegression().fit(X, y, weight)
    X, y, weight = (backend.asarray(each, dtype) for each in (X, y, weight))
    ours = LinearRegression(solver=solver).fit(X, y, weight)
    assert_close(ours.coef_, backend.asarray(expected.coef_, dtype), "gradient")
    assert_close(ours.intercept_, backend.asarray(expected.intercept_, dtype), "gradient")
    assert_close(ours.predict(X), X @ backend.xp.matrix_transpose(ours.coef_) + ours.intercept_, "reduction")
    assert ours.predict(X).dtype == dtype


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kind", ["wide", "repeated", "constant", "dependent"])
def test_dependent_columns_get_the_solution_of_smallest_norm(backend: Backend, kind: str, solver: str) -> None:
    X, y = drawn(6, 9) if kind == "wide" else drawn()
    if kind == "repeated":
        X = np.concatenate([X, X[:, :2]], axis=1)
    elif kind == "constant":
        X[:, 1] = 0.1
    elif kind == "dependent":
        X[:, 3] = X[:, 0] - 2 * X[:, 1]
    centred, target = X - X.mean(axis=0), y - y.mean()
    expected, _, rank, _ = np.linalg.lstsq(centred, target, rcond=1e-10)
    ours = LinearRegression(solver=solver).fit(backend.asarray(X), backend.asarray(y))
    np.testing.assert_allclose(to_numpy(ours.coef_), expected, rtol=1e-7, atol=1e-9)
    assert ours.rank_ == rank
    assert to_numpy(ours.singular_).shape == (min(X.shape),)


def test_means_far_from_zero_cost_no_digits() -> None:
    X, y = drawn(200, 3)
    near = LinearRegression().fit(X, y)
    far = LinearRegression().fit(X + 1e6, y)
    np.testing.assert_allclose(far.coef_, near.coef_, rtol=1e-8)


def test_shifting_the_target_shifts_the_intercept_alone(backend: Backend) -> None:
    X, y = drawn()
    X = backend.asarray(X)
    one, other = (LinearRegression().fit(X, backend.asarray(y + by)) for by in (0.0, 10.0))
    assert_close(other.coef_, one.coef_, "gradient")
    assert_close(other.intercept_, one.intercept_ + 10.0, "reduction")


def test_a_weight_of_two_is_a_sample_twice() -> None:
    X, y = drawn()
    weight = np.where(np.arange(len(y)) < 10, 2.0, 1.0)
    twice = LinearRegression().fit(np.concatenate([X, X[:10]]), np.concatenate([y, y[:10]]))
    weighted = LinearRegression().fit(X, y, weight)
    np.testing.assert_allclose(weighted.coef_, twice.coef_, rtol=1e-10)


def test_positive_weights_are_scikit_learns(backend: Backend) -> None:
    X, y = datasets.load_diabetes(return_X_y=True)
    expected = sklearn.linear_model.LinearRegression(positive=True).fit(X, y).coef_
    X, y = (backend.asarray(each[:442, ...] if backend.host else each) for each in (X, y))
    if not backend.host:  # sweeps are slow where they are not compiled
        X = X[:, :3]
        expected = sklearn.linear_model.LinearRegression(positive=True).fit(to_numpy(X), to_numpy(y)).coef_
    ours = to_numpy(LinearRegression(positive=True).fit(X, y).coef_)
    assert np.all(ours >= 0)
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6)


def test_one_sample_is_its_own_mean() -> None:
    ours = LinearRegression().fit([[1.0, 2.0]], [3.0])
    np.testing.assert_array_equal(ours.coef_, [0.0, 0.0])
    assert ours.intercept_ == 3.0
    assert ours.rank_ == 0


def test_float32_tables_with_large_means_keep_their_digits() -> None:
    X, y = (each.astype(np.float32) for each in drawn(500, 3))
    ours = LinearRegression().fit(X + np.float32(100), y)
    expected = LinearRegression().fit((X + np.float32(100)).astype(np.float64), y.astype(np.float64))
    assert ours.coef_.dtype == np.float32
    np.testing.assert_allclose(ours.coef_, expected.coef_, rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"solver": "lsqr"}, "solver"),
        ({"solver": "svd", "positive": True}, "positive"),
        ({"solver": "gd", "learning_rate": 0.0}, "learning_rate"),
        ({"solver": "gd", "batch_size": 0}, "batch_size"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        LinearRegression(**arguments).fit(*drawn())
