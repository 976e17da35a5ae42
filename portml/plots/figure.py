"""What all figures share: how they are made and saved, and what their parts look like."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portml.errors import MissingDependencyError
from portml.train.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

__all__ = [
    "BLACK",
    "COLOURS",
    "GREY",
    "MARKERS",
    "PALETTE",
    "bare_image",
    "diverging_colours",
    "new_figure",
    "plain_axes",
    "save_figure",
]

# Told apart also by those who do not see red and green alike.  [Okabe & Ito 2008]
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8B6914", "#F0E442")
COLOURS = {"training": PALETTE[0], "validation": PALETTE[1]}
BLACK, GREY = "#222222", "#888888"
MARKERS = "os^DvPX*"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, laid out by constraints.

    Raises
    ------
    MissingDependencyError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            'figures are drawn by matplotlib, which is not installed: pip install "portml[plot]"'
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure in the format that the path's ending names, whole or not at all.

    Raises
    ------
    WriteError
        If the disk is full, or the place cannot be written.
    """
    path = Path(path)
    content = io.BytesIO()
    options: dict[str, Any] = {"format": path.suffix.lstrip(".").lower() or "png", "dpi": 150}
    figure.savefig(content, **options)
    return write_bytes(path, content.getvalue())


def plain_axes(axes: Axes, title: str, x_label: str, y_label: str) -> None:
    """Name the axes, and leave of the frame only what is read."""
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def diverging_colours(low: str = PALETTE[0], high: str = PALETTE[1]) -> Colormap:
    """A colour map from one colour over white to another."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("diverging", [low, "#FFFFFF", high])


def bare_image(axes: Axes, title: str) -> None:
    """Leave of the frame of an image nothing but its title."""
    axes.set_title(title, fontsize="medium")
    axes.set_xticks([])
    axes.set_yticks([])
