"""The tree that growing gives: arrays with an entry for each node, in the order of a walk that goes left first."""

from __future__ import annotations

from dataclasses import dataclass

from portml.backends import Array, device_of, namespace
from portml.backends.kernels.rows import index_add
from portml.backends.kernels.trees import tree_leaves

__all__ = ["LEAF", "Tree"]

LEAF = -1
"""The child of a node that has none."""


@dataclass(eq=False)
class Tree:
    """A decision tree in arrays; node 0 is the root.

    Attributes
    ----------
    children_left, children_right : array (node_count,) of int64
        Numbers of the children; -1 in leaves.
    feature : array (node_count,) of int64
        The column that a node looks at; -2 in leaves.
    threshold : array (node_count,) of float64
        At most this goes left; -2 in leaves.
    missing_go_to_left : array (node_count,) of bool
        Where a sample goes that lacks the value.
    impurity : array (node_count,) of float64
    n_node_samples : array (node_count,) of int64
    weighted_n_node_samples : array (node_count,) of float64
    value : array (node_count, 1, n_values) of float64
        The shares of the classes among a node's samples, or their mean.
    n_features : int
    max_depth : int
        Turns from the root to the deepest leaf.
    """

    children_left: Array
    children_right: Array
    feature: Array
    threshold: Array
    missing_go_to_left: Array
    impurity: Array
    n_node_samples: Array
    weighted_n_node_samples: Array
    value: Array
    n_features: int
    max_depth: int
    n_outputs: int = 1

    @property
    def node_count(self) -> int:
        """How many nodes there are."""
        return int(self.feature.shape[0])

    @property
    def n_leaves(self) -> int:
        """How many of them are leaves: in a tree of pairs one more than half."""
        return (self.node_count + 1) // 2

    @property
    def n_classes(self) -> Array:
        """How many values a node has for each output, (1,)."""
        return namespace(self.feature).asarray([self.value.shape[2]], device=device_of(self.feature))

    def apply(self, X: Array) -> Array:
        """The leaf of each sample, (n_samples,) of int64."""
        nodes = (self.feature, self.threshold, self.missing_go_to_left, self.children_left, self.children_right)
        return tree_leaves(X, *nodes, depth=self.max_depth)

    def predict(self, X: Array) -> Array:
        """The value of each sample's leaf, (n_samples, n_values) of float64."""
        return namespace(X).take(self.value[:, 0, :], self.apply(X), axis=0)

    def decision_path(self, X: Array) -> Array:
        """Whether a sample passes a node, (n_samples, node_count) of bool.

        A node lies on the way to a leaf exactly if its walk's part, which ends where its last leaf stands, holds the
        leaf.
        """
        xp = namespace(X)
        leaves = self.apply(X)[:, None]
        number = xp.arange(self.node_count, dtype=xp.int64, device=device_of(X))
        last = number
        for _ in range(self.max_depth):
            last = xp.where(self.children_right < 0, last, xp.take(last, xp.maximum(self.children_right, number)))
        return (number <= leaves) & (leaves <= last)

    def compute_feature_importances(self, normalize: bool = True) -> Array:
        """How much impurity the splits of each column remove, weighted by the samples they see, (n_features,).

        [Breiman, Friedman, Olshen & Stone 1984, section 5.3.4]
        """
        xp = namespace(self.feature)
        is_leaf = self.children_left < 0
        left, right = (
            xp.where(is_leaf, xp.zeros_like(child), child) for child in (self.children_left, self.children_right)
        )
        mass = self.weighted_n_node_samples * self.impurity
        removed = xp.where(is_leaf, 0.0, mass - xp.take(mass, left) - xp.take(mass, right))
        feature = xp.where(is_leaf, xp.zeros_like(self.feature), self.feature)
        found = index_add(removed, feature, n=self.n_features) / self.weighted_n_node_samples[0]
        if not normalize:
            return found
        total = xp.sum(found)
        return xp.where(total > 0.0, found / xp.where(total > 0.0, total, xp.ones_like(total)), found)
