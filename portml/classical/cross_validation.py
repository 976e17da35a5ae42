"""Cross-validation: fit on all folds but one, score on that one, in turn."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

from portml.backends import get_backend
from portml.classical.estimator import Estimator, clone
from portml.classical.host import HostArray
from portml.classical.k_fold import KFold, StratifiedKFold
from portml.classical.rows import labels_on_host, number_of_rows, rows_of
from portml.classical.scoring import Scorer, scorer_of
from portml.errors import ArgumentError

__all__ = ["cross_val_score", "cross_validate", "folds_of"]


def cross_val_score(
    estimator: Any, X: Any, y: Any = None, *, scoring: Any = None, cv: Any = None, params: Any = None
) -> HostArray:
    """The score of every fold, (n_splits,) in float64; see `cross_validate`."""
    if scoring is not None and not isinstance(scoring, str) and not callable(scoring):
        raise ArgumentError(
            f"scoring: expected None, a name or a callable, got {scoring!r}; for several cross_validate"
        )
    scores: HostArray = cross_validate(estimator, X, y, scoring=scoring, cv=cv, params=params)["test_score"]
    return scores


def cross_validate(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    scoring: Any = None,
    cv: Any = None,
    params: Mapping[str, Any] | None = None,
    return_train_score: bool = False,
    return_estimator: bool = False,
    return_indices: bool = False,
) -> dict[str, Any]:
    """Fit a clone of the estimator on every fold's training samples, and score it on those held out.

    Parameters
    ----------
    estimator : estimator
        Anything with ``fit``: portml's, scikit-learn's, a pipeline.
    X : array, data frame or list with n_samples rows
    y : array (n_samples,) or (n_samples, n_outputs), optional
    scoring : None, str, callable, list of names or dict of them
        None takes the estimator's own ``score``; for names see `portml.classical.scoring.SCORES`; a callable is called
        with estimator, X and y.
    cv : int, splitter or iterable of (train, test), optional
        None is 5 folds; of classifiers they are stratified.
    params : dict, optional
        Arguments of ``fit``; those with n_samples rows are divided too, as ``sample_weight``.
    return_train_score, return_estimator, return_indices : bool
        Whether to give scores of the training samples, the fitted estimators, and the positions as well.

    Returns
    -------
    dict
        ``test_score`` (or ``test_<name>`` of several scores), ``fit_time`` and ``score_time`` in seconds, each an array
        (n_splits,) in float64; where asked for ``train_score``, ``estimator`` and ``indices``.
    """
    n = number_of_rows(X, y)
    scorers = _scorers(scoring)
    results: dict[str, list[Any]] = {"fit_time": [], "score_time": []}
    estimators, indices = [], []
    for train, test in folds_of(cv, estimator, X, y):
        fitted, parts = clone(estimator), [(rows_of(X, part), rows_of(y, part)) for part in (test, train)]
        options = {
            name: rows_of(value, train) if _has_rows(value, n) else value for name, value in (params or {}).items()
        }
        started = time.perf_counter()
        fitted.fit(*(parts[1] if y is not None else parts[1][:1]), **options)
        ended = time.perf_counter()
        for prefix, part in zip(("test", "train"), parts if return_train_score else parts[:1], strict=False):
            for name, scorer in scorers.items():
                results.setdefault(f"{prefix}_{name}", []).append(float(scorer(fitted, *part)))
            if prefix == "test":
                results["score_time"].append(time.perf_counter() - ended)
        results["fit_time"].append(ended - started)
        estimators.append(fitted)
        indices.append((train, test))
    numpy = get_backend("numpy")
    found: dict[str, Any] = {name: numpy.asarray(values, dtype="float64") for name, values in results.items()}
    if return_estimator:
        found["estimator"] = estimators
    if return_indices:
        found["indices"] = {"train": [train for train, _ in indices], "test": [test for _, test in indices]}
    return found


def folds_of(cv: Any, estimator: Any, X: Any, y: Any) -> Iterable[tuple[HostArray, HostArray]]:
    """The folds that `cv` stands for: positions to fit and to test on, for each."""
    if cv is None or isinstance(cv, Integral):
        n_splits = 5 if cv is None else int(cv)
        stratified = y is not None and _is_classifier(estimator) and labels_on_host(y).ndim == 1
        cv = StratifiedKFold(n_splits) if stratified else KFold(n_splits)
    if hasattr(cv, "split") and not isinstance(cv, str):
        folds: Iterable[tuple[HostArray, HostArray]] = cv.split(X, None if y is None else labels_on_host(y))
        return folds
    if not isinstance(cv, Iterable) or isinstance(cv, str):
        raise ArgumentError(
            f"Expected `cv` as an integer, a cross-validation object (with a split method), or an iterable. Got {cv}."
        )
    asarray = get_backend("numpy").xp.asarray
    return [(asarray(train), asarray(test)) for train, test in cv]


def _scorers(scoring: Any) -> dict[str, Scorer]:
    if isinstance(scoring, Mapping):
        return {name: scorer_of(each) for name, each in scoring.items()}
    if isinstance(scoring, list | tuple | set):
        return {name: scorer_of(name) for name in scoring}
    return {"score": scorer_of(scoring)}


def _is_classifier(estimator: Any) -> bool:
    if isinstance(estimator, Estimator):
        return estimator._estimator_type == "classifier"
    tags = getattr(estimator, "__sklearn_tags__", None)
    if tags is not None:  # asked of one of scikit-learn's own, which has loaded it
        return bool(tags().estimator_type == "classifier")
    return getattr(estimator, "_estimator_type", None) == "classifier"


def _has_rows(value: Any, n: int) -> bool:
    return (hasattr(value, "shape") or isinstance(value, list | tuple)) and number_of_rows(value) == n
