"""Estimators that turn a table into another one, and the names of its columns."""

from __future__ import annotations

from typing import Any, Self

from portml.backends import Array
from portml.classical import host
from portml.classical.estimator import Estimator
from portml.classical.validation import require_fitted
from portml.errors import ArgumentError

__all__ = ["OneToOneTransformer", "Transformer"]


class Transformer(Estimator):
    """An estimator that learns how to change X, and changes it."""

    _estimator_type = "transformer"

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from X; `y` is not looked at."""
        raise NotImplementedError

    def transform(self, X: Any) -> Array:
        """X changed, (n_samples, n_features_out)."""
        raise NotImplementedError

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Array:
        """Fit, and X changed."""
        return self.fit(X, y, **fit_params).transform(X)


class OneToOneTransformer(Transformer):
    """A transformer whose result has the columns of X."""

    def get_feature_names_out(self, input_features: Any = None) -> host.HostArray:
        """The names of the columns of the result, those of X."""
        return input_names(self, input_features)


def input_names(estimator: Any, input_features: Any = None) -> host.HostArray:
    """The names of the columns an estimator was fitted on, as an array (n_features,) of text.

    Parameters
    ----------
    estimator : Estimator
        A fitted one.
    input_features : list of str, optional
        Names for columns that have none; None gives ``x0``, ``x1``, ...

    Raises
    ------
    ArgumentError
        If `input_features` are not as many as the columns, or not the names seen in fit.
    """
    require_fitted(estimator)
    seen, n = getattr(estimator, "feature_names_in_", None), estimator.n_features_in_
    if input_features is None:
        return host.names_array(seen if seen is not None else [f"x{index}" for index in range(n)])
    names = host.names_array(input_features)
    if seen is not None and list(names) != list(seen):
        raise ArgumentError("input_features is not equal to feature_names_in_")
    if len(names) != n:
        raise ArgumentError(f"input_features should have length equal to number of features ({n}), got {len(names)}")
    return names
