"""Tell verses of the Old Testament from verses of the New, by their words: an LSTM, a transformer, or naive Bayes.

    python examples/train_verse_classifier.py lstm --seed 0
    python examples/train_verse_classifier.py encoder --seed 0 --backend cupy
    python examples/train_verse_classifier.py naive-bayes

The text is that of Debian's package ``bible-kjv-text``.  It is split by chapter, as neighbouring verses tell the same
story: no chapter is in two parts, and each testament gives every part the same share of its chapters.  Every setting
was chosen by the validation chapters, and so is the epoch whose weights are kept; the test chapters are read once.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from portml import classical, get_backend, nn, no_grad, optim, plots, to_numpy, train
from portml.data.text import BucketLoader, SequenceDataset, Verse, WordTokenizer, read_king_james, split_words
from portml.random import Generator

KING_JAMES = "/usr/lib/bible.data"
SHARES = {"training": 0.7, "validation": 0.1, "test": 0.2}
TESTAMENTS = ("old", "new")
LONGEST = 128
Parts = dict[str, list[Verse]]


@dataclass(frozen=True)
class NetworkSettings:
    """What a network is built and trained with."""

    dim: int
    hidden_size: int
    n_layers: int
    dropout: float
    lr: float
    epochs: int
    batch_size: int = 64
    minimum_count: int = 2
    pooling: str = "mean"


@dataclass(frozen=True)
class NaiveBayesSettings:
    """How words are counted, and how counts are smoothed."""

    alpha: float
    minimum_count: int
    presence: bool


Settings = NetworkSettings | NaiveBayesSettings
SETTINGS: dict[str, Settings] = {
    "lstm": NetworkSettings(dim=64, hidden_size=64, n_layers=1, dropout=0.3, lr=3e-3, epochs=4),
    "encoder": NetworkSettings(dim=64, hidden_size=128, n_layers=1, dropout=0.4, lr=2e-3, epochs=10),
    "naive-bayes": NaiveBayesSettings(alpha=0.2, minimum_count=1, presence=True),
}


def main(
    model_name: str,
    seed: int,
    backend: str,
    text: str = KING_JAMES,
    output: Path | None = None,
    test: bool = True,
    quick: bool = False,
    settings: Any = None,
    figure: Path | None = None,
) -> dict[str, Any]:
    """Train, and return what was measured; without `test` the test chapters are not read, with `quick` a tenth is.

    The figure counts the verses of the last part that was judged, by testament and by what was said.
    """
    settings = settings or SETTINGS[model_name]
    verses = read_king_james(text)
    if quick:
        verses, settings = tenth_of_chapters(verses), quick_form(settings)
    parts = split_by_chapter(verses)
    began, worked = time.perf_counter(), time.process_time()
    classifier: Any = NaiveBayes if model_name == "naive-bayes" else Network
    classifier = classifier(settings, parts, model_name, seed, backend)
    seconds, processor_seconds = time.perf_counter() - began, time.process_time() - worked
    right = {part: right_of(classifier, parts[part]) for part in ("validation", *(["test"] if test else []))}
    result = {
        "model": model_name,
        "settings": asdict(settings),
        "parameters": classifier.n_parameters,
        "seed": seed,
        "backend": str(get_backend(backend)),
        "seconds": round(seconds, 1),
        "processor_seconds": round(processor_seconds, 1),
        "validation_accuracy": round(float(right["validation"].mean()), 5),
        "test_accuracy": round(float(right["test"].mean()), 5) if test else None,
        "always_old": round(float(np.mean([verse.testament == "old" for verse in parts["test"]])), 5),
        "history": classifier.history,
        "right_by_chapter": by_chapter(parts["test"], right["test"]) if test else None,
    }
    print(f"{model_name}, seed {seed}: {result['parameters']} parameters, {seconds:.0f} s on {result['backend']}")
    print(f"validation accuracy {result['validation_accuracy']:.2%}")
    if test:
        print(f"test accuracy {result['test_accuracy']:.2%}, always saying old {result['always_old']:.2%}")
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=1) + "\n")
    if figure is not None:
        part, hit = [*right.items()][-1]
        labels = labels_of(parts[part])
        said = np.where(hit, labels, 1 - labels)
        display = plots.ConfusionMatrixDisplay.from_predictions(labels, said, display_labels=TESTAMENTS)
        display.figure.suptitle(f"{model_name}, {part} chapters", fontsize="medium")
        print(display.save(figure))
    return result


def split_by_chapter(verses: Sequence[Verse], seed: int = 0) -> Parts:
    """Verses in three parts; chapters of each testament are drawn at random, always the same ones."""
    rng = Generator(seed, "numpy")
    part_of = {}
    for testament in TESTAMENTS:
        chapters = [*dict.fromkeys((v.book, v.chapter) for v in verses if v.testament == testament)]
        order = to_numpy(rng.permutation(len(chapters)))
        bounds = np.rint(np.cumsum([0, *SHARES.values()]) * len(chapters)).astype(int)
        for part, (start, stop) in zip(SHARES, pairwise(bounds), strict=True):
            part_of.update({chapters[place]: part for place in order[start:stop]})
    return {part: [v for v in verses if part_of[v.book, v.chapter] == part] for part in SHARES}


def tenth_of_chapters(verses: Sequence[Verse]) -> list[Verse]:
    """Every tenth chapter of the text."""
    chapters = {*[*dict.fromkeys((v.book, v.chapter) for v in verses)][::10]}
    return [v for v in verses if (v.book, v.chapter) in chapters]


def quick_form(settings: Settings) -> Settings:
    """Of a network, small and for two epochs."""
    if isinstance(settings, NaiveBayesSettings):
        return settings
    return replace(settings, dim=16, hidden_size=16, epochs=2, batch_size=16)


def labels_of(verses: Sequence[Verse]) -> np.ndarray:
    """0 for the Old Testament, 1 for the New, (n_verses,)."""
    return np.asarray([TESTAMENTS.index(verse.testament) for verse in verses])


def right_of(classifier: Any, verses: Sequence[Verse]) -> np.ndarray:
    """Which verses a classifier puts into their testament, (n_verses,)."""
    return classifier.predict(verses) == labels_of(verses)


def by_chapter(verses: Sequence[Verse], right: np.ndarray) -> dict[str, str]:
    """A 1 for each verse that is right and a 0 for each other, by chapter."""
    chapters: dict[str, str] = {}
    for verse, is_right in zip(verses, right, strict=True):
        name = f"{verse.book} {verse.chapter}"
        chapters[name] = chapters.get(name, "") + str(int(is_right))
    return chapters


class Network:
    """A network over the words of a verse, in batches of similar length."""

    def __init__(self, settings: NetworkSettings, parts: Parts, model_name: str, seed: int, backend: str) -> None:
        texts = [verse.text for verse in parts["training"]]
        self.tokenizer = WordTokenizer.from_texts(texts, minimum_count=settings.minimum_count)
        self.model = network_of(model_name, len(self.tokenizer), settings, seed, backend)
        self.n_parameters = sum(parameter.value.size for parameter in self.model.parameters())
        self.backend = get_backend(backend)
        self.history: list[dict[str, float]] = []
        self._train(settings, parts, seed)

    def predict(self, verses: Sequence[Verse]) -> np.ndarray:
        """0 or 1 for each verse."""
        logits = self._logits(self._dataset(verses))
        return logits.argmax(axis=1)

    def _train(self, settings: NetworkSettings, parts: Parts, seed: int) -> None:
        """Steps of Adam, its rate falling as a cosine; the weights of the best epoch are kept."""
        rng = Generator(seed, "numpy").split(1)[0]
        data, validation = self._dataset(parts["training"]), self._dataset(parts["validation"])
        loader = BucketLoader(data, settings.batch_size, shuffle=True, rng=rng, backend=self.backend)
        adam = optim.Adam(self.model.parameters(), lr=settings.lr)
        schedule = optim.Schedule(adam, optim.schedules.cosine_annealing(settings.epochs))
        trainer = train.Trainer(self.model, adam, nn.CrossEntropyLoss(), clip_norm=1.0)
        best, kept = 0.0, self.model.state_dict()
        for epoch in range(1, settings.epochs + 1):
            self.model.train()
            losses = [trainer.step(tokens, labels)[0] for tokens, _, labels in loader]
            schedule.step()
            loss = float(np.mean([float(to_numpy(loss)) for loss in losses]))
            accuracy = float((self._logits(validation).argmax(axis=1) == validation.targets).mean())
            print(f"epoch {epoch:2}  loss {loss:.4f}  validation accuracy {accuracy:.2%}", flush=True)
            self.history.append({"epoch": epoch, "loss": round(loss, 5), "validation_accuracy": round(accuracy, 5)})
            if accuracy > best:
                best, kept = accuracy, {name: to_numpy(value).copy() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(kept)

    def _dataset(self, verses: Sequence[Verse]) -> SequenceDataset:
        return SequenceDataset([self.tokenizer.encode(verse.text)[:LONGEST] for verse in verses], labels_of(verses))

    def _logits(self, data: SequenceDataset, batch_size: int = 256) -> np.ndarray:
        """(n_verses, 2), worked out in the order of length and handed over in the order of the text."""
        logits = np.empty((len(data), 2))
        order = np.argsort(data.lengths, kind="stable")
        self.model.eval()
        with no_grad():
            for start in range(0, len(data), batch_size):
                places = order[start : start + batch_size]
                logits[places] = to_numpy(self.model(self.backend.asarray(data[places][0])))
        return logits


def network_of(model_name: str, vocabulary: int, settings: NetworkSettings, seed: int, backend: str) -> nn.Module:
    """An LSTM that reads both ways, or a transformer, which takes the mean over the words whatever `pooling` says."""
    options: dict[str, Any] = {"dropout": settings.dropout, "rng": seed, "backend": backend}
    if model_name == "lstm":
        options |= {"bidirectional": True, "pooling": settings.pooling}
        return nn.models.RecurrentClassifier(
            vocabulary, 2, settings.dim, settings.hidden_size, settings.n_layers, **options
        )
    return nn.models.TransformerClassifier(
        vocabulary, 2, settings.dim, 4, settings.n_layers, settings.hidden_size, LONGEST, **options
    )


class NaiveBayes:
    """How often words and pairs of neighbouring words occur, and Bayes' rule."""

    def __init__(self, settings: NaiveBayesSettings, parts: Parts, model_name: str, seed: int, backend: str) -> None:
        words = Counter(term for verse in parts["training"] for term in terms(verse))
        kept = sorted(term for term, count in words.items() if count >= settings.minimum_count)
        self.column = {term: number for number, term in enumerate(kept)}
        self.presence = settings.presence
        self.model = classical.MultinomialNB(alpha=settings.alpha, backend=backend)
        self.n_parameters = 2 * len(kept)
        self.history: list[dict[str, float]] = []
        for verses in self.chunks(parts["training"]):
            first = None if hasattr(self.model, "classes_") else [0, 1]
            self.model.partial_fit(self.counts(verses), labels_of(verses), classes=first)

    def predict(self, verses: Sequence[Verse]) -> np.ndarray:
        """0 or 1 for each verse."""
        return np.concatenate([to_numpy(self.model.predict(self.counts(chunk))) for chunk in self.chunks(verses)])

    def counts(self, verses: Sequence[Verse]) -> np.ndarray:
        """How often each term is in each verse, or with `presence` whether it is, (n_verses, n_terms)."""
        table = np.zeros((len(verses), len(self.column)), "float32")
        for row, verse in zip(table, verses, strict=True):
            for term, count in Counter(terms(verse)).items():
                if term in self.column:
                    row[self.column[term]] = 1 if self.presence else count
        return table

    def chunks(self, verses: Sequence[Verse]) -> Iterator[Sequence[Verse]]:
        """So many verses at a time that their counts take about 100 MB: the table of all would not fit."""
        size = max(1, 25_000_000 // max(1, len(self.column)))
        return (verses[start : start + size] for start in range(0, len(verses), size))


def terms(verse: Verse) -> list[str]:
    """Words, and pairs of neighbouring words."""
    words = split_words(verse.text)
    return words + [f"{one} {other}" for one, other in pairwise(words)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Tell verses of the two testaments apart.")
    parser.add_argument("model", choices=SETTINGS)
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches; the split is always the same")
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy or auto")
    parser.add_argument("--text", default=KING_JAMES, help="the file bible.data, or verses in plain lines")
    parser.add_argument("--output", type=Path, help="a JSON file for what was measured")
    parser.add_argument("--skip-test", action="store_true", help="to choose settings by the validation chapters alone")
    parser.add_argument("--quick", action="store_true", help="a tenth of the chapters and small networks")
    parser.add_argument("--figure", type=Path, help="a picture of how many verses were taken for which testament")
    given = parser.parse_args()
    main(
        given.model,
        given.seed,
        given.backend,
        given.text,
        given.output,
        not given.skip_test,
        given.quick,
        figure=given.figure,
    )
