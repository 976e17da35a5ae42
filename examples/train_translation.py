"""Translate with an encoder and a decoder: what programs say into another language, or dates into ISO 8601.

    python examples/train_translation.py catalogues --language es --catalogues catalogues --figure attention.png
    python examples/train_translation.py dates --figure dates.png

The messages are those of gettext catalogues, which people translated: packages ship them.  By default they are looked
for among the installed Python packages and below ``/usr/share/locale``.  To have more of them, unpacked beside each
other and without what they depend on:

    pip install --no-deps --target catalogues/django django
    pip install --no-deps --target catalogues/wagtail wagtail

Of the messages one in twenty is set aside to choose settings by and one to test with, never two of the same words in
two parts.  Pieces of words (subwords, learnt from both languages together; the extra ``text``) are the symbols; with
`--quick`, characters.  Dates are made up: the same in less than half a minute.
"""

from __future__ import annotations

import argparse
import json
import sysconfig
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from portml import data, get_backend, metrics, nn, no_grad, optim, to_numpy
from portml.backends import operations
from portml.data import text
from portml.errors import DataError
from portml.optim import schedules
from portml.random import Generator

PAD, START, STOP = SPECIAL = ("<PAD>", "<START>", "<STOP>")


@dataclass(frozen=True)
class Settings:
    """Sizes and training; without a `vocabulary` of subwords the symbols are characters."""

    dim: int
    n_heads: int
    n_layers: int
    dim_feedforward: int
    dropout: float
    label_smoothing: float
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float = 0.01
    warmup: int = 100
    vocabulary: int = 0
    longest: int = 0


SETTINGS = {
    "catalogues": Settings(
        128, 4, 2, 512, 0.2, 0.1, epochs=9, batch_size=64, lr=2e-3, warmup=300, vocabulary=3000, longest=60
    ),
    "dates": Settings(64, 8, 1, 128, 0.0, 0.0, epochs=9, batch_size=32, lr=4e-3, warmup=50),
}
QUICK = {
    "catalogues": Settings(32, 2, 1, 64, 0.0, 0.0, epochs=1, batch_size=32, lr=3e-3, longest=30),
    "dates": SETTINGS["dates"],
}
FEWEST_MESSAGES = 1000

Pairs = list[tuple[str, str]]


class Corpus(NamedTuple):
    """Pairs in three parts, and what makes numbers of both sides."""

    train: Pairs
    validation: Pairs
    test: Pairs
    tokenizer: Any


def main(
    task: str,
    *,
    backend: str = "numpy",
    seed: int = 0,
    language: str = "es",
    catalogues: Sequence[str | Path] = (),
    settings: Settings | None = None,
    quick: bool = False,
    test: bool = True,
    output: Path | None = None,
    figure: Path | None = None,
) -> dict[str, Any]:
    """Train, and return what was measured; without `test` the test part is not looked at."""
    settings = settings or (QUICK if quick else SETTINGS)[task]
    corpus = dates(seed) if task == "dates" else messages(catalogues, language, settings)
    model = model_for(corpus, settings, seed, backend)
    began, worked = time.perf_counter(), time.process_time()
    history = train(model, corpus, settings, seed)
    seconds, processor_seconds = time.perf_counter() - began, time.process_time() - worked
    n_parameters = sum(parameter.value.size for parameter in model.parameters())
    result = {
        "task": task,
        "language": language if task == "catalogues" else None,
        "pairs": {name: len(getattr(corpus, name)) for name in ("train", "validation", "test")},
        "parameters": n_parameters,
        "settings": vars(settings),
        "seed": seed,
        "backend": str(get_backend(backend)),
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor_seconds, 1),
        "history": history,
    }
    translations: dict[str, list[list[str]]] = {}
    for part in ("validation", "test")[: 1 + test]:
        pairs = getattr(corpus, part)
        result[part], written = scores(model, corpus, pairs)
        print(f"{part}: " + ", ".join(f"{name} {value:.3f}" for name, value in result[part].items()))
        translations[part] = [[*pair, ours] for pair, ours in zip(pairs, written, strict=True)]
    result["translations"] = translations.get("test")
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if figure is not None:
        draw_attention(model, corpus, worth_drawing(translations["validation"]), figure)
    return result


