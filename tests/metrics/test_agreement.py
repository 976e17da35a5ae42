"""Measures agree with scikit-learn's of the same name, on every backend, edge cases included."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as theirs

from portml import metrics as ours
from portml.backends import Backend, library_of, to_numpy

RNG = np.random.default_rng(0)
N = 97
LABELS = {
    "two classes": (RNG.integers(0, 2, N), RNG.integers(0, 2, N)),
    "four classes": (RNG.integers(0, 4, N), RNG.integers(0, 4, N)),
    "a class never predicted": (RNG.integers(0, 3, N), RNG.integers(0, 2, N)),
    "a class only predicted": (RNG.integers(0, 2, N), RNG.integers(0, 3, N)),
    "labels with gaps": (RNG.choice([-3, 5, 90], N), RNG.choice([-3, 5, 90], N)),
    "labels as floats": (RNG.choice([0.0, 1.0], N), RNG.choice([0.0, 1.0], N)),
    "nothing right": (np.zeros(5, int), np.ones(5, int)),
}
WEIGHTS = RNG.uniform(0, 2, N)
AVERAGED = [*itertools.product(["precision_score", "recall_score", "f1_score"], [None, "micro", "macro", "weighted"])]


def agree(backend: Backend, name: str, *arguments: Any, **options: Any) -> None:
    """Both compute the same from the same arguments; ours on a backend and there the result stays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = getattr(theirs, name)(*arguments, **options)
        moved = {key: on(backend, value) for key, value in options.items()}
        actual = getattr(ours, name)(*(on(backend, value) for value in arguments), **moved)
    for one, other in zip(as_tuple(actual), as_tuple(expected), strict=True):
        if other is None:
            assert one is None
            continue
        assert library_of(one).name == backend.name
        np.testing.assert_allclose(to_numpy(one), other, rtol=1e-12, atol=1e-12)


def on(backend: Backend, value: Any) -> Any:
    return backend.asarray(value) if isinstance(value, np.ndarray) else value


def as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", LABELS)
def test_counts_of_labels_agree(backend: Backend, case: str, weighted: bool) -> None:
    y, z = LABELS[case]
    options = {"sample_weight": WEIGHTS[: len(y)]} if weighted else {}
    agree(backend, "accuracy_score", y, z, **options)
    agree(backend, "accuracy_score", y, z, normalize=False, **options)
    agree(backend, "balanced_accuracy_score", y, z, **options)
    agree(backend, "confusion_matrix", y, z, **options)
    agree(backend, "precision_recall_fscore_support", y, z, beta=0.5, **options)


@pytest.mark.parametrize(("name", "average"), AVERAGED)
@pytest.mark.parametrize("case", LABELS)
def test_averages_agree(backend: Backend, case: str, name: str, average: str | None) -> None:
    for zero_division in ("warn", 1, np.nan):
        agree(backend, name, *LABELS[case], average=average, zero_division=zero_division)


@pytest.mark.parametrize("beta", [0.0, 0.5, 2.0, np.inf])
def test_the_f_score_of_any_beta_agrees(backend: Backend, beta: float) -> None:
    agree(backend, "fbeta_score", *LABELS["two classes"], beta=beta)
    agree(backend, "fbeta_score", *LABELS["a class never predicted"], beta=beta, average="macro")


@pytest.mark.parametrize("name", ["precision_score", "recall_score", "f1_score"])
def test_the_positive_class_can_be_chosen(backend: Backend, name: str) -> None:
    for pos_label in (0, 1):
        agree(backend, name, *LABELS["two classes"], pos_label=pos_label)
    agree(backend, name, *LABELS["labels as floats"])
    agree(backend, name, np.ones(3, int), np.ones(3, int))
    agree(backend, name, *LABELS["four classes"], labels=np.asarray([2, 0]), average="micro")


@pytest.mark.parametrize("normalize", ["true", "pred", "all"])
def test_normalised_confusion_agrees(backend: Backend, normalize: str) -> None:
    agree(backend, "confusion_matrix", *LABELS["a class never predicted"], normalize=normalize)
    agree(backend, "confusion_matrix", *LABELS["four classes"], labels=np.asarray([3, 1, 0]), normalize=normalize)


def test_balanced_accuracy_adjusted_agrees(backend: Backend) -> None:
    agree(backend, "balanced_accuracy_score", *LABELS["four classes"], adjusted=True)


