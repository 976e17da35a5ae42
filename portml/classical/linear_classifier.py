"""What linear classifiers share: scores, labels, and weights of classes."""

from __future__ import annotations

from typing import Any

from portml.backends import Array, namespace, to_numpy
from portml.classical import host
from portml.classical.estimator import Classifier
from portml.classical.validation import TrainingData, check_parameter, labels_of, read_data
from portml.errors import ArgumentError

__all__ = ["LinearClassifier", "require_two_classes", "weights_by_class"]


class LinearClassifier(Classifier):
    """A classifier with scores z = X wᵀ + b, one for each class, or a single one that speaks for the second of two.

    Attributes
    ----------
    coef_ : array (1, n_features) or (n_classes, n_features)
    intercept_ : array (1,) or (n_classes,)
    """

    coef_: Array
    intercept_: Array

    def decision_function(self, X: Any) -> Array:
        """Scores z.

        Parameters
        ----------
        X : array (n_samples, n_features)

        Returns
        -------
        array (n_samples,) for two classes, else (n_samples, n_classes)
        """
        X = read_data(self, X)
        xp = namespace(X)
        coef, intercept = (xp.astype(each, X.dtype, copy=False) for each in (self.coef_, self.intercept_))
        scores = X @ xp.matrix_transpose(coef) + intercept
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: Any) -> Array:
        """Labels (n_samples,) of the highest scores; of two classes the second where the score is positive."""
        return self._labels(self.decision_function(X))

    def _labels(self, scores: Array) -> Array:
        xp = namespace(scores)
        codes = xp.astype(scores > 0, xp.int64) if scores.ndim == 1 else xp.argmax(scores, axis=1)
        return labels_of(codes, self.classes_)


def require_two_classes(data: TrainingData) -> int:
    """The number of classes.

    Raises
    ------
    ArgumentError
        If there is only one.
    """
    n_classes = int(data.classes.shape[0])
    if n_classes < 2:
        label = _on_host(data.classes)[0]
        raise ArgumentError(
            "This solver needs samples of at least 2 classes in the data, but the data contains only one class: "
            f"{label!r}"
        )
    return n_classes


def weights_by_class(estimator: Any, data: TrainingData, *, count_weights: bool = True) -> Array:
    """The sample weights (n_samples,) times those of the classes, or None where all samples count alike.

    ``estimator.class_weight`` is a dict from labels to weights, where labels left out have 1, or "balanced": a class
    of weight n_k among n in all has n / (n_classes n_k), of n_k samples among n if not `count_weights`.
    """
    given = estimator.class_weight
    valid = given is None or given == "balanced" or isinstance(given, dict)
    check_parameter(estimator, "class_weight", valid, "a dict, 'balanced' or None")
    if given is None:
        return data.sample_weight
    xp, n_classes = data.xp, int(data.classes.shape[0])
    weight = xp.ones_like(data.X[:, 0]) if data.sample_weight is None else data.sample_weight
    if given == "balanced":
        member = xp.astype(data.y[None, :] == xp.arange(n_classes, device=data.X.device)[:, None], data.X.dtype)
        counted = weight if count_weights else xp.ones_like(weight)
        counts = member @ counted
        # A class whose samples all have weight 0 has none to share out.
        of_class = xp.sum(counted) / (n_classes * xp.where(counts > 0, counts, xp.ones_like(counts)))
    else:
        of_class = data.backend.asarray(_from_dict(given, data), data.X.dtype)
    return weight * xp.take(of_class, data.y, axis=0)


def _from_dict(given: dict[Any, float], data: TrainingData) -> list[float]:
    classes = _on_host(data.classes)
    left_out = [label for label in classes if label not in given]
    unknown = [label for label in given if label not in classes]
    if left_out and unknown:
        raise ArgumentError(f"The classes, {left_out}, are not in class_weight, which names {unknown}")
    return [float(given.get(label, 1.0)) for label in classes]


def _on_host(classes: Array) -> list[Any]:
    found: list[Any] = (classes if host.is_host_array(classes) else to_numpy(classes)).tolist()
    return found
