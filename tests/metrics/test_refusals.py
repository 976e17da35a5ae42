"""What measures refuse, and what they say of it; what has no value is said to have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from portml import metrics
from portml.backends import Backend, get_backend, to_numpy
from portml.errors import ArgumentError, MixedBackendsError, ShapeError, UndefinedMetricWarning
from portml.metrics import (
    accuracy_score,
    auc,
    confusion_matrix,
    f1_score,
    inertia,
    log_loss,
    mean_squared_error,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
    roc_curve,
    silhouette_samples,
    silhouette_score,
)

MATRIX = np.eye(4)

REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: accuracy_score([], []), ShapeError, "at least one sample"),
    (lambda: accuracy_score([1, 2], [1]), ShapeError, "inconsistent numbers of samples"),
    (lambda: accuracy_score(["a"], [1]), ArgumentError, "Mix of label input types"),
    (lambda: accuracy_score([[1, 0]], [[1, 0]]), ShapeError, "expected labels"),
    (lambda: f1_score([[1, 0]], [[1, 0]]), ShapeError, "multilabel is not supported"),
    (lambda: f1_score(["a", "b"], [1, 2]), ArgumentError, "Mix of label input types"),
    (lambda: f1_score([0.5, 1.0], [1.0, 1.0]), ArgumentError, "continuous is not supported"),
    (lambda: f1_score([0, 1, 2], [0, 1, 2]), ArgumentError, "Target is multiclass but average='binary'"),
    (lambda: f1_score([0, 2], [0, 2]), ArgumentError, "pos_label=1 is not a valid label"),
    (lambda: f1_score([0, 1], [0, 1], average="samples"), ArgumentError, "average: expected one of"),
    (lambda: f1_score([0, 1], [0, 1], zero_division=3), ArgumentError, "zero_division: expected"),
    (lambda: confusion_matrix([0, 1], [0, 1], labels=[]), ArgumentError, "at least one label"),
    (lambda: confusion_matrix([0, 1], [0, 1], normalize="rows"), ArgumentError, "normalize: expected one of"),
    (lambda: confusion_matrix([0, 1], [0, 1], labels=["a"]), ArgumentError, "labels: expected the kind"),
    (lambda: confusion_matrix([0, 1], [0, 1], sample_weight=[1.0]), ShapeError, "inconsistent numbers"),
    (lambda: log_loss([0, 1], [0.5, 1.5]), ArgumentError, "probabilities from 0 to 1, got -0.5"),
    (lambda: log_loss([0, 1], [0.5, np.nan]), ArgumentError, "probabilities from 0 to 1"),
    (lambda: log_loss([1, 1], [0.5, 0.5]), ArgumentError, "contains only one label"),
    (lambda: log_loss([1, 1], [0.5, 0.5], labels=[1]), ArgumentError, "at least two labels"),
    (lambda: log_loss([0, 1, 2, 3], np.full((4, 2), 0.5)), ArgumentError, "different number of classes: 4 vs 2"),
    (lambda: log_loss([0, 7], [0.5, 0.5], labels=[0, 1]), ArgumentError, "not belonging to the passed labels"),
    (lambda: mean_squared_error([1, 2], [[1, 2], [3, 4]]), ShapeError, "different number of output"),
    (lambda: mean_squared_error([1.0], [1.0], multioutput="all"), ArgumentError, "multioutput: expected"),
    (lambda: mean_squared_error([1.0], [1.0], multioutput=[0.5, 0.5]), ShapeError, "a weight for each"),
    (lambda: roc_curve([0, 1, 2], [0.1, 0.2, 0.3]), ArgumentError, "multiclass format is not supported"),
    (lambda: roc_curve([0, 2], [0.1, 0.2]), ArgumentError, "pos_label is not specified"),
    (lambda: roc_curve([0, 1], MATRIX[:2]), ShapeError, "expected y_true and y_score"),
    (lambda: roc_curve([0, 1], [0.1, 0.2], sample_weight=[0, 0]), ArgumentError, "a weight that is not zero"),
    (lambda: roc_auc_score([0, 1, 2, 0], MATRIX), ArgumentError, "multi_class must be in"),
    (lambda: roc_auc_score([0, 1, 2, 0], MATRIX, multi_class="ovr"), ArgumentError, "Number of classes in y_true"),
    (lambda: roc_auc_score([0, 1], MATRIX[:2, :2]), ShapeError, "take y_score"),
    (lambda: roc_auc_score([0, 1, 2, 3], 2 * MATRIX, multi_class="ovr"), ArgumentError, "sum up to 1.0"),
    (lambda: auc([0.0], [1.0]), ShapeError, "At least 2 points"),
    (lambda: auc([0, 1, 0.5], [1, 1, 1]), ArgumentError, "neither increasing nor decreasing"),
    (lambda: silhouette_score(MATRIX, [0, 0, 0, 0]), ArgumentError, "Number of labels is 1"),
    (lambda: silhouette_score(MATRIX, [0, 1, 2, 3]), ArgumentError, "Number of labels is 4"),
    (lambda: silhouette_samples(MATRIX, [0, 1, 1, 0], metric="hamming"), ArgumentError, "metric: expected one of"),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_what_does_not_fit_is_refused_by_name(call: Callable[[], Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_arrays_of_two_backends_are_refused() -> None:
    there = get_backend("strict").asarray([0, 1])
    with pytest.raises(MixedBackendsError):
        accuracy_score(there, np.asarray([0, 1]))
    with pytest.raises(MixedBackendsError, match="text lives on the host"):
        confusion_matrix(there, there, labels=["a", "b"])


UNDEFINED: list[tuple[Callable[[], Any], str, float]] = [
    (lambda: precision_score([1, 0], [0, 0]), "Precision is ill-defined .* due to no predicted samples", 0.0),
    (lambda: recall_score([0, 0], [1, 0]), "Recall is ill-defined .* due to no true samples", 0.0),
    (lambda: f1_score([0, 0], [0, 0]), "F-score is ill-defined .* no true nor predicted samples", 0.0),
    (lambda: f1_score([0], [0], labels=[0, 5], average="macro"), "in labels with no true nor predicted", 0.5),
    (lambda: roc_auc_score([1, 1], [0.5, 0.2]), "Only one class is present in y_true", np.nan),
    (lambda: r2_score([1.0], [1.0]), "not well-defined with less than two samples", np.nan),
    (lambda: roc_curve([1, 1], [0.5, 0.2], pos_label=1)[0][-1], "No negative samples in y_true", np.nan),
]


@pytest.mark.parametrize(("call", "message", "value"), UNDEFINED)
def test_what_has_no_value_is_warned_of(call: Callable[[], Any], message: str, value: float) -> None:
    with pytest.warns(UndefinedMetricWarning, match=message):
        found = call()
    np.testing.assert_equal(float(found), value)


@pytest.mark.parametrize("measure", [metrics.mean_squared_error, metrics.mean_absolute_error, metrics.r2_score])
def test_measures_of_regression_stay_in_float32(backend: Backend, xp: Any, measure: Callable[..., Any]) -> None:
    y = backend.asarray(np.arange(5.0), "float32")
    assert measure(y, y + 1).dtype == xp.float32


def test_the_area_needs_no_look_at_the_scores(backend: Backend) -> None:
    y, score = backend.asarray([0, 1, 1, 0]), backend.asarray([0.1, 0.4, 0.35, 0.8], "float32")
    assert float(to_numpy(roc_auc_score(y, score))) == 0.5


def test_inertia_is_the_weighted_sum_of_squared_distances(backend: Backend, dtype: Any) -> None:
    X = backend.asarray([[0.0, 0.0], [1.0, 1.0], [4.0, 0.0]], dtype)
    centers = backend.asarray([[0.0, 1.0], [3.0, 0.0]], dtype)
    labels, weight = backend.asarray([0, 0, 1]), backend.asarray([1.0, 2.0, 3.0])
    found = inertia(X, labels, centers, sample_weight=weight)
    assert found.dtype == dtype
    assert float(to_numpy(found)) == 1 + 2 + 3


def test_silhouettes_are_the_same_whatever_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(41, 3)), rng.integers(0, 3, 41)
    whole = silhouette_samples(X, labels)
    monkeypatch.setattr("portml.metrics.clustering.BLOCK", 100)
    np.testing.assert_allclose(silhouette_samples(X, labels), whole, rtol=1e-12)
