"""The folder that fitting a table leaves, and predictions from one.

``run.json``            the target, task, model, settings, data, versions, scores of every fold
``model.safetensors``   the fitted pipeline
"""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from portml.backends import Backend, get_backend, to_numpy
from portml.classical import KFold, StratifiedKFold, clone
from portml.classical.table_models import TASKS
from portml.classical.table_pipeline import TablePipeline, pipeline_of, task_of
from portml.data import Table, read_table
from portml.errors import ArgumentError, CheckpointError, DataError, WriteError
from portml.metrics import accuracy_score, f1_score, mean_absolute_error, r2_score, roc_auc_score
from portml.train.environment import describe_backend, versions
from portml.train.estimator_files import read_estimator, write_estimator
from portml.train.files import read_json, write_json

__all__ = ["TABLE_FORMAT", "TablePredictions", "TableRun", "is_table_run"]

TABLE_FORMAT = "table 1"


@dataclass(frozen=True)
class TablePredictions:
    """What a run says of the rows of a table.

    Attributes
    ----------
    values : list
        Labels or numbers, one for each row.
    probabilities : list of float or None
        Of the label predicted; None of models that give none.
    unseen : dict of str to int
        For each column with values that are no category the model tells apart, how many.
    """

    values: list[Any]
    probabilities: list[float] | None
    unseen: dict[str, int]


@dataclass
class _Folds:
    """Scores of the folds, and what was predicted of each row while it was held out."""

    scores: list[dict[str, float]] = field(default_factory=list)
    baseline: list[dict[str, float]] = field(default_factory=list)
    predictions: Any = None


