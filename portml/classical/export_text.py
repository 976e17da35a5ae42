"""A decision tree in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from portml.backends import to_numpy
from portml.classical.validation import require_fitted
from portml.errors import ArgumentError

__all__ = ["export_text"]


def export_text(
    decision_tree: Any,
    *,
    feature_names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    max_depth: int = 10,
    spacing: int = 3,
    decimals: int = 2,
    show_weights: bool = False,
) -> str:
    """The questions of a tree, one a line, those asked later further in; in scikit-learn's format.

    Parameters
    ----------
    decision_tree : DecisionTreeClassifier or DecisionTreeRegressor
    feature_names : sequence of str, optional
        "feature_0", "feature_1", ... without.
    class_names : sequence of str, optional
        In the order of `classes_`.
    max_depth : int
        What lies deeper is summed up.
    spacing : int
        Characters by which a level is moved in.
    decimals : int
    show_weights : bool
        Whether leaves of a classifier show the weight of each class.

    Returns
    -------
    str

    Raises
    ------
    NotFittedError
    ArgumentError
        If the number of names does not fit.
    """
    require_fitted(decision_tree)
    tree = decision_tree.tree_
    names = [f"feature_{column}" for column in range(tree.n_features)] if feature_names is None else [*feature_names]
    if len(names) != tree.n_features:
        raise ArgumentError(f"feature_names must contain {tree.n_features} elements, got {len(names)}")
    classes = None
    if hasattr(decision_tree, "classes_"):
        classes = to_numpy(decision_tree.classes_).tolist() if class_names is None else [*class_names]
        if len(classes) != tree.value.shape[2]:
            raise ArgumentError(f"class_names must contain {tree.value.shape[2]} elements, got {len(classes)}")
    writer = _Writer(tree, names, classes, max_depth, spacing, decimals, show_weights)
    return "".join(f"{line}\n" for line in writer.lines(0, 1))


class _Writer:
    """The nodes of a tree as lists, and how to write them."""

    def __init__(
        self,
        tree: Any,
        names: list[Any],
        classes: list[Any] | None,
        max_depth: int,
        spacing: int,
        decimals: int,
        show_weights: bool,
    ) -> None:
        self.names, self.classes = names, classes
        self.max_depth, self.spacing, self.decimals, self.show_weights = max_depth, spacing, decimals, show_weights
        columns = (tree.children_left, tree.children_right, tree.feature, tree.threshold, tree.weighted_n_node_samples)
        self.left, self.right, self.feature, self.threshold, self.weight = (
            to_numpy(column).tolist() for column in columns
        )
        self.value = to_numpy(tree.value)[:, 0, :].tolist()

    def lines(self, node: int, depth: int) -> Iterator[str]:
        """The lines of a node and what hangs from it."""
        indent = ("|" + " " * self.spacing) * depth
        indent = indent[: -self.spacing] + "-" * self.spacing
        if depth > self.max_depth + 1:
            below = self._depth(node)
            yield f"{indent} {self._leaf(node)}" if below == 1 else f"{indent} truncated branch of depth {below}"
        elif self.left[node] < 0:
            yield f"{indent} {self._leaf(node)}"
        else:
            question = f"{indent} {self.names[self.feature[node]]}"
            yield f"{question} <= {self.threshold[node]:.{self.decimals}f}"
            yield from self.lines(self.left[node], depth + 1)
            yield f"{question} >  {self.threshold[node]:.{self.decimals}f}"
            yield from self.lines(self.right[node], depth + 1)

    def _leaf(self, node: int) -> str:
        value = self.value[node]
        if self.classes is None:
            return f"value: [{value[0]:.{self.decimals}f}]"
        weights = ""
        if self.show_weights:
            listed = ", ".join(f"{share * self.weight[node]:.{self.decimals}f}" for share in value)
            weights = f"weights: [{listed}] "
        return f"{weights}class: {self.classes[value.index(max(value))]}"

    def _depth(self, node: int) -> int:
        deepest, waiting = 1, [(node, 1)]
        while waiting:
            here, depth = waiting.pop()
            deepest = max(deepest, depth)
            if self.left[here] >= 0:
                waiting += [(self.left[here], depth + 1), (self.right[here], depth + 1)]
        return deepest
