"""The multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from portml.backends import Backend
from portml.errors import ArgumentError
from portml.nn.activation import ReLU
from portml.nn.containers import Flatten, Sequential
from portml.nn.dropout import Dropout
from portml.nn.initialisation import generator_for
from portml.nn.linear import Linear
from portml.nn.module import Module
from portml.random import Generator

__all__ = ["MLP"]


class MLP(Sequential):
    """Linear layers with an activation between them.  [Rumelhart, Hinton & Williams 1986]

    Input: (N, ...) with layer_sizes[0] numbers a sample; further axes are flattened.  Output: (N, layer_sizes[-1]).

    Parameters
    ----------
    layer_sizes : sequence of int
        Such as ``[784, 128, 10]``: inputs, hidden layers, outputs.
    activation : callable
        Makes the module between two layers.
    dropout : float or sequence of float
        Probability after each hidden layer.
    rng : Generator or int, optional
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activation: type[Module] = ReLU,
        dropout: float | Sequence[float] = 0.0,
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        hidden = len(layer_sizes) - 2
        if hidden < 0:
            raise ArgumentError(f"layer_sizes: expected at least inputs and outputs, got {list(layer_sizes)}")
        drops = [dropout] * hidden if isinstance(dropout, int | float) else list(dropout)
        if len(drops) != hidden:
            raise ArgumentError(
                f"dropout: expected {hidden} probabilities, one for each hidden layer, got {len(drops)}"
            )
        rng = generator_for(rng, backend)
        layers: list[Module] = [Flatten()]
        for i, (n_in, n_out) in enumerate(pairwise(layer_sizes)):
            layers.append(Linear(n_in, n_out, rng=rng, dtype=dtype))
            if i < hidden:
                layers.append(activation())
                if drops[i]:
                    layers.append(Dropout(drops[i], rng=rng))
        super().__init__(*layers)
