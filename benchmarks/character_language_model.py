"""Character language models beside PyTorch's, from the same weights and over the same batches, and beside counting.

    python -m benchmarks.character_language_model lstm gpt counts  # about 30 minutes on one core
    python -m benchmarks.character_language_model                  # the table and the picture of what was recorded

Both sides take turns, a step each; their learning rates, decay, clipping and batches are those of
`examples/train_character_language_model.py`.  Without dropout nothing else is drawn, so that only rounding differs, and
what training makes of it.  Exit status 1 if a model ends more than 1 % away from PyTorch's on the validation chapters,
or needs more bits there than counts of three characters of context.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks import torch_language_models
from examples import train_character_language_model as example
from portml import nn, no_grad, to_numpy
from portml.data.text import ContextCounts, TextWindows
from portml.plots.figure import GREY, PALETTE, new_figure, plain_axes, save_figure

FOLDER = Path(__file__).parent / "results" / "character_language_model"
MODELS = ("lstm", "gpt")
N_POINTS, SEED = 18, 0
ORDERS, STRENGTHS = (1, 2, 3, 4, 5, 6), (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
ALLOWED = 0.01
PROMPT, N_WRITTEN = "And the LORD said", 400


def main() -> int:
    """Train what the command line names, then show everything that is recorded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*MODELS, "counts", []], metavar="NAME", help="lstm, gpt, counts")
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with threadpool_limits(1):
        torch.set_num_threads(1)
        for name in given.names:
            count() if name == "counts" else compare(name)
    runs = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json")) if path.stem in MODELS}
    runs = {name: runs[name] for name in MODELS if "written" in runs.get(name, ())}  # those that came to their end
    counts = json.loads((FOLDER / "counts.json").read_text())
    text = table(runs, counts)
    print(text)
    (FOLDER / "README.md").write_text(text)
    draw(runs, counts)
    order_3 = next(row for row in counts if row["order"] == 3)["validation"]
    ends = [run["validation"] for run in runs.values()]
    kept = all(abs(end["ours"] / end["torch"] - 1) <= ALLOWED and end["ours"] < order_3 for end in ends)
    return 0 if kept and len(runs) == len(MODELS) else 1


