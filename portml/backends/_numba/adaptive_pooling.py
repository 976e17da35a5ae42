"""Adaptive maximum pooling compiled: the windows of `pooling`, of different lengths."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import FLOATS
from portml.backends._numba.pooling import largest
from portml.backends._numpy.normalisation import arrived
from portml.backends.kernels.adaptive_pooling import adaptive_max_pool, refuse_unfit_adaptive
from portml.backends.kernels.windows import adaptive_window

__all__: list[str] = []

Numbers = NDArray[Any]


@adaptive_max_pool.on("numba")
def _(x: Numbers, *, output_size: tuple[int, ...], out: tuple[Numbers, Numbers] | None = None) -> tuple[Any, Any]:
    refuse_unfit_adaptive(x, output_size)
    to_y, to_indices = (None, None) if out is None else out
    if x.ndim > 4 or x.dtype.char not in FLOATS or x.size == 0:
        y, indices = adaptive_max_pool.kernel.table["numpy"](x, output_size=output_size)
        return arrived(y, to_y), arrived(indices, to_indices)
    height, width = (1, *x.shape[2:])[-2:]
    rows, columns = (1, *output_size)[-2:]
    down, along = _places(height, rows), _places(width, columns)
    y, indices = largest(x, (down, along), (1, 1), width, np.dtype(np.int64), to_y)
    indices += (down[0][:, None] * width + along[0]).reshape(output_size)
    return arrived(y, to_y), arrived(indices, to_indices)


@lru_cache(maxsize=1024)
def _places(length: int, size: int) -> Numbers:
    """As `window_places`: where each window begins, and between which of its elements it lies inside the axis."""
    windows = np.array([adaptive_window(length, size, i) for i in range(size)], np.int64).T
    places = np.stack((windows[0], np.zeros(size, np.int64), windows[1] - windows[0]))
    places.flags.writeable = False
    return places
