"""Growing the trees of gradient boosting: from histograms of gradients, the leaf that gains most first."""

from __future__ import annotations

from dataclasses import dataclass

from portml.backends.backend import to_numpy
from portml.backends.kernel import kernel
from portml.backends.kernels.rows import index_add
from portml.backends.namespaces import Array, device_of, namespace

__all__ = ["LEAST_HESSIAN", "TIE", "TINY", "boosted_splits", "divide_rows", "gradient_histograms", "grow_boosted_tree"]

LEAST_HESSIAN = 1e-3
"""What the second derivatives of each side of a split must sum to."""
TIE = 1e-8
"""Gains that differ by less, relative to what a split lowers the loss by, are equal: rounding must not choose a split.

More than the rounding of float64, as sums of gradients may run in integers of fewer bits.
"""
TINY = 1e-15
"""Added to sums of second derivatives, so that nothing is divided by zero."""


@kernel(differentiable=False)
def gradient_histograms(codes: Array, rows: Array, gradients: Array, hessians: Array, *, n_codes: int) -> Array:
    """Sums of gradients and second derivatives, and numbers of samples, for each column and code.

    Parameters
    ----------
    codes : array (n_samples, n_features) of uint8
    rows : array (n_rows,) of int64
        The samples of a node.
    gradients : array (n_samples,) of float64
    hessians : array (n_samples,) of float64, or None
        None: all 1.
    n_codes : int

    Returns
    -------
    array (3, n_features, n_codes) of float64
    """
    xp = namespace(codes, rows, gradients)
    n_features, device = codes.shape[1], device_of(codes)
    ones = xp.ones(rows.shape, dtype=xp.float64, device=device)
    slopes = xp.take(gradients, rows)
    values = xp.stack([slopes, ones if hessians is None else xp.take(hessians, rows), ones], axis=1)
    column = xp.arange(n_features, dtype=xp.int64, device=device)
    place = column * n_codes + xp.astype(xp.take(codes, rows, axis=0), xp.int64)
    repeated = xp.broadcast_to(values[:, None, :], (rows.shape[0], n_features, 3))
    sums = index_add(repeated, place, n=n_features * n_codes)
    return xp.reshape(xp.matrix_transpose(sums), (3, n_features, n_codes))


@kernel(differentiable=False)
def boosted_splits(histograms: Array, *, min_samples_leaf: int, l2_regularization: float) -> Array:
    """The best split of each node; see `grow_boosted_tree`.

    Parameters
    ----------
    histograms : array (n_nodes, 3, n_features, n_codes) of float64
        As `gradient_histograms` gives them; the last code means that the value is missing.
    min_samples_leaf : int
    l2_regularization : float

    Returns
    -------
    array (n_nodes, 7) of float64
        Value; gain, column, code, whether missing values go left, and samples on the left, all 0 where nothing is
        gained; and all samples.  Of equal gains the first column wins, there missing values go right, and the first
        code wins; gains are equal that differ by less than `TIE` of what the best split lowers the loss by.
    """
    xp = namespace(histograms)
    n_nodes, _, n_features, n_codes = histograms.shape
    total = xp.sum(histograms[:, :, :1, :], axis=3, keepdims=True)
    absent = histograms[..., n_codes - 1 :]
    left = xp.cumulative_sum(histograms[..., : n_codes - 1], axis=3)
    loss = _lowered(total, l2_regularization)
    gains = []
    for side in (left, left + absent):
        right = total - side
        enough = (side[:, 2, ...] >= min_samples_leaf) & (right[:, 2, ...] >= min_samples_leaf)
        enough = enough & (side[:, 1, ...] >= LEAST_HESSIAN) & (right[:, 1, ...] >= LEAST_HESSIAN)
        gain = _lowered(side, l2_regularization) + _lowered(right, l2_regularization) - loss
        gains.append(xp.where(enough, gain, 0.0))
    gain = xp.reshape(xp.concat(gains, axis=2), (n_nodes, -1))
    most = xp.max(gain, axis=1)
    tie = TIE * (most + loss[:, 0, 0])
    best = xp.argmax(xp.astype(gain >= (most - tie)[:, None], xp.int8), axis=1)
    node = xp.arange(n_nodes, dtype=best.dtype, device=device_of(best))
    feature, turn = best // (2 * n_codes - 2), best % (2 * n_codes - 2)
    code = turn % (n_codes - 1)
    goes_left = xp.astype(turn >= n_codes - 1, xp.float64)
    n_absent = xp.take(xp.reshape(absent[:, 2, ...], (-1,)), node * n_features + feature)
    place = (node * n_features + feature) * (n_codes - 1) + code
    n_left, n_all = xp.take(xp.reshape(left[:, 2, ...], (-1,)), place), total[:, 2, 0, 0]
    n_left = n_left + goes_left * n_absent
    goes_left = xp.where(n_absent > 0.0, goes_left, xp.astype(2.0 * n_left > n_all, xp.float64))
    value = -total[:, 0, 0, 0] / (total[:, 1, 0, 0] + l2_regularization + TINY)
    gain = xp.where(most > tie, xp.take_along_axis(gain, best[:, None], axis=1)[:, 0], 0.0)
    split = (gain, xp.astype(feature, xp.float64), xp.astype(code, xp.float64), goes_left, n_left)
    return xp.stack([value, *(xp.where(gain > 0.0, each, 0.0) for each in split), n_all], axis=1)


