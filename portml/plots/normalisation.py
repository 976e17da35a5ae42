"""What normalisation does to the activations of a layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from portml.autograd import no_grad
from portml.backends import is_tensor
from portml.errors import ShapeError
from portml.nn import Module
from portml.plots.display import Display, Where
from portml.plots.figure import PALETTE, plain_axes
from portml.plots.host import HostArray, host_numbers

__all__ = ["NormalisationDisplay"]


class NormalisationDisplay(Display):
    """Box plots of the features before and after.

    Parameters
    ----------
    before, after : array (n_values, n_features)
    """

    def __init__(self, before: HostArray, after: HostArray) -> None:
        self.before = before
        self.after = after

    @classmethod
    def from_module(cls, module: Module, x: Any, *, max_features: int = 16, ax: Where = None) -> NormalisationDisplay:
        """Draw what a layer, such as `BatchNorm1d`, makes of a batch in the mode it is in.

        Parameters
        ----------
        module : Module
            In training mode a batch norm also updates its running statistics.
        x : array (n_samples, n_features, ...)
            On the module's backend; further axes are samples of the feature.
        max_features : int
            At most so many are drawn.
        ax : two matplotlib.axes.Axes, optional
        """
        with no_grad():
            y = module(x)
        return cls.from_arrays(x, y.value if is_tensor(y) else y, max_features=max_features, ax=ax)

    @classmethod
    def from_arrays(cls, before: Any, after: Any, *, max_features: int = 16, ax: Where = None) -> NormalisationDisplay:
        """Draw activations (n_samples, n_features, ...) before and after.

        Raises
        ------
        ShapeError
            If they have other shapes, or no features.
        """
        one, other = host_numbers(before, "before"), host_numbers(after, "after")
        if one.shape != other.shape or one.ndim < 2:
            raise ShapeError(
                f"before, after: expected one shape (n_samples, n_features, ...), got {one.shape} and {other.shape}"
            )
        return cls(_by_feature(one)[:, :max_features], _by_feature(other)[:, :max_features]).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> NormalisationDisplay:
        """Draw."""
        panels = self._lay_out(["before", "after"], ax)
        for axes, (name, values, colour) in zip(
            panels, (("Before", self.before, PALETTE[1]), ("After", self.after, PALETTE[0])), strict=False
        ):
            boxes = axes.boxplot(
                values,
                positions=range(values.shape[1]),
                widths=0.6,
                patch_artist=True,
                flierprops={"marker": ".", "markersize": 3, "markeredgecolor": colour},
                medianprops={"color": "black"},
            )
            for box in boxes["boxes"]:
                box.set(facecolor=colour, alpha=0.45)
            plain_axes(axes, name, "feature", "activation")
            means, spreads = values.mean(axis=0), values.std(axis=0)
            axes.set_title(f"means {_range(means)}, deviations {_range(spreads)}", loc="right", fontsize="small")
            axes.axhline(0.0, color="black", linewidth=0.6)
        return self


def _by_feature(x: HostArray) -> HostArray:
    """(n_samples, n_features, ...) to (n_values, n_features)."""
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def _range(values: HostArray) -> str:
    low, high = (float(end) + 0.0 if abs(end) > 0.005 else 0.0 for end in (values.min(), values.max()))
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
