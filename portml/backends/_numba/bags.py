"""Bags of rows compiled: each row is compared with what its bag has so far."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends.kernels.bags import bag_max_backward, bag_max_saving, refuse_unfit_bags

__all__: list[str] = []

Numbers = NDArray[Any]


@bag_max_saving.on("numba")
def _(values: Numbers, bags: Numbers, kept: Numbers, *, n: int) -> tuple[Numbers, Numbers]:
    refuse_unfit_bags(values, bags, kept)
    y, best = np.zeros((n, values.shape[1]), values.dtype), np.full((n, values.shape[1]), -1, np.int64)
    _choose(np.ascontiguousarray(values), bags.astype(np.int64, copy=False), kept, y, best)
    return y, best


@bag_max_backward.on("numba")
def _(
    g: Numbers, saved: Numbers, values: Numbers, bags: Numbers, kept: Numbers, *, needs: tuple[bool, ...], n: int
) -> tuple[Numbers | None, None, None]:
    if not needs[0]:
        return None, None, None
    dvalues = np.zeros(values.shape, values.dtype)
    _return(np.ascontiguousarray(g), np.ascontiguousarray(saved), dvalues)
    return dvalues, None, None


@numba.njit(**COMPILED)
def _choose(values, bags, kept, y, best):  # type: ignore[no-untyped-def]
    """The first of equals stays, and so does the first that is no number."""
    for k in range(values.shape[0]):
        if not kept[k]:
            continue
        bag = bags[k]
        for column in range(values.shape[1]):
            value, largest = values[k, column], y[bag, column]
            if best[bag, column] < 0 or value > largest or (value != value and largest == largest):
                y[bag, column] = value
                best[bag, column] = k


@numba.njit(**COMPILED)
def _return(g, best, dvalues):  # type: ignore[no-untyped-def]
    for bag in range(g.shape[0]):
        for column in range(g.shape[1]):
            if best[bag, column] >= 0:
                dvalues[best[bag, column], column] = g[bag, column]
