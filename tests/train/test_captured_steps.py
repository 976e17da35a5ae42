"""The trainer's steps, replayed: the same history, every setting heeded, and a reason where they are not replayed."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn, optim
from portml.backends import to_numpy
from portml.train import Trainer


def data(n=30):
    draws = np.random.default_rng(0)
    return draws.standard_normal((n, 6)).astype("float32"), draws.integers(0, 3, n)


def trainer(backend, **options):
    model = nn.Sequential(
        nn.Linear(6, 8, rng=0, backend=backend),
        nn.ReLU(),
        nn.Dropout(0.2, rng=1, backend=backend),
        nn.Linear(8, 3, rng=2, backend=backend),
    )
    penalty = nn.L2Penalty(model.parameters(), 0.01)
    return Trainer(
        model, optim.Adam(model.parameters()), nn.CrossEntropyLoss(), penalty=penalty, clip_norm=1.0, **options
    )


def weights(trainer):
    return np.concatenate([to_numpy(parameter.value).ravel() for parameter in trainer.model.parameters()])


def test_replayed_training_is_training_bit_for_bit(backend):
    replayed, eager = trainer(backend), trainer(backend, capture=False)
    for each in (replayed, eager):
        # Three batches of eight and one of six: two recordings.
        each.fit(data(), epochs=3, batch_size=8, validation=data(7))
    assert list(replayed.history) == list(eager.history)
    assert np.array_equal(weights(replayed), weights(eager))
    assert replayed.eager is None
    assert replayed._step.replays == 8


@pytest.mark.parametrize(
    "change",
    [
        lambda trainer: setattr(trainer, "clip_norm", 0.01),
        lambda trainer: setattr(trainer.penalty, "strength", 10.0),
        lambda trainer: setattr(trainer, "loss", nn.MultiMarginLoss()),
        lambda trainer: setattr(trainer, "penalty", None),
        lambda trainer: setattr(trainer.loss, "label_smoothing", 0.5),
    ],
    ids=["clip_norm", "strength", "loss", "penalty", "label_smoothing"],
)
def test_a_setting_changed_between_steps_counts(backend, change):
    replayed, eager = trainer(backend), trainer(backend, capture=False)
    x, y = map(backend.asarray, data())
    for number in range(8):
        if number == 4:
            for each in (replayed, eager):
                change(each)
        losses = [to_numpy(each.step(x, y)[0]) for each in (replayed, eager)]
        assert losses[0] == losses[1], number
    assert np.array_equal(weights(replayed), weights(eager))
    assert replayed._step.replays == 4


def test_python_of_others_is_not_recorded_unless_it_is_asked_for():
    model = nn.Linear(6, 3, rng=0)

    def loss(output, target):
        return nn.functional.cross_entropy(output, target)

    as_it_is = Trainer(model, optim.SGD(model.parameters(), lr=0.1), loss)
    assert "loss is not portml's own" in as_it_is.eager
    asked = Trainer(model, optim.SGD(model.parameters(), lr=0.1), loss, capture=True)
    assert asked.eager is None
    asked.fit(data(), epochs=2, batch_size=10)
    assert asked._step.replays == 4


def test_a_step_that_reads_numbers_says_why_it_is_not_replayed():
    model = nn.Sequential(nn.Linear(6, 3, rng=0), nn.BatchNorm1d(3, momentum=None))
    each = Trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    each.fit(data(), epochs=2, batch_size=10)
    assert "to_numpy" in each.eager


def test_a_function_of_others_inside_a_layer_is_found_and_so_is_one_that_comes_later():
    def activation(x):
        return nn.functional.relu(x)

    layer = nn.TransformerEncoderLayer(6, 2, 8, activation=activation, batch_first=True, rng=0)
    model = nn.Sequential(nn.Unflatten(1, (1, 6)), layer, nn.Flatten(), nn.Linear(6, 3, rng=0))
    inside = Trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    assert "activation is not portml's own" in inside.eager
    later = trainer_on_numpy()
    assert later.eager is None
    later.loss = lambda output, target: nn.functional.cross_entropy(output, target)
    assert "not portml's own" in later.eager


def trainer_on_numpy():
    model = nn.Linear(6, 3, rng=0)
    return Trainer(model, optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
