"""Unpooling: maxima back to where they were taken from."""

from __future__ import annotations

import math

from portml.backends import Array, device_of, namespace, operations
from portml.backends.kernels.indexing import ARRAY, setitem
from portml.errors import ShapeError
from portml.nn.spatial import Size, SpatialModule

__all__ = ["MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"]


class _MaxUnpool(SpatialModule):
    """Zeros with the maxima of `MaxPool2d` at their places; see `MaxUnpool2d`."""

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        self.kernel_size = self._sizes(kernel_size, "kernel_size", 1)
        self.stride = self.kernel_size if stride is None else self._sizes(stride, "stride", 1)
        self.padding = self._sizes(padding, "padding", 0)

    def forward(self, x: Array, indices: Array, output_size: tuple[int, ...] | None = None) -> Array:
        """Put maxima at their indices, both as a max pooling with `return_indices` gave them."""

        def put(x: Array, indices: Array) -> Array:
            return _put(x, indices, self._image(x, output_size))

        if tuple(x.shape) != tuple(indices.shape):
            raise ShapeError(
                f"{type(self).__name__}: expected indices of the shape of x, {tuple(x.shape)}, got "
                f"{tuple(indices.shape)}"
            )
        return self._over_batch(put, x, indices)

    def _image(self, x: Array, output_size: tuple[int, ...] | None) -> tuple[int, ...]:
        """The size of the result."""
        sizes = zip(x.shape[2:], self.stride, self.padding, self.kernel_size, strict=True)
        least = tuple((n - 1) * s - 2 * p + k for n, s, p, k in sizes)
        if output_size is None:
            return least
        wanted = tuple(output_size)[-self._spatial :]
        if len(wanted) != self._spatial or any(
            abs(size - usual) >= s for size, usual, s in zip(wanted, least, self.stride, strict=True)
        ):
            raise ShapeError(
                f"{type(self).__name__}: output_size={output_size} is a stride of {self.stride} or more away from "
                f"{least}, the size that an input of {tuple(x.shape)} had"
            )
        return wanted

    def extra_repr(self) -> str:
        """Sizes of the window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


def _put(x: Array, indices: Array, image: tuple[int, ...]) -> Array:
    """Zeros (N, C, *image) with the elements of x (N, C, ...) at their indices in each image."""
    xp, device = namespace(x, indices), device_of(x)
    n_images, length, count = math.prod(x.shape[:2]), math.prod(image), math.prod(x.shape[2:])
    indices = operations.reshape(indices, (n_images, count))
    # An index outside its own image must not reach the next one.
    inside = (indices >= 0) & (indices < length)
    first = xp.reshape(xp.arange(n_images, dtype=xp.int64, device=device) * length, (n_images, 1))
    places = xp.where(inside, indices + first, n_images * length)
    flat = xp.zeros((n_images * length,), dtype=x.dtype, device=device)
    values = operations.reshape(x, (n_images * count,))
    y = setitem(flat, values, xp.reshape(places, (n_images * count,)), key=(ARRAY,))
    return operations.reshape(y, (*x.shape[:2], *image))


class MaxUnpool1d(_MaxUnpool):
    """Zeros with the maxima of `MaxPool1d` at their places; see `MaxUnpool2d`."""

    _spatial = 1


class MaxUnpool2d(_MaxUnpool):
    """Zeros with the maxima of `MaxPool2d` at their places.

    Input: x and indices, (N, C, H, W) or (C, H, W).  Output: (N, C, H', W'), by default the smallest image that has so
    many windows.  Of several elements for one place the last stays, and it alone gets the gradient.

    Parameters
    ----------
    kernel_size : int or one for each axis
    stride : int or one for each axis, optional
        None takes `kernel_size`.
    padding : int or one for each axis
    """

    _spatial = 2


class MaxUnpool3d(_MaxUnpool):
    """Zeros with the maxima of `MaxPool3d` at their places; see `MaxUnpool2d`."""

    _spatial = 3
