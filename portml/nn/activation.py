"""Activations as modules; the functions are in `portml.nn.functional`."""

from __future__ import annotations

from portml.backends import Array, operations
from portml.backends.kernels import activation as kernels
from portml.backends.kernels import smooth_activation as smooth
from portml.errors import ArgumentError, ShapeError
from portml.nn.module import Module

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softsign",
    "Swish",
    "Tanh",
    "Tanhshrink",
]


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


class GELU(Module):
    r""":math:`y = x \, \Phi(x)` with Φ the normal distribution.  [Hendrycks & Gimpel 2016]

    Parameters
    ----------
    approximate : {"none", "tanh"}
        "tanh" takes Φ as :math:`\tfrac12 (1 + \tanh(\sqrt{2/\pi} (x + 0.044715 x^3)))`.
    """

    def __init__(self, approximate: str = "none") -> None:
        smooth.refuse_unknown_approximation(approximate)
        self.approximate = approximate

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return smooth.gelu(x, approximate=self.approximate)

    def extra_repr(self) -> str:
        """Whether Φ is approximated."""
        return f"approximate={self.approximate!r}"


class Mish(Module):
    r""":math:`y = x \tanh(\log(1 + e^x))`.  [Misra 2020]"""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return smooth.mish(x)


class SELU(Module):
    r""":math:`y = \lambda x` where x > 0, else :math:`\lambda \alpha (e^x - 1)`.  [Klambauer et al. 2017]"""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return smooth.selu(x)


class CELU(Module):
    r""":math:`y = x` where x > 0, else :math:`\alpha (e^{x/\alpha} - 1)`.  [Barron 2017]"""

    def __init__(self, alpha: float = 1.0) -> None:
        if alpha == 0:
            raise ArgumentError("alpha: expected a number other than 0, by which CELU divides")
        self.alpha = alpha

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return smooth.celu(x, alpha=self.alpha)

    def extra_repr(self) -> str:
        """The limit below zero."""
        return f"alpha={self.alpha}"


class Softplus(Module):
    r""":math:`y = \log(1 + e^{\beta x}) / \beta`, and x where :math:`\beta x` > threshold.  [Dugas et al. 2001]"""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return kernels.softplus(x, beta=self.beta, threshold=self.threshold)

    def extra_repr(self) -> str:
        """How sharp it is, and from where on it is a straight line."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Softsign(Module):
    r""":math:`y = x / (1 + |x|)`.  [Bergstra et al. 2009]"""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return smooth.softsign(x)


class LogSigmoid(Module):
    r""":math:`y = -\log(1 + e^{-x})`."""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return smooth.logsigmoid(x)


class Tanhshrink(Module):
    r""":math:`y = x - \tanh x`."""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return smooth.tanhshrink(x)


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


class Softmin(Module):
    r""":math:`y_i = e^{-x_i} / \sum_j e^{-x_j}` along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Array) -> Array:
        """Rows along `dim` that sum to 1."""
        return kernels.softmax(-x, axis=_axis(self, x))

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class Softmax2d(Module):
    r"""Softmax over the channels of images, (N, C, H, W) or (C, H, W)."""

    def forward(self, x: Array) -> Array:
        """Channels that sum to 1 at each place."""
        if len(x.shape) not in (3, 4):
            raise ShapeError(f"Softmax2d: expected an input of (N, C, H, W) or (C, H, W), got {tuple(x.shape)}")
        return kernels.softmax(x, axis=-3)


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


def _axis(layer: Softmax | Softmin | LogSoftmax, x: Array) -> int:
    """The axis of a layer that normalises along one, if `x` has it."""
    if not -len(x.shape) <= layer.dim < len(x.shape):
        raise ShapeError(f"{type(layer).__name__}: dim={layer.dim} is no axis of an input of shape {tuple(x.shape)}")
    return layer.dim
