"""A single neuron."""

from __future__ import annotations

from collections.abc import Callable

from portml.autograd.parameter import Parameter
from portml.backends import Array, Backend, operations
from portml.backends.kernels.activation import relu, sigmoid
from portml.errors import ArgumentError, ShapeError
from portml.nn.initialisation import generator_for, uniform_fan_in
from portml.nn.module import Module
from portml.random import Generator
from portml.random.arguments import checked_count

__all__ = ["Neuron"]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": sigmoid,
    "relu": relu,
    "tanh": operations.tanh,
    "linear": lambda z: z,
}


class Neuron(Module):
    r"""A weighted sum of the inputs, a threshold, and an activation.

    .. math:: y = f(w \cdot x + b)

    Input: (n_inputs,) or (N, n_inputs).  Output: () or (N,).
    Parameters: ``weight`` (n_inputs,), ``bias`` (), both uniform in ±1/√n_inputs.  [McCulloch & Pitts 1943; Rosenblatt
    1958]

    Parameters
    ----------
    n_inputs : int
    activation : {"sigmoid", "relu", "tanh", "linear"}
        f.
    rng : Generator or int, optional
        Draws the weights; None draws them anew each time.
    backend : str or Backend, optional
    dtype : str
    """

    def __init__(
        self,
        n_inputs: int,
        activation: str = "sigmoid",
        *,
        rng: Generator | int | None = None,
        backend: str | Backend | None = None,
        dtype: str = "float32",
    ) -> None:
        if checked_count("n_inputs", n_inputs) < 1:
            raise ArgumentError(f"n_inputs: expected at least 1, got {n_inputs}")
        if activation not in ACTIVATIONS:
            raise ArgumentError(f"activation: expected one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        rng = generator_for(rng, backend)
        self.n_inputs = n_inputs
        self.activation = activation
        self.weight = Parameter(uniform_fan_in((n_inputs,), fan_in=n_inputs, rng=rng, dtype=dtype))
        self.bias = Parameter(uniform_fan_in((), fan_in=n_inputs, rng=rng, dtype=dtype))

    def forward(self, x: Array) -> Array:
        """One number for each input vector."""
        if len(x.shape) not in (1, 2) or x.shape[-1] != self.n_inputs:
            n = self.n_inputs
            raise ShapeError(f"Neuron: expected an input of ({n},) or (N, {n}), got {tuple(x.shape)}")
        z = operations.add(operations.matmul(x, self.weight), self.bias)
        return ACTIVATIONS[self.activation](z)

    def extra_repr(self) -> str:
        """The number of inputs and the activation."""
        return f"n_inputs={self.n_inputs}, activation={self.activation!r}"
