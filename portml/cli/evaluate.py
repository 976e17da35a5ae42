"""``portml evaluate``."""

from __future__ import annotations

import argparse

from portml.cli.output import print_json, scores
from portml.errors import ArgumentError
from portml.train import Run

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Measure the model of a run on a part of its data, or of other data."""
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
