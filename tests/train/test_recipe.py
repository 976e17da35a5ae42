from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portml.backends import Backend, backend_of, to_numpy
from portml.data import DATASETS
from portml.errors import ArgumentError, DataError
from portml.nn import Module
from portml.train import Recipe
from portml.train.recipe import MODELS, OPTIMIZERS, SCHEDULES, SUITED


def test_every_named_data_set_has_settings_that_suit_it() -> None:
    assert SUITED.keys() == DATASETS.keys()
    for data in SUITED:
        assert Recipe.of(data).data == data


def test_what_is_chosen_goes_before_what_suits() -> None:
    chosen = Recipe.of("digits", epochs=3, lr=0.5, seed=9)
    assert (chosen.epochs, chosen.lr, chosen.seed) == (3, 0.5, 9)
    assert chosen.batch_size == Recipe.of("digits").batch_size


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_another_optimizer_brings_its_own_learning_rate(name: str) -> None:
    own = Recipe.of("digits")
    recipe = Recipe.of("digits", optimizer=name)
    if name != own.optimizer:
        assert (recipe.lr, recipe.weight_decay) == (OPTIMIZERS[name].lr, 0.0)
    assert Recipe.of("digits", optimizer=name, lr=0.25).lr == 0.25


def test_a_recipe_comes_back_from_json() -> None:
    recipe = Recipe.of("digits", image_shape=(1, 28, 28), seed=3)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.changed({"seed": 4}) == Recipe.of("digits", image_shape=(1, 28, 28), seed=4)


BAD: dict[str, list[Any]] = {
    "model": ["lenet", None],
    "optimizer": ["adamax"],
    "schedule": ["linear"],
    "epochs": [0, -1, 2.5, True, "3"],
    "batch_size": [0, 1.0],
    "seed": [-1, 0.5],
    "lr": [0, -1e-3, float("nan"), float("inf"), "1e-3"],
    "weight_decay": [-0.1, float("nan")],
    "validation_fraction": [-0.1, 1.0],
    "label_smoothing": [-0.1, 1.0],
    "shift": [-1.0],
    "scale": [1.0],
    "rotation": [float("inf")],
    "kernels": ["quick"],
}


@pytest.mark.parametrize(("setting", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_bad_setting_is_named_with_what_came(setting: str, value: Any) -> None:
    with pytest.raises(ArgumentError) as caught:
        Recipe.of("digits", **{setting: value})
    assert str(caught.value).startswith(f"{setting}: ")
    assert repr(value) in str(caught.value)


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ArgumentError, match="learning_rate: a recipe has no such setting; it has data, "):
        Recipe.of("digits", learning_rate=1)
    settings = Recipe.of("digits").to_dict()
    del settings["lr"]
    with pytest.raises(ArgumentError, match="lr, momentum are missing or too many"):
        Recipe.from_dict({**settings, "momentum": 0.9})


def test_a_path_is_never_taken_for_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"\./digits is no such path"):
        Recipe.of(Path("digits")).load_data()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_model_learns_with_every_optimizer(model: str, optimizer: str, tmp_path: Path) -> None:
    assert_learns(Recipe.of(bars(tmp_path), model=model, optimizer=optimizer, epochs=2, batch_size=5))


def test_a_recipe_is_trained_on_its_backend(backend: Backend, tmp_path: Path) -> None:
    recipe = Recipe.of(bars(tmp_path), model="mlp", backend=backend.name, epochs=2, batch_size=10, shift=1.0)
    assert backend_of(next(assert_learns(recipe).parameters()).value) is backend


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_is_followed(schedule: str, tmp_path: Path) -> None:
    recipe = Recipe.of(bars(tmp_path), model="mlp", schedule=schedule, epochs=12, lr=0.01, optimizer="sgd")
    data = recipe.load_data()
    trainer = recipe.build_trainer(recipe.build_model(data.input_shape, data.n_classes))
    rates = trainer.fit(data.train, **recipe.fit_options())["lr"]
    assert max(rates) == pytest.approx(0.01)
    assert (len(set(rates)) == 1) == (schedule == "constant")


def test_the_same_seed_draws_the_same_weights_and_another_one_others() -> None:
    def weights(seed: int) -> bytes:
        return to_numpy(next(Recipe.of("digits", seed=seed).build_model((1, 28, 28), 10).parameters())).tobytes()

    assert weights(3) == weights(3) != weights(4)


def test_lenet_refuses_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"model: lenet5 sees images \(channels, 28, 28\), got .*\(7,\).*mlp"):
        Recipe.of("digits").build_model((7,), 10)


def test_every_setting_is_described() -> None:
    assert Recipe.__doc__ is not None
    for field in fields(Recipe):
        assert field.name in Recipe.__doc__


def assert_learns(recipe: Recipe) -> Module:
    data = recipe.load_data()
    model = recipe.build_model(data.input_shape, data.n_classes)
    trainer = recipe.build_trainer(model)
    before = trainer.evaluate(data.train)["loss"]
    trainer.fit(data.train, **recipe.fit_options())
    assert trainer.evaluate(data.train)["loss"] < before
    return model


def bars(folder: Path, n: int = 40) -> Path:
    """An archive of images of 6x6 with a bright half, which tells the class."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    images = rng.random((n, 6, 6)).astype(np.float32) * 0.3
    images[labels == 0, :3] += 0.7
    images[labels == 1, 3:] += 0.7
    path = folder / "bars.npz"
    np.savez(path, images=images, labels=labels)
    return path
