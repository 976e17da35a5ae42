"""The paths of gradient descent down a curve, for several learning rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from portml.autograd import grad
from portml.errors import ArgumentError
from portml.plots.display import Display, Where
from portml.plots.figure import BLACK, GREY, PALETTE, plain_axes
from portml.plots.host import HostArray, host_numbers

__all__ = ["GradientDescentDisplay"]


def parabola(w: Any) -> Any:
    """(w - 3)² + 2, which is least at 3."""
    return (w - 3) ** 2 + 2


class GradientDescentDisplay(Display):
    """A function of one weight and the steps of descent on it, a panel for each learning rate.

    Parameters
    ----------
    paths : dict of float to array (n_steps + 1,)
        The weights by learning rate.
    function : callable
        Takes an array of weights, element by element.
    minimum : float, optional
    """

    def __init__(
        self, paths: dict[float, HostArray], function: Callable[[Any], Any], minimum: float | None = None
    ) -> None:
        self.paths = paths
        self.function = function
        self.minimum = minimum

    @classmethod
    def from_function(
        cls,
        function: Callable[[Any], Any] = parabola,
        *,
        learning_rates: Sequence[float] = (0.1, 0.3, 0.9),
        start: float = 0.0,
        steps: int = 20,
        minimum: float | None = 3.0,
        ax: Where = None,
    ) -> GradientDescentDisplay:
        r"""Descend, :math:`w \leftarrow w - \eta f'(w)`, and draw; the derivative is portml's.

        Parameters
        ----------
        function : callable
            Of arrays of any shape, element by element.
        learning_rates : sequence of float
            η of each panel.
        start : float
        steps : int
        minimum : float, optional
            Where it is, to be marked.
        ax : sequence of matplotlib.axes.Axes, optional
        """
        if not learning_rates or steps < 1:
            raise ArgumentError(
                f"learning_rates, steps: expected at least one of each, got {learning_rates} and {steps}"
            )
        slope = grad(function)
        paths = {}
        for rate in learning_rates:
            w = [np.asarray(float(start))]
            for _ in range(steps):
                w.append(np.asarray(w[-1] - rate * slope(w[-1])))
            paths[rate] = host_numbers(np.stack(w), f"the path of learning rate {rate}")
        return cls(paths, function, minimum).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> GradientDescentDisplay:
        """Draw."""
        panels = self._lay_out([f"learning rate {rate:g}" for rate in self.paths], ax, size=(3.8, 3.4))
        for axes, (rate, path) in zip(panels, self.paths.items(), strict=False):
            known = path if self.minimum is None else np.append(path, self.minimum)
            low, high = known.min(), known.max()
            if self.minimum is not None:  # the same on both sides, so that the valley is seen
                reach = max(high - self.minimum, self.minimum - low)
                low, high = self.minimum - reach, self.minimum + reach
            more = 0.1 * (high - low or 1.0)
            w = np.linspace(low - more, high + more, 200)
            axes.plot(w, self.function(w), color=GREY, linewidth=1.6, label="loss")
            axes.plot(path, self.function(path), "o-", color=PALETTE[0], markersize=4, linewidth=1, label="path")
            axes.plot(path[:1], self.function(path[:1]), "s", color=PALETTE[2], markersize=7, label="start")
            if self.minimum is not None:
                least = np.asarray([self.minimum])
                axes.plot(
                    least, self.function(least), "*", color=PALETTE[1], markersize=13, label="minimum", zorder=2.5
                )
            plain_axes(axes, f"learning rate {rate:g}", "w", "loss")
            axes.set_title(f"ends at {path[-1]:.4f}", loc="right", fontsize="small", color=BLACK)
        panels[0].legend(frameon=False, loc="upper right")
        return self
