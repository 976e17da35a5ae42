"""Activations as modules; the functions are in `portml.nn.functional`."""

from __future__ import annotations

from portml.backends import Array, operations
from portml.backends.kernels import activation as kernels
from portml.errors import ShapeError
from portml.nn.module import Module

__all__ = ["ELU", "LeakyReLU", "LogSoftmax", "ReLU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Swish", "Tanh"]


class ReLU(Module):
    r""":math:`y = \max(x, 0)`.  [Nair & Hinton 2010]"""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return kernels.relu(x)


class LeakyReLU(Module):
    r""":math:`y = x` where x > 0, else :math:`a x`.  [Maas, Hannun & Ng 2013]"""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return kernels.leaky_relu(x, negative_slope=self.negative_slope)

    def extra_repr(self) -> str:
        """The slope below zero."""
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    r""":math:`y = x` where x > 0, else :math:`\alpha (e^x - 1)`.  [Clevert, Unterthiner & Hochreiter 2016]"""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return kernels.elu(x, alpha=self.alpha)

    def extra_repr(self) -> str:
        """The limit below zero."""
        return f"alpha={self.alpha}"


class Sigmoid(Module):
    r""":math:`y = 1 / (1 + e^{-x})`."""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return kernels.sigmoid(x)


class Tanh(Module):
    r""":math:`y = \tanh x`."""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return operations.tanh(x)


class SiLU(Module):
    r""":math:`y = x \, \sigma(x)`, also called swish.  [Elfwing, Uchibe & Doya 2018; Ramachandran et al. 2017]"""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return kernels.silu(x)


Swish = SiLU


class Softplus(Module):
    r""":math:`y = \log(1 + e^x)`.  [Dugas et al. 2001]"""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return kernels.softplus(x)


class Softmax(Module):
    r""":math:`y_i = e^{x_i} / \sum_j e^{x_j}` along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Array) -> Array:
        """Rows along `dim` that sum to 1."""
        return kernels.softmax(x, axis=_axis(self, x))

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    r""":math:`y_i = x_i - \log \sum_j e^{x_j}` along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Array) -> Array:
        """Logarithms of probabilities along `dim`."""
        return kernels.log_softmax(x, axis=_axis(self, x))

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


def _axis(layer: Softmax | LogSoftmax, x: Array) -> int:
    """The axis of a layer that normalises along one, if `x` has it."""
    if not -len(x.shape) <= layer.dim < len(x.shape):
        raise ShapeError(f"{type(layer).__name__}: dim={layer.dim} is no axis of an input of shape {tuple(x.shape)}")
    return layer.dim
