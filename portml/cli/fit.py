"""``portml fit``."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from typing import Any

from portml.cli.output import print_json
from portml.errors import ArgumentError
from portml.train.table_run import TableRun

__all__ = ["run"]

_WORDS = {"None": None, "True": True, "False": False}
_MOST_CLASSES = 40


def run(arguments: argparse.Namespace) -> int:
    """Fit a model to a table; say how good it is on rows it has not seen."""
    fitted = TableRun.fit(
        arguments.data,
        arguments.target,
        arguments.model,
        settings=dict(map(_setting, arguments.set)),
        task=arguments.task,
        folds=arguments.folds,
        seed=arguments.seed,
        backend=arguments.backend,
        folder=arguments.out,
    )
    for note in fitted.notes:
        print(f"note: {note}", file=sys.stderr)
    _draw(fitted)
    if arguments.json:
        print_json({"run": str(fitted.folder), **fitted.record})
        return 0
    record = fitted.record
    plain = "the most frequent class" if record["task"] == "classification" else "the mean"
    print(f"{record['model']['name']}, {record['data']['rows']} rows, {record['folds']} folds; baseline: {plain}")
    for name, score in record["score"].items():
        base = record["baseline"].get(name)
        beside = "" if base is None else f"   baseline {base['mean']:.4f}"
        print(f"  {name:9} {score['mean']:.4f} ± {score['std']:.4f}{beside}")
    print(f"everything is in {fitted.folder}")
    return 0


def _setting(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as JSON, as None, True or False, or else as text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ArgumentError(f"set: expected NAME=VALUE, got {text!r}")
    if value in _WORDS:
        return name, _WORDS[value]
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _draw(fitted: TableRun) -> None:
    """Predictions of rows that were held out, as a picture where matplotlib is installed."""
    if find_spec("matplotlib") is None or fitted.held_out is None:
        print("note: no figures are drawn, as matplotlib is not installed", file=sys.stderr)
        return
    true, predicted = fitted.held_out
    if fitted.record["task"] == "classification":
        if len(fitted.record["classes"]) <= _MOST_CLASSES:
            from portml.plots import ConfusionMatrixDisplay

            # Text is drawn as text; NumPy sorts objects of one kind only.
            shown = [each.astype(str) if each.dtype == object else each for each in (true, predicted)]
            ConfusionMatrixDisplay.from_predictions(*shown).save(fitted.folder / "confusion.png")
        return
    from portml.plots.figure import PALETTE, new_figure, plain_axes, save_figure

    figure = new_figure(4.6, 4.2)
    axes = figure.add_subplot(1, 1, 1)
    axes.scatter(true, predicted, s=14, color=PALETTE[0], alpha=0.6, linewidths=0)
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    axes.plot(ends, ends, color=PALETTE[1], linewidth=1.5)
    plain_axes(axes, f"Held-out rows, $R^2$ = {fitted.record['score']['R2']['mean']:.3f}", "true", "predicted")
    save_figure(figure, fitted.folder / "predictions.png")
