"""Data sets that are drawn: their shapes, their meaning, and that a seed says it all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
from sklearn.linear_model import LogisticRegression

from portml.backends import Backend, backend_of, to_numpy
from portml.data import make_blobs, make_classification, make_moons, make_regression
from portml.errors import ArgumentError
from portml.random import Generator

MAKERS = (make_moons, make_blobs, make_classification, make_regression)


@pytest.mark.parametrize("make", MAKERS)
def test_a_seed_gives_the_same_bits_on_every_backend(make: Callable[..., Any], backend: Backend) -> None:
    expected = make(50, random_state=4)
    found = make(50, random_state=4, backend=backend.name)
    for one, other in zip(found, expected, strict=True):
        assert backend_of(one) is backend
        np.testing.assert_array_equal(to_numpy(one), other)
    assert not np.array_equal(make(50, random_state=5)[0], expected[0])
    np.testing.assert_array_equal(make(50, random_state=Generator(4, backend="numpy"))[0], expected[0])


@pytest.mark.parametrize("make", MAKERS)
def test_numbers_have_the_type_asked_for_and_labels_are_integers(make: Callable[..., Any]) -> None:
    X, y = make(50, random_state=0, dtype="float32")
    assert X.dtype == np.float32
    assert y.dtype == (np.float32 if make is make_regression else np.int64)
    assert X.shape[0] == y.shape[0] == 50
    assert not np.array_equal(make(50)[0], make(50)[0])  # without a seed another one each time


@pytest.mark.parametrize("n_samples", [7, 100, (3, 9)])
def test_moons_without_noise_are_those_of_scikit_learn(n_samples: Any) -> None:
    X, y = make_moons(n_samples, shuffle=False)
    expected_X, expected_y = sklearn.datasets.make_moons(n_samples, shuffle=False)
    np.testing.assert_allclose(X, expected_X, atol=1e-15)
    np.testing.assert_array_equal(y, expected_y)
    noisy, _ = make_moons(2000, shuffle=False, noise=0.3, random_state=0)
    assert np.std(noisy - make_moons(2000, shuffle=False)[0]) == pytest.approx(0.3, rel=0.05)


def test_blobs_lie_about_their_centres() -> None:
    X, y, centers = make_blobs(3000, 4, centers=3, cluster_std=[0.1, 1.0, 2.0], random_state=0, return_centers=True)
    for label, deviation in enumerate([0.1, 1.0, 2.0]):
        np.testing.assert_allclose(X[y == label].mean(axis=0), centers[label], atol=0.1 * deviation + 0.05)
        np.testing.assert_allclose(X[y == label].std(axis=0), deviation, rtol=0.1)
    assert np.abs(centers).max() < 10
    assert y[:20].tolist() != sorted(y[:20].tolist())
    X, y = make_blobs([5, 0, 3], centers=[[0.0], [9.0], [100.0]], shuffle=False, random_state=1)
    assert y.tolist() == [0] * 5 + [2] * 3
    assert X[-1, 0] > 90
    assert np.bincount(make_blobs(11)[1]).tolist() == [4, 4, 3]


def test_regression_is_linear_in_its_informative_features() -> None:
    X, y, weights = make_regression(60, 8, n_informative=3, bias=5.0, coef=True, random_state=0)
    np.testing.assert_allclose(X @ weights + 5.0, y, rtol=1e-12)
    assert np.sum(weights != 0) == 3
    assert (weights[:3] == 0).any()  # the features are shuffled
    *_, weights = make_regression(60, 8, n_informative=3, n_targets=2, shuffle=False, coef=True, random_state=0)
    assert (weights[:3] != 0).all()
    assert (weights[3:] == 0).all()
    X, y, weights = make_regression(4000, 2, noise=2.0, coef=True, random_state=0)
    assert np.std(y - X @ weights) == pytest.approx(2.0, rel=0.05)


def test_classification_has_informative_redundant_repeated_and_meaningless_features() -> None:
    options = {"n_informative": 3, "n_redundant": 2, "n_repeated": 2, "n_classes": 3, "shuffle": False}
    X, y = make_classification(900, 10, class_sep=3.0, flip_y=0.0, random_state=0, **options)
    assert np.bincount(y).tolist() == [300, 300, 300]
    assert np.linalg.matrix_rank(X[:, :5]) == 3
    for column in (5, 6):
        assert any(np.array_equal(X[:, column], X[:, other]) for other in range(5))
    fitted = LogisticRegression(max_iter=1000)
    assert fitted.fit(X[:, 7:], y).score(X[:, 7:], y) < 0.45


def test_two_classes_at_all_corners_are_divided_by_a_plane() -> None:
    for seed in range(5):
        X, y = make_classification(
            200, 3, n_informative=3, n_redundant=0, class_sep=9.0, flip_y=0.0, random_state=seed, n_clusters_per_class=4
        )
        assert LogisticRegression(max_iter=1000).fit(X, y).score(X, y) > 0.95


def test_classes_have_their_shares_and_some_labels_are_wrong() -> None:
    _, y = make_classification(1000, weights=[0.9], flip_y=0.0, random_state=0)
    assert np.bincount(y).tolist() == [900, 100]
    options = {"n_clusters_per_class": 1, "class_sep": 50.0, "random_state": 0}
    clean, flipped = (make_classification(4000, flip_y=share, shuffle=False, **options)[1] for share in (0.0, 0.2))
    assert np.mean(clean != flipped) == pytest.approx(0.1, abs=0.02)


def test_clusters_are_apart_by_twice_the_separation() -> None:
    X, y = make_classification(
        4000, 2, n_redundant=0, n_clusters_per_class=1, class_sep=4.0, flip_y=0.0, shift=1.0, scale=2.0, random_state=3
    )
    corners = np.stack([X[y == label].mean(axis=0) / 2 - 1 for label in range(2)])
    np.testing.assert_allclose(np.abs(corners), 4.0, atol=0.2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_moons(0), "n_samples: expected an integer of at least 1, got 0"),
        (lambda: make_moons((1, 2, 3)), "one of each of two classes"),
        (lambda: make_moons(random_state=-1), "random_state: expected None, an integer of at least 0"),
        (lambda: make_moons(random_state=Generator(0, backend="strict")), "drawn on the host"),
        (lambda: make_blobs([2, 3], centers=[[0.0]]), "not consistent with number of centers"),
        (lambda: make_blobs(5, centers=2, cluster_std=[1.0]), "`clusters_std` not consistent"),
        (lambda: make_blobs(5, centers=[1.0, 2.0]), r"expected an integer or an array \(n_centers, n_features\)"),
        (lambda: make_classification(9, 3), "must sum to less than the number of total features: 2"),
        (lambda: make_classification(9, n_classes=3), r"must be smaller or equal 2\*\*n_informative\(2\)=4"),
        (lambda: make_classification(9, weights=[0.1, 0.2, 0.7]), "incompatible with number of classes"),
    ],
)
def test_arguments_that_do_not_fit_together_are_refused(call: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()
