"""Growing a decision tree from a table's codes, and what its splits tell."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from portml.backends import Array, device_of, namespace, to_numpy
from portml.backends.kernels import tree_growth as kernels
from portml.backends.kernels.trees import entropy, gini
from portml.classical.tree import Tree
from portml.classical.tree_table import TreeTable

__all__ = ["Growth", "entropy", "gini", "grow_tree", "information_gain"]


@dataclass(frozen=True)
class Growth:
    """When to split a node, and how."""

    criterion: str
    n_classes: int
    max_depth: int
    min_samples_split: int
    min_samples_leaf: int
    min_weight_leaf: float
    min_impurity_decrease: float
    max_features: int


def information_gain(parent: Array, left: Array, right: Array) -> Array:
    """How many bits a split says of the class: the entropy of a node less the mean entropy of its children.

    Parameters
    ----------
    parent, left, right : array (..., n_classes)
        Counts of the classes; ``parent == left + right``.

    Returns
    -------
    array (...)

    Examples
    --------
    >>> import numpy as np
    >>> print(f"{information_gain(*np.asarray([[10.0, 10.0], [8.0, 2.0], [2.0, 8.0]])):.3f}")
    0.278
    """
    xp = namespace(parent, left, right)
    total, n_left, n_right = (xp.sum(counts, axis=-1) for counts in (parent, left, right))
    return entropy(parent) - (n_left * entropy(left) + n_right * entropy(right)) / total


def grow_tree(table: TreeTable, targets: Array, weights: Array | None, growth: Growth, key: Array | None) -> Tree:
    """Grow a tree.

    Parameters
    ----------
    table : TreeTable
    targets : array (n_samples,)
        Classes as int32, or values of float64.
    weights : array (n_samples,) of float64, optional
        Not negative; samples of weight zero are left out.
    growth : Growth
    key : array (1,) of uint32, optional
        From which the nodes draw their columns; needed where they do not look at all of them.

    Returns
    -------
    Tree
    """
    right, feature, code, following, missing_left, statistics, n_samples, impurity, depth = kernels.grow_tree(
        table.codes,
        table.orders,
        targets,
        weights,
        key,
        n_codes=table.n_codes,
        missing=table.missing,
        **asdict(growth),
    )
    xp = namespace(right)
    is_leaf = right < 0
    column = xp.where(is_leaf, xp.zeros_like(feature), feature)
    number = xp.arange(right.shape[0], dtype=xp.int64, device=device_of(right))
    if growth.criterion == "squared_error":
        weight, sums = statistics[:, 0], statistics[:, 1:2]
    else:
        weight, sums = xp.sum(statistics, axis=1), statistics
    return Tree(
        children_left=xp.where(is_leaf, right, number + 1),
        children_right=right,
        feature=feature,
        threshold=xp.where(is_leaf, float(kernels.UNDEFINED), table.thresholds(column, code, following)),
        missing_go_to_left=missing_left,
        impurity=impurity,
        n_node_samples=n_samples,
        weighted_n_node_samples=weight,
        value=(sums / weight[:, None])[:, None, :],
        n_features=table.codes.shape[0],
        max_depth=int(to_numpy(xp.max(depth))),
    )
