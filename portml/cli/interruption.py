"""Ctrl-C and SIGTERM: training ends after the batch under way, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

from portml.train import Callback, Trainer

__all__ = ["Interruption"]


class Interruption(Callback):
    """While it is entered, the first signal lets a training under way stop in good order; a second one does not wait.

    Before and after the training a signal interrupts at once.

    Attributes
    ----------
    exit_status : int
        128 plus the number of the signal that came last, as shells report it.
    """

    def __init__(self) -> None:
        self.exit_status = 128 + signal.SIGINT
        self._came = False
        self._fitting = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self  # Python hands signals to the main thread only
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # who started this process wants it so
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_fit_begin(self, trainer: Trainer, epochs: int, batches: int) -> None:
        """From here on a signal waits for the batch."""
        self._fitting = True

    def on_batch_end(self, trainer: Trainer, epoch: int, batch: int) -> None:
        """Stop, if a signal came."""
        if self._came:
            trainer.stop()

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Stop, if a signal came during the validation."""
        if self._came:
            trainer.stop()

    def on_fit_end(self, trainer: Trainer) -> None:
        """A signal interrupts at once again."""
        self._fitting = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.exit_status = 128 + number
        if self._came or not self._fitting:
            raise KeyboardInterrupt
        self._came = True
