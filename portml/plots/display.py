"""What all displays share: their panels, where they are drawn, and how they are saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np

from portml.errors import ArgumentError
from portml.plots.figure import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Display", "Where"]

Where: TypeAlias = Union["Axes", Sequence["Axes"], "np.ndarray[Any, Any]", None]
"""Where to draw: the axes of one panel, those of several, or None for a new figure."""


class Display:
    """A figure of one idea, in one panel or several.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    axes : dict of str to matplotlib.axes.Axes
        The panels by name.
    """

    figure: Figure
    axes: dict[str, Axes]

    def save(self, path: str | Path) -> Path:
        """Write the picture, whole or not at all, in the format that the path's ending names."""
        return save_figure(self.figure, path)

    def _lay_out(
        self, names: Sequence[str], ax: Where, *, columns: int = 0, size: tuple[float, float] = (4.6, 3.6)
    ) -> list[Axes]:
        """A panel for each name: those given, or those of a new figure with `size` inches for each.

        Raises
        ------
        ArgumentError
            If fewer axes are given than there are panels.
        MissingDependencyError
            If matplotlib is not installed.
        """
        if ax is None:
            columns = min(columns or len(names), len(names))
            rows = -(-len(names) // columns)
            self.figure = new_figure(size[0] * columns, size[1] * rows)
            given = [self.figure.add_subplot(rows, columns, place) for place in range(1, len(names) + 1)]
        else:
            given = [*np.ravel(np.asarray(ax, dtype=object))]
            if len(given) < len(names):
                raise ArgumentError(f"ax: expected {len(names)} axes for {', '.join(names)}, got {len(given)}")
            self.figure = given[0].figure  # type: ignore[assignment]  # or a sub-figure, which saves as well
        self.axes = dict(zip(names, given, strict=False))
        return [*self.axes.values()]
