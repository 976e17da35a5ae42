"""What every estimator is: parameters that are stored, arrays that are learnt, and a score.

A constructor does nothing but store its arguments under their own names.  ``fit`` learns attributes whose names end in
``_`` and returns the estimator.  These are scikit-learn's conventions, so that its pipelines, searches and
cross-validation take portml's estimators as they take their own.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any, Self

from portml.backends import Array
from portml.classical import scikit_learn
from portml.classical.scores import accuracy_of, r2_of
from portml.errors import ArgumentError, DtypeError

__all__ = ["Classifier", "Clusterer", "Estimator", "Regressor", "clone"]


class Estimator:
    """The root of all estimators: parameters by name.

    A subclass's constructor names every parameter and stores each unchanged; ``*args`` and ``**kwargs`` are not for
    estimators.
    """

    _estimator_type: str | None = None
    _requires_y = False
    n_features_in_: int

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with `deep` also those of parameters that are estimators, as ``outer__inner``."""
        found: dict[str, Any] = {}
        for name in parameter_names(type(self)):
            value = getattr(self, name)
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                found |= {f"{name}__{inner}": parameter for inner, parameter in value.get_params().items()}
            found[name] = value
        return found

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name, ``outer__inner`` for those of a parameter that is an estimator.

        Raises
        ------
        ArgumentError
            If there is no parameter of that name.
        """
        names = parameter_names(type(self))
        nested: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            name, inner, rest = key.partition("__")
            if name not in names:
                raise ArgumentError(
                    f"Invalid parameter {name!r} for estimator {self!r}. Valid parameters are: {sorted(names)!r}."
                )
            if inner:
                nested.setdefault(name, {})[rest] = value
            else:
                setattr(self, name, value)
        for name, inner_params in nested.items():
            getattr(self, name).set_params(**inner_params)
        return self

    def __repr__(self) -> str:
        """The call that makes such an estimator: only what differs from the defaults."""
        parameters = inspect.signature(type(self)).parameters
        shown = []
        for name in parameter_names(type(self)):
            value, default = getattr(self, name), parameters[name].default
            if repr(value) != repr(default):
                shown.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def __sklearn_tags__(self) -> Any:
        return scikit_learn.tags_of(self)


class Classifier(Estimator):
    """An estimator that predicts one of `classes_`."""

    _estimator_type = "classifier"
    _requires_y = True
    classes_: Array

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The weighted share of samples whose label `predict` gives.

        Parameters
        ----------
        X : array (n_samples, n_features)
        y : array (n_samples,)
        sample_weight : array (n_samples,), optional
        """
        return accuracy_of(y, self.predict(X), sample_weight)

    def predict(self, X: Any) -> Array:
        """Labels (n_samples,)."""
        raise NotImplementedError


class Regressor(Estimator):
    """An estimator that predicts numbers."""

    _estimator_type = "regressor"
    _requires_y = True

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        r"""The coefficient of determination :math:`R^2 = 1 - \sum w (y - \hat y)^2 / \sum w (y - \bar y)^2`.

        Parameters
        ----------
        X : array (n_samples, n_features)
        y : array (n_samples,) or (n_samples, n_outputs)
            Of several outputs the mean of their :math:`R^2`.
        sample_weight : array (n_samples,), optional
        """
        return r2_of(y, self.predict(X), sample_weight)

    def predict(self, X: Any) -> Array:
        """Numbers (n_samples,) or (n_samples, n_outputs)."""
        raise NotImplementedError


class Clusterer(Estimator):
    """An estimator that gives every sample the number of a cluster, `labels_`."""

    _estimator_type = "clusterer"
    labels_: Array

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the clusters."""
        raise NotImplementedError

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Array:
        """Fit, and the labels (n_samples,) of the samples fitted; `y` is not looked at."""
        return self.fit(X, sample_weight=sample_weight).labels_


def clone(estimator: Any, *, safe: bool = True) -> Any:
    """An unfitted estimator with the same parameters.

    Parameters
    ----------
    estimator : estimator, or list, tuple, set or dict of such
        Anything with ``get_params``: scikit-learn's estimators too.
    safe : bool
        Whether to refuse what is no estimator; otherwise it is deep-copied.

    Raises
    ------
    DtypeError
        If it is no estimator.
    """
    if isinstance(estimator, dict):
        return {name: clone(value, safe=safe) for name, value in estimator.items()}
    if type(estimator) in (list, tuple, set, frozenset):
        return type(estimator)(clone(each, safe=safe) for each in estimator)
    if isinstance(estimator, type) or not hasattr(estimator, "get_params"):
        if safe or isinstance(estimator, type):
            raise DtypeError(f"estimator: expected one with get_params, got {estimator!r}; call the class to make one")
        return copy.deepcopy(estimator)
    params = estimator.get_params(deep=False)
    copied = type(estimator)(**{name: clone(value, safe=False) for name, value in params.items()})
    if "_sklearn_output_config" in vars(estimator):
        copied._sklearn_output_config = dict(estimator._sklearn_output_config)
    return copied


def parameter_names(kind: type) -> list[str]:
    """The names of a constructor's parameters, in their order."""
    if kind.__init__ is object.__init__:  # type: ignore[misc]
        return []
    return list(inspect.signature(kind).parameters)
