from __future__ import annotations

from collections.abc import Iterator

from portml.backends.kernels.linear import linear
from tests.backends.kernel_cases import Case, Draw, case, cases


@cases(linear, tolerance="reduction")
def linear_cases(draw: Draw) -> Iterator[Case]:
    yield case(draw.normal(5, 7), draw.normal(3, 7), draw.normal(3))
    yield case(draw.normal(5, 7), draw.normal(3, 7), None)
    yield case(draw.normal(2, 3, 33), draw.normal(17, 33), draw.normal(17))
    yield case(draw.normal(7), draw.normal(3, 7), draw.normal(3))
    yield case(draw.normal(1, 1), draw.normal(1, 1), draw.normal(1))
    yield case(draw.normal(0, 7), draw.normal(3, 7), draw.normal(3))
    yield case(draw.normal(5, 0), draw.normal(3, 0), draw.normal(3))
    yield case(draw.normal(2, 3, 7), draw.normal(0, 7), None)
    yield case(draw.normal(6, 5).T, draw.normal(6, 4).T, draw.normal(8)[::2])