@kernel(differentiable=False)
def divide_rows(rows: Array, goes_right: Array) -> Array:
    """First the rows that do not go right, then those that do, each in the order that they had.

    Parameters
    ----------
    rows : array (n_rows,) of int64
    goes_right : array (n_rows,) of bool

    Returns
    -------
    array (n_rows,) of int64
    """
    xp = namespace(rows, goes_right)
    return xp.take(rows, xp.argsort(xp.astype(goes_right, xp.int8), stable=True))


@kernel(differentiable=False)
def grow_boosted_tree(
    codes: Array,
    gradients: Array,
    hessians: Array,
    *,
    n_codes: int,
    max_leaf_nodes: int,
    max_depth: int,
    min_samples_leaf: int,
    l2_regularization: float,
) -> tuple[Array, Array, Array, Array, Array, Array, Array, Array]:
    r"""A tree that takes a loss down from where it stands.

    With the sums :math:`G` and :math:`H` of a node's first and second derivatives, the value
    :math:`-G / (H + \lambda)` lowers the loss by :math:`G^2 / 2 (H + \lambda)`.  A split gains what its sides lower the
    loss by more than the node.  Always the leaf is split that gains most, of equals the first.  Of two siblings the
    histogram of the smaller one is summed; that of the other is the parent's less this.
    [Chen & Guestrin 2016, "XGBoost", eq. 5-7; Ke et al. 2017, "LightGBM", section 2.1]

    Parameters
    ----------
    codes : array (n_samples, n_features) of uint8
        The last code, n_codes - 1, means that the value is missing.
    gradients : array (n_samples,) of float64
    hessians : array (n_samples,) of float64, or None
        None: all 1.
    n_codes : int
    max_leaf_nodes, max_depth, min_samples_leaf : int
    l2_regularization : float

    Returns
    -------
    Of the nodes, each pair of children behind its parent:

    left : array (n_nodes,) of int64
        The number of the left child, which the right one follows; -1 in leaves.
    feature, code : arrays (n_nodes,) of int64
        At most this code goes left.
    missing_left : array (n_nodes,) of bool
    value, gain : arrays (n_nodes,) of float64
    n_samples : array (n_nodes,) of int64
    node_of : array (n_samples,) of int64
        The leaf of each sample.
    """
    xp, device = namespace(codes, gradients), device_of(codes)
    rows = xp.arange(codes.shape[0], dtype=xp.int64, device=device)
    histograms = gradient_histograms(codes, rows, gradients, hessians, n_codes=n_codes)
    rules = _Rules(max_depth, min_samples_leaf, l2_regularization)
    nodes = [_Node(rows, histograms, 0)]
    _look_for_splits(nodes, rules)
    n_leaves = 1
    while n_leaves < max_leaf_nodes:
        most = max(node.gain for node in nodes if node.left < 0)
        parent = next(node for node in nodes if node.left < 0 and node.gain >= most - TIE * most)
        if parent.gain <= 0.0:
            break
        parent.left = len(nodes)
        children = _children(parent, codes, gradients, hessians, n_codes)
        _look_for_splits(children, rules)
        nodes.extend(children)
        n_leaves += 1

    def column(name: str, dtype: str) -> Array:
        return xp.asarray([getattr(node, name) for node in nodes], dtype=getattr(xp, dtype), device=device)

    leaves = [(number, node) for number, node in enumerate(nodes) if node.left < 0]
    order = xp.argsort(xp.concat([node.rows for _, node in leaves]))
    node_of = xp.concat([xp.full_like(node.rows, number) for number, node in leaves])
    return (
        column("left", "int64"),
        column("feature", "int64"),
        column("code", "int64"),
        column("missing_left", "bool"),
        column("value", "float64"),
        column("gain", "float64"),
        column("n_samples", "int64"),
        xp.take(node_of, order),
    )