SCORES = {
    "distinct": RNG.uniform(size=N),
    "with ties": RNG.integers(0, 5, N) / 4,
    "all equal": np.full(N, 0.5),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", SCORES)
def test_the_curve_and_its_area_agree(backend: Backend, case: str, weighted: bool) -> None:
    y, score = LABELS["two classes"][0], SCORES[case]
    options = {"sample_weight": np.where(WEIGHTS < 0.3, 0.0, WEIGHTS)} if weighted else {}
    agree(backend, "roc_auc_score", y, score, **options)
    for drop in (False, True):
        agree(backend, "roc_curve", y, score, drop_intermediate=drop, **options)
    agree(backend, "roc_curve", 2 * y - 1, score)
    agree(backend, "roc_curve", y, score, pos_label=0)


@pytest.mark.parametrize("average", ["macro", "weighted", None])
def test_areas_of_several_classes_agree(backend: Backend, average: str | None) -> None:
    y = RNG.integers(0, 3, N)
    score = np.round(RNG.dirichlet([1, 1, 1], N), 1)
    score[:, 2] = 1 - score[:, 0] - score[:, 1]
    agree(backend, "roc_auc_score", y, score, multi_class="ovr", average=average)
    agree(backend, "roc_auc_score", y, score, multi_class="ovr", average=average, sample_weight=WEIGHTS)
    agree(backend, "roc_auc_score", np.where(y == 2, 1, y), score, multi_class="ovr", labels=np.arange(3))
    if average is not None:
        agree(backend, "roc_auc_score", y, score, multi_class="ovo", average=average)


def test_the_trapezoidal_rule_agrees_in_both_directions(backend: Backend) -> None:
    x, y = np.sort(RNG.uniform(size=9)), RNG.uniform(size=9)
    agree(backend, "auc", x, y)
    agree(backend, "auc", x[::-1].copy(), y)


@pytest.mark.parametrize("weighted", [False, True])
def test_log_loss_agrees(backend: Backend, weighted: bool) -> None:
    options = {"sample_weight": WEIGHTS} if weighted else {}
    y = RNG.integers(0, 3, N)
    proba = RNG.dirichlet([1, 1, 1], N)
    proba[:2] = np.eye(3)[:2]
    agree(backend, "log_loss", y, proba, **options)
    agree(backend, "log_loss", y, proba, normalize=False, **options)
    agree(backend, "log_loss", LABELS["two classes"][0], SCORES["distinct"], **options)
    agree(backend, "log_loss", np.zeros(4, int), proba[:4], labels=np.arange(3))


@pytest.mark.parametrize("name", ["mean_squared_error", "root_mean_squared_error", "mean_absolute_error", "r2_score"])
def test_measures_of_regression_agree(backend: Backend, name: str) -> None:
    y, z = RNG.normal(size=(N, 3)), RNG.normal(size=(N, 3))
    y[:, 2] = 1.0
    averages: list[Any] = ["uniform_average", "raw_values", np.asarray([0.2, 0.3, 0.5])]
    for multioutput in [*averages, "variance_weighted"] if name == "r2_score" else averages:
        agree(backend, name, y, z, multioutput=multioutput)
        agree(backend, name, y, z, multioutput=multioutput, sample_weight=WEIGHTS)
    agree(backend, name, y[:, 0], z[:, 0])
    agree(backend, name, y, y)
    agree(backend, name, y[:, 0].astype("float32"), y[:, 0].astype("float32"))


def test_the_share_explained_without_a_bound_agrees(backend: Backend) -> None:
    y = np.ones(4)
    agree(backend, "r2_score", y, y, force_finite=False)
    with np.errstate(all="ignore"):
        agree(backend, "r2_score", y, y + 1, force_finite=False)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine", "chebyshev"])
def test_silhouettes_agree(backend: Backend, metric: str) -> None:
    X, labels = RNG.normal(size=(N, 4)), RNG.integers(0, 3, N)
    labels[0] = 9
    agree(backend, "silhouette_samples", X, labels, metric=metric)
    agree(backend, "silhouette_score", X, labels, metric=metric)


BOTH: list[Callable[[Any], Any]] = [
    lambda m: m.accuracy_score(["a", "b", "b"], ["a", "b", "a"]),
    lambda m: m.f1_score(["a", "b", "b"], ["a", "b", "a"], average="macro"),
    lambda m: m.precision_score(["a", "b", "b"], ["a", "b", "a"], pos_label="b"),
    lambda m: m.confusion_matrix(["spam", "ham", "spam"], ["ham", "ham", "spam"], labels=["spam", "ham"]),
    lambda m: m.roc_auc_score(["a", "b", "b"], [0.1, 0.5, 0.05]),
    lambda m: m.roc_curve(["a", "b", "b"], [0.1, 0.5, 0.05], pos_label="b")[1],
    lambda m: m.log_loss(["a", "b", "b"], [0.1, 0.5, 0.7]),
    lambda m: m.mean_squared_error([1, 2, 3], [1, 2, 5]),
    lambda m: m.accuracy_score([True, False], [True, True]),
    lambda m: m.f1_score([True, False], [True, True]),
]


@pytest.mark.parametrize("call", BOTH)
def test_lists_and_text_agree(call: Callable[[Any], Any]) -> None:
    np.testing.assert_allclose(call(ours), call(theirs), rtol=1e-12)
