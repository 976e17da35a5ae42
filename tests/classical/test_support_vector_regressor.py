from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.svm
from sklearn.datasets import load_diabetes

from portml.backends import Backend, backend_of, to_numpy
from portml.classical import SVR
from portml.errors import ArgumentError

TIGHT = 1e-9
X, Y = load_diabetes(return_X_y=True)


@pytest.mark.parametrize(
    "options",
    [
        {"C": 100.0},
        {"kernel": "linear", "C": 10.0, "epsilon": 20.0},
        {"kernel": "poly", "C": 10.0, "coef0": 1.0, "epsilon": 0.0},
        {"gamma": "auto", "epsilon": 40.0},
    ],
)
def test_it_agrees_with_scikit_learn(options: dict[str, Any]) -> None:
    ours, theirs = SVR(tol=TIGHT, **options).fit(X, Y), sklearn.svm.SVR(tol=TIGHT, **options).fit(X, Y)
    assert ours.support_.tolist() == theirs.support_.tolist()
    assert ours.n_support_.tolist() == theirs.n_support_.tolist()
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-6)
    if options.get("kernel") == "linear":
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-5)
        assert ours.coef_.shape == (1, X.shape[1])


def test_it_agrees_with_scikit_learn_on_every_backend(backend: Backend) -> None:
    x, y = X[::5], Y[::5]
    weight = np.random.default_rng(0).uniform(-0.2, 2, len(y))
    options: dict[str, Any] = {"C": 50.0, "epsilon": 10.0, "tol": 1e-7}
    ours = SVR(**options).fit(backend.asarray(x), backend.asarray(y), weight)
    theirs = sklearn.svm.SVR(**options).fit(x, y, weight)
    found = ours.predict(backend.asarray(x))
    assert backend_of(found) is backend
    np.testing.assert_allclose(to_numpy(found), theirs.predict(x), rtol=1e-6)
    np.testing.assert_allclose(to_numpy(ours.support_vectors_), theirs.support_vectors_)


def test_float32_stays_float32(backend: Backend) -> None:
    x = backend.asarray(X[::5], dtype=backend.xp.float32)
    model = SVR(C=10.0).fit(x, Y[::5])
    assert model.dual_coef_.dtype == model.intercept_.dtype == model.predict(x).dtype == backend.xp.float32
    expected = sklearn.svm.SVR(C=10.0).fit(X[::5], Y[::5]).predict(X[::5])
    np.testing.assert_allclose(to_numpy(model.predict(x)), expected, rtol=1e-4)


def test_a_kernel_matrix_gives_the_same_as_its_function(backend: Backend) -> None:
    x = backend.asarray(X[::5])
    K = backend.xp.matmul(x, backend.xp.matrix_transpose(x))
    by_matrix = SVR(kernel="precomputed", C=100.0, tol=1e-8).fit(K, Y[::5])
    by_function = SVR(kernel="linear", C=100.0, tol=1e-8).fit(x, Y[::5])
    np.testing.assert_allclose(to_numpy(by_matrix.predict(K)), to_numpy(by_function.predict(x)), rtol=1e-6)


def test_solving_by_parts_gives_the_same_as_all_at_once() -> None:
    options: dict[str, Any] = {"C": 100.0, "epsilon": 5.0, "tol": 1e-6}
    whole, parts = SVR(**options).fit(X, Y), SVR(**options, cache_size=0.1).fit(X, Y)
    assert parts.support_.tolist() == whole.support_.tolist()
    np.testing.assert_allclose(parts.predict(X), whole.predict(X), rtol=1e-6)


def test_a_tube_that_holds_all_needs_no_support_vectors() -> None:
    model = SVR(epsilon=1e3).fit(X, Y)
    assert model.support_.shape == (0,)
    np.testing.assert_allclose(model.predict(X), sklearn.svm.SVR(epsilon=1e3).fit(X, Y).predict(X))


@pytest.mark.parametrize("options", [{"epsilon": -1.0}, {"C": -1.0}, {"gamma": float("nan")}])
def test_a_parameter_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=f"The '{next(iter(options))}' parameter of SVR"):
        SVR(**options).fit(X, Y)
