"""Learn to write like the King James Bible, one character after the other.

    python examples/train_character_language_model.py --model lstm --figure curve.png
    python examples/train_character_language_model.py --model gpt --backend cupy --seed 1

The text is that of Debian's package ``bible-kjv-text``; `--text` takes another file of verses.  Of every twenty
chapters one is set aside for validation and one for the test: neighbouring verses tell the same story, chapters less
so.  The measure is bits per character: how many yes-or-no questions the model still needs, on average, to know the next
character when it has read the ones before it in a window of 128.  Both models have about 0.4 million parameters.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from portml import nn, no_grad, optim, to_numpy
from portml.backends import backend_of, operations
from portml.data.text import CharacterTokenizer, TextWindows, read_king_james
from portml.optim import schedules
from portml.random import Generator


@dataclass(frozen=True)
class Settings:
    """Sizes and training of a model."""

    sizes: dict[str, Any]
    steps: int
    batch_size: int
    lr: float
    context: int = 128
    warmup: int = 100
    weight_decay: float = 0.01
    largest_gradient: float = 1.0


# Chosen by short runs, by the bits on the validation chapters; the LSTM sees 1.8, GPT 3.7 million characters.  GPT
# needs many steps before its attention finds anything, so its batches are small.
SETTINGS = {
    "lstm": Settings({"embedding_dim": 64, "hidden_size": 288}, steps=1800, batch_size=8, lr=3e-3),
    "gpt": Settings({"dim": 128, "n_heads": 4, "n_layers": 2}, steps=3600, batch_size=8, lr=4e-3),
}
SMALL: dict[str, Any] = {"steps": 40, "batch_size": 16, "context": 32, "warmup": 5}
QUICK = {
    "lstm": Settings({"embedding_dim": 16, "hidden_size": 48}, lr=1e-2, **SMALL),
    "gpt": Settings({"dim": 32, "n_heads": 2, "n_layers": 1}, lr=5e-3, **SMALL),
}


class Corpus(NamedTuple):
    """The text in numbers, in three parts that share no chapter."""

    tokenizer: CharacterTokenizer
    train: Any
    validation: Any
    test: Any


def main(
    model_name: str,
    backend: str,
    seed: int,
    steps: int | None = None,
    *,
    quick: bool = False,
    text: str | None = None,
    prompt: str = "And the LORD said",
    temperature: float = 0.8,
    top_p: float | None = 0.95,
    figure: Path | None = None,
) -> float:
    """Train, write, and return the bits per character of the test chapters."""
    settings = (QUICK if quick else SETTINGS)[model_name]
    steps = settings.steps if steps is None else steps
    corpus = read_corpus(text)
    validation, test = (TextWindows(part, settings.context) for part in (corpus.validation, corpus.test))
    model = build(model_name, settings, len(corpus.tokenizer), seed, backend)
    start = corpus.tokenizer.encode(prompt)
    next(write(model, start, 1, temperature, top_p, seed))  # what cannot be written is refused before training
    n_parameters = sum(parameter.value.size for parameter in model.parameters())
    print(f"{model_name}: {n_parameters:,} parameters, {len(corpus.train):,} characters to learn from")

    curve, every = [], max(1, steps // (4 if quick else 20))
    for step in train(model, corpus.train, settings, steps, seed):
        if step % every == 0 or step == steps:
            curve.append((step, bits_per_character(model, validation)))
            print(f"step {step:5}  validation {curve[-1][1]:.3f} bits per character", flush=True)
    bits = bits_per_character(model, test)
    print(f"test {bits:.3f} bits per character\n")

    print(prompt, end="")
    for symbol in write(model, start, 40 if quick else 500, temperature, top_p, seed):
        print(corpus.tokenizer.decode([symbol]), end="", flush=True)
    print()
    if figure is not None:
        draw(curve, model_name, figure)
    return bits


def read_corpus(path: str | None = None) -> Corpus:
    """Chapters, each a text of verses one to a line; of every twenty the tenth validates and the last tests."""
    chapters: dict[tuple[str, int], list[str]] = {}
    for verse in read_king_james() if path is None else read_king_james(path):
        chapters.setdefault((verse.book, verse.chapter), []).append(verse.text + "\n")
    parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for number, verses in enumerate(chapters.values()):
        parts[{9: "validation", 19: "test"}.get(number % 20, "train")] += [*verses, "\n"]
    texts = {name: "".join(lines) for name, lines in parts.items()}
    tokenizer = CharacterTokenizer.from_text(texts["train"], special=())
    return Corpus(tokenizer, **{name: tokenizer.encode(text) for name, text in texts.items()})


def build(model_name: str, settings: Settings, vocabulary: int, seed: int, backend: str) -> nn.Module:
    """A model with weights drawn from the seed."""
    if model_name == "lstm":
        return nn.models.RecurrentLanguageModel(vocabulary, **settings.sizes, rng=seed, backend=backend)
    return nn.models.GPT(vocabulary, settings.context, **settings.sizes, rng=seed, backend=backend)


def train(model: Any, ids: Any, settings: Settings, steps: int, seed: int) -> Iterator[int]:
    """Take the steps, one at a time: each yields its number when it is done."""
    adam = optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = optim.Schedule(adam, learning_rate(settings, steps))
    loss = nn.CrossEntropyLoss()
    for step, (inputs, targets) in enumerate(batches(ids, settings, steps, seed), start=1):
        model.train()
        adam.zero_grad()
        cross_entropy(model, loss, inputs, targets).backward()
        optim.clip_grad_norm_(model.parameters(), settings.largest_gradient)
        adam.step()
        schedule.step()
        yield step


def learning_rate(settings: Settings, steps: int) -> Callable[[float, int], float]:
    """A rate that rises for some steps and falls as a cosine afterwards."""
    return schedules.warmup_cosine(steps, warmup=min(settings.warmup, max(1, steps // 4)), final=0.05)


def batches(ids: Any, settings: Settings, steps: int, seed: int) -> Iterator[tuple[Any, Any]]:
    """Windows that begin anywhere in the text, and the same one character later; (batch_size, context) each."""
    windows = TextWindows(ids, settings.context, stride=1)
    rng = Generator(seed + 1, "numpy")
    for _ in range(steps):
        yield windows[rng.integers(0, len(windows), (settings.batch_size,))]


def cross_entropy(model: Any, loss: nn.CrossEntropyLoss, inputs: Any, targets: Any) -> Any:
    """The mean of -log p(next character) over all places of all windows."""
    place = backend_of(next(model.parameters()).value)
    logits = model(place.asarray(inputs))
    return loss(operations.reshape(logits, (-1, logits.shape[-1])), place.asarray(targets.reshape(-1)))


def bits_per_character(model: Any, windows: TextWindows, batch_size: int = 64) -> float:
    """The mean of -log₂ p(next character) over windows that lie side by side, each read from its beginning."""
    loss, total = nn.CrossEntropyLoss(reduction="sum"), 0.0
    model.eval()
    with no_grad():
        for first in range(0, len(windows), batch_size):
            inputs, targets = windows[first : min(first + batch_size, len(windows))]
            total += float(to_numpy(cross_entropy(model, loss, inputs, targets)))
    return total / (len(windows) * windows.length) / math.log(2)


def write(
    model: Any, start: Any, n_characters: int, temperature: float, top_p: float | None, seed: int
) -> Iterator[int]:
    """Characters that follow `start`, each as soon as it is drawn.

    A recurrent model's state goes on for ever.  GPT sees no further than its context: when that is full, it reads the
    last half of it again from the beginning.
    """
    rng, read = Generator(seed + 2, "numpy"), [int(symbol) for symbol in start]
    left = n_characters
    while left > 0:
        prompt = read[-min(len(read), model.context // 2) :] if read else read
        n = min(left, model.context - len(prompt) + 1)
        for symbol in model.stream(prompt, n, temperature=temperature, top_p=top_p, rng=rng):
            read.append(int(to_numpy(symbol)[0]))
            yield read[-1]
        left -= n


def draw(curve: list[tuple[int, float]], model_name: str, path: Path) -> None:
    """Bits per character on the validation chapters by step."""
    from portml.plots.figure import COLOURS, new_figure, plain_axes, save_figure

    figure = new_figure(5.2, 3.6)
    axes = figure.add_subplot()
    axes.plot(*zip(*curve, strict=True), "o-", color=COLOURS["validation"], markersize=4)
    plain_axes(axes, f"Characters of the King James Bible, {model_name}", "step", "validation bits per character")
    save_figure(figure, path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a character language model on the King James Bible.")
    parser.add_argument("--model", choices=SETTINGS, default="lstm")
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy or auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=None, help="instead of the settings' own")
    parser.add_argument("--quick", action="store_true", help="a small model and short windows, to see that it runs")
    parser.add_argument("--text", default=None, help="a file of verses such as 'Ge1:1 In the beginning'")
    parser.add_argument("--prompt", default="And the LORD said")
    parser.add_argument("--temperature", type=float, default=0.8, help="0 always takes the most probable character")
    parser.add_argument("--top-p", type=float, default=0.95, help="draw from the characters that have this share")
    parser.add_argument("--figure", type=Path, default=None)
    given = parser.parse_args()
    main(
        given.model,
        given.backend,
        given.seed,
        given.steps,
        quick=given.quick,
        text=given.text,
        prompt=given.prompt,
        temperature=given.temperature,
        top_p=given.top_p if given.temperature else None,
        figure=given.figure,
    )