def compare(name: str) -> None:
    """Train one model on both sides, and record the bits per character as they fall."""
    settings, corpus = example.SETTINGS[name], example.read_corpus()
    steps = settings.steps
    ours = example.build(name, settings, len(corpus.tokenizer), SEED, "numpy")
    theirs = torch_twin(name, ours)
    validation, test = (TextWindows(part, settings.context) for part in (corpus.validation, corpus.test))
    watched = TextWindows(corpus.validation, settings.context, stride=4 * settings.context)
    our_steps = example.train(ours, corpus.train, settings, steps, SEED)
    their_steps = torch_training(theirs, corpus.train, settings, steps)
    result: dict[str, Any] = {
        "model": name,
        "parameters": sum(parameter.value.size for parameter in ours.parameters()),
        "settings": vars(settings),
        "seed": SEED,
        "machine": f"one of 2 shared cores, NumPy {np.__version__}, torch {torch.__version__.partition('+')[0]}",
        "curve": [{"step": 0, **bits(ours, theirs, watched)}],
    }
    times: dict[str, list[float]] = {"ours": [], "torch": []}
    for step in range(1, steps + 1):
        times["ours"].append(_seconds(lambda: next(our_steps)))
        times["torch"].append(_seconds(lambda: next(their_steps)))
        if step % (steps // N_POINTS) == 0:
            result["curve"].append({"step": step, **bits(ours, theirs, watched)})
            result["seconds_per_step"] = {side: round(float(np.median(each)), 4) for side, each in times.items()}
            print(name, result["curve"][-1], result["seconds_per_step"], flush=True)
            _record(name, result)
    result["validation"], result["test"] = bits(ours, theirs, validation), bits(ours, theirs, test)
    result["written"] = {"ours": written(ours, corpus.tokenizer)}
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    result["written"]["torch"] = written(ours, corpus.tokenizer)
    if name == "lstm":  # whose weights are PyTorch's by now, as the texts were to be drawn alike
        result["test_with_state_carried_on"] = round(bits_with_state(ours, corpus.test), 5)
    _record(name, result)


def count() -> None:
    """Bits per character of counts of every order, each with the strength that is best on the validation chapters."""
    corpus = example.read_corpus()
    rows = []
    for order in ORDERS:
        counts = ContextCounts(corpus.train, len(corpus.tokenizer), order)
        found = []
        for strength in STRENGTHS:
            counts.strength = strength
            found.append((_bits_of_counts(counts, corpus.validation), strength))
        best, counts.strength = min(found)
        test = _bits_of_counts(counts, corpus.test)
        rows.append({"order": order, "strength": counts.strength, "validation": round(best, 5), "test": round(test, 5)})
    _record("counts", rows)


def torch_twin(name: str, ours: nn.Module) -> torch.nn.Module:
    """PyTorch's model with the weights of ours."""
    settings = example.SETTINGS[name]
    state = {key: torch.from_numpy(np.array(value)) for key, value in ours.state_dict().items()}
    vocabulary = state["embedding.weight"].shape[0]
    if name == "lstm":
        theirs: torch.nn.Module = torch_language_models.RecurrentLanguageModel(vocabulary, **settings.sizes)
    else:
        theirs = torch_language_models.GPT(vocabulary, settings.context, **settings.sizes)
    theirs.load_state_dict(state)
    return theirs


def torch_training(model: torch.nn.Module, ids: Any, settings: example.Settings, steps: int) -> Any:
    """The steps of `train` in the example, by PyTorch."""
    adam = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    rate = example.learning_rate(settings, steps)
    for step, (inputs, targets) in enumerate(example.batches(ids, settings, steps, SEED)):
        for group in adam.param_groups:
            group["lr"] = rate(settings.lr, step)
        adam.zero_grad()
        _torch_loss(model, inputs, targets, "mean").backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.largest_gradient)
        adam.step()
        yield step + 1


def bits(ours: nn.Module, theirs: torch.nn.Module, windows: TextWindows) -> dict[str, float]:
    """Bits per character of both sides."""
    total = 0.0
    with torch.no_grad():
        for first in range(0, len(windows), 64):
            inputs, targets = windows[first : min(first + 64, len(windows))]
            total += _torch_loss(theirs, inputs, targets, "sum").item()
    there = total / (len(windows) * windows.length) / math.log(2)
    return {"ours": round(example.bits_per_character(ours, windows), 5), "torch": round(there, 5)}


def bits_with_state(model: Any, ids: Any) -> float:
    """Bits per character of a recurrent model that reads a text from end to end and forgets nothing at a window's."""
    windows, cache, total = TextWindows(ids, 1024), model.new_cache(1), 0.0
    loss = nn.CrossEntropyLoss(reduction="sum")
    with no_grad():
        for place in range(len(windows)):
            inputs, targets = windows[place : place + 1]
            total += float(to_numpy(loss(model(inputs, cache)[0, ...], targets[0])))
    return total / (len(windows) * windows.length) / math.log(2)


def written(model: nn.Module, tokenizer: Any) -> str:
    """What the model makes of the prompt."""
    symbols = [*example.write(model, tokenizer.encode(PROMPT), N_WRITTEN, 0.8, 0.95, SEED)]
    return PROMPT + str(tokenizer.decode(symbols))