def messages(folders: Sequence[str | Path], language: str, settings: Settings) -> Corpus:
    """The messages of every catalogue of a language below some folders, and the subwords of the part to learn from."""
    folders = folders or (sysconfig.get_path("purelib"), "/usr/share/locale")
    found: Pairs = []
    for folder in folders:
        try:
            found += text.read_catalogues(folder, language)
        except DataError as error:
            print(error)
    pairs = text.distinct_messages(found, longest=settings.longest)
    if len(pairs) < FEWEST_MESSAGES:
        raise DataError(
            f"catalogues: {len(pairs)} messages in {language!r} are too few to learn a language from, below "
            f"{', '.join(map(str, folders))}; install packages that are translated, such as "
            "pip install --no-deps --target catalogues/django django, and give --catalogues catalogues"
        )
    train, validation, test = text.split_by_message(pairs)
    sides = [side for pair in train for side in pair]
    if settings.vocabulary:
        tokenizer: Any = text.train_byte_level_bpe(sides, settings.vocabulary, special=SPECIAL)
    else:
        tokenizer = text.CharacterTokenizer.from_text("".join(sides), special=(*SPECIAL, "<UNK>"))
    return Corpus(train, validation, test, tokenizer)


def dates(seed: int, n_dates: int = 4000) -> Corpus:
    """Days, a quarter of them to choose by and to test with, and the characters of both sides."""
    pairs = [*zip(*data.make_dates(n_dates, random_state=seed), strict=True)]
    train, validation, test = (pairs[part] for part in (slice(1000, None), slice(500), slice(500, 1000)))
    tokenizer = text.CharacterTokenizer.from_text("".join(side for pair in pairs for side in pair), special=SPECIAL)
    return Corpus(train, validation, test, tokenizer)


def model_for(corpus: Corpus, settings: Settings, seed: int, backend: str) -> nn.models.EncoderDecoder:
    """An untrained model with room for the longest sequences of any part."""
    longest = max(
        max(len(corpus.tokenizer.encode(source)), len(corpus.tokenizer.encode(target)) + 1)
        for source, target in corpus.train + corpus.validation + corpus.test
    )
    return nn.models.EncoderDecoder(
        len(corpus.tokenizer),
        None,
        settings.dim,
        settings.n_heads,
        settings.n_layers,
        settings.dim_feedforward,
        max_len=longest,
        dropout=settings.dropout,
        rng=seed,
        backend=backend,
    )


def train(model: nn.models.EncoderDecoder, corpus: Corpus, settings: Settings, seed: int) -> list[dict[str, float]]:
    """Teacher forcing: at every place the true symbols before it are given.  Losses are of an epoch, by symbol."""
    place = model.source_embedding.weight.value
    rng = Generator(seed, "numpy").split(1)[0]
    loader = text.BucketLoader(
        numbered(corpus, corpus.train), settings.batch_size, True, rng, backend=backend_of_model(model)
    )
    smoothed, plain = (loss_of(smoothing) for smoothing in (settings.label_smoothing, 0.0))
    adam = optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = optim.Schedule(adam, schedules.warmup_cosine(settings.epochs * len(loader), settings.warmup))
    history = []
    for epoch in range(1, settings.epochs + 1):
        model.train()
        total = operations.zeros_like(place[0, 0])
        for source, read, expected in loader:
            adam.zero_grad()
            loss = smoothed(model(source, read), expected)
            loss.backward()
            optim.clip_grad_norm_([*model.parameters()], 1.0)
            adam.step()
            schedule.step()
            total = total + loss.value
        row = {"epoch": epoch, "loss": float(to_numpy(total)) / len(loader)}
        row["validation_loss"] = measured(model, corpus, corpus.validation, plain)
        print(f"epoch {epoch:3}  loss {row['loss']:.4f}  validation loss {row['validation_loss']:.4f}", flush=True)
        history.append(row)
    return history


def loss_of(smoothing: float) -> Callable[[Any, Any], Any]:
    """Cross-entropy by symbol, padding left out."""
    loss = nn.CrossEntropyLoss(ignore_index=0, label_smoothing=smoothing)

    def by_symbol(logits: Any, expected: Any) -> Any:
        return loss(operations.reshape(logits, (-1, logits.shape[-1])), operations.reshape(expected, (-1,)))

    return by_symbol


def measured(model: nn.models.EncoderDecoder, corpus: Corpus, pairs: Pairs, loss: Callable[[Any, Any], Any]) -> float:
    """The mean loss by symbol, the true symbols before it given."""
    model.eval()
    total = symbols = 0.0
    loader = text.BucketLoader(numbered(corpus, pairs), 128, backend=backend_of_model(model))
    with no_grad():
        for source, read, expected in loader:
            count = int((to_numpy(expected) != 0).sum())
            total += float(to_numpy(loss(model(source, read), expected))) * count
            symbols += count
    return total / symbols


