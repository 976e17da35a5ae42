"""What linear models learnt beside what is true: how penalties shrink weights, and which make them vanish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from portml.classical.validation import require_fitted
from portml.errors import ArgumentError, ShapeError
from portml.plots.display import Display, Where
from portml.plots.figure import PALETTE, plain_axes
from portml.plots.host import HostArray, host_numbers

__all__ = ["CoefficientsDisplay"]


class CoefficientsDisplay(Display):
    """Bars of weights, a panel for each model, with how many of them are zero.

    Parameters
    ----------
    learned : dict of str to array (n_features,)
    true : array (n_features,), optional

    Raises
    ------
    ShapeError
        If some have other lengths.
    """

    def __init__(self, learned: Mapping[str, Any], true: Any = None) -> None:
        if not learned:
            raise ArgumentError("learned: expected weights of at least one model, got none")
        self.learned = {name: host_numbers(weights, name).ravel() for name, weights in learned.items()}
        self.true = None if true is None else host_numbers(true, "true", ndim=1)
        known = [*self.learned.values(), *([] if self.true is None else [self.true])]
        if len({len(weights) for weights in known}) > 1:
            raise ShapeError(f"learned, true: expected as many weights each, got {[len(weights) for weights in known]}")

    @classmethod
    def from_estimator(cls, estimator: Any, true: Any = None, *, ax: Where = None) -> CoefficientsDisplay:
        """Draw the `coef_` of one fitted model, in a panel with its class's name; see `from_estimators`."""
        return cls.from_estimators({type(estimator).__name__: estimator}, true, ax=ax)

    @classmethod
    def from_estimators(
        cls, estimators: Mapping[str, Any], true: Any = None, *, ax: Where = None
    ) -> CoefficientsDisplay:
        """Draw the `coef_` of fitted models.

        Parameters
        ----------
        estimators : dict of str to estimator
            By what their panels are called.
        true : array (n_features,), optional
        ax : sequence of matplotlib.axes.Axes, optional

        Raises
        ------
        NotFittedError
            If one was not fitted.
        """
        for estimator in estimators.values():
            require_fitted(estimator)
        return cls({name: estimator.coef_ for name, estimator in estimators.items()}, true).plot(ax=ax)

    @classmethod
    def from_coefficients(
        cls, learned: Mapping[str, Any], true: Any = None, *, ax: Where = None
    ) -> CoefficientsDisplay:
        """Draw weights (n_features,) by name, beside the true ones."""
        return cls(learned, true).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> CoefficientsDisplay:
        """Draw, two panels in a row."""
        from matplotlib.ticker import MaxNLocator

        panels = self._lay_out([*self.learned], ax, columns=2, size=(5.0, 2.9))
        known = [*self.learned.values(), *([] if self.true is None else [self.true])]
        low, high = min(weights.min() for weights in known), max(weights.max() for weights in known)
        for axes, (name, weights) in zip(panels, self.learned.items(), strict=False):
            place = np.arange(len(weights))
            if self.true is None:
                axes.bar(place, weights, 0.7, color=PALETTE[1])
            else:
                axes.bar(place - 0.2, self.true, 0.4, color=PALETTE[0], label="true")
                axes.bar(place + 0.2, weights, 0.4, color=PALETTE[1], label="learned")
            axes.axhline(0.0, color="black", linewidth=0.6)
            plain_axes(axes, f"{name}: {_zeros(weights)} of {len(weights)} exactly zero", "feature", "weight")
            axes.set_axisbelow(True)
            axes.set_ylim(low - 0.08 * (high - low or 1), high + 0.08 * (high - low or 1))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if self.true is not None:
            panels[0].legend(frameon=False)
        return self


def _zeros(weights: HostArray) -> int:
    return int(np.count_nonzero(weights == 0.0))
