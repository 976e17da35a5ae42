"""The sigmoid, which makes probabilities of scores, and its derivative."""

from __future__ import annotations

import numpy as np

from portml.errors import ArgumentError
from portml.nn import derivatives
from portml.nn.functional import sigmoid
from portml.plots.display import Display, Where
from portml.plots.figure import GREY, PALETTE, plain_axes
from portml.plots.host import HostArray, host_numbers

__all__ = ["SigmoidDisplay"]


class SigmoidDisplay(Display):
    r""":math:`\sigma(z) = 1 / (1 + e^{-z})` and :math:`\sigma'(z) = \sigma(z) (1 - \sigma(z))`, a panel each.

    Parameters
    ----------
    z, value, derivative : array (n_points,)
    """

    def __init__(self, z: HostArray, value: HostArray, derivative: HostArray) -> None:
        self.z = z
        self.value = value
        self.derivative = derivative

    @classmethod
    def from_range(cls, low: float = -10.0, high: float = 10.0, *, ax: Where = None) -> SigmoidDisplay:
        """Draw both from `low` to `high`.

        Parameters
        ----------
        low, high : float
        ax : two matplotlib.axes.Axes, optional

        Raises
        ------
        ArgumentError
            If `low` is not less than `high`.
        """
        if not low < high:
            raise ArgumentError(f"low, high: expected low < high, got {low} and {high}")
        z = np.linspace(low, high, 401)
        value, slope = host_numbers(sigmoid(z), "sigmoid"), host_numbers(derivatives.sigmoid(z), "derivative")
        return cls(z, value, slope).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> SigmoidDisplay:
        """Draw."""
        left, right = self._lay_out(["sigmoid", "derivative"], ax)
        left.plot(self.z, self.value, color=PALETTE[0], linewidth=2)
        left.axhline(0.5, color=GREY, linewidth=0.8, linestyle="--")
        left.axvline(0.0, color=GREY, linewidth=0.8, linestyle="--")
        plain_axes(left, "Sigmoid", "z", r"$\sigma(z)$")
        right.plot(self.z, self.derivative, color=PALETTE[1], linewidth=2)
        right.axhline(0.25, color=GREY, linewidth=0.8, linestyle="--")
        plain_axes(right, "Its derivative, at most 1/4", "z", r"$\sigma(z)\,(1 - \sigma(z))$")
        return self
