"""Scores by name: what ``scoring="roc_auc"`` means.

Greater is better, so that losses have a minus sign and names that begin with ``neg_``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from portml import metrics
from portml.backends import Array, to_numpy
from portml.errors import ArgumentError

__all__ = ["SCORES", "Scorer", "scorer_of"]

Scorer = Callable[[Any, Any, Any], float]
"""Called with a fitted estimator, X and y."""


class Score(NamedTuple):
    """A measure of `portml.metrics`, and what of an estimator it looks at."""

    metric: str
    response: str = "predict"
    sign: int = 1
    options: tuple[tuple[str, Any], ...] = ()


SCORES = {
    "accuracy": Score("accuracy_score"),
    "balanced_accuracy": Score("balanced_accuracy_score"),
    **{
        f"{name}{suffix}": Score(f"{name}_score", options=(("average", average),))
        for name in ("precision", "recall", "f1")
        for suffix, average in (
            ("", "binary"),
            ("_macro", "macro"),
            ("_micro", "micro"),
            ("_weighted", "weighted"),
        )
    },
    "roc_auc": Score("roc_auc_score", "decision"),
    "roc_auc_ovr": Score("roc_auc_score", "predict_proba", options=(("multi_class", "ovr"),)),
    "roc_auc_ovo": Score("roc_auc_score", "predict_proba", options=(("multi_class", "ovo"),)),
    "neg_log_loss": Score("log_loss", "predict_proba", -1),
    "r2": Score("r2_score"),
    "neg_mean_squared_error": Score("mean_squared_error", sign=-1),
    "neg_root_mean_squared_error": Score("root_mean_squared_error", sign=-1),
    "neg_mean_absolute_error": Score("mean_absolute_error", sign=-1),
}


def scorer_of(scoring: Any) -> Scorer:
    """A function of a fitted estimator, X and y.

    Parameters
    ----------
    scoring : None, str or callable
        None takes the estimator's own ``score``; a name one of `SCORES`; a callable is taken as it is.

    Raises
    ------
    ArgumentError
        If there is no score of that name.
    """
    if scoring is None:
        return _own_score
    if callable(scoring):
        given: Scorer = scoring
        return given
    if scoring not in SCORES:
        raise ArgumentError(f"{scoring!r} is not a valid scoring value; choose one of {', '.join(sorted(SCORES))}")
    score = SCORES[scoring]

    def scored(estimator: Any, X: Any, y: Any) -> float:
        found = getattr(metrics, score.metric)(y, _response(estimator, X, score.response), **_options(score, estimator))
        return score.sign * float(to_numpy(found) if hasattr(found, "shape") else found)

    return scored


def _own_score(estimator: Any, X: Any, y: Any) -> float:
    return float(estimator.score(X) if y is None else estimator.score(X, y))


def _options(score: Score, estimator: Any) -> dict[str, Any]:
    options = dict(score.options)
    if score.response == "predict_proba":
        options["labels"] = estimator.classes_
    return options


def _response(estimator: Any, X: Any, response: str) -> Array:
    """Predictions, probabilities, or for "decision" values of which higher ones are for the second class."""
    if response != "decision":
        return getattr(estimator, response)(X)
    if hasattr(estimator, "decision_function"):
        return estimator.decision_function(X)
    probability = estimator.predict_proba(X)
    return probability[:, 1] if probability.shape[1] == 2 else probability
