"""Cases of binning: ties, missing values, values beyond the edges, columns of one value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portml.backends.kernels.binning import bin_columns, rank_columns, sort_columns
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(rank_columns, tolerance="exact", nan=False)
def rank_columns_cases(draw: Draw) -> Iterator[Case]:
    X = draw.normal(257, 4).astype("float32")
    X[:, 1] = np.round(X[:, 1])
    X[:, 2] = 1.0
    yield case(X)
    X = X.copy()
    X[::3, 0] = np.nan
    X[:, 3] = np.nan
    X[::2, 1] *= np.float32(-0.0)
    yield case(X)
    yield case(draw.normal(1, 2).astype("float32"))
    yield case(draw.normal(70000, 1).astype("float32"))
    yield case(draw.normal(30, 2))


@cases(bin_columns, tolerance="exact", nan=False)
def bin_columns_cases(draw: Draw) -> Iterator[Case]:
    X = draw.normal(300, 3)
    X[::4, 1] = np.nan
    for n_edges in (1, 7, 8, 254):
        edges = np.sort(draw.normal(3, n_edges), axis=1)
        edges[2, n_edges // 2 :] = np.inf
        X[:n_edges, 0] = edges[0, :300]
        yield case(X.copy(), edges, missing_code=n_edges + 1)
    yield case(X, np.sort(draw.normal(3, 300), axis=1), missing_code=301)


@cases(sort_columns, tolerance="exact")
def sort_columns_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(257, 3))
    yield case(draw.normal(1, 2))
