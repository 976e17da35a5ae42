"""LeNet-5, in the form of the guide: ReLU and max-pooling where the paper has squashing and sub-sampling."""

from __future__ import annotations

from portml.backends import Backend
from portml.nn.activation import ReLU
from portml.nn.containers import Sequential
from portml.nn.convolution import Conv2d
from portml.nn.flatten import Flatten
from portml.nn.initialisation import generator_for
from portml.nn.linear import Linear
from portml.nn.pooling import MaxPool2d
from portml.random import Generator

__all__ = ["LeNet5"]


class LeNet5(Sequential):
    """Two convolutions and three linear layers for 28×28 images.  [LeCun et al. 1998, section II.B]

    Input: (N, in_channels, 28, 28).  Output: logits (N, n_classes).  61,706 parameters for one channel, ten classes.

    Parameters
    ----------
    n_classes : int
    in_channels : int
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        n_classes: int = 10,
        in_channels: int = 1,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        rng = generator_for(rng, backend)
        super().__init__(
            Conv2d(in_channels, 6, 5, padding=2, rng=rng, dtype=dtype),
            ReLU(),
            MaxPool2d(2),
            Conv2d(6, 16, 5, rng=rng, dtype=dtype),
            ReLU(),
            MaxPool2d(2),
            Flatten(),
            Linear(400, 120, rng=rng, dtype=dtype),
            ReLU(),
            Linear(120, 84, rng=rng, dtype=dtype),
            ReLU(),
            Linear(84, n_classes, rng=rng, dtype=dtype),
        )
