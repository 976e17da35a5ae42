"""The losses of several trainings in one panel, as of batch, mini-batch and stochastic descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from portml.errors import ArgumentError
from portml.plots.display import Display, Where
from portml.plots.figure import PALETTE, plain_axes
from portml.plots.host import host_numbers

__all__ = ["LossCurvesDisplay"]


class LossCurvesDisplay(Display):
    """Losses by epoch, a line for each training.

    Parameters
    ----------
    histories : dict of str to array (n_epochs,)

    Raises
    ------
    ArgumentError
        If there is none, or one is empty.
    """

    def __init__(self, histories: Mapping[str, Any]) -> None:
        if not histories:
            raise ArgumentError("histories: expected losses of at least one training, got none")
        self.histories = {name: host_numbers(losses, name, ndim=1) for name, losses in histories.items()}

    @classmethod
    def from_histories(
        cls, histories: Mapping[str, Any], *, title: str = "Loss", x_label: str = "epoch", ax: Where = None
    ) -> LossCurvesDisplay:
        """Draw losses, such as `loss_history_` of several models, by name."""
        return cls(histories).plot(title=title, x_label=x_label, ax=ax)

    def plot(self, *, title: str = "Loss", x_label: str = "epoch", ax: Where = None) -> LossCurvesDisplay:
        """Draw."""
        (axes,) = self._lay_out(["loss"], ax)
        for number, (name, losses) in enumerate(self.histories.items()):
            style: dict[str, Any] = {
                "color": PALETTE[number % len(PALETTE)],
                "linestyle": ("-", "--", "-.", ":")[number % 4],
            }
            axes.plot(np.arange(1, len(losses) + 1), losses, label=name, linewidth=1.6, **style)
        plain_axes(axes, title, x_label, "loss")
        if len(self.histories) > 1:
            axes.legend(frameon=False)
        return self
