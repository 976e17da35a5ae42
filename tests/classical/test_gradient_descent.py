"""Gradient descent: the guide's updates to the last digits, its numbers, and batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import make_classification

from portml.backends import Backend, to_numpy
from portml.classical import ElasticNet, Lasso, LinearRegression, LinearSVC, LogisticRegression, Ridge
from portml.classical.gradient_descent import gradient_descent, squared_objective
from portml.errors import ArgumentError, ConvergenceWarning
from tests.tolerances import assert_close

GD: dict[str, Any] = {"solver": "gd", "learning_rate": 0.05, "max_iter": 40}


def drawn(n: int = 30, p: int = 3) -> tuple[Any, Any]:
    draw = np.random.default_rng(0)
    X = draw.standard_normal((n, p))
    return X, X @ np.asarray([2.0, -1.0, 0.0])[:p] + 1 + 0.1 * draw.standard_normal(n)


def guide(X: Any, y: Any, l1: float = 0.0, l2: float = 0.0) -> tuple[Any, float, list[float]]:
    """The formulas as they are written: zero weights, dw = 2/n Xᵀ(ŷ - y) + penalties, db = 2/n Σ(ŷ - y)."""
    n, w, b, history = len(y), np.zeros(X.shape[1]), 0.0, []
    for _ in range(GD["max_iter"]):
        predicted = X @ w + b
        history.append(np.mean((y - predicted) ** 2) + l1 * np.sum(np.abs(w)) + l2 * np.sum(w**2))
        dw = 2 / n * X.T @ (predicted - y) + l1 * np.sign(w) + l2 * 2 * w
        db = 2 / n * np.sum(predicted - y)
        w, b = w - GD["learning_rate"] * dw, b - GD["learning_rate"] * db
    return w, b, history


PENALTY = 0.1
MODELS = {
    "none": (lambda n: LinearRegression(**GD), 0.0, 0.0),
    "l1": (lambda n: Lasso(PENALTY / 2, **GD), PENALTY, 0.0),
    "l2": (lambda n: Ridge(n * PENALTY, **GD), 0.0, PENALTY),
    "elastic_net": (lambda n: ElasticNet(0.75 * PENALTY, l1_ratio=1 / 3, **GD), PENALTY / 2, PENALTY / 2),
}


@pytest.mark.parametrize("penalty", MODELS)
def test_updates_are_the_guides(backend: Backend, penalty: str) -> None:
    make, l1, l2 = MODELS[penalty]
    X, y = drawn()
    weights, bias, history = guide(X, y, l1, l2)
    ours = make(len(y)).fit(backend.asarray(X), backend.asarray(y))
    np.testing.assert_allclose(to_numpy(ours.coef_), weights, rtol=1e-10)
    np.testing.assert_allclose(to_numpy(ours.intercept_), bias, rtol=1e-10)
    np.testing.assert_allclose(to_numpy(ours.loss_history_), history, rtol=1e-10)
    assert ours.n_iter_ == GD["max_iter"]


def test_logistic_updates_are_the_guides(backend: Backend) -> None:
    X, y = drawn()
    y = (y > 1).astype(float)
    w, b, history = np.zeros(3), 0.0, []
    for _ in range(GD["max_iter"]):
        p = 1 / (1 + np.exp(-(X @ w + b)))
        clipped = np.clip(p, 1e-15, 1 - 1e-15)
        history.append(-np.mean(y * np.log(clipped) + (1 - y) * np.log(1 - clipped)))
        w, b = w - GD["learning_rate"] * X.T @ (p - y) / len(y), b - GD["learning_rate"] * np.mean(p - y)
    ours = LogisticRegression(C=np.inf, **GD).fit(backend.asarray(X), y)
    np.testing.assert_allclose(to_numpy(ours.coef_), w[None, :], rtol=1e-10)
    np.testing.assert_allclose(to_numpy(ours.intercept_), [b], rtol=1e-10)
    np.testing.assert_allclose(to_numpy(ours.loss_history_), history, rtol=1e-10)


def test_the_guides_line_comes_out() -> None:
    draw = np.random.RandomState(42)
    X = 2 * draw.rand(100, 1)
    y = (4 + 3 * X + draw.randn(100, 1))[:, 0]
    ours = LinearRegression(solver="gd", learning_rate=0.1).fit(X, y)
    assert (round(ours.score(X, y), 4), round(ours.coef_[0], 4), round(float(ours.intercept_), 4)) == (
        0.7693,
        2.7701,
        4.2151,
    )


def test_the_guides_plane_comes_out() -> None:
    # It divides by n where the line divides by n/2: half the learning rate.
    draw = np.random.RandomState(42)
    X = draw.rand(100, 3)
    y = X @ [2, 3, 5] + 4 + 0.5 * draw.randn(100)
    ours = LinearRegression(solver="gd", learning_rate=0.1 / 2).fit(X, y)
    assert round(float(ours.intercept_), 4) == 3.8810


def test_the_guides_classes_come_out() -> None:
    X, y = make_classification(
        1000, n_features=2, n_informative=2, n_redundant=0, n_clusters_per_class=1, random_state=42
    )
    ours = LogisticRegression(C=np.inf, solver="gd", learning_rate=0.1, max_iter=1000).fit(X, y)
    assert ours.score(X, y) == 0.903
    assert ours.loss_history_.shape == (1000,)


@pytest.mark.parametrize("penalty", MODELS)
def test_descent_ends_where_the_solvers_do(penalty: str) -> None:
    X, y = drawn()
    make, _, _ = MODELS[penalty]
    model = make(len(y))
    descended = model.set_params(learning_rate=0.02, max_iter=3000).fit(X, y)
    exact = type(model)(**{k: v for k, v in model.get_params().items() if k in ("alpha", "l1_ratio")}).fit(X, y)
    np.testing.assert_allclose(descended.coef_, exact.coef_, atol=5e-3)
    assert np.all(np.diff(descended.loss_history_[:100]) < 0)


def test_several_classes_descend_to_the_multinomial_model(backend: Backend) -> None:
    draw = np.random.default_rng(0)
    y = draw.integers(0, 3, 40)
    X = backend.asarray(draw.standard_normal((40, 2)) + y[:, None])
    model = LogisticRegression(solver="gd", learning_rate=1.0, max_iter=300).fit(X, y)
    exact = LogisticRegression(tol=1e-8).fit(X, y)
    np.testing.assert_allclose(to_numpy(model.coef_), to_numpy(exact.coef_), atol=5e-3)


@pytest.mark.parametrize("batch_size", [1, 7, 30, 100])
def test_batches_of_any_size_lead_to_the_plane(backend: Backend, batch_size: int) -> None:
    X, y = drawn()
    model = LinearRegression(
        solver="gd", learning_rate=0.02, max_iter=30 if batch_size < 30 else 300, batch_size=batch_size, random_state=0
    )
    one, other = (model.fit(backend.asarray(X), backend.asarray(y)).coef_ for _ in range(2))
    assert_close(one, other, "exact")
    np.testing.assert_allclose(to_numpy(one), LinearRegression().fit(X, y).coef_, atol=0.1)


def test_a_pass_of_batches_takes_every_sample_once() -> None:
    X, y = drawn(7)
    seen = []

    def objective(X: Any, y: Any, share: Any, weights: Any, intercept: Any) -> tuple[Any, Any, Any]:
        seen.extend(y[:, 0].tolist())
        return np.asarray(float(len(y))), weights, intercept

    from portml.random import Generator

    generator = Generator(0, backend="numpy")
    _, _, losses = gradient_descent(objective, X, y[:, None], max_iter=2, batch_size=3, generator=generator)
    assert sorted(seen[:7]) == sorted(seen[7:]) == sorted(y.tolist())
    assert seen[:7] != seen[7:]
    np.testing.assert_allclose(losses, (3 * 3 + 3 * 3 + 1) / 7)


def test_a_weight_of_two_is_a_sample_twice() -> None:
    X, y = drawn()
    weight = np.where(np.arange(30) < 10, 2.0, 1.0)
    for model in (LinearRegression(**GD), Ridge(2.0, **GD), Lasso(0.1, **GD)):
        twice = model.fit(np.concatenate([X, X[:10]]), np.concatenate([y, y[:10]])).coef_
        np.testing.assert_allclose(model.fit(X, y, weight).coef_, twice, rtol=1e-10)
    labels = (y > 1).astype(int)
    classifier = LogisticRegression(**GD)
    twice = classifier.fit(np.concatenate([X, X[:10]]), np.concatenate([labels, labels[:10]])).coef_
    np.testing.assert_allclose(classifier.fit(X, labels, weight).coef_, twice, rtol=1e-10)


def test_without_an_intercept_it_stays_zero() -> None:
    X, y = drawn()
    assert LinearRegression(fit_intercept=False, **GD).fit(X, y).intercept_ == 0.0
    classifier = LogisticRegression(fit_intercept=False, **GD).fit(X, y > 1)
    np.testing.assert_array_equal(classifier.intercept_, [0.0])


def test_batches_need_a_generator() -> None:
    X, y = drawn()
    with pytest.raises(ArgumentError, match="generator"):
        gradient_descent(squared_objective(), X, y[:, None], batch_size=3)


def test_numbers_of_numpy_as_parameters_leave_float32_as_it_is() -> None:
    X, y = (each.astype(np.float32) for each in drawn())
    rate = {"learning_rate": np.float64(0.01), "solver": "gd"}
    large = np.float64(0.1)
    for model in (
        LinearRegression(**rate),
        Ridge(large, **rate),
        Lasso(large, **rate),
        Ridge(large),
        Ridge(large, solver="svd"),
        Lasso(large),
        Lasso(large, solver="fista"),
        ElasticNet(large, l1_ratio=np.float64(0.5), precompute=False),
    ):
        assert model.fit(X, y).coef_.dtype == np.float32, model
    for classifier in (
        LogisticRegression(C=large),
        LogisticRegression(C=large, solver="newton-cholesky"),
        LogisticRegression(C=large, **rate),
    ):
        assert classifier.fit(X, y > 1).coef_.dtype == np.float32, classifier


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
def test_a_learning_rate_at_which_the_weights_leave_the_numbers_is_named(backend: Backend) -> None:
    X, y = drawn()
    model = LinearRegression(solver="gd", learning_rate=5.0, max_iter=1000)
    with pytest.warns(ConvergenceWarning, match="diverged with learning_rate=5: the weights are not finite"):
        model.fit(backend.asarray(X), backend.asarray(y))


@pytest.mark.parametrize("estimator", [LinearRegression, Ridge, Lasso, ElasticNet, LogisticRegression, LinearSVC])
def test_a_negative_weight_is_refused_before_a_solver_meets_it(estimator: Any) -> None:
    X, y = drawn()
    with pytest.raises(ArgumentError, match="Negative values in data passed to `sample_weight`"):
        estimator().fit(X, (y > 1).astype(int), sample_weight=-np.ones(len(y)))
