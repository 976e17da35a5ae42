from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from portml.backends.kernels import class_loss, loss
from tests.backends.kernel_cases import Case, Draw, case, cases

REDUCTIONS = ("mean", "sum", "none")
SHAPES = ((3, 7), (257,), (2, 3, 5), (), (0, 3))


@cases(loss.mse_loss, loss.l1_loss, tolerance="reduction")
def difference_cases(draw: Draw) -> Iterator[Case]:
    for reduction in REDUCTIONS:
        for shape in SHAPES:
            yield case(draw.normal(*shape), draw.normal(*shape), reduction=reduction)
    yield case(draw.normal(5), draw.integers(0, 3, 5), reduction="mean")
    yield case(draw.normal(6, 5).T, draw.normal(5, 12)[:, ::2], reduction="mean")


@cases(loss.huber_loss, tolerance="reduction")
def huber_cases(draw: Draw) -> Iterator[Case]:
    for each in difference_cases(draw):
        yield case(*each.arguments, **each.statics, delta=0.7)


@cases(loss.binary_cross_entropy, tolerance="reduction")
def probability_cases(draw: Draw) -> Iterator[Case]:
    for reduction in REDUCTIONS:
        for shape in SHAPES:
            yield case(draw.uniform(0, 1, *shape), draw.uniform(0, 1, *shape), reduction=reduction)
    yield case(draw.uniform(0, 1, 5), draw.integers(0, 2, 5), reduction="mean")
    # Probabilities of exactly 0 and 1, right and wrong, and one whose logarithm is cut off.
    edges, answers = draw.values(0, 0, 1, 1, 1e-44), draw.values(0, 1, 0, 1, 1)
    yield case(edges, answers, reduction="none")


@cases(loss.binary_cross_entropy_with_logits, tolerance="reduction")
def logit_cases(draw: Draw) -> Iterator[Case]:
    for reduction in REDUCTIONS:
        for shape in SHAPES:
            yield case(3 * draw.normal(*shape), draw.uniform(0, 1, *shape), reduction=reduction)
    yield case(draw.normal(5), draw.integers(0, 2, 5), reduction="mean")
    yield case(draw.values(1e4, -1e4, 0, 1e4, -1e4), draw.values(1, 0, 0.5, 0, 1), reduction="none")


@cases(loss.hinge_loss, tolerance="reduction")
def hinge_cases(draw: Draw) -> Iterator[Case]:
    for reduction in REDUCTIONS:
        for shape in SHAPES:
            yield case(draw.normal(*shape), np.sign(draw.normal(*shape)), reduction=reduction)
    yield case(draw.normal(5), 2 * draw.integers(0, 2, 5) - 1, reduction="mean")


def labelled(draw: Draw) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Logits, labels and the number of classes; some labels ignored."""
    for shape in ((5, 3), (33, 10), (300, 4), (2, 3, 7), (2, 5, 3, 4), (4,), (3, 1), (0, 3), (2, 3, 0)):
        axis = min(len(shape) - 1, 1)
        samples = shape[:axis] + shape[axis + 1 :]
        labels = draw.integers(0, shape[axis], *samples)
        if labels.size > 4:
            labels.flat[3] = -100
        yield 3 * draw.normal(*shape), labels, shape[axis]


@cases(class_loss.cross_entropy, tolerance="reduction")
def cross_entropy_cases(draw: Draw) -> Iterator[Case]:
    rest = {"reduction": "mean", "label_smoothing": 0.0, "ignore_index": -100}
    for logits, labels, classes in labelled(draw):
        for reduction in REDUCTIONS:
            yield case(logits, labels, None, **rest | {"reduction": reduction})
        weight = draw.uniform(0.5, 2, classes)
        yield case(logits, labels, weight, **rest)
        yield case(logits, labels, weight, **rest | {"reduction": "none", "label_smoothing": 0.2})
        yield case(logits, labels, None, **rest | {"label_smoothing": 0.2})
    labels = draw.integers(0, 3, 5, dtype="int32")
    yield case(draw.normal(5, 3), labels, None, **rest | {"ignore_index": 1})
    yield case(draw.normal(5, 3), draw.integers(0, 3, 5, dtype="uint8"), None, **rest)
    yield case(draw.normal(3, 5).T, draw.integers(0, 3, 10)[::2], None, **rest)
    yield case(1e4 * draw.normal(5, 3), labels, None, **rest)
    # A class that is impossible costs nothing where it is not the label.
    yield case(draw.values(0, 1, -math.inf, 2, 1, 0).reshape(2, 3), draw.integers(0, 2, 2), None, **rest)
    yield case(draw.normal(3, 4), draw.integers(1, 2, 3), None, **rest | {"ignore_index": 1})


@cases(class_loss.nll_loss, tolerance="reduction")
def nll_cases(draw: Draw) -> Iterator[Case]:
    for log_probabilities, labels, classes in labelled(draw):
        for reduction in REDUCTIONS:
            yield case(log_probabilities, labels, None, reduction=reduction, ignore_index=-100)
        yield case(log_probabilities, labels, draw.uniform(0.5, 2, classes), reduction="mean", ignore_index=-100)


@cases(class_loss.categorical_cross_entropy, tolerance="reduction")
def categorical_cases(draw: Draw) -> Iterator[Case]:
    for shape in ((5, 3), (33, 10), (2, 3, 7), (4,), (0, 3)):
        for reduction in REDUCTIONS:
            yield case(draw.uniform(0, 1, *shape), draw.uniform(0, 1, *shape), reduction=reduction)
    yield case(draw.values(0, 1, 1, 0).reshape(2, 2), draw.values(0, 1, 0, 1).reshape(2, 2), reduction="none")
    yield case(draw.uniform(0, 1, 3, 4), np.eye(4, dtype="int64")[:3], reduction="mean")
