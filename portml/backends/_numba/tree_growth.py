"""Growing decision trees, compiled: one node after the other, so that its samples stay in the cache.

A node's samples are sorted by insertion if they are few, counted code by code if the codes are few, and else sorted
byte by byte; with presorted columns every row is divided among the children, and nothing is ever sorted again.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends._numba.tree_splits import (
    FEW_SAMPLES,
    GINI,
    SQUARED_ERROR,
    better_from,
    count_codes,
    impurity_of,
    node_score,
    scan_counts,
    scan_pair,
    scan_sorted,
    sort_packed,
    sum_node,
)
from portml.backends.kernels.tree_growth import PURE, UNDEFINED, grow_tree
from portml.backends.kernels.trees import CRITERIA

__all__: list[str] = []

Numbers = NDArray[Any]

FEW_CODES = 256
"""Columns of at most so many codes are counted code by code."""


@grow_tree.on("numba")
def _(
    codes: Numbers,
    orders: Numbers | None,
    targets: Numbers,
    weights: Numbers | None,
    key: Numbers | None,
    *,
    criterion: str,
    n_classes: int,
    n_codes: int,
    missing: bool,
    max_depth: int,
    min_samples_split: int,
    min_samples_leaf: int,
    min_weight_leaf: float,
    min_impurity_decrease: float,
    max_features: int,
) -> tuple[Numbers, ...]:
    n_features, n_samples = codes.shape
    samples = np.arange(n_samples, dtype=np.int32) if weights is None else np.flatnonzero(weights > 0).astype(np.int32)
    is_presorted = orders is not None and max_features >= n_features
    rows = np.empty((0, 0), np.int32)
    if orders is not None and is_presorted:
        rows = orders.copy() if len(samples) == n_samples else _kept(orders, weights)
    n_sums = 3 if criterion == "squared_error" else n_classes
    n_nodes = 2 * len(samples) - 1  # at most; memory that is never written is never taken
    integers = np.empty((6, n_nodes), np.int64)
    statistics, impurity = np.empty((n_nodes, n_sums)), np.empty(n_nodes)
    missing_left = np.zeros(n_nodes, np.bool_)
    count = _grow(
        codes,
        rows,
        samples,
        targets.astype(np.float64, copy=False),  # one type, as each would be compiled apart
        np.ones(1) if weights is None else weights,
        np.uint32(0 if key is None else key[0]),
        CRITERIA.index(criterion),
        n_codes,
        n_codes - 1 if missing else -1,
        max_depth,
        (min_samples_split, min_samples_leaf, min_weight_leaf, min_impurity_decrease),
        max_features,
        integers,
        statistics,
        impurity,
        missing_left,
    )
    right, feature, code, following, size, depth = (column[:count].copy() for column in integers)
    sums = statistics[:count].copy()
    return right, feature, code, following, missing_left[:count].copy(), sums, size, impurity[:count].copy(), depth


@numba.njit(**COMPILED)
def _grow(
    codes: Any,
    rows: Any,
    samples: Any,
    targets: Any,
    weights: Any,
    root_key: Any,
    criterion: int,
    n_codes: int,
    missing_code: int,
    max_depth: int,
    limits: Any,
    max_features: int,
    integers: Any,
    statistics: Any,
    impurity: Any,
    missing_left: Any,
) -> int:
    n_features, n = codes.shape[0], samples.size
    n_sums = 1 if criterion == SQUARED_ERROR else statistics.shape[1]
    is_weighted = weights.size > 1 or codes.shape[1] == 1
    # Targets and weights of the node's samples, side by side; sorted copies of them; and room to sort and divide in.
    near_targets, near_weights = np.empty(n, targets.dtype), np.ones(n)
    in_order = np.empty(n, np.int64), np.empty(n, targets.dtype), np.ones(n)
    packed, spare, room = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int32)
    goes_left = np.zeros(codes.shape[1] if rows.size else 1, np.bool_)
    few_codes = n_codes <= FEW_CODES
    counts = np.zeros((n_codes if few_codes else 1, n_sums + 2))
    total, left_sums, right_sums = np.empty(n_sums), np.empty(n_sums), np.empty(n_sums)
    column_hash, columns = np.empty(n_features, np.uint32), np.arange(n_features)
    waiting = [(0, n, 0, np.uint32(root_key), -1)]
    n_nodes, total_weight = 0, 0.0
    while len(waiting) > 0:
        start, end, depth, key, parent = waiting.pop()
        node, size = n_nodes, end - start
        n_nodes += 1
        if parent >= 0:
            integers[0, parent] = node
        near = samples[start:end]
        for place in range(size):
            near_targets[place] = targets[near[place]]
        if is_weighted:
            for place in range(size):
                near_weights[place] = weights[near[place]]
        sums = statistics[node]
        weight = sum_node(near_targets, near_weights, size, criterion, sums)
        for k in range(n_sums):
            total[k] = sums[1] if criterion == SQUARED_ERROR else sums[k]
        impurity[node] = impurity_of(sums, weight, criterion)
        integers[:, node] = 0
        integers[0, node], integers[1, node], integers[4, node], integers[5, node] = -1, UNDEFINED, size, depth
        if node == 0:
            total_weight = weight
        is_small = size < limits[0] or size < 2 * limits[1] or weight < 2.0 * limits[2]
        if depth >= max_depth or is_small or impurity[node] <= PURE:
            continue

        draws = max_features < n_features
        if draws:
            for column in range(n_features):
                column_hash[column] = _mixed(key ^ _mixed(np.uint32(column + 0x9E3779B9)))
                columns[column] = column
        best, best_feature, best_code, best_following, best_side, best_has_missing = -np.inf, 0, 0, 0, False, False
        n_seen, bar = 0, -np.inf
        for turn in range(n_features):
            if turn >= max_features and n_seen > 0:
                break
            if draws:
                _next_column(column_hash, columns, turn)
            feature = columns[turn]
            column_codes = codes[feature]
            counted = False
            if rows.size:
                listed = rows[feature, start:end]
                low, high = np.int64(column_codes[listed[0]]), np.int64(column_codes[listed[size - 1]])
                if low == high:
                    continue
                for place in range(size):
                    sample = listed[place]
                    in_order[0][place] = column_codes[sample]
                    in_order[1][place] = targets[sample]
                if is_weighted:
                    for place in range(size):
                        in_order[2][place] = weights[listed[place]]
            else:
                low = high = np.int64(column_codes[near[0]])
                for place in range(size):
                    code = np.int64(column_codes[near[place]])
                    packed[place] = code
                    low, high = min(low, code), max(high, code)
                if low == high:
                    continue
                counted = few_codes and size > FEW_SAMPLES
                if counted:
                    count_codes(packed, near_targets, near_weights, size, criterion, low, high, counts, limits[1] > 1)
                else:
                    sort_packed(packed, spare, size, low, high)
                    for place in range(size):
                        at = packed[place] & 0xFFFFFFFF
                        in_order[0][place] = (packed[place] >> 32) + low
                        in_order[1][place] = near_targets[at]
                        in_order[2][place] = near_weights[at]
            n_seen += 1
            has_missing = high == missing_code
            for missing_first in range(2 if has_missing else 1):
                if counted:
                    value, code, following = scan_counts(
                        counts,
                        low,
                        high,
                        size,
                        weight,
                        total,
                        criterion,
                        missing_first > 0,
                        limits,
                        left_sums,
                        right_sums,
                    )
                elif n_sums == 2 and not has_missing and criterion == GINI:
                    value, code, following = scan_pair(in_order, size, weight, total, limits)
                else:
                    value, code, following = scan_sorted(
                        in_order,
                        size,
                        weight,
                        total,
                        criterion,
                        missing_first > 0,
                        missing_code,
                        limits,
                        left_sums,
                        right_sums,
                    )
                if value > bar:
                    bar = better_from(value, weight, criterion)
                    best, best_feature, best_code, best_following = value, feature, code, following
                    best_side, best_has_missing = missing_first > 0, has_missing
        if best == -np.inf:
            continue
        if limits[3] > 0.0:
            removed = best - node_score(total, weight, criterion)
            if not removed / total_weight + PURE >= limits[3]:
                continue

        column_codes = codes[best_feature]
        middle, n_right = start, 0
        for place in range(start, end):
            sample = samples[place]
            code = np.int64(column_codes[sample])
            is_left = best_side if (best_has_missing and code == missing_code) else code <= best_code
            if rows.size:
                goes_left[sample] = is_left
            if is_left:
                samples[middle] = sample
                middle += 1
            else:
                room[n_right] = sample
                n_right += 1
        samples[middle:end] = room[:n_right]
        if rows.size:
            _divide(rows, start, end, goes_left, room)
        integers[1, node], integers[2, node], integers[3, node] = best_feature, best_code, best_following
        missing_left[node] = best_side if best_has_missing else middle - start > end - middle
        left_key, right_key = (
            _mixed(np.uint32(key + np.uint32(0x7F4A7C15))),
            _mixed(np.uint32(key + np.uint32(0x94D049BB))),
        )
        waiting.append((middle, end, depth + 1, right_key, node))
        waiting.append((start, middle, depth + 1, left_key, -1))
    return n_nodes


@numba.njit(**COMPILED)
def _divide(rows: Any, start: int, end: int, goes_left: Any, room: Any) -> None:
    """Those that go left first, in every row; each side keeps its order."""
    for row in range(rows.shape[0]):
        listed = rows[row]
        middle, n_right = start, 0
        for place in range(start, end):
            sample = listed[place]
            # Written to both sides, and kept on one: no branch to predict.
            listed[middle] = sample
            room[n_right] = sample
            is_left = goes_left[sample]
            middle += is_left
            n_right += not is_left
        listed[middle:end] = room[:n_right]


@numba.njit(**COMPILED)
def _mixed(x: Any) -> Any:
    x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    x = np.uint32((x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(x ^ (x >> np.uint32(16)))


@numba.njit(**COMPILED)
def _next_column(column_hash: Any, columns: Any, turn: int) -> None:
    """Bring the column with the least hash of those left to its turn."""
    least = turn
    for other in range(turn + 1, columns.size):
        one, best = column_hash[columns[other]], column_hash[columns[least]]
        if one < best or (one == best and columns[other] < columns[least]):
            least = other
    columns[turn], columns[least] = columns[least], columns[turn]


@numba.njit(**COMPILED)
def _kept(orders: Any, weights: Any) -> Any:
    """The rows without the samples of weight zero."""
    kept = np.empty((orders.shape[0], np.sum(weights > 0.0)), np.int32)
    for row in range(orders.shape[0]):
        at = 0
        for place in range(orders.shape[1]):
            if weights[orders[row, place]] > 0.0:
                kept[row, at] = orders[row, place]
                at += 1
    return kept
