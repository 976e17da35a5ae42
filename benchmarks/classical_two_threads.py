"""A forest whose trees grow two at a time, beside scikit-learn's: ``python -m benchmarks.classical_two_threads``.

Shown without a wanted ratio: wall clock on a shared machine swings.
"""

from __future__ import annotations

from sklearn import ensemble

from benchmarks.classical_trees import FOREST, classification, fitting, near
from benchmarks.recorded import record
from benchmarks.side_by_side import Case, measure
from portml import classical
from portml.backends import kernels_in_use


def forest() -> Case:
    """50 trees on 20,000 samples, by two threads of joblib on both sides."""
    X, y, held_X, held_y = classification(20_000)
    ours = fitting(classical.RandomForestClassifier, X, y, **FOREST, n_jobs=2)
    theirs = fitting(ensemble.RandomForestClassifier, X, y, **FOREST, n_jobs=2)
    return Case(
        "forest, 50 trees, 20000",
        ours,
        theirs,
        lambda a, b: near(a.score(held_X, held_y), b.score(held_X, held_y), 0.005),
    )


if __name__ == "__main__":
    measured = measure(forest(), rounds=2, threads=2)
    print(measured)
    record("classical_trees", [measured], kernels_in_use("numpy"), 2)
