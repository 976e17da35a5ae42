"""A training small enough to be run many times, with everything that moves: dropout, changed images, a schedule."""

from __future__ import annotations

import math
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from portml.backends import Backend, get_backend, to_numpy
from portml.data import ArrayDataset
from portml.metrics import accuracy
from portml.nn import CrossEntropyLoss
from portml.nn.models import MLP
from portml.optim import Adam, Schedule
from portml.optim.schedules import cosine_annealing
from portml.train import Callback, RandomAffine, Trainer

EPOCHS, BATCH_SIZE, SAMPLES, CLASSES = 3, 8, 37, 3
BATCHES = math.ceil(SAMPLES / BATCH_SIZE)


def images() -> ArrayDataset:
    """Images of one bright row among four, the row being the class, with noise."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, CLASSES, SAMPLES)
    pixels = rng.normal(0.0, 0.3, (SAMPLES, 1, 4, 4)).astype(np.float32)
    pixels[np.arange(SAMPLES), 0, labels] += 1.0
    return ArrayDataset(pixels, labels, n_classes=CLASSES)


def small_trainer(backend: Backend | str = "numpy", *callbacks: Callback) -> Trainer:
    """A multi-layer perceptron with dropout, Adam, and a learning rate that falls."""
    place = get_backend(backend)
    model = MLP([16, 12, CLASSES], dropout=0.3, rng=place.random(1))
    optimizer = Adam(model.parameters(), lr=0.02)
    return Trainer(
        model,
        optimizer,
        CrossEntropyLoss(),
        metrics={"accuracy": accuracy},
        schedule=Schedule(optimizer, cosine_annealing(EPOCHS)),
        transform=RandomAffine(0.5, 0.1, 10.0, rng=place.random(2)),
        callbacks=callbacks,
    )


def small_fit(trainer: Trainer, **options: Any) -> Trainer:
    """The training itself."""
    trainer.fit(images(), epochs=EPOCHS, batch_size=BATCH_SIZE, validation=images(), seed=3, **options)
    return trainer


def final_bits(trainer: Trainer) -> dict[str, Any]:
    """Everything that must be equal after equal trainings, as bytes and exact numbers."""
    state = trainer.optimizer.state_dict()["state"]
    arrays = {name: to_numpy(array).tobytes() for name, array in trainer.model.state_dict().items()}
    arrays |= {
        f"{index}.{name}": part if name == "step" else to_numpy(part).tobytes()
        for index, parts in state.items()
        for name, part in parts.items()
    }
    return {**arrays, "history": [list(row.items()) for row in trainer.history]}


class KillAt(Callback):
    """Kills this very process, as nothing can be caught, after some batch."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.place = epoch, batch

    def on_batch_end(self, trainer: Trainer, epoch: int, batch: int) -> None:
        if (epoch, batch) == self.place:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_in_the_midst_of_writing(when: int) -> None:
    """Kill this process at its `when`-th file, when the content is written and the name not yet changed."""
    replace, count = os.replace, 0

    def killing(*names: Any) -> None:
        nonlocal count
        count += 1
        if count == when:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*names)

    os.replace = killing  # type: ignore[assignment]


def main(folder: str, backend: str, resume: str, kind: str, first: str, second: str) -> None:
    """Train in this process until it is killed: ``python -m tests.train.small FOLDER BACKEND RESUME batch 2 3``."""
    callbacks = [KillAt(int(first), int(second))] if kind == "batch" else []
    if kind == "file":
        kill_in_the_midst_of_writing(int(first))
    checkpoint = Path(folder) / "checkpoint.safetensors"
    small_fit(small_trainer(backend, *callbacks), checkpoint=checkpoint, checkpoint_every=2, resume=resume == "yes")


if __name__ == "__main__":
    main(*sys.argv[1:])
