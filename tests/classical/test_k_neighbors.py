from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import sklearn.neighbors
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

from portml.backends import Backend, backend_of, to_numpy
from portml.classical import KNeighborsClassifier, KNeighborsRegressor
from portml.classical.k_neighbors import nearest_neighbors
from portml.errors import ArgumentError, NotFittedError, ShapeError

DATA = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer}
METRICS = [("minkowski", 2), ("minkowski", 1), ("minkowski", 3), ("chebyshev", 2), ("cosine", 2), ("manhattan", 2)]


def small_digits() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    X, y = load_digits(return_X_y=True)
    return X[:300], y[:300]


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_probabilities_agree_with_scikit_learn(backend: Backend, name: str, weights: str) -> None:
    X, y = DATA[name](return_X_y=True)
    ours = KNeighborsClassifier(7, weights=weights).fit(backend.asarray(X[::2]), y[::2])
    theirs = sklearn.neighbors.KNeighborsClassifier(7, weights=weights, algorithm="kd_tree").fit(X[::2], y[::2])
    found = ours.predict_proba(backend.asarray(X[1::2]))
    assert backend_of(found) is backend
    expected = theirs.predict_proba(X[1::2])
    # A few samples have neighbours at the same distance, of which either may be taken.
    equal = np.all(np.abs(to_numpy(found) - expected) < 1e-10, axis=1)
    assert equal.mean() > 0.97
    clear = np.sort(expected, axis=1)[:, -1] - np.sort(expected, axis=1)[:, -2] > 0.3
    np.testing.assert_array_equal(
        to_numpy(ours.predict(backend.asarray(X[1::2])))[clear], theirs.predict(X[1::2])[clear]
    )


@pytest.mark.parametrize(("metric", "p"), METRICS)
def test_distances_agree_with_scikit_learn(backend: Backend, metric: str, p: int) -> None:
    X, y = small_digits()
    ours = KNeighborsClassifier(5, metric=metric, p=p).fit(backend.asarray(X), y)
    theirs = sklearn.neighbors.KNeighborsClassifier(5, metric=metric, p=p, algorithm="brute").fit(X, y)
    for queries in (X[:40], None):
        distances, indices = ours.kneighbors(None if queries is None else backend.asarray(queries))
        expected, _ = theirs.kneighbors(queries)
        np.testing.assert_allclose(to_numpy(distances), expected, rtol=1e-10, atol=1e-7)
        assert to_numpy(indices).shape == expected.shape


def test_the_mean_of_targets_agrees_with_scikit_learn(backend: Backend) -> None:
    X, y = load_diabetes(return_X_y=True)
    both = np.stack([y, y**2], axis=1)
    for targets in (y, both):
        for weights in ("uniform", "distance", np.exp):
            ours = KNeighborsRegressor(4, weights=weights if isinstance(weights, str) else exponential)
            theirs = sklearn.neighbors.KNeighborsRegressor(4, weights=weights)
            ours.fit(backend.asarray(X[:300]), targets[:300])
            theirs.fit(X[:300], targets[:300])
            found = ours.predict(backend.asarray(X[300:]))
            np.testing.assert_allclose(to_numpy(found), theirs.predict(X[300:]), rtol=1e-10)


def exponential(distances: Any) -> Any:
    return backend_of(distances).xp.exp(distances)


def test_results_stay_in_their_type_and_place(backend: Backend, dtype: Any) -> None:
    X, y = small_digits()
    X = backend.asarray(X, dtype)
    classifier = KNeighborsClassifier().fit(X, y)
    assert classifier.predict_proba(X).dtype == dtype
    assert KNeighborsRegressor().fit(X, y).predict(X).dtype == dtype
    distances, indices = classifier.kneighbors(X)
    assert distances.dtype == dtype
    assert backend_of(indices) is backend
    np.testing.assert_array_equal(to_numpy(distances)[:, 0], 0)
    np.testing.assert_array_equal(to_numpy(indices)[:, 0], np.arange(300))


