"""Activations of straight lines and parabolas as modules; the functions are in `portml.nn.functional`."""

from __future__ import annotations

from portml.backends import Array
from portml.backends.kernels import piecewise_activation as kernels
from portml.errors import ArgumentError
from portml.nn.module import Module

__all__ = ["Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "ReLU6", "Softshrink", "Threshold"]


class ReLU6(Module):
    r""":math:`y = \min(\max(x, 0), 6)`.  [Krizhevsky 2010]"""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return kernels.relu6(x)


class Hardtanh(Module):
    r""":math:`y = \min(\max(x, a), b)` for `min_val` a and `max_val` b.  [Collobert 2004]"""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        if not min_val < max_val:
            raise ArgumentError(f"max_val: expected a number above min_val={min_val!r}, got {max_val!r}")
        self.min_val, self.max_val = min_val, max_val

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return kernels.hardtanh(x, min_val=self.min_val, max_val=self.max_val)

    def extra_repr(self) -> str:
        """The bounds."""
        return f"min_val={self.min_val}, max_val={self.max_val}"


class Hardsigmoid(Module):
    r""":math:`y = \min(\max(x + 3, 0), 6) / 6`.  [Howard et al. 2019]"""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return kernels.hardsigmoid(x)


class Hardswish(Module):
    r""":math:`y = x \min(\max(x + 3, 0), 6) / 6`.  [Howard et al. 2019]"""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return kernels.hardswish(x)


class _Shrink(Module):
    """What draws numbers to zero by, or within, `lambd`."""

    def __init__(self, lambd: float = 0.5) -> None:
        if not lambd >= 0:
            raise ArgumentError(f"lambd: expected a number of at least 0, got {lambd!r}")
        self.lambd = lambd

    def extra_repr(self) -> str:
        """How far from zero it reaches."""
        return f"lambd={self.lambd}"


class Hardshrink(_Shrink):
    r""":math:`y = x` where :math:`|x| > \lambda`, else 0.  [Donoho & Johnstone 1994]"""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return kernels.hardshrink(x, lambd=self.lambd)


class Softshrink(_Shrink):
    r""":math:`y = x \mp \lambda` where :math:`\pm x > \lambda`, else 0.  [Donoho & Johnstone 1994]"""

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return kernels.softshrink(x, lambd=self.lambd)


class Threshold(Module):
    r""":math:`y = x` where x > `threshold`, else `value`."""

    def __init__(self, threshold: float, value: float) -> None:
        self.threshold, self.value = threshold, value

    def forward(self, x: Array) -> Array:
        """Elementwise on (...)."""
        return kernels.threshold(x, threshold=self.threshold, value=self.value)

    def extra_repr(self) -> str:
        """What passes, and what stands for the rest."""
        return f"threshold={self.threshold}, value={self.value}"
