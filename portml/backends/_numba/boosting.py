"""Growing boosted trees, compiled: rows of codes are read once for all columns, samples stay sorted by node."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends.kernels.boosting import LEAST_HESSIAN, TIE, TINY, gradient_histograms, grow_boosted_tree

__all__: list[str] = []

Numbers = NDArray[Any]

LEAST_BITS = 24
"""Gradients are packed where so many bits are left for the largest of them."""
NOT_PACKED: tuple[Numbers, float, int] = (np.empty(0, np.int64), 1.0, 1)


@gradient_histograms.on("numba")
def _(codes: Numbers, rows: Numbers, gradients: Numbers, hessians: Numbers | None, *, n_codes: int) -> Numbers:
    sums = np.zeros((codes.shape[1], n_codes, 3))
    bends = np.ones_like(gradients) if hessians is None else hessians
    _sum_all(codes, rows.astype(np.int32, copy=False), gradients, bends, sums)
    return sums.transpose(2, 0, 1)


@grow_boosted_tree.on("numba")
def _(
    codes: Numbers,
    gradients: Numbers,
    hessians: Numbers | None,
    *,
    n_codes: int,
    max_leaf_nodes: int,
    max_depth: int,
    min_samples_leaf: int,
    l2_regularization: float,
) -> tuple[Numbers, ...]:
    n_samples = codes.shape[0]
    n_leaves = min(max_leaf_nodes, max(1, n_samples // min_samples_leaf))
    integers = np.zeros((4, 2 * n_leaves - 1), np.int64)
    numbers = np.zeros((2, 2 * n_leaves - 1))
    missing_left = np.zeros(2 * n_leaves - 1, np.bool_)
    node_of = np.empty(n_samples, np.int64)
    packed, scale, n_bits = _packed(gradients) if hessians is None else NOT_PACKED
    if hessians is None:
        hessians = np.ones(0 if packed.size else n_samples)
    count = _grow(
        codes,
        gradients,
        hessians,
        (packed, scale, n_bits),
        n_codes,
        n_leaves,
        (max_depth, min_samples_leaf, l2_regularization),
        integers,
        numbers,
        missing_left,
        node_of,
    )
    left, feature, code, size = integers[:, :count]
    return left, feature, code, missing_left[:count], numbers[0, :count], numbers[1, :count], size, node_of


def _packed(gradients: Numbers) -> tuple[Numbers, float, int]:
    """Gradient and number in one integer each, the gradient's unit, and the bits of the number; nothing if too coarse.

    Without second derivatives one addition then does for two, in half the memory, and without rounding: gradients are
    rounded once, to 2**-30 of the largest with a hundred thousand samples, more finely with fewer.
    """
    n_bits = int(gradients.size).bit_length()
    largest = float(np.abs(gradients).max(initial=0.0))
    if not 1e-200 < largest < 1e200 or 62 - 2 * n_bits < LEAST_BITS:
        return NOT_PACKED
    exponent = math.frexp(largest)[1] - (62 - 2 * n_bits)
    rounded = np.rint(gradients * 2.0**-exponent).astype(np.int64)
    return (rounded << n_bits) + 1, 2.0**exponent, n_bits


@numba.njit(**COMPILED)
def _grow(
    codes: Any,
    gradients: Any,
    hessians: Any,
    packing: Any,
    n_codes: int,
    max_leaves: int,
    rules: Any,
    integers: Any,
    numbers: Any,
    missing_left: Any,
    node_of: Any,
) -> int:
    n_samples, n_features = codes.shape
    packed = packing[0]
    rows, room = np.arange(n_samples).astype(np.int32), np.empty(n_samples, np.int32)
    # One histogram for each leaf: a split leaves its own to one child, and the other takes the next.
    sums = np.zeros((max_leaves, n_features, n_codes, 1 if packed.size else 3))
    start, end = np.zeros(2 * max_leaves, np.int64), np.zeros(2 * max_leaves, np.int64)
    depth, slot = np.zeros(2 * max_leaves, np.int64), np.zeros(2 * max_leaves, np.int64)
    gains, open_gain = numbers[1], np.zeros(2 * max_leaves)
    end[0] = n_samples
    if packed.size:
        _sum_packed(codes, rows, packed, sums[0].view(np.int64))
    else:
        _sum_all(codes, rows, gradients, hessians, sums[0])
    integers[0, 0], integers[3, 0] = -1, n_samples
    _best_split(sums[0], packing, 0, n_samples, 0, rules, integers, numbers, missing_left)
    open_gain[0] = gains[0]
    n_nodes, n_leaves = 1, 1
    while n_leaves < max_leaves:
        parent = 0
        for node in range(1, n_nodes):
            if open_gain[node] > open_gain[parent] * (1.0 + TIE):
                parent = node
        if open_gain[parent] <= 0.0:
            break
        open_gain[parent] = 0.0
        middle = _divide(codes, rows, room, start[parent], end[parent], integers, missing_left, parent, n_codes - 1)
        left, right = n_nodes, n_nodes + 1
        integers[0, parent] = left
        start[left], end[left], start[right], end[right] = start[parent], middle, middle, end[parent]
        small, large = (left, right) if 2 * (middle - start[parent]) <= end[parent] - start[parent] else (right, left)
        slot[large], slot[small] = slot[parent], n_leaves
        listed = rows[start[small] : end[small]]
        if packed.size:
            _sum_packed(codes, listed, packed, sums[n_leaves].view(np.int64))
            _subtract(sums[slot[large]].reshape(-1).view(np.int64), sums[n_leaves].reshape(-1).view(np.int64))
        else:
            _sum_all(codes, listed, gradients, hessians, sums[n_leaves])
            _subtract(sums[slot[large]].reshape(-1), sums[n_leaves].reshape(-1))
        for node in (left, right):
            depth[node] = depth[parent] + 1
            integers[0, node], integers[3, node] = -1, end[node] - start[node]
            size = end[node] - start[node]
            here = sums[slot[node]]
            _best_split(here, packing, node, size, depth[node], rules, integers, numbers, missing_left)
            open_gain[node] = gains[node]
        n_nodes += 2
        n_leaves += 1
    for node in range(n_nodes):
        if integers[0, node] < 0:
            for place in range(start[node], end[node]):
                node_of[rows[place]] = node
    return n_nodes


@numba.njit(**COMPILED)
def _sum_packed(codes: Any, rows: Any, packed: Any, sums: Any) -> None:
    """Add gradients and numbers in one."""
    for place in range(rows.size):
        row = rows[place]
        both = packed[row]
        for column in range(codes.shape[1]):
            sums[column, codes[row, column], 0] += both


@numba.njit(**COMPILED)
def _sum_all(codes: Any, rows: Any, gradients: Any, hessians: Any, sums: Any) -> None:
    """Add gradients, second derivatives and numbers."""
    for place in range(rows.size):
        row = rows[place]
        slope, bend = gradients[row], hessians[row]
        for column in range(codes.shape[1]):
            here = sums[column, codes[row, column]]
            here[0] += slope
            here[1] += bend
            here[2] += 1.0


@numba.njit(**COMPILED)
def _subtract(whole: Any, part: Any) -> None:
    for place in range(whole.size):
        whole[place] -= part[place]


@numba.njit(**COMPILED)
def _read(sums: Any, packing: Any, into: Any) -> None:
    """Gradients, second derivatives and numbers of the codes of one column, each in a row."""
    packed, scale, n_bits = packing
    if packed.size:
        both = sums.view(np.int64)
        most = (1 << n_bits) - 1
        for code in range(len(sums)):
            into[0, code] = scale * (both[code, 0] >> n_bits)
            into[1, code] = into[2, code] = both[code, 0] & most
    else:
        for code in range(len(sums)):
            for each in range(3):
                into[each, code] = sums[code, each]


@numba.njit(**COMPILED)
def _best_split(
    sums: Any,
    packing: Any,
    node: int,
    size: int,
    depth: int,
    rules: Any,
    integers: Any,
    numbers: Any,
    missing_left: Any,
) -> None:
    """Write the node's value and its best split."""
    max_depth, min_samples_leaf, l2 = rules
    n_features, n_codes, _ = sums.shape
    column_sums = np.empty((3, n_codes))
    _read(sums[0], packing, column_sums)
    slopes, bends = column_sums[0].sum(), column_sums[1].sum()
    numbers[0, node], numbers[1, node] = -slopes / (bends + l2 + TINY), 0.0
    integers[1, node] = integers[2, node] = 0
    if depth >= max_depth or size < 2 * min_samples_leaf:
        return
    whole = slopes * slopes / (bends + l2 + TINY)
    best, best_left, best_absent, side = 0.0, 0.0, 0.0, False
    bar = TIE * whole
    for column in range(n_features):
        if column:
            _read(sums[column], packing, column_sums)
        slope_at, bend_at, size_at = column_sums
        n_absent = size_at[n_codes - 1]
        for turn in range(2 if n_absent > 0.0 else 1):
            slope, bend, n_left = 0.0, 0.0, 0.0
            if turn == 1:
                slope, bend, n_left = slope_at[n_codes - 1], bend_at[n_codes - 1], n_absent
            for code in range(n_codes - 1):
                slope += slope_at[code]
                bend += bend_at[code]
                n_left += size_at[code]
                if n_left < min_samples_leaf or bend < LEAST_HESSIAN:
                    continue
                if size - n_left < min_samples_leaf or bends - bend < LEAST_HESSIAN:
                    break
                rest = slopes - slope
                gain = slope * slope / (bend + l2 + TINY) + rest * rest / (bends - bend + l2 + TINY) - whole
                if gain > bar:
                    bar = gain + TIE * (gain + whole)
                    best, best_left, best_absent, side = gain, n_left, n_absent, turn == 1
                    integers[1, node], integers[2, node] = column, code
    numbers[1, node] = best
    missing_left[node] = best > 0.0 and (side if best_absent > 0.0 else 2.0 * best_left > size)


@numba.njit(**COMPILED)
def _divide(
    codes: Any,
    rows: Any,
    room: Any,
    start: int,
    end: int,
    integers: Any,
    missing_left: Any,
    node: int,
    missing_code: int,
) -> int:
    """Put the samples that go left first, and say where the others begin."""
    feature, last, side = integers[1, node], integers[2, node], missing_left[node]
    middle, n_right = start, 0
    for place in range(start, end):
        row = rows[place]
        code = codes[row, feature]
        is_left = code <= last or (side and code == missing_code)
        rows[middle] = row
        room[n_right] = row
        middle += is_left
        n_right += not is_left
    rows[middle:end] = room[:n_right]
    return middle
