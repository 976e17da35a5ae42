"""Histograms of gradients on NumPy: one count over all columns for each of the sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.boosting import gradient_histograms

__all__: list[str] = []

Numbers = NDArray[Any]


@gradient_histograms.on("numpy")
def _(codes: Numbers, rows: Numbers, gradients: Numbers, hessians: Numbers | None, *, n_codes: int) -> Numbers:
    n_features = codes.shape[1]
    length = n_features * n_codes
    # All rows as they are for the root: the other nodes gather theirs.
    taken = codes if rows.size == codes.shape[0] else codes[rows]
    places = np.add(taken, np.arange(0, length, n_codes), dtype=np.intp).reshape(-1)
    result = np.empty((length, 3))
    ordered = rows if rows.size == codes.shape[0] else None
    slopes = gradients if ordered is not None else gradients[rows]
    result[:, 0] = np.bincount(places, np.repeat(slopes, n_features), length)
    result[:, 2] = np.bincount(places, minlength=length)
    if hessians is None:
        result[:, 1] = result[:, 2]
    else:
        bends = hessians if ordered is not None else hessians[rows]
        result[:, 1] = np.bincount(places, np.repeat(bends, n_features), length)
    return result.reshape(n_features, n_codes, 3)
