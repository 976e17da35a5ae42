from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from portml.backends.kernels.sequence_loss import ctc_loss
from tests.backends.kernel_cases import Case, Draw, case, cases


def log_probabilities(draw: Draw, *shape: int) -> np.ndarray:
    z = draw.normal(*shape)
    return z - np.log(np.exp(z).sum(axis=-1, keepdims=True))


@cases(ctc_loss, tolerance="reduction")
def ctc_cases(draw: Draw) -> Iterator[Case]:
    rest = {"blank": 0, "reduction": "mean", "zero_infinity": False}
    log_p = log_probabilities(draw, 7, 3, 5)
    targets = np.asarray([[1, 2, 2], [4, 1, 0], [3, 3, 3]])
    frames, labels = np.asarray([7, 5, 6]), np.asarray([3, 2, 0])
    for reduction in ("mean", "sum", "none"):
        yield case(log_p, targets, frames, labels, **rest | {"reduction": reduction})
    # Too long for its steps, no steps at all, and a probability of 0.
    frames = np.asarray([3, 0, 7])
    for zero_infinity in (True, False):
        yield case(log_p, targets, frames, labels, **rest | {"zero_infinity": zero_infinity, "reduction": "none"})
    certain = draw.values(0, -math.inf, 0, -math.inf).reshape(2, 1, 2)
    yield case(certain, np.asarray([[0]]), np.asarray([2]), np.asarray([1]), **rest | {"blank": 1})
    wide = log_probabilities(draw, 9, 2, 4), draw.integers(0, 3, 2, 3, dtype="int32")
    lengths = np.asarray([9, 8], "int32"), np.asarray([3, 1], "int32")
    yield case(*wide, *lengths, **rest | {"blank": 3, "reduction": "sum"})
    yield case(log_probabilities(draw, 1, 1, 3), np.zeros((1, 0), "int64"), np.asarray([1]), np.asarray([0]), **rest)
    long = np.arange(131).reshape(1, 131) % 3 + 1
    yield case(log_probabilities(draw, 133, 1, 4), long, np.asarray([133]), np.asarray([131]), **rest)
    none = np.zeros((0,), "int64")
    yield case(log_probabilities(draw, 3, 0, 4), np.zeros((0, 2), "int64"), none, none, **rest | {"reduction": "sum"})
