"""Activations with their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from portml.autograd import grad
from portml.backends import namespace, operations
from portml.errors import ArgumentError
from portml.nn import functional
from portml.plots.display import Display, Where
from portml.plots.figure import GREY, PALETTE, plain_axes
from portml.plots.host import HostArray, host_numbers

__all__ = ["ActivationsDisplay"]

Function: TypeAlias = Callable[[Any], Any]


def first_of_softmax(z: Any) -> Any:
    """What softmax gives a logit z beside two that are 0: (n,) to (n,)."""
    rows = operations.stack([z, operations.zeros_like(z), operations.zeros_like(z)], axis=1)
    return functional.softmax(rows, axis=1)[:, 0]


ACTIVATIONS: dict[str, Function] = {
    "sigmoid": functional.sigmoid,
    "tanh": lambda z: namespace(z).tanh(z),
    "ReLU": functional.relu,
    "leaky ReLU": functional.leaky_relu,
    "ELU": functional.elu,
    "softmax of (z, 0, 0)": first_of_softmax,
    "swish": functional.silu,
    "GELU": lambda z: functional.gelu(z, approximate="none"),
    "softplus": functional.softplus,
    "mish": functional.mish,
    "SELU": functional.selu,
    "hard swish": functional.hardswish,
}


class ActivationsDisplay(Display):
    """A panel for each activation, with its derivative dashed.

    Parameters
    ----------
    z : array (n_points,)
    curves : dict of str to pair of arrays (n_points,)
        Values and derivatives.
    """

    def __init__(self, z: HostArray, curves: dict[str, tuple[HostArray, HostArray]]) -> None:
        self.z = z
        self.curves = curves

    @classmethod
    def from_functions(
        cls,
        functions: Mapping[str, Function] | None = None,
        *,
        low: float = -5.0,
        high: float = 5.0,
        ax: Where = None,
    ) -> ActivationsDisplay:
        """Draw activations, and what portml's differentiation says of them.

        Parameters
        ----------
        functions : dict of str to callable, optional
            Of arrays (n,), element by element: functions, or modules without parameters.  Twelve common ones without.
        low, high : float
        ax : sequence of matplotlib.axes.Axes, optional
        """
        functions = ACTIVATIONS if functions is None else functions
        if not functions or not low < high:
            raise ArgumentError(
                f"functions, low, high: expected functions and low < high, got {len(functions)}, {low} and {high}"
            )
        z = np.linspace(low, high, 402)  # an even number: no point is at 0, where some have no derivative
        curves = {}
        for name, function in functions.items():
            slope = grad(lambda x, f=function: namespace(x).sum(f(x)))(z)
            curves[name] = host_numbers(function(z), name), host_numbers(slope, f"derivative of {name}")
        return cls(z, curves).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> ActivationsDisplay:
        """Draw, four panels in a row."""
        panels = self._lay_out([*self.curves], ax, columns=4, size=(2.9, 2.5))
        for axes, (name, (value, slope)) in zip(panels, self.curves.items(), strict=False):
            axes.axhline(0.0, color=GREY, linewidth=0.7)
            axes.axvline(0.0, color=GREY, linewidth=0.7)
            axes.plot(self.z, value, color=PALETTE[0], linewidth=2, label="value")
            axes.plot(self.z, slope, "--", color=PALETTE[1], linewidth=1.6, label="derivative")
            plain_axes(axes, name, "z", "")
        panels[0].legend(frameon=False, fontsize="small")
        return self
