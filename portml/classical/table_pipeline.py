"""From a table of numbers and text to predictions: impute, encode, scale, estimate.

Numbers that are missing become the median of their column.  Dates become days.  Other text becomes categories, and a
missing text is a category of its own.  Columns without any value are left out.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Self

from portml import classical
from portml.backends import Array, namespace
from portml.classical import host
from portml.classical.dates import are_dates, days_since_1970
from portml.classical.estimator import Estimator, clone
from portml.classical.table_models import MODELS, TASKS
from portml.data import Table
from portml.errors import ArgumentError, DataError, NotFittedError

__all__ = ["TablePipeline", "finite_numbers", "pipeline_of", "task_of"]

_MISSING = ""
"""Stands for missing text; no value of a table is empty."""

LARGEST = 1e38
"""Of the numbers of a table: of larger ones no tree can hold the value, and no scaler the sum of the squares."""


class TablePipeline(Estimator):
    """An estimator that takes a `Table`.

    Parameters
    ----------
    model : Estimator
        A classifier or a regressor; it is copied, not fitted itself.
    encode : {"one-hot", "ordinal"}
        Categories as a column of zeros and ones for each, or as one column of their numbers in alphabetical order.
    scale : {"standard", "min-max"} or None
        What is done to all columns at the end.
    max_categories : int
        So many categories of a column, the most frequent, are told apart; the rest are as unseen ones.
    backend : str
        Where the numbers go.

    Attributes
    ----------
    numbers_, dates_, text_ : list of str
        The columns that are used.
    left_out_ : list of str
        Columns without any value.
    merged_ : dict of str to int
        For each column with more than `max_categories` different texts, how many it has.
    feature_names_ : list of str
        What the columns are called that the model sees, such as "age" or "city=Oslo".
    imputer_, encoder_, scaler_, model_ : Estimator or None
        The steps as fitted.
    unseen_ : dict of str to int
        Of the table given last to `predict`: how many values of a column were no category that is told apart.
    """

    def __init__(
        self,
        model: Any,
        encode: str = "one-hot",
        scale: str | None = "standard",
        max_categories: int = 50,
        backend: str = "numpy",
    ) -> None:
        self.model = model
        self.encode = encode
        self.scale = scale
        self.max_categories = max_categories
        self.backend = backend

    def fit(self, table: Table, y: Any) -> Self:
        """Learn from the columns of `table` and targets `y` (n_rows,), labels or numbers.

        Raises
        ------
        DataError
            If no column has any value, or one holds infinite numbers.
        """
        self.left_out_ = [name for name in table.numeric if bool((table[name] != table[name]).all())]
        self.numbers_ = [name for name in table.numeric if name not in self.left_out_]
        self.dates_ = [name for name in table.text if are_dates(table[name].tolist())]
        self.text_ = [name for name in table.text if name not in self.dates_]
        if not self.columns:
            raise DataError("the table has no column with values to learn from, beside the target")
        numbers = self.numbers_ or self.dates_
        self.imputer_ = self._imputer().fit(self._numbers(table)) if numbers else None
        self.merged_ = dict[str, int]()
        self.encoder_ = self._encoder(self._text(table)) if self.text_ else None
        X = self._side_by_side(table)
        self.scaler_ = self._scaler()
        if self.scaler_ is not None:
            X = self.scaler_.fit_transform(X)
        self.feature_names_ = self._names()
        self.model_ = clone(self.model).set_params(backend=self.backend)
        self.model_.fit(X, y)
        return self

    @property
    def columns(self) -> list[str]:
        """All columns that the model looks at."""
        return [*self.numbers_, *self.dates_, *self.text_]

    @property
    def not_numbers(self) -> list[str]:
        """Those to be read as text, whatever they look like in another file."""
        return [*self.dates_, *self.text_]

    def transform(self, table: Table) -> Array:
        """The numbers (n_rows, n_encoded_columns) that the model sees.

        Raises
        ------
        DataError
            If a column is missing, or one of numbers holds text or infinity; the message names it.
        """
        if not hasattr(self, "model_"):
            raise NotFittedError("This TablePipeline instance is not fitted yet; call fit first")
        absent = [name for name in self.columns if name not in table.columns]
        if absent:
            some = ", ".join(map(repr, absent))
            raise DataError(f"the table lacks the column{'s' * (len(absent) > 1)} {some}, which the model looks at")
        X = self._side_by_side(table)
        return X if self.scaler_ is None else self.scaler_.transform(X)

    def predict(self, table: Table) -> Array:
        """Labels or numbers (n_rows,)."""
        X = self.transform(table)
        self.unseen_ = self._count_unseen(table)
        return self.model_.predict(X)

    def predict_proba(self, table: Table) -> Array | None:
        """The probability of each class (n_rows, n_classes), or None of a model that gives none."""
        if getattr(self.model_, "predict_proba", None) is None:
            return None
        found: Array = self.model_.predict_proba(self.transform(table))
        return found

    def _side_by_side(self, table: Table) -> Array:
        blocks = []
        if self.imputer_ is not None:
            blocks.append(self.imputer_.transform(self._numbers(table)))
        if self.encoder_ is not None:
            blocks.append(self.encoder_.transform(self._text(table)))
        return namespace(*blocks).concat(blocks, axis=1)

    def _numbers(self, table: Table) -> host.HostArray:
        numbers = {name: finite_numbers(table, name) for name in self.numbers_}
        days = {name: host.float_array(days_since_1970(table[name].tolist(), name)) for name in self.dates_}
        return Table(numbers | days).matrix()

    def _text(self, table: Table) -> host.HostArray:
        return host.stack_objects([host.objects([_word(value) for value in table[name]]) for name in self.text_])

    def _imputer(self) -> Any:
        return classical.SimpleImputer(strategy="median", backend=self.backend)

    def _encoder(self, text: host.HostArray) -> Any:
        different = {name: len({*column.tolist()}) for name, column in zip(self.text_, text.T, strict=True)}
        self.merged_ = {name: count for name, count in different.items() if count > self.max_categories}
        categories = [self._frequent(column.tolist()) for column in text.T]
        given = {"categories": categories, "backend": self.backend}
        if self.encode == "one-hot":
            return classical.OneHotEncoder(handle_unknown="ignore", **given).fit(text)
        if self.encode != "ordinal":
            raise ArgumentError(f"encode: expected 'one-hot' or 'ordinal', got {self.encode!r}")
        return classical.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, **given).fit(text)

    def _frequent(self, values: list[str]) -> host.HostArray:
        counts = Counter(values)
        ranked = sorted(counts, key=lambda value: (-counts[value], value))
        return host.objects(sorted(ranked[: self.max_categories]))

    def _names(self) -> list[str]:
        names = [*self.numbers_, *self.dates_]
        if self.encoder_ is None or self.encode == "ordinal":
            return names + self.text_
        return names + [
            f"{name}={category}"
            for name, categories in zip(self.text_, self.encoder_.categories_, strict=True)
            for category in categories.tolist()
        ]

    def _scaler(self) -> Any:
        if self.scale is None:
            return None
        if self.scale == "standard":
            return classical.StandardScaler(backend=self.backend)
        if self.scale == "min-max":
            return classical.MinMaxScaler(clip=True, backend=self.backend)
        raise ArgumentError(f"scale: expected 'standard', 'min-max' or None, got {self.scale!r}")

    def _count_unseen(self, table: Table) -> dict[str, int]:
        if self.encoder_ is None:
            return {}
        found = {}
        for name, column, known in zip(self.text_, self._text(table).T, self.encoder_.categories_, strict=True):
            told_apart = {*known.tolist()}
            found[name] = sum(value not in told_apart for value in column.tolist())
        return {name: count for name, count in found.items() if count}


def pipeline_of(
    model: str, task: str, settings: dict[str, Any] | None = None, *, seed: int = 0, backend: str = "numpy"
) -> TablePipeline:
    """The pipeline of a model in `MODELS`.

    Parameters
    ----------
    model : str
    task : {"classification", "regression"}
    settings : dict of str to object, optional
        Parameters of the estimator.
    seed : int
        What the estimator draws from, unless the settings say.
    backend : str

    Raises
    ------
    ArgumentError
        If there is no such model, it does not do this task, or has no such parameter.
    """
    if model not in MODELS:
        raise ArgumentError(f"model: expected one of {', '.join(MODELS)}, got {model!r}")
    known = MODELS[model]
    name = known.classifier if task == TASKS[0] else known.regressor
    if name is None:
        others = [each for each, entry in MODELS.items() if (entry.classifier, entry.regressor)[TASKS.index(task)]]
        raise ArgumentError(f"model: {model} does no {task}; expected one of {', '.join(others)}")
    estimator = getattr(classical, name)()
    free = sorted({*estimator.get_params()} - {"backend", "random_state"})
    for setting in settings or {}:
        if setting not in free:
            raise ArgumentError(f"set: {model} has no parameter {setting!r}; it has {', '.join(free)}")
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=seed)
    estimator.set_params(**settings or {})
    return TablePipeline(estimator, known.encoding, known.scaling, backend=backend)


def task_of(target: host.HostArray) -> tuple[str, str]:
    """Which task a column of targets (n_rows,) without missing values sets, and why.

    Text names classes.  Whole numbers do if there are at most max(2, min(20, n_rows // 5)) different ones.
    """
    if host.is_text(target):
        return TASKS[0], "the target is text"
    different = len({*target.tolist()})
    most = max(2, min(20, len(target) // 5))
    if not bool((target == target.round()).all()):
        return TASKS[1], "the target has numbers that are not whole"
    if different <= most:
        return TASKS[0], f"the target has {different} different whole numbers, at most {most}"
    return TASKS[1], f"the target has {different} different whole numbers, more than {most}"


def finite_numbers(table: Table, name: str) -> host.HostArray:
    """A column of numbers (n_rows,), NaN among them but none infinite.

    Raises
    ------
    DataError
        If it holds text, or numbers that are infinite or larger than `LARGEST`; the message names the row.
    """
    column = table[name]
    if host.is_text(column):
        texts = ((row, value) for row, value in enumerate(column.tolist(), start=1) if not _is_number(value))
        row, value = next(texts, (1, column[0]))
        raise DataError(
            f"column {name!r}, row {row}: expected a number, as the model was fitted on, got the text {value!r}"
        )
    too_large = (abs(column) > LARGEST).tolist()
    if any(too_large):
        row, value = too_large.index(True) + 1, column[too_large][0]
        expected = "a finite number" if abs(value) == float("inf") else f"a number of at most {LARGEST:.0e}"
        raise DataError(f"column {name!r}, row {row}: expected {expected}, got {value}; mend the row or leave it out")
    return column


def _is_number(value: Any) -> bool:
    try:
        float("nan" if value is None else value)
    except ValueError:
        return False
    return True


def _word(value: Any) -> str:
    """Text as it is; a number, where the column held text before, as it would be written."""
    if type(value) is str:
        return value
    if host.is_missing(value):
        return _MISSING
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(float(value))
    return str(value)
