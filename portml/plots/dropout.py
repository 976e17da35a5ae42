"""What dropout does: some inputs vanish, the mean stays, the variance grows."""

from __future__ import annotations

from typing import Any

import numpy as np

from portml.backends import is_tensor
from portml.errors import ArgumentError
from portml.nn import Module
from portml.plots.display import Display, Where
from portml.plots.figure import GREY, PALETTE, plain_axes
from portml.plots.host import HostArray, host_numbers

__all__ = ["DropoutDisplay"]


class DropoutDisplay(Display):
    """The fraction dropped in each draw, and how the means of the outputs spread.

    Parameters
    ----------
    p : float
    dropped : array (n_draws,)
        The fraction of the inputs that vanished.
    means : array (n_draws,)
        Of the outputs.
    mean : float
        Of the input.
    """

    def __init__(self, p: float, dropped: HostArray, means: HostArray, mean: float) -> None:
        self.p = p
        self.dropped = dropped
        self.means = means
        self.mean = mean

    @classmethod
    def from_module(cls, module: Module, x: Any, *, n_draws: int = 200, ax: Where = None) -> DropoutDisplay:
        """Draw what a `Dropout` in training mode makes of an input, many times over.

        Parameters
        ----------
        module : Dropout
            Is left in the mode it is in; its random stream goes on.
        x : array
            On the module's backend, without zeros.
        n_draws : int
        ax : two matplotlib.axes.Axes, optional

        Raises
        ------
        ArgumentError
            If the module is no dropout, or the input has zeros, which could not be told from what is dropped.
        """
        given = host_numbers(x, "x")
        if not hasattr(module, "p"):
            raise ArgumentError(f"module: expected a Dropout, got {type(module).__name__}")
        if (given == 0).any() or n_draws < 1:
            raise ArgumentError("x, n_draws: expected numbers other than 0, and at least one draw")
        training = module.training
        module.train()
        outputs = [module(x) for _ in range(n_draws)]
        module.train(training)
        read = [host_numbers(output.value if is_tensor(output) else output, "output") for output in outputs]
        dropped = np.asarray([np.mean(output == 0) for output in read])
        means = np.asarray([output.mean() for output in read])
        return cls(float(module.p), dropped, means, float(given.mean())).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> DropoutDisplay:
        """Draw."""
        left, right = self._lay_out(["dropped", "means"], ax)
        left.hist(self.dropped, bins=20, color=PALETTE[0], alpha=0.6)
        left.axvline(self.p, color=PALETTE[1], linewidth=2, label=f"p = {self.p:g}")
        plain_axes(left, f"Dropped, {self.dropped.mean():.3f} on average", "fraction of the inputs", "draws")
        right.hist(self.means, bins=20, color=PALETTE[0], alpha=0.6)
        right.axvline(self.mean, color=PALETTE[1], linewidth=2, label="mean of the input")
        right.axvline(self.means.mean(), color=GREY, linewidth=1.5, linestyle="--", label="mean of the outputs")
        plain_axes(right, f"Outputs, variance of means {self.means.var():.2g}", "mean of the output", "draws")
        for axes in (left, right):
            axes.set_ylim(top=1.25 * axes.get_ylim()[1])
            axes.legend(frameon=False, fontsize="small", loc="upper right")
        return self
