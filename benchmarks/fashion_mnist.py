"""What `examples/train_fashion_mnist.py` reached: a table and a picture of the runs it recorded.

    for seed in 0 1 2; do for model in lenet5 resnet; do
      output=benchmarks/results/fashion_mnist/$model-seed$seed.json
      python examples/train_fashion_mnist.py $model --seed $seed --output $output
    done; done
    python -m benchmarks.fashion_mnist

Exit status 1 if the lowest test accuracy of a model, or the longest run, is worse than what is promised.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from portml.plots.figure import new_figure, plain_axes, save_figure

FOLDER = Path(__file__).parent / "results" / "fashion_mnist"
PROMISED_ACCURACY = {"lenet5": 0.89, "resnet": 0.92}
PROMISED_SECONDS = 20 * 60
COLOURS = {"lenet5": "#0072B2", "resnet": "#D55E00"}


def main() -> int:
    """Print the table, draw the picture, compare with what is promised."""
    runs = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    by_model: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        by_model[run["model"]].append(run)
    rows = [
        (run["model"], f"{run['parameters']:,}", run["seed"], f"{run['test_accuracy']:.4f}", f"{run['seconds']:.0f}")
        for run in runs
    ]
    head = [("model", "parameters", "seed", "test accuracy", "seconds"), ("---",) * 5]
    table = "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [*head, *rows])
    print(table)
    (FOLDER / "README.md").write_text(f"Runs of `examples/train_fashion_mnist.py`, drawn in `curves.png`.\n\n{table}\n")
    draw(by_model)
    kept = all(
        min(run["test_accuracy"] for run in runs) >= PROMISED_ACCURACY[model]
        and max(run["seconds"] for run in runs) <= PROMISED_SECONDS
        for model, runs in by_model.items()
    )
    return 0 if kept and set(by_model) == set(PROMISED_ACCURACY) else 1


def draw(by_model: dict[str, list[dict[str, Any]]]) -> None:
    """Loss and validation accuracy of every run by epoch; a cross is the test accuracy at the end."""
    figure = new_figure(9, 3.6)
    loss, accuracy = figure.subplots(1, 2)
    for model, runs in by_model.items():
        for i, run in enumerate(runs):
            epochs = [row["epoch"] for row in run["history"]]
            look = {"color": COLOURS[model], "label": model if i == 0 else None, "linewidth": 1.2}
            loss.plot(epochs, [row["loss"] for row in run["history"]], **look)
            accuracy.plot(epochs, [row["validation_accuracy"] for row in run["history"]], **look)
            accuracy.plot(epochs[-1] + 0.4, run["test_accuracy"], "x", color=COLOURS[model])
    plain_axes(loss, "Training loss", "epoch", "cross-entropy")
    plain_axes(accuracy, "Validation accuracy (× test)", "epoch", "accuracy")
    loss.legend(frameon=False)
    save_figure(figure, FOLDER / "curves.png")


if __name__ == "__main__":
    sys.exit(main())
