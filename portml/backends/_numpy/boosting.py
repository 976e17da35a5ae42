"""Histograms of gradients on NumPy: one count over all columns for each of the sums, and their splits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.boosting import LEAST_HESSIAN, TIE, TINY, boosted_splits, divide_rows, gradient_histograms

__all__: list[str] = []

Numbers = NDArray[Any]


@gradient_histograms.on("numpy")
def _(codes: Numbers, rows: Numbers, gradients: Numbers, hessians: Numbers | None, *, n_codes: int) -> Numbers:
    n_features = codes.shape[1]
    length = n_features * n_codes
    # All rows as they are for the root: the other nodes gather theirs.
    taken = codes if rows.size == codes.shape[0] else codes[rows]
    places = np.add(taken, np.arange(0, length, n_codes), dtype=np.intp).reshape(-1)
    result = np.empty((3, length))
    ordered = rows if rows.size == codes.shape[0] else None
    slopes = gradients if ordered is not None else gradients[rows]
    result[0] = np.bincount(places, np.repeat(slopes, n_features), length)
    result[2] = np.bincount(places, minlength=length)
    if hessians is None:
        result[1] = result[2]
    else:
        bends = hessians if ordered is not None else hessians[rows]
        result[1] = np.bincount(places, np.repeat(bends, n_features), length)
    return result.reshape(3, n_features, n_codes)


@divide_rows.on("numpy")
def _(rows: Numbers, goes_right: Numbers) -> Numbers:
    divided: Numbers = np.concatenate([rows[~goes_right], rows[goes_right]])
    return divided


@boosted_splits.on("numpy")
def _(histograms: Numbers, *, min_samples_leaf: int, l2_regularization: float) -> Numbers:
    found = [_best_split(each, min_samples_leaf, l2_regularization) for each in histograms]
    return np.asarray(found).reshape(-1, 7)


def _best_split(histograms: Numbers, least: int, l2: float) -> tuple[float, ...]:
    """The best split of a node; missing values are tried on the left only if there are any."""
    slope, bend, size = histograms[:, 0, :].sum(axis=1).tolist()
    value, loss = -slope / (bend + l2 + TINY), slope * slope / (bend + l2 + TINY)
    if size < 2 * least:
        return value, 0.0, 0.0, 0.0, 0.0, 0.0, size
    left, absent = np.cumsum(histograms[:, :, :-1], axis=2), histograms[:, :, -1:]
    gains = [_gains(left, (slope, bend, size), least, l2, loss)]
    if absent[2].any():
        gains.append(_gains(left + absent, (slope, bend, size), least, l2, loss))
    every = gains[0] if len(gains) == 1 else np.concatenate(gains, axis=1)
    most = float(every.max())
    tie = TIE * (most + loss)
    if most <= tie:
        return value, 0.0, 0.0, 0.0, 0.0, 0.0, size
    best = int((every >= most - tie).argmax())
    gain = float(every.flat[best])
    feature, turn = divmod(best, every.shape[1])
    side, code = divmod(turn, left.shape[2])
    n_absent = float(absent[2, feature, 0])
    n_left = float(left[2, feature, code]) + side * n_absent
    goes_left = side if n_absent > 0.0 else 2.0 * n_left > size
    return value, gain, feature, code, float(goes_left), n_left, size


def _gains(left: Numbers, total: tuple[float, float, float], least: int, l2: float, loss: float) -> Numbers:
    """What each split gains, from the sums (3, n_features, n_places) on the left; 0 where it is not allowed."""
    slope, bend, size = total
    gain = left[0] * left[0]
    gain /= left[1] + (l2 + TINY)
    other, rest = slope - left[0], bend - left[1]
    allowed = (left[2] >= least) & (left[2] <= size - least)
    allowed &= (left[1] >= LEAST_HESSIAN) & (rest >= LEAST_HESSIAN)
    rest += l2 + TINY
    other *= other
    other /= rest
    gain += other
    gain -= loss
    gains: Numbers = np.where(allowed, gain, 0.0)
    return gains
