"""What may happen while a model trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from portml.train.trainer import Trainer

__all__ = ["Callback"]


class Callback:
    """Called by `Trainer.fit`; override what you need."""

    def on_fit_begin(self, trainer: Trainer, epochs: int, batches: int) -> None:
        """Before the first batch; `batches` is how many an epoch has.

        ``trainer.history`` holds the epochs before a resume.
        """

    def on_batch_end(self, trainer: Trainer, epoch: int, batch: int) -> None:
        """After a batch, both counted from 1.

        ``trainer.running()`` reads the means so far, which waits for the device; ``trainer.stop()`` ends the training.
        """

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """After an epoch, its validation and its checkpoint; `row` is its row of the history."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, or where training was stopped."""
