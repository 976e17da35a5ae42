from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from portml.autograd import Tensor, grad_enabled
from portml.backends import Array, Backend, backend_of, to_numpy
from portml.data import ArrayDataset, DataLoader
from portml.data.text import SequenceDataset
from portml.errors import ArgumentError, DataError, DivergenceError, PortmlError, RangeError, ShapeError
from portml.metrics import accuracy
from portml.nn import CrossEntropyLoss, Dropout, Linear, Module, MSELoss, Sequential
from portml.optim import SGD
from portml.train import Callback, Trainer, evaluate, predict
from tests.train.small import BATCH_SIZE, BATCHES, CLASSES, EPOCHS, SAMPLES, images, small_fit, small_trainer


class Notes(Callback):
    """Writes down what it is called with."""

    def __init__(self) -> None:
        self.notes: list[tuple[Any, ...]] = []

    def on_fit_begin(self, trainer: Trainer, epochs: int, batches: int) -> None:
        self.notes.append(("begin", epochs, batches))

    def on_batch_end(self, trainer: Trainer, epoch: int, batch: int) -> None:
        self.notes.append((epoch, batch, sorted(trainer.running())))

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        self.notes.append(("epoch", row["epoch"]))

    def on_fit_end(self, trainer: Trainer) -> None:
        self.notes.append(("end",))


def test_training_learns(backend: Backend) -> None:
    trainer = small_trainer(backend)
    trainer.schedule = None
    before = trainer.evaluate(images())
    history = trainer.fit(images(), epochs=6, batch_size=BATCH_SIZE, validation=images())
    assert history["validation_loss"][-1] < 0.8 * before["loss"]
    assert history["validation_accuracy"][-1] > before["accuracy"] + 0.2
    assert trainer.evaluate(images())["loss"] == pytest.approx(history["validation_loss"][-1], rel=1e-5)


def test_a_row_has_the_epoch_its_rate_and_means_over_all_samples() -> None:
    data = images()
    model = Sequential(Linear(16, CLASSES, rng=0))
    trainer = Trainer(model, SGD(model.parameters(), lr=0.0), CrossEntropyLoss(), metrics={"accuracy": accuracy})
    flat = ArrayDataset(data.inputs.reshape(SAMPLES, 16), data.targets, n_classes=CLASSES)
    history = trainer.fit(flat, epochs=2, batch_size=BATCH_SIZE)
    whole = trainer.evaluate(flat, batch_size=SAMPLES)
    for number, row in enumerate(history, start=1):
        assert list(row) == ["epoch", "lr", "loss", "accuracy"]
        assert (row["epoch"], row["lr"]) == (number, 0.0)
        assert row["loss"] == pytest.approx(whole["loss"], rel=1e-6)
        assert row["accuracy"] == pytest.approx(whole["accuracy"], rel=1e-6)


def test_the_schedule_goes_on_after_each_epoch() -> None:
    rates = small_fit(small_trainer()).history["lr"]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == EPOCHS


def test_callbacks_are_called_in_order() -> None:
    notes = Notes()
    small_fit(small_trainer("numpy", notes))
    epochs: list[tuple[Any, ...]] = []
    for epoch in range(1, EPOCHS + 1):
        epochs += [(epoch, batch, ["accuracy", "loss"]) for batch in range(1, BATCHES + 1)] + [("epoch", epoch)]
    assert notes.notes == [("begin", EPOCHS, BATCHES), *epochs, ("end",)]


def test_a_callback_stops_the_training_after_an_epoch() -> None:
    class Enough(Callback):
        def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
            trainer.stop()

    trainer = small_fit(small_trainer("numpy", Enough()))
    assert len(trainer.history) == 1
    assert trainer.stopping


def test_no_epoch_is_no_training() -> None:
    trainer = small_trainer()
    before = to_numpy(next(trainer.model.parameters())).copy()
    assert len(trainer.fit(images(), epochs=0)) == 0
    np.testing.assert_array_equal(to_numpy(next(trainer.model.parameters())), before)


def test_evaluation_drops_nothing_records_nothing_and_leaves_the_modes(backend: Backend) -> None:
    seen: list[tuple[bool, bool]] = []

    class Looks(Module):
        def forward(self, x: Array) -> Array:
            seen.append((self.training, grad_enabled()))
            return x

    frozen = Dropout(0.5, rng=backend.random(0)).eval()
    model = Sequential(Looks(), frozen, Linear(16, CLASSES, rng=backend.random(1)), Dropout(0.9, rng=backend.random(2)))
    inputs = images().inputs.reshape(SAMPLES, 16)
    first = predict(model, inputs, batch_size=10)
    second = predict(model, backend.asarray(inputs))
    assert backend_of(first) is backend_of(model[2].weight.value)
    assert not isinstance(first, Tensor)
    np.testing.assert_allclose(to_numpy(first), to_numpy(second), rtol=1e-5, atol=1e-6)
    evaluate(model, (inputs, images().targets), CrossEntropyLoss())
    assert set(seen) == {(False, False)}
    assert [model.training, model[0].training, frozen.training] == [True, True, False]


def test_inputs_of_a_list_are_predicted() -> None:
    model = Linear(2, 1, rng=0)
    assert predict(model, [[1.0, 2.0], [3.0, 4.0]]).shape == (2, 1)


