"""A regression over its data, and the loss by which it was learnt."""

from __future__ import annotations

from typing import Any

import numpy as np

from portml.classical.validation import require_fitted
from portml.errors import ShapeError
from portml.metrics import r2_score
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
    labels : pair of str
        What the two directions are.
    legend : pair of str
        What the points and the line are.
    """

    def __init__(
        self,
        X: HostArray,
        y: HostArray,
        line: tuple[HostArray, HostArray],
        score: float,
        loss_history: HostArray | None = None,
        labels: tuple[str, str] = ("x", "y"),
        legend: tuple[str, str] = ("data", "fit"),
    ) -> None:
        self.X = X
        self.y = y
        self.line = line
        self.score = score
        self.loss_history = loss_history
        self.labels = labels
        self.legend = legend

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

    @classmethod
    def from_predictions(cls, y_true: Any, y_pred: Any, *, ax: Where = None) -> RegressionFitDisplay:
        """Draw predictions, of however many features, against what is true; right ones lie on the line.

        Parameters
        ----------
        y_true, y_pred : array (n_samples,)
            Of any backend.
        ax : matplotlib.axes.Axes, optional

        Raises
        ------
        ShapeError
            If there is not one prediction for each sample.
        """
        true, predicted = host_numbers(y_true, "y_true", ndim=1), host_numbers(y_pred, "y_pred", ndim=1)
        if true.shape != predicted.shape:
            raise ShapeError(f"y_pred: expected one for each of {len(true)} samples, got shape {predicted.shape}")
        both = np.concatenate([true, predicted])
        ends = np.asarray([both.min(), both.max()])
        score = float(r2_score(true, predicted)) if len(true) > 1 else float("nan")
        names = ("prediction", "prediction = truth")
        return cls(true, predicted, (ends, ends), score, None, ("true", "predicted"), names).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> RegressionFitDisplay:
        """Draw."""
        names = ["fit"] if self.loss_history is None else ["fit", "loss"]
        fit, *rest = self._lay_out(names, ax)
        fit.scatter(self.X, self.y, s=16, color=PALETTE[0], alpha=0.7, linewidths=0, label=self.legend[0])
        fit.plot(*self.line, color=PALETTE[1], linewidth=2, label=self.legend[1])
        plain_axes(fit, f"Fit, $R^2$ = {self.score:.4f}", *self.labels)
        fit.legend(frameon=False)
        if rest and self.loss_history is not None:
            steps = np.arange(1, len(self.loss_history) + 1)
            rest[0].plot(steps, self.loss_history, color=PALETTE[0], linewidth=1.8)
            plain_axes(rest[0], f"Loss, {self.loss_history[-1]:.4g} at the end", "iteration", "loss")
            if self.loss_history.min() > 0 and self.loss_history.max() > 20 * self.loss_history.min():
                rest[0].set_yscale("log")
        return self
