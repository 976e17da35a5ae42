"""Hear where somebody speaks, with a published network whose weights are loaded by name.

    pip install --no-deps silero-vad
    python examples/detect_speech.py recording.wav --figure speech.png

Silero VAD [Silero Team 2021] is a short-time Fourier transform written as a convolution, four convolutions, and an LSTM
cell that remembers from one piece of sound to the next.  It hears 32 ms at a time, as if they came from a microphone.
Without a recording, espeak-ng (of the Debian package of that name) speaks three sentences into silence and noise.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from portml import data, get_backend, nn, no_grad, to_numpy, train
from portml.backends import operations
from portml.errors import DataError, MissingDependencyError

RATE, PIECE, BEFORE, WINDOW = 16_000, 512, 64, 256
SENTENCES = (
    "Hello, is anybody there?",
    "Shall I compare thee to a summer's day? Thou art more lovely and more temperate.",
    "The rain has stopped at last.",
)
# From the names in the published file to those of `SpeechDetector`.
NAMES = {
    "stft_conv.": "fourier.",
    "conv1.": "encoder.0.",
    "conv2.": "encoder.2.",
    "conv3.": "encoder.4.",
    "conv4.": "encoder.6.",
    "lstm_cell.": "memory.",
    "final_conv.": "head.",
}


def main(
    recording: Path | None, weights: Path | None, backend: str, figure: Path | None = None, seed: int = 0
) -> tuple[Any, Any]:
    """Find speech; returns the probability of each 32 ms, and which of them espeak-ng spoke in (None if unknown)."""
    detector = SpeechDetector(backend=backend)
    report = train.load_matching(detector, data.load_weights(weights or published_weights()), NAMES)
    print(f"loaded {len(report.loaded)} arrays, {sum(p.value.size for p in detector.parameters()):,} numbers")
    sound, spoken = made_sound(seed) if recording is None else (read_sound(recording), None)
    probabilities = listen(detector, sound, backend)
    for begin, end in stretches(probabilities > 0.5):
        print(f"speech from {begin * PIECE / RATE:6.2f} s to {end * PIECE / RATE:6.2f} s")
    if spoken is not None:
        right = (probabilities > 0.5) == spoken
        print(f"right about {right.mean():.1%} of {len(right)} pieces")
    if figure is not None:
        draw(sound, probabilities, spoken, figure)
    return probabilities, spoken


class SpeechDetector(nn.Module):
    r"""The network of Silero VAD 6 for 16 kHz.

    .. math:: |X| \to 4 \times \mathrm{ReLU}(\mathrm{Conv1d}) \to \mathrm{LSTM\ cell} \to
        \sigma(w \cdot \mathrm{ReLU}(h) + b)

    Input: (N, 576), 512 samples with the 64 before them, and the pair of states (N, 128) after the piece before, or
    None.  Results: the probability of speech (N,), and the states.
    """

    def __init__(self, *, rng: int = 0, backend: str = "numpy") -> None:
        settings: dict[str, Any] = {"rng": rng, "backend": backend}
        self.mirrored = nn.ReflectionPad1d((0, BEFORE))
        self.fourier = nn.Conv1d(1, WINDOW + 2, WINDOW, stride=WINDOW // 2, bias=False, **settings)
        self.fourier.weight.assign(get_backend(backend).asarray(fourier_basis(WINDOW)[:, None, :]))
        train.freeze(self, "fourier")
        sizes = ((129, 128, 1), (128, 64, 2), (64, 64, 2), (64, 128, 1))
        layers = [(nn.Conv1d(n, m, 3, stride=step, padding=1, **settings), nn.ReLU()) for n, m, step in sizes]
        self.encoder = nn.Sequential(*(layer for pair in layers for layer in pair))
        self.memory = nn.LSTMCell(128, 128, **settings)
        self.head = nn.Conv1d(128, 1, 1, **settings)

    def forward(self, x: Any, states: tuple[Any, Any] | None = None) -> tuple[Any, tuple[Any, Any]]:
        """Hear one piece."""
        spectrum = self.fourier(self.mirrored(operations.expand_dims(x, 1)))
        real, imaginary = spectrum[:, :129, :], spectrum[:, 129:, :]
        magnitude = operations.sqrt(real * real + imaginary * imaginary)
        features = self.encoder(magnitude)[:, :, 0]  # the strides leave one step of a piece
        states = self.memory(features, states)
        remembered = nn.functional.relu(operations.expand_dims(states[0], 2))
        return nn.functional.sigmoid(self.head(remembered))[:, 0, 0], states


def fourier_basis(window: int) -> Any:
    r"""Rows :math:`w_n \cos(2 \pi k n / N)` and then :math:`-w_n \sin(2 \pi k n / N)` for k = 0, …, N/2.

    :math:`w_n = (1 - \cos(2 \pi n / N)) / 2` is the window of von Hann: a product with these rows is a windowed
    Fourier transform.  The published weights of this layer are these, so it does not learn.
    """
    n = np.arange(window)
    turns = 2 * math.pi * np.outer(np.arange(window // 2 + 1), n) / window
    hann = (1 - np.cos(2 * math.pi * n / window)) / 2
    return np.concatenate([hann * np.cos(turns), -hann * np.sin(turns)]).astype("float32")


def listen(detector: SpeechDetector, sound: Any, backend: str) -> Any:
    """The probability of speech in each 32 ms, one after the other; silence fills the last."""
    place = get_backend(backend)
    states, heard = None, []
    detector.eval()
    with no_grad():
        for piece in pieces(sound):
            probability, states = detector(place.asarray(piece), states)
            heard.append(probability)
    return to_numpy(operations.concat(heard))


def pieces(sound: Any) -> Iterator[Any]:
    """512 samples at a time with the 64 before them, (1, 576)."""
    whole = np.concatenate([np.zeros(BEFORE, "float32"), sound, np.zeros(-len(sound) % PIECE, "float32")])
    for start in range(0, len(whole) - BEFORE, PIECE):
        yield whole[None, start : start + BEFORE + PIECE]


def stretches(marks: Any) -> Iterator[tuple[int, int]]:
    """First places and ends of what is marked in a row."""
    turns = np.flatnonzero(np.diff(np.concatenate([[False], marks, [False]])))
    yield from zip(turns[::2].tolist(), turns[1::2].tolist(), strict=True)


def published_weights() -> Path:
    """The file in the installed package, which is not imported."""
    found = importlib.util.find_spec("silero_vad")
    if found is None or found.origin is None:
        raise MissingDependencyError(
            "the weights come with silero-vad, which is not installed: pip install --no-deps silero-vad, or name the "
            "file with --weights"
        )
    return Path(found.origin).parent / "data" / "silero_vad_16k.safetensors"


def read_sound(path: Path) -> Any:
    """A wav file of 16 bits as samples in [-1, 1) at 16 kHz; channels are averaged."""
    try:
        with wave.open(str(path)) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            content = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise DataError(f"recording: {str(path)!r} is no wav file that can be read ({error})") from error
    if width != 2:
        raise DataError(f"recording: expected samples of 16 bits in {str(path)!r}, got {8 * width}")
    return resampled(np.frombuffer(content, "<i2").reshape(-1, channels).mean(axis=1) / 32768, rate)


def resampled(sound: Any, rate: int) -> Any:
    """The sound at 16 kHz, float32: its spectrum cut off above 8 kHz, or filled up with zeros, and turned back."""
    length = round(len(sound) * RATE / rate)
    return (np.fft.irfft(np.fft.rfft(sound), length) * (length / max(1, len(sound)))).astype("float32")


def made_sound(seed: int) -> tuple[Any, Any]:
    """Silence, speech, noise, speech, hum, speech over noise; and which pieces have speech in them."""
    rng = np.random.default_rng(seed)
    quiet = 0.001 * rng.standard_normal(RATE)
    noise = 0.1 * rng.standard_normal(2 * RATE)
    hum = 0.2 * np.sin(2 * math.pi * 220 * np.arange(2 * RATE) / RATE)
    first, second, third = map(speak, SENTENCES)
    third = third + 0.01 * rng.standard_normal(len(third))
    parts = [quiet, first, quiet, noise, quiet, second, quiet, hum, quiet, third, quiet]
    spoken = np.concatenate([np.full(len(part), part is first or part is second or part is third) for part in parts])
    whole = spoken[: len(spoken) // PIECE * PIECE].reshape(-1, PIECE).mean(axis=1) > 0.5
    return np.concatenate(parts)[: len(whole) * PIECE].astype("float32"), whole


def speak(text: str) -> Any:
    """The text in the voice of espeak-ng, at 16 kHz."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        try:
            subprocess.run(["espeak-ng", "-v", "en", "-w", str(path), text], check=True, capture_output=True)
        except FileNotFoundError as error:
            raise MissingDependencyError(
                "nothing to listen to: name a recording, or install espeak-ng, on Debian with apt-get install espeak-ng"
            ) from error
        sound = read_sound(path)
    loud = np.flatnonzero(np.abs(sound) > 0.01)  # without the silence at both ends
    return sound[loud[0] : loud[-1] + 1]


