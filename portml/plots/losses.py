"""Losses of one prediction by how far it is from the truth."""

from __future__ import annotations

import numpy as np

from portml.nn.functional import binary_cross_entropy, huber_loss, l1_loss, mse_loss
from portml.plots.display import Display, Where
from portml.plots.figure import PALETTE, plain_axes
from portml.plots.host import HostArray, host_numbers

__all__ = ["LossesDisplay"]


class LossesDisplay(Display):
    """Four panels: squared error, absolute error, both with Huber's, and cross-entropy for the classes 0 and 1.

    Parameters
    ----------
    error : array (n_points,)
        Predictions less targets.
    regression : dict of str to array (n_points,)
        "MSE", "MAE" and "Huber" there.
    probability : array (n_points,)
        Predicted for class 1.
    cross_entropy : dict of int to array (n_points,)
        There, for either class.
    """

    def __init__(
        self,
        error: HostArray,
        regression: dict[str, HostArray],
        probability: HostArray,
        cross_entropy: dict[int, HostArray],
    ) -> None:
        self.error = error
        self.regression = regression
        self.probability = probability
        self.cross_entropy = cross_entropy

    @classmethod
    def from_functions(cls, *, reach: float = 3.0, delta: float = 1.0, ax: Where = None) -> LossesDisplay:
        """Work the losses out and draw them.

        Parameters
        ----------
        reach : float
            The largest error.
        delta : float
            Where Huber's loss turns from a parabola into a line.
        ax : four matplotlib.axes.Axes, optional
        """
        error, probability = np.linspace(-reach, reach, 301), np.linspace(0.005, 0.995, 199)
        zero = np.zeros_like(error)
        regression = {
            "MSE": mse_loss(error, zero, reduction="none"),
            "MAE": l1_loss(error, zero, reduction="none"),
            "Huber": huber_loss(error, zero, reduction="none", delta=delta),
        }
        entropies = {
            label: binary_cross_entropy(probability, np.full_like(probability, label), reduction="none")
            for label in (0, 1)
        }
        return cls(
            error,
            {name: host_numbers(values, name) for name, values in regression.items()},
            probability,
            {label: host_numbers(values, "cross-entropy") for label, values in entropies.items()},
        ).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> LossesDisplay:
        """Draw."""
        square, absolute, both, entropy = self._lay_out(
            ["MSE", "MAE", "compared", "cross-entropy"], ax, columns=2, size=(4.4, 3.1)
        )
        square.plot(self.error, self.regression["MSE"], color=PALETTE[0], linewidth=2)
        plain_axes(square, r"Squared error $(\hat{y} - y)^2$", r"$\hat{y} - y$", "loss")
        absolute.plot(self.error, self.regression["MAE"], color=PALETTE[1], linewidth=2)
        plain_axes(absolute, r"Absolute error $|\hat{y} - y|$", r"$\hat{y} - y$", "loss")
        for (name, values), colour, style in zip(self.regression.items(), PALETTE, ("-", "--", ":"), strict=False):
            both.plot(self.error, values, style, color=colour, linewidth=2, label=name)
        plain_axes(both, "Compared", r"$\hat{y} - y$", "loss")
        both.legend(frameon=False)
        for label, values in self.cross_entropy.items():
            style = "-" if label else "--"
            entropy.plot(self.probability, values, style, color=PALETTE[label], linewidth=2, label=f"y = {label}")
        plain_axes(entropy, "Cross-entropy", "predicted probability of class 1", "loss")
        entropy.legend(frameon=False, loc="upper center")
        return self
