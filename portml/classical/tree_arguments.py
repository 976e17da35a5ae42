"""What trees and forests are told, read alike: when to split a node, at which columns to look, what samples weigh."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from portml.backends import Array, device_of, namespace, to_numpy
from portml.classical import host
from portml.classical.tree_growth import Growth
from portml.classical.tree_table import MOST_BINS
from portml.classical.validation import check_parameter
from portml.errors import ArgumentError

__all__ = ["CLASSIFICATION", "REGRESSION", "as_float32", "growth_of", "weights_of"]

CLASSIFICATION = {"gini": "gini", "entropy": "entropy", "log_loss": "entropy"}
REGRESSION = {"squared_error": "squared_error"}
LARGEST = 3.4028234663852886e38
"""The largest number of float32."""


def growth_of(estimator: Any, criteria: Mapping[str, str], shape: tuple[int, int], n_classes: int) -> Growth:
    """Check the parameters of a tree or forest, and say in numbers what shares of samples and columns mean.

    Parameters
    ----------
    estimator : Estimator
        Its parameters are read, but for the weight that a leaf must have, which needs the weights.
    criteria : mapping
        The names of the criteria it takes.
    shape : (n_samples, n_features)
    n_classes : int

    Raises
    ------
    ArgumentError
        In scikit-learn's words.
    """
    n_samples, n_features = shape

    def check(name: str, valid: bool, expected: str) -> None:
        check_parameter(estimator, name, valid, expected)

    names = ", ".join(repr(name) for name in criteria)
    check("criterion", _is_in(estimator.criterion, criteria), f"a str among {{{names}}}")
    depth = estimator.max_depth
    check("max_depth", depth is None or _is_integer(depth, 1), "an int in the range [1, inf) or None")
    split, leaf = estimator.min_samples_split, estimator.min_samples_leaf
    valid = _is_integer(split, 2) or _is_share(split)
    check("min_samples_split", valid, "an int in the range [2, inf) or a float in the range (0.0, 1.0]")
    valid = _is_integer(leaf, 1) or (_is_share(leaf) and leaf < 1.0)
    check("min_samples_leaf", valid, "an int in the range [1, inf) or a float in the range (0.0, 1.0)")
    fraction, decrease = estimator.min_weight_fraction_leaf, estimator.min_impurity_decrease
    valid = isinstance(fraction, Real) and 0.0 <= float(fraction) <= 0.5
    check("min_weight_fraction_leaf", valid, "a float in the range [0.0, 0.5]")
    valid = isinstance(decrease, Real) and float(decrease) >= 0.0
    check("min_impurity_decrease", valid, "a float in the range [0.0, inf)")
    bins = estimator.max_bins
    valid = bins is None or (_is_integer(bins, 2) and bins <= MOST_BINS)
    check("max_bins", valid, f"an int in the range [2, {MOST_BINS}] or None")

    least_leaf = leaf if isinstance(leaf, Integral) else math.ceil(leaf * n_samples)
    least_split = split if isinstance(split, Integral) else max(2, math.ceil(split * n_samples))
    return Growth(
        criterion=criteria[estimator.criterion],
        n_classes=n_classes,
        max_depth=sys.maxsize if depth is None else int(depth),
        min_samples_split=max(int(least_split), 2 * int(least_leaf)),
        min_samples_leaf=int(least_leaf),
        min_weight_leaf=float(fraction) * n_samples,
        min_impurity_decrease=float(decrease),
        max_features=_n_columns(estimator, n_features),
    )


def weights_of(class_weight: Any, targets: Array, classes: Array, sample_weight: Array | None) -> Array | None:
    """The weights of the samples times those of their classes, (n_samples,) of float64; None: all 1.

    Parameters
    ----------
    class_weight : dict, "balanced" or None
        "balanced" gives every class the same total: a sample weighs n_samples / (n_classes · samples of its class).
    targets : array (n_samples,) of int32
    classes : array (n_classes,)
    sample_weight : array (n_samples,), optional

    Raises
    ------
    ArgumentError
        If `class_weight` is none of these, or names a class that is not there.
    """
    xp = namespace(targets)
    weights = None if sample_weight is None else xp.astype(sample_weight, xp.float64)
    if class_weight is None:
        return weights
    number = xp.arange(classes.shape[0], dtype=targets.dtype, device=device_of(targets))
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ArgumentError(
                f"The 'class_weight' parameter must be a dict, 'balanced' or None. Got {class_weight!r} instead."
            )
        counts = xp.sum(xp.astype(targets[:, None] == number[None, :], xp.float64), axis=0)
        of_class = targets.shape[0] / (classes.shape[0] * counts)
    elif isinstance(class_weight, Mapping):
        labels = (classes if host.is_host_array(classes) else to_numpy(classes)).tolist()
        unknown = [label for label in class_weight if label not in labels]
        if unknown:
            raise ArgumentError(f"The classes, {unknown}, are not in class_weight: expected some of {labels}")
        listed = [float(class_weight.get(label, 1.0)) for label in labels]
        of_class = xp.asarray(listed, dtype=xp.float64, device=device_of(targets))
    else:
        raise ArgumentError(
            f"The 'class_weight' parameter must be a dict, 'balanced' or None. Got {class_weight!r} instead."
        )
    found = xp.take(of_class, targets, axis=0)
    return found if weights is None else weights * found


def as_float32(X: Array) -> Array:
    """X as trees compare it.

    Raises
    ------
    ArgumentError
        If a value is too large for float32.
    """
    xp = namespace(X)
    if X.dtype == xp.float32:
        return X
    if bool(to_numpy(xp.any(xp.abs(X) > LARGEST))):
        raise ArgumentError("Input X contains infinity or a value too large for dtype('float32').")
    return xp.astype(X, xp.float32)


def _n_columns(estimator: Any, n_features: int) -> int:
    wanted = estimator.max_features
    check_parameter(
        estimator,
        "max_features",
        wanted is None or _is_in(wanted, ("sqrt", "log2")) or _is_integer(wanted, 1) or _is_share(wanted),
        "an int in the range [1, inf), a float in the range (0.0, 1.0], a str among {'sqrt', 'log2'} or None",
    )
    if wanted is None:
        return n_features
    if isinstance(wanted, str):
        return max(1, int(math.sqrt(n_features) if wanted == "sqrt" else math.log2(n_features)))
    if isinstance(wanted, Integral):
        return min(int(wanted), n_features)
    return max(1, int(wanted * n_features))


def _is_in(value: Any, names: Any) -> bool:
    return isinstance(value, str) and value in names


def _is_integer(value: Any, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def _is_share(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, Integral) and 0.0 < float(value) <= 1.0
