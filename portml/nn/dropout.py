"""Dropout layers: single numbers, whole channels, and with statistics kept for self-normalising networks."""

from __future__ import annotations

import math

from portml.backends import Array, Backend, namespace, operations
from portml.backends.kernels.dropout import dropout, words_for_dropout
from portml.errors import RangeError, ShapeError
from portml.nn.initialisation import generator_for
from portml.nn.module import Module
from portml.random import Generator
from portml.random.arguments import checked_real

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]

SATURATION = 1.7580993408473766
"""What SELU tends to for large negative numbers, with the sign changed: its scale times its alpha."""


class _Dropping(Module):
    """A probability and the stream that decides."""

    def __init__(
        self, p: float = 0.5, *, rng: Generator | int | None = None, backend: str | Backend | None = None
    ) -> None:
        if not 0 <= checked_real("p", p) <= 1:
            raise RangeError(f"p: expected a probability in [0, 1], got {p!r}")
        self.p = p
        self.rng = generator_for(rng, backend).split(1)[0]

    def forward(self, x: Array) -> Array:
        """Drop from `x` in training."""
        return self._dropped(x) if self.training and self.p > 0 else x

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"

    def _dropped(self, x: Array) -> Array:
        raise NotImplementedError

    def _drop(self, x: Array) -> Array:
        key, counter = self.rng.counter(words_for_dropout(math.prod(x.shape)))
        return dropout(x, key, counter, p=self.p)

    def _mask(self, shape: tuple[int, ...], x: Array) -> Array:
        """0 where dropped and 1 / (1 - p) elsewhere, of a shape that broadcasts to x."""
        return self._drop(namespace(x).full(shape, 1.0, dtype=x.dtype, device=x.device))


class Dropout(_Dropping):
    r"""Zero each number with probability `p` in training, and let the others grow by 1 / (1 − p).

    Input and output: (...).  In evaluation nothing happens.  [Srivastava et al. 2014]

    Parameters
    ----------
    p : float
    rng : Generator or int, optional
        Draws the masks.  A generator is split, so that this layer has a stream of its own; the same seed gives the
        same masks on every backend.
    backend : str or Backend, optional
    """

    def _dropped(self, x: Array) -> Array:
        return self._drop(x)


class _SpatialDropout(_Dropping):
    """What dropping whole channels of one to three dimensions shares."""

    _dimensions: tuple[int, ...]
    _expected: str

    def forward(self, x: Array) -> Array:
        """Drop channels of `x` in training."""
        if len(x.shape) not in self._dimensions:
            raise ShapeError(f"{type(self).__name__}: expected an input of {self._expected}, got {tuple(x.shape)}")
        return super().forward(x)

    def _dropped(self, x: Array) -> Array:
        return operations.multiply(x, self._mask(_channels_of(x, max(self._dimensions)), x))


class Dropout1d(_SpatialDropout):
    """Zero each channel of (N, C, L) or (C, L) with probability `p` in training; see `Dropout`.

    Neighbours in a channel say much the same; dropping them one by one would hide little.  [Tompson et al. 2015]

    Parameters
    ----------
    p : float
    rng : Generator or int, optional
    backend : str or Backend, optional
    """

    _dimensions = (2, 3)
    _expected = "(N, C, L) or (C, L)"


class Dropout2d(_SpatialDropout):
    """Zero each channel of (N, C, H, W) with probability `p` in training; see `Dropout1d`.

    Three axes are refused: PyTorch takes (N, C, L) where one would expect (C, H, W).
    """

    _dimensions = (4,)
    _expected = "(N, C, H, W)"


class Dropout3d(_SpatialDropout):
    """Zero each channel of (N, C, D, H, W) or (C, D, H, W) with probability `p` in training; see `Dropout1d`."""

    _dimensions = (4, 5)
    _expected = "(N, C, D, H, W) or (C, D, H, W)"


class AlphaDropout(_Dropping):
    r"""Let each number saturate with probability `p` in training, mean and variance kept; goes with SELU.

    A number that is dropped becomes :math:`-\alpha'`, what SELU tends to; then all are mapped by a x + b so that a mean
    of 0 and a variance of 1 stay:

    .. math:: a = 1 / \sqrt{(1 - p)(1 + p \alpha'^2)}, \quad b = a p \alpha'

    Input and output: (...).  [Klambauer et al. 2017, "Self-normalizing neural networks"]

    Parameters
    ----------
    p : float
    rng : Generator or int, optional
    backend : str or Backend, optional
    """

    def _dropped(self, x: Array) -> Array:
        return self._saturated(x, tuple(x.shape))

    def _saturated(self, x: Array, shape: tuple[int, ...]) -> Array:
        if self.p == 1:
            return operations.multiply(x, 0.0)
        a = 1 / math.sqrt((1 - self.p) * (1 + self.p * SATURATION**2))
        b = a * self.p * SATURATION
        kept = operations.greater(self._mask(shape, x), 0)
        return operations.where(kept, operations.add(operations.multiply(x, a), b), b - a * SATURATION)


class FeatureAlphaDropout(AlphaDropout):
    """Let whole channels of (N, C, *) saturate; see `AlphaDropout`."""

    def _dropped(self, x: Array) -> Array:
        if len(x.shape) < 2:
            raise ShapeError(f"FeatureAlphaDropout: expected an input of (N, C, *), got {tuple(x.shape)}")
        return self._saturated(x, _channels_of(x, len(x.shape)))


def _channels_of(x: Array, dimensions: int) -> tuple[int, ...]:
    """The shape of one number for each channel, of the batch or, with an axis less, of the only sample."""
    leading = 2 if len(x.shape) == dimensions else 1
    return (*x.shape[:leading], *[1] * (len(x.shape) - leading))
