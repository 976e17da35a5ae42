"""A decision tree as a picture: its questions, and what the leaves answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from portml.classical.validation import require_fitted
from portml.errors import ArgumentError
from portml.plots.display import Display, Where
from portml.plots.figure import BLACK, GREY, PALETTE, diverging_colours
from portml.plots.host import HostArray, host_labels, host_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TreeDisplay"]

# Inches for each leaf side by side, and for each level, at a font of 7 points.
WIDTH, HEIGHT, FONT = 1.3, 1.15, 7.0


@dataclass(frozen=True)
class Box:
    """A node as it is drawn."""

    x: float
    depth: int
    text: str
    colour: Any
    parent: int | None
    goes_left: bool


class TreeDisplay(Display):
    """The nodes of a tree in boxes, level by level; what answers a question with yes goes left.

    Parameters
    ----------
    boxes : dict of int to Box
        By the number of the node.
    n_leaves : int
        How many boxes have none below.

    Notes
    -----
    A box is coloured by the most frequent class, the paler the less pure the node; of a regressor by its mean.
    """

    def __init__(self, boxes: dict[int, Box], n_leaves: int) -> None:
        self.boxes = boxes
        self.n_leaves = n_leaves

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        feature_names: Sequence[str] | None = None,
        class_names: Sequence[str] | None = None,
        max_depth: int | None = None,
        ax: Where = None,
    ) -> TreeDisplay:
        """Draw a fitted decision tree.

        Parameters
        ----------
        estimator : DecisionTreeClassifier or DecisionTreeRegressor
            One of a forest's too.
        feature_names : sequence of str, optional
            Those the tree was fitted with, or x[0], x[1], ... without.
        class_names : sequence of str, optional
            In the order of `classes_`.
        max_depth : int, optional
            What lies deeper is left out, and "..." stands for it.
        ax : matplotlib.axes.Axes, optional

        Raises
        ------
        NotFittedError
            If the tree was not fitted.
        ArgumentError
            If it is no tree, or the number of names does not fit.
        """
        require_fitted(estimator)
        if not hasattr(estimator, "tree_"):
            raise ArgumentError(
                f"estimator: expected a decision tree, got {type(estimator).__name__}; of a forest, one of estimators_"
            )
        boxes, n_leaves = _Layout(estimator, feature_names, class_names, max_depth).boxes()
        return cls(boxes, n_leaves).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> TreeDisplay:
        """Draw."""
        levels = 1 + max(box.depth for box in self.boxes.values())
        size = (max(3.0, WIDTH * self.n_leaves), max(1.5, HEIGHT * levels))
        (axes,) = self._lay_out(["tree"], ax, size=size)
        axes.set_axis_off()
        axes.set_xlim(-0.6, self.n_leaves - 0.4)
        axes.set_ylim(-levels + 0.4, 0.6)
        font = self._font(axes, levels)
        for box in self.boxes.values():
            if box.parent is not None:
                self._edge(axes, self.boxes[box.parent], box, font)
        for box in self.boxes.values():
            frame = {"boxstyle": "round,pad=0.35", "facecolor": box.colour, "edgecolor": BLACK, "linewidth": 0.7}
            axes.text(box.x, -box.depth, box.text, ha="center", va="center", fontsize=font, bbox=frame, zorder=3)
        return self

    def _font(self, axes: Axes, levels: int) -> float:
        """As large as boxes do not touch in the space there is."""
        place = axes.get_position()
        width, height = self.figure.get_size_inches() * (place.width, place.height)
        return float(np.clip(FONT * min(width / self.n_leaves / WIDTH, height / levels / HEIGHT) * 1.2, 2.0, FONT))

    @staticmethod
    def _edge(axes: Axes, above: Box, below: Box, font: float) -> None:
        axes.plot([above.x, below.x], [-above.depth, -below.depth], color=GREY, linewidth=0.9, zorder=1)
        if above.depth == 0:
            word, side = ("yes", "right") if below.goes_left else ("no", "left")
            middle = 0.5 * (above.x + below.x) + (-0.06 if below.goes_left else 0.06)
            axes.text(middle, -0.44, word, ha=side, va="center", fontsize=font, color=BLACK)


class _Layout:
    """Where each node goes: leaves side by side, a question over the middle of its two answers."""

    def __init__(self, estimator: Any, names: Sequence[str] | None, classes: Sequence[str] | None, deepest: int | None):
        tree = estimator.tree_
        self.left, self.right, self.feature = (
            host_numbers(part, "tree_").astype(int) for part in (tree.children_left, tree.children_right, tree.feature)
        )
        self.threshold = host_numbers(tree.threshold, "threshold")
        self.impurity = host_numbers(tree.impurity, "impurity")
        self.samples = host_numbers(tree.n_node_samples, "n_node_samples").astype(int)
        self.value = host_numbers(tree.value, "value")[:, 0, :]
        self.criterion = {"squared_error": "variance"}.get(estimator.criterion, estimator.criterion)
        self.names = _feature_names(estimator, names, int(tree.n_features))
        self.classes = _class_names(estimator, classes)
        self.deepest = np.inf if deepest is None else deepest
        self.colours = _colours(self.value, self.classes is not None)
        self.next_leaf = 0

    def boxes(self) -> tuple[dict[int, Box], int]:
        found: dict[int, Box] = {}
        self.place(0, 0, None, True, found)
        return dict(sorted(found.items())), self.next_leaf

    def place(self, node: int, depth: int, parent: int | None, goes_left: bool, found: dict[int, Box]) -> float:
        """Place a node and those below it; its horizontal place."""
        if self.left[node] < 0 or depth >= self.deepest:
            x = float(self.next_leaf)
            self.next_leaf += 1
        else:
            left = self.place(self.left[node], depth + 1, node, True, found)
            x = 0.5 * (left + self.place(self.right[node], depth + 1, node, False, found))
        found[node] = Box(x, depth, self.text(node, depth), self.colours[node], parent, goes_left)
        return x

    def text(self, node: int, depth: int) -> str:
        lines = []
        if self.left[node] >= 0:
            lines.append(f"{self.names[self.feature[node]]} ≤ {self.threshold[node]:.4g}")
        lines += [f"{self.criterion} {self.impurity[node]:.3g}", f"{self.samples[node]} samples"]
        if self.classes is None:
            lines.append(f"mean {self.value[node, 0]:.4g}")
        else:
            lines.append(f"class {self.classes[int(np.argmax(self.value[node]))]}")
        return "\n".join([*lines, "..."] if self.left[node] >= 0 and depth >= self.deepest else lines)


def _feature_names(estimator: Any, names: Sequence[str] | None, n_features: int) -> list[str]:
    if names is None:
        names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return [f"x[{column}]" for column in range(n_features)]
    if len(names) != n_features:
        raise ArgumentError(f"feature_names: expected {n_features} names, got {len(names)}")
    return [str(name) for name in names]


def _class_names(estimator: Any, names: Sequence[str] | None) -> list[str] | None:
    if not hasattr(estimator, "classes_"):
        return None
    classes = host_labels(estimator.classes_, "classes_").tolist()
    if names is not None and len(names) != len(classes):
        raise ArgumentError(f"class_names: expected {len(classes)} names, got {len(names)}")
    return [str(name) for name in (classes if names is None else names)]


def _colours(value: HostArray, is_classifier: bool) -> list[Any]:
    from matplotlib.colors import to_rgb

    if not is_classifier:
        spread = np.ptp(value[:, 0]) or 1.0
        pale = diverging_colours("#9CC7E5", "#F2B68C")
        return [pale((mean - value[:, 0].min()) / spread) for mean in value[:, 0]]
    colours = []
    for shares in value:
        first, shares = int(np.argmax(shares)), shares / (shares.sum() or 1.0)
        even = 1.0 / len(shares)
        pure = 0.08 + 0.47 * (shares.max() - even) / (1.0 - even) if even < 1.0 else 0.55
        colours.append(tuple(1 - pure * (1 - part) for part in to_rgb(PALETTE[first % len(PALETTE)])))
    return colours
