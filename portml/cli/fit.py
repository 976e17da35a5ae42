"""``portml fit``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from portml.cli.fit_figures import draw
from portml.cli.output import print_json
from portml.errors import ArgumentError
from portml.train.table_run import TableRun

__all__ = ["run"]

_WORDS = {"None": None, "True": True, "False": False}


def run(arguments: argparse.Namespace) -> int:
    """Fit a model to a table; say how good it is on rows it has not seen."""
    fitted = TableRun.fit(
        arguments.data,
        arguments.target,
        arguments.model,
        settings=dict(map(_setting, arguments.set)),
        task=arguments.task,
        text=arguments.text,
        without=arguments.without,
        folds=arguments.folds,
        seed=arguments.seed,
        backend=arguments.backend,
        folder=arguments.out,
    )
    for note in fitted.notes if arguments.no_figures else [*fitted.notes, *draw(fitted)]:
        print(f"note: {note}", file=sys.stderr)
    if arguments.json:
        print_json({"run": str(fitted.folder), **fitted.record})
        return 0
    _print_scores(fitted)
    print(f"everything is in {fitted.folder}")
    return 0


def _print_scores(fitted: TableRun) -> None:
    """A line for each measure: the mean over the folds, its deviation, and what one gets without looking."""
    record = fitted.record
    plain = "the most frequent class" if record["task"] == "classification" else "the mean"
    print(f"{record['model']['name']}, {record['data']['rows']} rows, {record['folds']} folds; baseline: {plain}")
    for name, score in record["score"].items():
        base = record["baseline"].get(name)
        beside = "" if base is None else f"   baseline {base['mean']:.4f}"
        print(f"  {name:9} {score['mean']:.4f} ± {score['std']:.4f}{beside}")


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
