"""An LSTM and a transformer against naive Bayes on verses of the King James Bible: settings, accuracies, differences.

    python -m benchmarks.verse_classification choose
    for seed in 0 1 2; do for model in lstm encoder; do
      output=benchmarks/results/verse_classification/$model-seed$seed.json
      python examples/train_verse_classifier.py $model --seed $seed --output $output
    done; done
    python examples/train_verse_classifier.py naive-bayes --output \
        benchmarks/results/verse_classification/naive-bayes-seed0.json
    python -m benchmarks.verse_classification

`choose` tries settings on the validation chapters; the best ones are those in the example, but for the LSTM: six epochs
at a lower rate got two verses of 3,361 more and took half as long again.  Without `choose` the recorded runs are
compared on the test chapters.  The difference of two models is paired: both judge the same verses.  Its confidence
interval is that of a bootstrap over chapters, not over verses: chapters are what was drawn for the test, and the verses
of one tell one story, so that they go right or wrong together and say less than as many verses drawn one by one.
[Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapters 8 and 13; Field & Welsh 2007, "Bootstrapping
clustered data"]  McNemar's test, which takes verses as independent, stands beside it.
"""

from __future__ import annotations

import argparse
import json
import math
import runpy
import sys
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from portml import classical
from portml.plots.figure import BLACK, GREY, PALETTE, new_figure, plain_axes, save_figure

FOLDER = Path(__file__).parent / "results" / "verse_classification"
EXAMPLE = Path(__file__).parents[1] / "examples" / "train_verse_classifier.py"
NETWORKS = {"lstm": "LSTM", "encoder": "transformer encoder"}
COLOURS = {"lstm": PALETTE[0], "encoder": PALETTE[1], "naive-bayes": PALETTE[2]}
RESAMPLES = 10_000

Runs = dict[str, list[dict[str, Any]]]


def main() -> int:
    """Compare the recorded runs, print and keep the table, draw the picture."""
    runs = recorded()
    differences = {name: compare(runs[name], runs["naive-bayes"]) for name in NETWORKS if name in runs}
    table = tables(runs, differences)
    print(table)
    (FOLDER / "README.md").write_text(table)
    (FOLDER / "differences.json").write_text(json.dumps(differences, indent=1) + "\n")
    draw(runs, differences)
    return 0


def recorded() -> Runs:
    """The runs of each model, by seed."""
    runs: Runs = {}
    for path in sorted(FOLDER.glob("*-seed*.json")):
        run = json.loads(path.read_text())
        runs.setdefault(run["model"], []).append(run)
    return runs


def compare(runs: list[dict[str, Any]], reference: list[dict[str, Any]]) -> dict[str, Any]:
    """How much more often a model is right than the reference, with the 95 % interval over chapters.

    Both are taken as the mean over their seeds.  A chapter is drawn with all its verses; the accuracy of a draw is
    what is right in it over its verses, as that of the test is.
    """
    chapters = [*reference[0]["right_by_chapter"]]
    ours, theirs = (np.mean([counts(run, chapters) for run in each], axis=0) for each in (runs, reference))
    verses = np.asarray([len(reference[0]["right_by_chapter"][chapter]) for chapter in chapters])
    difference = float((ours - theirs).sum() / verses.sum())
    low, high = np.quantile(resampled(ours - theirs, verses), [0.025, 0.975])
    return {
        "difference": round(difference, 5),
        "interval": [round(float(low), 5), round(float(high), 5)],
        "chapters": len(chapters),
        "verses": int(verses.sum()),
        "seeds": [mcnemar(run, reference[0]) | {"seed": run["seed"]} for run in runs],
    }


def counts(run: dict[str, Any], chapters: list[str]) -> np.ndarray:
    """How many verses of each chapter are right, (n_chapters,)."""
    return np.asarray([run["right_by_chapter"][chapter].count("1") for chapter in chapters])


def resampled(gained: np.ndarray, verses: np.ndarray, seed: int = 0) -> np.ndarray:
    """The difference in `RESAMPLES` draws of as many chapters, with replacement, (n_resamples,)."""
    drawn = np.random.default_rng(seed).integers(0, len(verses), (RESAMPLES, len(verses)))
    return gained[drawn].sum(axis=1) / verses[drawn].sum(axis=1)


