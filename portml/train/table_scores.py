"""How good a model for tables is on rows that it has not seen: folds, scores, and how they grow with the rows."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from portml.backends import get_backend, to_numpy
from portml.classical import KFold, StratifiedKFold, clone
from portml.classical.table_models import TASKS
from portml.classical.table_pipeline import TablePipeline
from portml.data import Table
from portml.errors import ArgumentError, DataError
from portml.metrics import accuracy_score, f1_score, mean_absolute_error, r2_score, roc_auc_score
from portml.random import Generator

__all__ = ["FoldScores", "LearningCurve", "cross_validated", "learning_curve", "means", "measured", "on_host"]

_SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
_CURVE_FOLDS = 3


@dataclass
class FoldScores:
    """Scores of the folds, and what was predicted of each row while it was held out.

    Attributes
    ----------
    scores, baseline : list of dict of str to float
        One for each fold: of the model, and of who has not looked at the columns.
    predictions : array (n_rows,)
    """

    scores: list[dict[str, float]] = field(default_factory=list)
    baseline: list[dict[str, float]] = field(default_factory=list)
    predictions: Any = None


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy or R² by the number of rows learnt from.

    Attributes
    ----------
    sizes : list of int
    train_scores, test_scores : list (n_sizes,) of lists (n_folds,)
        On the rows learnt from, and on those held out.
    name : str
    """

    sizes: list[int]
    train_scores: list[list[float]]
    test_scores: list[list[float]]
    name: str


def cross_validated(
    pipeline: TablePipeline, table: Table, y: Any, task: str, folds: int, seed: int, notes: list[str]
) -> FoldScores:
    """Fit clones to all folds but one, and measure them on that one.

    Raises
    ------
    ArgumentError
        If there are more folds than rows, or less than two.
    DataError
        If a fold would leave one class only to learn from.
    """
    found, predictions = FoldScores(), [None] * len(y)
    for train, test in _splits(y, task, folds, seed, notes):
        fitted = clone(pipeline).fit(table.rows(train), y[train])
        held_out = table.rows(test)
        predicted = on_host(fitted.predict(held_out))
        for row, value in zip(test.tolist(), predicted.tolist(), strict=True):
            predictions[row] = value
        constant = y[test].copy()
        if task == TASKS[1]:
            constant = constant.astype("float64")
        constant[:] = _typical(y[train], task)
        found.scores.append(measured(fitted, held_out, y[test], predicted, task))
        found.baseline.append(_scores(y[test], constant, task))
    found.predictions = y.copy()
    found.predictions[:] = predictions
    return found


def learning_curve(pipeline: TablePipeline, table: Table, y: Any, task: str, folds: int, seed: int) -> LearningCurve:
    """Fit clones to ever more rows of some folds; sizes that lack a second class are left out."""
    splits = [*_splits(y, task, folds, seed, [])][:_CURVE_FOLDS]
    generator = Generator(seed, backend="numpy")
    shuffled = [train[generator.permutation(len(train))] for train, _ in splits]
    most = min(map(len, shuffled))
    name = "accuracy" if task == TASKS[0] else "R2"
    sizes, train_scores, test_scores = [], [], []
    for size in sorted({max(2, round(share * most)) for share in _SHARES}):
        parts = [rows[:size] for rows in shuffled]
        if task == TASKS[0] and any(len({*y[part].tolist()}) < 2 for part in parts):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few rows make models that complain, which is what the curve shows
            fitted = [clone(pipeline).fit(table.rows(part), y[part]) for part in parts]
        sizes.append(size)
        train_scores.append([_score(*pair, table, y, name) for pair in zip(fitted, parts, strict=True)])
        held_out = [test for _, test in splits]
        test_scores.append([_score(*pair, table, y, name) for pair in zip(fitted, held_out, strict=True)])
    return LearningCurve(sizes, train_scores, test_scores, name)


def measured(fitted: TablePipeline, table: Table, y: Any, predicted: Any, task: str) -> dict[str, float]:
    """Scores of predictions (n_rows,) by name, with the area under the curve where it is defined."""
    probabilities = fitted.predict_proba(table) if task == TASKS[0] else None
    return _scores(y, predicted, task) | _area(y, fitted, probabilities)


def means(scores: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation over the folds that have a measure."""
    found = {}
    for name in dict.fromkeys(name for each in scores for name in each):
        values = [each[name] for each in scores if name in each]
        mean = math.fsum(values) / len(values)
        spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        found[name] = {"mean": mean, "std": spread}
    return found


def on_host(labels: Any) -> Any:
    """Labels or numbers on the host, where text is already."""
    return labels if getattr(labels, "dtype", None) is not None and labels.dtype == object else to_numpy(labels)


def _splits(y: Any, task: str, folds: int, seed: int, notes: list[str]) -> Iterator[tuple[Any, Any]]:
    n = len(y)
    if not 2 <= folds <= n:
        raise ArgumentError(f"folds: expected from 2 to the number of rows, {n}, got {folds}")
    rarest = min(Counter(y.tolist()).values()) if task == TASKS[0] else 0
    if task == TASKS[0] and rarest < folds:
        notes.append(
            f"the rarest class has {rarest} row{'s' * (rarest != 1)}, too few for each of {folds} folds to have one"
        )
    kind = StratifiedKFold if rarest >= folds else KFold
    for train, test in kind(folds, shuffle=True, random_state=seed).split(y, y):
        if task == TASKS[0] and len({*y[train].tolist()}) < 2:
            raise DataError("a fold would leave one class only to learn from; give other folds, or more rows")
        yield train, test


def _typical(y: Any, task: str) -> Any:
    """What one predicts who has not looked at the columns: the most frequent class, or the mean."""
    if task == TASKS[1]:
        return float(y.mean())
    counts = Counter(y.tolist())
    return min(counts, key=lambda value: (-counts[value], value))


def _scores(y: Any, predicted: Any, task: str) -> dict[str, float]:
    if task == TASKS[0]:
        macro = f1_score(y, predicted, average="macro", zero_division=0)
        return {"accuracy": float(accuracy_score(y, predicted)), "macro F1": float(macro)}
    error = float(mean_absolute_error(y, predicted))
    return ({"R2": float(r2_score(y, predicted))} if len(y) > 1 else {}) | {"MAE": error}


def _score(fitted: TablePipeline, rows: Any, table: Table, y: Any, name: str) -> float:
    measure = accuracy_score if name == "accuracy" else r2_score
    return float(measure(y[rows], on_host(fitted.predict(table.rows(rows)))))


def _area(y: Any, fitted: TablePipeline, probabilities: Any) -> dict[str, float]:
    """ROC-AUC where it is defined: the model gives probabilities, and every class it knows is among the labels."""
    if probabilities is None:
        return {}
    classes = on_host(fitted.model_.classes_).tolist()
    if {*y.tolist()} != {*classes}:
        return {}
    found = to_numpy(probabilities)
    if len(classes) == 2:
        is_second = get_backend("numpy").xp.asarray(y == classes[1])
        return {"ROC-AUC": float(roc_auc_score(is_second.astype("int64"), found[:, 1]))}
    return {"ROC-AUC": float(roc_auc_score(y, found, multi_class="ovr"))}
