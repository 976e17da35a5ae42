"""``portml predict`` of a run that was fitted to a table."""

from __future__ import annotations

import argparse
import csv
import sys

from portml.cli.output import print_json
from portml.errors import ArgumentError
from portml.train.table_run import TablePredictions, TableRun

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Print a prediction for each row as CSV, or as JSON."""
    opened = TableRun(arguments.run)
    if len(arguments.images) != 1:
        raise ArgumentError(f"data: expected one CSV file, got {len(arguments.images)} files")
    if arguments.invert:
        raise ArgumentError("invert: is for images; leave it out, as the run was fitted to a table")
    (path,) = arguments.images
    found = opened.predict(path, arguments.backend)
    for column, count in found.unseen.items():
        print(f"note: column {column!r} has {count} values that the model does not know", file=sys.stderr)
    if found.ignored:
        print(f"note: the model does not look at {', '.join(map(repr, found.ignored))}", file=sys.stderr)
    if arguments.json:
        print_json(_described(opened.target, found))
    else:
        _print_csv(opened.target, found)
    return 0


def _print_csv(target: str, found: TablePredictions) -> None:
    lines = csv.writer(sys.stdout, lineterminator="\n")
    if found.probabilities is None:
        lines.writerow([target])
        lines.writerows([value] for value in found.values)
        return
    lines.writerow([target, "probability"])
    lines.writerows([value, f"{share:.6f}"] for value, share in zip(found.values, found.probabilities, strict=True))


def _described(target: str, found: TablePredictions) -> dict[str, object]:
    return {
        "target": target,
        "predictions": found.values,
        "probabilities": found.probabilities,
        "unseen": found.unseen,
        "ignored": found.ignored,
    }
