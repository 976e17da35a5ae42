"""Finding a node's best split, compiled: sorting or counting its samples, and scanning them from left to right."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from portml.backends._numba import COMPILED
from portml.backends.kernels.trees import CRITERIA, TIE

__all__ = [
    "ENTROPY",
    "FEW_SAMPLES",
    "GINI",
    "SQUARED_ERROR",
    "better_from",
    "count_codes",
    "impurity_of",
    "node_score",
    "scan_counts",
    "scan_pair",
    "scan_sorted",
    "sort_packed",
    "sum_node",
]

GINI, ENTROPY, SQUARED_ERROR = range(len(CRITERIA))
FEW_SAMPLES = 32
"""Nodes of at most so many samples are sorted by insertion."""


@numba.njit(**COMPILED)
def better_from(score: float, weight: float, criterion: int) -> Any:
    """Above which score a later split of a node of that weight is better, and not by rounding alone."""
    return score + TIE * (weight if criterion == ENTROPY else abs(score))


@numba.njit(**COMPILED)
def scan_pair(in_order: Any, size: int, weight: float, total: Any, limits: Any) -> Any:
    """`scan_sorted` of two classes by gini, where nothing is missing."""
    codes, classes, weights = in_order
    second, weight_left = 0.0, 0.0
    best, place_of_best, bar = -np.inf, 1, -np.inf
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
                if value > bar:
                    best, place_of_best, bar = value, place, better_from(value, weight, GINI)
    return best, codes[place_of_best - 1], codes[place_of_best]


@numba.njit(**COMPILED)
def scan_sorted(
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
    best, place_of_best, bar = -np.inf, 1, -np.inf
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
                if value > bar:
                    best, place_of_best, bar = value, place, better_from(value, weight, criterion)
        share = weights[place]
        column, amount = np.int64(0), share * targets[place]
        if criterion != SQUARED_ERROR:
            column, amount = np.int64(targets[place]), share
        squares_left += amount * (2.0 * left[column] + amount)
        squares_right -= amount * (2.0 * right[column] - amount)
        left[column] += amount
        right[column] -= amount
        weight_left += share
    return best, codes[place_of_best - 1], codes[min(place_of_best, size - 1)]


@numba.njit(**COMPILED)
def scan_counts(
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
    best, best_code, best_following, before, bar = -np.inf, 0, 0, -1, -np.inf
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
                if value > bar:
                    best, best_code, best_following = value, before, code
                    bar = better_from(value, weight, criterion)
        for k in range(n_sums):
            left[k] += here[k]
        weight_left += here[n_sums]
        n_left += here[n_sums + 1]
        before = code
    return best, best_code, best_following


@numba.njit(**COMPILED)
def count_codes(
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
def sort_packed(packed: Any, spare: Any, size: int, low: int, high: int) -> None:
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
def sum_node(targets: Any, weights: Any, size: int, criterion: int, sums: Any) -> Any:
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
def impurity_of(sums: Any, weight: float, criterion: int) -> Any:
    """The impurity of a node of these statistics."""
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
def node_score(total: Any, weight: float, criterion: int) -> Any:
    """What a side of a split counts: the sum over both sides is largest where they are purest."""
    if criterion == ENTROPY:
        return _negative_entropy(total, weight)
    squares = 0.0
    for k in range(total.size):
        squares += total[k] * total[k]
    return squares / weight


@numba.njit(**COMPILED)
def _negative_entropy(sums: Any, weight: float) -> Any:
    value = 0.0
    for k in range(sums.size):
        if sums[k] > 0.0:
            value += sums[k] * np.log2(sums[k])
    return value - weight * np.log2(weight)
