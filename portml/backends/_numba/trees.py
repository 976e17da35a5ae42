"""Growing and reading decision trees, compiled: a node's samples stay in the cache while its columns are looked at."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from portml.backends._numba import COMPILED
from portml.backends.kernels.trees import (
    CRITERIA,
    node_statistics,
    regroup_samples,
    route_samples,
    split_nodes,
    tree_leaves,
)

__all__: list[str] = []

Numbers = NDArray[Any]

ENTROPY, SQUARED_ERROR = CRITERIA.index("entropy"), CRITERIA.index("squared_error")
FEW_SAMPLES = 32
"""Nodes of at most so many samples are sorted by insertion."""
FEW_CODES = 256
"""Columns of at most so many codes are counted code by code, others sorted."""
NO_WEIGHTS = np.empty(0)


@split_nodes.on("numba")
def _(
    codes: Numbers,
    orders: Numbers,
    starts: Numbers,
    targets: Numbers,
    weights: Numbers | None,
    keys: Numbers,
    *,
    criterion: str,
    n_classes: int,
    n_codes: int,
    presorted: bool,
    missing: bool,
    min_samples_leaf: int,
    min_weight_leaf: float,
    max_features: int,
) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers, Numbers]:
    n_nodes = keys.size
    score = np.empty(n_nodes)
    found = np.zeros((4, n_nodes), np.int64)
    missing_left = np.zeros(n_nodes, np.bool_)
    _split_nodes(
        codes,
        orders,
        starts,
        targets,
        NO_WEIGHTS if weights is None else weights,
        keys,
        CRITERIA.index(criterion),
        1 if criterion == "squared_error" else n_classes,
        n_codes,
        presorted,
        n_codes - 1 if missing else -1,
        min_samples_leaf,
        min_weight_leaf,
        max_features,
        score,
        found,
        missing_left,
    )
    return score, found[0], found[1], found[2], missing_left, found[3]


@route_samples.on("numba")
def _(
    codes: Numbers,
    node_of: Numbers,
    feature: Numbers,
    code: Numbers,
    missing_left: Numbers,
    left: Numbers,
    right: Numbers,
    *,
    n_codes: int,
    missing: bool,
) -> Numbers:
    out = np.empty(node_of.shape, np.int32)
    _route(codes, node_of, feature, code, missing_left, left, right, n_codes - 1 if missing else -1, out)
    return out


@regroup_samples.on("numba")
def _(orders: Numbers, node_of: Numbers, starts: Numbers, *, size: int) -> Numbers:
    out = np.empty((orders.shape[0], size), orders.dtype)
    _regroup(orders, node_of, starts, out)
    return out


@node_statistics.on("numba")
def _(
    targets: Numbers, weights: Numbers | None, samples: Numbers, starts: Numbers, *, criterion: str, n_classes: int
) -> Numbers:
    values = criterion == "squared_error"
    sums = np.zeros((starts.size - 1, 3 if values else n_classes))
    _sum_nodes(targets, NO_WEIGHTS if weights is None else weights, samples, starts, values, sums)
    return sums


@tree_leaves.on("numba")
def _(
    X: Numbers,
    feature: Numbers,
    threshold: Numbers,
    missing_left: Numbers,
    left: Numbers,
    right: Numbers,
    *,
    depth: int,
) -> Numbers:
    leaves = np.empty(X.shape[0], np.int64)
    _leaves(X, feature, threshold, missing_left, left, right, leaves)
    return leaves


@numba.njit(**COMPILED)
def _split_nodes(
    codes,
    orders,
    starts,
    targets,
    weights,
    keys,
    criterion,
    n_classes,
    n_codes,
    presorted,
    missing_code,
    min_samples_leaf,
    min_weight_leaf,
    max_features,
    score,
    found,
    missing_left,
):
    n_features = codes.shape[0]
    most = 0
    for node in range(keys.size):
        most = max(most, starts[node + 1] - starts[node])
    sorted_samples = np.empty(most, np.int32)
    spare, packed = np.empty(most, np.int64), np.empty(most, np.int64)
    few_codes = n_codes <= FEW_CODES
    counts = np.zeros((n_codes if few_codes else 1, n_classes + 2))
    total, left, right = np.empty(n_classes), np.empty(n_classes), np.empty(n_classes)
    column_hash, columns = np.empty(n_features, np.uint32), np.arange(n_features)
    limits = (min_samples_leaf, min_weight_leaf)
    for node in range(keys.size):
        start, end = starts[node], starts[node + 1]
        n = end - start
        samples = orders[0, start:end]
        weight = _total(samples, targets, weights, criterion, total)
        draws = max_features < n_features
        if draws:
            _hash_columns(keys[node], column_hash, columns)
        best, best_feature, best_code, best_following, best_n_left, best_missing_left = -np.inf, 0, 0, 0, 0, False
        seen = 0
        for turn in range(n_features):
            if turn >= max_features and seen > 0:
                break
            if draws:
                _next_column(column_hash, columns, turn)
            feature = columns[turn]
            column = codes[feature]
            counted = False
            low, high = column[samples[0]], column[samples[0]]
            if presorted:
                listed = orders[feature, start:end]
                low, high = column[listed[0]], column[listed[n - 1]]
            else:
                for place in range(n):
                    code = column[samples[place]]
                    packed[place] = code
                    low, high = min(low, code), max(high, code)
                listed = sorted_samples[:n]
                counted = few_codes and n > FEW_SAMPLES
            if low == high:
                continue
            seen += 1
            if counted:
                _count(packed, samples, targets, weights, criterion, low, high, counts)
            elif not presorted:
                _sort(packed, spare, samples, low, high, listed)
            for missing_first in (False, True):
                if missing_first and np.int64(high) != missing_code:
                    break
                if counted:
                    value, code, following, n_left = _scan_counts(
                        counts, low, high, n, weight, total, criterion, missing_first, limits, left, right
                    )
                else:
                    value, code, following, n_left = _scan_sorted(
                        column,
                        listed,
                        targets,
                        weights,
                        weight,
                        total,
                        criterion,
                        missing_first,
                        missing_code,
                        limits,
                        left,
                        right,
                    )
                if value > best:
                    best, best_feature, best_missing_left = value, feature, missing_first
                    best_code, best_following, best_n_left = code, following, n_left
        score[node] = best
        found[0, node], found[1, node], found[2, node], found[3, node] = (
            best_feature,
            best_code,
            best_following,
            best_n_left,
        )
        missing_left[node] = best_missing_left


@numba.njit(**COMPILED)
def _scan_sorted(
    column, listed, targets, weights, weight, total, criterion, missing_first, missing_code, limits, left, right
):
    """The best split of sorted samples; sums of squares are carried along, as each sample changes one term."""
    n, end = listed.size, listed.size
    left[:] = 0.0
    right[:] = total
    weight_left, squares_left, squares_right, n_first = 0.0, 0.0, 0.0, 0
    for k in range(total.size):
        squares_right += total[k] * total[k]
    if missing_first:
        while np.int64(column[listed[end - 1]]) == missing_code:
            end -= 1
            sample = listed[end]
            share = weights[sample] if weights.size else 1.0
            k, amount = _term(targets, sample, share, criterion)
            squares_left += amount * (2.0 * left[k] + amount)
            squares_right -= amount * (2.0 * right[k] - amount)
            left[k] += amount
            right[k] -= amount
            weight_left += share
        n_first = n - end
    best, best_place = -np.inf, 1
    before = column[listed[0]]
    for place in range(end):
        sample = listed[place]
        code = column[sample]
        if code != before:
            before = code
            n_left = n_first + place
            if n_left >= limits[0] and n - n_left >= limits[0]:
                weight_right = weight - weight_left
                if weight_left >= limits[1] and weight_right >= limits[1]:
                    if criterion == ENTROPY:
                        value = _negative_entropy(left, weight_left) + _negative_entropy(right, weight_right)
                    elif criterion == SQUARED_ERROR:
                        value = left[0] * left[0] / weight_left + right[0] * right[0] / weight_right
                    else:
                        value = squares_left / weight_left + squares_right / weight_right
                    if value > best:
                        best, best_place = value, place
        share = weights[sample] if weights.size else 1.0
        k, amount = _term(targets, sample, share, criterion)
        squares_left += amount * (2.0 * left[k] + amount)
        squares_right -= amount * (2.0 * right[k] - amount)
        left[k] += amount
        right[k] -= amount
        weight_left += share
    code, following = np.int64(column[listed[best_place - 1]]), np.int64(column[listed[min(best_place, n - 1)]])
    return best, code, following, n_first + best_place


@numba.njit(**COMPILED)
def _scan_counts(counts, low, high, n, weight, total, criterion, missing_first, limits, left, right):
    """The best split between codes `low` and `high`, from the sums of each code; missing values have code `high`."""
    n_classes = total.size
    left[:] = 0.0
    n_left, weight_left = 0.0, 0.0
    last = np.int64(high)
    if missing_first:
        for k in range(n_classes):
            left[k] = counts[high, k]
        weight_left, n_left = counts[high, n_classes], counts[high, n_classes + 1]
        last -= 1
    best, best_code, best_following, best_n_left, before = -np.inf, 0, 0, 0, -1
    for code in range(np.int64(low), last + 1):
        if counts[code, n_classes + 1] == 0.0:
            continue
        if before >= 0 and n_left >= limits[0] and n - n_left >= limits[0]:
            weight_right = weight - weight_left
            if weight_left >= limits[1] and weight_right >= limits[1]:
                if criterion == ENTROPY:
                    for k in range(n_classes):
                        right[k] = total[k] - left[k]
                    value = _negative_entropy(left, weight_left) + _negative_entropy(right, weight_right)
                else:
                    squares_left, squares_right = 0.0, 0.0
                    for k in range(n_classes):
                        rest = total[k] - left[k]
                        squares_left += left[k] * left[k]
                        squares_right += rest * rest
                    value = squares_left / weight_left + squares_right / weight_right
                if value > best:
                    best, best_code, best_following, best_n_left = value, before, code, np.int64(n_left)
        for k in range(n_classes):
            left[k] += counts[code, k]
        weight_left += counts[code, n_classes]
        n_left += counts[code, n_classes + 1]
        before = code
    return best, best_code, best_following, best_n_left


@numba.njit(**COMPILED)
def _term(targets, sample, share, criterion):
    """Which sum a sample adds to, and what."""
    if criterion == SQUARED_ERROR:
        return 0, share * targets[sample]
    return np.int64(targets[sample]), share


@numba.njit(**COMPILED)
def _negative_entropy(sums, weight):
    value = 0.0
    for k in range(sums.size):
        if sums[k] > 0.0:
            value += sums[k] * np.log2(sums[k])
    return value - weight * np.log2(weight)


@numba.njit(**COMPILED)
def _total(samples, targets, weights, criterion, total):
    total[:] = 0.0
    weight = 0.0
    for place in range(samples.size):
        share = weights[samples[place]] if weights.size else 1.0
        k, amount = _term(targets, samples[place], share, criterion)
        total[k] += amount
        weight += share
    return weight


@numba.njit(**COMPILED)
def _count(packed, samples, targets, weights, criterion, low, high, counts):
    """The sums of each code, its weight and its number of samples."""
    n_classes = counts.shape[1] - 2
    counts[low : high + 1] = 0.0
    for place in range(samples.size):
        sample, code = samples[place], packed[place]
        share = weights[sample] if weights.size else 1.0
        k, amount = _term(targets, sample, share, criterion)
        counts[code, k] += amount
        counts[code, n_classes] += share
        counts[code, n_classes + 1] += 1.0


@numba.njit(**COMPILED)
def _sort(packed, spare, samples, low, high, listed):
    """List samples by code, equal codes as they came: by insertion if they are few, else byte by byte."""
    n = samples.size
    for place in range(n):
        packed[place] = (packed[place] - np.int64(low)) << 32 | np.int64(samples[place])
    if n <= FEW_SAMPLES:
        for place in range(1, n):
            item, hole = packed[place], place
            while hole > 0 and packed[hole - 1] >> 32 > item >> 32:
                packed[hole] = packed[hole - 1]
                hole -= 1
            packed[hole] = item
        for place in range(n):
            listed[place] = packed[place] & 0xFFFFFFFF
        return
    begins = np.empty(257, np.int64)
    shift = 32
    source, destination = packed, spare
    while (np.int64(high) - np.int64(low)) >> (shift - 32) > 0:
        begins[:] = 0
        for place in range(n):
            begins[((source[place] >> shift) & 255) + 1] += 1
        for digit in range(256):
            begins[digit + 1] += begins[digit]
        for place in range(n):
            digit = (source[place] >> shift) & 255
            destination[begins[digit]] = source[place]
            begins[digit] += 1
        source, destination = destination, source
        shift += 8
    for place in range(n):
        listed[place] = source[place] & 0xFFFFFFFF


@numba.njit(**COMPILED)
def _mixed(x):
    x = np.uint32((x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    x = np.uint32((x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(x ^ (x >> np.uint32(16)))


@numba.njit(**COMPILED)
def _hash_columns(key, column_hash, columns):
    for column in range(columns.size):
        column_hash[column] = _mixed(np.uint32(key) ^ _mixed(np.uint32(column + 0x9E3779B9)))
        columns[column] = column


@numba.njit(**COMPILED)
def _next_column(column_hash, columns, turn):
    """Bring the column with the least hash of those left to its turn."""
    least = turn
    for other in range(turn + 1, columns.size):
        one, best = column_hash[columns[other]], column_hash[columns[least]]
        if one < best or (one == best and columns[other] < columns[least]):
            least = other
    columns[turn], columns[least] = columns[least], columns[turn]


@numba.njit(**COMPILED)
def _route(codes, node_of, feature, code, missing_left, left, right, missing_code, out):
    for sample in range(node_of.size):
        node = node_of[sample]
        if node < 0:
            out[sample] = node
            continue
        found = np.int64(codes[feature[node], sample])
        goes_left = missing_left[node] if found == missing_code else found <= code[node]
        out[sample] = left[node] if goes_left else right[node]


@numba.njit(**COMPILED)
def _regroup(orders, node_of, starts, out):
    place = np.empty(starts.size - 1, np.int64)
    for row in range(orders.shape[0]):
        place[:] = starts[:-1]
        listed, result = orders[row], out[row]
        for at in range(listed.size):
            sample = listed[at]
            node = node_of[sample]
            if node >= 0:
                result[place[node]] = sample
                place[node] += 1


@numba.njit(**COMPILED)
def _sum_nodes(targets, weights, samples, starts, values, sums):
    for node in range(starts.size - 1):
        for place in range(starts[node], starts[node + 1]):
            sample = samples[place]
            share = weights[sample] if weights.size else 1.0
            if values:
                target = targets[sample]
                sums[node, 0] += share
                sums[node, 1] += share * target
                sums[node, 2] += share * target * target
            else:
                sums[node, np.int64(targets[sample])] += share


@numba.njit(**COMPILED)
def _leaves(X, feature, threshold, missing_left, left, right, leaves):
    for row in range(X.shape[0]):
        node = 0
        while left[node] >= 0:
            value = X[row, feature[node]]
            goes_left = missing_left[node] if np.isnan(value) else value <= threshold[node]
            node = left[node] if goes_left else right[node]
        leaves[row] = node
