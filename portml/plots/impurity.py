"""How mixed the classes of a node are: the curves of entropy and of Gini's index."""

from __future__ import annotations

import numpy as np

from portml.backends.kernels.trees import entropy, gini
from portml.errors import ArgumentError
from portml.plots.display import Display, Where
from portml.plots.figure import PALETTE, plain_axes
from portml.plots.host import HostArray

__all__ = ["EntropyCurveDisplay"]


class EntropyCurveDisplay(Display):
    r"""The entropy of two classes by the share p of one, :math:`-p \log_2 p - (1 - p) \log_2 (1 - p)`, and Gini's.

    Parameters
    ----------
    p, entropy, gini : array (n_points,)
    """

    def __init__(self, p: HostArray, entropy: HostArray, gini: HostArray) -> None:
        self.p = p
        self.entropy = entropy
        self.gini = gini

    @classmethod
    def from_formula(cls, n_points: int = 201, *, ax: Where = None) -> EntropyCurveDisplay:
        """Work both out at shares from 0 to 1, with the functions that trees are grown by, and draw them.

        Parameters
        ----------
        n_points : int
            At least 2.
        ax : matplotlib.axes.Axes, optional
        """
        if n_points < 2:
            raise ArgumentError(f"n_points: expected at least 2, got {n_points}")
        p = np.linspace(0.0, 1.0, n_points)
        shares = np.stack([p, 1.0 - p], axis=1)
        return cls(p, np.asarray(entropy(shares)), np.asarray(gini(shares))).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> EntropyCurveDisplay:
        """Draw."""
        (axes,) = self._lay_out(["impurity"], ax)
        axes.plot(self.p, self.entropy, color=PALETTE[0], linewidth=2, label="entropy, bits")
        axes.plot(self.p, self.gini, "--", color=PALETTE[1], linewidth=2, label="Gini")
        axes.scatter([0.5], [self.entropy.max()], color=PALETTE[0], zorder=3)
        axes.annotate("most mixed", (0.5, 1.0), (0.5, 1.06), ha="center", fontsize="small")
        plain_axes(axes, "Impurity of two classes", "share of one class", "impurity")
        axes.set_ylim(-0.03, 1.16)
        axes.legend(frameon=False, loc="lower center")
        return self
