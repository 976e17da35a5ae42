"""The ways of optimizers through a curved valley."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from portml import optim
from portml.errors import ArgumentError
from portml.nn import Parameter
from portml.plots.display import Display, Where
from portml.plots.figure import MARKERS, PALETTE, plain_axes
from portml.plots.host import HostArray, host_numbers

__all__ = ["OptimizerPathsDisplay"]

Surface: TypeAlias = Callable[[Any, Any], Any]

OPTIMIZERS: dict[str, Callable[[list[Any]], optim.Optimizer]] = {
    "SGD, 0.001": lambda params: optim.SGD(params, lr=0.001),
    "momentum 0.9, 0.001": lambda params: optim.SGD(params, lr=0.001, momentum=0.9),
    "AdaGrad, 0.1": lambda params: optim.Adagrad(params, lr=0.1, eps=1e-8),
    "RMSprop, 0.01": lambda params: optim.RMSprop(params, lr=0.01, alpha=0.9),
    "Adam, 0.01": lambda params: optim.Adam(params, lr=0.01),
}


def rosenbrock(x: Any, y: Any) -> Any:
    """(1 - x)² + 100 (y - x²)², least at (1, 1).  [Rosenbrock 1960]"""
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


class OptimizerPathsDisplay(Display):
    """Contours of a function of two weights, and a path for each optimizer.

    Parameters
    ----------
    paths : dict of str to array (n_steps + 1, 2)
    function : callable
        Of the arrays x and y, element by element.
    optimum : pair of float, optional
    """

    def __init__(
        self, paths: dict[str, HostArray], function: Surface, optimum: tuple[float, float] | None = None
    ) -> None:
        self.paths = paths
        self.function = function
        self.optimum = optimum

    @classmethod
    def from_optimizers(
        cls,
        optimizers: Mapping[str, Callable[[list[Any]], optim.Optimizer]] | None = None,
        function: Surface = rosenbrock,
        *,
        start: Sequence[float] = (-1.0, 2.0),
        optimum: tuple[float, float] | None = (1.0, 1.0),
        steps: int = 200,
        ax: Where = None,
    ) -> OptimizerPathsDisplay:
        """Let each optimizer take its steps from the same start, in float64, and draw their paths.

        Parameters
        ----------
        optimizers : dict of str to callable, optional
            Each makes an optimizer of the list of parameters.  Without: gradient descent, momentum, AdaGrad, RMSprop
            and Adam, at the learning rates of their names.
        function : callable
            Of x and y, arrays of the same shape, element by element.
        start : pair of float
        optimum : pair of float, optional
            To be marked.
        steps : int
        ax : matplotlib.axes.Axes, optional

        Raises
        ------
        ArgumentError
            If there is no optimizer or no step, or a path leaves the numbers.
        """
        optimizers = OPTIMIZERS if optimizers is None else optimizers
        if not optimizers or steps < 1:
            raise ArgumentError(f"optimizers, steps: expected at least one of each, got {len(optimizers)} and {steps}")
        paths = {name: _path(make, function, start, steps) for name, make in optimizers.items()}
        finite = {name: host_numbers(path, f"the path of {name}") for name, path in paths.items()}
        return cls(finite, function, optimum).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> OptimizerPathsDisplay:
        """Draw."""
        (axes,) = self._lay_out(["paths"], ax, size=(7.0, 5.0))
        known = np.concatenate([*self.paths.values(), *([] if self.optimum is None else [np.asarray([self.optimum])])])
        low, high = known.min(axis=0), known.max(axis=0)
        more = np.maximum(0.15 * (high - low), 0.25)
        x, y = (np.linspace(low[i] - more[i], high[i] + more[i], 200) for i in (0, 1))
        height = np.asarray(self.function(*np.meshgrid(x, y)))
        above = height - height.min()
        levels = np.geomspace(max(above.max() * 1e-5, 1e-12), above.max() or 1.0, 14)
        axes.contour(x, y, above, levels=levels, colors="#B5B5B5", linewidths=0.7)
        for number, (name, path) in enumerate(self.paths.items()):
            colour = PALETTE[number % len(PALETTE)]
            axes.plot(*path.T, color=colour, linewidth=1.4, label=f"{name}: ({path[-1, 0]:.3f}, {path[-1, 1]:.3f})")
            axes.plot(*path[-1:].T, MARKERS[number % 5], color=colour, markeredgecolor="white", markersize=7)
        start = next(iter(self.paths.values()))[0]
        axes.plot([start[0]], [start[1]], "P", color="black", markersize=9, label="start")
        if self.optimum is not None:
            axes.plot([self.optimum[0]], [self.optimum[1]], "*", color="black", markersize=14, label="optimum")
        plain_axes(axes, f"{len(start_to_end(self.paths)) - 1} steps", "x", "y")
        axes.grid(False)
        axes.set_xlim(x[0], x[-1])
        axes.set_ylim(y[0], y[-1])
        axes.legend(fontsize="small", framealpha=0.9, title="ends at", loc="best")
        return self


def start_to_end(paths: dict[str, HostArray]) -> HostArray:
    """The longest path."""
    return max(paths.values(), key=len)


def _path(
    make: Callable[[list[Any]], optim.Optimizer], function: Surface, start: Sequence[float], steps: int
) -> HostArray:
    point = Parameter(np.asarray(start, dtype=np.float64))
    optimizer = make([point])
    places = [point.numpy().copy()]
    for _ in range(steps):
        optimizer.zero_grad()
        function(point[0], point[1]).backward()
        optimizer.step()
        places.append(point.numpy().copy())
    return np.stack(places)