def scores(model: nn.models.EncoderDecoder, corpus: Corpus, pairs: Pairs) -> tuple[dict[str, float], list[str]]:
    """Exact matches and chrF, of the most probable symbols and of a beam; and what the beam wrote."""
    sources, targets = ([pair[side] for pair in pairs] for side in (0, 1))
    found = {}
    for name, width in (("greedy", 1), ("beam", 4)):
        written = translate(model, corpus, sources, width)
        found[f"{name}_exact"] = round(sum(a == b for a, b in zip(written, targets, strict=True)) / len(pairs), 4)
        found[f"{name}_chrf"] = round(metrics.chrf_score(targets, written), 4)
    return found, written


def translate(
    model: nn.models.EncoderDecoder, corpus: Corpus, sources: Sequence[str], width: int = 4, batch_size: int = 64
) -> list[str]:
    """What the model writes, batches of similar length at a time, in the order that was asked."""
    numbers = [corpus.tokenizer.encode(source) for source in sources]
    order = sorted(range(len(sources)), key=lambda i: len(numbers[i]))
    symbols = {"start": corpus.tokenizer.id_of(START), "stop": corpus.tokenizer.id_of(STOP)}
    written = [""] * len(sources)
    for begin in range(0, len(order), batch_size):
        batch = order[begin : begin + batch_size]
        padded, _ = text.pad_sequences([numbers[i] for i in batch])
        tokens, _ = model.beam_search(padded, **symbols, width=width)
        for i, row in zip(batch, to_numpy(tokens), strict=True):
            written[i] = corpus.tokenizer.decode(row)
    return written


def worth_drawing(translations: Sequence[Sequence[str]]) -> str:
    """The first message that is translated as people did, of five words at least if there is one."""
    right = [source for source, target, ours in translations if ours == target]
    return next((source for source in right if len(source.split()) > 4), (right or [translations[0][0]])[0])


def draw_attention(model: nn.models.EncoderDecoder, corpus: Corpus, source: str, path: Path) -> str:
    """Where the decoder looks in a source while it writes, the mean of the heads of its last layer; what it writes."""
    from portml.plots import AttentionDisplay
    from portml.plots.figure import save_figure

    written = translate(model, corpus, [source], width=1)[0]
    read = [corpus.tokenizer.id_of(START), *corpus.tokenizer.encode(written).tolist()][: model.max_len]
    place = get_backend(backend_of_model(model))
    model.eval()
    with no_grad():
        tokens = (place.asarray([[*map(int, each)]]) for each in (corpus.tokenizer.encode(source), read))
        _, weights = model(*tokens, need_weights=True)
    mean = to_numpy(weights[-1])[0].mean(axis=0)
    said = [*pieces(corpus.tokenizer, written), STOP][: len(read)]
    display = AttentionDisplay.from_weights(mean, said, pieces(corpus.tokenizer, source))
    display.figure.axes[0].set(xlabel="read", ylabel="written")
    save_figure(display.figure, path)
    return written


def pieces(tokenizer: Any, sentence: str) -> list[str]:
    """The symbols of a text as they can be read: each piece decoded by itself."""
    return [tokenizer.decode([number]) for number in tokenizer.encode(sentence)]


def numbered(corpus: Corpus, pairs: Pairs) -> text.ParallelDataset:
    """Pairs as numbers of symbols."""
    return text.ParallelDataset(
        [corpus.tokenizer.encode(source) for source, _ in pairs],
        [corpus.tokenizer.encode(target) for _, target in pairs],
        start=corpus.tokenizer.id_of(START),
        stop=corpus.tokenizer.id_of(STOP),
    )


def backend_of_model(model: nn.Module) -> Any:
    """Where its parameters are."""
    from portml.backends import backend_of

    return backend_of(next(model.parameters()).value)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train an encoder and decoder to translate.")
    parser.add_argument("task", choices=SETTINGS)
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy or auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--language", default="es", help="such as es or pt_BR; sources are in English")
    parser.add_argument("--catalogues", nargs="*", default=[], help="folders in which packages with catalogues are")
    parser.add_argument("--quick", action="store_true", help="a tiny model of characters, one epoch")
    parser.add_argument("--skip-test", action="store_true", help="to choose settings by the validation part alone")
    parser.add_argument("--output", type=Path, help="a JSON file for what was measured")
    parser.add_argument("--figure", type=Path, help="a picture of the attention")
    given = vars(parser.parse_args())
    main(given.pop("task"), test=not given.pop("skip_test"), **given)
