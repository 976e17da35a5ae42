"""Growing decision trees in NumPy: counting where codes are few, else sorting one key for each sample and column.

Of one column, the samples of all nodes of a level fall into *cells*: samples of one node with one code.  Between two
cells of a node there may be a split.  The cells come from the columns' order where that is known, from counting where
nodes and codes are few, and else from sorting; the search through the cells is the same for all three.

A column is searched at a time, so that what is worked on stays in the cache, and of a forest's nodes only the columns
that were drawn: what differs from node to node is then which column it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portml.backends.kernels.trees import (
    column_order,
    node_statistics,
    regroup_samples,
    route_samples,
    split_nodes,
    tied_from,
)

__all__: list[str] = []

Numbers = NDArray[Any]

COUNTED = 12
"""So many possible cells for each sample are counted rather than sorted."""
TOGETHER = 1 << 14
"""So many codes are searched at a time, where nodes have drawn their columns."""
LARGEST_RIDER = 1 << 8
"""Weights that are integers below this are sorted along."""


@split_nodes.on("numpy")
def _(
    codes: Numbers,
    orders: Numbers,
    starts: Numbers,
    targets: Numbers,
    weights: Numbers,
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
    n_features = codes.shape[0]
    missing_code = n_codes - 1 if missing else None
    rules = _Rules(criterion, n_classes, n_codes, missing_code, min_samples_leaf, min_weight_leaf)
    level = _Level(orders[0], starts, targets, weights, rules)
    best = _Splits.none(keys.shape[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        if max_features >= n_features:
            for j in range(n_features):
                cells = level.sorted_cells(codes[j], orders[j]) if presorted else level.cells(codes[j][level.samples])
                best.improve(_best_splits(cells, rules), np.full(keys.shape, j), cells.n_in_node > 1)
        else:
            _search_drawn_columns(best, level, codes, column_order(keys, n_features), max_features)
    is_split = best.score > -np.inf
    best.missing_left &= is_split
    return best.score, best.feature, best.code, best.following, best.missing_left, best.n_left


@regroup_samples.on("numpy")
def _(orders: Numbers, node_of: Numbers, starts: Numbers, *, size: int) -> Numbers:
    n_nodes = starts.shape[0] - 1
    # Integers of up to 16 bits are sorted digit by digit, in linear time.
    number = np.uint8 if n_nodes < 1 << 8 else np.uint16 if n_nodes < 1 << 16 else np.int32
    regrouped = np.empty((orders.shape[0], size), orders.dtype)
    for row, into in zip(orders, regrouped, strict=True):
        node = node_of[row.astype(np.intp)]
        node[node < 0] = n_nodes
        into[...] = row[np.argsort(node.astype(number), kind="stable")[:size]]
    return regrouped


@route_samples.on("numpy")
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
    child = node_of.copy()
    # Deep down few samples are still in a node.
    samples = np.flatnonzero(node_of >= 0)
    node = node_of[samples].astype(np.intp)
    found = codes.reshape(-1)[feature[node] * codes.shape[1] + samples]
    goes_left = found <= code[node]
    if missing:
        goes_left = np.where(found == n_codes - 1, missing_left[node], goes_left)
    child[samples] = np.where(goes_left, left[node], right[node])
    return child


@node_statistics.on("numpy")
def _(
    targets: Numbers, weights: Numbers, samples: Numbers, starts: Numbers, *, criterion: str, n_classes: int
) -> Numbers:
    n_nodes = starts.shape[0] - 1
    node = np.repeat(np.arange(n_nodes), np.diff(starts))
    target = targets[samples]
    weight = None if weights is None else weights[samples].astype(np.float64)
    if criterion != "squared_error":
        counts = np.bincount(node * n_classes + target, weight, n_nodes * n_classes)
        return counts.reshape(n_nodes, n_classes).astype(np.float64, copy=False)
    value = target.astype(np.float64)
    first = value if weight is None else weight * value
    sums = [np.bincount(node, each, n_nodes) for each in (weight, first, first * value)]
    return np.stack(sums, axis=1).astype(np.float64, copy=False)


@dataclass(frozen=True)
class _Rules:
    """How splits are scored and which are allowed; `missing_code` is None where no value is missing."""

    criterion: str
    n_classes: int
    n_codes: int
    missing_code: int | None
    min_samples_leaf: int
    min_weight_leaf: float


@dataclass
class _Cells:
    """What is known of the cells of one column, by node and code.

    Attributes
    ----------
    code : integer array (n_cells,)
    n_until : integer array (n_cells,)
        How many samples there are up to the end of each cell, from the level's first on.
    sums : list of arrays (n_cells,)
        The same for weights: those of each class; or for the squared error the weight (None: as many as there are
        samples) and weight times target.
    last : array (n_nodes,) of int64
        The last cell of each node.
    n_in_node : array (n_nodes,) of int64
        How many cells a node has.
    """

    code: Numbers
    n_until: Numbers
    sums: list[Numbers]
    last: Numbers
    n_in_node: Numbers

    @classmethod
    def of(cls, code: Numbers, n_until: Numbers, sums: list[Numbers], starts: Numbers) -> _Cells:
        last = np.searchsorted(n_until, starts[1:].astype(n_until.dtype))
        n_in_node = last.copy()
        n_in_node[1:] -= last[:-1]
        n_in_node[:1] += 1
        return cls(code, n_until, sums, last, n_in_node)


class _Level:
    """The samples of all nodes, node after node."""

    def __init__(self, samples: Numbers, starts: Numbers, targets: Numbers, weights: Numbers, rules: _Rules) -> None:
        # Arrays are indexed twice as fast by integers of the machine's own size.
        self.samples, self.starts, self.rules = samples.astype(np.intp, copy=False), starts, rules
        self.targets, self.weights = targets, weights
        self.n_nodes = starts.shape[0] - 1
        self.node = np.repeat(np.arange(self.n_nodes), np.diff(starts))
        self.target = targets[self.samples]
        self.weight = None if weights is None else weights[self.samples].astype(np.float64, copy=False)
        self.class_bits = max(rules.n_classes - 1, 1).bit_length()
        self.rider, self.rider_bits = self._rider()

    def _rider(self) -> tuple[Numbers | None, int]:
        """A small integer that tells the class and the weight of a sample, and its bits; None where there is none.

        It rides on the keys that are sorted, so that the places of the samples are not needed.  A forest's weights say
        how often a sample was drawn.
        """
        if self.rules.criterion == "squared_error":
            return None, 0
        if self.weight is None:
            return self.target, self.class_bits
        count = self.weight.astype(np.int32)
        if count.max() >= LARGEST_RIDER or np.any(count != self.weight):
            return None, 0
        return (count << self.class_bits) | self.target, self.class_bits + int(count.max()).bit_length()

    def part(self, nodes: Numbers) -> _Level:
        """Some of the nodes, given by a flag for each."""
        sizes = np.diff(self.starts)
        starts = np.concatenate([[0], np.cumsum(sizes[nodes])])
        return _Level(self.samples[np.repeat(nodes, sizes)], starts, self.targets, self.weights, self.rules)

    def repeated(self, times: int) -> _Level:
        """The nodes as often over again."""
        starts = np.concatenate([[0], np.cumsum(np.tile(np.diff(self.starts), times))])
        return _Level(np.tile(self.samples, times), starts, self.targets, self.weights, self.rules)

    def cells(self, found: Numbers) -> _Cells:
        """The cells of a column, from the code of each sample."""
        n_possible = self.n_nodes * self.rules.n_codes
        key = self.node * self.rules.n_codes + found
        if n_possible * self.rules.n_classes <= COUNTED * found.shape[0]:
            return self._counted_cells(key, n_possible)
        if self.rider is None:
            order = _sorting(key, n_possible)
            weight = None if self.weight is None else self.weight[order]
            return self._cells_in_order(key[order], self.target[order], weight)
        key = key.astype(np.int32) if n_possible << self.rider_bits < 1 << 31 else key
        key = (key << self.rider_bits) | self.rider
        key.sort()
        target = key & ((1 << self.class_bits) - 1)
        count: Numbers | None = None
        if self.weight is not None:
            count = (key >> self.class_bits) & ((1 << (self.rider_bits - self.class_bits)) - 1)
        return self._cells_in_order(key >> self.rider_bits, target, count)

    def sorted_cells(self, codes: Numbers, order: Numbers) -> _Cells:
        """The cells of a column whose order is known."""
        order = order.astype(np.intp)
        code = codes[order]
        is_last = np.empty(code.shape, np.bool_)
        np.not_equal(code[1:], code[:-1], out=is_last[:-1])
        is_last[self.starts[1:] - 1] = True
        weight = None if self.weights is None else self.weights[order]
        ends = np.flatnonzero(is_last)
        return self._cells_until(ends, code[ends], self.targets[order], weight)

    def _counted_cells(self, key: Numbers, n_possible: int) -> _Cells:
        n_classes, n_codes = self.rules.n_classes, self.rules.n_codes
        if self.rules.criterion == "squared_error":
            n = np.bincount(key, minlength=n_possible)
            value = self.target.astype(np.float64, copy=False)
            value = value if self.weight is None else self.weight * value
            sums = [n if self.weight is None else np.bincount(key, self.weight, n_possible)]
            sums.append(np.bincount(key, value, n_possible))
        else:
            by_class = np.bincount(key * n_classes + self.target, self.weight, n_possible * n_classes)
            sums = list(by_class.reshape(n_possible, n_classes).T)
            n = sum(sums[1:], sums[0]) if self.weight is None else np.bincount(key, minlength=n_possible)
        occupied = np.flatnonzero(n)
        sums = [np.cumsum(each[occupied]) for each in sums]
        return _Cells.of(occupied % n_codes, np.cumsum(n[occupied]), sums, self.starts)

    def _cells_in_order(self, key: Numbers, target: Numbers, weight: Numbers | None) -> _Cells:
        is_last = np.empty(key.shape, np.bool_)
        np.not_equal(key[1:], key[:-1], out=is_last[:-1])
        is_last[-1:] = True
        ends = np.flatnonzero(is_last)
        return self._cells_until(ends, key[ends] % self.rules.n_codes, target, weight)

    def _cells_until(self, ends: Numbers, code: Numbers, target: Numbers, weight: Numbers | None) -> _Cells:
        """Cells from where they end among samples in order, with the targets and weights of these."""
        n_until = ends + 1
        if self.rules.criterion == "squared_error":
            value = target if weight is None else weight * target
            sums = [n_until if weight is None else np.cumsum(weight)[ends], np.cumsum(value, dtype=np.float64)[ends]]
        elif weight is not None and self.rules.n_classes == 2 and weight.dtype.kind == "i":
            number = np.int32 if weight.size * LARGEST_RIDER < 1 << 31 else np.int64
            ones: Numbers = np.cumsum(weight * target, dtype=number)[ends]
            sums = [np.cumsum(weight, dtype=number)[ends] - ones, ones]
        elif weight is not None:
            zero = weight.dtype.type(0)
            sums = [np.cumsum(np.where(target == k, weight, zero))[ends] for k in range(self.rules.n_classes)]
        elif self.rules.n_classes == 2:
            ones = np.cumsum(target, dtype=np.int32)[ends]
            sums = [n_until - ones, ones]
        else:
            sums = [np.cumsum(target == k, dtype=np.int32)[ends] for k in range(self.rules.n_classes)]
        return _Cells.of(code, n_until, sums, self.starts)


@dataclass
class _Splits:
    """The best split of each node so far, arrays (n_nodes,) as `split_nodes` returns them."""

    score: Numbers
    feature: Numbers
    code: Numbers
    following: Numbers
    missing_left: Numbers
    n_left: Numbers
    varied: Numbers
    """Whether some column was not constant."""

    @classmethod
    def none(cls, n_nodes: int) -> _Splits:
        numbers = [np.zeros(n_nodes, np.int64) for _ in range(4)]
        feature, code, following, n_left = numbers
        flags = np.zeros((2, n_nodes), np.bool_)
        return cls(np.full(n_nodes, -np.inf), feature, code, following, flags[0], n_left, flags[1])

    def improve(
        self, found: tuple[Numbers, ...], column: Numbers, varies: Numbers, nodes: Numbers | None = None
    ) -> None:
        """Take over what `_best_splits` found where that is better; `nodes` numbers those searched, None: all."""
        nodes = np.arange(self.score.shape[0]) if nodes is None else nodes
        self.varied[nodes] |= varies
        better = np.flatnonzero(found[-1] > self.score[nodes])
        into = nodes[better]
        self.feature[into] = column[better]
        mine = (self.score, self.code, self.following, self.missing_left, self.n_left)
        for each, new in zip(mine, found[:-1], strict=True):
            each[into] = new[better]


def _search_drawn_columns(best: _Splits, level: _Level, codes: Numbers, column_of: Numbers, max_features: int) -> None:
    """Search the columns drawn for each node, then further ones where all of these are constant."""
    flat, n_samples, turn = codes.reshape(-1), codes.shape[1], 0
    nodes = np.arange(level.n_nodes)
    # Of few samples several columns are searched at once, as if they were further nodes.
    together = max_features if level.samples.shape[0] * max_features <= TOGETHER else 1
    while turn < codes.shape[0]:
        if turn >= max_features:
            together, pending = 1, np.logical_not(best.varied[nodes])
            if not pending.any():
                return
            if not pending.all():
                level, nodes = level.part(pending), nodes[pending]
        searched = level.repeated(together) if together > 1 else level
        columns = column_of[nodes, turn : turn + together].T
        found = flat[(columns.reshape(-1) * n_samples)[searched.node] + searched.samples]
        cells = searched.cells(found)
        splits = [each.reshape(together, -1) for each in (*_best_splits(cells, level.rules), cells.n_in_node > 1)]
        for column, *split, varies in zip(columns, *splits, strict=True):
            best.improve(tuple(split), column, varies, nodes)
        turn += together


def _best_splits(cells: _Cells, rules: _Rules) -> tuple[Numbers, Numbers, Numbers, Numbers, Numbers, Numbers]:
    """Each node's best split.

    Score, code, following code, side of missing values, size of the left side, and the least score as good.
    """
    last, counts = cells.last, cells.n_in_node
    first = last - counts + 1
    n = _steps(cells.n_until[last])
    pairs = [_within_nodes(each, last, counts) for each in cells.sums]
    total, left = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    score = _scores(left, [np.repeat(each, counts) for each in total], rules)
    if rules.min_samples_leaf > 1:
        score[_too_small(_within_nodes(cells.n_until, last, counts)[1], n, counts, rules)] = -np.inf
    score[last] = -np.inf
    weight = total[0] if rules.criterion == "squared_error" else sum(total[1:], total[0])
    best, position = _best_in_nodes(score, first, counts, weight, rules)
    side = np.zeros(best.shape, np.bool_)
    n_missing = np.zeros_like(n)
    if rules.missing_code is not None:
        n_left = _within_nodes(cells.n_until, last, counts)[1]
        lacks = cells.code[last] == rules.missing_code
        before = np.where(counts > 1, last - 1, last)
        # What the last cell holds; a node that misses every value has nothing to split.
        n_missing = np.where(lacks, np.where(counts > 1, n - n_left[before], n), 0)
        moved = [np.where(lacks, t - np.where(counts > 1, x[before], 0), 0) for t, x in zip(total, left, strict=True)]
        left = [x + np.repeat(m, counts) for x, m in zip(left, moved, strict=True)]
        n_with = n_left + np.repeat(n_missing, counts)
        score = _scores(left, [np.repeat(each, counts) for each in total], rules)
        score[_too_small(n_with, n, counts, rules) | np.repeat(np.logical_not(lacks), counts)] = -np.inf
        score[last] = score[before] = -np.inf
        best_left, position_left = _best_in_nodes(score, first, counts, weight, rules)
        side = tied_from(best_left, weight, rules.criterion) > best
        best, position = np.where(side, best_left, best), np.where(side, position_left, position)
    n_best = cells.n_until[position] - (cells.n_until[last] - n) + np.where(side, n_missing, 0)
    side = np.where(n_missing > 0, side, 2 * n_best > n)
    following = cells.code[np.minimum(position + 1, cells.code.shape[0] - 1)]
    return best, cells.code[position], following, side, n_best, tied_from(best, weight, rules.criterion)


def _within_nodes(until: Numbers, last: Numbers, counts: Numbers) -> tuple[Numbers, Numbers]:
    """The sum of each node, and the cumulative sums that begin anew at each node."""
    ends = until[last]
    sizes = _steps(ends)
    return sizes, until - np.repeat(ends - sizes, counts)


def _steps(ends: Numbers) -> Numbers:
    """By how much each is more than the one before, the first more than zero."""
    steps = ends.copy()
    steps[1:] -= ends[:-1]
    return steps


def _too_small(n_left: Numbers, n: Numbers, counts: Numbers, rules: _Rules) -> Numbers:
    least = rules.min_samples_leaf
    flags: Numbers = (n_left < least) | (np.repeat(n, counts) - n_left < least)
    return flags


def _best_in_nodes(
    score: Numbers, first: Numbers, counts: Numbers, weight: Numbers, rules: _Rules
) -> tuple[Numbers, Numbers]:
    """The best score of each node and the first cell that is as good."""
    best = np.maximum.reduceat(score, first)
    equal = np.flatnonzero(score >= np.repeat(tied_from(best, weight, rules.criterion), counts))
    return best, equal[np.searchsorted(equal, first)]


def _scores(left: list[Numbers], total: list[Numbers], rules: _Rules) -> Numbers:
    """The score of each split; -inf where a side weighs too little."""
    right = [t - x for t, x in zip(total, left, strict=True)]
    # Sums of integers are zero only where a node ends, and nothing is split there; others may be by rounding.
    is_exact = left[0].dtype.kind == "i"
    left, right = ([x.astype(np.float64, copy=False) for x in side] for side in (left, right))
    weights = [side[0] if rules.criterion == "squared_error" else sum(side[1:], side[0]) for side in (left, right)]
    divisors = weights if is_exact else [_positive(weight) for weight in weights]
    score: Numbers = _side_score(left, divisors[0], rules.criterion) + _side_score(right, divisors[1], rules.criterion)
    if rules.min_weight_leaf > 0.0:
        score[(weights[0] < rules.min_weight_leaf) | (weights[1] < rules.min_weight_leaf)] = -np.inf
    return score


def _side_score(sums: list[Numbers], weight: Numbers, criterion: str) -> Numbers:
    """The score of a side of that weight."""
    if criterion == "squared_error":
        return sums[1] * sums[1] / weight
    if criterion == "gini":
        score: Numbers = sums[0] * sums[0]
        for each in sums[1:]:
            score += each * each
        score /= weight
        return score
    score = np.zeros_like(weight)
    for each in sums:
        positive = _positive(each)
        score += positive * np.log2(positive)
    score -= weight * np.log2(weight)
    return score


def _positive(x: Numbers) -> Numbers:
    positive: Numbers = np.where(x > 0.0, x, 1.0)
    return positive


def _sorting(key: Numbers, n_keys: int) -> Numbers:
    """The stable order of keys from 0 to n_keys - 1: key and place packed into one integer, which sorts faster."""
    n = key.shape[0]
    if n_keys * n >= 1 << 63:
        return np.argsort(key, kind="stable")
    packed = key * n + np.arange(n)
    packed.sort()
    order: Numbers = packed % n
    return order
