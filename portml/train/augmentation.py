"""Random changes of the inputs of a training batch, worked out where the batch is."""

from __future__ import annotations

import math

from portml.backends import Array, Backend, get_backend, namespace
from portml.errors import RangeError, ShapeError
from portml.nn import Module
from portml.random import Generator

__all__ = ["RandomAffine", "RandomHorizontalFlip", "resample_affine"]


class RandomAffine(Module):
    r"""Shift, stretch and turn each image by an amount of its own, and fill with zeros what comes in from outside.

    Input and output: (N, C, H, W).  The amounts are uniform in [−a, a] with a as given, stretching in either direction
    by a factor of 1 + u.  In evaluation nothing happens.  [Simard, Steinkraus & Platt 2003, section 2]

    Parameters
    ----------
    shift : float
        Pixels.
    scale : float
        A fraction below 1.
    rotation : float
        Degrees.
    rng : Generator or int
        Five numbers an image are drawn from it.
    backend : str or Backend, optional
        Where the images will be; with a generator, that one's.

    Raises
    ------
    RangeError
        If an amount is negative, or `scale` is 1 or more.
    """

    def __init__(
        self,
        shift: float = 0.0,
        scale: float = 0.0,
        rotation: float = 0.0,
        *,
        rng: Generator | int = 0,
        backend: str | Backend | None = None,
    ) -> None:
        for name, amount in {"shift": shift, "scale": scale, "rotation": rotation}.items():
            if not 0 <= amount < math.inf:
                raise RangeError(f"{name}: expected a number of at least 0, got {amount!r}")
        if scale >= 1:
            raise RangeError(f"scale: expected a fraction below 1, got {scale!r}")
        self.shift = shift
        self.scale = scale
        self.rotation = rotation
        self.rng = rng if isinstance(rng, Generator) else Generator(rng, get_backend(backend))

    def forward(self, images: Array) -> Array:
        """Change each of the `images` (N, C, H, W)."""
        if not self.training or self.shift == self.scale == self.rotation == 0:
            return images
        if len(images.shape) != 4:
            raise ShapeError(f"images: expected shape (N, C, H, W) to shift, stretch and turn, got {images.shape}")
        xp = namespace(images)
        amounts = xp.astype(self.rng.uniform(-1.0, 1.0, (5, images.shape[0])), images.dtype)
        down, right, tall, wide, turn = (amounts[i, :] for i in range(5))
        angle = turn * math.radians(self.rotation)
        cosine, sine = xp.cos(angle), xp.sin(angle)
        height, width = 1.0 + tall * self.scale, 1.0 + wide * self.scale
        matrix = xp.stack([cosine / height, -sine / height, sine / width, cosine / width], axis=1)
        return resample_affine(images, matrix, xp.stack([down, right], axis=1) * self.shift)

    def extra_repr(self) -> str:
        """The amounts."""
        return f"shift={self.shift}, scale={self.scale}, rotation={self.rotation}"


class RandomHorizontalFlip(Module):
    """Mirror each image, left and right exchanged, with a probability.

    Input and output: (N, C, H, W).  In evaluation nothing happens.

    Parameters
    ----------
    p : float
    rng : Generator or int
        One number an image is drawn from it.
    backend : str or Backend, optional
        Where the images will be; with a generator, that one's.

    Raises
    ------
    RangeError
        If `p` is no probability.
    """

    def __init__(self, p: float = 0.5, *, rng: Generator | int = 0, backend: str | Backend | None = None) -> None:
        if not 0 <= p <= 1:
            raise RangeError(f"p: expected a probability in [0, 1], got {p!r}")
        self.p = p
        self.rng = rng if isinstance(rng, Generator) else Generator(rng, get_backend(backend))

    def forward(self, images: Array) -> Array:
        """Mirror some of the `images` (N, C, H, W)."""
        if not self.training or self.p == 0:
            return images
        if len(images.shape) != 4:
            raise ShapeError(f"images: expected shape (N, C, H, W) to mirror, got {images.shape}")
        xp = namespace(images)
        mirrored = self.rng.bernoulli(self.p, (images.shape[0], 1, 1, 1))
        return xp.where(mirrored, xp.flip(images, axis=3), images)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"


def resample_affine(images: Array, matrix: Array, shift: Array) -> Array:
    r"""Images seen through an affine map, each through its own, with bilinear weights and zeros outside.

    .. math:: y_{p} = x_{c + M (p - c - t)}

    with rows and columns p, the centre c of the image, the matrix M and the shift t.

    Parameters
    ----------
    images : array (N, C, H, W) of a floating data type
    matrix : array (N, 4)
        M by rows: what a step down and a step to the right in the result are in the image.
    shift : array (N, 2)
        Pixels by which the content moves down and to the right.

    Returns
    -------
    array (N, C, H, W)
    """
    xp = namespace(images, matrix, shift)
    n, channels, height, width = images.shape
    placed = {"dtype": images.dtype, "device": images.device}
    middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
    rows = xp.reshape(xp.arange(height, **placed), (1, height, 1)) - middle_row - _of_images(xp, shift[:, 0])
    columns = xp.reshape(xp.arange(width, **placed), (1, 1, width)) - middle_column - _of_images(xp, shift[:, 1])
    m = [_of_images(xp, matrix[:, i]) for i in range(4)]
    # One line of zeros around each image stands for everything outside.
    row, below = _place(xp, m[0] * rows + m[1] * columns + middle_row + 1, height + 1)
    column, beside = _place(xp, m[2] * rows + m[3] * columns + middle_column + 1, width + 1)
    padded, line = _with_border(xp, images), width + 2
    image = xp.reshape(xp.arange(n * channels, dtype=xp.int64, device=images.device), (n, channels, 1, 1))
    corner = image * ((height + 2) * line) + (row * line + column)[:, None, :, :]
    below, beside = below[:, None, :, :], beside[:, None, :, :]
    above = _taken(xp, padded, corner) * (1 - beside) + _taken(xp, padded, corner + 1) * beside
    under = _taken(xp, padded, corner + line) * (1 - beside) + _taken(xp, padded, corner + line + 1) * beside
    return above * (1 - below) + under * below


def _of_images(xp: Array, numbers: Array) -> Array:
    """One number an image, (N,), to go with its pixels, (N, H, W)."""
    return numbers[:, None, None]


def _place(xp: Array, position: Array, last: int) -> tuple[Array, Array]:
    """The line before each position, and how far behind it the position is; both kept within 0 and `last`."""
    position = xp.clip(position, 0.0, float(last))
    before = xp.clip(xp.floor(position), 0.0, float(last - 1))
    return xp.astype(before, xp.int64), position - before


def _with_border(xp: Array, images: Array) -> Array:
    """The pixels of the images with a line of zeros around each, as one flat array."""
    n, channels, height, width = images.shape
    column = xp.zeros((n, channels, height, 1), dtype=images.dtype, device=images.device)
    line = xp.zeros((n, channels, 1, width + 2), dtype=images.dtype, device=images.device)
    return xp.reshape(xp.concat([line, xp.concat([column, images, column], axis=3), line], axis=2), (-1,))


def _taken(xp: Array, flat: Array, index: Array) -> Array:
    return xp.reshape(xp.take(flat, xp.reshape(index, (-1,))), index.shape)
