"""Nearest neighbours, k-means and naive Bayes against scikit-learn: ``python -m benchmarks.classical_neighbors``."""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn.cluster
import sklearn.naive_bayes
import sklearn.neighbors

from benchmarks.side_by_side import Case, run
from portml.classical import BernoulliNB, GaussianNB, KMeans, KNeighborsClassifier, MultinomialNB


def cases() -> list[Case]:
    """Every row of the table."""
    return [
        *(neighbors(features, dtype) for dtype in ("float64", "float32") for features in (20, 100)),
        *(
            clusters(*size, dtype)
            for dtype in ("float64", "float32")
            for size in ((10_000, 50, 20), (100_000, 20, 100))
        ),
        *naive_bayes(),
    ]


def neighbors(features: int, dtype: str) -> Case:
    """2,000 queries among 10,000 points."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((10_000, features)).astype(dtype)
    y, Q = rng.integers(0, 5, 10_000), rng.standard_normal((2_000, features)).astype(dtype)
    ours = KNeighborsClassifier(5, algorithm="brute").fit(X, y)
    theirs = sklearn.neighbors.KNeighborsClassifier(5, algorithm="brute").fit(X, y)
    bar = 1.3 if features == 20 else 1.1
    name = f"neighbours predict 10k, 2k queries, d {features} {dtype}"
    return Case(name, lambda: ours.predict(Q), lambda: theirs.predict(Q), share_of_equal(0.999), bar, bar)


def clusters(n: int, features: int, k: int, dtype: str) -> Case:
    """20 iterations of Lloyd's algorithm from the same centres."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, features)).astype(dtype)
    options: dict[str, Any] = {"init": X[:k].copy(), "n_init": 1, "max_iter": 20, "tol": 0}
    ours, theirs = KMeans(k, **options), sklearn.cluster.KMeans(k, **options)

    def agree(a: Any, b: Any) -> str | None:
        close = abs(float(a.inertia_) / b.inertia_ - 1) < 1e-4
        return None if close and a.n_iter_ == b.n_iter_ else f"inertia {a.inertia_} and {b.inertia_}"

    bar, pure = (1.2, 0.8) if k == 20 else (1.05, 1.0)
    return Case(
        f"k-means {n // 1000}k, d {features}, k {k} {dtype}", quiet(ours.fit, X), quiet(theirs.fit, X), agree, bar, pure
    )


def naive_bayes() -> list[Case]:
    """Fit and predict 20,000 samples of 50 features and 5 classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 5, 20_000)
    X = rng.standard_normal((20_000, 50)) + 0.2 * y[:, None] + 1
    counts = rng.poisson(1.0 + y[:, None] * np.linspace(0, 1, 50)).astype(float)
    found = []
    for ours, theirs, data, bars in (
        (GaussianNB, sklearn.naive_bayes.GaussianNB, X, (1.3, 5.0)),
        (MultinomialNB, sklearn.naive_bayes.MultinomialNB, counts, (None, None)),
        (BernoulliNB, sklearn.naive_bayes.BernoulliNB, X - 1, (None, None)),
    ):
        found.extend(fit_and_predict(ours, theirs, data, y, bars))
    return found


def fit_and_predict(ours: Any, theirs: Any, X: Any, y: Any, bars: tuple[float | None, float | None]) -> list[Case]:
    """Both steps of one estimator."""

    def agree(a: Any, b: Any) -> str | None:
        return None if np.allclose(a.predict_log_proba(X), b.predict_log_proba(X)) else "log-probabilities differ"

    a, b = ours().fit(X, y), theirs().fit(X, y)
    name = f"{ours.__name__} 20k, d 50"
    return [
        Case(f"{name} fit", lambda: ours().fit(X, y), lambda: theirs().fit(X, y), agree, bars[0], bars[0]),
        Case(f"{name} predict", lambda: a.predict(X), lambda: b.predict(X), share_of_equal(1.0), bars[1], bars[1]),
    ]


def share_of_equal(least: float) -> Any:
    """Labels must be equal but for a few that rounding decides."""

    def agree(a: Any, b: Any) -> str | None:
        share = float(np.mean(a == b))
        return None if share >= least else f"only {share:.4f} of the labels are equal"

    return agree


def quiet(call: Any, *arguments: Any) -> Any:
    """The call without warnings that it did not converge in the iterations allowed."""

    def called() -> Any:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call(*arguments)

    return called


if __name__ == "__main__":
    run(cases())
