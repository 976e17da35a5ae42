"""A regression over its data, and the loss by which it was learnt."""

from __future__ import annotations

from typing import Any

import numpy as np

from portml.classical.validation import require_fitted
from portml.errors import ShapeError
from portml.plots.display import Display, Where
from portml.plots.figure import PALETTE, plain_axes
from portml.plots.host import HostArray, host_numbers, host_table
from portml.plots.plane import values_at

__all__ = ["RegressionFitDisplay"]


class RegressionFitDisplay(Display):
    """Samples with the fitted function; beside it, where it was learnt by descent, the loss of every step.

    Parameters
    ----------
    X, y : array (n_samples,)
    line : pair of arrays (n_points,)
        Places, and what is predicted there.
    score : float
        R² on the samples.
    loss_history : array (n_steps,), optional
    """

    def __init__(
        self,
        X: HostArray,
        y: HostArray,
        line: tuple[HostArray, HostArray],
        score: float,
        loss_history: HostArray | None = None,
    ) -> None:
        self.X = X
        self.y = y
        self.line = line
        self.score = score
        self.loss_history = loss_history

    @classmethod
    def from_estimator(cls, estimator: Any, X: Any, y: Any, *, ax: Where = None) -> RegressionFitDisplay:
        """Draw a fitted regressor of one feature.

        Parameters
        ----------
        estimator : estimator
            With ``predict``; where it has `loss_history_` there is a second panel.
        X : array or data frame (n_samples, 1)
        y : array (n_samples,)
        ax : matplotlib.axes.Axes or two of them, optional

        Raises
        ------
        NotFittedError
            If the estimator was not fitted.
        ShapeError
            If `X` has not one feature, or `y` not one number for each sample.
        """
        places = host_table(X, 1)[:, 0]
        targets = host_numbers(y, "y").ravel()
        if targets.shape != places.shape:
            raise ShapeError(f"y: expected a number for each of {len(places)} samples, got shape {targets.shape}")
        require_fitted(estimator)
        low, high = float(places.min()), float(places.max())
        wide = np.linspace(low, high, 300)
        predicted = values_at(estimator, wide[:, None], X).ravel()
        losses = getattr(estimator, "loss_history_", None)
        history = None if losses is None else host_numbers(losses, "loss_history_", ndim=1)
        score = float(estimator.score(X, y))
        return cls(places, targets, (wide, predicted), score, history).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> RegressionFitDisplay:
        """Draw."""
        names = ["fit"] if self.loss_history is None else ["fit", "loss"]
        fit, *rest = self._lay_out(names, ax)
        fit.scatter(self.X, self.y, s=16, color=PALETTE[0], alpha=0.7, linewidths=0, label="data")
        fit.plot(*self.line, color=PALETTE[1], linewidth=2, label="fit")
        plain_axes(fit, f"Fit, $R^2$ = {self.score:.4f}", "x", "y")
        fit.legend(frameon=False)
        if rest and self.loss_history is not None:
            steps = np.arange(1, len(self.loss_history) + 1)
            rest[0].plot(steps, self.loss_history, color=PALETTE[0], linewidth=1.8)
            plain_axes(rest[0], f"Loss, {self.loss_history[-1]:.4g} at the end", "iteration", "loss")
            if self.loss_history.min() > 0 and self.loss_history.max() > 20 * self.loss_history.min():
                rest[0].set_yscale("log")
        return self
