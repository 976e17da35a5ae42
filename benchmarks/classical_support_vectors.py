"""Support vector machines against scikit-learn's: ``python -m benchmarks.classical_support_vectors``."""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn.svm
from sklearn.datasets import load_digits, make_classification, make_regression

from benchmarks.side_by_side import Case, run
from portml import classical

__all__ = ["cases"]


def cases() -> list[Case]:
    """Fits and predictions at scikit-learn's defaults."""
    found: list[Case] = []
    for n in (2000, 5000):
        X, y = make_classification(n, 20, n_informative=10, flip_y=0.1, random_state=1)
        found.append(_fit(f"SVC rbf fit {n} x 20", "SVC", X, y, 1.5, 1.1))
        found.append(_predict(f"SVC rbf predict {n} x 20", "SVC", X, y, 10, 10))
    X, y = load_digits(return_X_y=True)
    found.append(_fit("SVC rbf fit digits, 45 pairs", "SVC", X, y))
    found.append(_predict("SVC rbf predict digits", "SVC", X, y))
    found.append(_fit("LinearSVC fit digits", "LinearSVC", X / 16, y))
    X, y = make_regression(2000, 20, n_informative=12, noise=10, random_state=0)
    found.append(_fit("SVR rbf fit 2000 x 20", "SVR", X, y / y.std()))
    return found


def _fit(name: str, kind: str, X: Any, y: Any, bar: float | None = None, pure_bar: float | None = None) -> Case:
    ours, theirs = _both(kind)

    def agree(one: Any, other: Any) -> str | None:
        if hasattr(one, "classes_") and len(one.classes_) > 2:
            return _labels(one.predict(X), other.predict(X))
        # Both stop at a tolerance of 1e-3.
        a, b = (each.decision_function(X) if hasattr(each, "classes_") else each.predict(X) for each in (one, other))
        off = float(np.abs(a - b).max() / np.abs(b).max())
        return None if off < 0.02 else f"decisions differ by {off:.3g}"

    return Case(name, lambda: ours.fit(X, y), lambda: theirs.fit(X, y), agree, bar, pure_bar)


def _predict(name: str, kind: str, X: Any, y: Any, bar: float | None = None, pure_bar: float | None = None) -> Case:
    ours, theirs = (each.fit(X, y) for each in _both(kind))

    return Case(name, lambda: ours.predict(X), lambda: theirs.predict(X), _labels, bar, pure_bar)


def _labels(one: Any, other: Any) -> str | None:
    """A sample that lies on the boundary up to the tolerance may fall on either side."""
    differing = int((np.asarray(one) != np.asarray(other)).sum())
    return None if differing <= len(one) // 1000 else f"{differing} labels differ"


def _both(kind: str) -> tuple[Any, Any]:
    return getattr(classical, kind)(), getattr(sklearn.svm, kind)()


if __name__ == "__main__":
    run(cases())
