r"""Measures for scores that rank the samples: the receiver operating characteristic and the area under it.

The area is the probability that a positive sample scores higher than a negative one, ties counting half [Hanley &
McNeil 1982]; so it is summed here without drawing the curve:

.. math:: \mathrm{AUC} = \frac{1}{W_+ W_-} \sum_{i \in +} w_i \left( W_-(s < s_i) + \tfrac12 W_-(s = s_i) \right)

with :math:`W_-(s < s_i)` the weight of the negative samples that score lower.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from portml.backends import Array, backend_of, device_of, namespace, to_numpy
from portml.backends.operations import argsort, searchsorted
from portml.errors import ArgumentError, ShapeError
from portml.metrics.inputs import (
    codes_of,
    divided,
    float_type,
    gathered,
    is_text,
    refuse_unequal_lengths,
    sorted_labels,
    warn_undefined,
    weights_like,
)

__all__ = ["auc", "roc_auc_score", "roc_curve"]


def roc_curve(
    y_true: Any, y_score: Any, *, pos_label: Any = None, sample_weight: Any = None, drop_intermediate: bool = True
) -> tuple[Array, Array, Array]:
    """The share of positives found against the share of negatives taken for positive, over all thresholds.

    How many points there are depends on the values: a device is waited for.

    Parameters
    ----------
    y_true : array (n_samples,)
        Of two classes.
    y_score : array (n_samples,)
        The higher, the more probably positive.
    pos_label : label, optional
        The positive class; None takes 1 of labels that are {0, 1} or {-1, 1}.
    sample_weight : array (n_samples,), optional
    drop_intermediate : bool
        Whether to leave out points on a straight line between others.

    Returns
    -------
    fpr, tpr : array (n_points,), float64
        From (0, 0) to (1, 1).
    thresholds : array (n_points,), float64
        A sample that scores at least this counts as positive; the first is infinite.

    Raises
    ------
    ArgumentError
        If there are more than two classes, or `pos_label` must be given.
    """
    y_true, y_score, sample_weight = gathered(y_true, y_score, sample_weight)
    refuse_unequal_lengths(y_true=y_true, y_score=y_score, sample_weight=sample_weight)
    positive = _positives(y_true, y_score, pos_label)
    xp = namespace(y_score)
    weight = weights_like(sample_weight, y_score, xp.float64)
    order = argsort(y_score, descending=True)
    score, weight = xp.take(y_score, order), xp.take(weight, order)
    found = xp.take(positive, order) * weight
    tps, fps = xp.cumulative_sum(found), xp.cumulative_sum(weight - found)
    chosen = backend_of(y_score).asarray(_turns(tps, fps, score, weight, drop_intermediate))
    tps, fps, thresholds = (xp.take(each, chosen) for each in (tps, fps, xp.astype(score, xp.float64)))
    start = xp.zeros((1,), dtype=xp.float64, device=device_of(y_score))
    totals = to_numpy(xp.stack([fps[-1], tps[-1]])).tolist()
    for total, kind, rate in zip(totals, ("negative", "positive"), ("false", "true"), strict=True):
        if total <= 0:
            warn_undefined(f"No {kind} samples in y_true, {rate} positive value should be meaningless")
    fpr, tpr = (
        xp.concat([start, each]) / (total if total > 0 else math.nan)
        for each, total in zip((fps, tps), totals, strict=True)
    )
    return fpr, tpr, xp.concat([start + math.inf, thresholds])


def auc(x: Any, y: Any) -> Array:
    """The area under a curve by the trapezoidal rule.

    Parameters
    ----------
    x : array (n_points,)
        In ascending or in descending order.
    y : array (n_points,)

    Returns
    -------
    array ()
    """
    x, y = gathered(x, y)
    refuse_unequal_lengths(x=x, y=y)
    if x.shape[0] < 2:
        raise ShapeError(f"At least 2 points are needed to compute area under curve, but x.shape = {x.shape}")
    xp = namespace(x, y)
    steps = x[1:] - x[:-1]
    if bool(to_numpy(xp.any(steps < 0) & xp.any(steps > 0))):
        raise ArgumentError("x is neither increasing nor decreasing")
    return xp.sum(xp.abs(steps) * (y[1:] + y[:-1])) * 0.5


def roc_auc_score(
    y_true: Any,
    y_score: Any,
    *,
    average: str | None = "macro",
    sample_weight: Any = None,
    multi_class: str = "raise",
    labels: Any = None,
) -> Array:
    """The area under the receiver operating characteristic: how often a positive sample scores above a negative one.

    Parameters
    ----------
    y_true : array (n_samples,)
        Of two classes the greater is the positive one.
    y_score : array (n_samples,), or with more than two classes probabilities (n_samples, n_classes)
    average : {"macro", "weighted"}, optional
        Of several classes: the mean, the mean by how often they occur, or None for each class.
    sample_weight : array (n_samples,), optional
    multi_class : {"ovr", "ovo"}
        Each class against the rest, or the mean over pairs of classes [Hand & Till 2001].
    labels : array (n_classes,), optional
        The classes of the columns; None takes those that occur, which waits for a device.

    Returns
    -------
    array (), or (n_classes,) where ``average=None``; float64
        NaN with a warning where a class is absent, as then there is nothing to compare.

    Raises
    ------
    ArgumentError
        If there are several classes and `multi_class` is not given, or scores that are no probabilities.
    """
    y_true, y_score, sample_weight, labels = gathered(y_true, y_score, sample_weight, labels)
    refuse_unequal_lengths(y_true=y_true, y_score=y_score, sample_weight=sample_weight)
    classes = sorted_labels(y_true)
    if classes.shape[0] <= 2 and (len(y_score.shape) == 1 or y_score.shape[1] <= 2):
        if len(y_score.shape) == 2:
            raise ShapeError(
                "y_score: expected scores of the greater class, (n_samples,), where there are two classes, got "
                f"{y_score.shape}; take y_score[:, 1]"
            )
        return _warned(_two_class_area(y_true, y_score, classes, sample_weight))
    _refuse_unfit_scores(y_score, multi_class, average)
    classes = _classes_of_columns(classes, labels, y_score)
    if multi_class == "ovo":
        if sample_weight is not None:
            raise ArgumentError("sample_weight is not supported for multiclass one-vs-one ROC AUC")
        return _warned(_mean_over_pairs(codes_of(y_true, classes), y_score, average))
    codes = codes_of(y_true, classes)
    return _warned(_one_against_rest(codes, y_score, average, sample_weight))


def _two_class_area(y_true: Array, y_score: Array, classes: Array, sample_weight: Array | None) -> Array:
    xp = namespace(y_score)
    if classes.shape[0] < 2:
        return xp.astype(xp.sum(y_score) * math.nan, xp.float64)
    weight = weights_like(sample_weight, y_score, xp.float64)
    positive = xp.astype(codes_of(y_true, classes), xp.float64)
    return area(y_score, weight * positive, weight * (1 - positive))


def area(score: Array, positive: Array, negative: Array) -> Array:
    """The area under the curve from each sample's weight as a positive and as a negative one, (n_samples,)."""
    xp = namespace(score, positive, negative)
    order = xp.argsort(score)
    ascending, below = xp.take(score, order), xp.cumulative_sum(xp.take(negative, order), include_initial=True)
    lower = xp.take(below, searchsorted(ascending, score, side="left"))
    not_higher = xp.take(below, searchsorted(ascending, score, side="right"))
    won = xp.sum(positive * (lower + not_higher)) * 0.5
    return divided(won, xp.sum(positive) * xp.sum(negative))


