"""Learning rates by epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from portml.errors import ArgumentError
from portml.optim import schedules as named
from portml.plots.display import Display, Where
from portml.plots.figure import PALETTE, plain_axes
from portml.plots.host import HostArray, host_numbers

__all__ = ["ScheduleDisplay"]

Rate = Callable[[float, int], float]


class ScheduleDisplay(Display):
    """The learning rate of every epoch, a line for each schedule.

    Parameters
    ----------
    rates : dict of str to array (n_epochs,)
    """

    def __init__(self, rates: dict[str, HostArray]) -> None:
        self.rates = rates

    @classmethod
    def from_schedules(
        cls,
        schedules: Mapping[str, Rate] | None = None,
        *,
        epochs: int = 50,
        initial_lr: float = 0.1,
        ax: Where = None,
    ) -> ScheduleDisplay:
        """Draw schedules.

        Parameters
        ----------
        schedules : dict of str to callable, optional
            ``(initial_lr, epoch) -> lr``; constant, step, exponential, cosine, and warm-up with cosine without.
        epochs : int
        initial_lr : float
        ax : matplotlib.axes.Axes, optional
        """
        if epochs < 1:
            raise ArgumentError(f"epochs: expected at least 1, got {epochs}")
        schedules = _usual(epochs) if schedules is None else schedules
        rates = {
            name: host_numbers([rate(initial_lr, epoch) for epoch in range(epochs)], name)
            for name, rate in schedules.items()
        }
        return cls(rates).plot(ax=ax)

    def plot(self, *, ax: Where = None) -> ScheduleDisplay:
        """Draw."""
        (axes,) = self._lay_out(["rates"], ax, size=(6.4, 3.8))
        for number, (name, rates) in enumerate(self.rates.items()):
            style: dict[str, Any] = {
                "color": PALETTE[number % len(PALETTE)],
                "linestyle": ("-", "--", "-.", ":")[number % 4],
            }
            drawn: dict[str, Any] = {"drawstyle": "steps-post"} if name == "step" else {}
            axes.plot(np.arange(len(rates)), rates, label=name, linewidth=1.9, **style, **drawn)
        plain_axes(axes, "Learning-rate schedules", "epoch", "learning rate")
        axes.set_ylim(bottom=0.0)
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        return self


def _usual(epochs: int) -> dict[str, Rate]:
    names = ("constant", "step", "exponential", "cosine", "warmup-cosine")
    return {name.replace("-", ", "): named.schedule_by_name(name, epochs) for name in names}
