"""The speech detector with made-up weights: files are read, names found, pieces heard one after the other."""

from __future__ import annotations

import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from examples import detect_speech as example
from portml import nn
from portml.backends import Backend, to_numpy
from portml.errors import CheckpointError, DataError, MissingDependencyError


def wav(path: Path, samples: Any, rate: int = 16_000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file with the names of the published one."""
    theirs = {ours: published for published, ours in example.NAMES.items()}
    arrays = {}
    for name, value in example.SpeechDetector(rng=5).state_dict().items():
        prefix = next(ours for ours in theirs if name.startswith(ours))
        arrays[name.replace(prefix, theirs[prefix])] = to_numpy(value)
    safetensors.numpy.save_file(arrays, tmp_path / "weights.safetensors")
    return tmp_path / "weights.safetensors"


def test_a_recording_is_heard_to_its_end(weights: Path, backend: Backend, tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", 0.1 * np.sin(np.arange(1200)))
    probabilities, spoken = example.main(path, weights, backend.name, tmp_path / "a.png")
    assert probabilities.shape == (3,)
    assert spoken is None
    assert (tmp_path / "a.png").stat().st_size > 5_000
    # The memory reaches from piece to piece, and the 64 samples before a piece count.
    detector = example.SpeechDetector(rng=5, backend="numpy").eval()
    sound = np.concatenate([np.zeros(64, "float32"), example.read_sound(path), np.zeros(336, "float32")])
    with example.no_grad():
        _, states = detector(sound[None, :576])
        second, _ = detector(sound[None, 512:1088], states)
    np.testing.assert_allclose(probabilities[1], second[0], rtol=1e-4)


def test_the_transform_does_not_learn() -> None:
    detector = example.SpeechDetector()
    assert [name for name, p in detector.named_parameters() if not p.requires_grad] == ["fourier.weight"]


def test_the_convolution_is_the_transform_of_fourier() -> None:
    x = np.random.default_rng(0).standard_normal(256)
    spectrum = np.fft.rfft(x * np.hanning(257)[:-1])
    real, imaginary = np.split(example.fourier_basis(256) @ x, 2)
    np.testing.assert_allclose(real + 1j * imaginary, spectrum, atol=1e-5)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    safetensors.numpy.save_file({"conv9.weight": np.zeros(2)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"conv9\.weight is unmatched"):
        example.main(wav(tmp_path / "a.wav", np.zeros(600)), tmp_path / "w.safetensors", "numpy")


@pytest.mark.parametrize("rate", [8_000, 22_050, 48_000])
def test_a_tone_keeps_its_pitch_at_any_rate(rate: int, tmp_path: Path) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    sound = example.read_sound(wav(tmp_path / "a.wav", tone, rate))
    assert sound.shape == (16_000,)
    assert sound.dtype == np.float32
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(sound, expected, atol=2e-3)


def test_channels_are_averaged(tmp_path: Path) -> None:
    sound = example.read_sound(wav(tmp_path / "a.wav", np.tile([0.5, 0.1], 50), channels=2))
    np.testing.assert_allclose(sound, 0.3, atol=1e-3)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound")
    with pytest.raises(DataError, match="is no wav file that can be read"):
        example.read_sound(tmp_path / "a.wav")
    with pytest.raises(DataError, match=r"expected samples of 16 bits in .* got 8"):
        example.read_sound(wav(tmp_path / "b.wav", np.zeros(10), width=1))


def test_without_the_package_the_way_to_get_the_weights_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    with pytest.raises(MissingDependencyError, match="pip install --no-deps silero-vad"):
        example.published_weights()


def test_without_espeak_a_recording_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependencyError, match="name a recording, or install espeak-ng"):
        example.speak("Hello")


def test_stretches_end_where_the_marks_do() -> None:
    marks = np.asarray([True, False, True, True, False, True])
    assert [*example.stretches(marks)] == [(0, 1), (2, 4), (5, 6)]
    assert [*example.stretches(marks[:0])] == []


def test_every_published_name_has_its_place() -> None:
    detector = example.SpeechDetector()
    assert all(isinstance(detector.get_submodule(name.rstrip(".")), nn.Module) for name in example.NAMES.values())
