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
from portml.backends.kernels.tree_growth import PURE, UNDEFINED, grow_tree
from portml.backends.kernels.trees import CRITERIA

__all__: list[str] = []

Numbers = NDArray[Any]

GINI, ENTROPY, SQUARED_ERROR = range(len(CRITERIA))
FEW_SAMPLES = 32
"""Nodes of at most so many samples are sorted by insertion."""
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
        weight = _sum_node(near_targets, near_weights, size, criterion, sums)
        for k in range(n_sums):
            total[k] = sums[1] if criterion == SQUARED_ERROR else sums[k]
        impurity[node] = _impurity(sums, weight, criterion)
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
        n_seen = 0
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
                    _count(packed, near_targets, near_weights, size, criterion, low, high, counts, limits[1] > 1)
                else:
                    _sort(packed, spare, size, low, high)
                    for place in range(size):
                        at = packed[place] & 0xFFFFFFFF
                        in_order[0][place] = (packed[place] >> 32) + low
                        in_order[1][place] = near_targets[at]
                        in_order[2][place] = near_weights[at]
            n_seen += 1
            has_missing = high == missing_code
            for missing_first in range(2 if has_missing else 1):
                if counted:
                    value, code, following = _scan_counts(
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
                    value, code, following = _scan_pair(in_order, size, weight, total, limits)
                else:
                    value, code, following = _scan(
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
                if value > best:
                    best, best_feature, best_code, best_following = value, feature, code, following
                    best_side, best_has_missing = missing_first > 0, has_missing
        if best == -np.inf:
            continue
        if limits[3] > 0.0:
            removed = best - _node_score(total, weight, criterion)
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
def _scan_pair(in_order: Any, size: int, weight: float, total: Any, limits: Any) -> Any:
    """`_scan` of two classes by gini, where nothing is missing."""
    codes, classes, weights = in_order
    second, weight_left = 0.0, 0.0
    best, place_of_best = -np.inf, 1
    for place in range(1, size):
        share = weights[place - 1]
        weight_left += share
        second += share * classes[place - 1]
        if codes[place] != codes[place - 1] and place >= limits[1] and size - place >= limits[1]:
            weight_right = weight - weight_left
            if weight_left >= limits[2] and weight_right >= limits[2]:
                first, rest = weight_left - second, total[1] - second
                other = weight_right - rest
                value = (first * first + second * second) / weight_left + (other * other + rest * rest) / weight_right
                if value > best:
                    best, place_of_best = value, place
    return best, codes[place_of_best - 1], codes[place_of_best]


@numba.njit(**COMPILED)
def _scan(
    in_order: Any,
    size: int,
    weight: float,
    total: Any,
    criterion: int,
    missing_first: bool,
    missing_code: int,
    limits: Any,
    left: Any,
    right: Any,
) -> Any:
    """The best split of sorted samples; sums of squares are carried along, as each sample changes one term."""
    codes, targets, weights = in_order
    end = size
    left[:] = 0.0
    right[:] = total
    weight_left, squares_left, squares_right = 0.0, 0.0, 0.0
    for k in range(total.size):
        squares_right += total[k] * total[k]
    if missing_first:
        while codes[end - 1] == missing_code:
            end -= 1
    n_first = size - end
    best, place_of_best = -np.inf, 1
    for turn in range(end + n_first):
        place = end + turn if turn < n_first else turn - n_first
        if turn > n_first and codes[place] != codes[place - 1] and turn >= limits[1] and size - turn >= limits[1]:
            weight_right = weight - weight_left
            if weight_left >= limits[2] and weight_right >= limits[2]:
                if criterion == ENTROPY:
                    value = _negative_entropy(left, weight_left) + _negative_entropy(right, weight_right)
                elif criterion == SQUARED_ERROR:
                    value = left[0] * left[0] / weight_left + right[0] * right[0] / weight_right
                else:
                    value = squares_left / weight_left + squares_right / weight_right
                if value > best:
                    best, place_of_best = value, place
        share = weights[place]
        k, amount = 0, share * targets[place]
        if criterion != SQUARED_ERROR:
            k, amount = np.int64(targets[place]), share
        squares_left += amount * (2.0 * left[k] + amount)
        squares_right -= amount * (2.0 * right[k] - amount)
        left[k] += amount
        right[k] -= amount
        weight_left += share
    return best, codes[place_of_best - 1], codes[min(place_of_best, size - 1)]


@numba.njit(**COMPILED)
def _scan_counts(
    counts: Any,
    low: int,
    high: int,
    size: int,
    weight: float,
    total: Any,
    criterion: int,
    missing_first: bool,
    limits: Any,
    left: Any,
    right: Any,
) -> Any:
    """The best split between codes `low` and `high`, from the sums of each code; missing values have code `high`."""
    n_sums = total.size
    left[:] = 0.0
    n_left, weight_left, last = 0.0, 0.0, high
    if missing_first:
        left[:] = counts[high, :n_sums]
        weight_left, n_left, last = counts[high, n_sums], counts[high, n_sums + 1], high - 1
    best, best_code, best_following, before = -np.inf, 0, 0, -1
    for code in range(low, last + 1):
        here = counts[code]
        if here[n_sums] == 0.0:
            continue
        if before >= 0 and (limits[1] <= 1 or (n_left >= limits[1] and size - n_left >= limits[1])):
            weight_right = weight - weight_left
            if weight_left >= limits[2] and weight_right >= limits[2]:
                if criterion == ENTROPY:
                    for k in range(n_sums):
                        right[k] = total[k] - left[k]
                    value = _negative_entropy(left, weight_left) + _negative_entropy(right, weight_right)
                elif n_sums == 2:
                    rest, other = total[0] - left[0], total[1] - left[1]
                    value = (left[0] * left[0] + left[1] * left[1]) / weight_left
                    value += (rest * rest + other * other) / weight_right
                else:
                    squares_left, squares_right = 0.0, 0.0
                    for k in range(n_sums):
                        rest = total[k] - left[k]
                        squares_left += left[k] * left[k]
                        squares_right += rest * rest
                    value = squares_left / weight_left + squares_right / weight_right
                if value > best:
                    best, best_code, best_following = value, before, code
        for k in range(n_sums):
            left[k] += here[k]
        weight_left += here[n_sums]
        n_left += here[n_sums + 1]
        before = code
    return best, best_code, best_following


@numba.njit(**COMPILED)
def _count(
    codes: Any,
    targets: Any,
    weights: Any,
    size: int,
    criterion: int,
    low: int,
    high: int,
    counts: Any,
    in_numbers: bool,
) -> None:
    """The sums of each code, its weight and, if they matter, its number of samples."""
    n_sums = counts.shape[1] - 2
    counts[low : high + 1] = 0.0
    if criterion == SQUARED_ERROR:
        for place in range(size):
            here = counts[codes[place]]
            here[0] += weights[place] * targets[place]
            here[1] += weights[place]
    else:
        for place in range(size):
            counts[codes[place], np.int64(targets[place])] += weights[place]
        for code in range(low, high + 1):
            weight = 0.0
            for k in range(n_sums):
                weight += counts[code, k]
            counts[code, n_sums] = weight
    if in_numbers:
        for place in range(size):
            counts[codes[place], n_sums + 1] += 1.0


@numba.njit(**COMPILED)
def _sort(packed: Any, spare: Any, size: int, low: int, high: int) -> None:
    """Sort codes with the places they came from, which are put into the lower half; equal codes as they came."""
    for place in range(size):
        packed[place] = (packed[place] - low) << 32 | place
    if size <= FEW_SAMPLES:
        for place in range(1, size):
            item, hole = packed[place], place
            while hole > 0 and packed[hole - 1] > item:
                packed[hole] = packed[hole - 1]
                hole -= 1
            packed[hole] = item
        return
    begins = np.empty(257, np.int64)
    shift = 32
    while (high - low) >> (shift - 32) > 0:
        begins[:] = 0
        for place in range(size):
            begins[((packed[place] >> shift) & 255) + 1] += 1
        for digit in range(256):
            begins[digit + 1] += begins[digit]
        for place in range(size):
            digit = (packed[place] >> shift) & 255
            spare[begins[digit]] = packed[place]
            begins[digit] += 1
        packed[:size] = spare[:size]
        shift += 8


@numba.njit(**COMPILED)
def _sum_node(targets: Any, weights: Any, size: int, criterion: int, sums: Any) -> float:
    """Write the node's statistics and return its weight."""
    sums[:] = 0.0
    weight = 0.0
    for place in range(size):
        share = weights[place]
        weight += share
        if criterion == SQUARED_ERROR:
            sums[1] += share * targets[place]
            sums[2] += share * targets[place] * targets[place]
        else:
            sums[np.int64(targets[place])] += share
    if criterion == SQUARED_ERROR:
        sums[0] = weight
    return weight


@numba.njit(**COMPILED)
def _impurity(sums: Any, weight: float, criterion: int) -> float:
    if criterion == SQUARED_ERROR:
        mean = sums[1] / weight
        return sums[2] / weight - mean * mean
    squares, terms = 0.0, 0.0
    for k in range(sums.size):
        share = sums[k] / weight
        squares += share * share
        if criterion == ENTROPY and share > 0.0:
            terms += share * np.log2(share)
    return 1.0 - squares if criterion == GINI else 0.0 - terms


@numba.njit(**COMPILED)
def _node_score(total: Any, weight: float, criterion: int) -> float:
    if criterion == ENTROPY:
        return _negative_entropy(total, weight)
    squares = 0.0
    for k in range(total.size):
        squares += total[k] * total[k]
    return squares / weight


@numba.njit(**COMPILED)
def _negative_entropy(sums: Any, weight: float) -> float:
    value = 0.0
    for k in range(sums.size):
        if sums[k] > 0.0:
            value += sums[k] * np.log2(sums[k])
    return value - weight * np.log2(weight)


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
