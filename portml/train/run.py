"""The folder that a training run leaves, and what can be done with one: go on, evaluate, predict.

``run.json``                every setting, versions, device, times, and the metrics
``model.safetensors``       the weights at the end
``history.csv``             one row an epoch
``checkpoint.safetensors``  everything to go on with; removed when the run is finished

Every file is written whole or not at all.  The same settings give the same weights and the same history, bit for bit,
on one machine; what differs between two such runs, times above all, stands in ``run.json``.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from portml.backends import Array, Backend, get_backend, kernels_switched, to_numpy
from portml.data import DATASETS, ArrayDataset, ClassificationData
from portml.errors import ArgumentError, CheckpointError, DataError, DivergenceError, ShapeError, WriteError
from portml.nn import Module
from portml.nn.functional import softmax
from portml.train.callbacks import Callback
from portml.train.environment import describe_backend, versions
from portml.train.evaluation import evaluate, predict
from portml.train.files import read_arrays, read_json, remove_partial_files, write_arrays, write_json
from portml.train.folders import make_folder, refuse_used
from portml.train.history import History
from portml.train.recipe import Recipe
from portml.train.trainer import Trainer

__all__ = ["Run"]

_FORMAT = 1
# So many batches at most are computed again after a kill in a long epoch.
_CHECKPOINT_EVERY = 500


class Run:
    """A training run in its folder; opens one that is there.

    `Run.create` makes the folder for a `Recipe`, and `train` trains or, after a stop or a kill, goes on:

    >>> run = Run.create(Recipe.of("digits")).train()  # doctest: +SKIP
    >>> run = Run("runs/digits-lenet5-seed0").train()  # doctest: +SKIP

    Parameters
    ----------
    folder : path

    Attributes
    ----------
    folder : Path
    record : dict
        What ``run.json`` holds.
    recipe : Recipe

    Raises
    ------
    CheckpointError
        If there is no run in the folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / "run.json").is_file():
            there = "there is no run.json in it" if self.folder.is_dir() else "there is no such folder"
            raise CheckpointError(f"run: expected the folder of a training run, got {self.folder}, but {there}")
        self.record: dict[str, Any] = read_json(self.folder / "run.json")
        self.recipe = _recipe_of(self.record, self.folder)
        self._prepared: _Prepared | None = None

    @classmethod
    def create(cls, recipe: Recipe, folder: str | Path | None = None) -> Self:
        """Load the data, build the model, and make the folder.

        Parameters
        ----------
        recipe : Recipe
        folder : path, optional
            Made new, or empty.  None takes ``runs/<data>-<model>-seed<seed>``, with a number behind it where that is
            taken.

        Raises
        ------
        ArgumentError
            If there is something in the folder already.
        DataError, MissingDependencyError, BackendUnavailableError
            If the data or the backend cannot be had; no folder is made then.
        WriteError
            If the folder or its record cannot be written.
        """
        if folder is not None:
            refuse_used(Path(folder))
        prepared = _Prepared(recipe)
        record = {
            "format": _FORMAT,
            "status": "created",
            "settings": prepared.recipe.to_dict(),
            "data": prepared.describe_data(),
            "model": prepared.describe_model(),
            "versions": versions(),
            "backend": prepared.describe_backend(),
            "times": {"started": _now(), "seconds": 0.0, "processor_seconds": 0.0},
            "epochs_done": 0,
        }
        chosen = make_folder(_folder_name(recipe)) if folder is None else Path(folder)
        write_json(chosen / "run.json", record)
        run = cls(chosen)
        run._prepared = prepared
        return run

    def train(
        self,
        *,
        callbacks: Sequence[Callback] = (),
        backend: str | None = None,
        data: str | None = None,
        data_dir: str | None = None,
    ) -> Self:
        """Train to the end that the recipe sets, from the checkpoint if there is one; a finished run stays as it is.

        On one machine and backend the weights and the history at the end are the same, bit for bit, however often the
        run was stopped or killed.

        Parameters
        ----------
        callbacks : sequence of Callback
            If one stops the training the run can go on later; `finished` tells.
        backend, data, data_dir : str, optional
            Where to go on, and where the same data are now, if elsewhere than before.

        Raises
        ------
        CheckpointError
            If the checkpoint is damaged.
        DataError
            If the data are no longer those the run began with.
        DivergenceError
            If the loss becomes NaN or infinite.
        WriteError
            If a file cannot be written; those that are there are whole.
        """
        if self.finished:
            return self
        moved = {"backend": backend, "data": data, "data_dir": data_dir}
        given = {name: value for name, value in moved.items() if value is not None}
        prepared = self._prepared if self._prepared and not given else self._prepare(given)
        self._prepared = None
        remove_partial_files(self.folder)
        with kernels_switched(prepared.kernels, prepared.backend.name):
            self._train(prepared, callbacks)
        return self

    @property
    def finished(self) -> bool:
        """Whether the run came to the end its recipe sets."""
        return bool(self.record.get("status") == "finished")

    @property
    def metrics(self) -> dict[str, float]:
        """Loss and accuracy at the end on the validation and the test set, such as "test_accuracy"."""
        return {name: self.record[name] for name in self.record if name.startswith(("validation_", "test_"))}

    @property
    def history(self) -> History:
        """What happened in each epoch."""
        return History.from_csv(self.folder / "history.csv")

    @property
    def checkpoint(self) -> Path:
        """The file to go on with, while the run is not finished."""
        return self.folder / "checkpoint.safetensors"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input, such as (1, 28, 28)."""
        return tuple(self.record["data"]["input_shape"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the outputs."""
        return tuple(self.record["data"]["class_names"])

    def load_model(self, backend: str | Backend | None = None) -> Module:
        """The trained model.

        Parameters
        ----------
        backend : str or Backend, optional
            None takes the one it was trained on.

        Raises
        ------
        CheckpointError
            If the run is not finished, or its weights are missing, damaged or of another model.
        """
        path = self.folder / "model.safetensors"
        if not path.is_file() and not self.finished:
            raise CheckpointError(
                f"run: {self.folder} is {self.record.get('status')} and has no model yet; "
                f"go on with it first: portml train --resume {self.folder}"
            )
        state, _ = read_arrays(path)
        place = get_backend(self.recipe.backend if backend is None else backend)
        recipe = self.recipe.changed({"backend": place.name})
        model = recipe.build_model(self.input_shape, len(self.class_names))
        try:
            model.load_state_dict(state)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        return model.eval()

    def load_data(self, data: str | None = None, *, data_dir: str | None = None) -> ClassificationData:
        """The data of the run, or other data of the same classes in the same shape.

        Raises
        ------
        DataError
            If the classes differ, or the data cannot be had.
        """
        images = self.input_shape if len(self.input_shape) == 3 else None
        recipe = self.recipe if data is None else replace(self.recipe, data=data, data_dir=None)
        loaded = replace(recipe, image_shape=images, data_dir=data_dir or recipe.data_dir).load_data()
        if loaded.class_names != self.class_names:
            raise DataError(
                f"data: expected the classes {', '.join(self.class_names)} of this run, "
                f"got {', '.join(loaded.class_names)}"
            )
        return loaded

    def evaluate(self, data: ArrayDataset | tuple[Any, Any], model: Module | None = None) -> dict[str, float]:
        """The loss and the accuracy on a data set (see `load_data`) of the trained model, loaded if it is not given."""
        return evaluate(model or self.load_model(), data, self.recipe.build_loss(), self.recipe.metrics())

    def predict_proba(self, inputs: Any, model: Module | None = None) -> Array:
        """The probability of each class, (n_samples, n_classes), for inputs (n_samples, *input_shape).

        Parameters
        ----------
        inputs : array
        model : Module, optional
            The trained model; None loads it.

        Raises
        ------
        ShapeError
            If the inputs have another shape than those the model was trained on.
        """
        if tuple(inputs.shape[1:]) != self.input_shape:
            raise ShapeError(
                f"inputs: expected (n_samples, {', '.join(map(str, self.input_shape))}), got {tuple(inputs.shape)}"
            )
        return softmax(predict(model or self.load_model(), inputs), axis=1)

    def _prepare(self, moved: Mapping[str, Any]) -> _Prepared:
        """Load the data and build the model again, and note where the run goes on."""
        prepared = _Prepared(self.recipe.changed(moved))
        if prepared.describe_data()["sha256"] != self.record["data"].get("sha256"):
            raise DataError(
                f"data: {prepared.recipe.data} is not what the run {self.folder} began with; "
                "go on with the same data, or start a new run"
            )
        self.recipe = prepared.recipe
        self.record |= {
            "settings": prepared.recipe.to_dict(),
            "versions": versions(),
            "backend": prepared.describe_backend(),
        }
        return prepared

    def _train(self, prepared: _Prepared, callbacks: Sequence[Callback]) -> None:
        """Train to the end or the next stop, and write down how it went."""
        watch = _Watch(self.record["times"])
        trainer = prepared.recipe.build_trainer(prepared.model, callbacks=callbacks)
        try:
            self._close("running", watch)
            trainer.fit(
                prepared.data.train,
                **prepared.recipe.fit_options(),
                validation=prepared.data.validation,
                checkpoint=self.checkpoint,
                checkpoint_every=_CHECKPOINT_EVERY,
                resume=self.checkpoint.exists(),
            )
            self.record["epochs_done"] = len(trainer.history)
            trainer.history.to_csv(self.folder / "history.csv")
            if len(trainer.history) < prepared.recipe.epochs:
                self._close("interrupted", watch)
            else:
                self._finish(prepared, trainer, watch)
        except BaseException as error:
            # What went wrong is worth more than what goes wrong in writing it down.
            with contextlib.suppress(WriteError):
                self.record |= {"epochs_done": len(trainer.history), "error": str(error) or type(error).__name__}
                self._close("failed" if isinstance(error, Exception) else "interrupted", watch)
            raise

    def _finish(self, prepared: _Prepared, trainer: Trainer, watch: _Watch) -> None:
        """The weights, the metrics and the record of a run that came to its end, in this order."""
        for role in ("validation", "test"):
            part = prepared.data.parts().get(role)
            if part is not None:
                measured = trainer.evaluate(part)
                _check_finite(role, measured)
                self.record |= {f"{role}_{name}": value for name, value in measured.items()}
        description = {"format": "model 1", **self.record["model"], "class_names": list(self.class_names)}
        write_arrays(self.folder / "model.safetensors", trainer.model.state_dict(), description)
        self.record.pop("error", None)  # of an attempt before
        self._close("finished", watch)
        self.checkpoint.unlink(missing_ok=True)

    def _close(self, status: str, watch: _Watch) -> None:
        self.record |= {"status": status, "times": watch.read()}
        write_json(self.folder / "run.json", self.record)


