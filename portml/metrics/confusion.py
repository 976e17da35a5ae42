r"""Which class was taken for which: the confusion matrix, and the shares that are read off it.

With :math:`C_{ij}` the samples of class i that were predicted as class j, class k has :math:`C_{kk}` true positives,
was predicted :math:`\sum_i C_{ik}` times and occurs :math:`\sum_j C_{kj}` times, so that

.. math::
    \mathrm{precision}_k = \frac{C_{kk}}{\sum_i C_{ik}}, \quad \mathrm{recall}_k = \frac{C_{kk}}{\sum_j C_{kj}}, \quad
    F_{\beta,k} = \frac{(1 + \beta^2) C_{kk}}{\beta^2 \sum_j C_{kj} + \sum_i C_{ik}}.

The averages over classes are those of Sokolova & Lapalme, "A systematic analysis of performance measures for
classification tasks" (2009): *macro* is the plain mean, *weighted* the mean by how often a class occurs, *micro* sums
the counts of all classes first.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

from portml.backends import Array, device_of, dtype_kind, namespace, to_numpy
from portml.backends.kernels.rows import index_add
from portml.errors import ArgumentError
from portml.metrics.inputs import (
    divided,
    gathered,
    is_text,
    read_labels,
    refuse_unequal_lengths,
    warn_undefined,
    weights_like,
)

__all__ = [
    "balanced_accuracy_score",
    "confusion_matrix",
    "f1_score",
    "fbeta_score",
    "precision_recall_fscore_support",
    "precision_score",
    "recall_score",
]

AVERAGES = (None, "binary", "micro", "macro", "weighted")
NORMALISED = (None, "true", "pred", "all")


class Counts(NamedTuple):
    """Sums of weights for each class, (n_classes,) in float64."""

    right: Array
    predicted: Array
    true: Array


def confusion_matrix(
    y_true: Any, y_pred: Any, *, labels: Any = None, sample_weight: Any = None, normalize: str | None = None
) -> Array:
    """How many samples of each class (rows) were predicted as each class (columns).

    Parameters
    ----------
    y_true, y_pred : array (n_samples,)
        Whole numbers, truth values, or text on the host.
    labels : array (n_classes,), optional
        The classes and their order; None takes those that occur, sorted, which waits for a device.  Samples of other
        classes are left out.
    sample_weight : array (n_samples,), optional
    normalize : {"true", "pred", "all"}, optional
        Divide by the sums of rows, of columns, or of all; where that is zero there are zeros.

    Returns
    -------
    array (n_classes, n_classes)
        int64, or float64 with floating-point weights or `normalize`; on the backend of the arrays.
    """
    y_true, y_pred, labels, sample_weight = gathered(y_true, y_pred, labels, sample_weight)
    _refuse_unknown("normalize", normalize, NORMALISED)
    if labels is not None and labels.shape[0] == 0:
        raise ArgumentError("labels: should contain at least one label, got none")
    matrix = _matrix(y_true, y_pred, labels, sample_weight)[:-1, :-1]
    xp = namespace(matrix)
    if matrix.shape == (1, 1) and labels is None:
        warnings.warn(
            "A single label was found in 'y_true' and 'y_pred'. For the confusion matrix to have the correct shape, "
            "use the 'labels' parameter to pass all known labels.",
            UserWarning,
            stacklevel=2,
        )
    if normalize is not None:
        axis = {"true": 1, "pred": 0, "all": None}[normalize]
        return divided(matrix, xp.sum(matrix, axis=axis, keepdims=True), 0.0)
    whole = sample_weight is None or dtype_kind(sample_weight.dtype) != "float"
    return xp.astype(matrix, xp.int64) if whole else matrix


def balanced_accuracy_score(y_true: Any, y_pred: Any, *, sample_weight: Any = None, adjusted: bool = False) -> Array:
    """The mean of the recalls of the classes that occur in `y_true`.  [Brodersen et al. 2010]

    Parameters
    ----------
    y_true, y_pred : array (n_samples,)
    sample_weight : array (n_samples,), optional
    adjusted : bool
        Whether to scale so that guessing scores 0 and perfection 1.

    Returns
    -------
    array (), float64
    """
    y_true, y_pred, sample_weight = gathered(y_true, y_pred, sample_weight)
    counts = _counts(_matrix(y_true, y_pred, None, sample_weight))
    xp = namespace(counts.true)
    present = xp.astype(counts.true != 0, xp.float64)
    n = xp.sum(present)
    if bool(to_numpy(n) < counts.true.shape[0]):
        warnings.warn("y_pred contains classes not in y_true", UserWarning, stacklevel=2)
    score = xp.sum(divided(counts.right, counts.true, 0.0)) / n
    return (score - 1 / n) / (1 - 1 / n) if adjusted else score


def precision_recall_fscore_support(
    y_true: Any,
    y_pred: Any,
    *,
    beta: float = 1.0,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = None,
    sample_weight: Any = None,
    zero_division: Any = "warn",
    warn_for: tuple[str, ...] = ("precision", "recall", "f-score"),
) -> tuple[Array, Array, Array, Array | None]:
    """Precision, recall, F-beta and support, of each class or averaged.

    Parameters
    ----------
    y_true, y_pred : array (n_samples,)
        Whole numbers, truth values, or text on the host.
    beta : float
        How much more recall counts than precision in the F-score; 0 gives precision, infinity recall.
    labels : array (n_classes,), optional
        The classes to report or to average over; None takes all that occur.
    pos_label : label
        The class that counts where ``average="binary"``.
    average : {"binary", "micro", "macro", "weighted"}, optional
        None reports every class.
    sample_weight : array (n_samples,), optional
    zero_division : {"warn", 0, 1, nan}
        What stands where a denominator is zero, 0 with a warning by default; NaN are left out of averages.
    warn_for : tuple of str
        Of which measures to warn.

    Returns
    -------
    precision, recall, fscore : array () or (n_classes,), float64
    support : array (n_classes,) or None
        How often each class occurs in `y_true`; None with an average.

    Raises
    ------
    ArgumentError
        If an option is unknown, or "binary" is asked for where there are more classes or none is `pos_label`.
    """
    _refuse_unknown("average", average, AVERAGES)
    if zero_division != "warn" and not (zero_division in (0, 1) or zero_division != zero_division):
        raise ArgumentError(f"zero_division: expected 'warn', 0, 1 or nan, got {zero_division!r}")
    if not beta >= 0:
        raise ArgumentError(f"beta: expected a number of at least 0, got {beta}")
    y_true, y_pred, labels, sample_weight = gathered(y_true, y_pred, labels, sample_weight)
    if average == "binary":
        labels = _positive_label(y_true, y_pred, pos_label)
    elif pos_label not in (None, 1):
        warnings.warn(
            f"Note that pos_label (set to {pos_label!r}) is ignored when average != 'binary' (got {average!r}). "
            "You may use labels=[pos_label] to specify a single positive class.",
            UserWarning,
            stacklevel=2,
        )
    counts = _counts(_matrix(y_true, y_pred, labels, sample_weight))
    xp, support = namespace(counts.true), counts.true
    if average == "micro":
        counts = Counts(*(xp.sum(each, keepdims=True) for each in counts))
    scores = _scores(counts, beta, average, zero_division, warn_for)
    if average is None:
        whole = sample_weight is None or dtype_kind(sample_weight.dtype) != "float"
        return (*scores, xp.astype(support, xp.int64) if whole else support)
    weight = counts.true if average == "weighted" else xp.ones_like(counts.true)
    precision, recall, fscore = (_mean_of_numbers(score, weight) for score in scores)
    return precision, recall, fscore, None


def precision_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> Array:
    """The share of what was predicted as a class that is of that class; see `precision_recall_fscore_support`."""
    options: dict[str, Any] = {"labels": labels, "pos_label": pos_label, "average": average}
    options |= {"sample_weight": sample_weight, "zero_division": zero_division, "warn_for": ("precision",)}
    return precision_recall_fscore_support(y_true, y_pred, **options)[0]


def recall_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> Array:
    """The share of a class that was predicted as such; see `precision_recall_fscore_support`."""
    options: dict[str, Any] = {"labels": labels, "pos_label": pos_label, "average": average}
    options |= {"sample_weight": sample_weight, "zero_division": zero_division, "warn_for": ("recall",)}
    return precision_recall_fscore_support(y_true, y_pred, **options)[1]


def f1_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> Array:
    """The harmonic mean of precision and recall; see `precision_recall_fscore_support`."""
    options: dict[str, Any] = {"labels": labels, "pos_label": pos_label, "average": average}
    options |= {"sample_weight": sample_weight, "zero_division": zero_division}
    return fbeta_score(y_true, y_pred, beta=1.0, **options)


def fbeta_score(
    y_true: Any,
    y_pred: Any,
    *,
    beta: float,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> Array:
    """The weighted harmonic mean of precision and recall; see `precision_recall_fscore_support`."""
    options: dict[str, Any] = {"beta": beta, "labels": labels, "pos_label": pos_label, "average": average}
    options |= {"sample_weight": sample_weight, "zero_division": zero_division, "warn_for": ("f-score",)}
    return precision_recall_fscore_support(y_true, y_pred, **options)[2]


def _matrix(y_true: Array, y_pred: Array, labels: Array | None, sample_weight: Array | None) -> Array:
    """Sums of weights (n_classes + 1, n_classes + 1) in float64; the last row and column are of any other class."""
    refuse_unequal_lengths(y_true=y_true, y_pred=y_pred, sample_weight=sample_weight)
    true, predicted, classes = read_labels(y_true, y_pred, labels)
    xp, size = namespace(true), classes.shape[0] + 1
    weight = weights_like(sample_weight, true, xp.float64)
    return xp.reshape(index_add(weight, true * size + predicted, n=size * size), (size, size))


def _counts(matrix: Array) -> Counts:
    xp = namespace(matrix)
    return Counts(xp.linalg.diagonal(matrix)[:-1], xp.sum(matrix, axis=0)[:-1], xp.sum(matrix, axis=1)[:-1])


def _scores(
    counts: Counts, beta: float, average: str | None, zero_division: Any, warn_for: tuple[str, ...]
) -> tuple[Array, Array, Array]:
    def share(numerator: Array, denominator: Array, measure: str, of_what: str) -> Array:
        if zero_division == "warn" and measure in warn_for:
            _warn_of_nothing(denominator, measure, of_what, average)
        return divided(numerator, denominator, 0.0 if zero_division == "warn" else float(zero_division))

    precision = share(counts.right, counts.predicted, "precision", "predicted")
    recall = share(counts.right, counts.true, "recall", "true")
    if math.isinf(beta) or beta == 0:
        return precision, recall, recall if beta else precision
    both = beta**2 * counts.true + counts.predicted
    return precision, recall, share((1 + beta**2) * counts.right, both, "f-score", "true nor predicted")


def _warn_of_nothing(denominator: Array, measure: str, of_what: str, average: str | None) -> None:
    if bool(to_numpy(namespace(denominator).any(denominator == 0))):
        where = "due to" if average in ("binary", "micro") else "in labels with"
        warn_undefined(
            f"{measure.capitalize()} is ill-defined and being set to 0.0 {where} no {of_what} samples. "
            "Use `zero_division` parameter to control this behavior."
        )


def _mean_of_numbers(scores: Array, weight: Array) -> Array:
    """The weighted mean of the scores that are numbers, the plain mean where no weight is left, NaN if none is one."""
    xp = namespace(scores, weight)
    present = xp.astype(~xp.isnan(scores), xp.float64)
    weight = weight * present
    weight = xp.where(xp.sum(weight) == 0, present, weight)
    return divided(xp.sum(xp.where(present == 0, 0.0, scores) * weight), xp.sum(weight))


def _positive_label(y_true: Array, y_pred: Array, pos_label: Any) -> Array:
    present = to_numpy(read_labels(y_true, y_pred).classes).tolist()
    if len(present) > 2:
        raise ArgumentError(
            "Target is multiclass but average='binary'. Please choose another average setting, one of "
            "[None, 'micro', 'macro', 'weighted']."
        )
    if len(present) == 2 and pos_label not in present:
        raise ArgumentError(f"pos_label={pos_label} is not a valid label. It should be one of {present}")
    if is_text(y_true):
        return gathered([str(pos_label)])[0]
    xp = namespace(y_true)
    return xp.asarray([int(pos_label)], dtype=xp.int64, device=device_of(y_true))


def _refuse_unknown(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise ArgumentError(f"{name}: expected one of {allowed}, got {value!r}")
