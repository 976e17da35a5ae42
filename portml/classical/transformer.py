"""Estimators that turn a table into another one, and the names of its columns."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, Self

from portml.backends import Array, to_numpy
from portml.classical import host
from portml.classical.estimator import Estimator
from portml.classical.scikit_learn import container_of
from portml.classical.validation import require_fitted
from portml.errors import ArgumentError, MissingDependencyError

__all__ = ["OneToOneTransformer", "Transformer", "input_names"]


class Transformer(Estimator):
    """An estimator that learns how to change X, and changes it."""

    _estimator_type: str | None = "transformer"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in {"transform", "fit_transform"} & vars(cls).keys():
            setattr(cls, name, _in_its_container(vars(cls)[name]))

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from X; `y` is not looked at."""
        raise NotImplementedError

    def transform(self, X: Any) -> Any:
        """X changed, (n_samples, n_features_out)."""
        raise NotImplementedError

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Fit, and X changed."""
        return self.fit(X, y, **fit_params).transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> host.HostArray:
        """The names of the columns of the result."""
        raise NotImplementedError

    def set_output(self, *, transform: str | None = None) -> Self:
        """Say what `transform` gives.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, optional
            An array on X's backend, or a data frame on the host; None leaves it as it is.
        """
        if transform is not None:
            if transform not in ("default", "pandas", "polars"):
                raise ArgumentError(f"transform: expected 'default', 'pandas' or 'polars', got {transform!r}")
            self._sklearn_output_config = {"transform": transform}
        return self


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


def _in_its_container(transform: Callable[..., Any]) -> Callable[..., Any]:
    """`transform`, its result as the data frame that was asked for."""

    @functools.wraps(transform)
    def contained(self: Transformer, X: Any, *arguments: Any, **options: Any) -> Any:
        result = transform(self, X, *arguments, **options)
        container = container_of(self)
        if container == "default" or not hasattr(result, "shape") or hasattr(result, "columns"):
            return result
        return _frame(container, result, self.get_feature_names_out(), getattr(X, "index", None))

    return contained


def _frame(container: str, result: Array, names: host.HostArray, index: Any) -> Any:
    try:
        library = importlib.import_module(container)
    except ImportError as error:
        raise MissingDependencyError(
            f"set_output(transform={container!r}) needs {container}, which is not installed: pip install {container}"
        ) from error
    table = to_numpy(result)
    if container == "polars":
        return library.DataFrame(table, schema=list(names), orient="row")
    index = index if hasattr(index, "get_indexer") else None  # a list's `index` is a method
    return library.DataFrame(table, columns=names, index=index, copy=False)
