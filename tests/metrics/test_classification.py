"""Accuracy: of classes, of scores with any further axes, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from portml.backends import to_numpy
from portml.errors import ShapeError
from portml.metrics import accuracy


def test_accuracy_is_the_share_of_equal_classes(backend, xp):
    share = accuracy(backend.asarray([0, 1, 2, 3]), backend.asarray([0, 1, 1, 3]))
    assert share.dtype == xp.float32
    assert float(to_numpy(share)) == 0.75


def test_of_scores_the_class_with_the_largest_counts(backend):
    scores = backend.asarray([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert float(to_numpy(accuracy(backend.asarray([1, 0, 1]), scores))) == 1.0


def test_classes_are_the_second_axis_of_scores(backend):
    labels = np.asarray([[0, 1], [2, 0]])
    scores = np.moveaxis(np.eye(3)[labels], -1, 1)
    assert float(to_numpy(accuracy(backend.asarray(labels), backend.asarray(scores)))) == 1.0


@pytest.mark.parametrize(("true", "predicted"), [((3,), (2,)), ((0,), (0,)), ((), (4,)), ((), ()), ((2,), (2, 3, 4))])
def test_shapes_that_do_not_fit_are_refused(backend, true, predicted):
    with pytest.raises(ShapeError, match="y_pred: expected classes of shape"):
        accuracy(backend.zeros(true, "int64"), backend.zeros(predicted))
