"""Measures for predicted classes."""

from __future__ import annotations

from portml.backends import Array, namespace
from portml.errors import ShapeError

__all__ = ["accuracy"]


def accuracy(y_true: Array, y_pred: Array) -> Array:
    """The part of the samples whose predicted class is the true one.

    Parameters
    ----------
    y_true : array (n_samples,), integers
    y_pred : array (n_samples,) of classes, or (n_samples, n_classes) of scores, of which the largest counts

    Returns
    -------
    array (), float32
        On the arrays' backend; reading it there waits for the device.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or there are no samples.
    """
    xp = namespace(y_true, y_pred)
    if len(y_pred.shape) == len(y_true.shape) + 1 > 1:
        y_pred = xp.argmax(y_pred, axis=1)
    if y_pred.shape != y_true.shape or y_true.shape[:1] in ((), (0,)):
        raise ShapeError(
            f"y_pred: expected classes of shape {y_true.shape}, at least one, or scores with one more axis, "
            f"got {y_pred.shape}"
        )
    return xp.mean(xp.astype(y_true == y_pred, xp.float32))
