from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from portml.backends.kernels.bags import bag_max, renormalised_rows
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(bag_max, tolerance="exact")
def bag_max_cases(draw: Draw) -> Iterator[Case]:
    for count, n, columns in ((7, 3, 2), (33, 5, 3), (300, 257, 1), (9, 1, 4), (1, 1, 1)):
        bags = np.sort(draw.integers(0, n, count))
        yield case(draw.permutation(count, columns), bags, np.ones(count, bool), n=n)
        yield case(draw.permutation(count, columns), bags, draw.booleans(count), n=n + 2)
    yield case(draw.permutation(4, 3)[:, ::2], np.asarray([0, 0, 2, 2], "int32"), np.ones(4, bool), n=3)
    yield case(draw.normal(0, 3), draw.integers(0, 2, 0), np.ones(0, bool), n=2)
    yield case(draw.normal(3, 0), draw.integers(0, 1, 3), np.ones(3, bool), n=2)


@cases(renormalised_rows, tolerance="reduction")
def renormalised_rows_cases(draw: Draw) -> Iterator[Case]:
    for order in (1.0, 2.0, 3.0, math.inf):
        yield case(draw.normal(9, 5), draw.integers(0, 9, 2, 3), longest=1.0, order=order)
    yield case(draw.normal(257, 3), draw.integers(0, 257, 40, dtype="int32"), longest=0.5, order=2.0)
    yield case(draw.normal(4, 3), draw.integers(0, 4, 0), longest=0.5, order=2.0)
