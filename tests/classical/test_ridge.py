"""Ridge regression: against scikit-learn, by both solvers, with a penalty for each output."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.linear_model
from sklearn import datasets

from portml.backends import Backend, to_numpy
from portml.classical import Ridge
from portml.errors import ArgumentError
from tests.classical.test_linear_regression import LOADERS, drawn, table
from tests.tolerances import assert_close


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("name", LOADERS)
def test_weights_and_predictions_are_scikit_learns(name: str, alpha: float, weighted: bool) -> None:
    X, y = table(name)
    weight = np.random.default_rng(1).random(len(y)) if weighted else None
    peer = sklearn.linear_model.Ridge(alpha, solver="svd").fit(X, y, weight)
    for solver in ("auto", "cholesky", "svd"):
        ours = Ridge(alpha, solver=solver).fit(X, y, weight)
        np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-5, atol=1e-5 * np.abs(peer.coef_).max())
        np.testing.assert_allclose(ours.predict(X), peer.predict(X), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(30, 4), (6, 9)])
@pytest.mark.parametrize("solver", ["cholesky", "svd"])
def test_a_fit_is_the_same_on_every_backend(backend: Backend, dtype: Any, solver: str, shape: tuple[int, int]) -> None:
    X, y = drawn(*shape, outputs=3)
    alphas = [0.1, 1.0, 10.0]
    expected = sklearn.linear_model.Ridge(alphas).fit(X, y)
    ours = Ridge(alphas, solver=solver).fit(backend.asarray(X, dtype), backend.asarray(y, dtype))
    assert ours.solver_ == solver
    assert_close(ours.coef_, backend.asarray(expected.coef_, dtype), "gradient")
    assert_close(ours.intercept_, backend.asarray(expected.intercept_, dtype), "gradient")


def test_a_penalty_can_be_an_array_of_the_backend(backend: Backend) -> None:
    X, y = (backend.asarray(each) for each in drawn(outputs=2))
    given = Ridge(backend.asarray([0.5, 2.0])).fit(X, y)
    assert_close(given.coef_, Ridge([0.5, 2.0]).fit(X, y).coef_, "exact")


def test_without_a_penalty_dependent_columns_fall_back_to_the_smallest_norm() -> None:
    X, y = drawn()
    X[:, 3] = X[:, 0]
    ours = Ridge(0.0).fit(X, y)
    assert ours.solver_ == "svd"
    expected = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean(), rcond=1e-10)[0]
    np.testing.assert_allclose(ours.coef_, expected, rtol=1e-8)


def test_a_larger_penalty_gives_smaller_weights(backend: Backend) -> None:
    X, y = (backend.asarray(each) for each in drawn())
    norms = [float(np.linalg.norm(to_numpy(Ridge(alpha).fit(X, y).coef_))) for alpha in (0.0, 0.1, 1.0, 10.0, 1e6)]
    assert norms == sorted(norms, reverse=True)
    assert norms[-1] < 1e-3


@pytest.mark.parametrize(
    ("arguments", "outputs", "message"),
    [
        ({"alpha": "x"}, 0, "'alpha' parameter of Ridge"),
        ({"alpha": None}, 0, "'alpha' parameter of Ridge"),
        ({"alpha": -1.0}, 0, "'alpha' parameter of Ridge"),
        ({"alpha": [1.0, 2.0]}, 3, "Number of targets and number of penalties do not correspond: 3 != 2"),
        ({"solver": "sag"}, 0, "solver"),
        ({"alpha": [1.0, 2.0], "solver": "gd"}, 2, "one for all outputs"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(arguments: dict[str, Any], outputs: int, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Ridge(**arguments).fit(*drawn(outputs=outputs))


def test_diabetes_is_fitted_with_one_weight_for_each_feature() -> None:
    X, y = datasets.load_diabetes(return_X_y=True)
    assert Ridge().fit(X, y).score(X, y) == pytest.approx(sklearn.linear_model.Ridge().fit(X, y).score(X, y))
