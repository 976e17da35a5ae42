"""Lasso and elastic net: against scikit-learn, with exact zeros, by sweeps over XᵀX or X, and by FISTA."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import sklearn.linear_model

from portml.backends import Backend, to_numpy
from portml.classical import ElasticNet, Lasso, LinearRegression, Ridge
from portml.errors import ArgumentError, ConvergenceWarning
from tests.classical.test_linear_regression import LOADERS, drawn, table
from tests.tolerances import assert_close

WAYS: dict[str, dict[str, Any]] = {
    "gram": {"precompute": True},
    "columns": {"precompute": False},
    "fista": {"solver": "fista", "max_iter": 50_000},
}
SCALES = {"iris": 0.05, "wine": 0.05, "cancer": 0.01, "diabetes": 0.5, "digits": 0.1}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOADERS)
def test_weights_and_zeros_are_scikit_learns(name: str, weighted: bool) -> None:
    X, y = table(name)
    if name == "cancer":  # raw, its scales would take thousands of sweeps, which are slow where they are not compiled
        X = X / X.std(axis=0)
    weight = np.random.default_rng(1).random(len(y)) if weighted else None
    limits = {"tol": 1e-10, "max_iter": 20_000}
    for ours, peer in (
        (Lasso(SCALES[name], **limits), sklearn.linear_model.Lasso(SCALES[name], **limits)),
        (ElasticNet(SCALES[name], **limits), sklearn.linear_model.ElasticNet(SCALES[name], **limits)),
        (
            Lasso(SCALES[name], precompute=False, positive=True, **limits),
            sklearn.linear_model.Lasso(SCALES[name], positive=True, **limits),
        ),
    ):
        ours.fit(X, y, weight)
        peer.fit(X, y, weight)
        np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-5, atol=1e-5 * np.abs(peer.coef_).max())
        np.testing.assert_array_equal(ours.coef_ == 0, peer.coef_ == 0)
        np.testing.assert_allclose(ours.predict(X), peer.predict(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("l1_ratio", [0.0, 0.4, 1.0])
def test_a_fit_is_the_same_on_every_backend(backend: Backend, dtype: Any, l1_ratio: float, way: str) -> None:
    X, y = drawn(20, 3, outputs=2)
    # Sweeps that are not compiled are slow on the strict backend: a tolerance that few of them reach.
    tolerance = 1e-5 if str(dtype).endswith("32") or "float32" in str(dtype) else 1e-8
    arguments = {"alpha": 0.3, "l1_ratio": l1_ratio, "tol": tolerance} | WAYS[way]
    ours = ElasticNet(**arguments).fit(backend.asarray(X, dtype), backend.asarray(y, dtype))
    expected = ElasticNet(**(arguments | {"tol": 1e-12})).fit(X, y)
    assert ours.coef_.dtype == dtype
    near = 20 * math.sqrt(tolerance)
    np.testing.assert_allclose(to_numpy(ours.coef_), expected.coef_, rtol=near, atol=near)
    assert len(ours.n_iter_) == len(ours.dual_gap_) == 2
    assert tuple(ours.predict(backend.asarray(X, dtype)).shape) == (20, 2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_every_way_leads_to_the_same_weights(shape: tuple[int, int], way: str) -> None:
    X, y = drawn(*shape)
    arguments = {"alpha": 0.3, "tol": 1e-12, "max_iter": 100_000}
    peer = sklearn.linear_model.Lasso(**arguments).fit(X, y)
    ours = Lasso(**(arguments | WAYS[way])).fit(X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-5, atol=1e-5)
    assert np.any(ours.coef_ == 0)


@pytest.mark.parametrize("way", WAYS)
def test_the_duality_gap_bounds_the_distance_to_the_optimum(way: str) -> None:
    X, y = drawn()

    def objective(model: Any) -> float:
        penalty = 0.5 * 0.3 * np.abs(model.coef_).sum() + 0.25 * 0.3 * np.square(model.coef_).sum()
        return float(0.5 * np.mean(np.square(y - model.predict(X))) + penalty)

    lowest = objective(ElasticNet(0.3, tol=1e-14, max_iter=10_000).fit(X, y))
    for tolerance in (1e-1, 1e-3, 1e-6):
        ours = ElasticNet(0.3, tol=tolerance, **WAYS[way]).fit(X, y)
        assert -1e-12 <= objective(ours) - lowest <= ours.dual_gap_ + 1e-12
        assert ours.dual_gap_ <= tolerance * np.mean(np.square(y - y.mean())) + 1e-15


def test_squares_alone_are_ridge_regression() -> None:
    X, y = drawn()
    ours = ElasticNet(0.2, l1_ratio=0.0, tol=1e-13, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(ours.coef_, Ridge(0.2 * len(y)).fit(X, y).coef_, rtol=1e-6)
    positive = ElasticNet(0.2, l1_ratio=0.0, positive=True, tol=1e-13, max_iter=10_000).fit(X, y)
    assert np.all(positive.coef_ >= 0)


def test_no_penalty_is_least_squares() -> None:
    X, y = drawn()
    ours = Lasso(0.0, tol=1e-12, max_iter=100_000).fit(X, y)
    np.testing.assert_allclose(ours.coef_, LinearRegression().fit(X, y).coef_, rtol=1e-6)


def test_a_penalty_large_enough_leaves_the_mean(backend: Backend) -> None:
    X, y = (backend.asarray(each) for each in drawn())
    ours = Lasso(1e3).fit(X, y)
    assert_close(ours.coef_, backend.zeros(4, "float64"), "exact")
    assert_close(ours.intercept_, backend.xp.mean(y), "reduction")


def test_a_warm_start_continues() -> None:
    X, y = drawn()
    model = Lasso(0.01, tol=1e-10, warm_start=True).fit(X, y)
    first = model.n_iter_
    again = model.fit(X, y)
    assert again.n_iter_ < first
    assert again.n_iter_ <= 2


def test_constant_and_repeated_columns_do_no_harm(backend: Backend) -> None:
    X, y = drawn()
    X[:, 1], X[:, 2] = 0.1, X[:, 0]
    ours = Lasso(0.05, tol=1e-8).fit(backend.asarray(X), backend.asarray(y))
    weights = to_numpy(ours.coef_)
    assert np.all(np.isfinite(weights))
    assert abs(weights[1]) < 1e-9


def test_too_few_sweeps_are_told() -> None:
    X, y = table("cancer")
    for way in WAYS:
        with pytest.warns(ConvergenceWarning, match="did not converge"):
            Lasso(1e-4, tol=1e-10, **(WAYS[way] | {"max_iter": 2})).fit(X, y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": "x"}, "alpha"),
        ({"alpha": -1.0}, "alpha"),
        ({"l1_ratio": 1.5}, "l1_ratio"),
        ({"solver": "lars"}, "solver"),
        ({"precompute": "maybe"}, "precompute"),
        ({"max_iter": 0}, "max_iter"),
        ({"tol": -1.0}, "tol"),
        ({"solver": "gd", "positive": True}, "positive"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ElasticNet(**arguments).fit(*drawn())


def test_the_lasso_has_no_ratio_to_choose() -> None:
    assert "l1_ratio" not in Lasso().get_params()
    assert Lasso().l1_ratio == 1.0