def draw(sound: Any, probabilities: Any, spoken: Any, path: Path) -> None:
    """The sound, its spectrum, and the probability of speech, over time."""
    from portml.plots.figure import PALETTE, new_figure, plain_axes, save_figure

    seconds = np.arange(len(sound)) / RATE
    frames = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[:: WINDOW // 2]
    real, imaginary = np.split(frames @ fourier_basis(WINDOW).T, 2, axis=1)
    figure = new_figure(10, 6)
    top, middle, low = figure.subplots(3, 1, sharex=True)
    top.plot(seconds, sound, linewidth=0.4, color=PALETTE[0])
    plain_axes(top, "sound", "", "sample")
    decibels = 20 * np.log10(np.hypot(real, imaginary).T + 1e-3)
    middle.imshow(decibels, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds[-1], 0, RATE / 2000))
    plain_axes(middle, "its spectrum, by a convolution", "", "kHz")
    middle.grid(False)
    edges = np.arange(len(probabilities) + 1) * PIECE / RATE
    low.stairs(probabilities, edges, color=PALETTE[1], linewidth=1.2, label="probability")
    low.axhline(0.5, color="#888888", linewidth=0.8, linestyle="--")
    for number, (begin, end) in enumerate(stretches(spoken) if spoken is not None else ()):
        low.axvspan(edges[begin], edges[end], color=PALETTE[2], alpha=0.2, linewidth=0, label="_" * number + "spoken")
    plain_axes(low, "probability of speech", "seconds", "")
    low.set_ylim(0, 1.02)
    low.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize="small")
    save_figure(figure, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Find where somebody speaks.")
    parser.add_argument("recording", type=Path, nargs="?", help="wav file of 16 bits; else espeak-ng speaks")
    parser.add_argument("--weights", type=Path, help="silero_vad_16k.safetensors; by default the installed package's")
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy or auto")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--figure", type=Path, default=None)
    given = parser.parse_args()
    main(given.recording, given.weights, given.backend, given.figure, given.seed)
