"""Names of features: recorded from the data frame that an estimator is fitted to, and compared with later ones."""

from __future__ import annotations

from typing import Any

from portml.classical import host
from portml.classical.scikit_learn import warn
from portml.errors import ArgumentError

__all__ = ["check_names"]


def check_names(estimator: Any, X: Any, *, reset: bool) -> None:
    """Record the names of a data frame's columns, or compare them with those recorded."""
    names = host.column_names(X)
    fitted = getattr(estimator, "feature_names_in_", None)
    if reset:
        if names is not None:
            estimator.feature_names_in_ = names
        elif fitted is not None:
            del estimator.feature_names_in_
    elif names is None and fitted is not None:
        message = f"X does not have valid feature names, but {type(estimator).__name__} was fitted with feature names"
        warn(UserWarning, message, stacklevel=5)
    elif names is not None and fitted is None:
        message = f"X has feature names, but {type(estimator).__name__} was fitted without feature names"
        warn(UserWarning, message, stacklevel=5)
    elif names is not None and fitted is not None and list(names) != list(fitted):
        raise ArgumentError(_how_names_differ(list(names), list(fitted)))


def _how_names_differ(names: list[str], fitted: list[str]) -> str:
    message = "The feature names should match those that were passed during fit.\n"
    unseen, missing = sorted({*names} - {*fitted}), sorted({*fitted} - {*names})
    for title, found in (
        ("Feature names unseen at fit time:", unseen),
        ("Feature names seen at fit time, yet now missing:", missing),
    ):
        if found:
            lines = [f"- {name}\n" for name in found[:5]] + ["- ...\n"] * (len(found) > 5)
            message += f"{title}\n{''.join(lines)}"
    if not unseen and not missing:
        message += "Feature names must be in the same order as they were in fit.\n"
    return message
