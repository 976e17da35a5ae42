from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portml.backends import Backend, to_numpy
from portml.classical import GaussianNB, LogisticRegression
from portml.classical.table_models import MODELS, TASKS
from portml.classical.table_pipeline import TablePipeline, pipeline_of, task_of
from portml.data import Table
from portml.errors import ArgumentError, DataError, NotFittedError

Y = np.asarray([0, 1, 0, 1, 0, 1])


def words(*values: Any) -> Any:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def table(**columns: Any) -> Table:
    given = {
        "age": np.asarray([1.0, np.nan, 3.0, 4.0, 2.0, 9.0]),
        "city": words("Rome", "Oslo", None, "Rome", "Bonn", "Rome"),
        "nothing": np.full(6, np.nan),
        "when": words("2025-01-01", None, "2025-01-03", "2025-01-02", "2025-01-05", "2025-01-04"),
    }
    return Table(given | columns)


def test_numbers_are_imputed_dates_counted_and_text_encoded(backend: Backend) -> None:
    pipeline = TablePipeline(GaussianNB(), scale=None, backend=backend.name).fit(table(), Y)
    X = pipeline.transform(table())
    assert type(X) is type(backend.asarray(Y))
    found = to_numpy(X)
    assert pipeline.feature_names_ == ["age", "when", "city=", "city=Bonn", "city=Oslo", "city=Rome"]
    assert pipeline.left_out_ == ["nothing"]
    np.testing.assert_array_equal(found[:, 0], [1, 3, 3, 4, 2, 9])
    np.testing.assert_array_equal(found[:, 1] - found[0, 1], [0, 2, 2, 1, 4, 3])
    np.testing.assert_array_equal(found[:, 2:], np.eye(4)[[3, 2, 0, 3, 1, 3]])


def test_places_of_categories_are_their_order_and_unseen_ones_come_before() -> None:
    pipeline = TablePipeline(GaussianNB(), encode="ordinal", scale=None).fit(table(), Y)
    assert pipeline.feature_names_ == ["age", "when", "city"]
    np.testing.assert_array_equal(pipeline.transform(table())[:, 2], [3, 2, 0, 3, 1, 3])
    other = table(city=words("Rome", "Lima", "Lima", None, "Kyiv", 5.0))
    np.testing.assert_array_equal(pipeline.transform(other)[:, 2], [3, -1, -1, 0, -1, -1])
    pipeline.predict(other)
    assert pipeline.unseen_ == {"city": 4}


def test_only_the_most_frequent_categories_are_told_apart() -> None:
    pipeline = TablePipeline(GaussianNB(), max_categories=1).fit(table(), Y)
    assert pipeline.feature_names_[-1] == "city=Rome"
    assert pipeline.merged_ == {"city": 4}


@pytest.mark.parametrize("scale", ["standard", "min-max"])
def test_columns_are_scaled(scale: str) -> None:
    X = TablePipeline(GaussianNB(), scale=scale).fit(table(), Y).transform(table())
    low, high = (X.mean(axis=0), X.std(axis=0)) if scale == "standard" else (X.min(axis=0), X.max(axis=0))
    np.testing.assert_allclose(low, 0, atol=1e-12)
    np.testing.assert_allclose(high, 1)


def test_what_lies_beyond_the_range_is_taken_as_its_end() -> None:
    pipeline = TablePipeline(GaussianNB(), scale="min-max").fit(table(), Y)
    found = pipeline.transform(table(age=np.asarray([-5.0, 50.0, 1.0, 9.0, 5.0, np.nan])))
    np.testing.assert_allclose(found[:, 0], [0, 1, 0, 1, 0.5, 0.25])


def test_what_is_no_way_to_prepare_is_refused() -> None:
    with pytest.raises(ArgumentError, match="encode: expected 'one-hot' or 'ordinal', got 'hashed'"):
        TablePipeline(GaussianNB(), encode="hashed").fit(table(), Y)
    with pytest.raises(ArgumentError, match="scale: expected 'standard', 'min-max' or None, got 'rank'"):
        TablePipeline(GaussianNB(), scale="rank").fit(table(), Y)
    with pytest.raises(NotFittedError):
        TablePipeline(GaussianNB()).transform(table())
    with pytest.raises(DataError, match="no column with values"):
        TablePipeline(GaussianNB()).fit(Table({"nothing": np.full(6, np.nan)}), Y)


def test_probabilities_are_none_of_a_model_without() -> None:
    assert pipeline_of("linear-support-vectors", "classification").fit(table(), Y).predict_proba(table()) is None
    found = TablePipeline(LogisticRegression()).fit(table(), Y).predict_proba(table())
    assert found is not None
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model_is_fitted_by_name_or_refused_by_it(model: str, task: str) -> None:
    known = MODELS[model]
    if (known.classifier if task == "classification" else known.regressor) is None:
        with pytest.raises(ArgumentError, match=f"model: {model} does no {task}; expected one of"):
            pipeline_of(model, task)
        return
    pipeline = pipeline_of(model, task, {"n_estimators": 2} if model == "random-forest" else {})
    assert to_numpy(pipeline.fit(table(), Y if task == "classification" else Y * 1.5).predict(table())).shape == (6,)


@pytest.mark.parametrize(
    ("target", "task"),
    [
        (words("a", "b"), "classification"),
        (np.asarray([0.0, 1.0, 1.0]), "classification"),
        (np.asarray([0.5, 1.0, 1.0]), "regression"),
        (np.arange(100.0) % 20, "classification"),
        (np.arange(100.0) % 21, "regression"),
    ],
)
def test_the_task_is_what_the_target_looks_like(target: Any, task: str) -> None:
    assert task_of(target)[0] == task
