from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import sklearn.preprocessing
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from portml.backends import Backend, backend_of, to_numpy
from portml.classical import StandardScaler
from portml.classical.standard_scaler import merge_moments, moments_of
from tests.tolerances import assert_close

DATA = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer, "diabetes": load_diabetes}
STATISTICS = ("mean_", "var_", "scale_")


def with_gaps(X: np.ndarray[Any, Any], share: float = 0.1) -> np.ndarray[Any, Any]:
    X = X.copy()
    X[np.random.default_rng(0).random(X.shape) < share] = np.nan
    return X


def assert_same(ours: Any, theirs: Any, X: np.ndarray[Any, Any], backend: Backend) -> None:
    for name in STATISTICS:
        expected = getattr(theirs, name)
        found = getattr(ours, name)
        if expected is None:
            assert found is None
        else:
            np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-12, atol=1e-12)
            assert backend_of(found) is backend
    Z = ours.transform(backend.asarray(X))
    assert backend_of(Z) is backend
    np.testing.assert_allclose(to_numpy(Z), theirs.transform(X), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(to_numpy(ours.inverse_transform(Z)), X, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("options", [{}, {"with_mean": False}, {"with_std": False}], ids=str)
def test_it_agrees_with_scikit_learn(backend: Backend, name: str, options: dict[str, bool]) -> None:
    X = DATA[name]().data
    ours = StandardScaler(**options).fit(backend.asarray(X))
    theirs = sklearn.preprocessing.StandardScaler(**options).fit(X)
    assert ours.n_samples_seen_ == theirs.n_samples_seen_
    assert_same(ours, theirs, X, backend)


def test_weights_count_as_repetitions(backend: Backend) -> None:
    X, weight = load_iris().data, np.random.default_rng(0).integers(0, 4, 150).astype(np.float64)
    ours = StandardScaler().fit(backend.asarray(X), sample_weight=weight)
    theirs = sklearn.preprocessing.StandardScaler().fit(X, sample_weight=weight)
    assert ours.n_samples_seen_ == theirs.n_samples_seen_
    assert_same(ours, theirs, X, backend)
    repeated = StandardScaler().fit(backend.asarray(np.repeat(X, weight.astype(int), axis=0)))
    for name in STATISTICS:
        assert_close(getattr(ours, name), getattr(repeated, name), "reduction")


def test_missing_values_are_left_out_and_stay(backend: Backend) -> None:
    X = with_gaps(load_wine().data)
    ours, theirs = StandardScaler().fit(backend.asarray(X)), sklearn.preprocessing.StandardScaler().fit(X)
    np.testing.assert_array_equal(to_numpy(ours.n_samples_seen_), theirs.n_samples_seen_)
    assert_same(ours, theirs, X, backend)


def test_batches_give_what_one_fit_gives(backend: Backend) -> None:
    X = with_gaps(load_breast_cancer().data)
    whole, parts = StandardScaler().fit(backend.asarray(X)), StandardScaler()
    for start in range(0, len(X), 100):
        parts.partial_fit(backend.asarray(X[start : start + 100]))
    for name in STATISTICS:
        assert_close(getattr(parts, name), getattr(whole, name), "reduction")
    np.testing.assert_array_equal(to_numpy(parts.n_samples_seen_), to_numpy(whole.n_samples_seen_))


def test_a_second_fit_forgets_the_first() -> None:
    X = load_iris().data
    twice = StandardScaler().fit(X * 100 + 7).fit(X)
    np.testing.assert_array_equal(twice.mean_, StandardScaler().fit(X).mean_)


def test_a_feature_that_is_constant_up_to_rounding_is_not_scaled(backend: Backend, dtype: Any) -> None:
    X = np.full((100, 2), 0.1) + np.asarray([0.0, 1e6])
    ours = StandardScaler().fit(backend.asarray(X, dtype=dtype))
    assert to_numpy(ours.scale_).tolist() == [1.0, 1.0]
    assert np.abs(to_numpy(ours.transform(backend.asarray(X, dtype=dtype)))).max() < 1e-6


def test_a_large_mean_takes_no_digits_of_the_variance(backend: Backend) -> None:
    X = np.random.default_rng(0).normal(size=(1000, 1))
    shifted = StandardScaler().partial_fit(backend.asarray(X[:500] + 1e8)).partial_fit(backend.asarray(X[500:] + 1e8))
    np.testing.assert_allclose(to_numpy(shifted.var_), X.var(axis=0), rtol=1e-7)  # E[x²] - E[x]² would be off by 1


def test_float32_stays_float32(backend: Backend) -> None:
    ours = StandardScaler().fit(backend.asarray(load_wine().data, dtype="float32"))
    assert {str(getattr(ours, name).dtype).rpartition(".")[2] for name in STATISTICS} == {"float32"}
    assert ours.transform(backend.asarray(load_wine().data, dtype="float32")).dtype == backend.dtype("float32")


def test_it_survives_a_pickle() -> None:
    X = load_iris().data
    ours = StandardScaler().fit(X[:50])
    again = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(again.partial_fit(X[50:]).scale_, ours.partial_fit(X[50:]).scale_)


@given(
    numbers.arrays(np.float64, (12, 2), elements=st.floats(-1e6, 1e6) | st.just(np.nan)),
    st.integers(0, 12),
)
def test_merging_moments_is_what_all_together_gives(X: np.ndarray[Any, Any], cut: int) -> None:
    merged, whole = merge_moments(moments_of(X[:cut]), moments_of(X[cut:])), moments_of(X)
    np.testing.assert_array_equal(merged.count, whole.count)
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(merged.deviations, whole.deviations, rtol=1e-9, atol=1e-3)
