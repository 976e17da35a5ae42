from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portml.backends.kernels import normalisation
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(normalisation.layer_norm, tolerance="reduction")
def layer_norm_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(5, 7), draw.normal(7), draw.normal(7), axes=(1,), eps=1e-5)
    yield case(draw.normal(5, 7) + 100, draw.normal(7), None, axes=-1, eps=1e-5)
    yield case(draw.normal(5, 257), None, None, axes=(1,), eps=1e-3)
    yield case(draw.normal(2, 3, 33), draw.normal(33), draw.normal(33), axes=(-1,), eps=1e-5)
    yield case(draw.normal(2, 3, 5), draw.normal(3, 5), draw.normal(3, 5), axes=(1, 2), eps=1e-5)
    yield case(draw.normal(2, 3, 5), draw.normal(3, 1), draw.normal(3, 1), axes=1, eps=1e-5)
    yield case(draw.normal(2, 3, 5), draw.normal(5), draw.normal(3, 5), axes=(2,), eps=1e-5)
    yield case(draw.normal(7), draw.normal(7), draw.normal(7), axes=0, eps=1e-5)
    yield case(draw.normal(4, 1), draw.normal(1), draw.normal(1), axes=(1,), eps=1e-5)
    yield case(draw.normal(0, 7), draw.normal(7), draw.normal(7), axes=(1,), eps=1e-5)
    yield case(draw.normal(7, 0), draw.normal(0), draw.normal(0), axes=(1,), eps=1e-5)
    yield case(draw.normal(6, 5).T, draw.normal(12)[::2], draw.normal(6), axes=(1,), eps=1e-5)
    yield case(draw.normal(300, 9), draw.normal(9), draw.normal(9), axes=(1,), eps=1e-5)


@cases(normalisation.batch_norm_train, tolerance="reduction")
def batch_norm_train_cases(draw: Draw) -> Iterator[Case]:
    for shape in ((4, 3, 5, 7), (5, 3), (33, 10), (2, 3, 7), (2, 1, 3, 3), (1, 3, 2, 2), (300, 2, 9)):
        yield case(draw.normal(*shape) + 3, draw.normal(shape[1]), draw.normal(shape[1]), eps=1e-5)
        yield case(draw.normal(*shape), None, None, eps=1e-3)
    yield case(draw.normal(0, 3), draw.normal(3), draw.normal(3), eps=1e-5)
    yield case(draw.normal(5, 0), draw.normal(0), draw.normal(0), eps=1e-5)
    yield case(draw.normal(3, 6, 5, 4).transpose(3, 1, 0, 2), draw.normal(6), None, eps=1e-5)


@cases(normalisation.batch_norm_inference, tolerance="reduction")
def batch_norm_inference_cases(draw: Draw) -> Iterator[Case]:
    for shape in ((5, 3), (2, 3, 7), (4, 3, 5, 7), (0, 3)):
        statistics = draw.normal(3), draw.uniform(0.5, 2, 3)
        yield case(draw.normal(*shape), *statistics, draw.normal(3), draw.normal(3), eps=1e-5)
        yield case(draw.normal(*shape), *statistics, None, None, eps=1e-3)
        yield case(draw.normal(*shape), *statistics, None, draw.normal(3), eps=1e-5)


@cases(normalisation.update_running)
def update_running_cases(draw: Draw) -> Iterator[Case]:
    for n in (1, 7, 257, 0):
        running = draw.normal(n), draw.uniform(0.5, 2, n)
        yield case(*map(np.copy, running), draw.normal(n), draw.uniform(0.5, 2, n), momentum=0.1, n=8)
        yield case(*map(np.copy, running), draw.normal(n), draw.uniform(0.5, 2, n), momentum=1.0, n=2)
        statistics = draw.normal(n), draw.uniform(0.5, 2, n)
        yield case(*map(np.copy, running), *statistics, momentum=0.1, n=2, unbiased=False)