@dataclass(frozen=True)
class _Rules:
    max_depth: int
    min_samples_leaf: int
    l2_regularization: float


@dataclass
class _Node:
    """A node that may be split; `gain` is 0 where it may not."""

    rows: Array
    histograms: Array
    depth: int
    left: int = -1
    feature: int = 0
    code: int = 0
    missing_left: bool = False
    value: float = 0.0
    gain: float = 0.0
    n_samples: int = 0
    n_left: int = 0


def _look_for_splits(nodes: list[_Node], rules: _Rules) -> None:
    """Find the best split of each node; one transfer for all of them."""
    xp = namespace(nodes[0].histograms)
    found = boosted_splits(
        xp.stack([node.histograms for node in nodes]),
        min_samples_leaf=rules.min_samples_leaf,
        l2_regularization=rules.l2_regularization,
    )
    for node, (value, gain, feature, code, side, n_left, n_samples) in zip(
        nodes, to_numpy(found).tolist(), strict=True
    ):
        node.value, node.n_samples = value, int(n_samples)
        if node.depth < rules.max_depth and gain > 0.0:
            node.gain, node.feature, node.code = gain, int(feature), int(code)
            node.missing_left, node.n_left = side > 0.0, int(n_left)


def _lowered(sums: Array, l2_regularization: float) -> Array:
    """Twice what nodes with these sums (n_nodes, 3, ...) lower the loss by."""
    return sums[:, 0, ...] * sums[:, 0, ...] / (sums[:, 1, ...] + l2_regularization + TINY)


def _children(parent: _Node, codes: Array, gradients: Array, hessians: Array, n_codes: int) -> list[_Node]:
    """The two sides of a node's split, the left one first."""
    xp = namespace(codes)
    found = xp.take(codes[:, parent.feature], parent.rows)
    goes_right = found > parent.code
    if parent.missing_left:
        goes_right = goes_right & (found != n_codes - 1)
    rows = divide_rows(parent.rows, goes_right)
    sides = rows[: parent.n_left], rows[parent.n_left :]
    small = 0 if 2 * parent.n_left <= parent.n_samples else 1
    summed = gradient_histograms(codes, sides[small], gradients, hessians, n_codes=n_codes)
    other = parent.histograms - summed
    histograms = (summed, other) if small == 0 else (other, summed)
    return [_Node(side, each, parent.depth + 1) for side, each in zip(sides, histograms, strict=True)]
