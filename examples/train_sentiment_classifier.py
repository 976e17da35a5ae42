"""Say whether a sentence about a film praises it, how sure that is, and what every layer attends to.

    python examples/train_sentiment_classifier.py --figures figures
    python examples/train_sentiment_classifier.py "a charming film" "silly and tedious"

A small transformer learns from the 200 sentences of reviews that the tests of gensim come with, half of them praise.
[Pang & Lee 2005]  That is far too few to learn from what praise is: sentences it was not trained on are judged about
as well as by chance, and it says so.  The four sentences it shows by itself are of the guide's kind: 16 words with the
padding, each padded to 16 places.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portml import backend_of, classical, get_backend, metrics, nn, no_grad, optim, plots, to_numpy, train
from portml.data.text import WordTokenizer, pad_sequences, split_words
from portml.data.text.vocabulary import PAD
from portml.errors import DataError
from portml.random import Generator

SENTENCES = (
    "this is a great movie",
    "the story is dull and stupid",
    "a good film with compelling actors",
    "this movie is dull and the actors stupid",
)
LABELS = ("negative", "positive")
PLACES, LONGEST, FOLDS = 16, 52, 5


def main(
    backend: str,
    seed: int,
    text: Path | None = None,
    sentences: Sequence[str] = SENTENCES,
    figures: Path | None = None,
    output: Path | None = None,
    epochs: int = 30,
) -> dict[str, Any]:
    """Train, judge the sentences, draw what is attended to; returns what was measured."""
    reviews, labels = read_polarity(text or text_of_gensim())
    right = right_of_unseen(reviews, labels, seed, backend, epochs)
    shares = {name: share_of(each) for name, each in right.items()}
    for name, (share, low, high) in shares.items():
        print(f"{name}: {share:.1%} of unseen sentences right, with 95 % confidence {low:.1%} to {high:.1%}")
    tokenizer, model = trained(reviews, labels, seed, backend, epochs)
    known = np.mean([judge(model, tokenizer, r)[0] == LABELS[y] for r, y in zip(reviews, labels, strict=True)])
    print(f"trained on all: {known:.1%} of them right")
    judged = [judge(model, tokenizer, sentence) for sentence in sentences]
    for number, (sentence, (label, confidence, weights, tokens)) in enumerate(zip(sentences, judged, strict=True)):
        print(f"{label:8} {confidence:4.0%}  {sentence}")
        if figures is not None:
            figures.mkdir(parents=True, exist_ok=True)
            display = plots.AttentionDisplay.from_weights(weights, tokens)
            display.figure.suptitle(f"“{sentence}”: {label}, {confidence:.0%}")
            display.save(figures / f"attention-{number + 1}.png")
    result = {
        "sentences": len(reviews),
        "parameters": sum(parameter.value.size for parameter in model.parameters()),
        "seed": seed,
        "epochs": epochs,
        "share of unseen sentences right, with its 95 % interval": shares,
        "share of sentences right that it was trained on": round(float(known), 4),
        "judged": [[sentence, each[0], round(each[1], 3)] for sentence, each in zip(sentences, judged, strict=True)],
    }
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return result


def text_of_gensim() -> Path:
    """Where the installed gensim has its sentences."""
    found = importlib.util.find_spec("gensim")
    if found is None or found.origin is None:
        raise DataError("text: gensim is not installed; pip install gensim, or give --text a file of its lines")
    return Path(found.origin).parent / "test" / "test_data" / "pang_lee_polarity.cor"


def read_polarity(path: Path) -> tuple[list[str], np.ndarray]:
    """Sentences, and 1 for those that praise, from lines such as ``__label__pos a warm film .``."""
    try:
        lines = path.read_text(encoding="latin-1").splitlines()
    except OSError as error:
        raise DataError(f"text: {str(path)!r} cannot be read ({error.strerror})") from error
    parted = [line.partition(" ") for line in lines if line.strip()]
    wrong = next((mark for mark, _, _ in parted if mark not in ("__label__neg", "__label__pos")), None)
    if wrong is not None or not parted:
        raise DataError(f"text: in {str(path)!r} expected lines that begin with __label__neg or __label__pos")
    return [sentence.strip() for _, _, sentence in parted], np.asarray([int(m == "__label__pos") for m, _, _ in parted])


def words_of(text: str) -> list[str]:
    """Words in small letters, without the punctuation."""
    return [word for word in split_words(text) if word[0].isalnum()]


def trained(
    reviews: Sequence[str], labels: np.ndarray, seed: int, backend: str, epochs: int
) -> tuple[WordTokenizer, nn.Module]:
    """A tokenizer and a transformer that learnt from these sentences alone."""
    tokenizer = WordTokenizer.from_texts(reviews, minimum_count=2, split=words_of)
    tokens, _ = pad_sequences([tokenizer.encode(review)[:LONGEST] for review in reviews])
    model = nn.models.TransformerClassifier(
        len(tokenizer), 2, dim=32, n_heads=4, n_layers=2, dim_feedforward=64, max_len=LONGEST, dropout=0.3,
        rng=seed, backend=backend,
    )  # fmt: skip
    adam = optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
    trainer = train.Trainer(model, adam, nn.CrossEntropyLoss(), metrics={"accuracy": metrics.accuracy})
    place = get_backend(backend)
    trainer.fit((place.asarray(tokens), place.asarray(labels)), epochs=epochs, batch_size=16, seed=seed)
    return tokenizer, model.eval()


def judge(model: Any, tokenizer: WordTokenizer, sentence: str) -> tuple[str, float, list[np.ndarray], list[str]]:
    """Label, confidence, each layer's weights (heads, places, places), and the tokens at the places."""
    ids = tokenizer.encode(sentence)[:LONGEST]
    padded, _ = pad_sequences([ids], length=max(PLACES, len(ids)))
    tokens = backend_of(model.classifier.weight).asarray(padded)
    with no_grad():
        _, weights = model(tokens, need_weights=True)
    probability = to_numpy(model.predict_proba(tokens))[0]
    label = int(probability.argmax())
    written = [*tokenizer.split(sentence)[:LONGEST], *[PAD] * (padded.shape[1] - len(ids))]
    return LABELS[label], float(probability[label]), [to_numpy(layer)[0] for layer in weights], written


