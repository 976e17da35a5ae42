"""The network of `examples/detect_speech.py` beside the same network as ONNX, run by onnxruntime.

    pip install onnx onnxruntime && pip install --no-deps silero-vad
    python -m benchmarks.speech_detection

Both hear the same sounds, 32 ms at a time, each with its own memory: speech of espeak-ng, white noise, and both over
each other.  The largest difference of the probabilities and of the states must stay below 1e-4, the states' relative
to the largest of them.  Exit status 1 if not.

The arrays in ``silero_vad_16k.safetensors`` are not those in the ONNX files beside it, in none of the releases 6.2.1 to
6.2.3: it is the same network from another training (https://github.com/snakers4/silero-vad/issues/768).  So both are
compared: our network with the arrays of either file, and the published ONNX graph with the arrays of the same file in
the place of its own.  How far the two trainings are apart is recorded too.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from examples.detect_speech import NAMES, RATE, SENTENCES, SpeechDetector, draw, made_sound, pieces, speak
from examples.detect_speech import published_weights as weights_of_package
from portml import data, get_backend, no_grad, to_numpy, train
from portml.backends import kernels_in_use

__all__ = ["ALLOWED", "Hearing", "compared", "main", "onnx_hearing", "portml_hearing", "sounds", "tables"]

ALLOWED = 1e-4
RESULTS = Path(__file__).parent / "results" / "speech_detection"
# From the names in the ONNX file to those in the safetensors file.
_KINDS, _SIDES = ("weight", "bias"), ("ih", "hh")
ONNX_NAMES = {
    "model.stft.forward_basis_buffer": "stft_conv.weight",
    **{f"model.encoder.{n}.reparam_conv.{kind}": f"conv{n + 1}.{kind}" for n in range(4) for kind in _KINDS},
    **{f"model.decoder.rnn.{kind}_{side}": f"lstm_cell.{kind}_{side}" for kind in _KINDS for side in _SIDES},
    **{f"model.decoder.decoder.2.{kind}": f"final_conv.{kind}" for kind in _KINDS},
}

Hearing = Callable[[Any], tuple[Any, Any]]
Table = Mapping[str, Any]


def main(folder: Path, backend: str, results: Path | None = RESULTS) -> dict[str, Any]:
    """Compare, print, and keep the numbers and the picture."""
    published = tables(folder)
    theirs = {name: onnx_hearing(folder, table) for name, table in published.items()}
    rows = []
    for name, table in published.items():
        ours = portml_hearing(table, backend)
        ours(np.zeros(RATE, "float32"))  # compiles what is compiled at the first call
        for sound, samples in sounds().items():
            rows.append({"arrays_of": name, "sound": sound, **compared(ours, theirs[name], samples)})
            print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    result = {
        "backend": backend,
        "kernels": kernels_in_use(backend),
        "machine": "2 shared cores, Python 3.11, NumPy 2.4, onnxruntime 1.32, one thread each",
        "allowed": ALLOWED,
        "worst": max(max(row["probability_difference"], row["relative_state_difference"]) for row in rows),
        "probability_difference_of_the_two_trainings": {
            sound: difference(*(hear(samples)[0] for hear in theirs.values())) for sound, samples in sounds().items()
        },
        "comparisons": rows,
    }
    if results is not None:
        results.mkdir(parents=True, exist_ok=True)
        (results / "comparison.json").write_text(json.dumps(result, indent=1) + "\n")
        sound, spoken = made_sound(0)
        draw(sound, portml_hearing(published["safetensors"], backend)(sound)[0], spoken, results / "speech.png")
    return result


def tables(folder: Path) -> dict[str, Table]:
    """The arrays of the safetensors file and of the ONNX file, by the names of the former."""
    import onnx

    graph = onnx.load(folder / "silero_vad_16k_op15.onnx").graph
    arrays = {ONNX_NAMES[part.name]: onnx.numpy_helper.to_array(part) for part in graph.initializer}
    return {"safetensors": data.load_weights(folder / "silero_vad_16k.safetensors"), "onnx": arrays}


def sounds(seed: int = 0) -> dict[str, Any]:
    """What is listened to, at 16 kHz."""
    rng = np.random.default_rng(seed)
    speech = np.concatenate([part for text in SENTENCES for part in (speak(text), np.zeros(RATE // 2, "float32"))])
    noise = rng.standard_normal(10 * RATE).astype("float32")
    return {
        "speech": speech,
        "quiet speech": 0.01 * speech,
        "speech over noise": speech + 0.05 * noise[: len(speech)],
        "noise": 0.1 * noise,
        "loud noise": noise,
        "silence": 0 * noise[:RATE],
    }


def portml_hearing(arrays: Table, backend: str) -> Hearing:
    """Sound to probabilities (n_pieces,) and states (n_pieces, 2, 128), by portml."""
    detector = SpeechDetector(backend=backend).eval()
    train.load_matching(detector, arrays, NAMES)
    place = get_backend(backend)

    def hear(sound: Any) -> tuple[Any, Any]:
        def steps() -> Iterator[tuple[Any, Any]]:
            states = None
            for piece in pieces(sound):
                probability, states = detector(place.asarray(piece), states)
                yield to_numpy(probability), np.concatenate([*map(to_numpy, states)])

        with no_grad():
            return _stacked(steps())

    return hear


def onnx_hearing(folder: Path, arrays: Table) -> Hearing:
    """The same by onnxruntime: the published graph with these arrays in the place of its own."""
    import onnx
    import onnxruntime

    model = onnx.load(folder / "silero_vad_16k_op15.onnx")
    for part in model.graph.initializer:
        part.CopyFrom(onnx.numpy_helper.from_array(np.array(arrays[ONNX_NAMES[part.name]]), part.name))
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rate = np.asarray(RATE, dtype="int64")

    def hear(sound: Any) -> tuple[Any, Any]:
        def steps() -> Iterator[tuple[Any, Any]]:
            states = np.zeros((2, 1, 128), "float32")
            for piece in pieces(sound):
                probability, states = session.run(None, {"input": piece, "state": states, "sr": rate})
                yield probability[:, 0], states[:, 0]

        return _stacked(steps())

    return hear


def _stacked(steps: Iterator[tuple[Any, Any]]) -> tuple[Any, Any]:
    probabilities, states = zip(*steps, strict=True)
    return np.concatenate(probabilities), np.stack(states)


def compared(ours: Hearing, theirs: Hearing, sound: Any) -> dict[str, Any]:
    """The largest differences, and the processor's milliseconds that each took for a piece of 32 ms."""
    (here, our_states), our_time = _timed(ours, sound)
    (there, their_states), their_time = _timed(theirs, sound)
    largest = max(1.0, float(np.abs(their_states).max()))
    return {
        "pieces": len(here),
        "heard_as_speech": round(float((there > 0.5).mean()), 4),
        "probability_difference": difference(here, there),
        "largest_state": round(largest, 2),
        "relative_state_difference": difference(our_states / largest, their_states / largest),
        "milliseconds": round(our_time / len(here) * 1e3, 3),
        "onnx_milliseconds": round(their_time / len(here) * 1e3, 3),
    }


def difference(one: Any, other: Any) -> float:
    """The largest absolute difference, to three digits."""
    return float(f"{np.abs(one - other).max():.3g}")


def _timed(hear: Hearing, sound: Any) -> tuple[Any, float]:
    began = time.process_time()
    return hear(sound), time.process_time() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare with onnxruntime.")
    parser.add_argument("--folder", type=Path, help="where the published files are; by default the installed package's")
    parser.add_argument("--backend", default="numpy")
    given = parser.parse_args()
    outcome = main(given.folder or weights_of_package().parent, given.backend)
    print(f"at most {outcome['worst']:.2g}, allowed {ALLOWED:g}")
    sys.exit(outcome["worst"] > ALLOWED)
