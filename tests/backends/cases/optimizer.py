from __future__ import annotations

from collections.abc import Iterator

from portml.backends.kernels import optimizer
from tests.backends.kernel_cases import Case, Draw, case, cases

SIZES = (1, 7, 257, 0)


@cases(optimizer.sgd_step, in_place=(0, 2))
def sgd_cases(draw: Draw) -> Iterator[Case]:
    for n in SIZES:
        h = draw.values(0.1, 0.9)
        yield case(draw.normal(n), draw.normal(n), draw.normal(n), h, momentum=0.9)
        yield case(draw.normal(n), draw.normal(n), draw.normal(n), h, momentum=0.9, nesterov=True, weight_decay=0.1)
        yield case(draw.normal(n), draw.normal(n), None, h, weight_decay=0.1, maximize=True)


@cases(optimizer.adagrad_step, in_place=(0, 2))
def adagrad_cases(draw: Draw) -> Iterator[Case]:
    for n in SIZES:
        total, h = draw.uniform(0.0, 2.0, n), draw.values(0.1)
        yield case(draw.normal(n), draw.normal(n), total, h)
        yield case(draw.normal(n), draw.normal(n), total, h, eps=1e-3, weight_decay=0.1, maximize=True)


@cases(optimizer.rmsprop_step, in_place=(0, 2, 3, 4))
def rmsprop_cases(draw: Draw) -> Iterator[Case]:
    for n in SIZES:
        # The mean of squares is at least the square of the mean.
        p, g, mean = draw.normal(n), draw.normal(n), draw.normal(n)
        square, h = mean * mean + draw.uniform(0.5, 2.0, n), draw.values(0.1)
        yield case(p, g, square, None, None, h)
        yield case(p, g, square, mean, None, h, alpha=0.9, weight_decay=0.1)
        yield case(p, g, square, mean, draw.normal(n), h, alpha=0.9, eps=1e-4, momentum=0.8, maximize=True)


@cases(optimizer.adam_step, in_place=(0, 2, 3, 4))
def adam_cases(draw: Draw) -> Iterator[Case]:
    for n in SIZES:
        p, g, m, v = draw.normal(n), draw.normal(n), draw.normal(n), draw.uniform(0.5, 2.0, n)
        h = draw.values(0.1, 1.5, 0.99)
        yield case(p, g, m, v, None, h)
        yield case(p, g, m, v, draw.uniform(0.5, 2.0, n), h)
        yield case(p, g, m, v, None, h, beta1=0.8, beta2=0.9, eps=1e-4, weight_decay=0.1, maximize=True)
        yield case(p, g, m, v, draw.uniform(0.5, 2.0, n), h, weight_decay=0.1, decoupled=True)


@cases(optimizer.nadam_step, optimizer.radam_step, in_place=(0, 2, 3))
def adam_family_cases(draw: Draw) -> Iterator[Case]:
    for n in SIZES:
        p, g, m, v = draw.normal(n), draw.normal(n), draw.normal(n), draw.uniform(0.5, 2.0, n)
        h = draw.values(0.1, 1.5, 0.9, 0.99)
        yield case(p, g, m, v, h)
        yield case(p, g, m, v, h, beta1=0.8, beta2=0.9, eps=1e-4, weight_decay=0.1, maximize=True)
        yield case(p, g, m, v, h, weight_decay=0.1, decoupled=True)


@cases(optimizer.lion_step, in_place=(0, 2))
def lion_cases(draw: Draw) -> Iterator[Case]:
    for n in SIZES:
        h = draw.values(0.1, 0.99)
        yield case(draw.normal(n), draw.normal(n), draw.normal(n), h)
        yield case(draw.normal(n), draw.normal(n), draw.normal(n), h, beta1=0.8, beta2=0.7, maximize=True)
