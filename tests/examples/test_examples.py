"""Every example runs, shortly, and learns."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portml import data

EXAMPLES = Path(__file__).parents[2] / "examples"


def main_of(name: str) -> Callable[..., Any]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))["main"]  # type: ignore[no-any-return]


def test_the_digit_classifier_trains(capsys: pytest.CaptureFixture[str]) -> None:
    accuracy = main_of("train_digits")("numpy", 3)
    assert accuracy > 0.8
    assert capsys.readouterr().out.splitlines()[-1] == f"test accuracy {accuracy:.2%}"


@pytest.mark.parametrize("model", ["lenet5", "resnet"])
def test_the_clothes_classifier_leaves_what_it_measured(
    model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    digits = data.load_dataset("digits", validation_fraction=0.8)  # fewer to learn from: 286
    monkeypatch.setattr(data, "load_dataset", lambda name, data_dir: digits)
    path = tmp_path / "results" / "run.json"
    main_of("train_fashion_mnist")(model, 0, "numpy", None, path)
    result = json.loads(path.read_text())
    assert result["parameters"] <= 300_000
    assert result["test_accuracy"] > 0.5
    assert len(result["history"]) == result["settings"]["epochs"]


def test_the_variational_autoencoder_draws_closer_to_digits(tmp_path: Path) -> None:
    before, after = main_of("train_variational_autoencoder")("numpy", 2, tmp_path / "digits.png")
    assert after < 0.7 * before
    assert (tmp_path / "digits.png").stat().st_size > 5_000


def test_the_siamese_network_tells_digits_apart() -> None:
    known, _ = main_of("train_siamese_network")("numpy", 60)
    assert known > 0.9


def test_the_unet_finds_some_of_the_digits(tmp_path: Path) -> None:
    assert main_of("train_unet")("numpy", 20, tmp_path / "found.png") > 0.3
    assert (tmp_path / "found.png").stat().st_size > 5_000


def test_the_game_of_two_networks_is_played(tmp_path: Path) -> None:
    certain, kinds = main_of("train_generative_adversarial_network")("numpy", 1, tmp_path / "drawn.png")
    assert 0 <= certain <= 1
    assert 0 <= kinds <= 10
    assert (tmp_path / "drawn.png").stat().st_size > 5_000
