"""Growing a decision tree: level by level, all nodes of a level at once.

Each level is a handful of array operations.  Only two pairs of numbers are read from the device for it: how many nodes
may be split and how many samples they have, and the same for those that are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from portml.backends.backend import to_numpy
from portml.backends.kernel import kernel
from portml.backends.kernels.trees import (
    child_keys,
    entropy,
    gini,
    node_statistics,
    regroup_samples,
    route_samples,
    split_nodes,
)
from portml.backends.namespaces import Array, device_of, namespace

__all__ = ["PURE", "UNDEFINED", "grow_tree"]

PURE = 2.220446049250313e-16
"""A node with no more impurity than rounding makes is not split."""
UNDEFINED = -2
"""The column that a leaf looks at."""
NONE = -1
"""The child of a leaf."""


@kernel(differentiable=False)
def grow_tree(
    codes: Array,
    orders: Array,
    targets: Array,
    weights: Array,
    key: Array,
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
) -> tuple[Array, Array, Array, Array, Array, Array, Array, Array, Array]:
    """Split nodes until they are pure, too small or too deep.

    What a tree looks like does not depend on the order in which its nodes are visited: what is random in a node follows
    from its key alone, which follows from its parent's.

    Parameters
    ----------
    codes : integer array (n_features, n_samples)
        As in `split_nodes`.
    orders : array (n_features, n_samples) of int32, or None
        The samples by code, for each column; None: nodes sort their own.
    targets : array (n_samples,)
        Classes as int32, or values of float64.
    weights : array (n_samples,) of float64, or None
        Not negative; samples of weight zero are left out.
    key : array (1,) of uint32, or None
        From which the nodes draw their columns; None where they look at all of them.
    criterion : {"gini", "entropy", "squared_error"}
    n_classes, n_codes : int
    missing : bool
    max_depth, min_samples_split, min_samples_leaf : int
    min_weight_leaf, min_impurity_decrease : float
    max_features : int

    Returns
    -------
    Of the nodes, in the order of a walk that goes left first, so that a left child follows its parent:

    right : array (n_nodes,) of int64
        The number of the right child; -1 in leaves.
    feature : array (n_nodes,) of int64
        -2 in leaves.
    code, following : arrays (n_nodes,) of int64
        The last code that goes left, and the next that the node has; 0 in leaves.
    missing_left : array (n_nodes,) of bool
    statistics : array (n_nodes, n_classes) or (n_nodes, 3) of float64
        As `node_statistics` gives them.
    n_samples : array (n_nodes,) of int64
    impurity : array (n_nodes,) of float64
    depth : array (n_nodes,) of int64
    """
    growth = _Growth(
        criterion=criterion,
        n_classes=n_classes,
        n_codes=n_codes,
        missing=missing,
        max_depth=max_depth,
        min_samples_split=min_samples_split,
        min_samples_leaf=min_samples_leaf,
        min_weight_leaf=min_weight_leaf,
        min_impurity_decrease=min_impurity_decrease,
        max_features=max_features,
    )
    grower = _Grower(codes, orders, targets, weights, key, growth)
    while grower.search() and grower.split():
        pass
    return _assembled(grower.levels)


@dataclass(frozen=True)
class _Growth:
    criterion: str
    n_classes: int
    n_codes: int
    missing: bool
    max_depth: int
    min_samples_split: int
    min_samples_leaf: int
    min_weight_leaf: float
    min_impurity_decrease: float
    max_features: int


@dataclass
class _Level:
    """The nodes of one level.

    Attributes
    ----------
    statistics, n_samples, impurity : arrays (n_nodes, ...)
    first_child : array (n_nodes,) of int64
        The number, in the next level, of the left child, which the right one follows; -1 in leaves.
    feature, code, following, missing_left : arrays (n_nodes,)
    parents : array (n_split,) of int64
        The nodes that have children.
    """

    statistics: Array
    n_samples: Array
    impurity: Array
    first_child: Any = None
    feature: Any = None
    code: Any = None
    following: Any = None
    missing_left: Any = None
    parents: Any = None


class _Grower:
    """What changes from level to level: which samples are in which node, and the nodes of the levels so far.

    `samples` and, for presorted columns, `orders` list the samples of the nodes that are looked at, node after node;
    `chosen` says which nodes of the last level these are.
    """

    def __init__(
        self, codes: Array, orders: Array, targets: Array, weights: Array, key: Array, growth: _Growth
    ) -> None:
        xp, device = namespace(codes), device_of(codes)
        n_features, n_samples = codes.shape
        self.codes, self.targets, self.weights, self.growth = codes, targets, weights, growth
        self.xp, self.draws = xp, key is not None
        self.is_presorted = orders is not None and growth.max_features >= n_features
        self.node_of = xp.zeros((n_samples,), dtype=xp.int32, device=device)
        self.samples = xp.arange(n_samples, dtype=xp.int32, device=device)[None, :]
        self.orders = orders
        n_listed = n_samples
        if weights is not None:
            self.node_of = xp.where(weights > 0.0, self.node_of, xp.full_like(self.node_of, -1))
            n_listed = int(to_numpy(xp.sum(xp.astype(self.node_of == 0, xp.int64))))
        self.starts = xp.asarray([0, n_listed], dtype=xp.int64, device=device)
        if n_listed < n_samples:
            self.samples = self._regrouped(self.samples, n_listed)
            self.orders = self._regrouped(self.orders, n_listed) if self.is_presorted else None
        self.keys = xp.zeros((1,), dtype=xp.uint32, device=device) if key is None else key
        self.levels = [self._level()]
        self.total_weight = _weight(self.levels[0].statistics, growth)[0]
        self.chosen: Any = None

    def search(self) -> bool:
        """Choose the nodes of the last level that may be split, and list their samples; False if there are none."""
        xp, level = self.xp, self.levels[-1]
        searched = _worth_searching(level, self.growth, depth=len(self.levels) - 1)
        n_searched, n_listed = _counts(searched, level.n_samples)
        if n_searched == 0:
            return False
        self.chosen = _positions(searched, n_searched)
        if n_searched < searched.shape[0]:
            slot = _numbered(searched)
            self.node_of = xp.where(self.node_of < 0, self.node_of, xp.take(slot, _or_zero(self.node_of)))
            self.starts = _starts(xp.take(level.n_samples, self.chosen))
            self.samples = self._regrouped(self.samples, n_listed)
            self.keys = xp.take(self.keys, self.chosen)
        if self.is_presorted and len(self.levels) > 1:
            self.orders = self._regrouped(self.orders, n_listed)
        return True

    def split(self) -> bool:
        """Split the nodes that were chosen; False if none could be."""
        xp, level, growth = self.xp, self.levels[-1], self.growth
        score, feature, code, following, missing_left, n_left = self._best_splits()
        is_split = score > -xp.inf
        if growth.min_impurity_decrease > 0.0:
            removed = score - _score(xp.take(level.statistics, self.chosen, axis=0), growth)
            is_split = is_split & (removed / self.total_weight + PURE >= growth.min_impurity_decrease)
        n_here = xp.take(level.n_samples, self.chosen)
        n_split, n_listed = _counts(is_split, n_here)
        if n_split == 0:
            return False
        number = _numbered(is_split)
        self._record(level, number, feature, code, following, missing_left)
        splits = _positions(is_split, n_split)
        level.parents = xp.take(self.chosen, splits)
        left, right = (xp.where(is_split, 2 * number + side, number) for side in (0, 1))
        options = {"n_codes": growth.n_codes, "missing": growth.missing}
        self.node_of = route_samples(self.codes, self.node_of, feature, code, missing_left, left, right, **options)
        n_left, n_here = xp.take(n_left, splits), xp.take(n_here, splits)
        self.starts = _starts(_interleaved(n_left, n_here - n_left))
        self.samples = self._regrouped(self.samples, n_listed)
        parents = xp.take(self.keys, splits)
        self.keys = _interleaved(*(child_keys(parents) if self.draws else (parents, parents)))
        self.levels.append(self._level())
        return True

    def _best_splits(self) -> tuple[Array, ...]:
        growth = self.growth
        found: tuple[Array, ...] = split_nodes(
            self.codes,
            self.orders if self.is_presorted else self.samples,
            self.starts,
            self.targets,
            self.weights,
            self.keys,
            criterion=growth.criterion,
            n_classes=growth.n_classes,
            n_codes=growth.n_codes,
            presorted=self.is_presorted,
            missing=growth.missing,
            min_samples_leaf=growth.min_samples_leaf,
            min_weight_leaf=growth.min_weight_leaf,
            max_features=growth.max_features,
        )
        return found

    def _level(self) -> _Level:
        options = {"criterion": self.growth.criterion, "n_classes": self.growth.n_classes}
        sums = node_statistics(self.targets, self.weights, self.samples[0, :], self.starts, **options)
        return _Level(sums, self.starts[1:] - self.starts[:-1], _impurity(sums, self.growth))

    def _regrouped(self, orders: Array, size: int) -> Array:
        return regroup_samples(orders, self.node_of, self.starts, size=size)

    def _record(self, level: _Level, number: Array, *splits: Array) -> None:
        """Note the splits of the chosen nodes among all of the level."""
        xp, n_nodes = self.xp, level.n_samples.shape[0]
        every = xp.arange(n_nodes, dtype=xp.int64, device=device_of(number))
        place = xp.clip(xp.searchsorted(self.chosen, every), 0, self.chosen.shape[0] - 1)
        number = xp.astype(xp.where(xp.take(self.chosen, place) == every, xp.take(number, place), -1), xp.int64)
        level.first_child = xp.where(number >= 0, 2 * number, number)
        feature, code, following, missing_left = (xp.take(each, place) for each in splits)
        level.feature = xp.where(number >= 0, feature, UNDEFINED)
        level.code, level.following = (xp.where(number >= 0, each, 0) for each in (code, following))
        level.missing_left = missing_left & (number >= 0)


def _worth_searching(level: _Level, growth: _Growth, depth: int) -> Array:
    """Which nodes may be split at all."""
    xp = namespace(level.impurity)
    if depth >= growth.max_depth:
        return xp.zeros_like(level.impurity, dtype=xp.bool)
    least = max(growth.min_samples_split, 2 * growth.min_samples_leaf)
    is_mixed = (level.impurity > PURE) & (level.n_samples >= least)
    return is_mixed & (_weight(level.statistics, growth) >= 2.0 * growth.min_weight_leaf)


def _counts(flags: Array, n_samples: Array) -> tuple[int, int]:
    """How many nodes are marked, and how many samples they have; read from the device."""
    xp = namespace(flags)
    ones = xp.astype(flags, xp.int64)
    n_nodes, n_listed = to_numpy(xp.stack([xp.sum(ones), xp.sum(ones * n_samples)]))
    return int(n_nodes), int(n_listed)


def _positions(flags: Array, count: int) -> Array:
    """Where flags are true, (count,) of int64."""
    xp = namespace(flags)
    return xp.argsort(xp.astype(xp.logical_not(flags), xp.int8), stable=True)[:count]


def _numbered(flags: Array) -> Array:
    """0, 1, 2, ... where flags are true and -1 elsewhere, as int32."""
    xp = namespace(flags)
    number = xp.cumulative_sum(xp.astype(flags, xp.int32), dtype=xp.int32) - 1
    return xp.where(flags, number, xp.full_like(number, -1))


def _starts(counts: Array) -> Array:
    return namespace(counts).cumulative_sum(counts, include_initial=True)


def _or_zero(number: Array) -> Array:
    """Numbers of nodes, 0 where there is none."""
    xp = namespace(number)
    return xp.maximum(number, xp.zeros_like(number))


def _interleaved(left: Array, right: Array) -> Array:
    xp = namespace(left)
    return xp.reshape(xp.stack([left, right], axis=1), (-1,))


def _weight(statistics: Array, growth: _Growth) -> Array:
    if growth.criterion == "squared_error":
        return statistics[:, 0]
    return namespace(statistics).sum(statistics, axis=1)


def _impurity(statistics: Array, growth: _Growth) -> Array:
    """Gini impurity, entropy or variance of each node, (n_nodes,)."""
    if growth.criterion == "squared_error":
        mean = statistics[:, 1] / statistics[:, 0]
        return statistics[:, 2] / statistics[:, 0] - mean * mean
    return gini(statistics) if growth.criterion == "gini" else entropy(statistics)


def _score(statistics: Array, growth: _Growth) -> Array:
    """What `split_nodes` would score a node that is not split."""
    weight = _weight(statistics, growth)
    if growth.criterion == "squared_error":
        return statistics[:, 1] * statistics[:, 1] / weight
    return weight * ((1.0 - gini(statistics)) if growth.criterion == "gini" else -entropy(statistics))


def _assembled(levels: list[_Level]) -> tuple[Array, ...]:
    """The nodes of all levels in the order of a walk that goes left first.

    From below, how many nodes hang from each; from above, where each then stands: a left child right behind its parent,
    a right child behind all that hangs from its sibling.
    """
    xp = namespace(levels[0].statistics)
    sizes = [xp.ones_like(levels[-1].n_samples)]
    for level in reversed(levels[:-1]):
        child = _or_zero(level.first_child)
        below = xp.take(sizes[0], child) + xp.take(sizes[0], child + 1)
        sizes.insert(0, xp.where(level.first_child < 0, xp.ones_like(below), below + 1))
    places, right = [xp.zeros_like(sizes[0])], []
    for level, size in zip(levels[:-1], sizes[1:], strict=True):
        after_left = places[-1] + 1 + xp.take(size, _or_zero(level.first_child))
        right.append(xp.where(level.first_child < 0, xp.full_like(after_left, NONE), after_left))
        here = xp.take(places[-1], level.parents) + 1
        places.append(_interleaved(here, xp.take(after_left, level.parents)))
    last = levels[-1]
    right.append(xp.full_like(last.n_samples, NONE))
    last.feature = xp.full_like(last.n_samples, UNDEFINED)
    last.code = last.following = xp.zeros_like(last.n_samples)
    last.missing_left = xp.zeros_like(last.n_samples, dtype=xp.bool)
    order = xp.argsort(xp.concat(places))
    columns = [
        [getattr(level, name) for level in levels]
        for name in ("feature", "code", "following", "missing_left", "statistics", "n_samples", "impurity")
    ]
    depths = [xp.full_like(level.n_samples, depth) for depth, level in enumerate(levels)]
    return tuple(xp.take(xp.concat(column), order, axis=0) for column in (right, *columns, depths))
