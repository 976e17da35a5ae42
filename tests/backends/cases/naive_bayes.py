from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portml.backends.kernels import naive_bayes
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(naive_bayes.class_moments, tolerance="reduction", nan=False)
def class_moments_cases(draw: Draw) -> Iterator[Case]:
    for n, d, classes in ((7, 3, 2), (257, 5, 4), (5, 4, 7), (33, 1, 1), (1, 2, 1)):
        x, codes = draw.normal(n, d), draw.integers(0, classes, n)
        yield case(x, codes, None, n_classes=classes)
        yield case(x + 100, codes, draw.uniform(0.1, 2, n), n_classes=classes)
    yield case(draw.normal(0, 3), draw.integers(0, 2, 0), None, n_classes=2)
    yield case(draw.normal(4, 0), draw.integers(0, 2, 4), None, n_classes=2)
    yield case(np.ones((6, 2), draw.dtype), np.zeros(6, np.int64), draw.values(0, 1, 0, 0, 0, 2), n_classes=2)
    yield case(draw.normal(2, 4), np.asarray([0, 1]), draw.values(0, 1), n_classes=2)
    yield case(draw.normal(3, 8).T, draw.integers(0, 2, 8), None, n_classes=2)


@cases(naive_bayes.gaussian_log_joint, tolerance="reduction")
def gaussian_log_joint_cases(draw: Draw) -> Iterator[Case]:
    for n, d, classes in ((7, 3, 2), (257, 5, 4), (33, 1, 1), (0, 3, 2)):
        statistics = draw.normal(classes, d), draw.uniform(0.5, 2, classes, d), draw.normal(classes)
        yield case(draw.normal(n, d), *statistics)
        yield case(draw.normal(n, d) + 20, statistics[0] + 20, *statistics[1:])
    # Variances that would cancel if multiplied out.
    yield case(
        draw.values(0, 1, 3, 1).reshape(2, 2),
        draw.values(0, 1, 3, 1).reshape(2, 2),
        draw.values(1e-9, 1, 1e-9, 1).reshape(2, 2),
        draw.normal(2),
    )
    yield case(draw.normal(3, 70_000), draw.normal(2, 70_000), draw.uniform(1, 2, 2, 70_000), draw.normal(2))
