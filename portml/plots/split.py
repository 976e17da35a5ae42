"""What one question tells: a node's classes before a split and after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from portml.backends.kernels.trees import entropy
from portml.classical.tree_growth import information_gain
from portml.classical.validation import require_fitted
from portml.errors import ArgumentError
from portml.plots.display import Display, Where
from portml.plots.figure import PALETTE, plain_axes
from portml.plots.host import HostArray, host_labels, host_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SplitDisplay"]


class SplitDisplay(Display):
    """A parent and its two children as bars, one for each class, with their entropies and the information gain.

    Parameters
    ----------
    parent, left, right : array (n_classes,)
        Counts.
    class_names : sequence of str, optional
    question : str
        What divides them.

    Attributes
    ----------
    gain : float
        Bits.

    Raises
    ------
    ArgumentError
        If the children's counts do not add up to the parent's, or there is nothing in one of them.

    Examples
    --------
    >>> SplitDisplay([10, 10], [8, 2], [2, 8]).gain.__round__(3)
    0.278
    """

    def __init__(
        self,
        parent: Any,
        left: Any,
        right: Any,
        class_names: Sequence[str] | None = None,
        question: str = "",
    ) -> None:
        named = {"parent": parent, "left": left, "right": right}
        self.counts = {name: host_numbers(counts, name, ndim=1) for name, counts in named.items()}
        before, yes, no = self.counts.values()
        if before.shape != yes.shape or before.shape != no.shape or not np.allclose(before, yes + no, rtol=1e-6):
            raise ArgumentError(
                f"left, right: expected counts that add up to the parent's, {before.tolist()}, "
                f"got {yes.tolist()} and {no.tolist()}"
            )
        if yes.sum() <= 0 or no.sum() <= 0:
            raise ArgumentError(f"left, right: expected samples on both sides, got {yes.tolist()} and {no.tolist()}")
        self.class_names = [str(number) for number in range(len(before))] if class_names is None else [*class_names]
        if len(self.class_names) != len(before):
            raise ArgumentError(f"class_names: expected {len(before)} names, got {len(self.class_names)}")
        self.question = question
        self.gain = float(information_gain(before, yes, no))

    @classmethod
    def from_counts(
        cls,
        parent: Any,
        left: Any,
        right: Any,
        *,
        class_names: Sequence[str] | None = None,
        question: str = "",
        ax: Where = None,
    ) -> SplitDisplay:
        """Draw a split of counts.

        Parameters
        ----------
        parent, left, right : array (n_classes,)
        class_names : sequence of str, optional
        question : str
        ax : three matplotlib.axes.Axes, optional
        """
        return cls(parent, left, right, class_names, question).plot(ax=ax)

    @classmethod
    def from_estimator(cls, estimator: Any, node: int = 0, *, ax: Where = None) -> SplitDisplay:
        """Draw the split at a node of a fitted `DecisionTreeClassifier`.

        Parameters
        ----------
        estimator : DecisionTreeClassifier
        node : int
            0 is the root.
        ax : three matplotlib.axes.Axes, optional

        Raises
        ------
        NotFittedError
            If the tree was not fitted.
        ArgumentError
            If it is no classifier's tree, or the node is a leaf.
        """
        require_fitted(estimator)
        if not hasattr(estimator, "tree_") or not hasattr(estimator, "classes_"):
            raise ArgumentError(f"estimator: expected a DecisionTreeClassifier, got {type(estimator).__name__}")
        tree = estimator.tree_
        left, right = (host_numbers(part, "tree_").astype(int) for part in (tree.children_left, tree.children_right))
        if not 0 <= node < len(left) or left[node] < 0:
            raise ArgumentError(f"node: expected the number of one with children, got {node} of {len(left)} nodes")
        weights = host_numbers(tree.weighted_n_node_samples, "weighted_n_node_samples")
        counts = host_numbers(tree.value, "value")[:, 0, :] * weights[:, None]
        feature = int(host_numbers(tree.feature, "feature")[node])
        names = getattr(estimator, "feature_names_in_", None)
        name = f"x[{feature}]" if names is None else str(names[feature])
        question = f"{name} ≤ {host_numbers(tree.threshold, 'threshold')[node]:.4g}"
        classes = [str(label) for label in host_labels(estimator.classes_, "classes_")]
        children = counts[left[node]], counts[right[node]]
        return cls(children[0] + children[1], *children, classes, question).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> SplitDisplay:
        """Draw."""
        panels = self._lay_out([*self.counts], ax, size=(3.1, 3.2))
        titles = {"parent": "parent", "left": "left: yes", "right": "right: no"}
        highest = 1.18 * self.counts["parent"].max()
        colours = [PALETTE[code % len(PALETTE)] for code in range(len(self.class_names))]
        for axes, (name, counts) in zip(panels, self.counts.items(), strict=False):
            bars = axes.bar(self.class_names, counts, color=colours, width=0.65)
            axes.bar_label(bars, [f"{count:.4g}" for count in counts], fontsize="small")
            plain_axes(axes, titles[name], "class", "samples" if name == "parent" else "")
            axes.set_title(f"{_entropy(counts):.3f} bits", loc="right", fontsize="medium")
            axes.grid(visible=False, axis="x")
            axes.set_axisbelow(True)
            axes.set_ylim(0, highest)
        asked = f"{self.question}: " if self.question else ""
        self.figure.suptitle(f"{asked}information gain {self.gain:.3f} bits", fontsize="medium")
        return self


def _entropy(counts: HostArray) -> float:
    return float(entropy(counts))
