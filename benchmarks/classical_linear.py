"""Linear models beside scikit-learn's: the same data, parameters and tolerance, and as good an objective."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import sklearn.linear_model as theirs

from benchmarks.side_by_side import Case, run
from portml import classical

SIZES = ((20_000, 50), (2_000, 20))


def regression(n: int, p: int) -> tuple[Any, Any]:
    """Half the features matter; no column has mean zero."""
    draw = np.random.default_rng(0)
    X = draw.standard_normal((n, p)) + 1
    weights = draw.standard_normal(p) * (draw.random(p) < 0.5)
    return X, X @ weights + draw.standard_normal(n) + 3


def two_classes(n: int, p: int) -> tuple[Any, Any]:
    """Noisy labels, so that the optimum is finite."""
    X, y = regression(n, p)
    return X, (y + np.random.default_rng(1).standard_normal(n) > np.median(y)).astype(np.int64)


def ten_classes(dtype: str) -> tuple[Any, Any]:
    """As many features as an MNIST image has."""
    draw = np.random.default_rng(0)
    X = draw.random((5000, 784)).astype(dtype)
    scores = (X - 0.5) @ draw.standard_normal((784, 10)) + draw.standard_normal((5000, 10))
    return X, np.argmax(scores, axis=1)


def same_weights(tolerance: float) -> Any:
    """Compares coefficients."""

    def agree(ours: Any, peer: Any) -> str | None:
        distance = np.max(np.abs(ours.coef_ - peer.coef_)) / np.max(np.abs(peer.coef_))
        return None if distance <= tolerance else f"weights differ by {distance:.1e} of the largest"

    return agree


def no_worse(X: Any, y: Any) -> Any:
    """Compares objectives: half the squares of the weights, and the loss of every sample."""

    def objective(model: Any) -> float:
        logits = np.asarray(model.predict_log_proba(X), dtype=np.float64)
        return float(0.5 * np.sum(np.square(model.coef_, dtype=np.float64)) - np.sum(logits[np.arange(len(y)), y]))

    def agree(ours: Any, peer: Any) -> str | None:
        mine, other = objective(ours), objective(peer)
        return None if mine <= other * (1 + 1e-4) else f"objective {mine:.8g}, the peer's is {other:.8g}"

    return agree


def fit_case(
    name: str, model: Any, peer: Any, data: tuple[Any, Any], agree: Any, bar: float | None, pure: float | None
) -> Case:
    """A row that fits both."""
    return Case(name, lambda: model.fit(*data), lambda: peer.fit(*data), agree, bar, pure)


def cases() -> list[Case]:
    """All rows."""
    warnings.simplefilter("ignore")  # where both stop at 100 iterations, both say so
    found = []
    for (n, p), ridge_bar in zip(SIZES, (1.0, 3.0), strict=True):
        data, size = regression(n, p), f"{n}×{p}"
        exact, close = same_weights(1e-8), same_weights(2e-3)
        for name, arguments, agree, bar in (
            ("LinearRegression", {}, exact, 3.0),
            ("Ridge", {"alpha": 1.0}, exact, ridge_bar),
            ("Lasso", {"alpha": 0.05}, close, 1.2),
            ("ElasticNet", {"alpha": 0.05}, close, 1.2),
        ):
            ours, peer = getattr(classical, name)(**arguments), getattr(theirs, name)(**arguments)
            found.append(fit_case(f"{name} fit {size}", ours, peer, data, agree, bar, bar))
        binary = two_classes(n, p)
        for solver in ("lbfgs", "newton-cholesky"):
            pair = (classical.LogisticRegression(solver=solver), theirs.LogisticRegression(solver=solver))
            found.append(fit_case(f"LogisticRegression {solver} {size}", *pair, binary, no_worse(*binary), 1.0, 1.0))
    for dtype in ("float32", "float64"):
        many = ten_classes(dtype)
        pair = (classical.LogisticRegression(), theirs.LogisticRegression())
        found.append(fit_case(f"LogisticRegression 5000×784×10 {dtype}", *pair, many, no_worse(*many), 1.0, 1.0))
    separated = two_classes(2000, 20)
    pair = (classical.Perceptron(tol=None, max_iter=20), theirs.Perceptron(tol=None, max_iter=20))
    found.append(fit_case("Perceptron 2000×20, 20 passes", *pair, separated, None, None, None))
    return found


if __name__ == "__main__":
    run(cases())