def test_the_transform_changes_what_is_trained_on_and_not_what_is_evaluated() -> None:
    class Zero(Module):
        def forward(self, x: Array) -> Array:
            return x * 0.0

    model = Linear(16, CLASSES, rng=0)
    trainer = Trainer(model, SGD(model.parameters(), lr=0.1), CrossEntropyLoss(), transform=Zero())
    before = to_numpy(model.weight).copy()
    data = images().inputs.reshape(SAMPLES, 16), images().targets
    trainer.fit(data, epochs=1)
    np.testing.assert_array_equal(to_numpy(model.weight), before)  # no input, no gradient
    assert trainer.evaluate(data)["loss"] != pytest.approx(trainer.history["loss"][0], rel=1e-3)


@pytest.mark.parametrize("lr", [1e30, math.inf])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_leaves_the_numbers_is_an_error_and_no_checkpoint(
    lr: float, backend: Backend, tmp_path: Any
) -> None:
    trainer = small_trainer(backend)
    trainer.schedule = None
    trainer.optimizer = SGD(trainer.model.parameters(), lr=lr)
    with pytest.raises(DivergenceError, match=r"the loss became (nan|inf) in epoch 1; try a learning rate below "):
        small_fit(trainer, checkpoint=tmp_path / "checkpoint.safetensors", checkpoint_every=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_that_leave_the_numbers_in_the_last_batch_are_no_checkpoint_either(tmp_path: Any) -> None:
    model = Linear(2, 1, rng=0)
    trainer = Trainer(model, SGD(model.parameters(), lr=1e38), MSELoss())
    data = np.full((4, 2), 10.0, np.float32), np.zeros((4, 1), np.float32)
    with pytest.raises(DivergenceError):
        trainer.fit(data, epochs=1, batch_size=4, validation=data, checkpoint=tmp_path / "checkpoint")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_labels_out_of_range_are_refused(label: int, backend: Backend) -> None:
    labels = np.array([0, 1, label, 2])
    inputs = np.zeros((4, 1, 4, 4), np.float32)
    with pytest.raises(RangeError, match=rf"targets: expected labels in 0..{CLASSES - 1}, got {label}"):
        ArrayDataset(inputs, labels, n_classes=CLASSES)
    # Where nothing was said of classes, a host notices at once, and a device by a loss that is no number.
    with pytest.raises(RangeError if backend.host else DivergenceError, match="labels"):
        small_trainer(backend).fit((inputs, labels), epochs=1)


def test_bad_arguments_are_named() -> None:
    trainer, data = small_trainer(), images()
    nothing, rows = (np.zeros((0, 1, 4, 4), np.float32), np.zeros(0, np.int64)), SequenceDataset([[1]], [0])
    refused: list[tuple[type[PortmlError], str, Any]] = [
        (DataError, "inputs: expected at least one sample", lambda: trainer.fit(nothing)),
        (DataError, "inputs: expected at least one sample", lambda: trainer.evaluate(nothing)),
        (DataError, "inputs: expected at least one sample", lambda: trainer.predict(nothing[0])),
        (DataError, "inputs: expected finite numbers, got nan", lambda: trainer.fit((nan_images(), data.targets))),
        (ShapeError, "targets: expected one for each", lambda: trainer.fit((data.inputs, data.targets[:3]))),
        (ArgumentError, "epochs: .*got -1", lambda: trainer.fit(data, epochs=-1)),
        (ArgumentError, "epochs: .*got 1.5", lambda: trainer.fit(data, epochs=1.5)),  # type: ignore[arg-type]  # bad
        (ArgumentError, "batch_size: .*got 0", lambda: trainer.fit(data, batch_size=0)),
        (ArgumentError, "batch_size: .*got 0", lambda: trainer.predict(data.inputs, batch_size=0)),
        (ArgumentError, "checkpoint_every: .*got 0", lambda: trainer.fit(data, checkpoint_every=0)),
        (DataError, "data: .*got samples of 3 parts", lambda: trainer.fit(rows)),  # type: ignore[arg-type]  # bad
        (DataError, "data: .*got samples of 1 parts", lambda: trainer.fit((data.inputs,))),  # type: ignore[arg-type]  # bad
        (ArgumentError, "data: .*got a DataLoader", lambda: trainer.fit(DataLoader(data))),  # type: ignore[arg-type]  # bad
        (ArgumentError, "seed: .*got -1", lambda: trainer.fit(data, seed=-1)),
        (ShapeError, "5", lambda: trainer.predict(np.zeros((2, 5), np.float32))),
    ]
    for kind, match, call in refused:
        with pytest.raises(kind, match=match):
            call()


def test_an_optimizer_of_another_model_is_refused() -> None:
    optimizer = SGD(Linear(2, 2, rng=0).parameters())
    with pytest.raises(ArgumentError, match="optimizer: holds no parameter of this model"):
        Trainer(Linear(2, 2, rng=0), optimizer, MSELoss())


def test_a_model_with_everything_frozen_is_refused() -> None:
    trainer = small_trainer()
    trainer.model.requires_grad_(False)
    with pytest.raises(ArgumentError, match="model: nothing in it can be learnt"):
        trainer.fit(images(), epochs=1)


def nan_images() -> np.ndarray[Any, Any]:
    inputs = images().inputs.copy()
    inputs[3, 0, 1, 2] = np.nan
    return inputs
