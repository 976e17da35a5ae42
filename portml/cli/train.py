"""``portml train``."""

from __future__ import annotations

import argparse
import shlex
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from portml.cli.arguments import SETTINGS
from portml.cli.extras import require
from portml.cli.interruption import Interruption
from portml.cli.output import percent, print_json
from portml.cli.progress import open_progress
from portml.plots import TrainingCurves
from portml.train import Callback, Recipe, Run

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Train, or go on with a run; draw the curves; say how it went."""
    require("train", "rich", "matplotlib")
    chosen = {name: getattr(arguments, name) for name in SETTINGS if getattr(arguments, name) is not None}
    said: TextIO | None = None if arguments.quiet else sys.stderr if arguments.json else sys.stdout
    with ExitStack() as entered:
        interruption = entered.enter_context(Interruption())
        callbacks: list[Callback] = [interruption]
        trained = _opened(arguments, chosen)
        if said is not None:
            callbacks.append(entered.enter_context(open_progress(said)))
        # An interrupt is told below, as a stop is; and of numbers that overflow the loss tells, in one line.
        with suppress(KeyboardInterrupt), np.errstate(all="ignore"):
            trained.train(callbacks=callbacks, **_moved(arguments))
    if not trained.finished:
        print(_how_to_resume(trained), file=sys.stderr)
        return interruption.exit_status
    _draw(trained)
    if arguments.json:
        print_json({"run": str(trained.folder), **trained.record})
    elif said is not None:
        print(_summary(trained))
    return 0


def _opened(arguments: argparse.Namespace, chosen: dict[str, Any]) -> Run:
    if arguments.resume is not None:
        return Run(arguments.resume)
    places = {"data_dir": arguments.data_dir, "backend": arguments.backend, "kernels": arguments.kernels}
    return Run.create(Recipe.of(arguments.data, **places, **chosen), arguments.out)


def _moved(arguments: argparse.Namespace) -> dict[str, str | None]:
    """Where a run that is resumed goes on, if elsewhere than before; a new one has just been made there."""
    if arguments.resume is None:
        return {}
    return {"backend": arguments.backend, "data": arguments.data, "data_dir": arguments.data_dir}


def _draw(trained: Run) -> None:
    recipe = trained.recipe
    name = Path(recipe.data).stem
    test = percent(trained.metrics["test_accuracy"])
    title = f"{name}, {recipe.model}, seed {recipe.seed}: test accuracy {test}"
    loss = "cross-entropy"
    if recipe.label_smoothing:
        loss += f", targets smoothed by {recipe.label_smoothing:g}"  # so it does not fall to 0
    curves = TrainingCurves.from_history(trained.history, title=title, loss_label=loss)
    curves.save(trained.folder / "curves.png")


def _summary(trained: Run) -> str:
    seconds = trained.record["times"]["seconds"]
    metrics = trained.metrics
    validation = metrics.get("validation_accuracy")
    measured = f"test accuracy {percent(metrics['test_accuracy'])}, loss {metrics['test_loss']:.4f}"
    if validation is not None:
        measured += f"; validation accuracy {percent(validation)}"
    return f"{measured}; {seconds:.1f} s\neverything is in {trained.folder}"


def _how_to_resume(trained: Run) -> str:
    epochs = trained.record["epochs_done"]
    return (
        f"portml: stopped after {epochs} of {trained.recipe.epochs} epochs; "
        f"go on with: portml train --resume {shlex.quote(str(trained.folder))}"
    )
