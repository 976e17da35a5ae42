"""Meeting scikit-learn half-way, where the program that uses these estimators has loaded it.

Nothing here imports scikit-learn before scikit-learn asks.  Its tools recognise exceptions and warnings by class, so
what is raised here is also an instance of its class of the same name once that class exists in the process.
"""

from __future__ import annotations

import functools
import sys
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from portml.classical.estimator import Estimator

__all__ = ["also_theirs", "container_of", "tags_of", "warn"]

Kind = TypeVar("Kind", bound=BaseException)


def warn(kind: type[Warning], message: str, *, stacklevel: int = 2) -> None:
    """Warn with `kind`, which a filter for scikit-learn's class of that name also catches.

    Parameters
    ----------
    kind : type
        `portml.errors.ConvergenceWarning`, `portml.errors.DataConversionWarning`, or any other warning.
    message : str
    stacklevel : int
        As of `warnings.warn`, counted from the caller.
    """
    warnings.warn(message, also_theirs(kind), stacklevel=stacklevel + 1)


def also_theirs(kind: type[Kind]) -> type[Kind]:
    """A class that derives from `kind` and, where scikit-learn is loaded, from its class of the same name."""
    theirs = getattr(sys.modules.get("sklearn.exceptions"), kind.__name__, None)
    made: Any = kind
    return kind if theirs is None else _both(made, theirs)


@functools.cache
def _both(kind: Any, theirs: type) -> Any:
    def reduce(self: BaseException) -> Any:  # a process without scikit-learn can unpickle it
        return kind, self.args

    return type(kind.__name__, (kind, theirs), {"__module__": kind.__module__, "__reduce__": reduce})


def container_of(estimator: Any) -> str:
    """What `transform` is to give: "default" (an array), "pandas" or "polars", by ``set_output`` or scikit-learn's
    setting for all transformers.
    """
    own = vars(estimator).get("_sklearn_output_config", {}).get("transform")
    if own is not None:
        return str(own)
    configuration = sys.modules.get("sklearn._config")
    return "default" if configuration is None else str(configuration.get_config()["transform_output"])


def tags_of(estimator: Estimator) -> Any:
    """What scikit-learn's tools want to know of an estimator before they use it.

    Returns
    -------
    sklearn.utils.Tags
        By the mixins of the estimator; a class that differs changes them in its own ``__sklearn_tags__``.
    """
    from sklearn.utils import ClassifierTags, RegressorTags, Tags, TargetTags, TransformerTags

    kind = estimator._estimator_type
    return Tags(
        estimator_type=kind,
        target_tags=TargetTags(required=estimator._requires_y),
        classifier_tags=ClassifierTags() if kind == "classifier" else None,
        regressor_tags=RegressorTags() if kind == "regressor" else None,
        transformer_tags=TransformerTags(["float64", "float32"]) if hasattr(estimator, "transform") else None,
    )
