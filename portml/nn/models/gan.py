"""Two networks that play against each other: one makes images, the other tells them from real ones."""

from __future__ import annotations

from portml.backends import Array, Backend, operations
from portml.nn.activation import LeakyReLU, ReLU, Sigmoid
from portml.nn.batch_normalisation import BatchNorm1d, BatchNorm2d
from portml.nn.containers import Sequential
from portml.nn.convolution import Conv2d, ConvTranspose2d
from portml.nn.flatten import Flatten
from portml.nn.initialisation import generator_for
from portml.nn.linear import Linear
from portml.nn.module import Module
from portml.random import Generator

__all__ = ["ImageDiscriminator", "ImageGenerator"]


class ImageGenerator(Module):
    """From noise to images of 28×28, each pixel in (0, 1).  [Radford, Metz & Chintala 2016]

    Input: (N, n_latent).  Output: (N, 1, 28, 28).

    Parameters
    ----------
    n_latent : int
    width : int
        Channels of the image of 14×14; that of 7×7 has twice as many.
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        n_latent: int = 32,
        width: int = 16,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        rng = generator_for(rng, backend)
        self.n_latent = n_latent
        self.width = width
        self.dtype = dtype
        self.project = Sequential(
            Linear(n_latent, 2 * width * 49, rng=rng, dtype=dtype),
            BatchNorm1d(2 * width * 49, backend=rng.backend, dtype=dtype),
            ReLU(),
        )
        self.grow = Sequential(
            ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, rng=rng, dtype=dtype),
            BatchNorm2d(width, backend=rng.backend, dtype=dtype),
            ReLU(),
            ConvTranspose2d(width, 1, 4, stride=2, padding=1, rng=rng, dtype=dtype),
            Sigmoid(),
        )

    def forward(self, noise: Array) -> Array:
        """Images of the `noise`."""
        small = self.project(noise)
        return self.grow(operations.reshape(small, (small.shape[0], 2 * self.width, 7, 7)))

    def sample(self, n_images: int, rng: Generator) -> Array:
        """Images (n_images, 1, 28, 28) of noise drawn from `rng`."""
        return self(rng.normal(0.0, 1.0, (n_images, self.n_latent), dtype=self.dtype))


class ImageDiscriminator(Sequential):
    """From images of 28×28 to the logit that they are real.  [Radford, Metz & Chintala 2016]

    Input: (N, 1, 28, 28).  Output: (N, 1).

    Parameters
    ----------
    width : int
        Channels of the image of 14×14; that of 7×7 has twice as many.
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        width: int = 16,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        rng = generator_for(rng, backend)
        super().__init__(
            Conv2d(1, width, 4, stride=2, padding=1, rng=rng, dtype=dtype),
            LeakyReLU(0.2),
            Conv2d(width, 2 * width, 4, stride=2, padding=1, rng=rng, dtype=dtype),
            BatchNorm2d(2 * width, backend=rng.backend, dtype=dtype),
            LeakyReLU(0.2),
            Flatten(),
            Linear(2 * width * 49, 1, rng=rng, dtype=dtype),
        )
