from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.preprocessing
from sklearn.datasets import load_breast_cancer, load_iris, load_wine

from portml.backends import Backend, backend_of, to_numpy
from portml.classical import MinMaxScaler
from portml.errors import ArgumentError
from tests.tolerances import assert_close

ATTRIBUTES = ("min_", "scale_", "data_min_", "data_max_", "data_range_")


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer])
@pytest.mark.parametrize("options", [{}, {"feature_range": (-1, 3)}, {"clip": True}], ids=str)
def test_it_agrees_with_scikit_learn(backend: Backend, load: Any, options: dict[str, Any]) -> None:
    X = load().data.copy()
    X[::7, 1] = np.nan
    X[:, 2] = 5.0  # constant
    ours = MinMaxScaler(**options).fit(backend.asarray(X[:100]))
    theirs = sklearn.preprocessing.MinMaxScaler(**options).fit(X[:100])
    for name in ATTRIBUTES:
        np.testing.assert_allclose(to_numpy(getattr(ours, name)), getattr(theirs, name), rtol=1e-12, atol=1e-12)
    Z = ours.transform(backend.asarray(X))
    assert backend_of(Z) is backend
    np.testing.assert_allclose(to_numpy(Z), theirs.transform(X), rtol=1e-12, atol=1e-12)
    back = to_numpy(ours.inverse_transform(Z))
    np.testing.assert_allclose(back, theirs.inverse_transform(theirs.transform(X)), rtol=1e-12, atol=1e-12)


def test_batches_give_what_one_fit_gives(backend: Backend, dtype: Any) -> None:
    X = load_wine().data.copy()
    X[:90, 0] = np.nan
    X = backend.asarray(X, dtype=dtype)
    whole, parts = MinMaxScaler().fit(X), MinMaxScaler().partial_fit(X[:60, :]).partial_fit(X[60:, :])
    assert parts.n_samples_seen_ == whole.n_samples_seen_ == 178
    for name in ATTRIBUTES:
        assert_close(getattr(parts, name), getattr(whole, name), "exact")


def test_a_range_that_is_upside_down_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"must be smaller than maximum. Got \(1, 0\)"):
        MinMaxScaler((1, 0)).fit([[0.0], [1.0]])
