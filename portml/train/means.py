"""Means over the samples seen so far, summed where the samples are."""

from __future__ import annotations

from collections.abc import Mapping

from portml.backends import Array, Backend, to_numpy

__all__ = ["RunningMeans"]


class RunningMeans:
    """Sums of batch means times samples, kept on the device until they are asked for.

    Attributes
    ----------
    samples : int
        How many were added.
    sums : dict of str to array ()
        Exactly what a checkpoint has to hold, so that a resumed epoch rounds as an uninterrupted one does.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.sums: dict[str, Array] = {}

    def add(self, measured: Mapping[str, Array], samples: int) -> None:
        """Count the means over a batch of `samples`; nothing is read from the device."""
        self.samples += samples
        for name, mean in measured.items():
            weighted = mean * samples
            self.sums[name] = weighted if name not in self.sums else self.sums[name] + weighted

    def read(self) -> dict[str, float]:
        """The means; waits for the device."""
        return {name: float(to_numpy(total)) / self.samples for name, total in self.sums.items()}

    def restore(self, samples: int, sums: Mapping[str, Array], backend: Backend) -> None:
        """Go on from sums that a checkpoint held."""
        self.samples = samples
        self.sums = {name: backend.asarray(total) for name, total in sums.items()}