def test_far_from_the_origin_a_sample_is_at_distance_zero_from_itself(backend: Backend, dtype: Any) -> None:
    X = np.random.default_rng(0).normal(size=(50, 3)) + 1e4
    X = backend.asarray(X, dtype)
    distances, indices = nearest_neighbors(X, X, 3)
    np.testing.assert_array_equal(to_numpy(distances)[:, 0], 0)
    np.testing.assert_array_equal(to_numpy(indices)[:, 0], np.arange(50))


def test_rows_in_one_direction_are_at_cosine_distance_zero_and_zeros_at_one(backend: Backend, dtype: Any) -> None:
    X = np.random.default_rng(0).normal(size=(40, 3))
    X[0] = 0
    points = backend.asarray(X, dtype)
    distances = to_numpy(nearest_neighbors(points * 2, points, 40, metric="cosine")[0])
    np.testing.assert_array_equal(distances[1:, 0], 0)
    np.testing.assert_allclose(distances[0], 1, rtol=1e-6)
    assert distances.min() == 0


def test_of_duplicates_the_first_are_taken(backend: Backend) -> None:
    X = backend.asarray(np.repeat(np.arange(4.0), 30)[:, None])
    _, indices = nearest_neighbors(X, X, 5)
    np.testing.assert_array_equal(to_numpy(indices), np.repeat(np.arange(4) * 30, 30)[:, None] + np.arange(5))
    model = KNeighborsClassifier(2).fit(X, np.arange(120) % 2)
    np.testing.assert_array_equal(to_numpy(model.predict(X)), np.zeros(120))
    assert not np.any(to_numpy(model.kneighbors(n_neighbors=3)[1]) == np.arange(120)[:, None])


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_the_block_size_changes_no_result(backend: Backend, metric: str) -> None:
    X, y = small_digits()
    X = backend.asarray(X)
    whole = KNeighborsClassifier(3, metric=metric).fit(X, y).kneighbors(X)
    for block_size in (1, 30_000):
        found = KNeighborsClassifier(3, metric=metric, block_size=block_size).fit(X, y).kneighbors(X)
        for one, other in zip(found, whole, strict=True):
            np.testing.assert_array_equal(to_numpy(one), to_numpy(other))


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_memory_is_bounded_by_the_block_size(metric: str) -> None:
    rng = np.random.default_rng(0)
    X, queries = rng.normal(size=(4000, 4)), rng.normal(size=(2000, 4))
    block = 1 << 20
    model = KNeighborsClassifier(3, metric=metric, block_size=block).fit(X, rng.integers(0, 2, 4000))
    model.kneighbors(queries[:10])  # whatever is loaded or compiled once
    tracemalloc.start()
    model.kneighbors(queries)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * block
    assert 6 * block < 2000 * 4000 * 8 / 8, "all distances would have taken eight times as much"


def test_labels_of_text_come_back_as_text() -> None:
    model = KNeighborsClassifier(1).fit([[0.0], [1.0]], ["low", "high"])
    assert model.predict([[0.1], [0.9]]).tolist() == ["low", "high"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_neighbors": 0}, "'n_neighbors' parameter"),
        ({"weights": "near"}, "'weights' parameter"),
        ({"metric": "hamming"}, "'metric' parameter"),
        ({"algorithm": "kd_tree"}, "'algorithm' parameter"),
        ({"p": 0}, "'p' parameter"),
        ({"block_size": 0}, "'block_size' parameter"),
    ],
)
def test_unknown_parameters_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        KNeighborsClassifier(**arguments).fit([[0.0], [1.0]], [0, 1])


def test_what_cannot_be_asked_is_refused() -> None:
    model = KNeighborsClassifier(3).fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ArgumentError, match="Expected n_neighbors <= n_samples_fit"):
        model.predict([[0.0]])
    with pytest.raises(ArgumentError, match="Expected n_neighbors < n_samples_fit"):
        model.kneighbors(n_neighbors=2)
    with pytest.raises(ShapeError, match="X has 2 features, but KNeighborsClassifier is expecting 1"):
        model.kneighbors([[0.0, 1.0]], 1)
    with pytest.raises(NotFittedError):
        KNeighborsClassifier().predict([[0.0]])
