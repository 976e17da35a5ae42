"""``portml evaluate``."""

from __future__ import annotations

import argparse

from portml.cli.output import print_json, scores
from portml.errors import ArgumentError
from portml.train import Run
from portml.train.table_run import TableRun, is_table_run

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Measure the model of a run on a part of its data, or of other data."""
    if is_table_run(arguments.run):
        return _evaluate_table(arguments)
    if arguments.table is not None:
        raise ArgumentError(f"data: {arguments.run} was not fitted to a table; expected --data DATA, as train takes it")
    opened = Run(arguments.run)
    model = opened.load_model(arguments.backend)
    data = opened.load_data(arguments.data, data_dir=arguments.data_dir)
    part = data.parts().get(arguments.part)
    if part is None:
        raise ArgumentError(f"part: {data.name} has no {arguments.part} set, only {', '.join(data.parts())}")
    measured = opened.evaluate(part, model)
    if arguments.json:
        print_json(
            {"run": str(opened.folder), "data": data.name, "part": arguments.part, "samples": len(part)} | measured
        )
    else:
        print(f"{data.name}, {arguments.part} set, {len(part)} samples:  {scores(measured)}")
    return 0


def _evaluate_table(arguments: argparse.Namespace) -> int:
    opened = TableRun(arguments.run)
    path = arguments.table or arguments.data
    if path is None:
        raise ArgumentError(
            f"data: expected a CSV file with the column {opened.target!r}, as {opened.folder} was fitted to a table: "
            f"portml evaluate {opened.folder} FILE"
        )
    measured, n_rows = opened.evaluate(path, arguments.backend)
    if arguments.json:
        print_json({"run": str(opened.folder), "data": path, "rows": n_rows} | measured)
    else:
        print(f"{path}, {n_rows} rows:  {scores(measured)}")
    return 0
