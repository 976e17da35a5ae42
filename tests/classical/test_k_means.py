from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.cluster
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

from portml.backends import Backend, backend_of, get_backend, to_numpy
from portml.classical import KMeans, MiniBatchKMeans
from portml.classical.k_means import k_means_plus_plus
from portml.errors import ArgumentError, ConvergenceWarning, ShapeError
from portml.metrics import silhouette_score
from portml.random import Generator

DATA = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer, "diabetes": load_diabetes}


def blobs(n: int = 90) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=(n // 3, 2)) + place for place in ([0, 0], [9, 0], [0, 9])])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("data", DATA)
def test_from_the_same_centers_it_ends_in_scikit_learns(backend: Backend, data: str, weighted: bool) -> None:
    X = DATA[data]().data
    weight = np.random.default_rng(0).uniform(0.5, 2, len(X)) if weighted else None
    options: dict[str, Any] = {"init": X[:: len(X) // 4][:4], "tol": 0.0}
    ours = KMeans(4, **options).fit(backend.asarray(X), sample_weight=weight)
    theirs = sklearn.cluster.KMeans(4, **options).fit(X, sample_weight=weight)
    np.testing.assert_array_equal(to_numpy(ours.labels_), theirs.labels_)
    np.testing.assert_allclose(to_numpy(ours.cluster_centers_), theirs.cluster_centers_, rtol=1e-8, atol=1e-10)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-10)
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(to_numpy(ours.transform(backend.asarray(X))), theirs.transform(X), rtol=1e-5, atol=1e-8)
    assert ours.score(backend.asarray(X), sample_weight=weight) == pytest.approx(-theirs.inertia_, rel=1e-10)
    assert backend_of(ours.cluster_centers_) is backend


def test_over_seeds_its_inertia_is_no_worse() -> None:
    X = load_digits().data
    kinds: tuple[Any, Any] = (KMeans, sklearn.cluster.KMeans)
    ours, theirs = ([kind(10, random_state=seed).fit(X).inertia_ for seed in range(10)] for kind in kinds)
    assert np.mean(ours) < np.mean(theirs) * 1.01
    assert min(ours) < min(theirs) * 1.005


def test_equal_seeds_give_equal_bits(backend: Backend, dtype: Any) -> None:
    X = backend.asarray(blobs(), dtype)
    for kind in (KMeans, MiniBatchKMeans):
        one, other = (kind(3, random_state=7).fit(X) for _ in range(2))
        assert one.cluster_centers_.dtype == dtype
        np.testing.assert_array_equal(to_numpy(one.cluster_centers_), to_numpy(other.cluster_centers_))
        np.testing.assert_array_equal(to_numpy(one.labels_), to_numpy(one.predict(X)))


@pytest.mark.parametrize("init", ["k-means++", "random"])
@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
def test_clear_clusters_are_found(backend: Backend, kind: Any, init: str) -> None:
    model = kind(3, init=init, n_init=5, random_state=0)
    labels = to_numpy(model.fit_predict(backend.asarray(blobs()))).reshape(3, 30)
    assert all(len(set(each)) == 1 for each in labels.tolist())
    assert len({each[0] for each in labels.tolist()}) == 3


def test_an_empty_cluster_gets_the_farthest_sample(backend: Backend) -> None:
    X = np.asarray([[0.0], [1.0], [2.5], [10.0], [11.0], [30.0]])
    init = np.asarray([[1.0], [11.0], [100.0], [200.0]])
    ours = KMeans(4, init=init).fit(backend.asarray(X))
    theirs = sklearn.cluster.KMeans(4, init=init).fit(X)
    np.testing.assert_allclose(np.sort(to_numpy(ours.cluster_centers_)[:, 0]), np.sort(theirs.cluster_centers_[:, 0]))
    assert ours.inertia_ == pytest.approx(theirs.inertia_)
    assert len(set(to_numpy(ours.labels_).tolist())) == 4


@pytest.mark.parametrize("kind", [KMeans])
def test_fewer_different_samples_than_clusters_are_warned_of(kind: Any) -> None:
    with pytest.warns(
        ConvergenceWarning, match=r"Number of distinct clusters \(2\) found smaller than n_clusters \(3\)"
    ):
        kind(3, random_state=0).fit(np.repeat([[0.0, 1.0], [2.0, 3.0]], 5, axis=0))


def test_a_sample_without_weight_counts_for_nothing(backend: Backend) -> None:
    X = np.concatenate([blobs(), [[1000.0, 1000.0]]])
    weight = np.ones(91)
    weight[90] = 0
    model = KMeans(3, random_state=0).fit(backend.asarray(X), sample_weight=weight)
    assert float(to_numpy(model.cluster_centers_).max()) < 20


def test_a_callable_may_choose_the_centers() -> None:
    X = blobs()

    def chosen(X: Any, k: int, random_state: Any) -> Any:
        assert isinstance(random_state, Generator)
        return X[:: len(X) // k][:k]

    assert KMeans(3, init=chosen, n_init=1).fit(X).inertia_ == pytest.approx(KMeans(3, init=X[::30]).fit(X).inertia_)


def test_k_means_plus_plus_never_takes_a_sample_twice(backend: Backend) -> None:
    X = backend.asarray(np.random.default_rng(0).normal(size=(12, 2)))
    centers = to_numpy(k_means_plus_plus(X, 12, None, Generator(0, backend=backend)))
    assert len({tuple(each) for each in centers.tolist()}) == 12


def test_the_same_centers_are_drawn_on_every_backend() -> None:
    X = blobs()
    drawn = []
    for name in ("numpy", "strict"):
        there = get_backend(name)
        drawn.append(to_numpy(k_means_plus_plus(there.asarray(X), 5, None, Generator(3, backend=there))))
    np.testing.assert_array_equal(*drawn)


def test_small_batches_reach_nearly_what_the_whole_reaches() -> None:
    X = load_digits().data
    whole = KMeans(10, n_init=3, random_state=0).fit(X)
    batches = MiniBatchKMeans(10, n_init=3, random_state=0).fit(X)
    theirs = sklearn.cluster.MiniBatchKMeans(10, n_init=3, random_state=0).fit(X)
    assert batches.inertia_ < 1.1 * whole.inertia_
    assert batches.inertia_ < 1.05 * theirs.inertia_
    assert float(silhouette_score(X[:500], batches.predict(X[:500]))) > 0.1


def test_batches_given_one_by_one_find_clear_clusters(backend: Backend) -> None:
    X = blobs(300)[np.random.default_rng(1).permutation(300)]
    model = MiniBatchKMeans(3, random_state=0, n_init=5)
    for start in range(0, 300, 60):
        model.partial_fit(backend.asarray(X[start : start + 60]))
    assert model.n_steps_ == 5
    places = to_numpy(model.cluster_centers_)
    assert np.abs(places[np.argsort(places @ [1, 2])] - [[0, 0], [9, 0], [0, 9]]).max() < 0.6


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_clusters": 0}, ArgumentError, "'n_clusters' parameter"),
        ({"n_clusters": 4}, ArgumentError, r"n_samples=3 should be >= n_clusters=4"),
        ({"n_clusters": 2, "init": "far"}, ArgumentError, "'init' parameter"),
        ({"n_clusters": 2, "init": [[0.0]]}, ShapeError, "does not match the number of clusters 2"),
        ({"n_clusters": 2, "n_init": 0}, ArgumentError, "'n_init' parameter"),
        ({"n_clusters": 2, "tol": -1.0}, ArgumentError, "'tol' parameter"),
        ({"n_clusters": 2, "max_iter": 0}, ArgumentError, "'max_iter' parameter"),
    ],
)
@pytest.mark.parametrize("kind", [KMeans, MiniBatchKMeans])
def test_what_does_not_fit_is_refused(kind: Any, arguments: dict[str, Any], error: Any, message: str) -> None:
    with warnings.catch_warnings(), pytest.raises(error, match=message):
        kind(**arguments).fit([[0.0], [1.0], [2.0]])
    with pytest.raises(ArgumentError, match="'algorithm' parameter"):
        KMeans(2, algorithm="elkan").fit([[0.0], [1.0], [2.0]])
