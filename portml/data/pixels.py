"""Pixels in the one form that everything here ends in: float32, (channels, height, width), levels in [0, 1].

Integers are taken for levels of 0 to 255 (unsigned 16-bit integers for 0 to 65535) and divided; floating-point values
stay as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portml.data.resize import resize_bilinear
from portml.errors import ArgumentError, DataError

__all__ = ["channels_first", "levels", "to_image_shape"]

HostArray = np.ndarray[Any, Any]

# Weights of red, green and blue in the luminance of ITU-R BT.601.
_LUMINANCE = np.asarray([0.299, 0.587, 0.114], dtype=np.float32)


def to_image_shape(images: HostArray, image_shape: tuple[int, int, int]) -> HostArray:
    """Convert images to a number of channels and a size.

    Colour becomes grey by the luminance of ITU-R BT.601, grey becomes colour by repetition.  The size is changed
    bilinearly, without keeping the proportions of the sides; where an image shrinks every pixel counts.

    Parameters
    ----------
    images : numpy.ndarray of float32, (..., channels, height, width)
    image_shape : (channels, height, width)

    Returns
    -------
    numpy.ndarray of float32, (..., *image_shape)

    Raises
    ------
    ArgumentError
        If `image_shape` is not three positive integers.
    DataError
        If there is no conversion between these numbers of channels, or these are no images.
    """
    if len(image_shape) != 3 or not all(isinstance(side, int) and side > 0 for side in image_shape):
        raise ArgumentError(
            f"image_shape: expected (channels, height, width), such as (1, 28, 28), got {image_shape!r}"
        )
    if images.ndim < 3:
        raise DataError(f"images: expected shape (..., channels, height, width), got {images.shape}")
    channels, height, width = image_shape
    images = resize_bilinear(_to_channels(images, channels), (height, width), antialias=True)
    return np.ascontiguousarray(images)


def levels(values: HostArray, name: str) -> HostArray:
    """Grey levels or colours as float32: integers divided by their largest level, floating-point values as they are."""
    kind = values.dtype.kind
    if kind not in "buif":
        raise DataError(f"{name}: expected real numbers, got {values.dtype}")
    if 0 in values.shape:
        raise DataError(f"{name}: expected at least one image and one pixel, got shape {values.shape}")
    if kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(np.float32)
    if kind == "b":
        return values.astype(np.float32)
    if values.dtype == np.uint16:
        return values.astype(np.float32) / np.float32(65535)
    if values.min() < 0 or values.max() > 255:
        raise DataError(
            f"{name}: expected integers of 0 to 255, got {values.min()} to {values.max()}; "
            "scale them to [0, 1] as float32"
        )
    return values.astype(np.float32) / np.float32(255)


def channels_first(images: HostArray, n_dimensions: int, name: str) -> HostArray:
    """Move the channels of (..., height, width, channels) before the sides, and give (..., height, width) one.

    `n_dimensions`, 2 or 3, are the axes of one image.  An axis of 1 or 3 before the sides is taken for the channels,
    and only without such one an axis of 1 or 3 after them.
    """
    if n_dimensions == 2:
        return np.expand_dims(images, -3)
    if images.shape[-3] in (1, 3):
        return images
    if images.shape[-1] in (1, 3):
        return np.ascontiguousarray(np.moveaxis(images, -1, -3))
    raise DataError(f"{name}: expected 1 or 3 channels before or after height and width, got shape {images.shape}")


def _to_channels(images: HostArray, channels: int) -> HostArray:
    present = images.shape[-3]
    if present == channels:
        return images
    if present == 1:
        return np.repeat(images, channels, axis=-3)
    if present == 3 and channels == 1:
        return np.asarray(np.sum(images * _LUMINANCE[:, None, None], axis=-3, keepdims=True))
    raise DataError(f"cannot convert an image of {present} channels to {channels}")
