"""What an edge kernel sees in an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from portml.nn.functional import convolution
from portml.plots.display import Display, Where
from portml.plots.figure import bare_image, diverging_colours
from portml.plots.host import HostArray, host_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["EdgeKernelsDisplay"]

# [Sobel & Feldman 1968]
VERTICAL = np.asarray([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
IMAGE = np.asarray([[0.0, 0.0, 1.0, 1.0, 1.0]] * 3 + [[0.0, 0.0, 0.0, 0.0, 0.0]] * 2)


class EdgeKernelsDisplay(Display):
    """Six panels: an image, a kernel for vertical and one for horizontal edges, their answers, and how strong both are.

    Parameters
    ----------
    image : array (height, width)
    kernels : pair of arrays (k, k)
        For vertical and for horizontal edges.
    answers : pair of arrays
        The image cross-correlated with each.
    """

    def __init__(
        self, image: HostArray, kernels: tuple[HostArray, HostArray], answers: tuple[HostArray, HostArray]
    ) -> None:
        self.image = image
        self.kernels = kernels
        self.answers = answers

    @property
    def strength(self) -> HostArray:
        """The root of the sum of both answers' squares."""
        strength: HostArray = np.sqrt(self.answers[0] ** 2 + self.answers[1] ** 2)
        return strength

    @classmethod
    def from_image(
        cls, image: Any = None, *, vertical: Any = None, horizontal: Any = None, ax: Where = None
    ) -> EdgeKernelsDisplay:
        """Convolve an image with two kernels, and draw all of it.

        Parameters
        ----------
        image : array (height, width), optional
            Of any backend; a bright corner of 5×5 pixels without.
        vertical, horizontal : array (k, k), optional
            The kernels of Sobel without.
        ax : six matplotlib.axes.Axes, optional

        Raises
        ------
        ShapeError
            If the image or a kernel has not two axes, or the image is smaller than the kernels.
        """
        pixels = host_numbers(IMAGE if image is None else image, "image", ndim=2)
        first = host_numbers(VERTICAL if vertical is None else vertical, "vertical", ndim=2)
        second = host_numbers(VERTICAL.T if horizontal is None else horizontal, "horizontal", ndim=2)
        answers = _correlate(pixels, first), _correlate(pixels, second)
        return cls(pixels, (first, second), answers).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> EdgeKernelsDisplay:
        """Draw."""
        images = {
            "image": self.image,
            "kernel, vertical edges": self.kernels[0],
            "kernel, horizontal edges": self.kernels[1],
            "strength of edges": self.strength,
            "vertical edges": self.answers[0],
            "horizontal edges": self.answers[1],
        }
        panels = self._lay_out([*images], ax, columns=3, size=(2.7, 2.8))
        for axes, (name, values) in zip(panels, images.items(), strict=False):
            if name in ("image", "strength of edges"):
                axes.imshow(values, cmap="gray")
            else:
                reach = float(np.abs(values).max()) or 1.0
                axes.imshow(values, cmap=diverging_colours(), vmin=-reach, vmax=reach)
            bare_image(axes, name)
            if max(values.shape) <= 7:
                _write_numbers(axes, values, dark=name in ("image", "strength of edges"))
        return self


def _correlate(image: HostArray, kernel: HostArray) -> HostArray:
    options: dict[str, Any] = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    found = convolution(image[None, None], kernel[None, None], None, **options)
    answer: HostArray = host_numbers(found, "answer")[0, 0]
    return answer


def _write_numbers(axes: Axes, values: HostArray, dark: bool) -> None:
    """The values in their pixels, legible on black (`dark`: low values are) and on white."""
    middle = 0.5 * (values.min() + values.max())
    for row, column in np.ndindex(*values.shape):
        value = values[row, column]
        colour = "white" if (dark and value < middle) or (np.ptp(values) == 0 and dark) else "black"
        axes.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=8, color=colour)
