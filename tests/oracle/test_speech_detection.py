"""The published speech detector hears what its ONNX twin hears.

Needs onnx, onnxruntime and silero-vad (installed by ``nox -s oracle``), and espeak-ng (Debian's package of that name).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import speech_detection as comparison
from examples.detect_speech import WINDOW, fourier_basis, main, published_weights, speak
from portml.data import load_weights


@pytest.fixture(scope="module")
def folder() -> Path:
    return published_weights().parent


@pytest.fixture(scope="module")
def tables(folder: Path) -> dict[str, Any]:
    return comparison.tables(folder)


@pytest.fixture(scope="module")
def sounds() -> dict[str, Any]:
    speech = speak("Is anybody there? The rain has stopped at last.")
    noise = np.random.default_rng(0).standard_normal(len(speech)).astype("float32")
    return {"speech": speech, "noise": 0.1 * noise, "both": speech + 0.05 * noise}


@pytest.mark.parametrize("sound", ["speech", "noise", "both"])
@pytest.mark.parametrize("arrays", ["safetensors", "onnx"])
def test_probabilities_and_states_are_those_of_onnx(
    arrays: str, sound: str, folder: Path, tables: dict[str, Any], sounds: dict[str, Any]
) -> None:
    ours = comparison.portml_hearing(tables[arrays], "numpy")
    theirs = comparison.onnx_hearing(folder, tables[arrays])
    row = comparison.compared(ours, theirs, sounds[sound])
    assert row["pieces"] > 60
    assert (row["heard_as_speech"] > 0.5) == (sound != "noise")
    assert row["probability_difference"] <= comparison.ALLOWED
    assert row["relative_state_difference"] <= comparison.ALLOWED


def test_the_published_transform_is_that_of_fourier(folder: Path) -> None:
    published = load_weights(folder / "silero_vad_16k.safetensors")["stft_conv.weight"]
    np.testing.assert_allclose(fourier_basis(WINDOW), published[:, 0], atol=2e-7)


def test_the_example_finds_the_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    probabilities, spoken = main(None, None, "numpy", tmp_path / "speech.png")
    assert ((probabilities > 0.5) == spoken).mean() > 0.9
    assert "loaded 15 arrays, 309,633 numbers" in capsys.readouterr().out
    assert (tmp_path / "speech.png").stat().st_size > 20_000


def test_what_is_recorded_is_within_the_tolerance() -> None:
    recorded = json.loads((comparison.RESULTS / "comparison.json").read_text())
    assert recorded["worst"] <= comparison.ALLOWED
    assert {row["arrays_of"] for row in recorded["comparisons"]} == {"safetensors", "onnx"}