def table(runs: dict[str, dict[str, Any]], counts: list[dict[str, Any]]) -> str:
    """What was measured, in Markdown."""
    lines = [
        "Written by `python -m benchmarks.character_language_model`; drawn in `curves.png`.  Bits per character of the",
        "King James text, chapters set aside; both sides from the same weights over the same batches.  The curves",
        "watch every fourth window of the validation chapters, the numbers below all of them.",
        "",
        "| model | parameters | steps | validation, ours | torch | difference | test, ours | torch | s/step | torch |",
        "| " + " | ".join(["---"] * 10) + " |",
    ]
    for name, run in runs.items():
        end, test, seconds = run["validation"], run["test"], run["seconds_per_step"]
        cells = [name, f"{run['parameters']:,}", run["settings"]["steps"], f"{end['ours']:.4f}", f"{end['torch']:.4f}"]
        cells += [f"{100 * (end['ours'] / end['torch'] - 1):+.2f} %", f"{test['ours']:.4f}", f"{test['torch']:.4f}"]
        cells += [f"{seconds['ours']:.3f}", f"{seconds['torch']:.3f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "Seconds are medians of one thread's CPU time, " + next(iter(runs.values()))["machine"] + "."]
    if "lstm" in runs:
        carried = runs["lstm"]["test_with_state_carried_on"]
        lines.append(f"The LSTM (torch's weights) that carries its state from window to window: test {carried:.4f}.")
    lines += ["", "| characters of context counted | strength | validation | test |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {row['order']} | {row['strength']:g} | {row['validation']:.4f} | {row['test']:.4f} |" for row in counts
    ]
    for name, run in runs.items():
        for side, text in run["written"].items():
            lines += ["", f"**{name}, {side}** (temperature 0.8, top-p 0.95)", "", "```text", text, "```"]
    return "\n".join(lines) + "\n"


def draw(runs: dict[str, dict[str, Any]], counts: list[dict[str, Any]]) -> None:
    """The curves laid over each other with what counting needs; below, how far they are apart."""
    figure = new_figure(9, 5.4)
    panels = figure.subplots(2, len(runs), sharex=True, squeeze=False, height_ratios=(3, 1))
    order_3 = next(row for row in counts if row["order"] == 3)["validation"]
    for column, (name, run) in enumerate(runs.items()):
        above, below = panels[0][column], panels[1][column]
        ends = run["validation"]
        steps, ours, theirs = (np.asarray([row[key] for row in run["curve"]]) for key in ("step", "ours", "torch"))
        above.plot(
            steps, theirs, color=PALETTE[4], linewidth=5, alpha=0.5, label=f"torch, {ends['torch']:.3f} at the end"
        )
        above.plot(steps, ours, color=PALETTE[0], linewidth=1.4, label=f"portml, {ends['ours']:.3f}")
        above.axhline(order_3, color=GREY, linestyle="--", linewidth=1, label=f"counts of order 3, {order_3:.3f}")
        plain_axes(above, f"{name}, {run['parameters']:,} parameters", "", "validation bits per character")
        above.set_ylim(1.2, 4.6)
        above.legend(frameon=False)
        below.axhspan(-100 * ALLOWED, 100 * ALLOWED, color=GREY, alpha=0.15, linewidth=0)
        below.plot(steps, 100 * (ours / theirs - 1), color=PALETTE[0], linewidth=1.4)
        plain_axes(below, "", "step", "difference, %")
        below.set_ylim(-150 * ALLOWED, 150 * ALLOWED)
    save_figure(figure, FOLDER / "curves.png")


def _torch_loss(model: torch.nn.Module, inputs: Any, targets: Any, reduction: str) -> torch.Tensor:
    logits = model(torch.from_numpy(inputs))
    labels = torch.from_numpy(targets).flatten()
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels, reduction=reduction)


def _bits_of_counts(counts: ContextCounts, ids: Any) -> float:
    """Over the very characters that the models are measured on; the first was read already."""
    length = example.SETTINGS["lstm"].context
    end = len(TextWindows(ids, length)) * length + 1
    return float(-np.log2(counts.probabilities(ids[:end])[1:]).mean())


def _seconds(call: Callable[[], Any]) -> float:
    began = time.thread_time()
    call()
    return time.thread_time() - began


def _record(name: str, content: Any) -> None:
    (FOLDER / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
