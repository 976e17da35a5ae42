"""How far training has come: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from portml.cli.output import percent
from portml.train import Callback, Trainer

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["open_progress"]

# Reading the loss waits for the device, so it is read a few times a second only.
_SECONDS_BETWEEN_READINGS = 0.25


@contextmanager
def open_progress(stream: TextIO) -> Iterator[Callback]:
    """What shows the progress of a training on a stream; the bar is taken down in good order whatever happens."""
    if not stream.isatty():
        yield Lines(stream)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(),
        TextColumn("{task.fields[scores]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    ]
    with Progress(*columns, console=Console(file=stream), refresh_per_second=4) as bar:
        yield Bar(bar)


class Lines(Callback):
    """A line an epoch."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.epochs = 0
        self.began = time.monotonic()

    def on_fit_begin(self, trainer: Trainer, epochs: int, batches: int) -> None:
        """Say on what the training runs."""
        self.epochs = epochs
        self.began = time.monotonic()
        print(_heading(trainer, batches), file=self.stream, flush=True)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Say how the epoch went."""
        seconds = time.monotonic() - self.began
        print(
            f"epoch {row['epoch']:>{len(str(self.epochs))}}/{self.epochs}  {_scores(row)}  {seconds:.1f} s",
            file=self.stream,
            flush=True,
        )


class Bar(Callback):
    """A bar over all batches, with the means of the epoch so far and the accuracy of the last validation."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.epochs = self.batches = 0
        self.validation: dict[str, float] = {}
        self.read_last = 0.0

    def on_fit_begin(self, trainer: Trainer, epochs: int, batches: int) -> None:
        """Put up the bar, as far as the epochs before a resume."""
        self.epochs, self.batches = epochs, batches
        self.progress.console.print(_heading(trainer, batches), highlight=False)
        done = len(trainer.history)
        self.task = self.progress.add_task(
            "", total=epochs * batches, completed=done * batches, epoch=f"{done}/{epochs}", scores=""
        )

    def on_batch_end(self, trainer: Trainer, epoch: int, batch: int) -> None:
        """Move on, and a few times a second read how it goes."""
        completed = (epoch - 1) * self.batches + batch
        now = time.monotonic()
        if now - self.read_last < _SECONDS_BETWEEN_READINGS:
            self.progress.update(self.task, completed=completed)
            return
        self.read_last = now
        shown = _scores({**trainer.running(), **self.validation})
        self.progress.update(self.task, completed=completed, epoch=f"{epoch}/{self.epochs}", scores=shown)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Show the epoch as a whole."""
        self.validation = {name: value for name, value in row.items() if name.startswith("validation_")}
        self.progress.update(self.task, epoch=f"{row['epoch']}/{self.epochs}", scores=_scores(row))


def _heading(trainer: Trainer, batches: int) -> str:
    parameters = sum(math.prod(parameter.shape) for parameter in trainer.model.parameters())
    heading = (
        f"{type(trainer.model).__name__} with {parameters:,} parameters on {trainer.backend.name}, "
        f"{batches} batches an epoch"
    )
    done = len(trainer.history)
    return f"{heading}, going on after epoch {done}" if done else heading


def _scores(row: dict[str, float]) -> str:
    """Loss and accuracy, of the validation set too."""
    shown = [f"loss {row['loss']:.4f}"] + ([f"accuracy {percent(row['accuracy'])}"] if "accuracy" in row else [])
    if "validation_accuracy" in row:
        shown.append(f"validation {percent(row['validation_accuracy'])}")
    return "  ".join(shown)
