"""Trees, forests and boosting beside scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn import datasets, ensemble, tree

from benchmarks.side_by_side import Case, run
from portml import classical

FOREST = {"n_estimators": 50, "random_state": 0}
BOOSTING = {"max_iter": 100, "early_stopping": False}


def cases() -> list[Case]:
    """Fits on tables of 20 columns."""
    found = []
    for n, pure_bar in ((20_000, 4.0), (100_000, 8.0)):
        X, y, held_X, held_y = classification(n)

        def score(model: Any, X: Any = held_X, y: Any = held_y) -> float:
            return float(model.score(X, y))

        def agree(ours: Any, theirs: Any, score: Any = score) -> str | None:
            return near(score(ours), score(theirs), 0.005)

        peer = fitting(tree.DecisionTreeClassifier, X, y, max_depth=10, random_state=0)
        exact = fitting(classical.DecisionTreeClassifier, X, y, max_depth=10)
        binned = fitting(classical.DecisionTreeClassifier, X, y, max_depth=10, max_bins=255)
        found.append(Case(f"tree, exact, depth 10, {n}", exact, peer, agree, 5.0, 3.0))
        found.append(Case(f"tree, 255 bins, depth 10, {n}", binned, peer, agree, 10.0, pure_bar))
        if n == 20_000:
            forest = fitting(classical.RandomForestClassifier, X, y, **FOREST)
            peer = fitting(ensemble.RandomForestClassifier, X, y, **FOREST)
            found.append(Case(f"forest, 50 trees, {n}", forest, peer, agree, 5.0, 1.0))
    for n in (10_000, 100_000):
        X, y, held_X, held_y = regression(n)

        def agree_r2(ours: Any, theirs: Any, X: Any = held_X, y: Any = held_y) -> str | None:
            return near(ours.score(X, y), theirs.score(X, y), 0.01)

        boosted = fitting(classical.HistGradientBoostingRegressor, X, y, **BOOSTING)
        peer = fitting(ensemble.HistGradientBoostingRegressor, X, y, **BOOSTING)
        found.append(Case(f"boosting, 100 rounds, {n}", boosted, peer, agree_r2, 1.2, 0.3))
    return found


def fitting(kind: Any, X: Any, y: Any, **parameters: Any) -> Any:
    """What fits such an estimator."""
    return lambda: kind(**parameters).fit(X, y)


def near(ours: float, theirs: float, tolerance: float) -> str | None:
    """None where our score is no worse than theirs by more than a tolerance."""
    return None if ours > theirs - tolerance else f"scores {ours:.4f}, not {theirs:.4f}"


def classification(n: int) -> tuple[Any, Any, Any, Any]:
    """Two classes in 20 columns, of which 10 tell something; half as many samples again to score."""
    X, y = datasets.make_classification(n + n // 2, 20, n_informative=10, random_state=0)
    X = X.astype(np.float32)
    return X[:n], y[:n], X[n:], y[n:]


def regression(n: int) -> tuple[Any, Any, Any, Any]:
    """Numbers of 20 columns, of which 12 tell something and one not linearly."""
    X, y = datasets.make_regression(n + n // 2, 20, n_informative=12, noise=10, random_state=0)
    X = X.astype(np.float32)
    y = y / y.std() + np.sin(3 * X[:, 0])
    return X[:n], y[:n], X[n:], y[n:]


if __name__ == "__main__":
    run(cases())