class _Prepared:
    """What a recipe becomes on a backend, with what it leaves open filled in."""

    def __init__(self, recipe: Recipe) -> None:
        self.backend = get_backend(recipe.backend)
        self.kernels = recipe.kernels or self.backend.kernels
        # A path is found again from any folder.
        data = recipe.data if recipe.data in DATASETS else str(Path(recipe.data).resolve())
        self.recipe = replace(recipe, data=data, backend=self.backend.name, kernels=self.kernels)
        self.host_data = self.recipe.load_data()
        self.data = _beside_model(self.host_data, self.backend)
        self.model = self.recipe.build_model(self.host_data.input_shape, self.host_data.n_classes)

    def describe_backend(self) -> dict[str, Any]:
        return {**describe_backend(self.backend), "kernels": self.kernels}

    def describe_data(self) -> dict[str, Any]:
        return {**self.host_data.summary(), "sha256": _fingerprint(self.host_data)}

    def describe_model(self) -> dict[str, Any]:
        parameters = sum(math.prod(parameter.shape) for parameter in self.model.parameters())
        return {
            "name": self.recipe.model,
            "input_shape": list(self.host_data.input_shape),
            "n_classes": self.host_data.n_classes,
            "parameters": parameters,
        }


class _Watch:
    """Seconds since it was made, on top of those noted before."""

    def __init__(self, before: Mapping[str, Any]) -> None:
        self.before = before
        self.clock, self.processor = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, Any]:
        return {
            **self.before,
            "until": _now(),
            "seconds": round(self.before["seconds"] + time.perf_counter() - self.clock, 3),
            "processor_seconds": round(self.before["processor_seconds"] + time.process_time() - self.processor, 3),
        }


