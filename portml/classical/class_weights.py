"""How much each class counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portml.backends import Array, to_numpy
from portml.errors import ArgumentError

__all__ = ["class_weights"]


def class_weights(class_weight: Any, codes: Array, classes: Array) -> list[float]:
    """The weight of every class, in the order of `classes`.

    Parameters
    ----------
    class_weight : None, "balanced" or dict
        None weighs all the same.  "balanced" gives a class n_samples / (n_classes * its samples).  A dict names labels;
        those it does not name weigh 1.
    codes : integer array (n_samples,)
    classes : array (n_classes,)

    Raises
    ------
    ArgumentError
        If it is something else, or names a label that does not occur.
    """
    labels = to_numpy(classes).tolist()
    if class_weight is None:
        return [1.0] * len(labels)
    if class_weight == "balanced":
        found = to_numpy(codes).tolist()
        return [len(found) / (len(labels) * max(found.count(code), 1)) for code in range(len(labels))]
    if not isinstance(class_weight, Mapping):
        raise ArgumentError(
            f"class_weight: expected None, 'balanced' or a dict of labels to weights, got {class_weight!r}"
        )
    unknown = [label for label in class_weight if label not in labels]
    if unknown:
        raise ArgumentError(f"The classes, {unknown}, are not in class_weight")
    return [float(class_weight.get(label, 1.0)) for label in labels]
