from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from portml.backends.kernels import activation
from tests.backends.kernel_cases import Case, Draw, case, cases


def special(draw: Draw) -> np.ndarray:
    """Zeros of both signs, numbers on both sides of where an exponential overflows, infinities."""
    return draw.values(0.0, -0.0, 1e-8, -1e-8, 30.0, -30.0, 88.8, -88.8, 800.0, -800.0, 1e4, -1e4, math.inf, -math.inf)


def elementwise_inputs(draw: Draw) -> Iterator[np.ndarray]:
    yield draw.normal(3, 7)
    yield draw.normal(2, 3, 257)
    yield draw.normal(0, 3)
    yield draw.normal()
    yield special(draw)


@cases(activation.relu, activation.sigmoid, activation.silu)
def plain_cases(draw: Draw) -> Iterator[Case]:
    for x in elementwise_inputs(draw):
        yield case(x)


@cases(activation.leaky_relu)
def leaky_relu_cases(draw: Draw) -> Iterator[Case]:
    for x in elementwise_inputs(draw):
        yield case(x, negative_slope=0.2)


@cases(activation.elu)
def elu_cases(draw: Draw) -> Iterator[Case]:
    for x in elementwise_inputs(draw):
        yield case(x, alpha=1.5)


@cases(activation.softplus)
def softplus_cases(draw: Draw) -> Iterator[Case]:
    for x in elementwise_inputs(draw):
        yield case(x, beta=1.0, threshold=20.0)
        yield case(x, beta=2.5, threshold=math.inf)


@cases(activation.softmax, activation.log_softmax, tolerance="reduction")
def softmax_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(5, 10), axis=-1)
    yield case(draw.normal(3, 1000), axis=1)
    yield case(draw.normal(3, 65, 7), axis=1)
    yield case(draw.normal(2, 5, 33), axis=-2)
    yield case(draw.normal(2, 5, 33), axis=0)
    yield case(100 * draw.normal(4, 6), axis=-1)
    yield case(draw.normal(7), axis=0)
    yield case(draw.normal(0, 4), axis=-1)
    yield case(draw.normal(4, 0), axis=-1)
    yield case(draw.normal(4, 0), axis=0)