def mcnemar(run: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """Verses that only one of two is right about, and how probable so uneven a division is by chance.

    Exact and two-sided: the smaller number is binomial with p = ½ if both are equally good.  [McNemar 1947]
    """
    ours, theirs = ("".join(each["right_by_chapter"].values()) for each in (run, reference))
    gained = sum(one > other for one, other in zip(ours, theirs, strict=True))
    lost = sum(one < other for one, other in zip(ours, theirs, strict=True))
    n = gained + lost
    tail = sum(math.comb(n, k) for k in range(min(gained, lost) + 1))
    return {"only_network": gained, "only_naive_bayes": lost, "p": float(f"{min(1.0, 2 * tail / 2**n):.2g}")}


def tables(runs: Runs, differences: dict[str, dict[str, Any]]) -> str:
    """All numbers in Markdown."""
    first = runs["naive-bayes"][0]
    lines = [
        "Which testament a verse is from: runs of `examples/train_verse_classifier.py`, compared by "
        "`benchmarks/verse_classification.py`, drawn in `accuracy.png`; the settings tried are in `choice.json`.",
        "",
        "| model | parameters | seed | validation accuracy | test accuracy | processor seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for model, each in sorted(runs.items()):
        for run in each:
            cells = [model, f"{run['parameters']:,}", run["seed"], f"{run['validation_accuracy']:.4f}"]
            cells += [f"{run['test_accuracy']:.4f}", f"{run['processor_seconds']:.0f}"]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", f"Always saying old is right for {first['always_old']:.4f} of the test verses.", ""]
    lines += ["| against naive Bayes | mean test accuracy | difference | 95 % interval over chapters |"]
    lines += ["| --- | --- | --- | --- |"]
    for model, found in differences.items():
        mean = np.mean([run["test_accuracy"] for run in runs[model]])
        low, high = found["interval"]
        lines.append(f"| {model} | {mean:.4f} | {found['difference']:+.4f} | {low:+.4f} to {high:+.4f} |")
    found = next(iter(differences.values()))
    lines += [
        "",
        *(verdict(NETWORKS[model], *found["interval"]) for model, found in differences.items()),
        "",
        f"The test has {found['verses']:,} verses in {found['chapters']} chapters. Networks are taken as the mean over "
        "their seeds. The interval is that of a bootstrap over chapters, which the test was drawn by; the verses of a "
        "chapter go right and wrong together. McNemar's exact test takes verses as independent:",
        "",
        "| network | seed | only it is right | only naive Bayes is right | p |",
        "| --- | --- | --- | --- | --- |",
    ]
    for model, found in differences.items():
        for seed in found["seeds"]:
            lines.append(
                f"| {model} | {seed['seed']} | {seed['only_network']} | {seed['only_naive_bayes']} | {seed['p']} |"
            )
    lines += ["", how_chosen(runs)]
    return "\n".join(lines) + "\n"


def verdict(network: str, low: float, high: float) -> str:
    """Who is better, as far as the interval says."""
    if low > 0:
        return f"The {network} is better than naive Bayes."
    return f"Naive Bayes is better than the {network}." if high < 0 else f"The {network} may be as good as naive Bayes."


def how_chosen(runs: Runs) -> str:
    """How many settings were tried, and whether networks were still learning when they stopped."""
    tried = json.loads((FOLDER / "choice.json").read_text())
    said = ", ".join(f"{len(rows)} for {model}" for model, rows in sorted(tried.items()))
    histories = [[row["validation_accuracy"] for row in run["history"]] for name in NETWORKS for run in runs[name]]
    unfinished = sum(values[-1] == max(values) for values in histories)
    return (
        f"Settings tried on the validation chapters: {said}. {unfinished} of the {len(histories)} networks were best "
        "in their last epoch. Processor seconds are of one thread on 2 shared "
        "cores, Python 3.11, NumPy 2.4."
    )


def draw(runs: Runs, differences: dict[str, dict[str, Any]]) -> None:
    """Validation accuracy by epoch, test accuracy of every run, and the differences with their intervals."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(12, 3.6)
    curves, accuracy, gain = figure.subplots(1, 3, width_ratios=[1.2, 1, 1.1])
    for model, name in NETWORKS.items():
        for number, run in enumerate(runs.get(model, [])):
            epochs = [row["epoch"] for row in run["history"]]
            values = [row["validation_accuracy"] for row in run["history"]]
            curves.plot(epochs, values, color=COLOURS[model], linewidth=1.2, label=name if number == 0 else None)
    curves.axhline(
        runs["naive-bayes"][0]["validation_accuracy"], color=COLOURS["naive-bayes"], linestyle="--", label="naive Bayes"
    )
    curves.legend(frameon=False, loc="lower right")
    plain_axes(curves, "Validation chapters", "epoch", "accuracy")
    curves.xaxis.set_major_locator(MaxNLocator(integer=True))
    names = {**NETWORKS, "naive-bayes": "naive Bayes"}
    for place, model in enumerate(names):
        values = [run["test_accuracy"] for run in runs.get(model, [])]
        accuracy.plot([place] * len(values), values, "o", color=COLOURS[model], alpha=0.8)
    accuracy.set_xlim(-0.6, len(names) - 0.4)
    plain_axes(accuracy, "Test chapters, each seed", "", "accuracy")
    accuracy.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names.values()])
    for place, (model, found) in enumerate(differences.items()):
        low, high = (100 * bound for bound in found["interval"])
        gain.plot([low, high], [place, place], color=COLOURS[model], linewidth=2)
        gain.plot(100 * found["difference"], place, "o", color=COLOURS[model])
        text = f"{100 * found['difference']:+.2f} ({low:+.2f} to {high:+.2f})".replace("-", "−")
        look: dict[str, Any] = {"color": BLACK, "fontsize": 9, "bbox": {"facecolor": "white", "linewidth": 0, "pad": 1}}
        gain.text(100 * found["difference"], place - 0.12, text, ha="center", **look)
    gain.axvline(0, color=GREY, linewidth=1)
    gain.margins(x=0.25)
    plain_axes(gain, "Against naive Bayes, 95 %", "percentage points of accuracy", "")
    gain.set_yticks(range(len(differences)), [NETWORKS[model].replace(" ", "\n") for model in differences])
    gain.set_ylim(len(differences) - 0.5, -0.5)
    save_figure(figure, FOLDER / "accuracy.png")


def choose() -> int:
    """Try settings on the validation chapters, and keep what they reached, the best of each model first."""
    example = runpy.run_path(str(EXAMPLE))
    tried = json.loads((FOLDER / "choice.json").read_text()) if (FOLDER / "choice.json").exists() else {}
    FOLDER.mkdir(parents=True, exist_ok=True)
    if "naive-bayes" not in tried:
        tried["naive-bayes"] = ranked(choose_naive_bayes(example))
    for model in NETWORKS:
        before = tried.setdefault(model, [])
        for settings in candidates(example["SETTINGS"][model], model):
            known = json.loads(json.dumps(asdict(settings)))
            if any(row["settings"] == known for row in before):
                continue  # a search that was stopped goes on
            print(model, known, flush=True)
            result = example["main"](model, 0, "numpy", test=False, settings=settings)
            before.append({"settings": known, "validation_accuracy": result["validation_accuracy"]})
            tried[model] = before = ranked(before)
            (FOLDER / "choice.json").write_text(json.dumps(tried, indent=1) + "\n")
    return 0


def candidates(usual: Any, model: str) -> list[Any]:
    """The usual settings, and some around them."""
    changes: dict[str, list[dict[str, Any]]] = {
        "lstm": [{}, {"lr": 2e-3, "epochs": 6}, {"dropout": 0.5, "pooling": "max"}],
        "encoder": [{}, {"epochs": 4}, {"epochs": 4, "dropout": 0.2, "lr": 1e-3}],
    }
    return [replace(usual, **change) for change in changes[model]]


def choose_naive_bayes(example: dict[str, Any]) -> list[dict[str, Any]]:
    """The grid for naive Bayes; counts are the same for every smoothing, so that they are made once."""
    parts = example["split_by_chapter"](example["read_king_james"](example["KING_JAMES"]))
    rows = []
    for minimum_count, presence in product((1, 2, 3, 5, 10), (False, True)):
        settings = example["NaiveBayesSettings"](alpha=1.0, minimum_count=minimum_count, presence=presence)
        counted = example["NaiveBayes"](settings, parts, "naive-bayes", 0, "numpy")
        totals, prior = counted.model.feature_count_, counted.model.class_count_ / counted.model.class_count_.sum()
        for alpha in (0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0):
            # What naive Bayes learns from verses is what it learns from the sums of each testament.
            counted.model = classical.MultinomialNB(alpha=alpha, class_prior=prior).fit(totals, [0, 1])
            accuracy = float(example["right_of"](counted, parts["validation"]).mean())
            row = {"settings": asdict(replace(settings, alpha=alpha)), "validation_accuracy": round(accuracy, 5)}
            print(row, flush=True)
            rows.append(row)
    return rows


def ranked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best first."""
    return sorted(rows, key=lambda row: -row["validation_accuracy"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare what tells verses of the two testaments apart.")
    parser.add_argument("command", nargs="?", choices=["choose"])
    sys.exit(choose() if parser.parse_args().command else main())