def _recipe_of(record: Any, folder: Path) -> Recipe:
    """The recipe in a record, which is checked for what the methods of `Run` take from it."""
    try:
        if record["format"] != _FORMAT:
            raise CheckpointError(f"run: {folder}/run.json has format {record['format']!r}, expected {_FORMAT}")
        record["data"]["input_shape"], record["data"]["class_names"], record["times"]["processor_seconds"]
        return Recipe.from_dict(record["settings"])
    except (KeyError, TypeError, ArgumentError) as error:
        raise CheckpointError(f"run: {folder}/run.json is no record of a training run ({error})") from error


def _folder_name(recipe: Recipe) -> str:
    return f"{Path(recipe.data).stem or 'data'}-{recipe.model}-seed{recipe.seed}"


def _check_finite(role: str, measured: Mapping[str, float]) -> None:
    if not all(map(math.isfinite, measured.values())):
        raise DivergenceError(
            f"the {role} set gives a loss of {measured['loss']}: the weights left the numbers in the last steps; "
            "try a lower learning rate"
        )


def _beside_model(data: ClassificationData, backend: Backend) -> ClassificationData:
    """The data on the device, where batches are then gathered, if it has ample room for them."""
    size = sum(math.prod(part.inputs.shape) * 4 for part in data.parts().values())
    memory = backend.memory()
    return data.to(backend) if backend.host or 4 * size < memory.total - memory.used else data


def _fingerprint(data: ClassificationData) -> str:
    """A checksum of every sample and label of every part."""
    digest = hashlib.sha256()
    for role, part in data.parts().items():
        for array in (part.inputs, part.targets):
            digest.update(f"{role} {tuple(array.shape)} {array.dtype}".encode())
            digest.update(to_numpy(array).tobytes())
    return digest.hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
