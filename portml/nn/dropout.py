"""Dropout layers."""

from __future__ import annotations

from portml.backends import Array, Backend
from portml.backends.kernels.dropout import dropout, words_for_dropout
from portml.errors import RangeError
from portml.nn.initialisation import generator_for
from portml.nn.module import Module
from portml.random import Generator
from portml.random.arguments import checked_real

__all__ = ["Dropout"]


class Dropout(Module):
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

    def __init__(
        self, p: float = 0.5, *, rng: Generator | int | None = None, backend: str | Backend | None = None
    ) -> None:
        if not 0 <= checked_real("p", p) <= 1:
            raise RangeError(f"p: expected a probability in [0, 1], got {p!r}")
        self.p = p
        self.rng = generator_for(rng, backend).split(1)[0]

    def forward(self, x: Array) -> Array:
        """Drop numbers of `x` in training."""
        if not self.training or self.p == 0:
            return x
        size = 1
        for length in x.shape:
            size *= length
        key, counter = self.rng.counter(words_for_dropout(size))
        return dropout(x, key, counter, p=self.p)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
