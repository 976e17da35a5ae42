"""Which class was taken for which, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from portml.errors import ArgumentError
from portml.metrics import confusion_matrix
from portml.plots.display import Display, Where
from portml.plots.host import HostArray, host_labels, host_numbers

__all__ = ["ConfusionMatrixDisplay"]


class ConfusionMatrixDisplay(Display):
    """A table of colours: a row for each true class, a column for each predicted one.

    Parameters
    ----------
    confusion_matrix : array (n_classes, n_classes)
    display_labels : sequence, optional
        Names of the classes; their numbers without.

    Raises
    ------
    ArgumentError
        If the matrix is not square, or there is not a name for each class.
    """

    def __init__(self, confusion_matrix: Any, display_labels: Sequence[Any] | None = None) -> None:
        self.confusion_matrix = host_numbers(confusion_matrix, "confusion_matrix", ndim=2)
        rows, columns = self.confusion_matrix.shape
        if rows != columns:
            raise ArgumentError(f"confusion_matrix: expected a square one, got shape {(rows, columns)}")
        self.display_labels = [*range(rows)] if display_labels is None else [*display_labels]
        if len(self.display_labels) != rows:
            raise ArgumentError(f"display_labels: expected {rows} names, got {len(self.display_labels)}")

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        labels: Any = None,
        normalize: str | None = None,
        display_labels: Sequence[Any] | None = None,
        ax: Where = None,
    ) -> ConfusionMatrixDisplay:
        """Draw what a fitted classifier predicts of `X` against the labels `y`; see `from_predictions`."""
        predictions = estimator.predict(X)
        return cls.from_predictions(
            y, predictions, labels=labels, normalize=normalize, display_labels=display_labels, ax=ax
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_pred: Any,
        *,
        labels: Any = None,
        normalize: str | None = None,
        display_labels: Sequence[Any] | None = None,
        ax: Where = None,
    ) -> ConfusionMatrixDisplay:
        """Draw labels against predictions.

        Parameters
        ----------
        y_true, y_pred : array (n_samples,)
            Of any backend.
        labels : array (n_classes,), optional
            The classes and their order; None takes those that occur, sorted.
        normalize : {"true", "pred", "all"}, optional
            Shares of rows, of columns or of all instead of counts.
        display_labels : sequence, optional
            Names of the classes.
        ax : matplotlib.axes.Axes, optional
        """
        true = host_labels(y_true, "y_true")
        predicted = host_labels(y_pred, "y_pred", len(true))
        classes = np.unique(np.concatenate([true, predicted])) if labels is None else host_labels(labels, "labels")
        matrix = confusion_matrix(true, predicted, labels=classes, normalize=normalize)
        return cls(matrix, classes.tolist() if display_labels is None else display_labels).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> ConfusionMatrixDisplay:
        """Draw the table."""
        matrix, n = self.confusion_matrix, len(self.display_labels)
        side = max(3.6, 1.6 + 0.45 * n)
        (axes,) = self._lay_out(["matrix"], ax, size=(side + 0.4, side))
        image = axes.imshow(matrix, cmap="Blues", vmin=0, vmax=matrix.max() or 1)
        counts = bool((matrix == np.rint(matrix)).all())
        for row in range(n):
            for column in range(n):
                value = matrix[row, column]
                colour = "white" if value > 0.55 * matrix.max() else "black"
                text = f"{value:.0f}" if counts else f"{value:.2f}"
                axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9 if n <= 12 else 6)
        axes.set_xticks(range(n), _names(self.display_labels), rotation=_slant(self.display_labels), ha=_end(self))
        axes.set_yticks(range(n), _names(self.display_labels))
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        share = _share_right(matrix) if counts else None
        axes.set_title(
            "Confusion matrix" + (f", {share:.1%} right" if share is not None else ""), loc="left", fontweight="bold"
        )
        axes.figure.colorbar(image, ax=axes, shrink=0.8)
        return self


def _names(labels: Sequence[Any]) -> list[str]:
    return [str(label) for label in labels]


def _slant(labels: Sequence[Any]) -> float:
    """Long names would run into one another."""
    return 40.0 if max(len(name) for name in _names(labels)) > 5 else 0.0


def _end(display: ConfusionMatrixDisplay) -> str:
    return "right" if _slant(display.display_labels) else "center"


def _share_right(matrix: HostArray) -> float | None:
    total = float(matrix.sum())
    return float(np.trace(matrix)) / total if total else None
