"""``portml predict``."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from portml.backends import to_numpy
from portml.cli import predict_table
from portml.cli.output import percent, print_json
from portml.data import load_image
from portml.errors import ArgumentError
from portml.train import Run
from portml.train.table_run import is_table_run

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Print the class of each image, and its probability; or what is predicted of the rows of a table."""
    if is_table_run(arguments.run):
        return predict_table.run(arguments)
    opened = Run(arguments.run)
    if len(opened.input_shape) != 3:
        raise ArgumentError(
            f"run: {opened.folder} was trained on samples of shape {opened.input_shape}, expected one trained on images"
        )
    images = np.stack([load_image(path, opened.input_shape) for path in arguments.images])
    if arguments.invert:
        images = 1 - images
    probabilities = to_numpy(opened.predict_proba(images, opened.load_model(arguments.backend)))
    if arguments.json:
        print_json([_described(path, row, opened) for path, row in zip(arguments.images, probabilities, strict=True)])
        return 0
    width = max(len(path) for path in arguments.images)
    for path, row in zip(arguments.images, probabilities, strict=True):
        best = int(np.argmax(row))
        print(f"{path:{width}}  {opened.class_names[best]}  {percent(float(row[best]))}")
    return 0


def _described(path: str, probabilities: Any, opened: Run) -> dict[str, Any]:
    best = int(np.argmax(probabilities))
    named = dict(zip(opened.class_names, map(float, probabilities), strict=True))
    return {
        "image": path,
        "class": opened.class_names[best],
        "probability": float(probabilities[best]),
        "probabilities": named,
    }