class TableRun:
    """A model fitted to a table, in its folder; opens one that is there.

    Parameters
    ----------
    folder : path

    Attributes
    ----------
    folder : Path
    record : dict
        What ``run.json`` holds.
    notes : list of str
        What was decided or noticed while it was fitted.
    held_out : tuple of arrays (n_rows,) or None
        Targets, and predictions of rows while they were held out; only right after fitting.

    Raises
    ------
    CheckpointError
        If there is no such run in the folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.record: dict[str, Any] = read_json(self.folder / "run.json")
        self.held_out: tuple[Any, Any] | None = None
        if not isinstance(self.record, dict) or self.record.get("format") != TABLE_FORMAT:
            raise CheckpointError(f"run: {self.folder} holds no model that was fitted to a table")
        try:
            self.target: str = self.record["target"]
            self.notes: list[str] = self.record["notes"]
        except KeyError as error:
            raise CheckpointError(f"run: {self.folder}/run.json is damaged: it lacks {error}") from error

    @classmethod
    def fit(
        cls,
        data: str | Path,
        target: str,
        model: str,
        *,
        settings: Mapping[str, Any] | None = None,
        task: str | None = None,
        folds: int = 5,
        seed: int = 0,
        backend: str | Backend | None = None,
        folder: str | Path | None = None,
    ) -> Self:
        """Measure a model by cross-validation, fit it to all rows, and leave a folder.

        Parameters
        ----------
        data : path
            A CSV file, as `portml.data.read_table` takes it.
        target : str
            The column to predict; rows that lack it are left out.
        model : str
            A name in `portml.classical.table_models.MODELS`.
        settings : dict of str to object, optional
            Parameters of the estimator.
        task : {"classification", "regression"}, optional
            None takes what the target looks like.
        folds : int
            Parts into which the rows are shuffled, each predicted by a model of the others.
        seed : int
            Of the folds and of the model.
        backend : str or Backend, optional
        folder : path, optional
            Made new, or empty.  None takes ``runs/<data>-<model>-seed<seed>``, numbered where that is taken.

        Raises
        ------
        ArgumentError
            If an argument is none of these, or the folder is not empty.
        DataError
            If the file cannot be read or has nothing to learn from.
        WriteError
            If the folder cannot be written.
        """
        if folder is not None:
            _refuse_used(Path(folder))
        began, notes = time.perf_counter(), list[str]()
        place = backend if isinstance(backend, Backend) else get_backend(backend)
        table, y, task = _prepared(data, target, task, notes)
        pipeline = pipeline_of(model, task, dict(settings or {}), seed=seed, backend=place.name)
        with _gathered(notes):
            measured = _cross_validated(pipeline, table, y, task, folds, seed, notes)
            pipeline.fit(table, y)
        if pipeline.left_out_:
            notes.append(f"left out, as they have no values: {', '.join(pipeline.left_out_)}")
        record: dict[str, Any] = {
            "format": TABLE_FORMAT,
            "target": target,
            "task": task,
            "model": {"name": model, "estimator": repr(pipeline.model)},
            "settings": {name: _plain(value) for name, value in (settings or {}).items()},
            "seed": seed,
            "data": _described(data, table),
            "columns": {"numbers": pipeline.numbers_, "text": pipeline.text_, "left_out": pipeline.left_out_},
            "classes": sorted({*y.tolist()}) if task == TASKS[0] else None,
            "folds": len(measured.scores),
            "scores": measured.scores,
            "score": _means(measured.scores),
            "baseline": _means(measured.baseline),
            "notes": notes,
            "versions": versions(),
            "backend": describe_backend(place),
            "times": {"until": datetime.now(UTC).isoformat(timespec="seconds")},
        }
        chosen = _make_folder(Path(data), model, seed) if folder is None else Path(folder)
        write_estimator(chosen / "model.safetensors", pipeline)
        record["times"]["seconds"] = round(time.perf_counter() - began, 3)
        write_json(chosen / "run.json", record)
        run = cls(chosen)
        run.held_out = (y, measured.predictions)
        return run

    def predict(self, data: str | Path | Table, backend: str | Backend | None = None) -> TablePredictions:
        """Predict the rows of a CSV file or a table, whose columns are found by their names.

        Raises
        ------
        CheckpointError
            If the model's file is missing or damaged.
        DataError
            If the table lacks a column; the message names it.
        """
        place = backend if isinstance(backend, Backend) else get_backend(backend)
        pipeline = read_estimator(self.folder / "model.safetensors", place)
        if not isinstance(pipeline, TablePipeline):
            raise CheckpointError(f"run: {self.folder}/model.safetensors holds no model of a table")
        table = data if isinstance(data, Table) else read_table(data)
        values = to_numpy_or_text(pipeline.predict(table)).tolist()
        probabilities = pipeline.predict_proba(table)
        best = None if probabilities is None else to_numpy(probabilities).max(axis=1).tolist()
        return TablePredictions(values, best, pipeline.unseen_)


def is_table_run(folder: str | Path) -> bool:
    """Whether a folder holds a run of this kind."""
    path = Path(folder) / "run.json"
    if not path.is_file():
        return False
    record = read_json(path)
    return isinstance(record, dict) and record.get("format") == TABLE_FORMAT


def to_numpy_or_text(labels: Any) -> Any:
    """Labels on the host, where text is already."""
    return labels if getattr(labels, "dtype", None) is not None and labels.dtype == object else to_numpy(labels)


def _prepared(data: str | Path, target: str, task: str | None, notes: list[str]) -> tuple[Table, Any, str]:
    """The table without the target, the target, and the task."""
    table = read_table(data)
    if target not in table.columns:
        raise ArgumentError(f"target: {data} has no column {target!r}; it has {', '.join(map(repr, table.columns))}")
    y = table[target]
    there = _positions([value is not None and value == value for value in y.tolist()])
    if len(there) < 2:
        raise DataError(f"{data}: column {target!r} has {len(there)} values; expected at least 2 to learn from")
    if len(there) < len(y):
        notes.append(f"left out {len(y) - len(there)} of {len(y)} rows, which lack the target")
    table, y = _rows(table.without(target), there), y[there]
    if task is None:
        task, why = task_of(y)
        notes.append(f"task: {task}, as {why}; --task overrides")
    elif task not in TASKS:
        raise ArgumentError(f"task: expected one of {', '.join(TASKS)}, got {task!r}")
    is_text = y.dtype == object
    if task == TASKS[1] and is_text:
        raise ArgumentError(f"task: column {target!r} is text, which cannot be the target of a regression")
    if task == TASKS[0] and not is_text:
        if not bool((y == y.round()).all()):
            raise ArgumentError(f"task: column {target!r} has numbers that are not whole, which name no classes")
        y = y.astype("int64")
    if task == TASKS[0] and len({*y.tolist()}) < 2:
        raise DataError(f"{data}: column {target!r} has one class only, {y[0]!r}; expected at least 2")
    return table, y, task


def _cross_validated(
    pipeline: TablePipeline, table: Table, y: Any, task: str, folds: int, seed: int, notes: list[str]
) -> _Folds:
    n = len(y)
    if not 2 <= folds <= n:
        raise ArgumentError(f"folds: expected from 2 to the number of rows, {n}, got {folds}")
    measured, predictions = _Folds(), [None] * n
    rarest = min(Counter(y.tolist()).values()) if task == TASKS[0] else 0
    if task == TASKS[0] and rarest < folds:
        notes.append(f"the rarest class has {rarest} rows, too few for each of {folds} folds")
    kind = StratifiedKFold if rarest >= folds else KFold
    for train, test in kind(folds, shuffle=True, random_state=seed).split(y, y):
        if task == TASKS[0] and len({*y[train].tolist()}) < 2:
            raise DataError("a fold would leave one class only to learn from; give fewer folds, or more rows")
        fitted = clone(pipeline).fit(_rows(table, train), y[train])
        held_out = _rows(table, test)
        predicted = to_numpy_or_text(fitted.predict(held_out))
        for row, value in zip(test.tolist(), predicted.tolist(), strict=True):
            predictions[row] = value
        typical = _typical(y[train], task)
        constant = y[test].copy()
        constant[:] = typical
        probabilities = fitted.predict_proba(held_out) if task == TASKS[0] else None
        measured.scores.append(_scores(y[test], predicted, task) | _area(y[test], fitted, probabilities))
        measured.baseline.append(_scores(y[test], constant, task))
    measured.predictions = y.copy()
    measured.predictions[:] = predictions
    return measured


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


def _area(y: Any, fitted: TablePipeline, probabilities: Any) -> dict[str, float]:
    """ROC-AUC where it is defined: the model gives probabilities, and every class it knows is among the labels."""
    if probabilities is None:
        return {}
    classes = to_numpy_or_text(fitted.model_.classes_).tolist()
    if {*y.tolist()} != {*classes}:
        return {}
    found = to_numpy(probabilities)
    if len(classes) == 2:
        is_second = y == classes[1]
        return {"ROC-AUC": float(roc_auc_score(is_second.astype("int64"), found[:, 1]))}
    return {"ROC-AUC": float(roc_auc_score(y, found, multi_class="ovr"))}


def _means(scores: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation over the folds that have a measure."""
    found = {}
    for name in dict.fromkeys(name for each in scores for name in each):
        values = [each[name] for each in scores if name in each]
        mean = math.fsum(values) / len(values)
        spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        found[name] = {"mean": mean, "std": spread}
    return found


