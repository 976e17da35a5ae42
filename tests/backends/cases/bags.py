from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from portml.backends.kernels.bags import bag_max, renormalised_rows
from portml.backends.kernels.rows import embedding, index_add
from tests.backends.kernel_cases import Case, Draw, case, cases, more_cases


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


@more_cases(embedding)
def wide_embedding_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.integers(0, 9, 4, 5, dtype="int32"), draw.normal(9, 33), padding_idx=3)
    yield case(draw.integers(0, 9, 0), draw.normal(9, 33), padding_idx=None)


@more_cases(index_add)
def wide_index_add_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(20, 33), draw.integers(0, 4, 20, dtype="int32"), n=5)
    yield case(draw.normal(33, 20).T, draw.integers(0, 4, 20), n=5)
    yield case(draw.normal(0, 33), draw.integers(0, 4, 0), n=5)
