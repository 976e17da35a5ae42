"""Loss and accuracy by epoch, in training and on the validation set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portml.errors import ArgumentError
from portml.plots.figure import COLOURS, new_figure, plain_axes, save_figure
from portml.train import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["TrainingCurves"]

_PANELS = {"loss": "Loss", "accuracy": "Accuracy"}


class TrainingCurves:
    """A picture of a history: one panel for the loss, one for the accuracy if there is any.

    Parameters
    ----------
    history : History

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    axes : dict of str to matplotlib.axes.Axes
        The panels, "loss" and "accuracy".

    Raises
    ------
    ArgumentError
        If the history has no epoch, or fewer axes are given than there are panels.
    MissingDependencyError
        If matplotlib is not installed.

    Examples
    --------
    >>> from portml.train import History
    >>> history = History([{"epoch": 1, "loss": 2.1}, {"epoch": 2, "loss": 0.9}])
    >>> TrainingCurves.from_history(history).save("curves.png")  # doctest: +SKIP
    """

    figure: Figure
    axes: dict[str, Axes]

    def __init__(self, history: History) -> None:
        if len(history) == 0:
            raise ArgumentError("history: expected at least one epoch, got none; train first")
        self.history = history

    @classmethod
    def from_history(
        cls, history: History, *, ax: Sequence[Axes] | None = None, title: str = "", loss_label: str = "cross-entropy"
    ) -> TrainingCurves:
        """Draw a history.

        Parameters
        ----------
        history : History
        ax : sequence of matplotlib.axes.Axes, optional
            Where to draw the loss and the accuracy; None makes a figure.
        title : str
            Over the whole figure.
        loss_label : str
            What the loss is.
        """
        return cls(history).plot(ax=ax, title=title, loss_label=loss_label)

    def plot(
        self, *, ax: Sequence[Axes] | None = None, title: str = "", loss_label: str = "cross-entropy"
    ) -> TrainingCurves:
        """Draw; see `from_history`."""
        panels = [name for name in _PANELS if self.history[name]]
        if ax is None:
            self.figure = new_figure(4.6 * len(panels), 3.6)
            ax = [self.figure.add_subplot(1, len(panels), place) for place in range(1, len(panels) + 1)]
        elif len(ax) < len(panels):
            raise ArgumentError(f"ax: expected {len(panels)} axes for {' and '.join(panels)}, got {len(ax)}")
        else:
            self.figure = ax[0].figure  # type: ignore[assignment]  # or a sub-figure, which saves as well
        if title:
            self.figure.suptitle(title, fontsize="medium")
        self.axes = dict(zip(panels, ax, strict=False))
        for name, axes in self.axes.items():
            self._draw(axes, name, loss_label if name == "loss" else "samples classified right")
        return self

    def save(self, path: str | Path) -> Path:
        """Write the picture, whole or not at all, in the format that the path's ending names."""
        return save_figure(self.figure, path)

    def _draw(self, axes: Axes, name: str, y_label: str) -> None:
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        drawn: list[float] = []
        for role, column in {"training": name, "validation": f"validation_{name}"}.items():
            points = [(row["epoch"], row[column]) for row in self.history if column in row]
            if points:
                epochs, values = zip(*points, strict=True)
                label = f"{role}, {_shown(name, values[-1])} at the end"
                drawn.extend(values)
                axes.plot(epochs, values, label=label, **_line(role, len(points)))
        plain_axes(axes, _PANELS[name], "epoch", y_label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if name == "accuracy":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
            axes.set_ylim(min(drawn) - 0.05 * (1.02 - min(drawn)), 1.005)
        else:
            axes.set_ylim(0.0, 1.08 * max(drawn) or 1.0)
        axes.legend(frameon=False)


def _line(role: str, points: int) -> dict[str, Any]:
    """Few epochs are marked one by one; the validation curve is dashed, for print without colour."""
    style = {"color": COLOURS[role], "linewidth": 1.8, "linestyle": "-" if role == "training" else "--"}
    return style | ({"marker": "o", "markersize": 4} if points <= 12 else {})


def _shown(name: str, value: float) -> str:
    return f"{value:.3f}" if name == "loss" else f"{value:.1%}"
