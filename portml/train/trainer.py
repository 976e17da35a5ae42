"""The training loop: fit, evaluate, predict, and resume exactly.

Nothing in the loop copies to the host or waits for the device; losses and metrics are summed there and read once an
epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from portml.autograd import Tensor, no_grad
from portml.backends import Array, Backend, backend_of, get_backend, namespace, to_numpy
from portml.data import ArrayDataset, DataLoader
from portml.errors import ArgumentError, CheckpointError, DataError, DivergenceError
from portml.nn import Module
from portml.optim import Optimizer, Schedule
from portml.random import Generator
from portml.train.callbacks import Callback
from portml.train.files import read_arrays, write_arrays
from portml.train.history import History

__all__ = ["Trainer"]

Metric = Callable[[Array, Array], Array]
_FORMAT = 1


class Trainer:
    """Trains a module.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
        Over the parameters of the model.
    loss : callable
        ``loss(output, target)``, a mean over the samples of a batch.
    metrics : mapping of str to callable, optional
        ``metric(target, output)``, means over the samples of a batch too.
    schedule : Schedule, optional
        Goes on after every epoch.
    callbacks : sequence of Callback

    Attributes
    ----------
    history : History
    backend : Backend
        Where the model's parameters are; batches are brought there.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Callable[[Array, Array], Array],
        *,
        metrics: Mapping[str, Metric] | None = None,
        schedule: Schedule | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = dict(metrics or {})
        self.schedule = schedule
        self.callbacks = list(callbacks)
        self.history = History()
        self.backend = _backend_of_model(model)
        self._totals = _Totals()

    def fit(
        self,
        data: ArrayDataset | tuple[Any, Any],
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation: ArrayDataset | tuple[Any, Any] | None = None,
        seed: int = 0,
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
        seed : int
            Of the order of the samples.
        checkpoint : path, optional
            A file that holds everything needed to go on; written after each epoch, atomically.
        checkpoint_every : int, optional
            Write it after every so many batches too.
        resume : bool
            Go on from `checkpoint`.  The weights at the end equal those of a run that was never stopped, bit for bit.

        Returns
        -------
        History
            Of all epochs, those before a resume included.

        Raises
        ------
        DataError
            If the data is empty or its parts do not fit.
        DivergenceError
            If the loss becomes NaN or infinite.
        CheckpointError
            If the checkpoint is missing, damaged, or of another model or other settings.
        """
        if not isinstance(epochs, int) or epochs < 0:
            raise ArgumentError(f"epochs: expected an integer of at least 0, got {epochs!r}")
        loader = self._loader(data, batch_size, Generator(seed))
        if resume:
            if checkpoint is None:
                raise ArgumentError("resume: there is nothing to go on from; give checkpoint= the file")
            self.load_checkpoint(checkpoint, loader)
        else:
            self.history, self._totals = History(), _Totals()
        for callback in self.callbacks:
            callback.on_fit_begin(self, epochs, len(loader))
        while len(self.history) < epochs:
            self._epoch(loader, validation, batch_size, checkpoint, checkpoint_every)
        for callback in self.callbacks:
            callback.on_fit_end(self)
        return self.history

    def step(self, inputs: Array, targets: Array) -> tuple[Array, Array]:
        """One step: forward, backward, update.

        Returns
        -------
        loss : array ()
        output : array
            Both raw, on the device, before the update.
        """
        self.optimizer.zero_grad()
        output = self.model(inputs)
        loss = self.loss(output, targets)
        if not isinstance(loss, Tensor):
            raise ArgumentError("model: nothing in it can be learnt; has it parameters that are not frozen?")
        loss.backward()
        self.optimizer.step()
        return loss.value, output.value

    def evaluate(self, data: ArrayDataset | tuple[Any, Any], *, batch_size: int = 256) -> dict[str, float]:
        """The mean loss and metrics over a data set, with the model in evaluation mode."""
        totals = _Totals()
        with _Evaluating(self.model):
            for inputs, targets in self._loader(data, batch_size):
                output = self.model(inputs)
                totals.add(self._measured(self.loss(output, targets), output, targets), len(targets))
        return totals.means()

    def predict(self, inputs: Any, *, batch_size: int = 256) -> Array:
        """The model's outputs for inputs (n_samples, ...), in evaluation mode, on the model's backend."""
        if len(inputs) == 0:
            raise DataError("inputs: expected at least one sample, got none")
        outputs = []
        with _Evaluating(self.model):
            for start in range(0, len(inputs), batch_size):
                outputs.append(self.model(self.backend.asarray(inputs[start : start + batch_size])))
        return namespace(*outputs).concat(outputs, axis=0)

    def running(self) -> dict[str, float]:
        """The means of the current epoch so far; reading them waits for the device."""
        return self._totals.means()

    def save_checkpoint(self, path: str | Path, loader: DataLoader) -> None:
        """Write everything needed to go on, in one file, atomically."""
        optimizer = self.optimizer.state_dict()
        arrays = {f"model.{name}": array for name, array in self.model.state_dict().items()}
        steps: dict[str, int] = {}
        for index, state in optimizer["state"].items():
            steps[str(index)] = state["step"]
            arrays |= {f"optimizer.{index}.{name}": array for name, array in state.items() if name != "step"}
        metadata = {
            "format": _FORMAT,
            "steps": steps,
            "param_groups": optimizer["param_groups"],
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "generators": {name: generator.state() for name, generator in self.model.named_generators()},
            "loader": loader.state_dict(),
            "history": self.history.rows,
            "totals": self._totals.state_dict(),
        }
        write_arrays(path, arrays, metadata)

    def load_checkpoint(self, path: str | Path, loader: DataLoader) -> None:
        """Take up what `save_checkpoint` wrote."""
        arrays, saved = read_arrays(path)
        if not isinstance(saved, dict) or saved.get("format") != _FORMAT:
            raise CheckpointError(f"{path}: expected a checkpoint of a training run, got another safetensors file")
        model = {name.removeprefix("model."): array for name, array in arrays.items() if name.startswith("model.")}
        state: dict[int, dict[str, Any]] = {int(index): {"step": step} for index, step in saved["steps"].items()}
        for name, array in arrays.items():
            if name.startswith("optimizer."):
                _, index, part = name.split(".", 2)
                state[int(index)][part] = array
        self.model.load_state_dict(model)
        self.optimizer.load_state_dict({"state": state, "param_groups": saved["param_groups"]})
        if self.schedule is not None and saved["schedule"] is not None:
            self.schedule.load_state_dict(saved["schedule"])
        generators = dict(self.model.named_generators())
        if set(generators) != set(saved["generators"]):
            raise CheckpointError(
                f"{path}: it has generators {sorted(saved['generators'])}, the model {sorted(generators)}"
            )
        for name, generator in generators.items():
            generator.set_state(saved["generators"][name])
        loader.load_state_dict(saved["loader"])
        self.history = History(saved["history"])
        self._totals = _Totals(saved["totals"])

    def _epoch(
        self,
        loader: DataLoader,
        validation: ArrayDataset | tuple[Any, Any] | None,
        batch_size: int,
        checkpoint: str | Path | None,
        checkpoint_every: int | None,
    ) -> None:
        epoch = len(self.history) + 1
        rate = self.optimizer.param_groups[0]["lr"]
        self.model.train()
        for inputs, targets in loader:
            loss, output = self.step(inputs, targets)
            with no_grad():
                self._totals.add(self._measured(loss, output, targets), len(targets))
            for callback in self.callbacks:
                callback.on_batch_end(self, epoch, loader.batch)
            within = checkpoint_every and loader.batch < len(loader) and loader.batch % checkpoint_every == 0
            if checkpoint is not None and within:
                self.save_checkpoint(checkpoint, loader)
        row: dict[str, float] = {"epoch": epoch, "lr": rate, **self._totals.means()}
        if not math.isfinite(row["loss"]):
            raise DivergenceError(
                f"the loss became {row['loss']} in epoch {epoch}; try a learning rate below {rate:g}, and look for "
                "labels out of range or huge inputs"
            )
        self._totals = _Totals()
        if validation is not None:
            measured = self.evaluate(validation, batch_size=max(batch_size, 256))
            row |= {f"validation_{name}": value for name, value in measured.items()}
        self.history.append(row)
        if self.schedule is not None:
            self.schedule.step()
        if checkpoint is not None:
            self.save_checkpoint(checkpoint, loader)
        for callback in self.callbacks:
            callback.on_epoch_end(self, row)

    def _measured(self, loss: Array, output: Array, targets: Array) -> dict[str, Array]:
        return {"loss": loss, **{name: metric(targets, output) for name, metric in self.metrics.items()}}

    def _loader(self, data: Any, batch_size: int, rng: Generator | None = None) -> DataLoader:
        dataset = ArrayDataset(*data) if isinstance(data, tuple) else data
        return DataLoader(dataset, batch_size, shuffle=rng is not None, rng=rng, backend=self.backend)


class _Totals:
    """Sums of means times samples, kept on the device until they are asked for."""

    def __init__(self, saved: Mapping[str, Any] | None = None) -> None:
        self.samples = int(saved["samples"]) if saved else 0
        self.before: dict[str, float] = dict(saved["sums"]) if saved else {}
        self.sums: dict[str, Array] = {}

    def add(self, measured: Mapping[str, Array], samples: int) -> None:
        self.samples += samples
        for name, value in measured.items():
            weighted = value * samples
            self.sums[name] = weighted if name not in self.sums else self.sums[name] + weighted

    def means(self) -> dict[str, float]:
        return {name: total / self.samples for name, total in self._read().items()}

    def state_dict(self) -> dict[str, Any]:
        return {"samples": self.samples, "sums": self._read()}

    def _read(self) -> dict[str, float]:
        names: Iterable[str] = dict.fromkeys([*self.before, *self.sums])
        return {
            name: self.before.get(name, 0.0) + (float(to_numpy(self.sums[name])) if name in self.sums else 0.0)
            for name in names
        }


class _Evaluating:
    """Evaluation mode and no records inside; the modes before afterwards."""

    def __init__(self, model: Module) -> None:
        self.modes = [(module, module.training) for module in model.modules()]
        self.model = model
        self.without = no_grad()

    def __enter__(self) -> None:
        self.model.eval()
        self.without.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.without.__exit__(*error)
        for module, training in self.modes:
            module.training = training


def _backend_of_model(model: Module) -> Backend:
    parameter = next(model.parameters(), None)
    return get_backend() if parameter is None else backend_of(parameter.value)
