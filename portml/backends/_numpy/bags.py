"""Bags of rows on NumPy: its reductions over segments."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.bags import bag_max, bag_max_saving, refuse_unfit_bags

__all__: list[str] = []

Numbers = NDArray[Any]


@bag_max.on("numpy")
def _(values: Numbers, bags: Numbers, kept: Numbers, *, n: int) -> Numbers:
    refuse_unfit_bags(values, bags, kept)
    y = np.zeros((n, values.shape[1]), values.dtype)
    rows = np.flatnonzero(kept)
    if rows.size:
        inside, starts = _segments(bags[rows])
        y[inside[starts]] = np.maximum.reduceat(values[rows], starts, axis=0)
    return y


@bag_max_saving.on("numpy")
def _(values: Numbers, bags: Numbers, kept: Numbers, *, n: int) -> tuple[Numbers, Numbers]:
    y = bag_max(values, bags, kept, n=n)
    best = np.full(y.shape, -1, np.int64)
    rows = np.flatnonzero(kept)
    if rows.size:
        inside, starts = _segments(bags[rows])
        here = values[rows]
        is_largest = (here == y[inside]) | np.isnan(here)
        # The first of equals.
        first = np.where(is_largest, rows[:, np.newaxis], len(values))
        best[inside[starts]] = np.minimum.reduceat(first, starts, axis=0)
    return y, best


def _segments(bags: Numbers) -> tuple[Numbers, Numbers]:
    """The bag of each row, and where each bag begins."""
    begins = np.ones(len(bags), bool)
    np.not_equal(bags[1:], bags[:-1], out=begins[1:])
    return bags, np.flatnonzero(begins)
