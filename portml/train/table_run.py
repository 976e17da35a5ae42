"""The folder that fitting a table leaves, and predictions from one.

``run.json``            the target, task, model, settings, data, versions, scores of every fold
``model.safetensors``   the fitted pipeline
"""

from __future__ import annotations

import hashlib
import re
import time
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from portml.backends import Backend, get_backend, to_numpy
from portml.classical.table_models import TASKS
from portml.classical.table_pipeline import TablePipeline, finite_numbers, pipeline_of, task_of
from portml.data import Table, read_table
from portml.errors import ArgumentError, CheckpointError, DataError
from portml.train.environment import describe_backend, versions
from portml.train.estimator_files import read_estimator, write_estimator
from portml.train.files import read_json, write_json
from portml.train.folders import make_folder, refuse_used
from portml.train.table_scores import (
    FoldScores,
    LearningCurve,
    cross_validated,
    learning_curve,
    means,
    measured,
    on_host,
)

__all__ = ["TABLE_FORMAT", "FittedTable", "TablePredictions", "TableRun", "is_table_run"]

TABLE_FORMAT = "table 1"
_DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?")
_KNOWN = ("target", "task", "notes", "columns", "score")


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
    ignored : list of str
        Columns that the model does not look at.
    """

    values: list[Any]
    probabilities: list[float] | None
    unseen: dict[str, int]
    ignored: list[str]


@dataclass(frozen=True)
class FittedTable:
    """What a model was fitted to, for whoever draws it.

    Attributes
    ----------
    pipeline : TablePipeline
        Fitted to all rows.
    table : Table
    targets, held_out : array (n_rows,)
        What is true, and what was predicted of each row by a model that had not seen it.
    """

    pipeline: TablePipeline
    table: Table
    targets: Any
    held_out: Any


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
    target, task : str
    notes : list of str
        What was decided or noticed while it was fitted.
    fitted : FittedTable or None
        Only right after fitting.

    Raises
    ------
    CheckpointError
        If there is no such run in the folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.record: dict[str, Any] = read_json(self.folder / "run.json")
        self.fitted: FittedTable | None = None
        if not isinstance(self.record, dict) or self.record.get("format") != TABLE_FORMAT:
            raise CheckpointError(f"run: {self.folder} holds no model that was fitted to a table")
        absent = [name for name in _KNOWN if name not in self.record]
        if absent:
            raise CheckpointError(f"run: {self.folder}/run.json is damaged: it lacks {', '.join(absent)}")
        self.target: str = self.record["target"]
        self.task: str = self.record["task"]
        self.notes: list[str] = self.record["notes"]

    @classmethod
    def fit(
        cls,
        data: str | Path,
        target: str,
        model: str,
        *,
        settings: Mapping[str, Any] | None = None,
        task: str | None = None,
        text: Collection[str] = (),
        without: Collection[str] = (),
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
        text : collection of str
            Columns that name categories though they look like numbers, such as postal codes.
        without : collection of str
            Columns not to look at.
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
            refuse_used(Path(folder))
        watch, notes = _Watch(), list[str]()
        place = backend if isinstance(backend, Backend) else get_backend(backend)
        table, y, task = _training_data(data, target, task, text, without, notes)
        pipeline = pipeline_of(model, task, dict(settings or {}), seed=seed, backend=place.name)
        with _gathered(notes):
            pipeline.fit(table, y)
            scores = cross_validated(pipeline, table, y, task, folds, seed, notes)
        notes += _noticed(pipeline)
        record: dict[str, Any] = {
            "format": TABLE_FORMAT,
            "status": "finished",
            "target": target,
            "task": task,
            "model": {"name": model, "estimator": repr(pipeline.model)},
            "settings": {name: _plain(value) for name, value in (settings or {}).items()},
            "seed": seed,
            "data": _described(data, table),
            "columns": _columns(pipeline),
            "classes": sorted({*y.tolist()}) if task == TASKS[0] else None,
            "folds": folds,
            **_scored(scores),
            "notes": notes,
            "versions": versions(),
            "backend": describe_backend(place),
        }
        chosen = make_folder(_folder_name(Path(data), model, seed)) if folder is None else Path(folder)
        write_estimator(chosen / "model.safetensors", pipeline)
        write_json(chosen / "run.json", {**record, "times": watch.read()})
        run = cls(chosen)
        run.fitted = FittedTable(pipeline, table, y, scores.predictions)
        return run

    def predict(self, data: str | Path | Table, backend: str | Backend | None = None) -> TablePredictions:
        """Predict the rows of a CSV file or a table, whose columns are found by their names.

        Raises
        ------
        CheckpointError
            If the model's file is missing or damaged.
        DataError
            If the table lacks a column, or has text or infinity where the model wants numbers; the message names it.
        """
        pipeline = self.load_pipeline(backend)
        table = data if isinstance(data, Table) else read_table(data, text=pipeline.not_numbers)
        values = on_host(pipeline.predict(table)).tolist()
        probabilities = pipeline.predict_proba(table)
        best = None if probabilities is None else to_numpy(probabilities).max(axis=1).tolist()
        expected = {*pipeline.columns, *pipeline.left_out_, self.target}
        return TablePredictions(values, best, pipeline.unseen_, [name for name in table if name not in expected])

    def evaluate(self, data: str | Path, backend: str | Backend | None = None) -> tuple[dict[str, float], int]:
        """Measure the model on the rows of a CSV file that has the target too.

        Returns
        -------
        scores : dict of str to float
            By the names of those of cross-validation.
        n_rows : int
            How many rows have the target, and were measured.

        Raises
        ------
        CheckpointError, DataError
            As `predict`; and if the file lacks the target, or has other than classes or numbers there.
        """
        pipeline = self.load_pipeline(backend)
        classes = self.record["classes"]
        names_are_text = classes is not None and any(isinstance(each, str) for each in classes)
        table = read_table(data, text=[*pipeline.not_numbers, *[self.target] * names_are_text])
        table, y = _with_target(data, table, self.target, least=1, notes=[])
        y = _as_task(data, self.target, y, self.task, is_text=names_are_text)
        predicted = on_host(pipeline.predict(table))
        return measured(pipeline, table, y, predicted, self.task), len(y)

    def load_pipeline(self, backend: str | Backend | None = None) -> TablePipeline:
        """The fitted pipeline, on a backend.

        Raises
        ------
        CheckpointError
            If its file is missing or damaged.
        """
        place = backend if isinstance(backend, Backend) else get_backend(backend)
        pipeline = read_estimator(self.folder / "model.safetensors", place)
        if not isinstance(pipeline, TablePipeline):
            raise CheckpointError(f"run: {self.folder}/model.safetensors holds no model of a table")
        return pipeline

    def learning_curve(self) -> LearningCurve:
        """Fit again to ever fewer rows; right after fitting only.

        Raises
        ------
        ArgumentError
            If the run was opened, so that its rows are not at hand.
        """
        if self.fitted is None:
            raise ArgumentError("run: its rows are at hand right after fitting only; fit it again")
        known = self.fitted
        return learning_curve(
            known.pipeline, known.table, known.targets, self.task, self.record["folds"], self.record["seed"]
        )


def is_table_run(folder: str | Path) -> bool:
    """Whether a folder holds a run of this kind."""
    path = Path(folder) / "run.json"
    if not path.is_file():
        return False
    record = read_json(path)
    return isinstance(record, dict) and record.get("format") == TABLE_FORMAT


def _training_data(
    data: str | Path,
    target: str,
    task: str | None,
    text: Collection[str],
    without: Collection[str],
    notes: list[str],
) -> tuple[Table, Any, str]:
    """The table without the target, the target, and the task."""
    table = read_table(data, text=text, keep_leading_zeros=True)
    if task == TASKS[1] and target in table.text and target not in text:
        table = read_table(data, text={*text, *table.text} - {target})  # what is to be a number loses its zeros
    for argument, names in (("target", [target]), ("text", text), ("without", without)):
        for name in names:
            _see_column(data, table, name, argument)
    if target in without:
        raise ArgumentError(f"without: {target!r} is the target; leave out other columns")
    table = table.without(*without)
    for name in table.without(target).numeric:
        finite_numbers(table, name)  # here, where rows are still those of the file
    table, y = _with_target(data, table, target, least=2, notes=notes)
    notes += [
        f"column {name!r} counts the rows, which a model may learn by heart; --without leaves it out"
        for name in table.numeric
        if bool((table[name][1:] - table[name][:-1] == 1).all())
    ]
    notes += [
        f"column {name!r} has numbers with decimal commas, which are taken as text; write points"
        for name in table.text
        if _has_decimal_commas([value for value in table[name].tolist() if value is not None])
    ]
    notes += [
        f"column {name!r} is read as text, as {padded!r} would lose its zero as a number"
        for name, column in {**table, target: y}.items()
        if name not in text and (padded := _with_leading_zero(column.tolist()))
    ]
    if task is None:
        task, why = task_of(y)
        notes.append(f"task: {task}, as {why}; --task overrides")
    elif task not in TASKS:
        raise ArgumentError(f"task: expected one of {', '.join(TASKS)}, got {task!r}")
    y = _as_task(data, target, y, task, is_text=y.dtype == object)
    if len({*y.tolist()}) < 2:
        kind = "class" if task == TASKS[0] else "value"
        raise DataError(f"{data}: column {target!r} has one {kind} only, {y.tolist()[0]!r}; expected at least 2")
    return table, y, task


def _with_leading_zero(values: list[Any]) -> str | None:
    """Of a column of digits kept as text, the first that begins with a zero."""
    texts = [value for value in values if isinstance(value, str)]
    if not all(map(str.isdigit, texts)):
        return None
    return next((value for value in texts if len(value) > 1 and value[0] == "0"), None)


def _has_decimal_commas(values: list[str]) -> bool:
    return any("," in value for value in values) and all(map(_DECIMAL_COMMA.fullmatch, values))


def _with_target(data: str | Path, table: Table, target: str, least: int, notes: list[str]) -> tuple[Table, Any]:
    """The columns beside the target, and the target; of the rows that have it."""
    _see_column(data, table, target, "target")
    y = table[target]
    there = _positions([value is not None and value == value for value in y.tolist()])
    if len(there) < least:
        raise DataError(f"{data}: column {target!r} has {len(there)} values; expected at least {least}")
    if len(there) < len(y):
        notes.append(f"left out {len(y) - len(there)} of {len(y)} rows, which lack the target")
    if y.dtype != object and bool((abs(y[there]) == float("inf")).any()):
        raise DataError(f"{data}: column {target!r}, which is to be predicted, holds infinite numbers")
    return table.without(target).rows(there), y[there]


def _see_column(data: str | Path, table: Table, name: str, argument: str) -> None:
    if name not in table.columns:
        there = ", ".join(map(repr, table.columns))
        raise ArgumentError(f"{argument}: {data} has no column {name!r}; it has {there}")


def _as_task(data: str | Path, target: str, y: Any, task: str, is_text: bool) -> Any:
    """Targets as the task wants them: labels that are text or whole, or numbers."""
    if task == TASKS[1]:
        if y.dtype == object:
            raise DataError(f"{data}: column {target!r} is text, which cannot be the target of a regression")
        return y
    if is_text:
        return y
    if y.dtype == object:
        raise DataError(f"{data}: column {target!r} has text; expected whole numbers, which name the classes")
    if not bool((y == y.round()).all()):
        raise DataError(f"{data}: column {target!r} has numbers that are not whole, which name no classes")
    return y.astype("int64")


def _noticed(pipeline: TablePipeline) -> list[str]:
    notes = []
    if pipeline.left_out_:
        notes.append(f"left out, as they have no values: {', '.join(pipeline.left_out_)}")
    if pipeline.dates_:
        notes.append(f"dates, taken as days: {', '.join(pipeline.dates_)}")
    for name, count in pipeline.merged_.items():
        notes.append(
            f"column {name!r} has {count} different texts; the {pipeline.max_categories} most frequent are told apart"
        )
    return notes


def _columns(pipeline: TablePipeline) -> dict[str, Any]:
    """The columns by what they are taken for; of text with the categories, whose places are their codes."""
    known = [] if pipeline.encoder_ is None else [each.tolist() for each in pipeline.encoder_.categories_]
    return {
        "numbers": pipeline.numbers_,
        "dates": pipeline.dates_,
        "text": dict(zip(pipeline.text_, known, strict=True)),
        "left_out": pipeline.left_out_,
    }


def _scored(scores: FoldScores) -> dict[str, Any]:
    return {"scores": scores.scores, "score": means(scores.scores), "baseline": means(scores.baseline)}


def _positions(flags: list[bool]) -> Any:
    xp = get_backend("numpy").xp
    return xp.nonzero(xp.asarray(flags))[0]


@contextmanager
def _gathered(notes: list[str]) -> Iterator[None]:
    """Warnings become notes, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    notes.extend(dict.fromkeys(" ".join(str(each.message).split()) for each in caught))


class _Watch:
    def __init__(self) -> None:
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.clock, self.processor = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, Any]:
        return {
            "started": self.started,
            "seconds": round(time.perf_counter() - self.clock, 3),
            "processor_seconds": round(time.process_time() - self.processor, 3),
        }


def _described(data: str | Path, table: Table) -> dict[str, Any]:
    return {
        "path": str(data),
        "rows": table.n_rows,
        "columns": len(table),
        "sha256": hashlib.sha256(Path(data).read_bytes()).hexdigest(),
    }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _folder_name(data: Path, model: str, seed: int) -> str:
    return f"{data.name.removesuffix('.gz').removesuffix('.csv') or 'data'}-{model}-seed{seed}"
