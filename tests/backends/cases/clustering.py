from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from portml.backends.kernels import clustering
from tests.backends.kernel_cases import Case, Draw, case, cases

SIZES = ((1, 1, 1), (7, 3, 2), (257, 5, 4), (1500, 2, 33), (5, 4, 7), (40, 1, 300), (0, 3, 2))


@cases(clustering.nearest_centers, tolerance="exact", nan=False)
def nearest_centers_cases(draw: Draw) -> Iterator[Case]:
    for n, d, k in SIZES:
        # Small whole numbers, of which every product is exact and many are equal.
        yield case(*(draw.integers(-3, 4, rows, d).astype(draw.dtype) for rows in (n, k)))
    yield case(draw.integers(-3, 4, 3, 9).astype(draw.dtype).T, draw.integers(-3, 4, 3, 2).astype(draw.dtype).T)


@cases(clustering.lloyd_step, tolerance="reduction", nan=False)
def lloyd_step_cases(draw: Draw) -> Iterator[Case]:
    for n, d, k in SIZES:
        yield case(draw.normal(n, d), None, draw.normal(k, d))
        yield case(draw.normal(n, d), draw.uniform(0, 2, n), draw.normal(k, d))
    yield case(draw.normal(3, 9).T, draw.normal(18)[::2] ** 2, draw.normal(3, 2).T)
    yield case(np.zeros((4, 2), draw.dtype), None, np.zeros((3, 2), draw.dtype))
