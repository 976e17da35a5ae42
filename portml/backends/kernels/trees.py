"""Growing and reading decision trees: the best splits of all nodes of a level at once.

A table is seen by its *codes*: in each column the rank of a value among the column's distinct values (an exact tree) or
the number of its bin (a binned one).  The samples that are still being split are listed in *orders*, node after node:
``orders[:, starts[k]:starts[k + 1]]`` are those of node k, either one row in any order, or one row for each column,
sorted by its codes.  A split of a node is a column and a code: samples with at most this code go left.

Sums run in float64 whatever the data's type, as in other implementations: the counts they hold are then exact.
"""

from __future__ import annotations

from portml.backends.kernel import kernel
from portml.backends.namespaces import Array, device_of, namespace

__all__ = [
    "CRITERIA",
    "TIE",
    "best_column",
    "best_in_nodes",
    "child_keys",
    "column_order",
    "entropy",
    "gini",
    "node_statistics",
    "regroup_samples",
    "route_samples",
    "split_nodes",
    "statistics_of",
    "tied_from",
    "tree_leaves",
]

CRITERIA = ("gini", "entropy", "squared_error")
TIE = 1e-10
"""Scores that differ by less, relative to what they are computed from, are equal: rounding must not choose a split."""


@kernel(differentiable=False)
def split_nodes(
    codes: Array,
    orders: Array,
    starts: Array,
    targets: Array,
    weights: Array,
    keys: Array,
    *,
    criterion: str,
    n_classes: int,
    n_codes: int,
    presorted: bool,
    missing: bool,
    min_samples_leaf: int,
    min_weight_leaf: float,
    max_features: int,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    r"""Find the best split of each node.

    With the sums of the weights :math:`w_k` of the classes on a side and their total :math:`w`, a side scores

    - gini: :math:`\sum_k w_k^2 / w`,
    - entropy: :math:`\sum_k w_k \log_2 w_k - w \log_2 w`,
    - squared error: :math:`(\sum_i w_i y_i)^2 / w`,

    and a split scores what its two sides do together: the impurity that a split removes is this but for a constant and
    a factor of the node.  In sorted columns the sums on the left are cumulative sums, so that one pass scores every
    possible split of all nodes.  Missing values have the last code; they are tried on the right and on the left.
    [Breiman, Friedman, Olshen & Stone 1984, chapters 2, 4 and 8]

    Parameters
    ----------
    codes : integer array (n_features, n_samples)
        From 0 to n_codes - 1.
    orders : integer array (n_features, n_listed) if `presorted`, else (1, n_listed)
        Samples by node, and by code in each row if `presorted`.  Every node has some.
    starts : integer array (n_nodes + 1,)
        Where the samples of each node begin.
    targets : array (n_samples,)
        Classes from 0 to n_classes - 1 as integers, or values (squared error).
    weights : array (n_samples,) of float64, or None
        Positive for every sample that is listed; None: all 1.
    keys : array (n_nodes,) of uint32
        What the order of each node's columns is drawn from; see `column_order`.
    criterion : {"gini", "entropy", "squared_error"}
    n_classes : int
    n_codes : int
        With `missing` the last of them means that the value is missing.
    presorted, missing : bool
    min_samples_leaf : int
    min_weight_leaf : float
        What each side must have at least.
    max_features : int
        A node looks at so many columns in the order drawn for it, or, if these are all constant, at the first that is
        not.  If these are all columns, they keep their own order.

    Returns
    -------
    score : array (n_nodes,) of float64
        -inf where there is no split, and the others are 0 there.  Among equals the column seen first wins, there
        missing values go right, and there the lowest code wins.  Scores that `tied_from` tells apart differ.
    feature : array (n_nodes,) of int64
    code : array (n_nodes,) of int64
        The last code on the left.
    following : array (n_nodes,) of int64
        The next code that some sample of the node has.
    missing_left : array (n_nodes,) of bool
        Where the node lacks no value of the column: whether more samples go left.
    n_left : array (n_nodes,) of int64
        How many samples go left.
    """
    xp = namespace(codes, orders, starts, targets, weights, keys)
    n_nodes, n_listed = keys.shape[0], orders.shape[1]
    device = device_of(codes)
    place = xp.arange(n_listed, dtype=xp.int64, device=device)
    node = xp.searchsorted(starts[1:], xp.astype(place, starts.dtype), side="right")
    sorted_codes, orders = _sorted_codes(codes, orders, node, n_codes, presorted)
    first, last = starts[:-1], starts[1:] - 1

    statistics = statistics_of(targets, weights, criterion, n_classes)
    taken = xp.take(statistics, xp.reshape(orders, (-1,)), axis=0)
    sums = _sums_within_nodes(xp.reshape(taken, (*orders.shape, -1)), first, node)
    total = xp.take(xp.take(sums, last, axis=1), node, axis=1)
    n_left, n_right = place - xp.take(first, node) + 1, xp.take(last, node) - place

    following = xp.concat([sorted_codes[:, 1:], sorted_codes[:, :1]], axis=1)
    splits = (following != sorted_codes) & (n_right > 0)
    is_enough = (n_left >= min_samples_leaf) & (n_right >= min_samples_leaf)
    scores = _scores(sums, total, splits & is_enough, criterion, min_weight_leaf)
    weight = _weight(xp.take(sums, last, axis=1), criterion)
    best, position = _first_of_best(scores, node, starts, weight, criterion)
    missing_left = xp.zeros(best.shape, dtype=xp.bool, device=device)
    in_front = xp.zeros(best.shape, dtype=xp.int64, device=device)
    if missing:
        is_missing = sorted_codes == n_codes - 1
        absent = xp.where(is_missing[..., None], 0.0, xp.reshape(taken, (*orders.shape, -1)))
        present = xp.take(_sums_within_nodes(absent, first, node), last, axis=1)
        missing_sums = total - xp.take(present, node, axis=1)
        count = _sums_within_nodes(xp.astype(is_missing, xp.float64)[..., None], first, node)[..., 0]
        in_front = xp.astype(xp.take(count, last, axis=1), xp.int64)
        n_missing = xp.take(in_front, node, axis=1)
        is_enough = (n_left + n_missing >= min_samples_leaf) & (n_right - n_missing >= min_samples_leaf)
        splits = splits & (following != n_codes - 1) & is_enough & (n_missing > 0)
        scores = _scores(sums + missing_sums, total, splits, criterion, min_weight_leaf)
        best_left, position_left = _first_of_best(scores, node, starts, weight, criterion)
        missing_left = tied_from(best_left, weight, criterion) > best
        best, position = xp.where(missing_left, best_left, best), xp.where(missing_left, position_left, position)

    varies = xp.take(sorted_codes, first, axis=1) != xp.take(sorted_codes, last, axis=1)
    feature = best_column(best, tied_from(best, weight, criterion), varies, keys, max_features)
    nodes = xp.arange(n_nodes, dtype=xp.int64, device=device)
    chosen = feature * n_nodes + nodes
    place_of = feature * n_listed + _at(position, chosen)
    score = _at(best, chosen)
    is_split = score > -xp.inf
    side = _at(missing_left, chosen) & is_split
    n_absent = _at(in_front, chosen)
    n_left = _at(position, chosen) - first + 1 + xp.where(side, n_absent, xp.zeros_like(first))
    side = xp.where(n_absent > 0, side, 2 * n_left > last + 1 - first) & is_split
    found = feature, _at(sorted_codes, place_of), _at(following, place_of), n_left
    feature, code, after, n_left = (xp.where(is_split, each, xp.zeros_like(each)) for each in found)
    return score, feature, code, after, side, n_left


@kernel(differentiable=False)
def best_in_nodes(scores: Array, node: Array, starts: Array) -> tuple[Array, Array]:
    """The best score of each row and node, and the first place that has it.

    Sorted by score and then, without disturbing that order, by node, the best of a node stands where the node begins.

    Parameters
    ----------
    scores : array (n_rows, n_listed) of float64
    node : integer array (n_listed,)
        Ascending.
    starts : array (n_nodes + 1,) of int64
        Where the places of each node begin.  Every node has some.

    Returns
    -------
    best : array (n_rows, n_nodes) of float64
    position : array (n_rows, n_nodes) of int64
    """
    xp = namespace(scores, node, starts)
    by_score = xp.argsort(-scores, axis=1, stable=True)
    node_by_score = xp.reshape(xp.take(node, xp.reshape(by_score, (-1,))), scores.shape)
    by_node = xp.argsort(node_by_score, axis=1, stable=True)
    position = xp.take(xp.take_along_axis(by_score, by_node, axis=1), starts[:-1], axis=1)
    return xp.take_along_axis(scores, position, axis=1), xp.astype(position, xp.int64)


@kernel(differentiable=False)
def route_samples(
    codes: Array,
    node_of: Array,
    feature: Array,
    code: Array,
    missing_left: Array,
    left: Array,
    right: Array,
    *,
    n_codes: int,
    missing: bool,
) -> Array:
    """The child to which each sample goes.

    Parameters
    ----------
    codes : integer array (n_features, n_samples)
    node_of : array (n_samples,) of int32
        The node of each sample; -1 where it is in none, which stays so.
    feature, code : array (n_nodes,) of int64
    missing_left : array (n_nodes,) of bool
    left, right : array (n_nodes,) of int32
        The children's numbers; -1 for a node that is not split.
    n_codes : int
    missing : bool

    Returns
    -------
    array (n_samples,) of int32
    """
    xp = namespace(codes, node_of, feature)
    n_samples = codes.shape[1]
    node = xp.astype(xp.maximum(node_of, xp.zeros_like(node_of)), xp.int64)
    samples = xp.arange(n_samples, dtype=xp.int64, device=device_of(codes))
    found = xp.astype(_at(codes, xp.take(feature, node) * n_samples + samples), xp.int64)
    goes_left = found <= xp.take(code, node)
    if missing:
        goes_left = xp.where(found == n_codes - 1, xp.take(missing_left, node), goes_left)
    child = xp.where(goes_left, xp.take(left, node), xp.take(right, node))
    return xp.where(node_of < 0, node_of, child)


@kernel(differentiable=False)
def regroup_samples(orders: Array, node_of: Array, starts: Array, *, size: int) -> Array:
    """List the samples by their new nodes, each row in the order that it had; those in no node are dropped.

    Parameters
    ----------
    orders : array (n_rows, n_listed) of int32
    node_of : array (n_samples,) of int32
        -1: in no node.
    starts : array (n_nodes + 1,) of int64
        Where the samples of each node begin from now on.
    size : int
        How many samples stay: the last of `starts`.

    Returns
    -------
    array (n_rows, size) of int32
    """
    xp = namespace(orders, node_of, starts)
    node = xp.reshape(xp.take(node_of, xp.reshape(orders, (-1,))), orders.shape)
    node = xp.where(node < 0, xp.asarray(starts.shape[0], dtype=node.dtype, device=device_of(node)), node)
    return xp.take_along_axis(orders, xp.argsort(node, axis=1, stable=True), axis=1)[:, :size]


@kernel(differentiable=False)
def node_statistics(
    targets: Array, weights: Array, samples: Array, starts: Array, *, criterion: str, n_classes: int
) -> Array:
    """Sums over the samples of each node, from which its impurity and its value follow.

    Parameters
    ----------
    targets, weights : arrays (n_samples,)
        As in `split_nodes`.
    samples : array (n_listed,) of int32
        By node.
    starts : array (n_nodes + 1,) of int64
    criterion : {"gini", "entropy", "squared_error"}
    n_classes : int

    Returns
    -------
    array (n_nodes, n_classes) of float64
        The weight of each class; for the squared error (n_nodes, 3): sums of the weights, of weight times target and
        of weight times squared target.
    """
    xp = namespace(targets, weights, samples, starts)
    statistics = statistics_of(targets, weights, criterion, n_classes)
    if criterion == "squared_error":
        squares = statistics[:, 1] * xp.astype(targets, xp.float64)
        statistics = xp.concat([statistics, squares[:, None]], axis=1)
    place = xp.arange(samples.shape[0], dtype=starts.dtype, device=device_of(starts))
    node = xp.searchsorted(starts[1:], place, side="right")
    listed = xp.take(statistics, samples, axis=0)
    return xp.take(_sums_within_nodes(listed[None, ...], starts[:-1], node)[0, ...], starts[1:] - 1, axis=0)


@kernel(differentiable=False)
def tree_leaves(
    X: Array, feature: Array, threshold: Array, missing_left: Array, left: Array, right: Array, *, depth: int
) -> Array:
    """The leaf of each sample: from the root `depth` times to the left or the right child.

    Parameters
    ----------
    X : array (n_samples, n_features)
        NaN: missing.
    feature : array (n_nodes,) of int64
    threshold : array (n_nodes,) of float64
        At most this goes left.
    missing_left : array (n_nodes,) of bool
    left, right : array (n_nodes,) of int64
        -1 for a leaf.
    depth : int
        Of the deepest leaf.

    Returns
    -------
    array (n_samples,) of int64
    """
    xp = namespace(X, feature, threshold)
    n_samples, n_features = X.shape
    flat = xp.astype(xp.reshape(X, (-1,)), xp.float64, copy=False)
    row = xp.arange(n_samples, dtype=xp.int64, device=device_of(X)) * n_features
    node = xp.zeros((n_samples,), dtype=xp.int64, device=device_of(X))
    if n_samples == 0:
        return node
    # A leaf looks at column 0 and stays where it is.
    feature = xp.where(left < 0, xp.zeros_like(feature), feature)
    for _ in range(depth):
        value = xp.take(flat, row + xp.take(feature, node))
        goes_left = xp.where(xp.isnan(value), xp.take(missing_left, node), value <= xp.take(threshold, node))
        child = xp.where(goes_left, xp.take(left, node), xp.take(right, node))
        node = xp.where(child < 0, node, child)
    return node


def entropy(counts: Array) -> Array:
    r"""The entropy of distributions in bits, :math:`-\sum_k p_k \log_2 p_k`.  [Shannon 1948, section 6]

    Parameters
    ----------
    counts : array (..., n_classes)
        Counts or weights of the classes, of float32 or float64.

    Returns
    -------
    array (...)
    """
    xp = namespace(counts)
    share = _shares(counts)
    positive = xp.where(share > 0.0, share, xp.ones_like(share))
    return -xp.sum(positive * xp.log2(positive), axis=-1) + 0.0


def gini(counts: Array) -> Array:
    r"""The probability that two samples drawn from a distribution differ, :math:`1 - \sum_k p_k^2`.

    Parameters
    ----------
    counts : array (..., n_classes)

    Returns
    -------
    array (...)
    """
    share = _shares(counts)
    return 1.0 - namespace(counts).sum(share * share, axis=-1)


def _shares(counts: Array) -> Array:
    xp = namespace(counts)
    total = xp.sum(counts, axis=-1, keepdims=True)
    return counts / xp.where(total > 0.0, total, xp.ones_like(total))


def column_order(keys: Array, n_features: int) -> Array:
    """The order in which each node looks at its columns, (n_nodes, n_features).

    Columns are sorted by a hash of the node's key and the column's number.  So a node's order does not depend on when
    it is its turn: every backend grows the same tree.  [Appleby 2011, MurmurHash3: the finaliser]
    """
    xp = namespace(keys)
    column = xp.arange(n_features, dtype=xp.uint32, device=device_of(keys))
    return xp.argsort(_mixed(keys[:, None] ^ _mixed(column + 0x9E3779B9)[None, :]), axis=1, stable=True)


def tied_from(best: Array, weight: Array, criterion: str) -> Array:
    """From which score on a split is as good as the best one, but for rounding; `weight` is that of the node."""
    # Entropies are differences of terms as large as the weight; the other scores are sums of what is not negative.
    return best - TIE * (weight if criterion == "entropy" else namespace(best).abs(best))


def best_column(best: Array, tied: Array, varies: Array, keys: Array, max_features: int) -> Array:
    """The first column as good as the best among those that each node looks at, (n_nodes,); tied: see `tied_from`."""
    xp = namespace(best)
    n_features = best.shape[0]
    best, tied, varies = (xp.permute_dims(each, (1, 0)) for each in (best, tied, varies))
    if max_features >= n_features:
        return _first_tied(best, tied, varies)
    order = column_order(keys, n_features)
    best, tied, varies = (xp.take_along_axis(each, order, axis=1) for each in (best, tied, varies))
    turn = xp.arange(n_features, dtype=xp.int64, device=device_of(best))
    is_first = xp.cumulative_sum(xp.astype(varies, xp.int64), axis=1) == 1
    chosen = _first_tied(best, tied, varies & ((turn < max_features) | is_first))
    return xp.take_along_axis(order, chosen[:, None], axis=1)[:, 0]


def child_keys(keys: Array) -> tuple[Array, Array]:
    """Keys of the left and of the right children, from those of their parents."""
    return _mixed(keys + 0x7F4A7C15), _mixed(keys + 0x94D049BB)


def statistics_of(targets: Array, weights: Array | None, criterion: str, n_classes: int) -> Array:
    """What is summed for each sample: the weight in the column of its class, or weight and weight times target."""
    xp = namespace(targets, weights)
    ones = xp.ones(targets.shape, dtype=xp.float64, device=device_of(targets))
    weight = ones if weights is None else xp.astype(weights, xp.float64)
    if criterion == "squared_error":
        return xp.stack([weight, weight * xp.astype(targets, xp.float64)], axis=1)
    classes = xp.arange(n_classes, dtype=targets.dtype, device=device_of(targets))
    return xp.where(targets[:, None] == classes, weight[:, None], 0.0)


def _mixed(x: Array) -> Array:
    """Every bit of the result depends on every bit of `x`, one to one."""
    x = (x ^ (x >> 16)) * 0x85EBCA6B
    x = (x ^ (x >> 13)) * 0xC2B2AE35
    return x ^ (x >> 16)


def _first_tied(best: Array, tied: Array, allowed: Array) -> Array:
    """The first place in each row, among those allowed, that is as good as the best."""
    xp = namespace(best)
    least = xp.max(xp.where(allowed, tied, -xp.inf), axis=1, keepdims=True)
    return xp.argmax(xp.astype(allowed & (best >= least), xp.int8), axis=1)


def _first_of_best(scores: Array, node: Array, starts: Array, weight: Array, criterion: str) -> tuple[Array, Array]:
    """The best score of each row and node, and the first place that is as good."""
    xp = namespace(scores)
    best, _ = best_in_nodes(scores, node, starts)
    is_tied = scores >= xp.take(tied_from(best, weight, criterion), node, axis=1)
    before = xp.cumulative_sum(xp.astype(is_tied, xp.int64), axis=1) - xp.astype(is_tied, xp.int64)
    is_later = xp.logical_not(is_tied) | (before > xp.take(xp.take(before, starts[:-1], axis=1), node, axis=1))
    # Every node has one first place, so that these come first in the order of the nodes.
    position = xp.argsort(xp.astype(is_later, xp.int8), axis=1, stable=True)[:, : best.shape[1]]
    return best, xp.astype(position, xp.int64)


def _at(x: Array, places: Array) -> Array:
    """``x.ravel()[places]``"""
    xp = namespace(x, places)
    return xp.take(xp.reshape(x, (-1,)), places)


def _sorted_codes(codes: Array, orders: Array, node: Array, n_codes: int, presorted: bool) -> tuple[Array, Array]:
    """Codes and samples by node and code, (n_features, n_listed) of int64 each."""
    xp = namespace(codes, orders)
    if presorted:
        samples = xp.astype(orders, xp.int64)
        column = xp.arange(codes.shape[0], dtype=xp.int64, device=device_of(codes))[:, None]
        found = _at(codes, xp.reshape(column * codes.shape[1] + samples, (-1,)))
        return xp.astype(xp.reshape(found, samples.shape), xp.int64), samples
    listed = xp.astype(orders[0, :], xp.int64)
    found = xp.astype(xp.take(codes, listed, axis=1), xp.int64)
    order = xp.argsort(xp.astype(node, xp.int64) * n_codes + found, axis=1, stable=True)
    samples = xp.reshape(xp.take(listed, xp.reshape(order, (-1,))), order.shape)
    return xp.take_along_axis(found, order, axis=1), samples


def _sums_within_nodes(x: Array, first: Array, node: Array) -> Array:
    """Cumulative sums along axis 1 that begin anew at each node; x: (rows, n_listed, columns)."""
    xp = namespace(x)
    sums = xp.cumulative_sum(x, axis=1, include_initial=True)
    return sums[:, 1:, :] - xp.take(xp.take(sums, first, axis=1), node, axis=1)


def _scores(left: Array, total: Array, allowed: Array, criterion: str, min_weight_leaf: float) -> Array:
    """The score of each split; -inf where it is not allowed."""
    xp = namespace(left, total)
    right = total - left
    score = _side_score(left, criterion) + _side_score(right, criterion)
    if min_weight_leaf > 0.0:
        heavy = (_weight(left, criterion) >= min_weight_leaf) & (_weight(right, criterion) >= min_weight_leaf)
        allowed = allowed & heavy
    return xp.where(allowed, score, -xp.inf)


def _weight(sums: Array, criterion: str) -> Array:
    return sums[..., 0] if criterion == "squared_error" else namespace(sums).sum(sums, axis=-1)


def _side_score(sums: Array, criterion: str) -> Array:
    xp = namespace(sums)
    weight = _weight(sums, criterion)
    safe = xp.where(weight > 0.0, weight, xp.ones_like(weight))
    if criterion == "squared_error":
        return sums[..., 1] * sums[..., 1] / safe
    if criterion == "gini":
        return xp.sum(sums * sums, axis=-1) / safe
    positive = xp.where(sums > 0.0, sums, xp.ones_like(sums))
    return xp.sum(positive * xp.log2(positive), axis=-1) - safe * xp.log2(safe)
