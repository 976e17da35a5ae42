"""The training loop: fit, evaluate, predict, and resume exactly.

Nothing in the loop copies to the host or waits for the device; losses and metrics are summed there and read once an
epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from portml.autograd import Tensor, no_grad
from portml.backends import Array, Backend, get_backend
from portml.backends.doorway import changes, depend
from portml.data import ArrayDataset, DataLoader
from portml.errors import ArgumentError, DivergenceError
from portml.nn import Module
from portml.optim import Optimizer, Schedule, clip_grad_norm_
from portml.random import Generator
from portml.recording import Capture
from portml.train.callbacks import Callback
from portml.train.checkpoint import Progress
from portml.train.evaluation import Loss, Metric, Samples, as_dataset, backend_of_model, evaluate, measure, predict
from portml.train.history import History
from portml.train.means import RunningMeans

__all__ = ["Trainer"]


class Trainer:
    """Trains a module.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
        Over parameters of the model.
    loss : callable
        ``loss(output, target)``, a mean over the samples of a batch.
    metrics : mapping of str to callable, optional
        ``metric(target, output)``, means over the samples of a batch too.
    schedule : Schedule, optional
        Goes on after every epoch.
    transform : Module, optional
        What the inputs of a training batch go through before the model sees them, such as a random shift; no gradient
        passes it, and evaluation leaves it out.
    penalty : callable, optional
        Without arguments; what it gives, such as `nn.L2Penalty`, is added to the loss of every training step.
    clip_norm : float, optional
        The norm that all gradients together may have; longer ones are shrunk to it.
    callbacks : sequence of Callback
    capture : bool, optional
        Whether a step is recorded and replayed (see `portml.capture`).  None does so where nothing but portml's own
        layers, losses and penalties take part: Python of others may read what a recording cannot know.

    Attributes
    ----------
    history : History
        Of the last `fit`.
    stopping : bool
        Whether `stop` was called since the last `fit` began.

    Raises
    ------
    ArgumentError
        If the optimizer holds no parameter of the model.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Loss,
        *,
        metrics: Mapping[str, Metric] | None = None,
        schedule: Schedule | None = None,
        transform: Module | None = None,
        penalty: Callable[[], Array] | None = None,
        clip_norm: float | None = None,
        callbacks: Sequence[Callback] = (),
        capture: bool | None = None,
    ) -> None:
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if not any(id(parameter) in held for parameter in model.parameters()):
            raise ArgumentError("optimizer: holds no parameter of this model; build it from model.parameters()")
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = dict(metrics or {})
        self.schedule = schedule
        self.transform = transform
        self.penalty = penalty
        self.clip_norm = clip_norm
        self.callbacks = list(callbacks)
        self.history = History()
        self.stopping = False
        self._means = RunningMeans()
        self._wanted = capture
        self._judged: tuple[Any, str | None] | None = None
        self._step = Capture(self._take_step, fallback=True)

    @property
    def eager(self) -> str | None:
        """Why steps, or some of them, are not replayed; None if they are, or will be after the first two."""
        return self._foreign_part() or next(iter(self._step.refusals), None)

    @property
    def backend(self) -> Backend:
        """Where the model's parameters are; batches are brought there."""
        return backend_of_model(self.model)

    def fit(
        self,
        data: Samples,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation: Samples | None = None,
        seed: int | Generator = 0,
        checkpoint: str | Path | None = None,
        checkpoint_every: int | None = None,
        resume: bool = False,
    ) -> History:
        """Train for a number of epochs.

        Parameters
        ----------
        data : dataset, or pair of arrays
            Inputs (n_samples, ...) and targets (n_samples, ...).
        epochs : int
            In all: a run that is resumed goes on to the same number.
        batch_size : int
        validation : dataset or pair of arrays, optional
            Measured after each epoch.
        seed : int or portml.random.Generator
            Of the order of the samples.  It is drawn from a substream, so that the model may have the same seed.
        checkpoint : path, optional
            A file that holds everything needed to go on; written after each epoch and by `stop`, atomically.
        checkpoint_every : int, optional
            Write it after every so many batches of an epoch too.
        resume : bool
            Go on from `checkpoint`.  Weights and history at the end equal those of a run that was never stopped, bit
            for bit, wherever it was killed.

        Returns
        -------
        History
            Of all epochs, those before a resume included.

        Raises
        ------
        DataError
            If the data is empty or its parts do not fit.
        DivergenceError
            If the loss becomes NaN or infinite; no checkpoint is written then.
        CheckpointError
            If the checkpoint is missing, damaged, or of another model or other settings.
        WriteError
            If a checkpoint cannot be written; the one before is untouched.
        """
        _check_count("epochs", epochs, 0)
        if checkpoint_every is not None:
            _check_count("checkpoint_every", checkpoint_every, 1)
        if resume and checkpoint is None:
            raise ArgumentError("resume: there is nothing to go on from; give checkpoint= the file")
        loader = self._training_loader(data, batch_size, seed)
        validation = None if validation is None else as_dataset(validation)
        self.history, self._means, self.stopping = History(), RunningMeans(), False
        if resume and checkpoint is not None:
            self._progress(loader).load(checkpoint, self.backend)
        for callback in self.callbacks:
            callback.on_fit_begin(self, epochs, len(loader))
        while len(self.history) < epochs and not self.stopping:
            self._train_epoch(loader, checkpoint, checkpoint_every)
            if not self.stopping or loader.batch == 0:
                self._end_epoch(loader, validation, checkpoint)
        for callback in self.callbacks:
            callback.on_fit_end(self)
        return self.history

    def stop(self) -> None:
        """Let `fit` end after the batch under way, or the epoch if that was its last; a checkpoint is written first."""
        self.stopping = True

    def step(self, inputs: Array, targets: Array) -> tuple[Array, Array]:
        """One step: forward, backward, update.

        Returns
        -------
        loss : array ()
            With the penalty, if there is one.
        output : array
            Both raw, on the device, before the update.
        """
        if self._foreign_part() is not None:
            return self._take_step(inputs, targets)
        loss, output = self._step(inputs, targets)
        return loss, output

    def _take_step(self, inputs: Array, targets: Array) -> tuple[Array, Array]:
        depend(self, lambda: (self.model, self.optimizer, self.loss, self.penalty, self.clip_norm))
        self.optimizer.zero_grad()
        output = self.model(inputs)
        loss = self.loss(output, targets)
        if self.penalty is not None:
            loss = loss + self.penalty()
        if not isinstance(loss, Tensor) or not loss.requires_grad:
            raise ArgumentError("model: nothing in it can be learnt; has it parameters that are not frozen?")
        loss.backward()
        if self.clip_norm is not None:
            clip_grad_norm_(self._learning(), self.clip_norm)
        self.optimizer.step()
        return loss.value, output.value

    def evaluate(self, data: Samples, *, batch_size: int = 256) -> dict[str, float]:
        """The mean loss and metrics over a data set, with the model in evaluation mode; see `evaluate`."""
        return evaluate(self.model, data, self.loss, self.metrics, batch_size=batch_size)

    def predict(self, inputs: Any, *, batch_size: int = 256) -> Array:
        """The model's outputs for inputs (n_samples, ...), in evaluation mode; see `predict`."""
        return predict(self.model, inputs, batch_size=batch_size)

    def running(self) -> dict[str, float]:
        """The means of the current epoch so far; reading them waits for the device."""
        return self._means.read()

    def _train_epoch(self, loader: DataLoader, checkpoint: str | Path | None, every: int | None) -> None:
        """The batches of an epoch, or what is left of one."""
        epoch = len(self.history) + 1
        host = self.backend.host
        self.model.train()
        for inputs, targets in loader:
            loss, output = self.step(self._transformed(inputs), targets)
            if host:  # where looking costs nothing
                self._check_finite(float(loss))
            with no_grad():
                self._means.add(measure(loss, output, targets, self.metrics), targets.shape[0])
            for callback in self.callbacks:
                callback.on_batch_end(self, epoch, loader.batch)
            if loader.batch == len(loader):
                continue
            if checkpoint is not None and (self.stopping or (every and loader.batch % every == 0)):
                self._check_finite(self.running()["loss"])
                self._progress(loader).save(checkpoint)
            if self.stopping:
                return

    def _end_epoch(self, loader: DataLoader, validation: ArrayDataset | None, checkpoint: str | Path | None) -> None:
        """Measure, go on with the schedule, and make the epoch part of the history."""
        row: dict[str, float] = {"epoch": len(self.history) + 1, "lr": self._rate(), **self._means.read()}
        self._check_finite(row["loss"])
        if validation is not None:
            measured = self.evaluate(validation, batch_size=max(loader.batch_size, 256))
            row |= {f"validation_{name}": value for name, value in measured.items()}
            self._check_finite(measured["loss"])
        self._means = RunningMeans()
        self.history.append(row)
        if self.schedule is not None:
            self.schedule.step()
        if checkpoint is not None:
            self._progress(loader).save(checkpoint)
        for callback in self.callbacks:
            callback.on_epoch_end(self, row)

    def _foreign_part(self) -> str | None:
        """Why a step is not recorded at all; looked at anew when something has changed that may matter."""
        seen = (self.model, self.loss, self.penalty, changes())
        if self._judged is None or self._judged[0] != seen:
            self._judged = (seen, self._judge())
        return self._judged[1]

    def _judge(self) -> str | None:
        if self._wanted is not None:
            return None if self._wanted else "capture=False"
        for part in (*self.model.modules(), self.loss, self.penalty):
            held = vars(part).values() if isinstance(part, Module) else ()
            for each in (part, *(value for value in held if callable(value))):
                if each is not None and _home(each) != "portml":
                    name = getattr(each, "__qualname__", type(each).__qualname__)
                    why = "is not portml's own, and may read what a recording cannot know; capture=True records it"
                    return f"{name} {why}"
        return None

    def _transformed(self, inputs: Array) -> Array:
        if self.transform is None:
            return inputs
        with no_grad():
            return self.transform(inputs)

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise DivergenceError(
                f"the loss became {loss} in epoch {len(self.history) + 1}; try a learning rate below "
                f"{self._rate():g}, and look for labels out of range or huge inputs"
            )

    def _learning(self) -> list[Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def _rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def _training_loader(self, data: Samples, batch_size: int, seed: int | Generator) -> DataLoader:
        dataset = as_dataset(data)
        # Drawn where the samples are gathered: the numbers are the same on every backend.
        place = dataset.backend or get_backend("numpy")
        rng = seed if isinstance(seed, Generator) else Generator(seed, place).split(1)[0]
        return DataLoader(dataset, batch_size, shuffle=True, rng=rng, backend=self.backend)

    def _progress(self, loader: DataLoader) -> Progress:
        return Progress(self.model, self.optimizer, loader, self.schedule, self.transform, self.history, self._means)


def _home(part: Any) -> str:
    """The package that a function, or an object's class, is written in."""
    return str(getattr(part, "__module__", None) or type(part).__module__).partition(".")[0]


def _check_count(name: str, value: Any, lowest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise ArgumentError(f"{name}: expected an integer of at least {lowest}, got {value!r}")
