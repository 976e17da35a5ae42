"""Growing the trees of gradient boosting: from histograms of gradients, the leaf that gains most first."""

from __future__ import annotations

from dataclasses import dataclass

from portml.backends.backend import to_numpy
from portml.backends.kernel import kernel
from portml.backends.kernels.rows import index_add
from portml.backends.namespaces import Array, device_of, namespace

__all__ = ["LEAST_HESSIAN", "gradient_histograms", "grow_boosted_tree"]

LEAST_HESSIAN = 1e-3
"""What the second derivatives of each side of a split must sum to."""


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
    array (n_features, n_codes, 3) of float64
    """
    xp = namespace(codes, rows, gradients)
    n_features, device = codes.shape[1], device_of(codes)
    ones = xp.ones(rows.shape, dtype=xp.float64, device=device)
    slopes = xp.take(gradients, rows)
    values = xp.stack([slopes, ones if hessians is None else xp.take(hessians, rows), ones], axis=1)
    column = xp.arange(n_features, dtype=xp.int64, device=device)
    place = column * n_codes + xp.astype(xp.take(codes, rows, axis=0), xp.int64)
    repeated = xp.broadcast_to(values[:, None, :], (rows.shape[0], n_features, 3))
    return xp.reshape(index_add(repeated, place, n=n_features * n_codes), (n_features, n_codes, 3))


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
    loss by more than the node.  Always the leaf is split that gains most.  Of two siblings the histogram of the smaller
    one is summed; that of the other is the parent's less this.
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
        parent = max(nodes, key=lambda node: node.gain if node.left < 0 else 0.0)
        if parent.gain <= 0.0 or parent.left >= 0:
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
    found = _best_splits(xp.stack([node.histograms for node in nodes]), rules)
    for node, (value, gain, feature, code, side, n_left, n_samples) in zip(
        nodes, to_numpy(found).tolist(), strict=True
    ):
        node.value, node.n_samples = value, int(n_samples)
        if node.depth < rules.max_depth and gain > 0.0:
            node.gain, node.feature, node.code = gain, int(feature), int(code)
            node.missing_left, node.n_left = side > 0.0, int(n_left)


def _best_splits(histograms: Array, rules: _Rules) -> Array:
    """Value, gain, column, code, whether missing values go left, samples on the left and in all: (n_nodes, 7)."""
    xp = namespace(histograms)
    n_nodes, n_features, n_codes, _ = histograms.shape
    total = xp.sum(histograms[:, 0, :, :], axis=1)[:, None, None, :]
    absent = histograms[:, :, n_codes - 1 :, :]
    left = xp.cumulative_sum(histograms[:, :, : n_codes - 1, :], axis=2)
    loss = _lowered(total, rules)
    gains = []
    for side in (left, left + absent):
        right = total - side
        enough = (side[..., 2] >= rules.min_samples_leaf) & (right[..., 2] >= rules.min_samples_leaf)
        enough = enough & (side[..., 1] >= LEAST_HESSIAN) & (right[..., 1] >= LEAST_HESSIAN)
        gains.append(xp.where(enough, _lowered(side, rules) + _lowered(right, rules) - loss, 0.0))
    # Of equal gains the first column wins, there missing values go right, and the first code wins.
    gain = xp.reshape(xp.concat(gains, axis=2), (n_nodes, -1))
    best = xp.argmax(gain, axis=1)
    node = xp.arange(n_nodes, dtype=best.dtype, device=device_of(best))
    feature, turn = best // (2 * n_codes - 2), best % (2 * n_codes - 2)
    code = turn % (n_codes - 1)
    goes_left = xp.astype(turn >= n_codes - 1, xp.float64)

    def at(x: Array) -> Array:
        return xp.take(xp.reshape(x, (-1,)), (node * n_features + feature) * (n_codes - 1) + code)

    n_absent = xp.take(xp.reshape(absent[..., 2], (-1,)), node * n_features + feature)
    n_left, n_all = at(left[..., 2]), total[:, 0, 0, 2]
    n_left = n_left + goes_left * n_absent
    goes_left = xp.where(n_absent > 0.0, goes_left, xp.astype(2.0 * n_left > n_all, xp.float64))
    value = -total[:, 0, 0, 0] / (total[:, 0, 0, 1] + rules.l2_regularization + TINY)
    numbers = (xp.astype(each, xp.float64) for each in (feature, code))
    return xp.stack([value, xp.max(gain, axis=1), *numbers, goes_left, n_left, n_all], axis=1)


TINY = 1e-15


def _lowered(sums: Array, rules: _Rules) -> Array:
    """Twice what a node with these sums lowers the loss by."""
    return sums[..., 0] * sums[..., 0] / (sums[..., 1] + rules.l2_regularization + TINY)


def _children(parent: _Node, codes: Array, gradients: Array, hessians: Array, n_codes: int) -> list[_Node]:
    """The two sides of a node's split, the left one first."""
    xp = namespace(codes)
    found = xp.take(codes[:, parent.feature], parent.rows)
    goes_right = found > parent.code
    if parent.missing_left:
        goes_right = goes_right & (found != n_codes - 1)
    order = xp.argsort(xp.astype(goes_right, xp.int8), stable=True)
    rows = xp.take(parent.rows, order)
    sides = rows[: parent.n_left], rows[parent.n_left :]
    small = 0 if 2 * parent.n_left <= parent.n_samples else 1
    summed = gradient_histograms(codes, sides[small], gradients, hessians, n_codes=n_codes)
    other = parent.histograms - summed
    histograms = (summed, other) if small == 0 else (other, summed)
    return [_Node(side, each, parent.depth + 1) for side, each in zip(sides, histograms, strict=True)]