def right_of_unseen(
    reviews: Sequence[str], labels: np.ndarray, seed: int, backend: str, epochs: int
) -> dict[str, np.ndarray]:
    """Which sentences models that never saw them judge rightly: a fifth is left out at a time, (n_reviews,) each.

    Beside the transformer stands naive Bayes, on the same words.
    """
    folds = folds_of(labels, seed)
    right = {name: np.zeros(len(reviews), bool) for name in ("transformer", "naive Bayes")}
    for fold in range(FOLDS):
        known, unseen = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        texts = [reviews[place] for place in known]
        tokenizer, model = trained(texts, labels[known], seed, backend, epochs)
        for place in unseen:
            right["transformer"][place] = judge(model, tokenizer, reviews[place])[0] == LABELS[labels[place]]
        bayes = classical.MultinomialNB().fit(bags(tokenizer, texts), labels[known])
        counted = bags(tokenizer, [reviews[place] for place in unseen])
        right["naive Bayes"][unseen] = bayes.predict(counted) == labels[unseen]
    return right


def folds_of(labels: np.ndarray, seed: int) -> np.ndarray:
    """The number of each review's fold, (n_reviews,); every fold has the same share of either label."""
    order = to_numpy(Generator(seed, "numpy").permutation(len(labels)))
    folds = np.empty(len(labels), int)
    for label in range(len(LABELS)):
        members = order[labels[order] == label]
        folds[members] = np.arange(len(members)) % FOLDS
    return folds


def bags(tokenizer: WordTokenizer, texts: Sequence[str]) -> np.ndarray:
    """How often each word is in each text, (n_texts, n_tokens)."""
    return np.stack([np.bincount(tokenizer.encode(text), minlength=len(tokenizer)) for text in texts]).astype("float32")


def share_of(right: np.ndarray) -> tuple[float, float, float]:
    """How many are right, and between which shares that lies with 95 % confidence.  [Wilson 1927]"""
    n, share, z = len(right), float(right.mean()), 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return round(share, 4), round(middle - reach, 4), round(middle + reach, 4)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a small sentiment classifier and show what it attends to.")
    parser.add_argument("sentences", nargs="*", default=SENTENCES, help="to judge, in quotes")
    parser.add_argument("--backend", default="numpy", help="numpy (default), cupy or auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--text", type=Path, help="gensim's pang_lee_polarity.cor; without, that of the installed one")
    parser.add_argument("--figures", type=Path, help="a folder for a picture of the attention of each sentence")
    parser.add_argument("--output", type=Path, help="a JSON file for what was measured")
    parser.add_argument("--epochs", type=int, default=30)
    given = parser.parse_args()
    main(given.backend, given.seed, given.text, given.sentences, given.figures, given.output, given.epochs)