def _one_against_rest(codes: Array, y_score: Array, average: str | None, sample_weight: Array | None) -> Array:
    xp = namespace(y_score)
    weight = weights_like(sample_weight, y_score, xp.float64)
    areas, supports = [], []
    for k in range(y_score.shape[1]):
        positive = weight * xp.astype(codes == k, xp.float64)
        areas.append(area(y_score[:, k], positive, weight - positive))
        supports.append(xp.sum(positive))
    areas, support = xp.stack(areas), xp.stack(supports)
    if average is None:
        return areas
    return xp.mean(areas) if average == "macro" else xp.sum(areas * support) / xp.sum(support)


def _mean_over_pairs(codes: Array, y_score: Array, average: str | None) -> Array:
    xp = namespace(y_score)
    n = y_score.shape[1]
    of = [xp.astype(codes == k, xp.float64) for k in range(n)]

    def pairs() -> Iterator[tuple[Array, Array]]:
        for a, b in combinations(range(n), 2):
            both = area(y_score[:, a], of[a], of[b]) + area(y_score[:, b], of[b], of[a])
            yield both / 2, xp.sum(of[a]) + xp.sum(of[b])

    areas, support = (xp.stack(each) for each in zip(*pairs(), strict=True))
    return xp.mean(areas) if average == "macro" else xp.sum(areas * support) / xp.sum(support)


