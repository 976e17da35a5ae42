"""What convolutions look for, and what they find: their weights and their outputs as images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from portml.backends import is_tensor
from portml.errors import ArgumentError, ShapeError
from portml.nn import Module, evaluating
from portml.plots.display import Display, Where
from portml.plots.figure import bare_image, diverging_colours
from portml.plots.host import HostArray, host_numbers

__all__ = ["FeatureMapsDisplay", "FiltersDisplay"]


class FiltersDisplay(Display):
    """The kernels of a convolution: blue where they are below zero, red above, white at zero; all on one scale.

    Parameters
    ----------
    filters : array (n_filters, height, width), or (n_filters, height, width, 3) for kernels of colours
    """

    def __init__(self, filters: HostArray) -> None:
        self.filters = filters

    @classmethod
    def from_module(
        cls, module: Any, *, channel: int | None = None, max_filters: int = 64, ax: Where = None
    ) -> FiltersDisplay:
        """Draw the weight of a `Conv2d`; see `from_weights`."""
        weight = getattr(module, "weight", None)
        if weight is None:
            raise ArgumentError(f"module: expected a convolution with a weight, got {type(module).__name__}")
        return cls.from_weights(weight, channel=channel, max_filters=max_filters, ax=ax)

    @classmethod
    def from_weights(
        cls, weight: Any, *, channel: int | None = None, max_filters: int = 64, ax: Where = None
    ) -> FiltersDisplay:
        """Draw kernels.

        Parameters
        ----------
        weight : array (n_out, n_in, height, width)
        channel : int, optional
            The channel of the input whose kernels are drawn.  None takes all three at once as colours, where there are
            three, else the first.
        max_filters : int
            At most so many are drawn.
        ax : sequence of matplotlib.axes.Axes, optional

        Raises
        ------
        ShapeError
            If the weight is not that of a convolution over images.
        ArgumentError
            If there is no such channel.
        """
        kernels = host_numbers(weight, "weight")
        if kernels.ndim != 4:
            raise ShapeError(f"weight: expected shape (n_out, n_in, height, width), got {kernels.shape}")
        kernels = kernels[:max_filters]
        if channel is None and kernels.shape[1] == 3:
            reach = np.abs(kernels).max() or 1.0
            return cls(np.moveaxis(0.5 + 0.5 * kernels / reach, 1, -1)).plot(ax=ax)
        number = channel or 0
        if not 0 <= number < kernels.shape[1]:
            raise ArgumentError(f"channel: expected one from 0 to {kernels.shape[1] - 1}, got {channel}")
        return cls(kernels[:, number]).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> FiltersDisplay:
        """Draw."""
        reach = float(np.abs(self.filters).max()) or 1.0
        panels = self._lay_out([f"filter {number}" for number in range(len(self.filters))], ax, **_grid(self.filters))
        for number, (axes, image) in enumerate(zip(panels, self.filters, strict=False)):
            axes.imshow(image, cmap=diverging_colours(), vmin=-reach, vmax=reach)
            bare_image(axes, str(number))
        return self


class FeatureMapsDisplay(Display):
    """What each channel of a layer answers to one image.

    Parameters
    ----------
    maps : array (n_channels, height, width)
    image : array (height, width) or (height, width, 3), optional
        Drawn first.
    """

    def __init__(self, maps: HostArray, image: HostArray | None = None) -> None:
        self.maps = maps
        self.image = image

    @classmethod
    def from_module(
        cls, module: Module, image: Any, *, layer: Module | None = None, max_maps: int = 63, ax: Where = None
    ) -> FeatureMapsDisplay:
        """Let a module see an image, and draw what a layer in it gives.

        Parameters
        ----------
        module : Module
            Is left in the mode it is in.
        image : array (n_channels, height, width) or (1, n_channels, height, width)
            On the module's backend.
        layer : Module, optional
            One of the module's own; None takes the output of the module itself.
        max_maps : int
            At most so many channels are drawn.
        ax : sequence of matplotlib.axes.Axes, optional

        Raises
        ------
        ShapeError
            If it is not one image, or what the layer gives has other axes than one.
        ArgumentError
            If the layer is not in the module, or was not used.
        """
        batch = image if len(image.shape) == 4 else image[None, ...]
        if len(batch.shape) != 4 or batch.shape[0] != 1:
            raise ShapeError(f"image: expected one of shape (n_channels, height, width), got {tuple(image.shape)}")
        maps = host_numbers(_output_of(module, batch, module if layer is None else layer), "maps")
        if maps.ndim != 4:
            raise ShapeError(f"layer: expected one that gives images, got an output of shape {maps.shape}")
        pixels = host_numbers(batch, "image")[0]
        shown = pixels[0] if len(pixels) != 3 else np.moveaxis((pixels - pixels.min()) / (np.ptp(pixels) or 1), 0, -1)
        return cls(maps[0][:max_maps], shown).plot(ax=ax)

    @classmethod
    def from_maps(cls, maps: Any, *, ax: Where = None) -> FeatureMapsDisplay:
        """Draw maps (n_channels, height, width)."""
        return cls(host_numbers(maps, "maps", ndim=3)).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> FeatureMapsDisplay:
        """Draw."""
        before = [] if self.image is None else [self.image]
        names = ["image"] * len(before) + [f"map {number}" for number in range(len(self.maps))]
        panels = self._lay_out(names, ax, **_grid(names))
        if self.image is not None:
            panels[0].imshow(self.image, cmap="gray")
            bare_image(panels[0], "image")
        for number, (axes, values) in enumerate(zip(panels[len(before) :], self.maps, strict=False)):
            axes.imshow(values, cmap="cividis")
            bare_image(axes, str(number))
        return self


def _grid(images: Any) -> dict[str, Any]:
    n = len(images)
    return {"columns": n if n <= 8 else math.ceil(math.sqrt(2 * n)), "size": (1.15, 1.35)}


def _output_of(module: Module, batch: Any, layer: Module) -> Any:
    if not any(each is layer for each in module.modules()):
        raise ArgumentError(f"layer: {type(layer).__name__} is not in the module; see named_modules()")
    given: list[Any] = []
    handle = layer.register_forward_hook(lambda _module, _inputs, output: given.append(output))
    try:
        with evaluating(module):
            module(batch)
    finally:
        handle.remove()
    if not given:
        raise ArgumentError(f"layer: {type(layer).__name__} was not used by the module")
    return given[-1].value if is_tensor(given[-1]) else given[-1]
