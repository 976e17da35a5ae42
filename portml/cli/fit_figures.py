"""The figures of a model that was fitted to a table."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from portml.train.table_run import FittedTable, TableRun

__all__ = ["draw"]

_MOST_CLASSES = 40
_MOST_ROWS = 20_000
_LEVELS = 3


def draw(run: TableRun) -> list[str]:
    """Draw into the folder of a run that has just been fitted what there is to be seen of it.

    ``confusion.png`` of classes or ``fit.png`` of numbers, both of rows while they were held out;
    ``learning_curve.png``; and ``tree.png`` of a decision tree, or of the first one of a forest.

    Returns
    -------
    list of str
        What is not drawn, and why.
    """
    if find_spec("matplotlib") is None:
        return ['no figures are drawn, as matplotlib is not installed: pip install "portml[plot]"']
    known = run.fitted
    if known is None:
        return []
    notes = _draw_predictions(run, known)
    _draw_tree(known, run.folder / "tree.png")
    return notes + _draw_learning_curve(run)


def _draw_predictions(run: TableRun, known: FittedTable) -> list[str]:
    from portml.plots import ConfusionMatrixDisplay, RegressionFitDisplay

    if run.task == "regression":
        display = RegressionFitDisplay.from_predictions(known.targets, known.held_out)
        display.axes["fit"].set_title(f"Held-out rows, $R^2$ = {display.score:.3f}", loc="left", fontweight="bold")
        display.save(run.folder / "fit.png")
        return []
    classes = len(run.record["classes"])
    if classes > _MOST_CLASSES:
        return [f"no confusion matrix is drawn of {classes} classes, more than {_MOST_CLASSES}"]
    # Text is drawn as text; NumPy sorts objects of one kind only.
    shown = [each.astype(str) if each.dtype == object else each for each in (known.targets, known.held_out)]
    ConfusionMatrixDisplay.from_predictions(*shown).save(run.folder / "confusion.png")
    return []


def _draw_tree(known: FittedTable, path: Path) -> None:
    from portml.plots import TreeDisplay

    model: Any = known.pipeline.model_
    trees = getattr(model, "estimators_", None)
    tree = model if hasattr(model, "tree_") else trees[0] if trees else None
    if tree is None or not hasattr(tree, "tree_"):
        return
    # A forest's trees know classes by their numbers.
    names = [str(each) for each in np.asarray(model.classes_).tolist()] if hasattr(model, "classes_") else None
    display = TreeDisplay.from_estimator(
        tree, feature_names=known.pipeline.feature_names_, class_names=names, max_depth=_LEVELS
    )
    if trees:
        title = f"The first of {len(trees)} trees"
        display.axes["tree"].set_title(title, loc="left", fontweight="bold")
    display.save(path)


def _draw_learning_curve(run: TableRun) -> list[str]:
    rows = run.record["data"]["rows"]
    if rows > _MOST_ROWS:
        return [f"no learning curve is drawn of {rows} rows, more than {_MOST_ROWS}"]
    if run.task == "regression" and rows < 2 * run.record["folds"]:
        return ["no learning curve is drawn, as folds of one row have no R2"]
    from portml.plots import LearningCurveDisplay

    curve = run.learning_curve()
    if len(curve.sizes) < 2:
        return ["no learning curve is drawn, as there are too few rows"]
    scores = np.asarray(curve.train_scores), np.asarray(curve.test_scores)
    name = {"R2": "$R^2$"}.get(curve.name, curve.name)
    LearningCurveDisplay(np.asarray(curve.sizes), *scores, name).plot().save(run.folder / "learning_curve.png")
    return []