def _warned(areas: Array) -> Array:
    if bool(to_numpy(namespace(areas).any(namespace(areas).isnan(areas)))):
        warn_undefined("Only one class is present in y_true. ROC AUC score is not defined in that case.")
    return areas


def _positives(y_true: Array, y_score: Array, pos_label: Any) -> Array:
    """1 where a sample is positive and 0 elsewhere, in float64 on the backend of the scores."""
    if len(y_true.shape) != 1 or len(y_score.shape) != 1:
        raise ShapeError(f"expected y_true and y_score (n_samples,), got {y_true.shape} and {y_score.shape}")
    present = to_numpy(sorted_labels(y_true)).tolist()
    if pos_label is None:
        if len(present) > 2:
            raise ArgumentError("multiclass format is not supported: give pos_label, the class that is positive")
        if is_text(y_true) or not ({*present} <= {0, 1} or {*present} <= {-1, 1}):
            raise ArgumentError(
                f"y_true takes value in {present} and pos_label is not specified: either make y_true take value in "
                "{0, 1} or {-1, 1} or pass pos_label explicitly."
            )
        pos_label = 1
    xp = namespace(y_score)
    if is_text(y_true):
        return backend_of(y_score).asarray((y_true == pos_label).astype("float64"))
    return xp.astype(y_true == pos_label, xp.float64)


def _turns(tps: Array, fps: Array, score: Array, weight: Array, drop_intermediate: bool) -> Array:
    """The places of the points to keep, found on the host: the last of each score, and of those the corners."""
    tps, fps, score, weight = (to_numpy(each) for each in (tps, fps, score, weight))
    host = namespace(score)
    counted = host.nonzero(weight != 0)[0]
    if not counted.shape[0]:
        raise ArgumentError("sample_weight: expected a weight that is not zero, got none")
    score = score[counted]
    last = counted[host.nonzero(host.concat([score[1:] != score[:-1], host.asarray([True])]))[0]]
    if drop_intermediate and last.shape[0] > 2:
        bent = (host.diff(tps[last], n=2) != 0) | (host.diff(fps[last], n=2) != 0)
        ends = host.asarray([True])
        last = last[host.nonzero(host.concat([ends, bent, ends]))[0]]
    return last


def _refuse_unfit_scores(y_score: Array, multi_class: str, average: str | None) -> None:
    if multi_class not in ("ovr", "ovo"):
        raise ArgumentError(
            f"multi_class must be in ('ovo', 'ovr') where there are more than two classes, got {multi_class!r}"
        )
    if average not in ("macro", "weighted", None) or (average is None and multi_class == "ovo"):
        raise ArgumentError(f"average: expected 'macro', 'weighted', or None with 'ovr', got {average!r}")
    if len(y_score.shape) != 2:
        raise ShapeError(f"y_score: expected probabilities (n_samples, n_classes), got {y_score.shape}")
    xp = namespace(y_score)
    if bool(to_numpy(xp.any(xp.abs(xp.sum(xp.astype(y_score, float_type(y_score)), axis=1) - 1) > 1e-5))):
        raise ArgumentError(
            "Target scores need to be probabilities for multiclass roc_auc, i.e. they should sum up to 1.0 over classes"
        )


def _classes_of_columns(found: Array, labels: Array | None, y_score: Array) -> Array:
    columns = y_score.shape[1]
    if labels is None:
        if found.shape[0] != columns:
            raise ArgumentError("Number of classes in y_true not equal to the number of columns in 'y_score'")
        return found
    given, present = to_numpy(labels).tolist(), to_numpy(found).tolist()
    if given != sorted(set(given)):
        raise ArgumentError("Parameter 'labels' must be unique and ordered")
    if len(given) != columns:
        raise ArgumentError(
            f"Number of given labels, {len(given)}, not equal to the number of columns in 'y_score', {columns}"
        )
    if not {*present} <= {*given}:
        raise ArgumentError("'y_true' contains labels not in parameter 'labels'")
    return labels
