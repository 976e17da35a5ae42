"""Scaling, imputing and encoding a table of 100,000 rows and a small one, beside scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn.impute
import sklearn.preprocessing

from benchmarks.side_by_side import Case, run
from portml import classical

SHAPES = ((150, 4), (100_000, 20))


def cases() -> list[Case]:
    """`fit` and `transform` of each transformer."""
    found = []
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        X = rng.normal(size=shape)
        gaps = np.where(rng.random(shape) < 0.1, np.nan, X)
        for name, data in (("StandardScaler", X), ("MinMaxScaler", X)):
            found += pair(name, shape, data, getattr(classical, name)(), getattr(sklearn.preprocessing, name)())
        for strategy in ("mean", "median", "most_frequent"):
            ours, theirs = (kind(strategy=strategy) for kind in (classical.SimpleImputer, sklearn.impute.SimpleImputer))
            found += pair(f"SimpleImputer, {strategy}", shape, gaps, ours, theirs)
        text = np.asarray([*"abcdefgh"], dtype=object)[rng.integers(0, 8, (shape[0], 3))]
        one_hot = sklearn.preprocessing.OneHotEncoder(sparse_output=False)
        found += pair("OneHotEncoder", text.shape, text, classical.OneHotEncoder(), one_hot)
        ordinal = sklearn.preprocessing.OrdinalEncoder()
        found += pair("OrdinalEncoder", text.shape, text, classical.OrdinalEncoder(), ordinal)
    return found


def pair(name: str, shape: tuple[int, ...], data: Any, ours: Any, theirs: Any) -> list[Case]:
    """The cases of a transformer, which both are fitted to the data once before."""
    ours.fit(data)
    theirs.fit(data)
    what = f"{name} {shape[0]}x{shape[1]}"
    return [
        Case(f"{what} fit", lambda: ours.fit(data), lambda: theirs.fit(data)),
        Case(f"{what} transform", lambda: ours.transform(data), lambda: theirs.transform(data), agree),
    ]


def agree(ours: Any, theirs: Any) -> str | None:
    """None, or how far apart the tables are."""
    if np.allclose(ours, theirs, rtol=1e-12, atol=1e-12):
        return None
    return f"up to {np.abs(ours - theirs).max():.1e} apart"


if __name__ == "__main__":
    run(cases())