def _rows(table: Table, rows: Any) -> Table:
    return Table({name: column[rows] for name, column in table.columns.items()})


def _positions(flags: list[bool]) -> Any:
    xp = get_backend("numpy").xp
    return xp.nonzero(xp.asarray(flags))[0]


@contextmanager
def _gathered(notes: list[str]) -> Iterator[None]:
    """Warnings become notes, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    said: Callable[[Any], str] = lambda each: " ".join(str(each.message).split())  # noqa: E731
    notes.extend(dict.fromkeys(map(said, caught)))


def _described(data: str | Path, table: Table) -> dict[str, Any]:
    content = Path(data).read_bytes()
    return {
        "path": str(data),
        "rows": table.n_rows,
        "columns": len(table),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _refuse_used(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArgumentError(f"out: expected a new or empty folder, got {folder}, which has something in it")


def _make_folder(data: Path, model: str, seed: int) -> Path:
    """``runs/<data>-<model>-seed<seed>``, with a number behind it where that is taken."""
    name = f"{data.name.removesuffix('.gz').removesuffix('.csv') or 'data'}-{model}-seed{seed}"
    number = 1
    while True:
        folder = Path("runs") / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
        except OSError as error:
            raise WriteError(f"{folder} could not be made: {error.strerror or error}; choose another folder") from error
