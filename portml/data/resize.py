"""Resizing images by bilinear interpolation with half-pixel centres."""

from __future__ import annotations

from typing import Any

import numpy as np

from portml.errors import ArgumentError, DtypeError, ShapeError

__all__ = ["resize_bilinear"]

HostArray = np.ndarray[Any, Any]


def resize_bilinear(images: HostArray, size: tuple[int, int], *, antialias: bool = False) -> HostArray:
    r"""Resize images by bilinear interpolation, first along the rows and then along the columns.

    Pixel :math:`i` of a side is the square from :math:`i` to :math:`i + 1`, so that output pixel :math:`o` has its
    centre at :math:`c_o = (o + \tfrac12) \, n_\mathrm{in} / n_\mathrm{out} - \tfrac12` in input pixels.  Its value is

    .. math:: y_o = \sum_i w_{oi} \, x_i, \qquad w_{oi} \propto \max(0, 1 - |c_o - i| / s), \qquad \sum_i w_{oi} = 1

    with :math:`s = 1`: the two neighbours, the outermost pixels repeated beyond the edge.  These are the values of
    PyTorch's ``interpolate(mode="bilinear", align_corners=False)``.

    Parameters
    ----------
    images : numpy.ndarray of numbers, (..., height, width)
    size : (int, int)
        Height and width of the result.
    antialias : bool, default False
        Where a side shrinks, widen the triangle to :math:`s = n_\mathrm{in} / n_\mathrm{out}`, so that every input
        pixel counts (PyTorch's ``antialias=True``).

    Returns
    -------
    numpy.ndarray, (..., size[0], size[1])
        float64 for float64 images, else float32.  The sums are taken in float64, one product at a time: every machine
        gives the same bits.

    Raises
    ------
    ShapeError
        If the images have fewer than two dimensions or a side of length 0.
    ArgumentError
        If a side asked for is not a positive integer.
    DtypeError
        If the images are not real numbers.
    """
    images = np.asarray(images)
    if images.dtype.kind not in "buif":
        raise DtypeError(f"images: expected real numbers, got {images.dtype}")
    if images.ndim < 2 or 0 in images.shape[-2:]:
        raise ShapeError(f"images: expected shape (..., height, width) with no side of length 0, got {images.shape}")
    if len(size) != 2 or not all(isinstance(side, int | np.integer) and side > 0 for side in size):
        raise ArgumentError(f"size: expected a positive height and width, such as (28, 28), got {size!r}")
    resized = images.astype(np.float64)
    for axis, length in zip((-2, -1), size, strict=True):
        resized = _resize_axis(resized, axis, int(length), antialias)
    return resized if images.dtype == np.float64 else resized.astype(np.float32)


def _resize_axis(images: HostArray, axis: int, length: int, antialias: bool) -> HostArray:
    """Resize one axis to `length`: a weighted sum over the pixels under each output pixel's triangle."""
    if images.shape[axis] == length:
        return images
    columns = (slice(None), None) if axis == -2 else (slice(None),)
    pixels, weights = _triangles(images.shape[axis], length, antialias)
    resized = np.zeros(1)
    for pixel, weight in zip(pixels, weights, strict=True):
        resized = resized + np.take(images, pixel, axis=axis) * weight[columns]
    return resized


def _triangles(n_in: int, n_out: int, antialias: bool) -> tuple[HostArray, HostArray]:
    """Input pixels under the triangle of each output pixel, and their weights, both (n_pixels_under_one, n_out)."""
    half_width = max(1.0, n_in / n_out) if antialias else 1.0
    centre = (np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5
    # Repeating the outermost pixels beyond the edge is the same as holding the centre inside.
    if half_width == 1.0:
        centre = np.clip(centre, 0.0, n_in - 1.0)
    first = np.ceil(centre - half_width).astype(np.int64)
    pixel = first + np.arange(int(np.ceil(2 * half_width)) + 1)[:, None]
    weight = np.maximum(0.0, 1.0 - np.abs(centre - pixel) / half_width)
    weight[(pixel < 0) | (pixel >= n_in)] = 0.0
    return np.clip(pixel, 0, n_in - 1), weight / np.sum(weight, axis=0)
